//! Several metrics together: what a metric should be from its own last two values and from what the device was asked
//! to do, and whether what is left over adds up.
//!
//! Each judged metric is predicted by least squares from its own two lags, a constant and the device's inputs (statuses,
//! set points, commands) of the same state. Residuals in deviations are clipped and collected by a moving average; the
//! strongest average of any metric is the score, its limit is learned while the device is normal, on states that the fit
//! has not seen. An event opens after some states above the limit, lasts while a metric stays away, and ends with a
//! settling time in which the offset that remains becomes the new zero. Scale of the score: deviations of the average.

mod away;
mod event;
mod expected;
mod fit;
mod held;
mod joint;
mod model;
mod modes;
mod root;

use ::model::MetricKind;
use serde::{Deserialize, Serialize};

pub(crate) use self::held::mean_and_deviation;
use self::joint::{Against, Joint};
use self::model::{MAX, Model, OWN};
use self::modes::Modes;
use crate::baseline::Usual;
use crate::{Regressors, ResidualConfig};

/// The limit is never higher: clipped residuals could not reach it.
const LIMIT_MAX: f64 = 12.0;
/// Bins of the score's histogram, a quarter wide.
const BINS: usize = 64;
/// The slow average clips harder: a short transient is no drift.
const SLOW_CLIP: f64 = 3.0;
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Quiet,
    Open,
    Settle,
}

/// The residuals of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Residuals {
    models: Vec<Model>,
    /// By regressor: the slot, and whether it is the input's being on rather than its value.
    inputs: Vec<(usize, bool)>,
    inputs_chosen: bool,
    fits: u32,
    phase: Phase,
    above: u32,
    /// The same above the usual limit.
    beyond: u32,
    quiet: u32,
    settle: u32,
    /// States since the event opened.
    age: u32,
    histogram: Vec<u32>,
    counted: u32,
    limit: f64,
    score: f64,
    /// Start of the first window of what is away, or above the limit and not yet confirmed.
    since_ms: Option<i64>,
    /// The operating point is being learned: evidence from before is kept and none is added.
    frozen: bool,
    /// The states of the warm-up, where they are held.
    held: Vec<held::Held>,
    /// All metrics together, where they are predicted from one another.
    joint: Joint,
    modes: Modes,
    #[serde(skip)]
    against: Vec<Against>,
}

impl Default for Residuals {
    fn default() -> Self {
        Residuals {
            models: Vec::new(),
            inputs: Vec::new(),
            inputs_chosen: false,
            fits: 0,
            phase: Phase::Quiet,
            above: 0,
            beyond: 0,
            quiet: 0,
            settle: 0,
            age: 0,
            histogram: vec![0; BINS],
            counted: 0,
            limit: f64::INFINITY,
            score: 0.0,
            since_ms: None,
            frozen: false,
            held: Vec::new(),
            joint: Joint::default(),
            modes: Modes::default(),
            against: Vec::new(),
        }
    }
}

/// What a state may do to the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It is collected, and events open and end.
    Judge,
    /// It is collected only: the warm-up.
    Collect,
    /// Nothing: the models don't know this operating point.
    Freeze,
}

/// Least deviations of the fast and the slow average: those of independent residuals.
fn floors(config: &ResidualConfig) -> (f64, f64) {
    let floor = (config.lambda / (2.0 - config.lambda)).sqrt();
    let slow_floor = (config.drift_lambda / (2.0 - config.drift_lambda)).sqrt().max(1e-6);
    (floor, slow_floor)
}

fn is_input(kind: MetricKind) -> bool {
    matches!(kind, MetricKind::Status | MetricKind::Setpoint | MetricKind::Command)
}

/// What the device does, and so what it can be blamed for: not what it was asked to do. Nor the weather, unless it is all that
/// tells a wrong command.
fn is_judged(kind: MetricKind, regressors: Regressors) -> bool {
    match regressors {
        Regressors::Siblings => kind == MetricKind::Gauge,
        Regressors::Inputs => !is_input(kind),
        Regressors::Both | Regressors::Past => {
            matches!(kind, MetricKind::Gauge | MetricKind::Counter | MetricKind::Derived)
        }
    }
}

impl Residuals {
    /// Score of the last state.
    pub fn score(&self) -> f64 {
        self.score
    }

    /// Limit in force.
    pub fn limit(&self) -> f64 {
        self.limit
    }

    /// Whether some metric is away in an open event.
    pub fn is_away(&self) -> bool {
        self.phase == Phase::Open && self.models.iter().any(|model| model.active)
    }

    /// Whether this metric is away.
    pub fn is_active(&self, slot: usize) -> bool {
        self.phase == Phase::Open && self.models.get(slot).is_some_and(|model| model.active)
    }

    /// Whether a large part of the judged metrics (two of five, at least four) is beyond the usual limit, or away: an operating point,
    /// not a part.
    pub fn is_broad(&self, config: &ResidualConfig) -> bool {
        let judged = self.models.iter().filter(|model| !model.beta.is_empty()).count();
        let is_away = |model: &&Model| model.active || (!model.beta.is_empty() && model.z.abs() > self.limit);
        let away = self.models.iter().filter(is_away).count();
        (self.is_away() || self.beyond >= config.confirm_windows) && away >= 4 && away * 5 >= judged * 2
    }

    /// After a long gap the last values say nothing of the next, and old evidence fades.
    pub fn gap(&mut self, config: &ResidualConfig, windows: i64) {
        let mut fade = 1.0;
        for _ in 0..windows.clamp(0, 200) {
            fade *= 1.0 - config.lambda;
        }
        for model in &mut self.models {
            model.lags = [f64::NAN; 2];
            model.clipped *= fade;
            model.unclipped *= fade;
            model.slow *= fade;
        }
    }

    /// Collects the inputs of a state; an absent one counts as its usual value.
    fn regressors(&self, values: &[f64], usual: &[Usual]) -> [f64; MAX] {
        let mut row = [0.0; MAX];
        row[2] = 1.0;
        for (place, (slot, on)) in self.inputs.iter().enumerate() {
            let (value, usual) = (values[*slot], &usual[*slot]);
            let (origin, unit) = self.models[*slot].scale(usual);
            row[OWN + place] = if value.is_nan() {
                0.0
            } else if *on {
                f64::from(u8::from(usual.on(value) == Some(true)))
            } else {
                (value - origin) / unit
            };
        }
        row
    }

    /// Start of the first window of what is away, or will be if it lasts.
    pub fn since_ms(&self) -> Option<i64> {
        self.since_ms
    }

    /// Judges a state: score, event and the metrics that are away.
    ///
    /// `caution`: multiple of the limit that opens an event.
    pub fn judge(
        &mut self,
        config: &ResidualConfig,
        (start_ms, caution): (i64, f64),
        values: &[f64],
        usual: &[Usual],
        mode: Mode,
    ) {
        self.frozen = mode == Mode::Freeze;
        while self.models.len() < usual.len() {
            self.models.push(Model::new());
        }
        if self.fits == 0 {
            return;
        }
        let (floor, slow_floor) = floors(config);
        if config.regressors == Regressors::Siblings {
            self.judge_siblings(config, (floor, slow_floor), values, usual);
        } else {
            self.judge_alone(config, (floor, slow_floor), values, usual);
        }
        let judged = self.models.iter().filter(|model| !model.beta.is_empty());
        self.score = judged.fold(0.0f64, |score, model| score.max(model.z.abs()));
        if mode == Mode::Judge {
            self.follow_event(config, caution);
            let is_sign = self.is_away() || (self.phase == Phase::Quiet && self.above > 0);
            self.since_ms = self.since_ms.or(Some(start_ms)).filter(|_| is_sign);
        }
    }

    /// Each metric against what all others say.
    fn judge_siblings(&mut self, config: &ResidualConfig, floors: (f64, f64), values: &[f64], usual: &[Usual]) {
        let mut against = std::mem::take(&mut self.against);
        self.joint.against(values, usual, &mut against);
        self.modes.enter(values, usual);
        for model in self.models.iter_mut().filter(|model| !model.beta.is_empty()) {
            model.residual = f64::NAN;
        }
        for Against { slot, residual, expected, deviation } in &against {
            let model = &mut self.models[*slot];
            if !model.beta.is_empty() {
                model.expected = *expected;
                let offset = model.offset + self.modes.offset(*slot);
                (model.predicted, model.deviation) = (expected + offset * deviation, *deviation);
                let residual = *residual - model.offset - self.modes.offset(*slot);
                model.collect(config, floors, residual, self.phase, self.frozen);
            }
        }
        self.against = against;
    }

    /// Each metric against its own past and the inputs.
    fn judge_alone(&mut self, config: &ResidualConfig, floors: (f64, f64), values: &[f64], usual: &[Usual]) {
        let row = self.regressors(values, usual);
        let inputs = self.inputs.len();
        for ((model, usual), value) in self.models.iter_mut().zip(usual).zip(values) {
            if model.beta.is_empty() {
                continue;
            }
            model.residual = f64::NAN;
            let lags = if config.regressors == Regressors::Inputs { [0.0; 2] } else { model.lags };
            if !value.is_nan() && !lags[1].is_nan() {
                let given = &model.beta;
                let mut steady = given[2];
                for (coefficient, input) in given[OWN..].iter().zip(&row[OWN..OWN + inputs]) {
                    steady += coefficient * input;
                }
                let predicted = given[0] * lags[0] + given[1] * lags[1] + steady;
                let apart = 1.0 - given[0] - given[1];
                let shift = model.offset * model.sigma;
                model.expected = if apart > 0.02 { (steady + shift) / apart } else { predicted + shift };
                let (origin, unit) = model.scale(usual);
                let scaled = (value - origin) / unit;
                (model.predicted, model.deviation) = (predicted + shift, model.sigma);
                let residual = (scaled - predicted) / model.sigma - model.offset;
                model.collect(config, floors, residual, self.phase, self.frozen);
            }
        }
    }

    /// Drops event and evidence: the operating point is a new one.
    pub fn reset(&mut self) {
        self.phase = Phase::Quiet;
        (self.above, self.beyond) = (0, 0);
        self.since_ms = None;
        for model in &mut self.models {
            (model.clipped, model.unclipped, model.slow) = (0.0, 0.0, 0.0);
            (model.z, model.u, model.peak) = (0.0, 0.0, 0.0);
            model.active = false;
        }
    }

    /// Learns a state if it is normal (and no event is going on), and moves the lags in any case. `count`: its score counts
    /// for the limit. That is so for more than the normal states: if only scores below the limit counted, the limit
    /// would sink for ever.
    pub fn learn(
        &mut self,
        config: &ResidualConfig,
        local_ms: i64,
        values: &[f64],
        usual: &[Usual],
        normal: bool,
        count: bool,
    ) {
        while self.models.len() < usual.len() {
            self.models.push(Model::new());
        }
        if config.hold_warm_up && self.fits == 0 {
            if normal {
                self.held.push((local_ms, values.to_vec()));
            }
            return;
        }
        if !self.inputs_chosen {
            self.choose_inputs(config, usual);
        }
        let normal = normal && self.phase == Phase::Quiet;
        let quiet = self.score < self.limit;
        if config.regressors == Regressors::Siblings && normal {
            self.joint.learn(values, usual);
            if quiet && !self.frozen {
                self.modes.learn(self.models.iter().map(|model| model.residual));
            }
        }
        let mut row = self.regressors(values, usual);
        let size = OWN + self.inputs.len();
        for ((model, usual), value) in self.models.iter_mut().zip(usual).zip(values) {
            if value.is_nan() || !is_judged(usual.kind, config.regressors) {
                continue;
            }
            let (origin, unit) = model.scale(usual);
            let scaled = (value - origin) / unit;
            let has_past = !model.lags[1].is_nan();
            if normal && (has_past || matches!(config.regressors, Regressors::Inputs | Regressors::Siblings)) {
                if !config.hold_warm_up && config.regressors != Regressors::Siblings {
                    put_lags(&mut row, model.lags, config.regressors);
                    model.add(&row[..size], scaled);
                }
                if quiet && !self.frozen && !model.beta.is_empty() {
                    if !config.hold_warm_up {
                        model.spread_sum += model.clipped * model.clipped;
                        model.slow_sum += model.slow * model.slow;
                        model.spread_count += 1.0;
                    }
                    let step = model.residual.clamp(-2.0, 2.0);
                    if !step.is_nan() {
                        let offset = model.offset + config.follow * step;
                        model.offset = offset.clamp(-config.follow_limit, config.follow_limit);
                    }
                }
            }
            model.lags = [scaled, model.lags[0]];
        }
        if count && !self.frozen && self.fits > 0 && !config.hold_warm_up {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a score is not negative")]
            let bin = ((self.score * 4.0) as usize).min(BINS - 1);
            self.histogram[bin] += 1;
            self.counted += 1;
        }
    }
}

/// Puts one metric's lags in front of the regressors that all metrics share.
fn put_lags(row: &mut [f64; MAX], lags: [f64; 2], regressors: Regressors) {
    if regressors != Regressors::Inputs {
        (row[0], row[1]) = (lags[0], lags[1]);
    }
}
