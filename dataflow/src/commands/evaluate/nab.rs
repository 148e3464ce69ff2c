//! NAB: one metric a file, labelled windows of time. A detector gives a score a row; one threshold holds for the whole corpus.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use model::Method;

use super::graph::{Outcome, Recording, judge};
use super::input::{Table, lacks, name_of, time_ms};
use super::windows::{PROFILES, Scores, Tally, corpus};
use super::{Labelled, Part, reference};
use crate::config::Config;

const TIME: &str = "%Y-%m-%d %H:%M:%S";
/// A score counts only where none of so many rows before was as high: alarms are events, not rows.
const REFRACTORY_ROWS: usize = 100;
/// Halvings of the corpus behind the fixed-threshold figure.
const SPLITS: u64 = 40;

/// A labelled file.
pub struct File {
    /// Path within the folder.
    pub name: String,
    recording: Recording,
    values: Vec<f64>,
    windows: Vec<(usize, usize)>,
    /// Usual time between rows.
    interval_ms: i64,
}

/// Scores of a file's rows.
pub type RowScores = Vec<f64>;

/// Reads the corpus: `labels/combined_windows.json` and the files that it names and the folder holds.
///
/// # Errors
/// If the labels or all files are missing, or one is not of the format.
pub fn read(folder: &Path) -> anyhow::Result<Vec<File>> {
    let path = folder.join("labels/combined_windows.json");
    if !path.is_file() {
        return Err(lacks(folder, "file labels/combined_windows.json"));
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let labels: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).with_context(|| format!("{} is not a list of windows a file", path.display()))?;
    let mut files = Vec::new();
    for (name, windows) in labels {
        // Upstream keeps the tables in a folder of their own.
        let Some(path) = [folder.join(&name), folder.join("data").join(&name)].into_iter().find(|path| path.is_file())
        else {
            continue;
        };
        let name = name_of(folder, &path);
        files.push(File::of(&path, &name, &windows).with_context(|| format!("could not use {name}"))?);
    }
    if files.is_empty() {
        return Err(lacks(folder, "table that labels/combined_windows.json names"));
    }
    Ok(files)
}

impl File {
    fn of(path: &Path, name: &str, windows: &[(String, String)]) -> anyhow::Result<File> {
        let table = Table::read(path, ',')?;
        let (time, value) = (table.column("timestamp")?, table.column("value")?);
        let times_ms = table.times_ms(time, TIME)?;
        anyhow::ensure!(times_ms.len() > 1, "it has fewer than two rows");
        let mut steps: Vec<i64> = times_ms.windows(2).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_unstable();
        let row_windows = windows
            .iter()
            .map(|(from, to)| {
                let bound = |text: &str| {
                    time_ms("%Y-%m-%d %H:%M:%S%.f", text).with_context(|| format!("label {text:?} is no time"))
                };
                let (from_ms, to_ms) = (bound(from)?, bound(to)?);
                let left = times_ms.iter().position(|time_ms| *time_ms >= from_ms);
                let right = times_ms.iter().rposition(|time_ms| *time_ms <= to_ms);
                left.zip(right).filter(|(left, right)| left <= right).context("a labelled window holds no row")
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(File {
            name: name.to_owned(),
            values: table.rows.iter().map(|row| row[value].parse().unwrap_or(f64::NAN)).collect(),
            recording: Recording {
                device_id: format!("nab-{}", name.trim_end_matches(".csv").replace('/', "-")),
                device_type: "series",
                metrics: vec![("value".to_owned(), "")],
                rows: table.rows.iter().zip(&times_ms).map(|(row, ms)| (*ms, vec![row[value].clone()])).collect(),
            },
            windows: row_windows,
            interval_ms: steps[steps.len() / 2].max(1),
        })
    }

    /// Rows at the start that are not scored.
    fn probation(&self) -> usize {
        (self.values.len() * 15 / 100).min(750)
    }

    /// The project's own scores: those of the statistics' verdicts, at each window's last row.
    ///
    /// # Errors
    /// If the job fails.
    pub fn judge(&self, config: &Config) -> anyhow::Result<(RowScores, Outcome)> {
        let mut config = config.clone();
        config.job.window_ms = self.interval_ms;
        let outcome = judge(&self.recording, &config)?;
        let mut last: BTreeMap<i64, usize> = BTreeMap::new();
        for (row, (time_ms, _)) in self.recording.rows.iter().enumerate() {
            last.insert(outcome.window(*time_ms), row);
        }
        let mut scores = vec![0.0; self.values.len()];
        for (start_ms, row) in last {
            scores[row] =
                outcome.states.get(&start_ms).map_or(0.0, |state| state.verdicts[Method::Statistics as usize].score);
        }
        Ok((scores, outcome))
    }

    /// Scores of the record detector.
    pub fn record(&self) -> RowScores {
        reference::record(&self.values)
    }

    /// Rows in whose window an incident opened.
    pub fn opened(&self, outcome: &Outcome) -> Vec<usize> {
        let rows = self.recording.rows.iter();
        let opened =
            |start_ms: i64| outcome.alarms.iter().any(|alarm| alarm.kind == "anomaly" && alarm.opened_ms == start_ms);
        let mut found: Vec<usize> = Vec::new();
        let mut before_ms = None;
        for (row, (time_ms, _)) in rows.enumerate() {
            let start_ms = outcome.window(*time_ms);
            if before_ms != Some(start_ms) && opened(start_ms) {
                found.push(row);
            }
            before_ms = Some(start_ms);
        }
        found
    }

    /// Scores detections.
    pub fn tally(&self, detections: &[usize]) -> Tally {
        corpus(detections, &self.windows, self.probation())
    }

    /// The file as a plot shows it.
    pub fn labelled(&self) -> Labelled<'_> {
        let time_ms = |row: usize| self.recording.rows[row].0;
        let faults_ms = self.windows.iter().map(|(left, right)| (time_ms(*left), time_ms(*right))).collect();
        Labelled { name: &self.name, metrics: &self.recording.metrics, faults_ms }
    }
}

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

/// Events of some files, to be scored at any threshold.
pub struct Corpus<'a> {
    files: Vec<(&'a File, Vec<(usize, f64)>)>,
}

impl<'a> Corpus<'a> {
    /// Of the files' row scores.
    pub fn new(files: impl Iterator<Item = (&'a File, RowScores)>) -> Self {
        Corpus { files: files.map(|(file, scores)| (file, events(&scores))).collect() }
    }

    /// By file, at a threshold.
    pub fn tallies(&self, threshold: f64) -> Vec<Tally> {
        let each = |(file, events): &(&File, Vec<(usize, f64)>)| {
            let rows: Vec<usize> =
                events.iter().filter(|(_, score)| *score >= threshold).map(|(row, _)| *row).collect();
            file.tally(&rows)
        };
        self.files.iter().map(each).collect()
    }

    /// All thresholds that make a difference, falling, with the tallies of all files; the first one alarms never.
    fn course(&self) -> Vec<(f64, Vec<Tally>)> {
        let mut thresholds: Vec<f64> = self.files.iter().flat_map(|(_, events)| events).map(|event| event.1).collect();
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

/// Scores in the three profiles.
pub fn text(scores: Scores) -> String {
    let [standard, low_fp, low_fn] = scores.map(|score| format!("{score:.1}"));
    format!("{standard} / {low_fp} / {low_fn}")
}

/// One file of the table.
pub fn part(file: &File, tally: &Tally) -> Part {
    let cells = vec![
        format!("{} of {}", tally.found, tally.windows),
        tally.false_.to_string(),
        format!("{:.2}", tally.found_value - PROFILES[0].fp * tally.false_value),
    ];
    Part { name: file.name.clone(), cells }
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
    fn every_halving_takes_half_and_they_differ() {
        let halves: Vec<Vec<bool>> = (0..3).map(|split| halve(7, split)).collect();
        assert!(halves.iter().all(|half| half.iter().filter(|taken| **taken).count() == 3));
        assert!(halves[0] != halves[1] || halves[1] != halves[2]);
    }
}
