//! `evaluate`: how well the detectors find what others have labelled, beside what others have reached.
//!
//! Each file goes through the job itself, from messages to incidents in a store; what the store says is then scored as
//! the data's protocol wants it. One configuration holds for all files of a kind of data, and nothing is learned from labels.

mod counts;
mod graph;
mod hvac;
mod input;
mod nab;
mod openfdd;
mod plot;
mod published;
mod reference;
mod simulated;
mod skab;
mod windows;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use crate::commands::WrongUse;
use crate::commands::common::{json_pretty, set_flags, table, table_text, write_whole};
use crate::config::{self, Config};
use graph::Outcome;
use published::Known;
use windows::Scores;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow evaluate skab SKAB/data
  dataflow evaluate nab NAB --json
  dataflow evaluate hvac LBNL --plot plots
  dataflow evaluate skab SKAB/data --set detectors.residual.lambda=0.4     what a setting is worth
  dataflow evaluate simulator --seeds 1-4 --original

A folder holds
  skab   tables \"datetime;...;anomaly;changepoint\", in folders or not (github.com/waico/SKAB)
  nab    labels/combined_windows.json and the tables that it names, beside labels or under data (github.com/numenta/NAB)
  hvac   day_labels.csv (file,date,ground_truth) and the units' tables (LBNL data for fault detection, air handlers)
  openfdd  oracle_cases.jsonl, a case a line (github.com/bbartling/open-fdd)";

/// Kinds of labelled data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A water bench, eight sensors, faults by row
    Skab,
    /// One metric a file, labelled windows
    Nab,
    /// Air handlers, faults by day
    Hvac,
    /// Cases of rules, an hour or two each
    Openfdd,
    /// Simulated fleets; needs no folder
    Simulator,
}

/// Arguments of `evaluate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateArguments {
    /// Which data
    #[arg(value_enum)]
    kind: Kind,
    /// The folder with the labelled data; all but simulator need one
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    fleet: simulated::FleetArguments,
    /// For skab and hvac: also with the residuals' limits chosen on all other files, five times, which takes as much longer
    #[arg(long)]
    leave_one_out: bool,
    /// A setting for all files, such as detectors.residual.lambda=0.4
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The project's figures as JSON
    #[arg(long)]
    json: bool,
    /// A picture (SVG) of each file into this folder
    #[arg(long, value_name = "DIR")]
    plot: Option<PathBuf>,
}

/// What a plot needs to know of a file beside what came of it.
pub struct Labelled<'a> {
    /// Path within the folder.
    pub name: &'a str,
    /// Metric names and units.
    pub metrics: &'a [(String, &'static str)],
    /// First and last event time of each labelled fault.
    pub faults_ms: Vec<(i64, i64)>,
}

/// A file's line.
pub struct Part {
    /// Path within the folder.
    pub name: String,
    /// By column.
    pub cells: Vec<String>,
}

/// All that is printed.
struct Report {
    header: &'static [&'static str],
    known: &'static [Known],
    /// Name, cells, what it is.
    rows: Vec<(String, Vec<String>, &'static str)>,
    part_header: &'static [&'static str],
    parts: Vec<Part>,
    notes: Vec<String>,
    json: Json,
}

/// Evaluates.
///
/// # Errors
/// [`WrongUse`] for a folder without the data; else a file that is not of the format, or a job that failed.
pub fn run(arguments: &EvaluateArguments) -> anyhow::Result<ExitCode> {
    let text = match arguments.kind {
        Kind::Skab => include_str!("evaluate/skab.toml"),
        Kind::Nab => include_str!("evaluate/nab.toml"),
        Kind::Hvac => include_str!("evaluate/hvac.toml"),
        Kind::Openfdd => include_str!("evaluate/openfdd.toml"),
        // Fleets are judged as `run` judges them.
        Kind::Simulator => "",
    };
    let table = text.parse().expect("the built-in configuration is TOML");
    let config = config::from_table_and_flags("configuration of the evaluation", table, &set_flags(&arguments.set)?)
        .map_err(|error| WrongUse(format!("{error:#}")))?;
    if arguments.kind == Kind::Simulator {
        print!("{}", simulated::report(&arguments.fleet, &config, arguments.json)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(folder) = &arguments.folder else {
        return Err(WrongUse("evaluate needs the folder with the data; `--help` says what it holds".to_owned()).into());
    };
    let plots = Plots { folder: arguments.plot.as_deref() };
    let report = match arguments.kind {
        Kind::Skab => skab(folder, &config, &plots, arguments.leave_one_out)?,
        Kind::Nab => nab(folder, &config, &plots)?,
        Kind::Hvac => hvac(folder, &config, &plots, arguments.leave_one_out)?,
        Kind::Openfdd | Kind::Simulator => openfdd::report(folder, &config)?,
    };
    if arguments.json {
        println!("{}", json_pretty(&report.json));
    } else {
        print!("{}", report.text());
    }
    Ok(ExitCode::SUCCESS)
}

/// Where pictures go, if anywhere.
struct Plots<'a> {
    folder: Option<&'a Path>,
}

impl Plots<'_> {
    fn draw(&self, labelled: &Labelled<'_>, outcome: &Outcome) -> anyhow::Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        std::fs::create_dir_all(folder).with_context(|| format!("could not make folder {}", folder.display()))?;
        let name = labelled.name.trim_end_matches(".csv").replace('/', "-");
        let picture = plot::svg(labelled, outcome);
        write_whole(&folder.join(format!("{name}.svg")), |mut file| {
            std::io::Write::write_all(&mut file, picture.as_bytes()).context("could not write the picture")
        })
    }
}

const OWN: &str = "Plenum";
const HERE: &str = "run here";

/// Factors of the residuals' limits among which a file's is chosen; of equals the first.
const LIMITS: [f64; 5] = [1.0, 0.85, 1.2, 0.7, 1.4];

/// The score of each file at the limit that is best for all others together: what a file that nobody had seen would get.
fn left_out<F, S: Copy + Default>(
    files: &[F],
    config: &Config,
    score: impl Fn(&F, &Config) -> anyhow::Result<S>,
    join: impl Fn(S, S) -> S,
    value: impl Fn(&S) -> f64,
) -> anyhow::Result<S> {
    let mut scores = Vec::with_capacity(LIMITS.len());
    for factor in LIMITS {
        let mut config = config.clone();
        config.detectors.usual.residual.limit_min *= factor;
        config.detectors.usual.residual.limit_factor *= factor;
        scores.push(files.iter().map(|file| score(file, &config)).collect::<anyhow::Result<Vec<S>>>()?);
    }
    let mut sum = S::default();
    for left in 0..files.len() {
        let of_others = |scores: &Vec<S>| {
            let others = scores.iter().enumerate().filter(|(at, _)| *at != left);
            value(&others.fold(S::default(), |sum, (_, score)| join(sum, *score)))
        };
        let best = scores.iter().reduce(|best, next| if of_others(next) > of_others(best) { next } else { best });
        sum = join(sum, best.expect("there are some limits")[left]);
    }
    Ok(sum)
}

fn left_out_name() -> String {
    format!("{OWN}, each file at the limit that is best for the others")
}

fn skab(folder: &Path, config: &Config, plots: &Plots<'_>, leave_one_out: bool) -> anyhow::Result<Report> {
    let files = skab::read(folder)?;
    let (mut sum, mut parts) = (skab::Score::default(), Vec::new());
    for file in &files {
        let (said, outcome) = file.judge(config)?;
        let score = file.score(&said);
        sum = sum.join(score);
        parts.push(skab::part(&file.name, &score));
        plots.draw(&file.labelled(), &outcome)?;
    }
    let mut rows = vec![(OWN.to_owned(), skab::row(&sum), HERE)];
    if leave_one_out {
        let score = |file: &skab::File, config: &Config| Ok(file.score(&file.judge(config)?.0));
        let left_out = left_out(&files, config, score, skab::Score::join, |score| score.rows.f1())?;
        rows.push((left_out_name(), skab::row(&left_out), HERE));
    }
    rows.extend(skab::references(&files).into_iter().map(|(name, score)| (name.to_owned(), skab::row(&score), HERE)));
    let [standard, low_fp, low_fn] = sum.changes.scores();
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
        json: json!({"skab": {
            "f1": sum.rows.f1(), "far": sum.rows.far(), "mar": sum.rows.mar(),
            "changepoint": {
                "standard": standard, "low_fp": low_fp, "low_fn": low_fn, "matched_f1": sum.matched.f1(),
            },
        }}),
    })
}

fn nab(folder: &Path, config: &Config, plots: &Plots<'_>) -> anyhow::Result<Report> {
    let files = nab::read(folder)?;
    let (mut scores, mut incidents) = (Vec::new(), windows::Tally::default());
    for file in &files {
        let (row_scores, outcome) = file.judge(config)?;
        incidents = incidents.join(file.tally(&file.opened(&outcome)));
        plots.draw(&file.labelled(), &outcome)?;
        scores.push(row_scores);
    }
    let own = nab::Corpus::new(files.iter().zip(scores));
    let (best, fixed) = own.best_and_fixed();
    let record = nab::Corpus::new(files.iter().map(|file| (file, file.record())));
    let (record_best, record_fixed) = record.best_and_fixed();
    // A verdict's score is 0.5 at the limit and follows the square of the ratio to it.
    let decades = |score: f64| config.detectors.usual.rarity_decades * (score / (1.0 - score)).sqrt();
    let cells = |best: [(f64, f64); 3], fixed: Scores| {
        let counted = |tally: windows::Tally| format!("{} of {}, {} false", tally.found, tally.windows, tally.false_);
        (vec![nab::text(best.map(|(_, score)| score)), nab::text(fixed)], counted)
    };
    let (mut own_cells, counted) = cells(best, fixed);
    let at_best = own.tallies(best[0].0);
    own_cells.push(counted(at_best.iter().fold(windows::Tally::default(), |sum, tally| sum.join(*tally))));
    let (mut record_cells, _) = cells(record_best, record_fixed);
    let of_record = record.tallies(record_best[0].0).into_iter().fold(windows::Tally::default(), windows::Tally::join);
    record_cells.push(counted(of_record));
    let as_incidents = vec![String::new(), nab::text(incidents.scores()), counted(incidents)];
    let (none, zero) = (windows::Tally::default(), nab::text([0.0; 3]));
    let windows = at_best.iter().map(|tally| tally.windows).sum();
    let null = vec![zero.clone(), zero, counted(windows::Tally { windows, ..none })];
    Ok(Report {
        header: &["detector", "best threshold", "fixed threshold", "windows", "source"],
        known: published::NAB,
        rows: vec![
            (OWN.to_owned(), own_cells, HERE),
            (format!("{OWN}, incidents at {} decades", config.detectors.usual.rarity_decades), as_incidents, HERE),
            ("null".to_owned(), null, HERE),
            ("beyond the range seen".to_owned(), record_cells, HERE),
        ],
        part_header: &["file", "windows found", "false", "score"],
        parts: files.iter().zip(&at_best).map(|(file, tally)| nab::part(file, tally)).collect(),
        notes: vec![
            format!(
                "scores: standard / low FP / low FN; best thresholds in decades: {:.2} / {:.2} / {:.2}",
                decades(best[0].0),
                decades(best[1].0),
                decades(best[2].0)
            ),
            "fixed threshold: the best one of half the files in the standard profile, on the other half (40 halvings)"
                .to_owned(),
        ],
        json: json!({"nab": {
            "standard": best[0].1, "low_fp": best[1].1, "low_fn": best[2].1,
            "fixed_threshold": {"standard": fixed[0], "low_fp": fixed[1], "low_fn": fixed[2]},
        }}),
    })
}

fn hvac(folder: &Path, config: &Config, plots: &Plots<'_>, leave_one_out: bool) -> anyhow::Result<Report> {
    let files = hvac::read(folder)?;
    let (mut sum, mut parts) = (hvac::Score::default(), Vec::new());
    for file in &files {
        let (flags, outcome) = file.judge(config)?;
        sum = sum.join(file.score(&flags));
        parts.push(hvac::part(file, &flags));
        plots.draw(&file.labelled(), &outcome)?;
    }
    let mut rows = vec![(OWN.to_owned(), hvac::row(&sum), HERE)];
    if leave_one_out {
        let score = |file: &hvac::File, config: &Config| Ok(file.score(&file.judge(config)?.0));
        // Days are few: minutes decide between equals.
        let value = |score: &hvac::Score| score.days.f1() + 1e-3 * score.minutes.f1();
        let left_out = left_out(&files, config, score, hvac::Score::join, value)?;
        rows.push((left_out_name(), hvac::row(&left_out), HERE));
    }
    rows.extend(hvac::references(&files).into_iter().map(|(name, score)| (name.to_owned(), hvac::row(&score), HERE)));
    let (minutes, days) = (sum.minutes, sum.days);
    Ok(Report {
        header: &["detector", "minutes", "days", "TP FP FN TN", "source"],
        known: published::HVAC,
        rows,
        part_header: &["unit", "minutes", "days", "TP FP FN TN", "share flagged by day"],
        parts,
        notes: vec!["minutes and days: F1 / FAR % / MAR %".to_owned()],
        json: json!({"hvac": {
            "minute": {"f1": minutes.f1(), "far": minutes.far(), "mar": minutes.mar()},
            "day": {
                "f1": days.f1(), "far": days.far(), "mar": days.mar(),
                "tp": days.tp, "fp": days.fp, "fn": days.fn_, "tn": days.tn,
            },
        }}),
    })
}

impl Report {
    fn text(&self) -> String {
        let right: Vec<usize> = (1..self.header.len() - 1).collect();
        let mut shown = table(self.header, &right);
        for (name, cells, source) in &self.rows {
            shown.add_row([name.clone()].into_iter().chain(cells.iter().cloned()).chain([(*source).to_owned()]));
        }
        for (name, cells, source) in self.known {
            shown.add_row([*name].into_iter().chain(cells.iter().copied()).chain([*source]));
        }
        let mut parts = table(self.part_header, &right);
        for part in &self.parts {
            parts.add_row([part.name.clone()].into_iter().chain(part.cells.iter().cloned()));
        }
        format!("{}\n{}\n{}\n", table_text(&shown), self.notes.join("\n"), table_text(&parts))
    }
}
