//! Statistics: each metric against its own past, and all metrics together against what the device was asked to do.
//!
//! Score: 0.5 where the strongest view is just at its limit, towards 1 beyond it. Stuck and missing metrics are findings of this
//! method too, but open incidents of their own kind and are no vote in the consensus on an anomaly.

mod change;
mod erratic;
mod loss;
mod missing;
mod rarity;
mod residual;
mod stuck;
mod together;

use std::collections::BTreeMap;

use model::{Expected, Finding, Method, MetricKind, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;
use crate::incidents::length as length_of;
use crate::{Condition, Detector, Evidence, Sample, grade, parts};
use change::{Change, Changes};
use erratic::{Erratic, ErraticMetric};
use missing::{Missing, MissingMetric};
pub use rarity::{Rare, Rarity, View};
use residual::Residuals;
use stuck::{Stuck, StuckMetric};

/// Windows in a row without a state that are no loss now and then.
const LONG_GAP: i64 = 10;

/// The state of this method for one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Statistics {
    residuals: Residuals,
    /// Each metric against its siblings.
    relations: Residuals,
    changes: Changes,
    rarities: Vec<Rarity>,
    /// Metrics whose rarity rests while they are away in an open incident.
    resting: Vec<bool>,
    stuck: Stuck,
    missing: Missing,
    erratic: Erratic,
    /// What was predicted in the state that was judged last, by slot; empty where nothing was.
    #[serde(skip)]
    expected: Vec<Option<Expected>>,
}

impl Statistics {
    /// Whether a large part of the device's metrics is away at once.
    pub(crate) fn is_broad(&self, config: &crate::MonitorConfig) -> bool {
        self.residuals.is_broad(&config.residual) || self.relations.is_broad(&config.relation.residual())
    }

    /// Whether the metric stands still and must not teach the models.
    pub fn is_stuck(&self, slot: usize) -> bool {
        self.stuck.is_stuck(slot)
    }

    /// The values of the pilot, which were held back until their wild ones were known.
    pub(crate) fn learn_pilot(
        &mut self,
        config: &crate::MonitorConfig,
        values: &[f64],
        usual: &[Usual],
        local_ms: i64,
    ) {
        self.residuals.learn(&config.residual, local_ms, values, usual, true, true);
        if config.relation.lambda > 0.0 {
            self.relations.learn(&config.relation.residual(), local_ms, values, usual, true, true);
        }
        self.rarities.resize_with(usual.len(), Rarity::default);
        for ((rarity, usual), value) in self.rarities.iter_mut().zip(usual).zip(values) {
            if !value.is_nan() && (judged_alone(usual.kind) || usual.is_guessed()) {
                rarity.observe(config.views, *value, local_ms);
            }
        }
    }

    /// Drops all evidence: the operating point is a new one and has been learned.
    pub(crate) fn drop_evidence(&mut self) {
        self.residuals.reset();
        self.relations.reset();
    }

    /// Starts anew after a lasting change; the views of single metrics have followed by themselves.
    pub(crate) fn relearn(&mut self) {
        self.residuals = Residuals::default();
        self.relations = Residuals::default();
        self.changes = Changes::default();
    }

    fn judge_alone(&mut self, sample: &Sample<'_>, verdict: &mut Verdict) {
        self.rarities.resize_with(sample.values.len(), Rarity::default);
        self.resting.resize(sample.values.len(), false);
        let (theta, views) = (sample.config.rarity_decades, sample.config.views);
        for (slot, value) in sample.values.iter().enumerate() {
            let usual = &sample.baseline.slots[slot];
            let judged = judged_alone(usual.kind);
            if value.is_nan() || !(judged || usual.is_guessed()) {
                continue;
            }
            let rarity = &mut self.rarities[slot];
            let rests = sample.incident_open && (self.residuals.is_active(slot) || self.relations.is_active(slot));
            let fed = if usual.known {
                let reach = sample.config.feed_spreads * usual.spread;
                value.clamp(usual.level - reach, usual.level + reach)
            } else {
                *value
            };
            let gap = sample.gap_windows > i64::from(views.gap_windows);
            if gap || (self.resting[slot] && !rests) {
                rarity.gap();
            }
            self.resting[slot] = rests;
            let local_ms = sample.state.local_ms();
            let rare = if rests { rarity.peek(views, fed, local_ms) } else { rarity.observe(views, fed, local_ms) };
            if !sample.judging || !judged || !usual.known || rare.decades <= 0.0 {
                continue;
            }
            verdict.score = verdict.score.max(grade(rare.decades / theta));
            if rare.decades < theta {
                continue;
            }
            let name = &sample.state.names[slot];
            let unit = sample.unit(slot);
            let what = match rare.view {
                View::Range => "is beyond anything seen",
                View::Season => "is unusual for this hour",
                View::Jump => "has jumped",
                View::Level => "has moved to another level",
            };
            verdict.findings.push(Finding {
                kind: rare.view.name().to_owned(),
                metric: Some(name.clone()),
                observed: *value,
                expected: Some(rare.expected),
                score: rare.decades,
                limit: theta,
                unit: unit.to_owned(),
                text: format!(
                    "{name} {what}: {value:.2} {unit} against {:.2}, {:.1} decades rare",
                    rare.expected, rare.decades
                ),
                parts: rare.parts(),
            });
        }
    }

    fn judge_conditions(&mut self, sample: &Sample<'_>) -> (Vec<Condition>, Vec<Finding>) {
        let (mut stuck, mut missing) = (Vec::<StuckMetric>::new(), Vec::<MissingMetric>::new());
        let slots = &sample.baseline.slots;
        let (start_ms, metrics) = (sample.state.start_ms, sample.state.metrics);
        let config = sample.config;
        self.stuck.judge(start_ms, metrics, slots, config.stuck_after_windows, sample.warm, &mut stuck);
        let established = if sample.warm { config.warm_up_windows.max(1) } else { u32::MAX };
        self.missing.judge(start_ms, metrics, slots, config.missing_after_windows, established, &mut missing);
        let mut erratic = Vec::<ErraticMetric>::new();
        let time = (start_ms, sample.state.width_ms);
        let whole = (sample.warm, sample.missed_windows == 0, sample.caution);
        self.erratic.judge(time, metrics, slots, whole, &mut erratic);
        // A silence has an incident of its own, and is no coming and going where it has none.
        let silence = i64::from(config.silent_after_windows).min(LONG_GAP);
        let missed = Some(sample.missed_windows).filter(|missed| *missed < silence);
        let gaps = self.missing.judge_loss(time, missed.unwrap_or(0), metrics, slots, sample.warm, &mut missing);
        let (mut conditions, mut findings) = (Vec::new(), Vec::new());
        let mut add = |word: &str, slot: usize, since_ms: i64, finding: (f64, f64, f64, String), longest: f64| {
            let (observed, score, limit, text) = finding;
            let finding = Finding {
                kind: word.to_owned(),
                metric: Some(sample.state.names[slot].clone()),
                observed,
                expected: None,
                score,
                limit,
                unit: sample.unit(slot).to_owned(),
                text,
                parts: parts([("longest", longest)]),
            };
            let kind = format!("{word}:{}", sample.state.names[slot]);
            conditions.push(Condition { kind, since_ms, finding: finding.clone() });
            findings.push(finding);
        };
        // A text speaks of the time from its start, gaps included, as the incident's own start and end do.
        let lasting =
            |since_ms: i64| length_of(since_ms, start_ms.saturating_add(sample.state.width_ms), sample.state.width_ms);
        for StuckMetric { slot, value, length, limit, longest, since_ms } in stuck {
            let name = &sample.state.names[slot];
            let text = format!("{name} stands at exactly {value:.2} {} {}", sample.unit(slot), lasting(since_ms));
            add("stuck", slot, since_ms, (value, f64::from(length), f64::from(limit), text), f64::from(longest));
        }
        for MissingMetric { slot, length, limit, longest, since_ms, last, lost } in missing {
            let name = &sample.state.names[slot];
            let unit = sample.unit(slot);
            match lost {
                None => {
                    let text = format!("{name} is missing {}, its last value was {last:.2} {unit}", lasting(since_ms));
                    add(
                        "missing",
                        slot,
                        since_ms,
                        (last, f64::from(length), f64::from(limit), text),
                        f64::from(longest),
                    );
                }
                Some(lost) => {
                    let share = 100.0 * lost.share;
                    let text = format!("{name} comes now and then: {share:.0} % of its readings are missing");
                    add("missing", slot, lost.since_ms, (last, lost.share, lost.limit, text), f64::NAN);
                }
            }
        }
        for ErraticMetric { slot, value, middle, share, limit, since_ms } in erratic {
            let name = &sample.state.names[slot];
            let (unit, share_percent) = (sample.unit(slot), 100.0 * share);
            let text = format!(
                "{name} leaps and comes back in {share_percent:.0} % of the windows, last to {value:.2} {unit} where {middle:.2} is expected"
            );
            add("erratic", slot, since_ms, (value, share, limit, text), f64::NAN);
        }
        if let Some(lost) = gaps {
            let finding = Finding {
                kind: "gaps".to_owned(),
                metric: None,
                observed: lost.share,
                expected: None,
                score: lost.share,
                limit: lost.limit,
                unit: String::new(),
                text: format!("the device comes now and then: {:.0} % of its readings are missing", 100.0 * lost.share),
                parts: BTreeMap::new(),
            };
            conditions.push(Condition { kind: "gaps".to_owned(), since_ms: lost.since_ms, finding: finding.clone() });
            findings.push(finding);
        }
        (conditions, findings)
    }
}

fn change_finding(sample: &Sample<'_>, change: Change) -> Finding {
    let name = &sample.state.names[change.slot];
    let (limit, what) = match change.begins {
        true => (sample.config.change.on, format!("{name} begins to move")),
        false => (sample.config.change.off, "all metrics have settled".to_owned()),
    };
    Finding {
        kind: "change".to_owned(),
        metric: change.begins.then(|| name.clone()),
        observed: sample.values[change.slot],
        expected: Some(change.expected),
        score: change.score,
        limit,
        unit: sample.unit(change.slot).to_owned(),
        text: what,
        parts: BTreeMap::new(),
    }
}

/// Kinds that the views of single metrics make sense for.
fn judged_alone(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::Gauge | MetricKind::Ambient | MetricKind::Counter | MetricKind::Command)
}

impl Detector for Statistics {
    fn judge(&mut self, sample: &Sample<'_>) -> Evidence {
        let mut verdict = Verdict {
            method: Method::Statistics,
            score: 0.0,
            severity: None,
            warm_up: sample.warm_up,
            findings: Vec::new(),
            compared: Vec::new(),
        };
        self.judge_together(sample, &mut verdict);
        let together = verdict.findings.len();
        self.judge_alone(sample, &mut verdict);
        let (alone, anomalous) = (verdict.findings.len() > together, !verdict.findings.is_empty());
        let (conditions, findings) = self.judge_conditions(sample);
        verdict.findings.extend(findings);
        if !verdict.findings.is_empty() {
            verdict.severity = Some(Severity::Info);
            verdict.score = verdict.score.max(0.5);
        }
        if sample.judging {
            let change = self.changes.see(&sample.config.change, sample.values);
            verdict.findings.extend(change.map(|change| change_finding(sample, change)));
        }
        let alone = alone.then_some(sample.state.start_ms);
        let since_ms = match sample.judging {
            true if alone.is_some() && !self.residuals.is_away() && !self.relations.is_away() => alone,
            true => self.residuals.since_ms().into_iter().chain(self.relations.since_ms()).min(),
            false => None,
        };
        Evidence { verdict, anomalous, since_ms, rule: None, conditions }
    }

    fn learn(&mut self, sample: &Sample<'_>, normal: bool) {
        let count = !sample.incident_open;
        let (config, local_ms) = (&sample.config.residual, sample.state.local_ms());
        self.residuals.learn(config, local_ms, sample.values, &sample.baseline.slots, normal, count);
        if sample.config.relation.lambda > 0.0 {
            let relation = sample.config.relation.residual();
            self.relations.learn(&relation, local_ms, sample.values, &sample.baseline.slots, normal, count);
        }
    }

    fn refit(&mut self, config: &crate::MonitorConfig, baseline: &crate::Baseline, _former: &crate::Scale, fade: bool) {
        self.residuals.refit(&config.residual, &baseline.slots, fade);
        if config.relation.lambda > 0.0 {
            self.relations.refit(&config.relation.residual(), &baseline.slots, fade);
        }
    }

    fn warmed_up(&mut self, config: &crate::MonitorConfig, baseline: &crate::Baseline) {
        if config.residual.hold_warm_up {
            let rows = self.residuals.train(&config.residual, &baseline.slots);
            self.changes.train(&config.change, &rows, baseline.slots.len());
        } else {
            self.residuals.set_limit(&config.residual);
        }
        if config.relation.lambda > 0.0 {
            self.relations.set_limit(&config.relation.residual());
        }
    }
}
