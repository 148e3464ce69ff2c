//! Messages as bytes, written by hand: most of a message is the same at each tick and is copied.
//!
//! `{"device_id","device_type","timestamp","metric_name","metric_value","unit","location","building_id"}`, in this order,
//! as the original's devices send them: timestamps in UTC with microseconds and `+00:00`, values with at most two
//! decimals and at least one.

use super::fleet::DeviceSpec;
use super::metrics::{DeviceKind, Metric};
use super::options::TypeSpelling;

/// `YYYY-MM-DDTHH:MM:SS.ffffff+00:00`
pub const TIMESTAMP_LENGTH: usize = 32;

/// What messages of a metric have in common.
#[derive(Clone, Debug)]
pub struct MetricText {
    /// From behind the timestamp to before the value.
    pub before_value: Box<[u8]>,
    /// From behind the value to before the location.
    pub after_value: Box<[u8]>,
    /// The same without a unit that any catalogue knows.
    pub after_value_odd_unit: Box<[u8]>,
}

/// A text as JSON, with its quotes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Texts of all metrics of a type.
pub fn metric_texts(kind: DeviceKind) -> Vec<MetricText> {
    let texts = |metric: &Metric| {
        let after = |unit: &str| format!(",\"unit\":{},\"location\":", quoted(unit)).into_bytes().into_boxed_slice();
        MetricText {
            before_value: format!("\",\"metric_name\":{},\"metric_value\":", quoted(metric.name)).into_bytes().into(),
            after_value: after(metric.unit),
            after_value_odd_unit: after("furlong/fortnight"),
        }
    };
    kind.metrics().iter().map(texts).collect()
}

/// From the message's begin to before the timestamp.
pub fn head(device: &DeviceSpec, spelling: TypeSpelling) -> Box<[u8]> {
    let type_name = match spelling {
        TypeSpelling::Canonical => device.kind.name(),
        TypeSpelling::Original => device.kind.original_name(),
    };
    let head =
        format!("{{\"device_id\":{},\"device_type\":{},\"timestamp\":\"", quoted(&device.device_id), quoted(type_name));
    head.into_bytes().into()
}

/// From the location to the message's end.
pub fn tail(location: &str, building_id: &str) -> Box<[u8]> {
    format!("{},\"building_id\":{}}}", quoted(location), quoted(building_id)).into_bytes().into()
}

/// Hundredths of a value, rounded half away from zero.
#[expect(clippy::cast_possible_truncation, reason = "values are below 10^6")]
pub fn hundredths(value: f64) -> i64 {
    (value * 100.0).round() as i64
}

/// Appends a number of hundredths: `72.0`, `72.5`, `-0.25`.
pub fn push_hundredths(out: &mut Vec<u8>, hundredths: i64) {
    let mut digits = [0u8; 24];
    let mut at = digits.len();
    let mut rest = hundredths.unsigned_abs();
    let (tenth, hundredth) = (rest / 10 % 10, rest % 10);
    let digit = |number: u64| b'0' + (number % 10) as u8;
    if hundredth != 0 {
        at -= 1;
        digits[at] = digit(hundredth);
    }
    at -= 1;
    digits[at] = digit(tenth);
    at -= 1;
    digits[at] = b'.';
    rest /= 100;
    loop {
        at -= 1;
        digits[at] = digit(rest);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if hundredths < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// A time as text. Years 0 to 9999.
pub fn timestamp(time_us: i64) -> [u8; TIMESTAMP_LENGTH] {
    let mut text = *b"0000-00-00T00:00:00.000000+00:00";
    let (seconds, micros) = (time_us.div_euclid(1_000_000), time_us.rem_euclid(1_000_000));
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    put(&mut text[0..4], year);
    put(&mut text[5..7], month);
    put(&mut text[8..10], day);
    put(&mut text[11..13], of_day / 3_600);
    put(&mut text[14..16], of_day / 60 % 60);
    put(&mut text[17..19], of_day % 60);
    put(&mut text[20..26], micros);
    text
}

fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month, day of a count of days since 1970-01-01, counting years from March so that the leap day comes last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_have_one_or_two_decimals() {
        for (value, text) in [
            (72.0, "72.0"),
            (72.5, "72.5"),
            (72.49, "72.49"),
            (0.0, "0.0"),
            (-0.004, "0.0"),
            (-0.25, "-0.25"),
            (-1.1, "-1.1"),
            (0.07, "0.07"),
            (50_000.0, "50000.0"),
        ] {
            let mut out = Vec::new();
            push_hundredths(&mut out, hundredths(value));
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn timestamps_are_read_back(ms in 0i64..253_402_300_799_999) {
            let text = timestamp(ms * 1_000);
            let text = std::str::from_utf8(&text).unwrap();
            prop_assert_eq!(model::time::parse_rfc3339(text), Some(ms));
        }
    }
}
