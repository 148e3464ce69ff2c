//! A recording: the messages of a topic as JSON lines, each with its partition, offset and broker time.
//!
//! ```json
//! {"partition":0,"offset":12,"broker_time":1772445000000,"message":{"device_id":"RTU-001", ...}}
//! ```
//! A message that is not one line of JSON is carried as `"text"` or, where it isn't UTF-8, as `"base64"`; a tombstone has
//! `"message":null`. An idle mark (a partition's watermark was raised while it had nothing) is a line of its own:
//! `{"partition":1,"offset":5,"watermark":1772445000000}`. Offsets of a partition rise, with gaps allowed.

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// One line of a recording, borrowing from it where it can.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// A message.
    Message {
        /// Partition of the topic.
        partition: u32,
        /// Offset in the partition.
        offset: i64,
        /// The broker's time of appending, milliseconds since the epoch.
        broker_ms: i64,
        /// The bytes as sent; `None` is a tombstone.
        bytes: Option<std::borrow::Cow<'a, [u8]>>,
    },
    /// An idle mark: before `offset` is read, the partition's watermark is at least `watermark_ms`.
    Mark {
        /// Partition of the topic.
        partition: u32,
        /// Next offset of the partition.
        offset: i64,
        /// Watermark in milliseconds.
        watermark_ms: i64,
    },
}

/// Why a line is no line of a recording.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not of the format.
    #[error("not a recording's line: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither message nor mark.
    #[error("a recording's line needs one of \"message\", \"text\", \"base64\" or \"watermark\"")]
    Empty,
    /// Bad base64.
    #[error("bad base64: {0}")]
    Base64(#[from] base64::DecodeError),
    /// A message needs a broker time.
    #[error("a recorded message needs \"broker_time\" (milliseconds since the epoch)")]
    NoBrokerTime,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'a> {
    partition: u32,
    offset: i64,
    broker_time: Option<i64>,
    #[serde(borrow, default, deserialize_with = "present")]
    message: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
    watermark: Option<i64>,
}

/// Tells `"message":null` (a tombstone) from no message at all.
fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads one line (without its line end).
pub fn parse_line(line: &[u8]) -> Result<Line<'_>, LineError> {
    if let Some(line) = parse_fast(line) {
        return Ok(line);
    }
    let wire: Wire<'_> = serde_json::from_slice(line)?;
    if let Some(watermark_ms) = wire.watermark {
        return Ok(Line::Mark { partition: wire.partition, offset: wire.offset, watermark_ms });
    }
    let bytes = match (wire.message, wire.text, wire.base64) {
        (Some(raw), None, None) if raw.get() == "null" => None,
        (Some(raw), None, None) => Some(std::borrow::Cow::Borrowed(raw.get().as_bytes())),
        (None, Some(text), None) => Some(std::borrow::Cow::Owned(text.into_bytes())),
        (None, None, Some(text)) => {
            Some(std::borrow::Cow::Owned(base64::engine::general_purpose::STANDARD.decode(text)?))
        }
        _ => return Err(LineError::Empty),
    };
    let broker_ms = wire.broker_time.ok_or(LineError::NoBrokerTime)?;
    Ok(Line::Message { partition: wire.partition, offset: wire.offset, broker_ms, bytes })
}

/// The form that [`write_message`] writes, without a general parser; anything else is `None`. The message itself is only
/// sliced out: whether it is JSON is the decoder's question (a broken one becomes a dead letter with its bytes).
fn parse_fast(line: &[u8]) -> Option<Line<'_>> {
    let (partition, rest) = number_after(line, b"{\"partition\":")?;
    let (offset, rest) = number_after(rest, b",\"offset\":")?;
    let (broker_ms, rest) = number_after(rest, b",\"broker_time\":")?;
    let message = rest.strip_prefix(b",\"message\":")?.strip_suffix(b"}")?;
    let partition = u32::try_from(partition).ok()?;
    if message.first() != Some(&b'{') || message.last() != Some(&b'}') {
        return None;
    }
    Some(Line::Message { partition, offset, broker_ms, bytes: Some(std::borrow::Cow::Borrowed(message)) })
}

/// The partition of a line in the form that [`write_message`] writes, without looking further.
pub fn partition_of(line: &[u8]) -> Option<u32> {
    u32::try_from(number_after(line, b"{\"partition\":")?.0).ok()
}

fn number_after<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<(i64, &'a [u8])> {
    let rest = bytes.strip_prefix(prefix)?;
    let (negative, digits) = match rest.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, rest),
    };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > 18 {
        return None;
    }
    let value = digits[..length].iter().fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some((if negative { -value } else { value }, &digits[length..]))
}

/// Appends one message as a line with its line end.
pub fn write_message(out: &mut Vec<u8>, partition: u32, offset: i64, broker_ms: i64, bytes: Option<&[u8]>) {
    use std::io::Write as _;
    let head = format!("{{\"partition\":{partition},\"offset\":{offset},\"broker_time\":{broker_ms},");
    out.extend_from_slice(head.as_bytes());
    match bytes {
        None => out.extend_from_slice(b"\"message\":null"),
        Some(bytes) if is_one_line_object(bytes) => {
            out.extend_from_slice(b"\"message\":");
            out.extend_from_slice(bytes);
        }
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => {
                out.extend_from_slice(b"\"text\":");
                serde_json::to_writer(&mut *out, text).expect("a text can be written as JSON");
            }
            Err(_) => {
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                write!(out, "\"base64\":\"{text}\"").expect("a Vec takes every byte");
            }
        },
    }
    out.extend_from_slice(b"}\n");
}

/// Appends one idle mark as a line with its line end.
pub fn write_mark(out: &mut Vec<u8>, partition: u32, offset: i64, watermark_ms: i64) {
    let line = format!("{{\"partition\":{partition},\"offset\":{offset},\"watermark\":{watermark_ms}}}\n");
    out.extend_from_slice(line.as_bytes());
}

fn is_one_line_object(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
        && bytes.last() == Some(&b'}')
        && !bytes.contains(&b'\n')
        && !bytes.contains(&b'\r')
        && serde_json::from_slice::<&RawValue>(bytes).is_ok()
}

/// A label: when a fault was injected, and where it shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Which device.
    pub device_id: String,
    /// The fault's name.
    pub fault: String,
    /// `mild`, `moderate` or `severe`.
    pub severity: String,
    /// First affected millisecond.
    pub start_ms: i64,
    /// First millisecond that is no longer affected.
    pub end_ms: i64,
    /// The metrics that the fault moves, strongest first.
    pub metrics: Vec<String>,
}
