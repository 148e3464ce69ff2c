//! Lost readings: how much of what a metric, or a device, usually sends does not come. A bad line loses a third of the readings and leaves no
//! gap that is long.
//!
//! A share is a moving average over about half an hour of states: 1 for what is absent, else what is lacking of the usual number of
//! readings in a window. What all metrics lack is the device's loss and not theirs.

use serde::{Deserialize, Serialize};

/// Step of the share: the last thirty states or so.
const STEP: f64 = 1.0 / 30.0;
/// Least step of the usual share and the usual number of readings.
const SLOW: f64 = 0.002;
/// Least share that is told. What comes to more than the usual by chance is far below.
const LEAST: f64 = 0.2;
/// The limit is at least so many times the usual share, and this more.
const USUAL_FACTOR: f64 = 2.0;
const USUAL_MORE: f64 = 0.1;
/// A loss is over below this part of its limit.
const CLOSE: f64 = 0.5;

/// How many readings a window usually has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct UsualCount {
    mean: f64,
    windows: u32,
}

impl UsualCount {
    /// What is lacking of the usual number, 0 to 1; learns the number.
    pub(super) fn lacking(&mut self, count: u32) -> f64 {
        let count = f64::from(count);
        let lacking = if self.mean > 0.0 { (1.0 - count / self.mean).clamp(0.0, 1.0) } else { 0.0 };
        self.windows = self.windows.saturating_add(1);
        self.mean += (1.0 / f64::from(self.windows)).max(SLOW) * (count - self.mean);
        lacking
    }
}

/// A share of what is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Loss {
    share: f64,
    usual: f64,
    seen: u32,
    since_ms: i64,
    is_told: bool,
}

/// A loss beyond its limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lost {
    /// Share of the last half hour or so, 0 to 1.
    pub share: f64,
    /// The limit of it.
    pub limit: f64,
    /// Since when.
    pub since_ms: i64,
}

impl Loss {
    /// Takes in what was lost of a window, 0 to 1.
    pub(super) fn see(&mut self, lost: f64, start_ms: i64) {
        if lost > 0.0 && self.share < LEAST * CLOSE * CLOSE {
            self.since_ms = start_ms;
        }
        self.share += STEP * (lost - self.share);
        self.seen = self.seen.saturating_add(1);
        if !self.is_told {
            self.usual += (1.0 / f64::from(self.seen)).max(SLOW) * (lost - self.usual);
        }
    }

    /// Forgets what was lost lately.
    pub(super) fn forget(&mut self) {
        self.share = 0.0;
        self.is_told = false;
    }

    /// Whether it is beyond its limit, or has been and is not over.
    pub(super) fn judge(&mut self, is_judged: bool) -> Option<Lost> {
        let limit = LEAST.max(USUAL_FACTOR * self.usual + USUAL_MORE);
        self.is_told = is_judged && self.share >= if self.is_told { CLOSE * limit } else { limit };
        self.is_told.then_some(Lost { share: self.share, limit, since_ms: self.since_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// State at which a loss of every `each`-th window is told and over, behind a thousand whole ones.
    fn told(each: i64, usual: i64) -> (Option<i64>, Option<i64>) {
        let mut loss = Loss::default();
        let (mut begins, mut ends) = (None, None);
        for at in 0..1_400 {
            let every = if (1_000..1_200).contains(&at) { each } else { usual };
            loss.see(if at % every == 0 { 1.0 } else { 0.0 }, at * 60_000);
            match loss.judge(at >= 360) {
                Some(lost) => {
                    begins = begins.or(Some(at - 1_000));
                    assert!(lost.since_ms <= at * 60_000);
                }
                None if begins.is_some() => ends = ends.or(Some(at - 1_000)),
                None => {}
            }
        }
        (begins, ends)
    }

    #[test]
    fn a_third_is_told_after_half_an_hour_and_what_is_usual_never() {
        let (begins, ends) = told(3, 1_000);
        assert!((20..45).contains(&begins.unwrap()) && (200..240).contains(&ends.unwrap()), "{begins:?} {ends:?}");
        assert_eq!(told(5, 5), (None, None), "a device that reports every fifth window less often");
        assert_eq!(told(20, 1_000), (None, None), "one in twenty");
    }

    #[test]
    fn a_window_lacks_what_is_short_of_the_usual_count() {
        let mut usual = UsualCount::default();
        assert!((0..100).all(|_| usual.lacking(6) <= 0.0));
        assert!((usual.lacking(3) - 0.5).abs() < 1e-9);
        assert!(usual.lacking(9) <= 0.0);
    }
}
