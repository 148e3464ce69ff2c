//! Peers: how far a metric is from the median of the device's type, against how far it usually is.
//!
//! Devices differ for ever, so the distance itself is no fault: each device learns its usual distance to the median of each
//! metric from normal states, and how far a short average strays from that. What is compared is the median of a window before:
//! the present one is not known while its states are being judged. Unit of all: the metric's.
//!
//! Measured on simulated fleets with weather and people (110 devices, three days, three seeds): taking back what a whole type
//! shows leaves 40 of 71 incidents on healthy ones, and finds the same 32 of 125 faults with 10 false incidents instead of 21.
//! Letting a distance speak for itself at 5 decades finds 34 of 125, and brings 5 more incidents on the healthy ones: it is off.

use model::{Compared, Finding, MetricKind, Verdict};
use serde::{Deserialize, Serialize};

use crate::tail::Tail;
use crate::{PeersConfig, Sample, grade, parts};

/// Normal states that the usual distance remembers.
const MEMORY: u32 = 2_880;
/// Normal states before a distance is usual.
const LEARNED: u32 = 20;
/// Metrics of a state that are compared at most.
const MOST_COMPARED: usize = 8;

/// One metric's distance to its peers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Distance {
    /// Usual distance, value minus median.
    usual: f64,
    learned: u32,
    /// Short average of how far the distance is from the usual one.
    apart: f64,
    /// The distance in the state that is judged; not a number where there is none.
    #[serde(skip)]
    now: f64,
    tail: Tail,
    scored: u32,
}

/// The distances of one device, by slot; none where it never had peers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    slots: Vec<Distance>,
}

impl Distances {
    /// Compares a state; what is further away than ever becomes a finding.
    pub(crate) fn judge(&mut self, sample: &Sample<'_>, verdict: &mut Verdict) {
        for distance in &mut self.slots {
            distance.now = f64::NAN;
        }
        let config = &sample.config.peers;
        let after = config.after_windows.max(LEARNED);
        for (slot, peers) in sample.state.peers.iter().enumerate() {
            let (Some(peers), value) = (peers, sample.values[slot]) else { continue };
            let kind = sample.baseline.slots[slot].kind;
            if value.is_nan() || !is_compared(kind) {
                continue;
            }
            self.slots
                .resize(sample.values.len().max(self.slots.len()), Distance { now: f64::NAN, ..Distance::default() });
            let distance = &mut self.slots[slot];
            distance.now = value - peers.median;
            if distance.learned < LEARNED {
                continue;
            }
            if sample.gap_windows > 0 {
                distance.apart = 0.0;
            }
            let before = distance.apart;
            distance.apart += config.lambda * (distance.now - distance.usual - distance.apart);
            let (apart, limit) = (distance.apart.abs(), distance.tail.score_at(decades(config)));
            let can_trigger = config.decades > 0.0 && distance.learned >= after;
            if kind != MetricKind::Gauge || !can_trigger || !sample.judging {
                continue;
            }
            verdict.score = verdict.score.max(grade(apart / limit));
            if apart <= limit {
                continue;
            }
            let (name, unit) = (&sample.state.names[slot], sample.unit(slot));
            let expected = peers.median + distance.usual;
            verdict.severity = Some(model::Severity::Info);
            verdict.findings.push(Finding {
                kind: "peers".to_owned(),
                metric: Some(name.clone()),
                observed: value,
                expected: Some(expected),
                score: apart,
                limit,
                unit: unit.to_owned(),
                text: format!(
                    "{name} is {value:.2} {unit} where {} devices of its type have {:.2}, {:.2} to {:.2} in the middle half, and it usually {:+.2} of that",
                    peers.devices, peers.median, peers.lower, peers.upper, distance.usual
                ),
                parts: parts([
                    ("median", peers.median),
                    ("usual", distance.usual),
                    ("before", before),
                    ("step", config.lambda),
                ]),
            });
        }
    }

    /// Learns the state that was just judged.
    pub(crate) fn learn(&mut self, sample: &Sample<'_>, normal: bool) {
        let decades = decades(&sample.config.peers);
        for distance in self.slots.iter_mut().filter(|distance| !distance.now.is_nan()) {
            if distance.learned >= LEARNED && !sample.incident_open {
                distance.tail.learn_limited(distance.apart.abs(), decades, distance.scored);
                distance.scored = distance.scored.saturating_add(1);
            }
            if normal {
                distance.learned = distance.learned.saturating_add(1);
                distance.usual += (distance.now - distance.usual) / f64::from(distance.learned.min(MEMORY));
            }
        }
    }

    /// How the metrics that a state's findings are about stand to the device's peers.
    pub(crate) fn compare(&self, sample: &Sample<'_>, verdicts: &[Verdict]) -> Vec<Compared> {
        let mut compared: Vec<Compared> = Vec::new();
        let findings =
            verdicts.iter().filter(|verdict| verdict.severity.is_some()).flat_map(|verdict| &verdict.findings);
        for name in findings.filter_map(|finding| finding.metric.as_ref()) {
            if compared.len() == MOST_COMPARED || compared.iter().any(|known| known.metric == *name) {
                continue;
            }
            let Some(slot) = sample.state.names.iter().position(|known| known == name) else { continue };
            let peers = sample.state.peers.get(slot).copied().flatten();
            let (Some(peers), Some(seen)) = (peers, sample.state.metrics[slot]) else { continue };
            if !is_compared(sample.baseline.slots[slot].kind) {
                continue;
            }
            let distance = self.slots.get(slot).filter(|distance| distance.learned >= LEARNED);
            let limit = distance.map(|distance| distance.tail.score_at(decades(&sample.config.peers)));
            compared.push(Compared {
                metric: name.clone(),
                unit: sample.unit(slot).to_owned(),
                observed: seen.mean,
                peers_ms: sample.state.peers_ms,
                peers,
                usual: distance.map(|distance| distance.usual),
                apart: distance.map_or(0.0, |distance| distance.apart),
                limit: limit.filter(|limit| limit.is_finite()),
            });
        }
        compared
    }
}

/// Takes back what the whole type shows: where a metric is away from what was expected as its peers' median is, the weather or
/// the time of day is at work. A method that has nothing else to say has no vote. What was taken back, if anything.
pub(crate) fn take_back(
    distances: &Distances,
    sample: &Sample<'_>,
    verdicts: &mut [Verdict],
    votes: &mut [bool; 4],
) -> Option<Finding> {
    let share = sample.config.peers.shared;
    if share <= 0.0 || distances.slots.is_empty() {
        return None;
    }
    let is_shared = |finding: &Finding| {
        let slot = finding.metric.as_ref().and_then(|name| sample.state.names.iter().position(|known| known == name));
        let distance = slot.and_then(|slot| distances.slots.get(slot)).filter(|distance| distance.learned >= LEARNED);
        let (Some(distance), Some(expected)) = (distance, finding.expected) else { return false };
        // Not a number where there are no peers: then nothing is shared.
        finding.kind != "peers" && (distance.now - distance.usual).abs() <= share * (finding.observed - expected).abs()
    };
    let mut taken: Option<Finding> = None;
    // The rules are about what must not be, whoever does it.
    for (verdict, vote) in verdicts.iter_mut().zip(votes).skip(1) {
        if !*vote {
            continue;
        }
        let before = verdict.findings.len();
        let first = verdict.findings.iter().find(|finding| is_shared(finding)).cloned();
        verdict.findings.retain(|finding| !is_shared(finding));
        let accuses = |finding: &Finding| finding.metric.is_some() && !finding.has_own_incident();
        if verdict.findings.len() < before && !verdict.findings.iter().any(accuses) {
            *vote = false;
            let condition = verdict.findings.iter().any(Finding::has_own_incident);
            verdict.findings.retain(|finding| finding.metric.is_some() || finding.has_own_incident());
            verdict.severity = verdict.severity.filter(|_| condition);
        }
        taken = taken.or(first);
    }
    taken.map(|finding| {
        let metric = finding.metric.clone().unwrap_or_default();
        let text = format!("{metric} is away as it is on all devices of the type: {}", finding.text);
        Finding { kind: "whole_type".to_owned(), text, ..finding }
    })
}

/// Decades of rarity of the limit: one is shown, too, where it never triggers.
fn decades(config: &PeersConfig) -> f64 {
    if config.decades > 0.0 { config.decades } else { PeersConfig::default().decades }
}

/// Measurements are compared; what is switched, asked for or counted is each device's own matter.
fn is_compared(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::Gauge | MetricKind::Ambient)
}
