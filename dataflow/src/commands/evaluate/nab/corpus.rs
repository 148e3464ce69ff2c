//! Scored rows of a corpus: which are alarms at a threshold, and what that is worth at the best one.

use super::File;
use crate::commands::evaluate::windows::{PROFILES, Scores, Tally};

/// A score counts only where none of so many rows before was as high: alarms are events, not rows.
const REFRACTORY_ROWS: usize = 100;
/// Halvings of the corpus behind the fixed-threshold figure.
const SPLITS: u64 = 40;
/// Scores of a file's rows.
pub type RowScores = Vec<f64>;

/// Rows whose score is the highest of the last hundred, with it.
pub fn events(scores: &[f64]) -> Vec<(usize, f64)> {
    let mut events: Vec<(usize, f64)> = Vec::new();
    for (row, score) in scores.iter().copied().enumerate().filter(|(_, score)| *score > 0.0) {
        let higher = |(at, before): &&(usize, f64)| row - at <= REFRACTORY_ROWS && *before >= score;
        if events.iter().rev().take_while(|(at, _)| row - at <= REFRACTORY_ROWS).find(higher).is_none() {
            events.push((row, score));
        }
    }
    events
}

/// Rows at which an incident would open at a threshold: those that reach it, behind more quiet rows than an incident stays open.
fn openings(scores: &[(usize, f64)], threshold: f64, clear_rows: usize) -> Vec<usize> {
    let (mut opened, mut last) = (Vec::new(), None);
    for (row, _) in scores.iter().filter(|(_, score)| *score >= threshold) {
        if last.is_none_or(|last| row - last > clear_rows) {
            opened.push(*row);
        }
        last = Some(row);
    }
    opened
}

/// Which rows of a file are detections.
#[derive(Clone, Copy)]
enum Alarms {
    /// All that reach the threshold.
    Each,
    /// Where incidents open that end after so many quiet rows.
    Incidents(usize),
}

/// Scored rows of some files, to be looked at with any threshold.
pub struct Corpus<'a> {
    alarms: Alarms,
    files: Vec<(&'a File, Vec<(usize, f64)>)>,
}

impl<'a> Corpus<'a> {
    /// Of the files' row scores: an alarm is a row that stands out among the last hundred.
    pub fn of_events(files: impl Iterator<Item = (&'a File, RowScores)>) -> Self {
        let files = files.map(|(file, scores)| (file, events(&scores))).collect();
        Corpus { alarms: Alarms::Each, files }
    }

    /// Of the files' row scores: an alarm is the opening of an incident, which ends after so many quiet rows.
    pub fn of_incidents(clear_rows: usize, files: impl Iterator<Item = (&'a File, RowScores)>) -> Self {
        let scored = |scores: RowScores| scores.into_iter().enumerate().filter(|(_, score)| *score > 0.0).collect();
        let files = files.map(|(file, scores)| (file, scored(scores))).collect();
        Corpus { alarms: Alarms::Incidents(clear_rows), files }
    }

    /// By file, at a threshold.
    pub fn tallies(&self, threshold: f64) -> Vec<Tally> {
        let each = |(file, scores): &(&File, Vec<(usize, f64)>)| {
            let rows: Vec<usize> = match self.alarms {
                Alarms::Each => scores.iter().filter(|(_, score)| *score >= threshold).map(|(row, _)| *row).collect(),
                Alarms::Incidents(clear_rows) => openings(scores, threshold, clear_rows),
            };
            file.tally(&rows)
        };
        self.files.iter().map(each).collect()
    }

    /// All thresholds that make a difference, falling, with the tallies of all files; the first one alarms never.
    fn course(&self) -> Vec<(f64, Vec<Tally>)> {
        let mut thresholds: Vec<f64> =
            self.files.iter().flat_map(|(_, scores)| scores).map(|scored| scored.1).collect();
        thresholds.push(f64::INFINITY);
        thresholds.sort_by(|a, b| b.total_cmp(a));
        thresholds.dedup();
        thresholds.into_iter().map(|threshold| (threshold, self.tallies(threshold))).collect()
    }

    /// Each profile at its own best threshold, as the benchmark's table has it, with the thresholds; then all profiles at a
    /// threshold that is the best of one half of the files in the standard profile, on the other half: the mean of forty halvings, both ways.
    pub fn best_and_fixed(&self) -> ([(f64, f64); 3], Scores) {
        let course = self.course();
        let join = |tallies: &[Tally], keep: &dyn Fn(usize) -> bool| {
            let kept = tallies.iter().enumerate().filter(|(at, _)| keep(*at));
            kept.fold(Tally::default(), |sum, (_, tally)| sum.join(*tally))
        };
        let best = |profile: usize, keep: &dyn Fn(usize) -> bool| {
            let score = |at: usize| join(&course[at].1, keep).score(PROFILES[profile]);
            let mut best = (0, score(0));
            for at in 1..course.len() {
                let score = score(at);
                if score > best.1 {
                    best = (at, score);
                }
            }
            best
        };
        let hindsight = [0, 1, 2].map(|profile| {
            let (at, score) = best(profile, &|_| true);
            (course[at].0, score)
        });
        let mut sums = [0.0; 3];
        for split in 0..SPLITS {
            let half = halve(self.files.len(), split);
            for side in [false, true] {
                let (at, _) = best(0, &|file| half[file] == side);
                let other = join(&course[at].1, &|file| half[file] != side).scores();
                sums.iter_mut().zip(other).for_each(|(sum, score)| *sum += score);
            }
        }
        (hindsight, sums.map(|sum| sum / (2.0 * SPLITS as f64)))
    }
}

/// Half of the files, by a shuffle that the number of the split decides.
fn halve(files: usize, split: u64) -> Vec<bool> {
    let mut order: Vec<(u64, usize)> =
        (0..files).map(|file| (model::hash::hash_text(&format!("{split} {file}")), file)).collect();
    order.sort_unstable();
    let mut half = vec![false; files];
    order[..files / 2].iter().for_each(|(_, file)| half[*file] = true);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_row_that_beats_the_hundred_before_it() {
        let mut scores = vec![0.0; 400];
        for (row, score) in [(10, 3.0), (20, 3.0), (50, 4.0), (150, 4.0), (151, 3.5), (252, 3.5)] {
            scores[row] = score;
        }
        // 151 is within a hundred rows of 50 no more, and nothing between them was emitted.
        assert_eq!(events(&scores), [(10, 3.0), (50, 4.0), (151, 3.5), (252, 3.5)]);
    }

    #[test]
    fn an_incident_opens_behind_more_quiet_rows_than_it_stays_open() {
        let scores = [(10, 3.0), (12, 4.0), (20, 3.0), (36, 3.0), (52, 2.0), (53, 3.0)];
        // 36 is sixteen behind 20, 53 seventeen behind 36 for the row between them is below.
        assert_eq!(openings(&scores, 3.0, 15), [10, 36, 53]);
        assert_eq!(openings(&scores, 3.0, 16), [10, 53]);
        assert_eq!(openings(&scores, 4.0, 15), [12]);
    }

    #[test]
    fn every_halving_takes_half_and_they_differ() {
        let halves: Vec<Vec<bool>> = (0..3).map(|split| halve(7, split)).collect();
        assert!(halves.iter().all(|half| half.iter().filter(|taken| **taken).count() == 3));
        assert!(halves[0] != halves[1] || halves[1] != halves[2]);
    }
}
