//! An erratic value: it leaps and comes straight back, time and again. A loose wire or a bad line; equipment does not do that.
//!
//! A leap is the distance of a window's extremes from the middle between the windows before and after, so it is told one window later.
//! How large is rare comes from the metric's own leaps; a moving average counts the rare ones.

use model::{Aggregate, MetricKind};
use serde::{Deserialize, Serialize};

use crate::Tail;
use crate::baseline::Usual;

/// Decades of rarity from which a leap counts: once in a million states.
const RARE: f64 = 6.0;
/// A leap teaches no more than one so rare, or a few that are a fault would soon be usual. An exponential tail keeps 0.98 of its width.
const CAP: f64 = 3.5;
/// Step of the share of states that leap.
const STEP: f64 = 1.0 / 60.0;
/// Share from which the metric is erratic: three leaps within twenty minutes, four within an hour.
const LEAST: f64 = 0.04;
/// The limit is at least so many times the usual share.
const USUAL_FACTOR: f64 = 4.0;
const SLOW: f64 = 0.002;
/// States from which a metric's leaps are known well enough.
const ESTABLISHED: u32 = 480;
/// It is over below this part of its limit, or so many states after the last leap.
const CLOSE: f64 = 0.5;
const OVER: u32 = 30;

/// The leaps of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Leaps {
    /// Mean of the window before the last one.
    before: Option<f64>,
    /// The last one.
    last: Option<Aggregate>,
    tail: Tail,
    rows: u32,
    share: f64,
    usual: f64,
    since_ms: i64,
    /// States since the last leap.
    calm: u32,
    worst: f64,
    middle: f64,
    is_told: bool,
}

/// The leaps of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Erratic {
    leaps: Vec<Leaps>,
}

/// One erratic metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErraticMetric {
    /// Slot.
    pub slot: usize,
    /// Where the last leap went.
    pub value: f64,
    /// Where it should have been.
    pub middle: f64,
    /// Share of the last hour's states that leap.
    pub share: f64,
    /// The limit of it.
    pub limit: f64,
    /// Start of the window of the first leap.
    pub since_ms: i64,
}

impl Erratic {
    /// Takes a state in and pushes the metrics that are erratic. `is_unbroken`: it follows the last one without a gap; `caution`: multiple of
    /// the rarity that a leap needs.
    pub fn judge(
        &mut self,
        (start_ms, width_ms): (i64, i64),
        metrics: &[Option<Aggregate>],
        usual: &[Usual],
        (warm, is_unbroken, caution): (bool, bool, f64),
        found: &mut Vec<ErraticMetric>,
    ) {
        self.leaps.resize(metrics.len(), Leaps::default());
        for (slot, (leaps, metric)) in self.leaps.iter_mut().zip(metrics).enumerate() {
            if !matches!(usual[slot].kind, MetricKind::Gauge | MetricKind::Ambient) {
                continue;
            }
            if !is_unbroken {
                (leaps.before, leaps.last) = (None, None);
            }
            leaps.see(*metric, start_ms - width_ms, RARE * caution);
            let limit = LEAST.max(USUAL_FACTOR * leaps.usual);
            leaps.is_told =
                warm && leaps.rows >= ESTABLISHED && leaps.share >= if leaps.is_told { CLOSE * limit } else { limit };
            if leaps.is_told {
                let Leaps { worst: value, middle, share, since_ms, .. } = *leaps;
                found.push(ErraticMetric { slot, value, middle, share, limit, since_ms });
            }
        }
    }
}

impl Leaps {
    /// The window behind the last one shows whether the last one, at `last_ms`, leapt.
    fn see(&mut self, metric: Option<Aggregate>, last_ms: i64, rare: f64) {
        let (before, last) = (self.before, self.last);
        (self.before, self.last) = (last.map(|last| last.mean), metric);
        let (Some(before), Some(last), Some(after)) = (before, last, metric) else { return };
        let middle = 0.5 * (before + after.mean);
        let (up, down) = (last.max - middle, middle - last.min);
        let leap = up.max(down);
        // A step that stays is none: both its sides are as far from the middle as it.
        let comes_back = leap > (after.mean - before).abs();
        let is_rare = comes_back && self.tail.rarity(leap) >= rare;
        self.calm = self.calm.saturating_add(1);
        if is_rare {
            if self.share < LEAST * CLOSE * CLOSE {
                self.since_ms = last_ms;
            }
            self.calm = 0;
            (self.worst, self.middle) = (if up >= down { last.max } else { last.min }, middle);
        }
        if self.calm == OVER && self.is_told {
            self.share = 0.0;
        }
        // What may be a fault teaches nothing; a single leap does, or the limit would sink for ever.
        if self.share < 0.5 * LEAST {
            self.tail.learn_limited(leap, CAP, self.rows);
        }
        self.rows = self.rows.saturating_add(1);
        let leapt = f64::from(u8::from(is_rare));
        self.share += STEP * (leapt - self.share);
        if !self.is_told {
            self.usual += (1.0 / f64::from(self.rows)).max(SLOW) * (leapt - self.usual);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;

    fn noise(row: u64) -> f64 {
        let mixed = model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    /// Rows in which a course is told to be erratic.
    fn told(value: impl Fn(u64) -> f64) -> Vec<u64> {
        let mut baseline = Baseline::default();
        baseline.push(None);
        let (mut erratic, mut rows) = (Erratic::default(), Vec::new());
        for row in 0..3_000 {
            let value = value(row);
            let metric = Aggregate { last: value, mean: value, min: value, max: value, count: 1 };
            let mut found = Vec::new();
            let start_ms = i64::try_from(row).unwrap() * 60_000;
            erratic.judge((start_ms, 60_000), &[Some(metric)], &baseline.slots, (row >= 360, true, 1.0), &mut found);
            rows.extend(found.first().map(|_| row));
        }
        rows
    }

    #[test]
    fn leaps_that_come_back_are_told_and_steps_are_not() {
        let leaping = told(|row| noise(row) + if row >= 2_000 && row % 8 == 0 { 6.0 } else { 0.0 });
        assert!(
            (2_010..2_040).contains(&leaping[0]) && leaping.contains(&2_900) && !leaping.contains(&1_999),
            "{:?}",
            leaping.first()
        );
        assert_eq!(told(noise), [0u64; 0]);
        assert_eq!(told(|row| noise(row) + if row >= 2_000 && row / 30 % 2 == 0 { 6.0 } else { 0.0 }), [0u64; 0]);
    }

    #[test]
    fn what_leaps_every_day_is_no_news() {
        assert_eq!(told(|row| noise(row) + if row % 10 == 0 { 6.0 } else { 0.0 }), [0u64; 0]);
    }
}
