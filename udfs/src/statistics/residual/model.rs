//! The regression of one metric: normal equations, their solution, and what it has collected.

use serde::{Deserialize, Serialize};

use super::{Phase, SLOW_CLIP};
use crate::baseline::Usual;
use crate::{Regressors, ResidualConfig};

/// Most inputs of a device; the first by slot are taken. A command that is on or off counts twice: its position, and
/// whether it is on.
pub(super) const MAX_INPUTS: usize = 6;
/// The same where the models are fitted once, so that their equations are not kept.
pub(super) const MAX_HELD_INPUTS: usize = 16;
/// Lags and the constant.
pub(super) const OWN: usize = 3;
/// Most regressors.
pub(super) const MAX: usize = OWN + MAX_HELD_INPUTS;
/// In the warm-up a residual beyond so many deviations is not learned.
const WILD: f64 = 8.0;
/// Share of its average below which a residual shows recovery, and how many in a row are needed.
const CALM_SHARE: f64 = 0.3;
const CALM_STATES: u32 = 5;

/// Regression of one metric and what it has collected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Model {
    /// Origin and unit of its arithmetic, where they come from the held warm-up.
    pub(super) scale: Option<(f64, f64)>,
    /// Normal equations, lower triangle by rows, then the right side.
    pub(super) equations: Vec<f64>,
    pub(super) squares: f64,
    pub(super) weight: f64,
    /// Coefficients in force; empty: none yet, or nothing to explain.
    pub(super) beta: Vec<f64>,
    pub(super) sigma: f64,
    pub(super) lags: [f64; 2],
    pub(super) offset: f64,
    pub(super) clipped: f64,
    pub(super) unclipped: f64,
    /// The slow average, which finds drift and small lasting shifts.
    pub(super) slow: f64,
    pub(super) slow_sum: f64,
    /// Squares of `clipped` while normal, and their count.
    pub(super) spread_sum: f64,
    pub(super) spread_count: f64,
    /// Residual of the last state, in deviations; not a number where there was none.
    pub(super) residual: f64,
    pub(super) z: f64,
    /// Fast average in its deviations, without the clip and without a sign.
    pub(super) fast_strength: f64,
    /// The stronger of that and the slow average.
    pub(super) u: f64,
    pub(super) peak: f64,
    pub(super) active: bool,
    /// States in a row that show it recovered.
    pub(super) calm: u32,
    /// `age` of the event at which it became active first; 0: it did not.
    pub(super) joined: u32,
    pub(super) settle_sum: f64,
    pub(super) settle_count: f64,
    pub(super) expected: f64,
    /// What the last residual was taken against and its deviation, scaled: its offset is part of the former.
    #[serde(skip)]
    pub(super) predicted: f64,
    #[serde(skip)]
    pub(super) deviation: f64,
    /// The averages (clipped, unclipped, slow) before it.
    #[serde(skip)]
    pub(super) before: [f64; 3],
    /// Deviation of the fast average that it was measured in.
    #[serde(skip)]
    pub(super) spread: f64,
}

/// One of the averages as the last residual moved it: what it was, its step, where residuals are clipped, and what it is measured in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averaged {
    /// Before the residual.
    pub before: f64,
    /// Step.
    pub step: f64,
    /// Clip of the residual, if any.
    pub clip: Option<f64>,
    /// Deviation of the average.
    pub spread: f64,
}

impl Model {
    pub(super) fn new() -> Self {
        Model {
            scale: None,
            equations: Vec::new(),
            squares: 0.0,
            weight: 0.0,
            beta: Vec::new(),
            sigma: 0.0,
            lags: [f64::NAN; 2],
            offset: 0.0,
            clipped: 0.0,
            unclipped: 0.0,
            slow: 0.0,
            slow_sum: 0.0,
            spread_sum: 0.0,
            spread_count: 0.0,
            residual: f64::NAN,
            z: 0.0,
            fast_strength: 0.0,
            u: 0.0,
            peak: 0.0,
            active: false,
            calm: 0,
            joined: 0,
            settle_sum: 0.0,
            settle_count: 0.0,
            expected: f64::NAN,
            predicted: f64::NAN,
            deviation: f64::NAN,
            before: [f64::NAN; 3],
            spread: f64::NAN,
        }
    }

    /// How strong it is: the strongest of its averages in that one's deviations.
    pub(super) fn strength(&self) -> f64 {
        self.u.max(self.z.abs())
    }

    /// The average that [`Model::strength`] comes from; `None` where the last state had no residual.
    pub(super) fn strongest(&self, config: &ResidualConfig, (floor, slow_floor): (f64, f64)) -> Option<Averaged> {
        if !self.residual.is_finite() {
            return None;
        }
        let (spread, slow_spread) = self.spreads(floor, slow_floor);
        let [clipped, unclipped, slow] = self.before;
        let all = [
            (self.unclipped, Averaged { before: unclipped, step: config.lambda, clip: None, spread }),
            (self.clipped, Averaged { before: clipped, step: config.lambda, clip: Some(config.clip), spread }),
            (
                self.slow,
                Averaged { before: slow, step: config.drift_lambda, clip: Some(SLOW_CLIP), spread: slow_spread },
            ),
        ];
        let strength = self.strength();
        all.into_iter().find(|(average, of)| average.abs() / of.spread == strength).map(|(_, of)| of)
    }

    /// Origin and unit of its arithmetic.
    pub(super) fn scale(&self, usual: &Usual) -> (f64, f64) {
        self.scale.unwrap_or((usual.origin, usual.unit))
    }

    /// Halves the weight of what is old.
    pub(super) fn fade(&mut self) {
        self.equations.iter_mut().for_each(|sum| *sum *= 0.5);
        self.squares *= 0.5;
        self.weight *= 0.5;
        self.spread_sum *= 0.5;
        self.slow_sum *= 0.5;
        self.spread_count *= 0.5;
    }

    /// Takes over how far another model's averages stray.
    pub(super) fn take_spreads(&mut self, other: &Model) {
        (self.spread_sum, self.slow_sum, self.spread_count) = (other.spread_sum, other.slow_sum, other.spread_count);
    }

    /// Deviations of the two averages while normal, never below what independent residuals would have.
    pub(super) fn spreads(&self, floor: f64, slow_floor: f64) -> (f64, f64) {
        if self.spread_count <= 0.0 {
            return (floor, slow_floor);
        }
        let fast = (self.spread_sum / self.spread_count).sqrt().max(floor);
        (fast, (self.slow_sum / self.spread_count).sqrt().max(slow_floor))
    }

    /// Takes in a residual (in deviations, less the offset): averages and strengths. `floors`: least deviations of the two averages.
    pub(super) fn collect(
        &mut self,
        config: &ResidualConfig,
        (floor, slow_floor): (f64, f64),
        residual: f64,
        phase: Phase,
        frozen: bool,
    ) {
        self.residual = residual;
        if frozen {
            return;
        }
        self.recover(config, residual);
        self.before = [self.clipped, self.unclipped, self.slow];
        let clipped = residual.clamp(-config.clip, config.clip);
        self.clipped += config.lambda * (clipped - self.clipped);
        self.unclipped += config.lambda * (residual - self.unclipped);
        self.slow += config.drift_lambda * (residual.clamp(-SLOW_CLIP, SLOW_CLIP) - self.slow);
        let (spread, slow_spread) = self.spreads(floor, slow_floor);
        self.spread = spread;
        let (fast, slow) = (self.clipped / spread, self.slow / slow_spread);
        self.z = if fast.abs() >= slow.abs() { fast } else { slow };
        self.fast_strength = self.unclipped.abs() / spread;
        self.u = self.fast_strength.max(slow.abs());
        if phase == Phase::Settle {
            self.settle_sum += residual + self.offset;
            self.settle_count += 1.0;
        }
    }

    /// Back at once: an average of twenty states remembers a great deviation for an hour. When several residuals in a row are a small part
    /// of it, the deviation is over; a lasting small one is never so far below its own average for so long by chance.
    fn recover(&mut self, config: &ResidualConfig, residual: f64) {
        let is_calm = self.active && residual.abs() < CALM_SHARE * self.unclipped.abs();
        self.calm = if is_calm && config.regressors == Regressors::Siblings { self.calm + 1 } else { 0 };
        if self.calm >= CALM_STATES {
            (self.clipped, self.unclipped) = (residual.clamp(-config.clip, config.clip), residual);
            self.calm = 0;
        }
    }

    pub(super) fn add(&mut self, row: &[f64], value: f64) {
        let size = row.len();
        let triangle = size * (size + 1) / 2;
        if self.equations.len() != triangle + size {
            self.equations = vec![0.0; triangle + size];
            (self.squares, self.weight) = (0.0, 0.0);
        }
        if self.residual.abs() > WILD {
            return;
        }
        let mut at = 0;
        for (place, left) in row.iter().enumerate() {
            for (sum, right) in self.equations[at..=at + place].iter_mut().zip(row) {
                *sum += left * right;
            }
            at += place + 1;
        }
        for (sum, left) in self.equations[triangle..].iter_mut().zip(row) {
            *sum += left * value;
        }
        self.squares += value * value;
        self.weight += 1.0;
    }

    /// Least squares by Cholesky, with a little ridge so that inputs that never moved get no weight.
    pub(super) fn fit(&mut self, size: usize, sigma_floor: f64, ridge_lags: f64) {
        let triangle = size * (size + 1) / 2;
        #[expect(clippy::cast_precision_loss, reason = "a handful of regressors")]
        let least = 4.0 * size as f64;
        if self.equations.len() != triangle + size || self.weight < least {
            return;
        }
        let mut factor = [0.0; MAX * MAX];
        let mut solution = [0.0; MAX];
        for i in 0..size {
            for j in 0..=i {
                let mut sum = self.equations[i * (i + 1) / 2 + j];
                if i == j {
                    sum += self.weight
                        * match i {
                            0 | 1 => ridge_lags,
                            2 => 1e-9,
                            _ => 1e-3,
                        };
                }
                for k in 0..j {
                    sum -= factor[i * MAX + k] * factor[j * MAX + k];
                }
                factor[i * MAX + j] = if i == j { sum.max(1e-12).sqrt() } else { sum / factor[j * MAX + j] };
            }
        }
        for i in 0..size {
            let mut sum = self.equations[triangle + i];
            for k in 0..i {
                sum -= factor[i * MAX + k] * solution[k];
            }
            solution[i] = sum / factor[i * MAX + i];
        }
        for i in (0..size).rev() {
            let mut sum = solution[i];
            for k in i + 1..size {
                sum -= factor[k * MAX + i] * solution[k];
            }
            solution[i] = sum / factor[i * MAX + i];
        }
        // y'y - 2 b'X'y + b'X'X b, which stays right although the ridge moved the solution.
        let mut rest = self.squares;
        for i in 0..size {
            rest -= 2.0 * solution[i] * self.equations[triangle + i];
            for j in 0..size {
                let (high, low) = (i.max(j), i.min(j));
                rest += solution[i] * solution[j] * self.equations[high * (high + 1) / 2 + low];
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a handful of regressors")]
        let freedom = (self.weight - size as f64).max(1.0);
        let sigma = (rest.max(0.0) / freedom).sqrt().max(sigma_floor);
        if sigma <= 1e-9 {
            // It never moved: nothing to explain. The first change is the range view's.
            self.beta.clear();
            return;
        }
        self.sigma = sigma;
        self.beta = solution[..size].to_vec();
    }
}
