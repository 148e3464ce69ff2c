//! A message of the topic: decoded, or the reason why not.
//!
//! Two readers, one meaning: a scanner for the flat form that nearly every device sends, and `serde_json` for all else. The
//! scanner gives up at the first surprise (an escape, a nested value, a field sent twice), so that only one of them has to
//! know what is wrong with a bad message; a property test holds them against each other.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::value::RawValue;

use crate::time::{parse_rfc3339, parse_utc_fast};

/// Longest name (device, type, metric, unit, location, building) in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// Why a message can't be used. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterReason {
    /// Not one JSON object.
    NotJson,
    /// A required field is absent or empty.
    MissingField,
    /// A field has another type than the contract says.
    WrongType,
    /// The value is not finite.
    NotFinite,
    /// The timestamp can't be read.
    BadTimestamp,
    /// The event time lies beyond broker time + `max_future`.
    TooFarInFuture,
    /// The event time lies before broker time - `max_age`.
    TooOld,
    /// The message or one of its names is longer than allowed.
    TooLarge,
    /// The metric is known and the unit is none of its own.
    UnknownUnit,
    /// The partition has more devices than `max_devices`.
    TooManyDevices,
    /// The device has more metrics than `max_metrics`.
    TooManyMetrics,
}

impl DeadLetterReason {
    /// All reasons.
    pub const ALL: [DeadLetterReason; 11] = [
        Self::NotJson,
        Self::MissingField,
        Self::WrongType,
        Self::NotFinite,
        Self::BadTimestamp,
        Self::TooFarInFuture,
        Self::TooOld,
        Self::TooLarge,
        Self::UnknownUnit,
        Self::TooManyDevices,
        Self::TooManyMetrics,
    ];

    /// The name in rows and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::BadTimestamp => "bad_timestamp",
            Self::TooFarInFuture => "too_far_in_future",
            Self::TooOld => "too_old",
            Self::TooLarge => "too_large",
            Self::UnknownUnit => "unknown_unit",
            Self::TooManyDevices => "too_many_devices",
            Self::TooManyMetrics => "too_many_metrics",
        }
    }
}

/// A usable message, borrowing from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Device.
    pub device_id: Cow<'a, str>,
    /// Type as sent.
    pub device_type: Cow<'a, str>,
    /// Event time, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Metric.
    pub metric_name: Cow<'a, str>,
    /// Finite; true and false are 1 and 0.
    pub metric_value: f64,
    /// Unit as sent.
    pub unit: Option<Cow<'a, str>>,
    /// Where the device stands.
    pub location: Option<Cow<'a, str>>,
    /// Which building.
    pub building_id: Option<Cow<'a, str>>,
}

/// A message that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as a word.
    pub reason: DeadLetterReason,
    /// Why, for a person: which field and what was there.
    pub detail: String,
}

impl Rejected {
    /// With its detail.
    pub fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        Rejected { reason, detail: detail.into() }
    }
}

/// Reads one message.
///
/// # Errors
/// `too_large`, `not_json`, `missing_field`, `wrong_type`, `not_finite` or `bad_timestamp`, looked for in this order.
pub fn decode(bytes: &[u8], max_message_bytes: usize) -> Result<Message<'_>, Rejected> {
    if bytes.len() > max_message_bytes {
        let detail = format!("message has {} bytes, more than {max_message_bytes}", bytes.len());
        return Err(Rejected::new(DeadLetterReason::TooLarge, detail));
    }
    match scan(bytes) {
        Some((message, _)) => Ok(message),
        None => decode_any(bytes),
    }
}

/// Where the two values stand that change from one message of a series to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Spans {
    timestamp: Range<usize>,
    value: Range<usize>,
}

/// The flat form with plain strings. `None` says nothing about the message: `decode_any` has to look.
fn scan(bytes: &[u8]) -> Option<(Message<'_>, Spans)> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut at = expect(bytes, 0, b'{')?;
    let (mut device_id, mut device_type, mut metric_name) = (None, None, None);
    let (mut unit, mut location, mut building_id) = (None, None, None);
    let (mut timestamp_ms, mut metric_value) = (None, None);
    let mut spans = Spans::default();
    loop {
        let (key, after) = string(text, at)?;
        at = skip_blanks(bytes, expect(bytes, after, b':')?);
        match key {
            "timestamp" => {
                let (ms, after) = timestamp(bytes, at)?;
                spans.timestamp = at..after;
                at = after;
                set(&mut timestamp_ms, ms)?;
            }
            "metric_value" => {
                let (value, after) = number_or_bool(bytes, at)?;
                spans.value = at..after;
                at = after;
                set(&mut metric_value, value)?;
            }
            _ => {
                let (value, after) = string(text, at)?;
                at = after;
                let slot = match key {
                    "device_id" => &mut device_id,
                    "device_type" => &mut device_type,
                    "metric_name" => &mut metric_name,
                    "unit" => &mut unit,
                    "location" => &mut location,
                    "building_id" => &mut building_id,
                    _ => return None,
                };
                // A name of blanks alone begins with one; the general reader says what that means for the field.
                let blank = !value.as_bytes().first().is_some_and(u8::is_ascii_graphic) && value.trim().is_empty();
                if blank || value.len() > MAX_NAME_BYTES {
                    return None;
                }
                set(slot, Cow::Borrowed(value))?;
            }
        }
        at = skip_blanks(bytes, at);
        match bytes.get(at)? {
            b',' => at = skip_blanks(bytes, at + 1),
            b'}' => break,
            _ => return None,
        }
    }
    if skip_blanks(bytes, at + 1) != bytes.len() {
        return None;
    }
    let message = Message {
        device_id: device_id?,
        device_type: device_type?,
        timestamp_ms: timestamp_ms?,
        metric_name: metric_name?,
        metric_value: metric_value?,
        unit,
        location,
        building_id,
    };
    Some((message, spans))
}

/// The timestamp that was read last: all metrics of a device mostly have the same.
#[derive(Clone, Debug, Default)]
pub struct RecentTimestamp {
    text: [u8; 32],
    length: usize,
    ms: i64,
}

impl RecentTimestamp {
    fn read(&mut self, text: &[u8]) -> Option<i64> {
        if text == &self.text[..self.length] {
            return Some(self.ms);
        }
        let ms = parse_utc_fast(text)?;
        if let Some(kept) = self.text.get_mut(..text.len()) {
            kept.copy_from_slice(text);
            (self.length, self.ms) = (text.len(), ms);
        }
        Some(ms)
    }
}

/// The bytes of a series' message around timestamp and value. Nearly every device sends them unchanged, so that the next
/// message of the series needs to be compared and not to be taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    bytes: Box<[u8]>,
    /// Ends of head and middle part; the tail is the rest.
    parts: [usize; 2],
    is_timestamp_first: bool,
    timestamp_bytes: usize,
}

impl Shape {
    /// The shape of a message; `None` where it is not of the flat form.
    pub fn of(bytes: &[u8]) -> Option<Shape> {
        let (_, Spans { timestamp, value }) = scan(bytes)?;
        let is_timestamp_first = timestamp.start < value.start;
        let timestamp_bytes = timestamp.len();
        let (first, second) = if is_timestamp_first { (timestamp, value) } else { (value, timestamp) };
        let fixed = [&bytes[..first.start], &bytes[first.end..second.start], &bytes[second.end..]].concat();
        let parts = [first.start, first.start + second.start - first.end];
        Some(Shape { bytes: fixed.into(), parts, is_timestamp_first, timestamp_bytes })
    }

    /// Timestamp and value of a message that is the same in all else: what [`decode`] would say of it, to the bit. `None`
    /// says nothing about the message.
    pub fn read(&self, bytes: &[u8], recent: &mut RecentTimestamp) -> Option<(i64, f64)> {
        let (head, rest) = self.bytes.split_at(self.parts[0]);
        let (middle, tail) = rest.split_at(self.parts[1] - self.parts[0]);
        if !bytes.starts_with(head) || !bytes.ends_with(tail) {
            return None;
        }
        let ((timestamp_ms, value), end) = if self.is_timestamp_first {
            let (timestamp_ms, at) = self.timestamp(bytes, head.len(), recent)?;
            let (value, end) = number_or_bool(bytes, behind(bytes, at, middle)?)?;
            ((timestamp_ms, value), end)
        } else {
            let (value, at) = number_or_bool(bytes, head.len())?;
            let (timestamp_ms, end) = self.timestamp(bytes, behind(bytes, at, middle)?, recent)?;
            ((timestamp_ms, value), end)
        };
        (end + tail.len() == bytes.len()).then_some((timestamp_ms, value))
    }

    /// A timestamp that mostly is as long as the one before.
    fn timestamp(&self, bytes: &[u8], at: usize, recent: &mut RecentTimestamp) -> Option<(i64, usize)> {
        let end = at + self.timestamp_bytes;
        if let Some([b'"', text @ .., b'"']) = bytes.get(at..end)
            && let Some(ms) = recent.read(text)
        {
            return Some((ms, end));
        }
        timestamp(bytes, at)
    }
}

/// The position behind `part`, if it is at `at`.
fn behind(bytes: &[u8], at: usize, part: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(part).then_some(at + part.len())
}

/// A timestamp as text or integer, and the position behind it.
fn timestamp(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    if bytes.get(at) != Some(&b'"') {
        return integer(bytes, at);
    }
    let end = string_end(bytes, at)?;
    let text = std::str::from_utf8(&bytes[at + 1..end - 1]).ok()?;
    Some((parse_rfc3339(text)?, end))
}

fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

#[inline]
fn skip_blanks(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

#[inline]
fn expect(bytes: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = skip_blanks(bytes, at);
    (bytes.get(at) == Some(&byte)).then(|| skip_blanks(bytes, at + 1))
}

/// A string without escapes; the position behind its closing quote.
#[inline]
fn string(text: &str, at: usize) -> Option<(&str, usize)> {
    let end = string_end(text.as_bytes(), at)?;
    Some((&text[at + 1..end - 1], end))
}

/// The position behind the closing quote of a string without escapes: eight bytes at a time, then one by one.
#[inline]
fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let mut end = at + 1;
    while let Some(eight) = bytes[end..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        // The lowest byte with a high bit is the first that is zero, or below 0x20; above it there may be false ones.
        let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
        let quotes = zero(word ^ (ONES * u64::from(b'"')));
        let escapes = zero(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = quotes | escapes | controls;
        if found != 0 {
            end += found.trailing_zeros() as usize / 8;
            return (bytes[end] == b'"').then_some(end + 1);
        }
        end += 8;
    }
    loop {
        match *bytes.get(end)? {
            b'"' => return Some(end + 1),
            b'\\' | 0..0x20 => return None,
            _ => end += 1,
        }
    }
}

/// An integer of at most 18 digits, followed by what may follow a value.
fn integer(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let digits = bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = start + digits;
    if digits == 0 || digits > 18 || (digits > 1 && bytes[start] == b'0') || !ends_value(bytes, end) {
        return None;
    }
    let value = bytes[start..end].iter().fold(0i64, |sum, byte| sum * 10 + i64::from(byte - b'0'));
    Some((if negative { -value } else { value }, end))
}

#[inline]
fn ends_value(bytes: &[u8], at: usize) -> bool {
    matches!(bytes.get(at), Some(b',' | b'}' | b' ' | b'\t' | b'\n' | b'\r'))
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];

/// A finite JSON number, `true` or `false`. With at most 15 digits both the digits and the power of ten are exact doubles,
/// so one division rounds correctly (Clinger, 1990); longer ones go to the standard library.
fn number_or_bool(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    if bytes[at..].starts_with(b"true") && ends_value(bytes, at + 4) {
        return Some((1.0, at + 4));
    }
    if bytes[at..].starts_with(b"false") && ends_value(bytes, at + 5) {
        return Some((0.0, at + 5));
    }
    let negative = bytes.get(at) == Some(&b'-');
    let start = at + usize::from(negative);
    let mut end = start;
    let mut mantissa: u64 = 0;
    let mut digits = 0;
    while let Some(byte) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
        mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
        digits += 1;
        end += 1;
    }
    if digits == 0 || (digits > 1 && bytes[start] == b'0') {
        return None;
    }
    let mut decimals = 0;
    if bytes.get(end) == Some(&b'.') {
        end += 1;
        while let Some(byte) = bytes.get(end).filter(|byte| byte.is_ascii_digit()) {
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            decimals += 1;
            end += 1;
        }
        if decimals == 0 {
            return None;
        }
    }
    if !ends_value(bytes, end) {
        return None;
    }
    if digits + decimals > 15 {
        let digits = std::str::from_utf8(&bytes[at..end]).ok()?;
        return digits.parse().ok().filter(|value: &f64| value.is_finite()).map(|value| (value, end));
    }
    #[expect(clippy::cast_precision_loss, reason = "15 digits are below 2^53")]
    let value = mantissa as f64 / EXACT_POWERS[decimals];
    Some((if negative { -value } else { value }, end))
}

/// Every form that JSON allows; says what is wrong where something is.
fn decode_any(bytes: &[u8]) -> Result<Message<'_>, Rejected> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Rejected::new(DeadLetterReason::NotJson, format!("not UTF-8: {error}")))?;
    let fields: BTreeMap<String, &RawValue> = match serde_json::from_str(text) {
        Ok(fields) => fields,
        Err(error) => {
            return Err(match bare_non_finite(text) {
                Some(word) => Rejected::new(DeadLetterReason::NotFinite, format!("{word} is no JSON number")),
                None => Rejected::new(DeadLetterReason::NotJson, error.to_string()),
            });
        }
    };
    let raw = |name: &str| fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let required = |name: &str| {
        raw(name).ok_or_else(|| Rejected::new(DeadLetterReason::MissingField, format!("field {name:?} is missing")))
    };
    let (id, kind, metric) = (required("device_id")?, required("device_type")?, required("metric_name")?);
    let (timestamp, value) = (required("timestamp")?, required("metric_value")?);
    let device_id = name_of("device_id", id)?;
    let device_type = name_of("device_type", kind)?;
    let metric_name = name_of("metric_name", metric)?;
    for (field, name) in [("device_id", &device_id), ("device_type", &device_type), ("metric_name", &metric_name)] {
        if name.trim().is_empty() {
            return Err(Rejected::new(DeadLetterReason::MissingField, format!("field {field:?} is empty")));
        }
    }
    let optional = |field: &str| match raw(field) {
        None => Ok(None),
        Some(raw) => name_of(field, raw).map(|name| Some(name).filter(|name| !name.is_empty())),
    };
    let (unit, location, building_id) = (optional("unit")?, optional("location")?, optional("building_id")?);
    let timestamp_text = match timestamp.as_bytes()[0] {
        b'"' => Some(text_of("timestamp", timestamp)?),
        b'-' | b'0'..=b'9' if timestamp.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit()) => None,
        _ => return Err(wrong_type("timestamp", timestamp, "an RFC 3339 text or integer milliseconds")),
    };
    let metric_value = match value {
        "true" => 1.0,
        "false" => 0.0,
        number if matches!(number.as_bytes()[0], b'-' | b'0'..=b'9') => number.parse::<f64>().unwrap_or(f64::NAN),
        other => return Err(wrong_type("metric_value", other, "a number, true or false")),
    };
    if !metric_value.is_finite() {
        return Err(Rejected::new(
            DeadLetterReason::NotFinite,
            format!("field \"metric_value\" is {}", shorten(value)),
        ));
    }
    let timestamp_ms = match &timestamp_text {
        Some(text) => parse_rfc3339(text),
        None => timestamp.parse().ok(),
    }
    .ok_or_else(|| {
        Rejected::new(DeadLetterReason::BadTimestamp, format!("field \"timestamp\" is {}", shorten(timestamp)))
    })?;
    Ok(Message { device_id, device_type, timestamp_ms, metric_name, metric_value, unit, location, building_id })
}

fn text_of(field: &str, raw: &str) -> Result<String, Rejected> {
    serde_json::from_str(raw).map_err(|_| wrong_type(field, raw, "a text"))
}

fn name_of(field: &str, raw: &str) -> Result<Cow<'static, str>, Rejected> {
    let name = text_of(field, raw)?;
    if name.len() > MAX_NAME_BYTES {
        let detail = format!("field {field:?} has {} bytes, more than {MAX_NAME_BYTES}", name.len());
        return Err(Rejected::new(DeadLetterReason::TooLarge, detail));
    }
    Ok(Cow::Owned(name))
}

fn wrong_type(field: &str, raw: &str, wanted: &str) -> Rejected {
    Rejected::new(DeadLetterReason::WrongType, format!("field {field:?} is {}, not {wanted}", shorten(raw)))
}

fn shorten(raw: &str) -> String {
    if raw.chars().count() <= 40 { raw.to_owned() } else { raw.chars().take(40).chain(['…']).collect() }
}

/// Some encoders write `NaN` or `Infinity` bare, which JSON lacks: named as what they are, if nothing else is wrong.
fn bare_non_finite(text: &str) -> Option<&'static str> {
    for word in ["NaN", "Infinity"] {
        let mut inside_string = false;
        let mut escaped = false;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if inside_string => escaped = true,
                b'"' => inside_string = !inside_string,
                _ if !inside_string && text.as_bytes()[at..].starts_with(word.as_bytes()) => {
                    let start = if at > 0 && text.as_bytes()[at - 1] == b'-' { at - 1 } else { at };
                    let repaired = format!("{}0{}", &text[..start], &text[at + word.len()..]);
                    return serde_json::from_str::<BTreeMap<String, &RawValue>>(&repaired).is_ok().then_some(word);
                }
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"device_id":"RTU-001","device_type":"rooftop_unit","timestamp":"2026-03-02T10:00:00.000000+00:00","metric_name":"fan_speed","metric_value":1500.25,"unit":"RPM","location":"building-A","building_id":"bldg-001"}"#;

    #[test]
    fn the_contract_form_is_read_by_the_scanner() {
        let (message, _) = scan(GOOD.as_bytes()).expect("the usual form takes the fast path");
        assert_eq!(message.timestamp_ms, 1_772_445_600_000);
        assert_eq!(message.metric_value, 1500.25);
        assert_eq!(decode_any(GOOD.as_bytes()).unwrap(), message);
    }

    fn reason(text: &str) -> String {
        match decode(text.as_bytes(), 65_536) {
            Ok(message) => format!("ok {}", message.metric_value),
            Err(rejected) => format!("{}: {}", rejected.reason.name(), rejected.detail),
        }
    }

    #[test]
    fn every_reason_says_which_field_and_what_was_there() {
        let with = |from: &str, to: &str| reason(&GOOD.replace(from, to));
        let seen = [
            reason("12"),
            reason("{\"device_id\":"),
            with("\"device_id\":\"RTU-001\",", ""),
            with("\"RTU-001\"", "\"\""),
            with("\"rooftop_unit\"", "\"  \""),
            with("\"RTU-001\"", "17"),
            with("1500.25", "\"#VALUE!\""),
            with("1500.25", "null"),
            with("1500.25", "NaN"),
            with("1500.25", "-Infinity"),
            with("1500.25", "1e999"),
            with("1500.25", "true"),
            with("1500.25", "[1]"),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "\"yesterday\""),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "1772445600000"),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "1772445600.5"),
            with("RTU-001", &"x".repeat(300)),
            with("\"unit\":\"RPM\"", "\"unit\":null"),
            with("\"unit\"", "\"more\":{\"a\":[1]},\"unit\""),
        ];
        expect_test::expect![[r##"
            not_json: invalid type: integer `12`, expected a map at line 1 column 2
            not_json: EOF while parsing a value at line 1 column 13
            missing_field: field "device_id" is missing
            missing_field: field "device_id" is empty
            missing_field: field "device_type" is empty
            wrong_type: field "device_id" is 17, not a text
            wrong_type: field "metric_value" is "#VALUE!", not a number, true or false
            missing_field: field "metric_value" is missing
            not_finite: NaN is no JSON number
            not_finite: Infinity is no JSON number
            not_finite: field "metric_value" is 1e999
            ok 1
            wrong_type: field "metric_value" is [1], not a number, true or false
            bad_timestamp: field "timestamp" is "yesterday"
            ok 1500.25
            wrong_type: field "timestamp" is 1772445600.5, not an RFC 3339 text or integer milliseconds
            too_large: field "device_id" has 300 bytes, more than 256
            ok 1500.25
            ok 1500.25
        "##]]
        .assert_eq(&(seen.join("\n") + "\n"));
    }

    proptest! {
        /// What the scanner takes, the general reader reads the same, to the bit.
        #[test]
        fn scanner_agrees_with_the_general_reader(
            name in "[a-zA-Z0-9_ é\"\\\\-]{1,12}",
            value in prop_oneof![any::<f64>().prop_map(|v| format!("{v:?}")), "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", Just("true".to_owned()), Just("nul".to_owned())],
            timestamp in prop_oneof![(-10_000_000_000_000i64..10_000_000_000_000).prop_map(|ms| ms.to_string()), Just("\"2026-03-02T10:00:00Z\"".to_owned()), Just("\"2026-03-02T10:00:00+01:00\"".to_owned()), Just("\"2026-02-30T10:00:00Z\"".to_owned())],
            blank in "[ \t]{0,2}",
            tail in prop_oneof![Just(String::new()), Just(",\"unit\":\"F\"".to_owned()), Just(",\"metric_value\":1".to_owned()), Just(",\"x\":[1,{}]".to_owned())],
        ) {
            let text = format!("{{{blank}\"device_id\":{},\"device_type\":\"chiller\",\"timestamp\":{blank}{timestamp},\"metric_name\":\"t\",\"metric_value\":{value}{blank}{tail}}}", serde_json::to_string(&name).unwrap());
            if let Some((message, _)) = scan(text.as_bytes()) {
                let general = decode_any(text.as_bytes()).unwrap();
                prop_assert_eq!(message.metric_value.to_bits(), general.metric_value.to_bits());
                prop_assert_eq!(message, general);
            }
        }

        /// What a shape reads, the reader of whole messages reads the same, to the bit; whatever byte is changed.
        #[test]
        fn shape_agrees_with_the_general_reader(
            value in prop_oneof!["-?[0-9]{1,20}(\\.[0-9]{1,20})?", Just("true".to_owned()), Just("1e3".to_owned()), Just("nul".to_owned())],
            timestamp in prop_oneof!["[0-9]{1,19}", "\"2026-0[0-9]-[0-3][0-9]T[0-2][0-9]:00:00(\\.[0-9]{1,10})?(Z|\\+00:00|\\+01:00)\""],
            is_value_first in any::<bool>(),
            is_changed in any::<bool>(),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let with = |value: &str, timestamp: &str| {
                let fields = [("timestamp", timestamp), ("metric_value", value)];
                let [(a, b), (c, d)] = if is_value_first { [fields[1], fields[0]] } else { fields };
                format!("{{\"device_id\":\"é\",\"{a}\":{b},\"device_type\":\"chiller\", \"metric_name\":\"t\",\"{c}\":{d},\"unit\":\"F\"}}")
            };
            let known = with("1.25", "\"2026-03-02T10:00:00Z\"");
            let shape = Shape::of(known.as_bytes()).expect("a flat message has a shape");
            let mut recent = RecentTimestamp::default();
            prop_assert_eq!(shape.read(known.as_bytes(), &mut recent), Some((1_772_445_600_000, 1.25)));
            let mut bytes = with(&value, &timestamp).into_bytes();
            if is_changed {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some((timestamp_ms, value)) = shape.read(&bytes, &mut recent) {
                let message = decode_any(&bytes).unwrap();
                prop_assert_eq!((message.timestamp_ms, message.metric_value.to_bits()), (timestamp_ms, value.to_bits()));
                let known = Message { timestamp_ms, metric_value: value, ..decode_any(known.as_bytes()).unwrap() };
                prop_assert_eq!(message, known);
            }
        }

        /// A string ends at its first quote, wherever that is.
        #[test]
        fn strings_end_where_they_end(bytes in "\"[ -~é\t\"\\\\]{0,40}") {
            let bytes = bytes.as_bytes();
            let wanted = bytes[1..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|at| at + 1);
            prop_assert_eq!(string_end(bytes, 0), wanted.filter(|&at| bytes[at] == b'"').map(|at| at + 1));
        }

        /// No bytes make the reader panic.
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, 128).is_ok();
        }
    }
}
