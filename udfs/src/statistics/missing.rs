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
}

/// Absences of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Missing {
    absences: Vec<Absence>,
    /// Of the device.
    gaps: Loss,
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
    /// It comes now and then: what is lost of it.
    pub lost: Option<LostShare>,
}

/// A share of readings that did not come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LostShare {
    /// Of about the last half hour, 0 to 1.
    pub share: f64,
    /// The limit of it.
    pub limit: f64,
    /// Since when.
    pub since_ms: i64,
}

impl From<Lost> for LostShare {
    fn from(Lost { share, limit, since_ms }: Lost) -> Self {
        LostShare { share, limit, since_ms }
    }
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
                        let Absence { length, since_ms, last, .. } = *absence;
                        found.push(MissingMetric { slot, length, limit, since_ms, last, lost: None });
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
    ) -> Option<LostShare> {
        let counts = |slot: usize, absence: &Absence| usual[slot].kind != MetricKind::Derived && absence.seen > 0;
        let mut lacking = vec![f64::NAN; metrics.len()];
        let mut all = Vec::with_capacity(metrics.len());
        for (slot, (absence, metric)) in self.absences.iter_mut().zip(metrics).enumerate() {
            if counts(slot, absence) {
                lacking[slot] = metric.map_or(1.0, |metric| absence.usual_count.lacking(metric.count));
                all.push(lacking[slot]);
            }
        }
        all.sort_by(f64::total_cmp);
        let of_device = all.get(all.len() / 2).copied().unwrap_or(0.0);
        for window in (1..=missed).rev() {
            self.gaps.see(1.0, start_ms - window * width_ms);
        }
        self.gaps.see(of_device, start_ms);
        for (slot, (absence, lacking)) in self.absences.iter_mut().zip(lacking).enumerate() {
            if lacking.is_nan() {
                continue;
            }
            let is_told = found.iter().any(|missing| missing.slot == slot);
            absence.loss.see((lacking - of_device).max(0.0), start_ms);
            if let Some(lost) = absence.loss.judge(warm).filter(|_| !is_told) {
                let Absence { length, since_ms, last, .. } = *absence;
                found.push(MissingMetric { slot, length, limit: 0, since_ms, last, lost: Some(lost.into()) });
            }
        }
        self.gaps.judge(warm).map(LostShare::from)
    }
}
