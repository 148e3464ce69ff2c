//! Times as tables write them.

use model::time::parse_rfc3339;

use super::CsvError;

/// What is taken off a local time to get UTC.
pub(super) struct Zone {
    offset_ms: i64,
}

impl Zone {
    pub(super) fn parse(text: &str) -> Result<Zone, CsvError> {
        let refused = || {
            CsvError::Setting(format!(
                "\"zone\" is {text:?}; in the hour that comes twice its times say nothing, so write \"UTC\" or an offset such as \"-06:00\""
            ))
        };
        if matches!(text, "UTC" | "Z") {
            return Ok(Zone { offset_ms: 0 });
        }
        let (sign, digits) = match text.split_at_checked(1) {
            Some(("+", digits)) => (1, digits),
            Some(("-", digits)) => (-1, digits),
            _ => return Err(refused()),
        };
        let (hours, minutes) = digits.split_once(':').ok_or_else(refused)?;
        let part = |text: &str, limit: i64| {
            let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<i64>().ok().filter(|number| plain && *number <= limit).ok_or_else(refused)
        };
        Ok(Zone { offset_ms: sign * (part(hours, 23)? * 60 + part(minutes, 59)?) * 60_000 })
    }

    pub(super) fn time_of(&self, format: &str, text: &str) -> Option<i64> {
        match format {
            "rfc3339" => parse_rfc3339(text),
            "epoch_ms" => text.parse().ok(),
            "epoch_s" => seconds_to_ms(text),
            pattern => {
                let parts = jiff::fmt::strtime::parse(pattern, text).ok()?;
                if parts.offset().is_some() {
                    return Some(parts.to_timestamp().ok()?.as_millisecond());
                }
                let as_utc = jiff::tz::TimeZone::UTC.to_timestamp(parts.to_datetime().ok()?).ok()?;
                as_utc.as_millisecond().checked_sub(self.offset_ms)
            }
        }
    }
}

/// Seconds with or without a fraction, without a detour over floats.
pub(super) fn seconds_to_ms(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) || (text.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole_ms = whole.parse::<i64>().ok()?.checked_mul(1_000)?;
    let padded: String = fraction.chars().chain("000".chars()).take(3).collect();
    let fraction_ms: i64 = padded.parse().ok()?;
    // Cut towards the past, as everywhere: -1.5 s is -1500 ms and -1.9999 s is -2000 ms.
    if !whole.starts_with('-') {
        return whole_ms.checked_add(fraction_ms);
    }
    let cut = fraction.bytes().skip(3).any(|digit| digit != b'0');
    whole_ms.checked_sub(fraction_ms + i64::from(cut))
}
