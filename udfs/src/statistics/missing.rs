//! A missing metric: absent for far longer than it ever was, while the device goes on reporting.

use model::{Aggregate, MetricKind};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Absence {
    /// States in a row without it.
    length: u32,
    /// Longest absence that ended by itself before it was called missing.
    longest: u32,
    seen: u32,
    since_ms: i64,
    last: f64,
}

/// Absences of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    absences: Vec<Absence>,
}

/// One missing metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MissingMetric {
    /// Slot.
    pub slot: usize,
    /// States in a row without it.
    pub length: u32,
    /// The limit that was exceeded.
    pub limit: u32,
    /// Start of the first window without it.
    pub since_ms: i64,
    /// Its last value.
    pub last: f64,
}

impl Missing {
    /// Takes a state in and pushes the metrics that are missing. A metric must have been there for `established` states.
    pub fn judge(
        &mut self,
        start_ms: i64,
        metrics: &[Option<Aggregate>],
        usual: &[Usual],
        after: u32,
        established: u32,
        found: &mut Vec<MissingMetric>,
    ) {
        self.absences.resize(metrics.len(), Absence::default());
        for (slot, (absence, metric)) in self.absences.iter_mut().zip(metrics).enumerate() {
            // What follows from others is absent with them, or because it says nothing just now.
            if usual[slot].kind == MetricKind::Derived {
                continue;
            }
            let limit = after.max(absence.longest.saturating_mul(3));
            match metric {
                Some(metric) => {
                    if absence.seen > 0 && absence.length <= limit {
                        absence.longest = absence.longest.max(absence.length);
                    }
                    absence.seen = absence.seen.saturating_add(1);
                    absence.length = 0;
                    absence.last = metric.mean;
                }
                None if absence.seen > 0 => {
                    if absence.length == 0 {
                        absence.since_ms = start_ms;
                    }
                    absence.length = absence.length.saturating_add(1);
                    if absence.length >= limit && absence.seen >= established {
                        let Absence { length, since_ms, last, .. } = *absence;
                        found.push(MissingMetric { slot, length, limit, since_ms, last });
                    }
                }
                None => {}
            }
        }
    }
}
