//! Detections against windows of time, as the Numenta Anomaly Benchmark (Lavin and Ahmad, 2015) scores them, in two
//! protocols: windows around anomalies over a corpus of rows, and windows to the right of change points.
//!
//! Inside a window only the earliest detection counts, the more the earlier it is; a missed window costs, and so does
//! each detection outside. How the value falls within a window differs: the corpus has a sigmoid that stays near 1 for
//! most of it, change points a hyperbolic tangent that is one half in its middle. Scores are normalised so that no alarm at all is 0 and a perfect detector 100.

/// Weights of a profile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Profile {
    /// Cost of a false detection.
    pub fp: f64,
    /// Cost of a missed window.
    pub fn_: f64,
}

/// Standard, reward of few false positives, reward of few false negatives.
pub const PROFILES: [Profile; 3] =
    [Profile { fp: 0.11, fn_: 1.0 }, Profile { fp: 0.22, fn_: 1.0 }, Profile { fp: 0.11, fn_: 2.0 }];

/// A score in each of [`PROFILES`].
pub type Scores = [f64; 3];

/// The benchmark's scaled sigmoid: 1 far left of the window's right end, 0 at it, -1 far to the right.
fn sigmoid(position: f64) -> f64 {
    if position > 3.0 { -1.0 } else { 2.0 / (1.0 + libm::exp(5.0 * position)) - 1.0 }
}

/// The leaderboard's value of a found change point: 1 at its window's left end, one half in the middle, 0 at the right end.
fn falling(share: f64) -> f64 {
    use std::f64::consts::{FRAC_PI_2, PI};
    0.5 - 0.5 * libm::tanh((share - 0.5) * PI) / libm::tanh(FRAC_PI_2)
}

/// What a corpus adds up to; the profiles weigh it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sum over found windows, each at most 1.
    pub found_value: f64,
    /// Windows found.
    pub found: u32,
    /// Windows.
    pub windows: u32,
    /// Detections outside windows.
    pub false_: u32,
    /// What these cost at a weight of 1.
    pub false_value: f64,
}

impl Tally {
    /// Both together.
    pub fn join(self, other: Tally) -> Tally {
        Tally {
            found_value: self.found_value + other.found_value,
            found: self.found + other.found,
            windows: self.windows + other.windows,
            false_: self.false_ + other.false_,
            false_value: self.false_value + other.false_value,
        }
    }

    /// The normalised score in a profile.
    pub fn score(&self, profile: Profile) -> f64 {
        let windows = f64::from(self.windows);
        if self.windows == 0 {
            return 0.0;
        }
        let missed = windows - f64::from(self.found);
        let raw = self.found_value - profile.fn_ * missed - profile.fp * self.false_value;
        let null = -profile.fn_ * windows;
        100.0 * (raw - null) / (windows - null)
    }

    /// In all profiles.
    pub fn scores(&self) -> Scores {
        PROFILES.map(|profile| self.score(profile))
    }
}

/// Detections of one file of a corpus: row numbers in rising order against windows of row numbers, both ends included.
/// Nothing before `probation` counts. A detection outside costs less the closer it follows a window.
pub fn corpus(detections: &[usize], windows: &[(usize, usize)], probation: usize) -> Tally {
    let windows: Vec<(usize, usize)> = windows.iter().copied().filter(|(_, right)| *right >= probation).collect();
    let mut tally = Tally { windows: u32::try_from(windows.len()).expect("few windows"), ..Tally::default() };
    let mut found = vec![false; windows.len()];
    let rows = |from: usize, to: usize| (to as f64) - (from as f64);
    for &row in detections.iter().filter(|row| **row >= probation) {
        if let Some(at) = windows.iter().position(|(left, right)| (*left..=*right).contains(&row)) {
            if !std::mem::replace(&mut found[at], true) {
                let (left, right) = windows[at];
                let position = -(rows(row, right) + 1.0) / (rows(left, right) + 1.0);
                tally.found += 1;
                tally.found_value += sigmoid(position) / sigmoid(-1.0);
            }
            continue;
        }
        tally.false_ += 1;
        tally.false_value += match windows.iter().rev().find(|(_, right)| *right < row) {
            Some((left, right)) => -sigmoid(rows(*right, row) / rows(*left, *right).max(1.0)),
            None => 1.0,
        };
    }
    tally
}

/// Seconds after a change point in which it is found.
pub const CHANGE_WINDOW_MS: i64 = 60_000;

/// Detections of change points in one file, by time. A window begins at its change point and ends with its time or at the next
/// change point; every detection outside costs the same.
pub fn changes(detections: &[i64], labels: &[i64]) -> Tally {
    let mut tally = Tally { windows: u32::try_from(labels.len()).expect("few change points"), ..Tally::default() };
    let mut windows: Vec<(i64, i64)> = Vec::new();
    for &label in labels {
        if let Some((_, right)) = windows.last_mut() {
            *right = (*right).min(label - 1);
        }
        windows.push((label, label + CHANGE_WINDOW_MS));
    }
    let mut found = vec![false; windows.len()];
    for &time_ms in detections {
        match windows.iter().position(|(left, right)| (*left..=*right).contains(&time_ms)) {
            Some(at) if found[at] => {}
            Some(at) => {
                found[at] = true;
                let (left, right) = windows[at];
                tally.found += 1;
                tally.found_value += falling((time_ms - left) as f64 / ((right - left).max(1) as f64));
            }
            None => {
                tally.false_ += 1;
                tally.false_value += 1.0;
            }
        }
    }
    tally
}

/// One-to-one matching: each change point takes the first free detection within the window behind it. This is the score
/// that a clock which never looks at the data can't win.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Pairs.
    pub found: u32,
    /// Detections without a change point.
    pub false_: u32,
    /// Change points without a detection.
    pub missed: u32,
}

impl Matched {
    /// Matches the detections of one file.
    pub fn of(detections: &[i64], labels: &[i64]) -> Matched {
        let mut free: Vec<i64> = detections.to_vec();
        let mut matched = Matched::default();
        for label in labels {
            match free.iter().position(|time_ms| (0..=CHANGE_WINDOW_MS).contains(&(time_ms - label))) {
                Some(at) => {
                    free.remove(at);
                    matched.found += 1;
                }
                None => matched.missed += 1,
            }
        }
        matched.false_ = u32::try_from(free.len()).expect("few detections");
        matched
    }

    /// Both together.
    pub fn join(self, other: Matched) -> Matched {
        Matched {
            found: self.found + other.found,
            false_: self.false_ + other.false_,
            missed: self.missed + other.missed,
        }
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self) -> f64 {
        let all = 2 * self.found + self.false_ + self.missed;
        if all == 0 { 0.0 } else { f64::from(2 * self.found) / f64::from(all) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(scores: Scores) -> [f64; 3] {
        scores.map(|score| (score * 100.0).round() / 100.0)
    }

    #[test]
    fn null_is_0_and_perfect_nearly_100_in_a_corpus() {
        let windows = [(100, 199), (300, 399)];
        assert_eq!(rounded(corpus(&[], &windows, 15).scores()), [0.0; 3]);
        assert_eq!(rounded(corpus(&[100, 300], &windows, 15).scores()), [100.0; 3]);
        // A second detection in a window is free, one in the probation does not count.
        assert_eq!(rounded(corpus(&[3, 100, 150, 300], &windows, 15).scores()), [100.0; 3]);
    }

    #[test]
    fn the_middle_of_a_window_is_worth_most_of_it_and_a_false_alarm_its_weight() {
        let windows = [(100, 199)];
        // 50 of 100 rows before the right end: 2 / (1 + exp(-2.5)) - 1 = .8483, of .9866 at the window's start.
        let middle = corpus(&[150], &windows, 0);
        assert!((middle.found_value - 0.848_284 / 0.986_614).abs() < 1e-5, "{middle:?}");
        // Before the first window a false row costs all, a tenth of a width behind it sigmoid(.1) = -.2449 of it.
        assert_eq!(corpus(&[20], &windows, 0).false_value, 1.0);
        let behind = corpus(&[199 + 10], &windows, 0).false_value;
        assert!((behind - 0.248_2).abs() < 2e-3, "{behind}");
        assert_eq!(corpus(&[199 + 99 * 3 + 1], &windows, 0).false_value, 1.0);
        // Null but for one false row: 100 * -.11 / 2, -.22 / 2, -.11 / 3.
        assert_eq!(rounded(corpus(&[20], &windows, 0).scores()), [-5.5, -11.0, -3.67]);
    }

    #[test]
    fn always_alarm_on_change_points_is_one_false_edge_a_file() {
        // 34 files with 127 change points, each flagged once at its first row: -1.47 / -2.94 / -.98 as published.
        let file = changes(&[0], &[1_000_000, 2_000_000, 3_000_000]);
        let all = Tally { windows: 127, ..(0..34).fold(Tally::default(), |sum, _| sum.join(file)) };
        assert_eq!(rounded(all.scores()), [-1.47, -2.94, -0.98]);
    }

    #[test]
    fn change_points_are_found_to_their_right_and_overlaps_are_cut() {
        let labels = [100_000, 130_000];
        assert_eq!(rounded(changes(&[], &labels).scores()), [0.0; 3]);
        assert_eq!(changes(&[99_000], &labels).false_, 1);
        // The first window ends where the second begins: a detection at 129 s belongs to the first, one at 150 s to the second.
        let both = changes(&[129_000, 150_000], &labels);
        assert_eq!((both.found, both.false_), (2, 0));
        assert_eq!(changes(&[130_000, 150_000], &labels).found, 1);
        assert!((changes(&[160_000], &labels).found_value - 0.5).abs() < 1e-12, "half its value in the middle");
        assert_eq!(rounded(changes(&labels, &labels).scores()), [100.0; 3]);
        assert_eq!(Matched::of(&[100_000, 150_000], &labels), Matched { found: 2, false_: 0, missed: 0 });
        assert_eq!(Matched::of(&[99_000, 150_000], &labels), Matched { found: 1, false_: 1, missed: 1 });
        assert_eq!(Matched::of(&[99_000, 150_000], &labels).f1(), 0.5);
    }
}
