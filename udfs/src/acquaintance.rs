//! Which hours and which weather a device has been seen in: what it does in others is not known yet, so that more is asked before it is
//! called unusual.
//!
//! The first morning of a device that was learned at night, its first weekend and the first heat of the year are most of the false
//! alarms of healthy simulated fleets; models that were fitted elsewhere have to extrapolate there.

use model::MetricKind;
use serde::{Deserialize, Serialize};

use crate::MonitorConfig;
use crate::baseline::Usual;

/// Hours of a working day and of a weekend.
pub(crate) const CELLS: usize = 48;
/// Normal states of an hour, of an edge of the weather's range, after which it is known.
const KNOWN: u16 = 30;
const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;

/// The hour of the day on a clock that shows `local_ms`, and 24 more on Saturday and Sunday. Where the clock is put back an hour is
/// the same cell twice, and the hour that it leaves out when it is put forward is not met that day.
pub(crate) fn hour_cell(local_ms: i64) -> usize {
    // 1970-01-01 was a Thursday.
    let weekday = (local_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
    hour_of(local_ms) + if weekday >= 5 { 24 } else { 0 }
}

/// The hour of the day on a clock that shows `local_ms`.
pub(crate) fn hour_of(local_ms: i64) -> usize {
    usize::try_from(local_ms.rem_euclid(DAY_MS) / HOUR_MS).unwrap_or(0)
}

/// What a device has been seen in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Acquaintance {
    hours: Vec<u16>,
    /// Lowest and highest value of each metric of the surroundings that has come `KNOWN` times, by slot.
    weather: Vec<Reach>,
}

/// How far a metric of the surroundings went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Reach {
    lo: f64,
    hi: f64,
    /// States in a row beyond it, on either side.
    beyond: u16,
}

impl Default for Acquaintance {
    fn default() -> Self {
        Acquaintance { hours: vec![0; CELLS], weather: Vec::new() }
    }
}

impl Acquaintance {
    /// Multiple of the usual limits that a state has to reach; it begins at `local_ms` on the device's clock.
    pub(crate) fn caution(&self, config: &MonitorConfig, local_ms: i64, values: &[f64], usual: &[Usual]) -> f64 {
        let unknown = if self.knows(local_ms, values, usual) { 1.0 } else { config.unknown_factor.max(1.0) };
        config.limit_factor() * unknown
    }

    /// Whether hour and weather of a state are known.
    fn knows(&self, local_ms: i64, values: &[f64], usual: &[Usual]) -> bool {
        let weather = self.weather.iter().zip(usual).zip(values).all(|((reach, usual), value)| {
            let give = 0.02 * (reach.hi - reach.lo);
            usual.kind != MetricKind::Ambient || value.is_nan() || (reach.lo - give..=reach.hi + give).contains(value)
        });
        self.hours[hour_cell(local_ms)] >= KNOWN && weather
    }

    /// Takes a normal state in.
    pub(crate) fn learn(&mut self, local_ms: i64, values: &[f64], usual: &[Usual]) {
        let hour = &mut self.hours[hour_cell(local_ms)];
        *hour = hour.saturating_add(1);
        self.weather.resize(values.len(), Reach { lo: f64::INFINITY, hi: f64::NEG_INFINITY, beyond: 0 });
        for ((reach, usual), value) in self.weather.iter_mut().zip(usual).zip(values) {
            if usual.kind != MetricKind::Ambient || value.is_nan() {
                continue;
            }
            if reach.lo > reach.hi {
                (reach.lo, reach.hi) = (*value, *value);
            } else if *value < reach.lo || *value > reach.hi {
                // A little further each time: an edge is known once the device has worked beyond it for a while.
                reach.beyond = reach.beyond.saturating_add(1);
                if reach.beyond >= KNOWN {
                    (reach.lo, reach.hi) = (reach.lo.min(*value), reach.hi.max(*value));
                    reach.beyond = 0;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;
    use model::MetricSpec;
    use model::zone::Zone;

    #[test]
    fn an_hour_and_a_heat_are_known_after_half_an_hour_in_them() {
        let mut baseline = Baseline::default();
        baseline.push(Some(&MetricSpec { kind: MetricKind::Ambient, ..MetricSpec::default() }));
        let usual = &baseline.slots;
        let mut acquaintance = Acquaintance::default();
        let minute = |minute: i64| minute * 60_000;
        for at in 0..30 {
            assert!(!acquaintance.knows(minute(at), &[70.0], usual));
            acquaintance.learn(minute(at), &[70.0], usual);
        }
        assert!(acquaintance.knows(minute(30), &[70.0], usual));
        assert!(!acquaintance.knows(minute(90), &[70.0], usual), "another hour");
        assert!(!acquaintance.knows(minute(30 + 2 * 1_440), &[70.0], usual), "a Saturday");
        for at in 30..60 {
            assert!(!acquaintance.knows(minute(at), &[95.0], usual), "a heat never seen");
            acquaintance.learn(minute(at), &[95.0], usual);
        }
        assert!(acquaintance.knows(minute(59), &[95.0], usual));
        assert!(acquaintance.knows(minute(59), &[f64::NAN], usual));
    }

    /// Of a UTC time, by a calendar that counts one day after the other: hour, and whether it is a weekend, on the clock of a zone whose
    /// rules are written out here.
    fn slow_cell(zone: &str, time_ms: i64) -> usize {
        let minute = time_ms.div_euclid(60_000);
        // Days since 1970 of a month's so-and-so-many Sunday, the last where `nth` is 9.
        let sunday = |year: i64, month: usize, nth: i64| {
            let is_leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
            let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
            let first: i64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>()
                + lengths[..month - 1].iter().sum::<i64>();
            let sundays: Vec<i64> = (first..first + lengths[month - 1]).filter(|day| (day + 4) % 7 == 0).collect();
            *sundays.get(nth as usize - 1).unwrap_or(sundays.last().unwrap())
        };
        let year = (1970..2100).find(|year| minute < sunday(*year, 12, 9) * 1_440 + 14 * 1_440).unwrap();
        // Minutes of UTC between which there is summer time, the offset in front of them, and what summer adds.
        let (summer, offset, more) = match zone {
            "America/Chicago" => {
                (sunday(year, 3, 2) * 1_440 + 8 * 60..sunday(year, 11, 1) * 1_440 + 7 * 60, -6 * 60, 60)
            }
            "Europe/Berlin" => (sunday(year, 3, 9) * 1_440 + 60..sunday(year, 10, 9) * 1_440 + 60, 60, 60),
            // The other half of the globe: what is written as summer is its winter.
            "Australia/Lord_Howe" => {
                (sunday(year, 4, 1) * 1_440 - 9 * 60..sunday(year, 10, 1) * 1_440 - (8 * 60 + 30), 11 * 60, -30)
            }
            "Asia/Kathmandu" => (0..0, 5 * 60 + 45, 0),
            _ => (0..0, 0, 0),
        };
        let clock = minute + offset + if summer.contains(&minute) { more } else { 0 };
        let (mut day, mut left, mut weekday) = (0, clock, 4);
        while left >= 1_440 {
            (day, left, weekday) = (day + 1, left - 1_440, (weekday + 1) % 7);
        }
        assert!(day > 0);
        let hour = usize::try_from(left / 60).unwrap();
        // Sunday is 0.
        hour + if weekday == 0 || weekday == 6 { 24 } else { 0 }
    }

    fn cell(zone: &str, time_ms: i64) -> usize {
        hour_cell(time_ms + Zone::named(zone).unwrap().span_at(time_ms).offset_ms)
    }

    const ZONES: [&str; 5] = ["UTC", "America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"];

    proptest::proptest! {
        #[test]
        fn the_cell_is_that_of_the_clock_on_the_wall(minute in 20_000_000..36_000_000i64, zone in 0..5usize) {
            let (zone, time_ms) = (ZONES[zone], minute * 60_000);
            proptest::prop_assert_eq!(cell(zone, time_ms), slow_cell(zone, time_ms), "{} {}", zone, time_ms);
        }
    }

    /// Every half hour of 2026.
    #[test]
    fn no_change_of_the_clocks_is_missed() {
        for name in ZONES {
            let zone = Zone::named(name).unwrap();
            for half_hour in 0..2 * 24 * 365 {
                let time_ms = 1_767_225_600_000 + half_hour * 1_800_000;
                let local_ms = time_ms + zone.span_at(time_ms).offset_ms;
                assert_eq!(hour_cell(local_ms), slow_cell(name, time_ms), "{name} {time_ms}");
            }
        }
    }

    #[test]
    fn days_of_23_and_25_hours_leave_an_hour_out_and_have_one_twice() {
        let minutes = |from: &str, hours: i64| -> Vec<u16> {
            let from_ms = model::time::parse_rfc3339(from).unwrap();
            let mut counts = vec![0; CELLS];
            for minute in 0..hours * 60 {
                counts[cell("America/Chicago", from_ms + minute * 60_000)] += 1;
            }
            counts
        };
        // Both are Sundays: cells from 24 on, and from midnight to midnight on the clock.
        let mut spring = [vec![0; 24], vec![60; 24]].concat();
        spring[24 + 2] = 0;
        assert_eq!(minutes("2026-03-08T06:00:00Z", 23), spring);
        let mut autumn = [vec![0; 24], vec![60; 24]].concat();
        autumn[24 + 1] = 120;
        assert_eq!(minutes("2026-11-01T05:00:00Z", 25), autumn);
    }

    #[test]
    fn a_weekend_begins_and_ends_at_midnight_on_the_clock() {
        let at = |zone: &str, text: &str| cell(zone, model::time::parse_rfc3339(text).unwrap());
        // Sunday evening in Chicago is Monday in UTC; in Kathmandu Monday begins at 18:15 UTC on Sunday.
        assert_eq!(at("America/Chicago", "2026-03-09T04:59:00Z"), 24 + 23);
        assert_eq!(at("America/Chicago", "2026-03-09T05:00:00Z"), 0);
        assert_eq!(at("Asia/Kathmandu", "2026-03-08T18:14:00Z"), 24 + 23);
        assert_eq!(at("Asia/Kathmandu", "2026-03-08T18:15:00Z"), 0);
        assert_eq!(at("UTC", "2026-03-08T23:59:00Z"), 24 + 23);
    }
}
