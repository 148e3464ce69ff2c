//! How much more than usual has to speak for an incident of a pattern that people have called a false positive.
//!
//! A pattern is an incident's kind and its first metric. Each false positive raises the bar by half, to four times the usual
//! at most, so that nothing is silenced for good; a fault of the same pattern takes it back. A critical rule asks no bar.

use model::Finding;
use serde::{Deserialize, Serialize};

/// By how much each false positive raises the bar.
const STEP: f64 = 1.5;
/// The highest bar, in multiples of the usual one.
const MOST: f64 = 4.0;

/// A pattern with a raised bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bar {
    kind: String,
    metric: String,
    factor: f64,
    /// Start of the incident that raised it last: said twice of one incident is said once.
    raised_by_ms: i64,
}

/// The raised bars of a device; at most one a kind and metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Bars(Vec<Bar>);

impl Bars {
    fn position(&self, kind: &str, metric: &str) -> Option<usize> {
        self.0.iter().position(|bar| (bar.kind.as_str(), bar.metric.as_str()) == (kind, metric))
    }

    /// The bar of a pattern in multiples of the usual one: 1 where nobody complained.
    pub(super) fn factor(&self, kind: &str, metric: &str) -> f64 {
        self.position(kind, metric).map_or(1.0, |at| self.0[at].factor)
    }

    /// The incident of this pattern that began at `start_ms` was none.
    pub(super) fn raise(&mut self, kind: &str, metric: &str, start_ms: i64) {
        match self.position(kind, metric) {
            Some(at) if self.0[at].raised_by_ms == start_ms => {}
            Some(at) => {
                let bar = &mut self.0[at];
                (bar.factor, bar.raised_by_ms) = ((bar.factor * STEP).min(MOST), start_ms);
            }
            None => self.0.push(Bar {
                kind: kind.to_owned(),
                metric: metric.to_owned(),
                factor: STEP,
                raised_by_ms: start_ms,
            }),
        }
    }

    /// The pattern is a fault after all.
    pub(super) fn lower(&mut self, kind: &str, metric: &str) {
        self.0.retain(|bar| (bar.kind.as_str(), bar.metric.as_str()) != (kind, metric));
    }
}

/// So many windows, raised by a factor.
pub(crate) fn raised(windows: u32, factor: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "factors are from 1 to 4; `as` saturates"
    )]
    let raised = (f64::from(windows) * factor).ceil() as u32;
    raised
}

/// Why an incident that would have opened does not.
pub(super) fn held_back(metric: &str, seen: f64, factor: f64, what: &str) -> Finding {
    Finding {
        kind: "raised_bar".to_owned(),
        metric: (!metric.is_empty()).then(|| metric.to_owned()),
        observed: seen,
        expected: None,
        score: seen,
        limit: factor,
        unit: String::new(),
        text: format!(
            "no incident yet: the bar is {factor:.2} times the usual after a false positive of this pattern, and {what} so far"
        ),
        parts: Default::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_false_positive_raises_the_bar_up_to_a_bound_and_a_fault_takes_it_back() {
        let mut bars = Bars::default();
        let mut seen = vec![bars.factor("anomaly", "fan_speed")];
        for start_ms in [0, 0, 60_000, 120_000, 180_000, 240_000] {
            bars.raise("anomaly", "fan_speed", start_ms);
            seen.push(bars.factor("anomaly", "fan_speed"));
        }
        assert_eq!(seen, [1.0, 1.5, 1.5, 2.25, 3.375, 4.0, 4.0]);
        assert_eq!(bars.factor("anomaly", "fan_current"), 1.0);
        assert_eq!((raised(3, 1.5), raised(30, 1.0), raised(u32::MAX, 4.0)), (5, 30, u32::MAX));
        bars.lower("anomaly", "fan_speed");
        assert_eq!(bars, Bars::default());
    }
}
