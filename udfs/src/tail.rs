//! How rare a score is for this very device: an exponential tail over a running 98.5 % quantile.
//!
//! Scores differ in scale from view to view and from device to device; their rarity does not. `rarity` says how many
//! decades rare a score is (3: once in a thousand states) from the scores seen before. State: four numbers.

use std::f64::consts::LN_10;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Share of scores above the running quantile.
const ABOVE: f64 = 0.015;
/// Its rarity: -log10 of the share.
const DECADES_AT_QUANTILE: f64 = 1.824;
/// A tail is never thinner than this share of its quantile: readings in steps repeat a few scores exactly, and the
/// least rounding beyond them is not rare.
const THINNEST: f64 = 0.02;

/// Running tail of one kind of score.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tail {
    quantile: f64,
    excess: f64,
    mean: f64,
    above: u32,
    least_width: f64,
}

impl Tail {
    /// A tail whose scores differ by chance by `least_width` at least.
    pub fn with_least_width(least_width: f64) -> Self {
        Tail { least_width, ..Tail::default() }
    }

    /// Decades of rarity of a score, 0 while too little is known.
    pub fn rarity(&self, score: f64) -> f64 {
        if self.excess <= 0.0 || self.quantile <= 0.0 {
            0.0
        } else if score > self.quantile {
            DECADES_AT_QUANTILE + (score - self.quantile) / (LN_10 * self.width())
        } else {
            DECADES_AT_QUANTILE * score / self.quantile
        }
    }

    /// Its quantile and the width of what lies beyond it.
    pub(crate) fn shape(&self) -> (f64, f64) {
        (self.quantile, self.width())
    }

    fn width(&self) -> f64 {
        self.excess.max(THINNEST * self.quantile).max(self.least_width)
    }

    /// The score that is so many decades rare; infinite while too little is known.
    pub fn score_at(&self, decades: f64) -> f64 {
        if self.excess <= 0.0 || self.quantile <= 0.0 {
            f64::INFINITY
        } else {
            self.quantile + (decades - DECADES_AT_QUANTILE) * LN_10 * self.width()
        }
    }

    /// Learns a score that may be an anomaly's: it counts as no more than the limit. Leaving it out would make the limit
    /// sink for ever, since only scores below it were learned.
    pub fn learn_limited(&mut self, score: f64, decades: f64, row: u32) {
        self.learn(score.min(self.score_at(decades)), row);
    }

    /// Learns the score of row `row` (from 0).
    pub fn learn(&mut self, score: f64, row: u32) {
        let count = f64::from(row) + 1.0;
        self.mean += (1.0 / count).max(0.002) * (score - self.mean);
        let step = 2.0 * self.mean * gain(row);
        if score > self.quantile {
            self.above += 1;
            self.quantile += step * (1.0 - ABOVE);
            let mut excess = score - self.quantile;
            // Without any excess so far a cap would leave it at none for ever.
            if self.above > 5 && self.excess > 0.0 {
                excess = excess.min(5.0 * self.excess);
            }
            if excess > 0.0 {
                self.excess += (1.0 / f64::from(self.above)).max(0.02) * (excess - self.excess);
            }
        } else {
            self.quantile = (self.quantile - step * ABOVE).max(0.0);
        }
    }
}

/// `max(.01, (row + 1)^-.6)`, from a table while it is above its floor.
fn gain(row: u32) -> f64 {
    static GAINS: OnceLock<Vec<f64>> = OnceLock::new();
    let gains = GAINS.get_or_init(|| (1..2155).map(|count| libm::pow(f64::from(count), -0.6).max(0.01)).collect());
    gains.get(row as usize).copied().unwrap_or(0.01)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1,2,..,9 then 30: the numbers by hand from the recipe.
    #[test]
    fn follows_the_recipe() {
        let mut tail = Tail::default();
        assert_eq!(tail.rarity(5.0), 0.0);
        tail.learn(1.0, 0);
        // mean 1, gain 1: the quantile rises by 2 * .985 and there is no excess yet.
        assert_eq!((tail.mean, tail.quantile, tail.excess, tail.above), (1.0, 1.97, 0.0, 1));
        tail.learn(9.0, 1);
        let step = 2.0 * 5.0 * libm::pow(2.0, -0.6);
        let quantile = 1.97 + step * 0.985;
        let expected = if 9.0 > quantile { (9.0 - quantile) / 2.0 } else { 0.0 };
        assert_eq!((tail.quantile, tail.excess), (quantile, expected));
    }

    #[test]
    fn a_score_at_its_own_rarity_is_itself() {
        let mut tail = Tail::default();
        for row in 0..5_000u32 {
            tail.learn(f64::from(row.wrapping_mul(2_654_435_761) >> 16) / 65_536.0, row);
        }
        let score = tail.score_at(4.0);
        assert!((tail.rarity(score) - 4.0).abs() < 1e-9);
        assert!((0.9..1.1).contains(&tail.quantile), "{tail:?}");
    }
}
