//! Models fitted in one go on the held states of the warm-up: every number comes from all of them, and none changes later.

use std::ops::Range;

use super::root::Wanderer;
use super::{Mode, Phase, Residuals, is_judged, put_lags};
use crate::baseline::Usual;
use crate::{Regressors, ResidualConfig};

/// Share of the warm-up's scores that the limit leaves above it.
const ABOVE: f64 = 0.005;

/// Weight that keeps the two lags apart, as a share of the states.
const RIDGE: f64 = 1e-3;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A state of the warm-up: start of its window on the device's clock, which tells its day, and values by slot.
pub(super) type Held = (i64, Vec<f64>);

impl Residuals {
    /// Fits models, spreads and the limit on the held states, which are then forgotten. Gives them.
    pub fn train(&mut self, config: &ResidualConfig, usual: &[Usual]) -> Vec<Vec<f64>> {
        let (starts_ms, mut rows): (Vec<i64>, Vec<Vec<f64>>) = std::mem::take(&mut self.held).into_iter().unzip();
        for row in &mut rows {
            row.resize(usual.len(), f64::NAN);
        }
        for (slot, model) in self.models.iter_mut().enumerate() {
            model.scale = Some(mean_and_deviation(rows.iter().map(|row| row[slot])));
        }
        self.choose_inputs(config, usual);
        let unfitted = self.clone();
        self.fit_held(config, usual, &rows);
        // The states to judge, each part with a model of its own.
        let mut parts = vec![(self.clone(), 0..rows.len())];
        let days = days(&starts_ms);
        if config.left_out_days && days.len() > 1 {
            parts.clear();
            for day in days {
                let mut others = unfitted.clone();
                others.fit_held(config, usual, &[&rows[..day.start], &rows[day.end..]].concat());
                parts.push((others, day));
            }
        }
        self.set_spreads(config, usual, &rows, &mut parts);
        let mut scores = Vec::with_capacity(rows.len());
        for (mut part, range) in parts {
            for (model, full) in part.models.iter_mut().zip(&self.models) {
                model.take_spreads(full);
            }
            part.follow_held(config, usual, &rows[range], |residuals| scores.push(residuals.score));
        }
        scores.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of some states"
        )]
        let above = (scores.len() as f64 * ABOVE) as usize;
        let quantile = scores.len().checked_sub(1 + above).map_or(0.0, |at| scores[at]);
        self.limit = (config.limit_factor * quantile).max(config.limit_min);
        rows
    }

    /// How far the averages stray in the parts, each judged by its own model.
    fn set_spreads(
        &mut self,
        config: &ResidualConfig,
        usual: &[Usual],
        rows: &[Vec<f64>],
        parts: &mut [(Residuals, Range<usize>)],
    ) {
        for (part, range) in parts {
            part.follow_held(config, usual, &rows[range.clone()], |residuals| {
                for (model, full) in residuals.models.iter().zip(&mut self.models) {
                    if !model.residual.is_nan() {
                        full.spread_sum += model.clipped * model.clipped;
                        full.slow_sum += model.slow * model.slow;
                        full.spread_count += 1.0;
                    }
                }
            });
        }
    }

    fn fit_held(&mut self, config: &ResidualConfig, usual: &[Usual], rows: &[Vec<f64>]) {
        let size = super::OWN + self.inputs.len();
        for row in rows {
            let mut regressors = self.regressors(row, usual);
            for ((model, usual), value) in self.models.iter_mut().zip(usual).zip(row) {
                let (origin, unit) = model.scale(usual);
                if value.is_nan() || unit <= 0.0 || !is_judged(usual.kind, config.regressors) {
                    continue;
                }
                let scaled = (value - origin) / unit;
                if !model.lags[1].is_nan() || config.regressors == Regressors::Inputs {
                    put_lags(&mut regressors, model.lags, config.regressors);
                    model.add(&regressors[..size], scaled);
                }
                model.lags = [scaled, model.lags[0]];
            }
        }
        for (slot, (model, usual)) in self.models.iter_mut().zip(usual).enumerate() {
            let (origin, unit) = model.scale(usual);
            let sigma_floor = usual.step / unit * 0.288_675_134_594_812_9;
            if unit > 0.0 && is_judged(usual.kind, config.regressors) {
                model.fit(size, sigma_floor, RIDGE);
            }
            if config.regressors == Regressors::Past && !model.beta.is_empty() {
                let present = rows.iter().map(|row| row[slot]).filter(|value| !value.is_nan());
                let course: Vec<f64> = present.map(|value| (value - origin) / unit).collect();
                if let Some(Wanderer { persistence, sigma }) = Wanderer::of(&course) {
                    model.beta = vec![1.0 + persistence, -persistence, 0.0];
                    model.sigma = sigma.max(sigma_floor);
                }
            }
            // Nothing is fitted again.
            model.equations = Vec::new();
        }
        self.fits = 1;
    }

    /// Goes through the held states from the beginning, as if they came now.
    fn follow_held(
        &mut self,
        config: &ResidualConfig,
        usual: &[Usual],
        rows: &[Vec<f64>],
        mut each: impl FnMut(&mut Residuals),
    ) {
        assert_eq!(self.phase, Phase::Quiet, "nothing opens in the warm-up");
        self.reset();
        self.models.iter_mut().for_each(|model| model.lags = [f64::NAN; 2]);
        for row in rows {
            self.judge(config, (0, 1.0), row, usual, Mode::Collect);
            each(self);
            for ((model, usual), value) in self.models.iter_mut().zip(usual).zip(row) {
                let (origin, unit) = model.scale(usual);
                if !value.is_nan() && unit > 0.0 {
                    model.lags = [(value - origin) / unit, model.lags[0]];
                }
            }
        }
    }
}

/// The rows of each UTC day.
fn days(starts_ms: &[i64]) -> Vec<Range<usize>> {
    let mut days: Vec<Range<usize>> = Vec::new();
    for (row, start_ms) in starts_ms.iter().enumerate() {
        match days.last_mut() {
            Some(day) if starts_ms[day.start].div_euclid(DAY_MS) == start_ms.div_euclid(DAY_MS) => day.end = row + 1,
            _ => days.push(row..row + 1),
        }
    }
    days
}

/// Mean and population deviation of what is there; a deviation of 0 where it never moved.
pub(crate) fn mean_and_deviation(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values.filter(|value| !value.is_nan()) {
        count += 1.0;
        let apart = value - mean;
        mean += apart / count;
        squares += apart * (value - mean);
    }
    if count == 0.0 { (0.0, 0.0) } else { (mean, (squares / count).sqrt()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;
    use ::model::{Catalogue, MetricKind};

    fn noise(row: u64) -> f64 {
        let mixed = ::model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    /// A valve and a temperature that follows it; from row 1,000 to 1,099 the temperature is `apart` too high.
    fn row(row: u64, apart: f64) -> [f64; 2] {
        let valve = 0.5 + 0.4 * noise(row / 30);
        let fault = if (1_000..1_100).contains(&row) { apart } else { 0.0 };
        [valve, 60.0 - 10.0 * valve + 0.3 * noise(row + 50_000) + fault]
    }

    fn baseline() -> Baseline {
        let metrics = &Catalogue::builtin().types["air_handling_unit"].metrics;
        let mut baseline = Baseline::default();
        baseline.push(metrics.get("cooling_valve"));
        baseline.push(metrics.get("supply_air_temp"));
        assert_eq!(baseline.slots[0].kind, MetricKind::Command);
        baseline
    }

    fn minute(row: u64) -> i64 {
        row.cast_signed() * 300_000
    }

    /// Rows in which the temperature was away, first and last.
    fn away(config: &ResidualConfig, apart: f64) -> Option<(u64, u64)> {
        let baseline = baseline();
        let usual = &baseline.slots;
        let mut residuals = Residuals::default();
        for at in 0..800 {
            residuals.judge(config, (0, 1.0), &row(at, apart), usual, Mode::Collect);
            residuals.learn(config, minute(at), &row(at, apart), usual, true, true);
        }
        assert_eq!(residuals.train(config, usual).len(), 800);
        assert!(residuals.held.is_empty() && residuals.models[1].equations.is_empty(), "the warm-up is forgotten");
        assert!((config.limit_min..8.0).contains(&residuals.limit()), "{}", residuals.limit());
        let mut found = None;
        for at in 800..1_400 {
            residuals.judge(config, (0, 1.0), &row(at, apart), usual, Mode::Judge);
            residuals.learn(config, minute(at), &row(at, apart), usual, !residuals.is_away(), true);
            if residuals.is_active(1) {
                found = Some((found.map_or(at, |(first, _)| first), at));
            }
        }
        found
    }

    #[test]
    fn what_a_command_does_not_explain_is_away_and_comes_back() {
        let config = ResidualConfig {
            regressors: Regressors::Inputs,
            hold_warm_up: true,
            drift_lambda: 0.0,
            limit_min: 3.0,
            ..ResidualConfig::default()
        };
        assert_eq!(away(&config, 0.0), None);
        // 800 states of five minutes are three days: with the limits of days left out the same is found.
        let left_out = ResidualConfig { left_out_days: true, ..config.clone() };
        assert_eq!((away(&left_out, 0.0), away(&left_out, 1.0).is_some()), (None, true));
        let (first, last) = away(&config, 1.0).unwrap();
        assert!((1_001..1_012).contains(&first) && (1_099..1_115).contains(&last), "{first} to {last}");
    }

    #[test]
    fn the_past_alone_finds_a_jump() {
        let config = ResidualConfig {
            regressors: Regressors::Past,
            hold_warm_up: true,
            drift_lambda: 0.0,
            ..ResidualConfig::default()
        };
        assert_eq!(away(&config, 0.0), None);
        assert!(away(&config, 40.0).is_some_and(|(first, _)| (1_000..1_005).contains(&first)));
    }

    #[test]
    fn days_are_the_rows_of_one_date() {
        assert_eq!(days(&[DAY_MS - 2, DAY_MS - 1, DAY_MS, 3 * DAY_MS]), [0..2, 2..3, 3..4]);
        assert_eq!(days(&[]), [] as [Range<usize>; 0]);
    }

    #[test]
    fn moments_leave_out_what_is_absent() {
        assert_eq!(mean_and_deviation([1.0, f64::NAN, 3.0].into_iter()), (2.0, 1.0));
        assert_eq!(mean_and_deviation([f64::NAN].into_iter()), (0.0, 0.0));
    }
}
