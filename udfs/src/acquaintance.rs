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

/// The hour of the day, and 24 more on Saturday and Sunday (UTC).
pub(crate) fn hour_cell(time_ms: i64) -> usize {
    // 1970-01-01 was a Thursday.
    let weekday = (time_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
    hour_of(time_ms) + if weekday >= 5 { 24 } else { 0 }
}

/// The hour of the day (UTC).
pub(crate) fn hour_of(time_ms: i64) -> usize {
    usize::try_from(time_ms.rem_euclid(DAY_MS) / HOUR_MS).unwrap_or(0)
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
    /// Multiple of the usual limits that a state has to reach.
    pub(crate) fn caution(&self, config: &MonitorConfig, start_ms: i64, values: &[f64], usual: &[Usual]) -> f64 {
        let unknown = if self.knows(start_ms, values, usual) { 1.0 } else { config.unknown_factor.max(1.0) };
        config.limit_factor() * unknown
    }

    /// Whether hour and weather of a state are known.
    fn knows(&self, start_ms: i64, values: &[f64], usual: &[Usual]) -> bool {
        let weather = self.weather.iter().zip(usual).zip(values).all(|((reach, usual), value)| {
            let give = 0.02 * (reach.hi - reach.lo);
            usual.kind != MetricKind::Ambient || value.is_nan() || (reach.lo - give..=reach.hi + give).contains(value)
        });
        self.hours[hour_cell(start_ms)] >= KNOWN && weather
    }

    /// Takes a normal state in.
    pub(crate) fn learn(&mut self, start_ms: i64, values: &[f64], usual: &[Usual]) {
        let hour = &mut self.hours[hour_cell(start_ms)];
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
}
