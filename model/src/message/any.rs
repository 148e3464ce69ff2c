//! Every form that JSON allows, and what is wrong where something is.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{DeadLetterReason, MAX_NAME_BYTES, Message, Rejected};
use crate::time::parse_rfc3339;

/// Every form that JSON allows; says what is wrong where something is.
pub(super) fn decode_any(bytes: &[u8]) -> Result<Message<'_>, Rejected> {
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
