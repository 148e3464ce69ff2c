//! SKAB: a water bench with eight sensors, a row a second. The first 400 rows of a file are for training; the rest is scored
//! row by row, pooled over all files, and by its change points.

use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value as Json, json};

use super::counts::Counts;
use super::graph::{Outcome, Recording, judge};
use super::input::{Table, lacks, name_of, tables};
use super::windows::{Matched, Tally, changes};
use super::{
    HERE, Labelled, OWN, Part, Report, Task, left_out, left_out_name, progress, published, reference, without,
};
use crate::config::Config;

/// Rows at a file's start that are for training.
pub const TRAINING_ROWS: usize = 400;

const TIME: &str = "%Y-%m-%d %H:%M:%S";

/// A labelled file.
pub struct File {
    /// Path within the folder.
    pub name: String,
    recording: Recording,
    faulty: Vec<bool>,
    changes_ms: Vec<i64>,
}

/// What a detector said of a file's test part.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// By test row.
    pub flags: Vec<bool>,
    /// Detected change points.
    pub changes_ms: Vec<i64>,
}

/// How good that was.
#[derive(Clone, Copy, Debug, Default)]
pub struct Score {
    /// By row.
    pub rows: Counts,
    /// Change points by windows.
    pub changes: Tally,
    /// Change points one to one.
    pub matched: Matched,
}

impl Score {
    /// Both together.
    pub fn join(self, other: Score) -> Score {
        Score {
            rows: self.rows.join(other.rows),
            changes: self.changes.join(other.changes),
            matched: self.matched.join(other.matched),
        }
    }
}

/// Reads the labelled files of a folder.
///
/// # Errors
/// If there is none, or one is not of the format.
pub fn read(folder: &Path) -> anyhow::Result<Vec<File>> {
    let mut files = Vec::new();
    for path in tables(folder)? {
        let table = Table::read(&path, ';')?;
        // The part without faults has no labels.
        if !table.header().iter().any(|name| name == "anomaly") {
            continue;
        }
        let name = name_of(folder, &path);
        files.push(File::of(&table, &name).with_context(|| format!("could not use {name}"))?);
    }
    if files.is_empty() {
        return Err(lacks(folder, "table with the columns \"datetime;...;anomaly;changepoint\""));
    }
    Ok(files)
}

impl File {
    fn of(table: &Table, name: &str) -> anyhow::Result<File> {
        let [time, anomaly, change] =
            [table.column("datetime")?, table.column("anomaly")?, table.column("changepoint")?];
        let times_ms = table.times_ms(time, TIME)?;
        anyhow::ensure!(times_ms.len() > TRAINING_ROWS, "it has no rows behind the {TRAINING_ROWS} for training");
        let columns: Vec<usize> =
            (0..table.header().len()).filter(|at| ![time, anomaly, change].contains(at)).collect();
        let test = || table.rows.iter().zip(&times_ms).skip(TRAINING_ROWS);
        let is_set = |cell: &str| cell.parse::<f64>().is_ok_and(|value| value > 0.5);
        let rows = table.rows.iter().zip(&times_ms);
        Ok(File {
            name: name.to_owned(),
            recording: Recording {
                device_id: format!("skab-{}", name.trim_end_matches(".csv").replace('/', "-")),
                device_type: "water_bench",
                metrics: columns.iter().map(|at| (metric_name(&table.header()[*at]), "")).collect(),
                rows: rows
                    .map(|(row, time_ms)| (*time_ms, columns.iter().map(|at| row[*at].clone()).collect()))
                    .collect(),
            },
            faulty: test().map(|(row, _)| is_set(&row[anomaly])).collect(),
            changes_ms: test().filter(|(row, _)| is_set(&row[change])).map(|(_, time_ms)| *time_ms).collect(),
        })
    }

    /// Event times of the test part.
    pub fn test_times_ms(&self) -> impl Iterator<Item = i64> {
        self.recording.rows.iter().skip(TRAINING_ROWS).map(|(time_ms, _)| *time_ms)
    }

    /// All rows as numbers, by column.
    pub fn columns(&self) -> Vec<Vec<f64>> {
        let number = |cell: &String| cell.parse().unwrap_or(f64::NAN);
        let column = |at| self.recording.rows.iter().map(|(_, cells)| number(&cells[at])).collect();
        (0..self.recording.metrics.len()).map(column).collect()
    }

    /// A detector that flags rows says where they begin and end.
    pub fn with_edges(&self, flags: Vec<bool>) -> Said {
        let mut before = false;
        let edges =
            self.test_times_ms().zip(&flags).filter(|(_, flag)| **flag != std::mem::replace(&mut before, **flag));
        Said { changes_ms: edges.map(|(time_ms, _)| time_ms).collect(), flags }
    }

    /// Scores what was said.
    pub fn score(&self, said: &Said) -> Score {
        Score {
            rows: Counts::of(said.flags.iter().copied().zip(self.faulty.iter().copied())),
            changes: changes(&said.changes_ms, &self.changes_ms),
            matched: Matched::of(&said.changes_ms, &self.changes_ms),
        }
    }

    /// The project's own judgement: a row is flagged while an incident is open.
    ///
    /// # Errors
    /// If the job fails.
    pub fn judge(&self, config: &Config) -> anyhow::Result<(Said, Outcome)> {
        let mut config = config.clone();
        config.detectors.usual.warm_up_windows = u32::try_from(TRAINING_ROWS).expect("a few hundred");
        let outcome = judge(&self.recording, &config)?;
        let flags: Vec<bool> = self.test_times_ms().map(|time_ms| outcome.is_open(time_ms)).collect();
        let moved = |time_ms: &i64| {
            let state = outcome.states.get(&outcome.window(*time_ms));
            state.is_some_and(|state| state.strongest(&["change"]) > 0.0)
        };
        let changes_ms = self.test_times_ms().filter(moved).collect();
        Ok((Said { flags, changes_ms }, outcome))
    }

    /// The file as a plot shows it.
    pub fn labelled(&self) -> Labelled<'_> {
        let mut spans: Vec<(i64, i64)> = Vec::new();
        let mut before_ms = None;
        for (time_ms, faulty) in self.test_times_ms().zip(&self.faulty) {
            match spans.last_mut() {
                Some((_, end_ms)) if *faulty && before_ms == Some(*end_ms) => *end_ms = time_ms,
                _ if *faulty => spans.push((time_ms, time_ms)),
                _ => {}
            }
            before_ms = Some(time_ms);
        }
        Labelled { name: &self.name, metrics: &self.recording.metrics, faults_ms: spans }
    }
}

/// A column's name as the name of a metric.
pub fn metric_name(column: &str) -> String {
    let mut name = String::new();
    let mut before = ' ';
    for letter in column.chars() {
        let begins = letter.is_uppercase() && (before.is_lowercase() || before.is_ascii_digit());
        if begins || (!letter.is_alphanumeric() && !name.ends_with('_') && !name.is_empty()) {
            name.push('_');
        }
        if letter.is_alphanumeric() {
            name.extend(letter.to_lowercase());
        }
        before = letter;
    }
    name.trim_end_matches('_').to_owned()
}

/// Detectors of a few lines, run here on the same files: they show that the scorers are right.
pub fn references(files: &[File]) -> Vec<(&'static str, Score)> {
    let pooled = |said: &dyn Fn(&File) -> Said| {
        files.iter().map(|file| file.score(&said(file))).fold(Score::default(), Score::join)
    };
    vec![
        ("null", pooled(&|file| file.with_edges(vec![false; file.faulty.len()]))),
        ("always alarm", pooled(&|file| file.with_edges(vec![true; file.faulty.len()]))),
        (
            "AR(5) z > 3, median 3, held 10 rows",
            pooled(&|file| file.with_edges(reference::autoregression(&file.columns()))),
        ),
        (
            "a clock: a change point every 60 rows",
            pooled(&|file| Said {
                flags: vec![false; file.faulty.len()],
                changes_ms: file.test_times_ms().enumerate().filter(|(at, _)| at % 60 == 0).map(|(_, ms)| ms).collect(),
            }),
        ),
    ]
}

/// A row of the table.
pub fn row(score: &Score) -> Vec<String> {
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let [standard, low_fp, low_fn] = score.changes.scores().map(|score| format!("{score:.1}"));
    vec![
        format!("{:.3}", score.rows.f1()),
        percent(score.rows.far()),
        percent(score.rows.mar()),
        format!("{standard} / {low_fp} / {low_fn}"),
        format!("{:.2}", score.matched.f1()),
    ]
}

/// One file of the table.
pub fn part(name: &str, score: &Score) -> Part {
    let Matched { found, false_, missed } = score.matched;
    let mut cells = row(score);
    cells.push(format!("change points: {found} found, {false_} false, {missed} missed"));
    Part { name: name.to_owned(), cells }
}

/// Scores the project beside others.
///
/// # Errors
/// As [`read`]; or if a job fails.
pub fn report(task: &Task<'_>) -> anyhow::Result<Report> {
    let files = read(task.folder)?;
    let (mut sum, mut parts) = (Score::default(), Vec::new());
    for file in &files {
        let (said, outcome) = file.judge(task.config)?;
        let score = file.score(&said);
        sum = sum.join(score);
        parts.push(part(&file.name, &score));
        task.plots.draw(&file.labelled(), &outcome)?;
    }
    let mut rows = vec![(OWN.to_owned(), row(&sum), HERE)];
    let mut json = json!({"skab": figures(&sum)});
    let score = |file: &File, config: &Config| Ok(file.score(&file.judge(config)?.0));
    if task.leave_one_out {
        let left_out = left_out(&files, task.config, score, Score::join, |score| score.rows.f1())?;
        rows.push((left_out_name(), row(&left_out), HERE));
        json["skab"]["left_out"] = figures(&left_out);
    }
    for (part, config) in progress(task.ablated) {
        let scores = files.iter().map(|file| score(file, config)).collect::<anyhow::Result<Vec<_>>>()?;
        let sum = scores.into_iter().fold(Score::default(), Score::join);
        rows.push((without(part), row(&sum), HERE));
        json["skab"]["ablation"][part] = figures(&sum);
    }
    rows.extend(references(&files).into_iter().map(|(name, score)| (name.to_owned(), row(&score), HERE)));
    Ok(Report {
        header: &["detector", "F1", "FAR %", "MAR %", "change points", "matched F1", "source"],
        known: published::SKAB,
        rows,
        part_header: &["file", "F1", "FAR %", "MAR %", "change points", "matched F1", ""],
        parts,
        notes: vec![
            "change points: standard / low FP / low FN; a clock wins there, so read the matched F1 beside it"
                .to_owned(),
        ],
        json,
    })
}

fn figures(score: &Score) -> Json {
    let [standard, low_fp, low_fn] = score.changes.scores();
    json!({
        "f1": score.rows.f1(), "far": score.rows.far(), "mar": score.rows.mar(),
        "changepoint": {
            "standard": standard, "low_fp": low_fp, "low_fn": low_fn, "matched_f1": score.matched.f1(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_become_metric_names() {
        let names = ["Accelerometer1RMS", "Volume Flow RateRMS", "Pressure"].map(metric_name);
        assert_eq!(names, ["accelerometer1_rms", "volume_flow_rate_rms", "pressure"]);
    }
}
