//! What was said of a simulated fleet against what broke in it.

use std::collections::BTreeMap;

use model::recording::Label;

use crate::commands::incidents::{RECOVERY_MS, is_about};

const MONTH_MS: f64 = 30.0 * 86_400_000.0;

/// An incident as any detector tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Of which device.
    pub device_id: String,
    /// `anomaly`, `stuck:...`, or a detector's own word.
    pub kind: String,
    /// `info`, `warning`, `critical`.
    pub severity: String,
    /// Its first moment.
    pub start_ms: i64,
    /// Its last one.
    pub end_ms: i64,
    /// When it was told.
    pub detected_ms: i64,
    /// The metrics that it names, strongest first.
    pub metrics: Vec<String>,
}

/// A fault and what was said of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The device's type.
    pub device_type: &'static str,
    /// The fault.
    pub fault: String,
    /// `mild`, `moderate`, `severe`.
    pub severity: String,
    /// It showed in the device's values.
    pub visible: bool,
    /// Minutes from its beginning to the first incident about it.
    pub minutes: Option<f64>,
    /// One of its incidents is a warning or worse.
    pub warned: bool,
    /// The metric that its first incident names first is one that the fault moves.
    pub first_right: bool,
    /// One of the first three is.
    pub third_right: bool,
}

/// What came of one seed or of several.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Every fault.
    pub outcomes: Vec<Outcome>,
    /// Incidents that no fault explains, with their device's type.
    pub false_claims: Vec<(&'static str, Claim)>,
    /// Device time without a fault, in months of thirty days, by type.
    pub months: BTreeMap<&'static str, f64>,
}

impl Score {
    /// Scores claims. `types` by device id; `visible` beside the labels; every device was watched for `duration_ms`.
    pub fn of(
        claims: &[Claim],
        labels: &[Label],
        visible: &[bool],
        types: &BTreeMap<String, &'static str>,
        duration_ms: i64,
    ) -> Score {
        let mut score = Score::default();
        let mut by_device: BTreeMap<&str, Vec<&Claim>> = BTreeMap::new();
        for claim in claims {
            by_device.entry(&claim.device_id).or_default().push(claim);
        }
        let about = |label: &Label, claim: &Claim| {
            is_about(label, &claim.device_id, (claim.start_ms, claim.end_ms), claim.detected_ms)
        };
        for (label, visible) in labels.iter().zip(visible) {
            let of_device = by_device.get(label.device_id.as_str()).map_or(&[][..], Vec::as_slice);
            let mut found: Vec<&Claim> = of_device.iter().copied().filter(|claim| about(label, claim)).collect();
            found.sort_by(|a, b| (a.detected_ms, &a.kind).cmp(&(b.detected_ms, &b.kind)));
            let names = |most: usize| {
                // A device that says nothing names no metric, and a fault that moves all is named by any.
                let first = found.first();
                first.is_some_and(|claim| {
                    matches!(claim.kind.as_str(), "silent" | "gaps")
                        || claim.metrics.iter().take(most).any(|name| label.metrics.contains(name))
                })
            };
            score.outcomes.push(Outcome {
                device_type: types[&label.device_id],
                fault: label.fault.clone(),
                severity: label.severity.clone(),
                visible: *visible,
                #[expect(clippy::cast_precision_loss, reason = "milliseconds of weeks are exact")]
                minutes: found.first().map(|claim| (claim.detected_ms - label.start_ms).max(0) as f64 / 60_000.0),
                warned: found.iter().any(|claim| claim.severity != "info"),
                first_right: names(1),
                third_right: names(3),
            });
        }
        for (device_id, device_type) in types {
            let of_device: Vec<&Label> = labels.iter().filter(|label| label.device_id == *device_id).collect();
            let faulty_ms: i64 = of_device.iter().map(|label| label.end_ms + RECOVERY_MS - label.start_ms).sum();
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of weeks are exact")]
            let months = (duration_ms - faulty_ms) as f64 / MONTH_MS;
            *score.months.entry(device_type).or_default() += months;
            let claims = by_device.get(device_id.as_str()).map_or(&[][..], Vec::as_slice);
            let unexplained = claims.iter().filter(|claim| !of_device.iter().any(|label| about(label, claim)));
            score.false_claims.extend(unexplained.map(|claim| (*device_type, (*claim).clone())));
        }
        score
    }

    /// Both together.
    #[must_use]
    pub fn join(mut self, other: Score) -> Score {
        self.outcomes.extend(other.outcomes);
        self.false_claims.extend(other.false_claims);
        for (device_type, months) in other.months {
            *self.months.entry(device_type).or_default() += months;
        }
        self
    }

    /// Figures of the faults that `of` picks.
    pub fn figures(&self, of: impl Fn(&Outcome) -> bool) -> Figures {
        let picked: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| of(outcome)).collect();
        let visible: Vec<&&Outcome> = picked.iter().filter(|outcome| outcome.visible).collect();
        let found: Vec<&&&Outcome> = visible.iter().filter(|outcome| outcome.minutes.is_some()).collect();
        let mut minutes: Vec<f64> = found.iter().filter_map(|outcome| outcome.minutes).collect();
        minutes.sort_by(f64::total_cmp);
        let count = |of: &dyn Fn(&Outcome) -> bool| found.iter().filter(|outcome| of(outcome)).count();
        Figures {
            faults: picked.len(),
            visible: visible.len(),
            found: found.len(),
            warned: count(&|outcome| outcome.warned),
            first_right: count(&|outcome| outcome.first_right),
            third_right: count(&|outcome| outcome.third_right),
            minutes: [0.5, 0.9].map(|share| quantile(&minutes, share)),
        }
    }

    /// Incidents without a fault, a device and month: all, and those that are a warning or worse.
    pub fn false_a_month(&self) -> [f64; 2] {
        let months: f64 = self.months.values().sum();
        let count = |least: fn(&Claim) -> bool| self.false_claims.iter().filter(|(_, claim)| least(claim)).count();
        [count(|_| true), count(|claim| claim.severity != "info")].map(|count| count as f64 / months.max(1e-9))
    }
}

/// Faults in numbers. What is found, warned of and named is counted among the visible ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// All.
    pub faults: usize,
    /// Those that showed.
    pub visible: usize,
    /// Those with an incident.
    pub found: usize,
    /// Those with a warning or worse.
    pub warned: usize,
    /// Those whose first incident names a metric of the fault first.
    pub first_right: usize,
    /// The same among its first three.
    pub third_right: usize,
    /// Median and nine tenths of the minutes to the first incident.
    pub minutes: [Option<f64>; 2],
}

/// The smallest value that at least this share of all does not exceed.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.max(1) - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(start_min: i64) -> Label {
        Label {
            device_id: "A".to_owned(),
            fault: "fan_failure".to_owned(),
            severity: "severe".to_owned(),
            start_ms: start_min * 60_000,
            end_ms: (start_min + 60) * 60_000,
            metrics: vec!["fan_speed".to_owned()],
        }
    }

    fn claim(start_min: i64, end_min: i64, metric: &str) -> Claim {
        Claim {
            device_id: "A".to_owned(),
            kind: "anomaly".to_owned(),
            severity: "warning".to_owned(),
            start_ms: start_min * 60_000,
            end_ms: end_min * 60_000,
            detected_ms: (start_min + 3) * 60_000,
            metrics: vec!["power".to_owned(), metric.to_owned()],
        }
    }

    #[test]
    fn an_incident_is_about_a_fault_or_false() {
        let types = BTreeMap::from([("A".to_owned(), "rooftop_unit"), ("B".to_owned(), "rooftop_unit")]);
        let labels = [label(1_000), label(2_000), label(3_000)];
        let claims = [claim(500, 520, "x"), claim(1_010, 1_080, "fan_speed"), claim(2_061, 2_070, "x")];
        let month_ms = 30 * 86_400_000;
        let score = Score::of(&claims, &labels, &[true, true, false], &types, month_ms);
        let figures = score.figures(|_| true);
        assert_eq!((figures.faults, figures.visible, figures.found, figures.warned), (3, 2, 2, 2));
        assert_eq!((figures.first_right, figures.third_right), (0, 1));
        assert_eq!(figures.minutes, [Some(13.0), Some(64.0)]);
        assert_eq!(score.false_claims.len(), 1);
        let months: f64 = score.months.values().sum();
        assert!((months - (2.0 - 6.0 / 720.0)).abs() < 1e-9, "{months}");
        assert_eq!(score.clone().join(score).false_claims.len(), 2);
    }
}
