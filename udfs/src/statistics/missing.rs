//! A missing metric: absent for far longer than it ever was, or for a large part of the last half hour, while the device goes on
//! reporting. And a device that goes on with gaps.

use model::{Aggregate, MetricKind};
use serde::{Deserialize, Serialize};

use super::loss::{Loss, Lost, UsualCount};
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
    usual_count: UsualCount,
    loss: Loss,
    /// What the last state lacked of it; not a number where nothing can be said.
    #[serde(skip)]
    lacking: f64,
}

/// Absences of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    absences: Vec<Absence>,
    /// Of the device.
    gaps: Loss,
    #[serde(skip)]
    lacking: Vec<f64>,
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
    /// Its longest absence before.
    pub longest: u32,
    /// Start of the first window without it.
    pub since_ms: i64,
    /// Its last value.
    pub last: f64,
    /// It comes now and then: what is lost of it.
    pub lost: Option<Lost>,
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
                    if absence.length >= limit {
                        // It was missing and is back: that is no coming and going.
                        absence.loss.forget();
                    }
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
                        let Absence { length, longest, since_ms, last, .. } = *absence;
                        found.push(MissingMetric { slot, length, limit, longest, since_ms, last, lost: None });
                    }
                }
                None => {}
            }
        }
    }

    /// Takes in how many readings came, behind `missed` windows without a state: pushes metrics that come now and then, and gives the
    /// device's own loss.
    pub fn judge_loss(
        &mut self,
        (start_ms, width_ms): (i64, i64),
        missed: i64,
        metrics: &[Option<Aggregate>],
        usual: &[Usual],
        warm: bool,
        found: &mut Vec<MissingMetric>,
    ) -> Option<Lost> {
        let counts = |slot: usize, absence: &Absence| usual[slot].kind != MetricKind::Derived && absence.seen > 0;
        self.lacking.clear();
        for (slot, (absence, metric)) in self.absences.iter_mut().zip(metrics).enumerate() {
            absence.lacking = f64::NAN;
            if counts(slot, absence) {
                absence.lacking = metric.map_or(1.0, |metric| absence.usual_count.lacking(metric.count));
                self.lacking.push(absence.lacking);
            }
        }
        let middle = self.lacking.len() / 2;
        let of_device = match self.lacking.is_empty() {
            true => 0.0,
            false => *self.lacking.select_nth_unstable_by(middle, f64::total_cmp).1,
        };
        for window in (1..=missed).rev() {
            self.gaps.see(1.0, start_ms - window * width_ms);
        }
        self.gaps.see(of_device, start_ms);
        for (slot, absence) in self.absences.iter_mut().enumerate().filter(|(_, absence)| !absence.lacking.is_nan()) {
            let is_told = found.iter().any(|missing| missing.slot == slot);
            absence.loss.see((absence.lacking - of_device).max(0.0), start_ms);
            if let Some(lost) = absence.loss.judge(warm).filter(|_| !is_told) {
                let Absence { length, longest, since_ms, last, .. } = *absence;
                found.push(MissingMetric { slot, length, limit: 0, longest, since_ms, last, lost: Some(lost) });
            }
        }
        self.gaps.judge(warm)
    }
}
