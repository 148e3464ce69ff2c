//! NAB: one metric a file, labelled windows of time. A detector gives a score a row; one threshold holds for the whole corpus.

mod corpus;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use model::Method;
use serde_json::{Value as Json, json};

use super::graph::{Outcome, Recording, judge};
use super::input::{Table, lacks, name_of, time_ms};
use super::windows;
use super::windows::{PROFILES, Scores, Tally};
use super::{HERE, Labelled, OWN, Part, Report, Task, progress, published, reference, without, without_files};
use crate::config::Config;
use corpus::{Corpus, RowScores};

const TIME: &str = "%Y-%m-%d %H:%M:%S";

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

/// Reads the corpus: `labels/combined_windows.json` and the files that it names and the folder holds.
///
/// # Errors
/// If the labels or all files are missing, or one is not of the format.
pub fn read(folder: &Path) -> anyhow::Result<(Vec<File>, Vec<String>)> {
    let path = folder.join("labels/combined_windows.json");
    if !path.is_file() {
        return Err(lacks(folder, "file labels/combined_windows.json"));
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let labels: BTreeMap<String, Vec<(String, String)>> =
        serde_json::from_str(&text).with_context(|| format!("{} is not a list of windows a file", path.display()))?;
    let (mut files, mut absent) = (Vec::new(), Vec::new());
    for (name, windows) in labels {
        // Upstream keeps the tables in a folder of their own.
        let Some(path) = [folder.join(&name), folder.join("data").join(&name)].into_iter().find(|path| path.is_file())
        else {
            absent.push(name);
            continue;
        };
        let name = name_of(folder, &path);
        files.push(File::of(&path, &name, &windows).with_context(|| format!("could not use {name}"))?);
    }
    if files.is_empty() {
        return Err(lacks(folder, "table that labels/combined_windows.json names"));
    }
    Ok((files, absent))
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
        windows::corpus(detections, &self.windows, self.probation())
    }

    /// The file as a plot shows it.
    pub fn labelled(&self) -> Labelled<'_> {
        let time_ms = |row: usize| self.recording.rows[row].0;
        let faults_ms = self.windows.iter().map(|(left, right)| (time_ms(*left), time_ms(*right))).collect();
        Labelled { name: &self.name, metrics: &self.recording.metrics, faults_ms }
    }
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

/// Scores the project beside others.
///
/// # Errors
/// As [`read`]; or if a job fails.
pub fn report(task: &Task<'_>) -> anyhow::Result<Report> {
    let ((files, absent), config) = (read(task.folder)?, task.config);
    let (mut scores, mut incidents) = (Vec::new(), Tally::default());
    for file in &files {
        let (row_scores, outcome) = file.judge(config)?;
        incidents = incidents.join(file.tally(&file.opened(&outcome)));
        task.plots.draw(&file.labelled(), &outcome)?;
        scores.push(row_scores);
    }
    let clear_rows = config.detectors.usual.clear_windows as usize;
    let own = Figures::of(&Corpus::of_incidents(clear_rows, files.iter().zip(scores)));
    let record = Figures::of(&Corpus::of_events(files.iter().map(|file| (file, file.record()))));
    // A verdict's score is 0.5 at the limit and follows the square of the ratio to it.
    let decades = |score: f64| config.detectors.usual.rarity_decades * (score / (1.0 - score)).sqrt();
    let zero = text([0.0; 3]);
    let windows = own.at_best.iter().map(|tally| tally.windows).sum();
    let null = vec![zero.clone(), zero, counted(Tally { windows, ..Tally::default() })];
    let as_incidents = vec![String::new(), text(incidents.scores()), counted(incidents)];
    let mut rows = vec![
        (OWN.to_owned(), own.row(), HERE),
        (format!("{OWN}, incidents at {} decades", config.detectors.usual.rarity_decades), as_incidents, HERE),
    ];
    let mut json = json!({"nab": own.json()});
    for (part, config) in progress(task.ablated) {
        let scores = files.iter().map(|file| Ok(file.judge(config)?.0)).collect::<anyhow::Result<Vec<_>>>()?;
        let figures = Figures::of(&Corpus::of_incidents(clear_rows, files.iter().zip(scores)));
        rows.push((without(part), figures.row(), HERE));
        json["nab"]["ablation"][part] = figures.json();
    }
    rows.push(("null".to_owned(), null, HERE));
    rows.push(("beyond the range seen".to_owned(), record.row(), HERE));
    let best = own.best.map(|(score, _)| decades(score));
    Ok(Report {
        header: &["detector", "best threshold", "fixed threshold", "windows", "source"],
        known: published::NAB,
        rows,
        part_header: &["file", "windows found", "false", "score"],
        parts: files.iter().zip(&own.at_best).map(|(file, tally)| part(file, tally)).collect(),
        notes: [
            format!(
                "scores: standard / low FP / low FN; best thresholds in decades: {:.2} / {:.2} / {:.2}",
                best[0], best[1], best[2]
            ),
            "an alarm is the opening of an incident; of the last detector below a row that stands out among the hundred before it"
                .to_owned(),
            "fixed threshold: the best one of half the files in the standard profile, on the other half (40 halvings)"
                .to_owned(),
        ]
        .into_iter()
        .chain(without_files(&absent, "labels/combined_windows.json"))
        .collect(),
        json,
    })
}

/// What a corpus of scores is worth.
struct Figures {
    /// By profile the best threshold and the score there.
    best: [(f64, f64); 3],
    fixed: Scores,
    /// By file, at the standard profile's best threshold.
    at_best: Vec<Tally>,
}

impl Figures {
    fn of(corpus: &Corpus<'_>) -> Self {
        let (best, fixed) = corpus.best_and_fixed();
        Figures { best, fixed, at_best: corpus.tallies(best[0].0) }
    }

    fn row(&self) -> Vec<String> {
        let all = self.at_best.iter().fold(Tally::default(), |sum, tally| sum.join(*tally));
        vec![text(self.best.map(|(_, score)| score)), text(self.fixed), counted(all)]
    }

    fn json(&self) -> Json {
        let [(_, standard), (_, low_fp), (_, low_fn)] = self.best;
        let fixed = self.fixed;
        json!({
            "standard": standard, "low_fp": low_fp, "low_fn": low_fn,
            "fixed_threshold": {"standard": fixed[0], "low_fp": fixed[1], "low_fn": fixed[2]},
        })
    }
}

fn counted(tally: Tally) -> String {
    format!("{} of {}, {} false", tally.found, tally.windows, tally.false_)
}
