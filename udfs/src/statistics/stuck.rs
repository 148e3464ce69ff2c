//! A stuck value: the very same reading for far longer than this metric ever had, while its siblings move.

use model::{Aggregate, MetricKind};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;

/// Run length of one metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Run {
    last: f64,
    since_ms: i64,
    length: u32,
    longest: u32,
    stuck: bool,
}

/// Run lengths of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Stuck {
    runs: Vec<Run>,
}

/// One stuck metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StuckMetric {
    /// Slot.
    pub slot: usize,
    /// The value.
    pub value: f64,
    /// States in a row.
    pub length: u32,
    /// The limit that was exceeded.
    pub limit: u32,
    /// Its longest run before.
    pub longest: u32,
    /// Start of the first window with the value.
    pub since_ms: i64,
}

impl Stuck {
    /// Takes a state in and pushes the metrics that are stuck.
    pub fn judge(
        &mut self,
        start_ms: i64,
        metrics: &[Option<Aggregate>],
        usual: &[Usual],
        after: u32,
        warm: bool,
        found: &mut Vec<StuckMetric>,
    ) {
        self.runs.resize(metrics.len(), Run::default());
        let (mut moving, mut still) = (0u32, 0u32);
        for (slot, (run, metric)) in self.runs.iter_mut().zip(metrics).enumerate() {
            let Some(metric) = metric else { continue };
            if !matches!(usual[slot].kind, MetricKind::Gauge | MetricKind::Ambient) {
                continue;
            }
            if run.length > 0 && metric.mean == run.last && metric.min == metric.max {
                run.length = run.length.saturating_add(1);
            } else {
                // A run that was called stuck says little of what is usual, but the next one as long is no news: a valve
                // that rests every night was seen to be one incident each night on a public air handler's data.
                let usual = if run.stuck { run.length.div_ceil(10) } else { run.length };
                run.longest = run.longest.max(usual);
                *run = Run { last: metric.mean, since_ms: start_ms, length: 1, longest: run.longest, stuck: false };
            }
            if run.length == 1 {
                moving += 1;
            } else {
                still += 1;
            }
        }
        for (slot, (run, metric)) in self.runs.iter_mut().zip(metrics).enumerate() {
            if metric.is_none() || run.length <= after {
                continue;
            }
            let limit = after.max(run.longest.saturating_mul(10));
            // Siblings that stand still as well mean that the equipment is off, not that a sensor is stuck.
            let starts = warm && run.longest > 0 && run.length > limit && moving >= still.max(2);
            // At the end of its range a reading is saturated, which looks the same and is usual for some.
            run.stuck |= starts && !usual[slot].is_end(run.last);
            if run.stuck {
                let Run { last: value, length, longest, since_ms, .. } = *run;
                found.push(StuckMetric { slot, value, length, limit, longest, since_ms });
            }
        }
    }

    /// Whether the metric has stood still for a while, so that it must not teach the models.
    pub fn is_stuck(&self, slot: usize) -> bool {
        self.runs.get(slot).is_some_and(|run| run.stuck)
    }
}
