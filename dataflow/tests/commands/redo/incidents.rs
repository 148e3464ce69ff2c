//! What an incident says, from the states it rests on.

use std::collections::BTreeMap;

use model::{Catalogue, Contribution, Method, MetricKind};

use super::findings::same;
use super::rows::State;

/// A metric as the states accuse it.
#[derive(Default)]
struct Accused {
    /// The strongest accusation in multiples of its limit.
    ratio: f64,
    /// What a model saw and expected, by state.
    explained: Vec<(f64, f64)>,
}

/// Share, furthest value and what was expected of each contribution. `states`: those from its start to its end.
pub fn check(contributions: &[Contribution], states: &[&State]) -> Result<(), String> {
    let mut accused: BTreeMap<&str, Accused> = BTreeMap::new();
    for verdict in states.iter().flat_map(|state| &state.verdicts) {
        if !dataflow::commands::explain::votes(verdict) {
            continue;
        }
        // What is added to a state after its incident was looked at accuses nobody.
        let findings = verdict.findings.iter().filter(|f| !matches!(f.kind.as_str(), "raised_bar" | "maintenance"));
        for finding in findings {
            let Some(metric) = &finding.metric else { continue };
            let accused = accused.entry(metric).or_default();
            let ratio = match verdict.method {
                Method::Rules => 3.0,
                _ if finding.limit > 0.0 => (finding.score / finding.limit).min(1e6),
                _ => 1.0,
            };
            accused.ratio = accused.ratio.max(ratio);
            if verdict.method != Method::Rules {
                accused.explained.extend(finding.expected.map(|expected| (finding.observed, expected)));
            }
        }
    }
    let total: f64 = accused.values().map(|accused| accused.ratio * accused.ratio).sum();
    for part in contributions {
        let Some(by) = accused.get(part.metric.as_str()) else { return Err(format!("nobody accuses {part:?}")) };
        let share = by.ratio * by.ratio / total;
        if (share - part.share).abs() > 1e-9 {
            return Err(format!("share {share} of {part:?}"));
        }
        let device_type = Catalogue::builtin().types.get(&states[0].device_type);
        let spec = device_type.and_then(|known| known.metrics.get(&part.metric));
        // Of what is counted the increase is shown, which no row has.
        if spec.is_none_or(|spec| spec.kind != MetricKind::Counter) {
            let values = || states.iter().filter_map(|state| state.values.get(&part.metric)).copied();
            let (lo, hi) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            // Windows in which a metric was its whole type's doing are not held, though the incident may reach back over them.
            let is_held = !states
                .iter()
                .flat_map(|state| &state.verdicts)
                .flat_map(|v| &v.findings)
                .any(|f| f.kind == "whole_type");
            let is_within = !is_held && (lo..=hi).contains(&part.observed);
            if !same(part.observed, lo) && !same(part.observed, hi) && !is_within {
                return Err(format!("seen was {lo} to {hi}: {part:?}"));
            }
        }
        let Some(expected) = part.expected else {
            continue;
        };
        // That of the furthest accused value since the metric went in its direction, which no row tells.
        let is_there = |(_, said): &(f64, f64)| same(*said, expected);
        if !by.explained.iter().any(is_there) {
            return Err(format!("expected nowhere: {part:?}"));
        }
    }
    Ok(())
}
