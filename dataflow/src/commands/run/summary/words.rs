//! Times, lengths and reasons as the summary writes them.

use model::time::format_ms;

use crate::commands::common::printable;
use crate::commands::incidents::Stored;

/// A length in minutes, or in hours and minutes.
pub(super) fn minutes(ms: i64) -> String {
    let minutes = ms / 60_000;
    if minutes >= 120 { format!("{} h {:02} min", minutes / 60, minutes % 60) } else { format!("{minutes} min") }
}

/// A delay in the unit that suits it.
pub(super) fn delay(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        10_000..600_000 => format!("{} s", ms / 1_000),
        600_000..172_800_000 => minutes(i64::try_from(ms).unwrap_or(i64::MAX)),
        _ => format!("{} days", ms / 86_400_000),
    }
}

/// A time without what goes without saying.
pub(super) fn short(ms: i64) -> String {
    format_ms(ms).replace('T', " ").trim_end_matches(":00Z").to_owned()
}

/// The strongest metric of an incident: `fan_speed 0.0 RPM, expected 1500.0`.
pub(super) fn reason(incident: &Stored) -> String {
    match incident.contributions.first() {
        Some(part) => {
            let expected = part.expected.map(|expected| format!(", expected {}", number(expected))).unwrap_or_default();
            let unit = if part.unit.is_empty() { String::new() } else { format!(" {}", part.unit) };
            format!("{} {}{unit}{expected}", printable(&part.metric), number(part.observed))
        }
        None => String::new(),
    }
}

/// One decimal, and no hundred digits for what no equipment measures.
fn number(value: f64) -> String {
    if value.abs() < 1e9 { format!("{value:.1}") } else { format!("{value:.1e}") }
}
