//! The detectors: what is unusual about a device's state, and why.
//!
//! One [`Monitor`] a device takes its closed windows in order, has each judged by four independent methods, joins their
//! verdicts ([`consensus`]) and turns them into incidents with a start and an end ([`incidents`]). A state is judged first and
//! learned afterwards, and only if it was normal. All of it is arithmetic: no clock, no files, the same bits everywhere.

mod acquaintance;
mod baseline;
mod config;
pub mod consensus;
mod criticality;
mod derived;
mod fingerprint;
pub mod incidents;
mod monitor;
mod peers;
mod profile;
mod regime;
mod rules;
mod similar;
mod statistics;
mod tail;
pub mod text;
mod z_score;

use std::collections::BTreeMap;

use model::{Finding, MetricKind, Severity, StateView, Verdict};

use baseline::{Baseline, Scale};
pub use config::{ChangeConfig, MonitorConfig, PeersConfig, Regressors, RelationConfig, ResidualConfig, ViewsConfig};
pub use criticality::Criticality;
pub use derived::derive;
pub use monitor::Monitor;
pub use profile::{MetricStats, Profile};
pub use rules::{RuleError, check_catalogue, rule_inputs};
pub use statistics::{Rare, Rarity, View};
pub use tail::Tail;
pub use z_score::z_score;

/// One of the four methods, with its state for one device.
trait Detector {
    /// Judges a state. What it keeps of the state for `learn` is its own matter.
    fn judge(&mut self, sample: &Sample<'_>) -> Evidence;

    /// Learns the state that was just judged; `normal` is what all methods together made of it.
    fn learn(&mut self, _sample: &Sample<'_>, _normal: bool) {}

    /// New levels and spreads are in force; `fade` halves the weight of what is old.
    fn refit(&mut self, _config: &MonitorConfig, _baseline: &Baseline, _former: &Scale, _fade: bool) {}

    /// The warm-up is over.
    fn warmed_up(&mut self, _config: &MonitorConfig, _baseline: &Baseline) {}
}

/// The state of every method for one device.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
struct Detectors {
    rules: rules::Rules,
    statistics: statistics::Statistics,
    fingerprint: fingerprint::Fingerprint,
    similar: similar::Similar,
}

impl Detectors {
    /// The one list of detectors, in the order of [`model::Method::ALL`].
    fn all(&mut self) -> [&mut dyn Detector; 4] {
        [&mut self.rules, &mut self.statistics, &mut self.fingerprint, &mut self.similar]
    }
}

/// A state prepared for the detectors.
struct Sample<'a> {
    state: &'a StateView<'a>,
    config: &'a MonitorConfig,
    baseline: &'a Baseline,
    /// What is judged, by slot: the mean, or a counter's increase per window. Not a number where there is nothing.
    values: &'a [f64],
    /// Standardised metrics by slot.
    vector: &'a [f64],
    /// Sum of their squares.
    vector_square: f64,
    /// Square of the vector's constant component: the number of metrics.
    constant_square: f64,
    /// Levels and spreads are in force.
    vector_known: bool,
    /// The warm-up is over.
    warm: bool,
    /// The warm-up is over and the operating point is known.
    judging: bool,
    /// Progress of the warm-up.
    warm_up: f64,
    /// A rule is broken, or will be if it goes on.
    rule_pending: bool,
    /// An `anomaly` incident is open.
    incident_open: bool,
    /// Multiple of the usual limits that this state has to reach: what the budget of false alarms asks for, and more where its hour or its
    /// weather is new for the device.
    caution: f64,
    /// Windows without a state since the last one.
    missed_windows: i64,
    /// Windows without a state before this one, beyond what is usual for the device.
    gap_windows: i64,
}

impl Sample<'_> {
    /// Unit of a slot, empty where unknown.
    fn unit(&self, slot: usize) -> &str {
        let spec = self.state.device_type.and_then(|known| known.metrics.get(&self.state.names[slot]));
        spec.map_or("", |spec| &spec.unit)
    }

    /// Adds the metrics that are furthest from `centre` to a verdict on the whole state.
    fn accuse(&self, centre: &[f64], verdict: &mut Verdict) {
        const FAR: f64 = 2.0;
        const MOST: usize = 3;
        let mut far: Vec<(usize, f64)> = (0..self.vector.len())
            .map(|slot| (slot, (self.vector[slot] - centre.get(slot).copied().unwrap_or(0.0)).abs()))
            // Weather and set points explain, they are not to blame.
            .filter(|(slot, _)| !matches!(self.baseline.slots[*slot].kind, MetricKind::Ambient | MetricKind::Setpoint))
            .filter(|(slot, apart)| *apart > FAR && !self.values[*slot].is_nan())
            .collect();
        far.sort_by(|left, right| right.1.total_cmp(&left.1).then(left.0.cmp(&right.0)));
        for (slot, apart) in far.into_iter().take(MOST) {
            let usual = &self.baseline.slots[slot];
            let expected = usual.level + centre.get(slot).copied().unwrap_or(0.0) * usual.spread;
            let (name, unit, observed) = (&self.state.names[slot], self.unit(slot), self.values[slot]);
            verdict.findings.push(Finding {
                kind: "centroid".to_owned(),
                metric: Some(name.clone()),
                observed,
                expected: Some(expected),
                score: apart,
                limit: FAR,
                unit: unit.to_owned(),
                text: format!("{name} is {observed:.2} {unit}, usual is {expected:.2}"),
                parts: parts([
                    ("level", usual.level),
                    ("spread", usual.spread),
                    ("clip", usual.clip(self.config.vector_clip)),
                ]),
            });
        }
    }
}

/// What a method says of a state.
struct Evidence {
    verdict: Verdict,
    /// It is a vote for an anomaly.
    anomalous: bool,
    /// Start of the first window of what is found, or would be found if it lasts; `None` while all is well.
    since_ms: Option<i64>,
    /// The gravest broken rule.
    rule: Option<Broken>,
    /// What has an incident of its own.
    conditions: Vec<Condition>,
}

impl Evidence {
    /// A verdict that votes if it reports, on this window alone.
    fn of(verdict: Verdict, sample: &Sample<'_>) -> Self {
        let anomalous = verdict.severity.is_some();
        let since_ms = anomalous.then_some(sample.state.start_ms);
        Evidence { verdict, anomalous, since_ms, rule: None, conditions: Vec::new() }
    }
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Broken {
    severity: Severity,
    /// The metric that it is about.
    metric: String,
    /// What it says, without numbers.
    text: String,
}

/// Something that lasts and has an incident of its own (`stuck:<metric>`, `missing:<metric>`), already confirmed.
struct Condition {
    kind: String,
    since_ms: i64,
    finding: Finding,
}

/// The parts of a finding; what is no number is left out.
fn parts<const N: usize>(named: [(&str, f64); N]) -> BTreeMap<String, f64> {
    named.into_iter().filter(|(_, value)| value.is_finite()).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// A score from its ratio to the limit: 0 far below, 0.5 at it, towards 1 beyond.
fn grade(ratio: f64) -> f64 {
    if ratio.is_finite() && ratio > 0.0 { ratio * ratio / (1.0 + ratio * ratio) } else { 0.0 }
}

/// Whether the metric's values are counted rather than measured.
fn is_counter(kind: MetricKind) -> bool {
    kind == MetricKind::Counter
}
