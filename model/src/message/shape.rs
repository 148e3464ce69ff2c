//! A series' next message compared with the one before: only timestamp and value are read.

use super::scan::{Spans, number_or_bool, scan, timestamp};
use crate::time::parse_utc_fast;

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

    /// Timestamp and value of a message that is the same in all else: what [`decode`](super::decode) would say of it, to the bit. `None`
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
