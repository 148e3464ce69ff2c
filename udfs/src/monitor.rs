//! A device's monitor: prepares each state for the detectors, joins what they say, and decides what is learned.

mod feedback;
mod pilot;
mod values;

use model::{Expected, Incident, Judgement, StateView};
use serde::{Deserialize, Serialize};

use crate::acquaintance::Acquaintance;
use crate::baseline::{Baseline, Usual};
use crate::consensus::join;
use crate::incidents::{Incidents, Judged, MOST_SIMILAR, raised};
use crate::peers::take_back;
use crate::profile::{MetricStats, Profile};
use crate::regime::{Regime, Unfamiliar, Why};
use crate::{Detectors, MonitorConfig, Sample, is_counter};
use pilot::PilotRow;

/// All that is known of one device. Its size is bounded by the number of its metrics.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Monitor {
    device_id: String,
    names: Vec<String>,
    created_ms: Option<i64>,
    last_ms: Option<i64>,
    /// Windows between the last states, for what gap is usual: the longest of at most `gap_limit` so far.
    longest_gap: i64,
    baseline: Baseline,
    detectors: Detectors,
    incidents: Incidents,
    /// The first states, held back until their wild values are known.
    pilot: Vec<PilotRow>,
    pilot_done: bool,
    warm: bool,
    /// A counter's last reading and the start of its window, by slot.
    counters: Vec<(f64, i64)>,
    regime: Regime,
    acquaintance: Acquaintance,
    /// Windows with a state.
    states: u32,
    /// The device is being worked on in the window that comes next.
    #[serde(skip)]
    maintenance: bool,
    #[serde(skip)]
    values: Vec<f64>,
    #[serde(skip)]
    vector: Vec<f64>,
    #[serde(skip)]
    shown: Vec<f64>,
}
impl Monitor {
    /// A monitor of a device that was never seen.
    pub fn new(device_id: &str) -> Self {
        Monitor {
            device_id: device_id.to_owned(),
            names: Vec::new(),
            created_ms: None,
            last_ms: None,
            longest_gap: 1,
            baseline: Baseline::default(),
            detectors: Detectors::default(),
            incidents: Incidents::default(),
            pilot: Vec::new(),
            pilot_done: false,
            warm: false,
            counters: Vec::new(),
            regime: Regime::default(),
            acquaintance: Acquaintance::default(),
            states: 0,
            maintenance: false,
            values: Vec::new(),
            vector: Vec::new(),
            shown: Vec::new(),
        }
    }

    /// The device.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// Metric names by slot.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// What is usual for a slot.
    pub(crate) fn usual(&self, slot: usize) -> &Usual {
        &self.baseline.slots[slot]
    }

    /// A slot's value in the state that was judged last; not a number where there was none.
    pub(crate) fn judged_value(&self, slot: usize) -> f64 {
        self.values.get(slot).copied().unwrap_or(f64::NAN)
    }

    /// What the statistics predicted of the state that was judged last, by slot; empty while they learn. It goes with the judgement, and
    /// stands here so that nobody pays who does not ask.
    pub fn expected(&self) -> &[Option<Expected>] {
        self.detectors.statistics.expected()
    }

    /// Judges one closed window and learns from it. Windows come in rising order.
    ///
    /// # Panics
    /// If a window comes that is not later than the last one, or a slot has vanished: the caller's order is broken.
    pub fn observe(&mut self, config: &MonitorConfig, state: &StateView<'_>) -> Judgement {
        assert!(self.last_ms.is_none_or(|last_ms| state.start_ms > last_ms), "windows come in rising order");
        assert!(state.names.len() >= self.names.len(), "slots are only added");
        assert_eq!(state.names.len(), state.metrics.len(), "one aggregate a slot");
        self.detectors.statistics.forget_expected();
        let mut changed = Vec::new();
        self.incidents.close_silent(state.start_ms, &mut changed);
        self.grow(state);
        let missed_windows = self.last_ms.map_or(0, |last_ms| (state.start_ms - last_ms) / state.width_ms.max(1) - 1);
        let gap_windows = self.see_gap(state);
        self.created_ms.get_or_insert(state.start_ms);
        self.last_ms = Some(state.start_ms);
        self.states = self.states.saturating_add(1);
        self.read_values(state);
        if !self.pilot_done {
            self.pilot(config, state);
        }
        if self.pilot_done && !self.warm {
            self.baseline.guard(&mut self.values, config.guard_deviations);
        }
        let windows = config.regime_windows;
        let unfamiliar = match self.pilot_done {
            true => self.regime.see(windows, &self.baseline.slots, &self.values, self.warm),
            false => None,
        };
        let mut vector = std::mem::take(&mut self.vector);
        self.baseline.standardise(&self.values, config.vector_clip, &mut vector);
        let mut vector_square = 0.0;
        for value in &vector {
            vector_square += value * value;
        }
        #[expect(clippy::cast_precision_loss, reason = "a device has far fewer metrics than 2^53")]
        let constant_square = vector.len() as f64;
        let mut sample = Sample {
            state,
            config,
            baseline: &self.baseline,
            values: &self.values,
            vector: &vector,
            vector_square,
            constant_square,
            vector_known: self.baseline.fits > 0,
            warm: self.warm,
            judging: false,
            warm_up: (f64::from(self.baseline.rows) / f64::from(config.warm_up_windows.max(1))).min(0.99),
            rule_pending: false,
            incident_open: self.incidents.is_anomaly_open(),
            caution: self.acquaintance.caution(config, state.local_ms(), &self.values, &self.baseline.slots),
            missed_windows,
            gap_windows,
        };
        let (mut verdicts, mut conditions) = (Vec::with_capacity(4), Vec::new());
        let (mut votes, mut since_ms, mut rule) = ([false; 4], [None; 4], None);
        for (at, detector) in self.detectors.all().into_iter().enumerate() {
            // While states are held back only critical rules speak; a method without weight never does.
            let is_asked = (at == 0 || self.pilot_done) && config.weights[at] > 0.0;
            let evidence = is_asked.then(|| detector.judge(&sample));
            if at == 0 {
                // The rules need no past. Where one is broken, a new operating point is no excuse for the other methods.
                sample.rule_pending = evidence.as_ref().is_some_and(|evidence| evidence.since_ms.is_some());
                let is_broken = evidence.as_ref().is_some_and(|evidence| evidence.anomalous);
                sample.judging = self.warm && (unfamiliar.is_none() || is_broken);
                if sample.judging {
                    sample.warm_up = 1.0;
                } else if let (true, Some(Unfamiliar { learned, .. })) = (self.warm, unfamiliar) {
                    sample.warm_up = (f64::from(learned) / f64::from(windows.max(1))).clamp(0.0, 0.99);
                }
            }
            let Some(evidence) = evidence else {
                verdicts.push(silent_verdict(model::Method::ALL[at], sample.warm_up));
                continue;
            };
            (votes[at], since_ms[at]) = (evidence.anomalous, evidence.since_ms);
            rule = rule.or(evidence.rule);
            conditions.extend(evidence.conditions);
            verdicts.push(evidence.verdict);
        }
        // The first morning of a device that so far was seen at night: no method that learns can know it yet.
        let acquainting = sample.judging && !votes[0] && self.baseline.rows < config.acquaint_windows;
        let mut excuse = unfamiliar.filter(|_| self.warm && !sample.judging);
        if acquainting && self.detectors.statistics.is_broad(config) {
            self.regime.begin(windows, Why::Broad);
            self.detectors.statistics.drop_evidence();
            excuse = Some(Unfamiliar { why: Why::Broad, learned: 0 });
            since_ms = [None; 4];
            for (verdict, vote) in verdicts.iter_mut().zip(&mut votes) {
                verdict.severity = None;
                *vote = false;
            }
        }
        if let Some(excuse) = excuse {
            verdicts[1].findings.push(excuse.finding(windows, state.names, &self.values));
        }
        let distances = self.detectors.fingerprint.peers();
        if verdicts.iter().any(|verdict| verdict.severity.is_some()) {
            let compared = distances.compare(&sample, &verdicts);
            let taken = take_back(distances, &sample, &mut verdicts, &mut votes);
            for (since_ms, vote) in since_ms.iter_mut().zip(votes).skip(1) {
                *since_ms = since_ms.filter(|_| vote || taken.is_none());
            }
            verdicts[2].compared = compared;
            verdicts[1].findings.extend(taken);
        }
        let consensus = join(&verdicts, votes, &config.weights, config.strong_score);
        let normal = consensus.severity.is_none();
        if self.pilot_done {
            for (detector, weight) in self.detectors.all().into_iter().zip(config.weights) {
                if weight > 0.0 {
                    detector.learn(&sample, normal);
                }
            }
        }
        let embedded = sample.vector_known.then(|| {
            let mut embedded = Vec::with_capacity(vector.len() + 1);
            embedded.extend_from_slice(&vector);
            embedded.push(constant_square.sqrt());
            embedded
        });
        let mut shown = std::mem::take(&mut self.shown);
        shown.clear();
        shown.extend(state.metrics.iter().zip(&self.values).zip(&self.baseline.slots).map(
            |((metric, value), usual)| {
                // What is left out of the models (saturated, stuck) is still what was seen.
                if is_counter(usual.kind) { *value } else { metric.map_or(f64::NAN, |metric| metric.mean) }
            },
        ));
        let judged = Judged {
            start_ms: state.start_ms,
            width_ms: state.width_ms,
            consensus,
            votes,
            verdicts: &verdicts,
            since_ms,
            rule: rule.as_ref(),
            names: state.names,
            values: &shown,
            usual: &self.baseline.slots,
            peers: state.peers,
            maintenance: self.maintenance,
        };
        let mut reasons = Vec::new();
        self.incidents.follow_conditions(&judged, &conditions, &mut changed, &mut reasons);
        let similar = &self.detectors.similar;
        let nearest = || similar.nearest(MOST_SIMILAR);
        self.incidents.follow_anomaly(config, &judged, nearest, &mut changed, &mut reasons);
        reasons.extend(self.maintenance.then(feedback::maintenance));
        verdicts[1].findings.append(&mut reasons);
        self.shown = shown;
        self.vector = vector;
        if normal && self.pilot_done {
            self.acquaintance.learn(state.local_ms(), &self.values, &self.baseline.slots);
            self.learn(config);
        }
        if self.incidents.anomaly_age() >= config.relearn_windows.max(1) {
            self.relearn(&mut changed);
        }
        // A stuck or missing metric makes the state worth a look, but is no vote on an anomaly.
        let severity = consensus.severity.or(verdicts.iter().filter_map(|verdict| verdict.severity).max());
        let score =
            if consensus.severity.is_none() && severity.is_some() { consensus.score.max(0.5) } else { consensus.score };
        Judgement { verdicts, severity, score, vector: embedded, incidents: changed }
    }

    /// Start of the first window that, if it has no state either, makes the device silent. `None`: already silent, or not
    /// seen for as many windows as it would have to be silent, so that nothing is known of its rhythm.
    pub fn silent_due_ms(&self, config: &MonitorConfig, width_ms: i64) -> Option<i64> {
        if self.incidents.is_silent() || self.states < config.silent_after_windows.max(1) {
            return None;
        }
        let windows = i64::from(config.silent_after_windows.max(1)).max(self.longest_gap.saturating_mul(3));
        // A device that reports each window has gaps of one; three times that is still below the default.
        let windows = if self.longest_gap <= 1 { i64::from(config.silent_after_windows.max(1)) } else { windows };
        let windows = i64::from(raised(u32::try_from(windows).unwrap_or(u32::MAX), self.incidents.silent_factor()));
        Some(self.last_ms?.saturating_add(windows.saturating_mul(width_ms)))
    }

    /// The window `start_ms` had no state and is the due one: opens the `silent` incident, which starts with the first
    /// missed window.
    pub fn silent(&mut self, _config: &MonitorConfig, start_ms: i64, width_ms: i64) -> Vec<Incident> {
        let Some(last_ms) = self.last_ms else { return Vec::new() };
        self.incidents.open_silent(last_ms.saturating_add(width_ms), start_ms, width_ms)
    }

    /// What is usual for the device.
    pub fn profile(&self) -> Profile {
        let metric_stats = self
            .names
            .iter()
            .zip(&self.baseline.slots)
            .filter(|(_, usual)| usual.weight > 0.0)
            .map(|(name, usual)| {
                let stats = MetricStats { mean: usual.mean, std: usual.deviation(), min: usual.lo, max: usual.hi };
                (name.clone(), stats)
            })
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a device has far fewer metrics than 2^53")]
        let centroid = self.detectors.fingerprint.centroid().map(|centre| {
            let mut centroid = centre.to_vec();
            centroid.resize(self.names.len(), 0.0);
            centroid.push((self.names.len() as f64).sqrt());
            centroid
        });
        Profile {
            metric_stats,
            normal_states: u64::from(self.baseline.rows),
            created_ms: self.created_ms,
            last_seen_ms: self.last_ms,
            centroid,
        }
    }

    fn learn(&mut self, config: &MonitorConfig) {
        self.baseline.learn(&self.values);
        let enough = self.regime.note(config.regime_windows, &self.baseline.slots, &self.values);
        let known = self.regime.step() || (self.warm && enough);
        let due = known || self.baseline.is_due(config);
        if due {
            let fade = self.baseline.rows >= config.refit_until_windows && !self.regime.is_counting();
            let former = self.baseline.refit(config);
            for detector in self.detectors.all() {
                detector.refit(config, &self.baseline, &former, fade);
            }
        }
        if known && self.warm {
            self.detectors.statistics.drop_evidence();
        }
        if !self.warm && self.baseline.rows >= config.warm_up_windows && self.baseline.fits > 0 {
            self.warm = true;
            for detector in self.detectors.all() {
                detector.warmed_up(config, &self.baseline);
            }
        }
    }

    /// A lasting change is the new normal: the models start anew.
    fn relearn(&mut self, changed: &mut Vec<Incident>) {
        self.incidents.close_anomaly("; it lasts, so it is taken as the new normal", changed);
        self.baseline.renew();
        self.detectors.statistics.relearn();
        self.detectors.fingerprint = Default::default();
        self.detectors.similar = Default::default();
        self.regime.forget();
        self.warm = false;
        self.pilot_done = false;
    }
}

/// A method that has nothing to say yet.
fn silent_verdict(method: model::Method, warm_up: f64) -> model::Verdict {
    model::Verdict { method, score: 0.0, severity: None, warm_up, findings: Vec::new(), compared: Vec::new() }
}
