//! Changes: when metrics begin to move and when all have settled again.
//!
//! Each metric is predicted from its last value alone, by a line that was fitted on the warm-up. A fast and a slow moving average
//! of the residuals part while the metric goes somewhere and meet again when it has arrived; their difference in deviations
//! is the score. A fault has two changes, where it begins and where it has settled; so has its repair. A change is a note to
//! people, not an alarm.

use serde::{Deserialize, Serialize};

use super::residual::mean_and_deviation;
use crate::ChangeConfig;

/// One metric's line and averages; without `sigma` it is not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Follower {
    slope: f64,
    intercept: f64,
    sigma: f64,
    last: Option<f64>,
    fast: f64,
    slow: f64,
    spread: f64,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// The metric that moves most.
    pub slot: usize,
    /// What it was expected to be.
    pub expected: f64,
    /// Its score.
    pub score: f64,
    /// It begins to move; else all have settled.
    pub begins: bool,
}

/// The changes of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    followers: Vec<Follower>,
    moving: bool,
    /// States in a row on the other side of the limit.
    beyond: u32,
    /// States since the last change.
    since: u32,
}

impl Changes {
    /// Learns from the states of the warm-up.
    pub fn train(&mut self, config: &ChangeConfig, rows: &[Vec<f64>], slots: usize) {
        let follower = |slot| Follower::train(config, rows.iter().map(|row| row[slot]));
        let followers = (0..slots).map(follower).collect();
        *self = Changes { followers, moving: false, beyond: 0, since: config.apart_windows };
    }

    /// Takes a state in.
    pub fn see(&mut self, config: &ChangeConfig, values: &[f64]) -> Option<Change> {
        if config.on <= 0.0 {
            return None;
        }
        self.since = self.since.saturating_add(1);
        let mut strongest: Option<(usize, f64, f64)> = None;
        for (slot, (follower, value)) in self.followers.iter_mut().zip(values).enumerate() {
            let expected = follower.see(config, *value);
            let score = follower.score();
            // What is absent keeps its averages, but nothing is told of it.
            if value.is_nan() {
                continue;
            }
            if strongest.is_none_or(|(_, _, most)| score > most) {
                strongest = Some((slot, expected, score));
            }
        }
        let (slot, expected, score) = strongest?;
        let edge = if self.moving { score < config.off } else { score > config.on };
        self.beyond = if edge { self.beyond.saturating_add(1) } else { 0 };
        if !edge || (!self.moving && self.beyond < config.confirm_windows) {
            return None;
        }
        self.beyond = 0;
        self.moving = !self.moving;
        if self.since < config.apart_windows {
            return None;
        }
        self.since = 0;
        Some(Change { slot, expected, score, begins: self.moving })
    }
}

impl Follower {
    fn train(config: &ChangeConfig, values: impl Iterator<Item = f64> + Clone) -> Follower {
        let (mut count, mut sums) = (0.0, [0.0; 4]);
        let mut last = None;
        // Around the mean, so that the sums lose no digits.
        let (centre, _) = mean_and_deviation(values.clone());
        for value in values.clone().filter(|value| !value.is_nan()).map(|value| value - centre) {
            if let Some(before) = last {
                count += 1.0;
                for (sum, term) in sums.iter_mut().zip([before, value, before * before, before * value]) {
                    *sum += term;
                }
            }
            last = Some(value);
        }
        let [x, y, xx, xy] = sums;
        let along = count * xx - x * x;
        if along <= 0.0 {
            return Follower::default();
        }
        let slope = (count * xy - x * y) / along;
        let intercept = (y - slope * x) / count + centre * (1.0 - slope);
        let mut follower = Follower { slope, intercept, sigma: 1.0, spread: 1.0, ..Follower::default() };
        let mut residuals = Vec::new();
        for value in values.clone() {
            residuals.extend(follower.residual(value));
        }
        let (_, sigma) = mean_and_deviation(residuals.into_iter());
        if sigma <= 0.0 {
            return Follower::default();
        }
        (follower.sigma, follower.last) = (sigma, None);
        let mut differences = Vec::new();
        for value in values {
            follower.see(config, value);
            differences.push(follower.fast - follower.slow);
        }
        let (_, spread) = mean_and_deviation(differences.into_iter());
        follower.spread = spread.max(0.7 * (config.fast / (2.0 - config.fast)).sqrt());
        follower
    }

    /// The residual in deviations, where the last value is known; the value is then the last one.
    fn residual(&mut self, value: f64) -> Option<f64> {
        if value.is_nan() || self.sigma <= 0.0 {
            return None;
        }
        let before = self.last.replace(value)?;
        Some((value - self.slope * before - self.intercept) / self.sigma)
    }

    /// Takes a value in; gives what was expected.
    fn see(&mut self, config: &ChangeConfig, value: f64) -> f64 {
        let expected = self.last.map_or(value, |last| self.slope * last + self.intercept);
        if let Some(residual) = self.residual(value) {
            let clipped = residual.clamp(-config.clip, config.clip);
            self.fast += config.fast * (clipped - self.fast);
            self.slow += config.slow * (clipped - self.slow);
        }
        expected
    }

    fn score(&self) -> f64 {
        if self.sigma > 0.0 { (self.fast - self.slow).abs() / self.spread } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(row: u64) -> f64 {
        let mixed = model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    #[test]
    fn a_ramp_begins_and_settles_and_noise_does_neither() {
        let config = ChangeConfig { on: 5.0, ..ChangeConfig::default() };
        let rows: Vec<Vec<f64>> = (0..400).map(|row| vec![noise(row), 7.0]).collect();
        let mut changes = Changes::default();
        changes.train(&config, &rows, 2);
        let value = |row: u64| noise(row) + if row < 600 { 0.0 } else { (row - 600).min(40) as f64 * 0.3 };
        let found: Vec<(u64, usize, bool)> = (400..900)
            .filter_map(|row| changes.see(&config, &[value(row), 7.0]).map(|change| (row, change.slot, change.begins)))
            .collect();
        expect_test::expect!["[(606, 0, true), (669, 0, false)]"].assert_eq(&format!("{found:?}"));
    }
}
