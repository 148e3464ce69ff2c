//! The flat form that nearly every device sends: one pass over the bytes, giving up at the first surprise.

use std::borrow::Cow;
use std::ops::Range;

use super::{MAX_NAME_BYTES, Message};
use crate::time::parse_rfc3339;

/// Where the two values stand that change from one message of a series to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    pub(super) timestamp: Range<usize>,
    pub(super) value: Range<usize>,
}

/// The flat form with plain strings. `None` says nothing about the message: `decode_any` has to look.
pub(super) fn scan(bytes: &[u8]) -> Option<(Message<'_>, Spans)> {
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

/// A timestamp as text or integer, and the position behind it.
#[inline]
pub(super) fn timestamp(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
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
pub(super) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
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
#[inline]
pub(super) fn number_or_bool(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
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
