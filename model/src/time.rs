//! Event time in milliseconds since the epoch: parsing, printing, windows.

use jiff::Timestamp;

/// Times with a date: from the year -9999 to 9999, with a day at both ends that a time zone may need.
pub const CALENDAR_MS: std::ops::Range<i64> = -377_705_023_200_000..253_402_207_200_000;

/// Reads an RFC 3339 time with zone; fractions beyond milliseconds are cut towards the past. `None`: not such a time.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    parse_utc_fast(text.as_bytes()).or_else(|| {
        // RFC 3339 wants a full date, time and zone; the library would also take more lenient forms.
        let bytes = text.as_bytes();
        let shaped =
            bytes.len() >= 20 && bytes[4] == b'-' && bytes[7] == b'-' && matches!(bytes[10], b'T' | b't' | b' ');
        if !shaped || text.contains('[') {
            return None;
        }
        let time: Timestamp = text.parse().ok()?;
        i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
    })
}

/// `YYYY-MM-DDTHH:MM:SS[.f…](Z|+00:00)`, the form nearly every device sends; anything else is left to the library.
pub(crate) fn parse_utc_fast(b: &[u8]) -> Option<i64> {
    if b.len() < 20 || b[4] != b'-' || b[7] != b'-' || b[10] != b'T' || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let two = |at: usize| -> Option<i64> {
        let (high, low) = (b[at].wrapping_sub(b'0'), b[at + 1].wrapping_sub(b'0'));
        (high < 10 && low < 10).then(|| i64::from(high) * 10 + i64::from(low))
    };
    let (year, month, day) = (two(0)? * 100 + two(2)?, two(5)?, two(8)?);
    let (hour, minute, second) = (two(11)?, two(14)?, two(17)?);
    if !(1..=12).contains(&month)
        || day < 1
        || day > days_in_month(year, month)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let mut at = 19;
    let mut milliseconds = 0;
    if b[at] == b'.' {
        at += 1;
        let digits = b[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 9 {
            return None;
        }
        for place in 0..3 {
            milliseconds = milliseconds * 10 + if place < digits { i64::from(b[at + place] - b'0') } else { 0 };
        }
        at += digits;
    }
    if !matches!(&b[at..], b"Z" | b"+00:00") {
        return None;
    }
    Some((days_from_civil(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000 + milliseconds)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap day comes last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Prints a time as RFC 3339 in UTC with as many fraction digits as needed (none or three). Times beyond the calendar's
/// years are printed as plain milliseconds.
pub fn format_ms(ms: i64) -> String {
    let (seconds, rest) = (ms.div_euclid(1000), ms.rem_euclid(1000));
    let Ok(time) = Timestamp::from_second(seconds) else { return ms.to_string() };
    let text = time.to_string();
    if rest == 0 { text } else { format!("{}.{rest:03}Z", text.trim_end_matches('Z')) }
}

/// The reading's UTC day as `YYYY-MM-DD`, the `date` bucket of the tables.
pub fn date_of(ms: i64) -> String {
    let text = format_ms(ms);
    match text.find('T') {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}

/// Start of the half-open window `[start, start + width)` that holds `ms`; aligned to the epoch, also before it.
pub fn window_start(ms: i64, width_ms: i64) -> i64 {
    ms.saturating_sub(ms.rem_euclid(width_ms))
}

/// Reads a duration such as `100ms`, `30s`, `5min`, `1h`, `2d`; a bare number is refused. Milliseconds.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale_ms = match unit.trim() {
        "ms" => 1.0,
        "s" | "sec" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        "d" => 86_400_000.0,
        _ => return Err(format!("duration {text:?} needs a number and one of ms, s, min, h, d, such as \"30s\"")),
    };
    let number: f64 = number.parse().map_err(|_| format!("duration {text:?} has no number"))?;
    let ms = number * scale_ms;
    if !(0.0..=1e15).contains(&ms) {
        return Err(format!("duration {text:?} is out of range"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "checked against the range above")]
    Ok(ms.round() as i64)
}

/// Prints a duration in the largest unit that is exact.
pub fn format_duration(ms: i64) -> String {
    for (unit, scale) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if ms != 0 && ms % scale == 0 {
            return format!("{}{unit}", ms / scale);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn windows_are_half_open_and_aligned_before_the_epoch_too() {
        assert_eq!(window_start(-1, 60_000), -60_000);
        assert_eq!(window_start(0, 60_000), 0);
        assert_eq!(window_start(59_999, 60_000), 0);
        assert_eq!(window_start(60_000, 60_000), 60_000);
        assert_eq!(window_start(4_294_967_296_000, 60_000), 4_294_967_280_000);
    }

    #[test]
    fn times_without_zone_or_with_more_than_rfc_3339_are_refused() {
        for text in
            ["2026-03-02T10:00:00", "2026-03-02", "10:00:00Z", "2026-03-02T10:00:00+00:00[UTC]", "", "1772445000"]
        {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
        assert_eq!(parse_rfc3339("2026-03-02T11:00:00+01:00"), parse_rfc3339("2026-03-02T10:00:00Z"));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59.500Z"), Some(-500));
        assert_eq!(parse_rfc3339("1969-12-31T23:59:59.9999Z"), Some(-1));
    }

    proptest! {
        /// The fast path and the library read the same time.
        #[test]
        fn fast_path_agrees_with_the_library(ms in -62_000_000_000_000i64..250_000_000_000_000) {
            let text = format_ms(ms);
            let library: Timestamp = text.parse().unwrap();
            prop_assert_eq!(parse_utc_fast(text.as_bytes()), Some(library.as_millisecond()));
            prop_assert_eq!(library.as_millisecond(), ms);
        }

        /// Whatever is between the digits, the fast path never reads what the library refuses.
        #[test]
        fn fast_path_takes_nothing_that_the_library_refuses(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?(Z|\\+00:00)") {
            if let Some(ms) = parse_utc_fast(text.as_bytes()) {
                let library: Timestamp = text.parse().unwrap();
                prop_assert_eq!(i128::from(ms), library.as_nanosecond().div_euclid(1_000_000));
            }
        }
    }
}
