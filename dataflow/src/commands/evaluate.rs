//! `evaluate`: how well the detectors find what others have labelled, beside what others have reached.
//!
//! Each file goes through the job itself, from messages to incidents in a store; what the store says is then scored as
//! the data's protocol wants it. One configuration holds for all files of a kind of data, and nothing is learned from labels.

mod ablation;
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
use serde_json::Value as Json;

use crate::commands::WrongUse;
use crate::commands::common::{bar, json_pretty, set_flags, table, table_text, write_whole};
use crate::config::{self, Config};
use graph::Outcome;
use published::Known;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow evaluate skab SKAB/data
  dataflow evaluate nab NAB --json
  dataflow evaluate hvac LBNL --plot plots
  dataflow evaluate skab SKAB/data --set detectors.residual.lambda=0.4     what a setting is worth
  dataflow evaluate simulator --seeds 1-2 --ablation                       what each part is worth
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
    /// Also with each part of the detectors taken away in turn, which takes a dozen times as long
    #[arg(long)]
    ablation: bool,
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
    for (flag, given, kinds) in [
        ("--leave-one-out", arguments.leave_one_out, &[Kind::Skab, Kind::Hvac][..]),
        ("--plot", arguments.plot.is_some(), &[Kind::Skab, Kind::Nab, Kind::Hvac]),
        ("DIR", arguments.folder.is_some(), &[Kind::Skab, Kind::Nab, Kind::Hvac, Kind::Openfdd]),
    ] {
        if given && !kinds.contains(&arguments.kind) {
            let name = arguments.kind.to_possible_value().map_or_else(String::new, |kind| kind.get_name().to_owned());
            return Err(WrongUse(format!("evaluate {name} takes no {flag}")).into());
        }
    }
    let config = config_of(arguments.kind, &arguments.set)?;
    let ablated = ablated(arguments)?;
    if arguments.kind == Kind::Simulator {
        print!("{}", simulated::report(&arguments.fleet, &config, &ablated, arguments.json)?);
        return Ok(ExitCode::SUCCESS);
    }
    let Some(folder) = &arguments.folder else {
        return Err(WrongUse("evaluate needs the folder with the data; `--help` says what it holds".to_owned()).into());
    };
    let plots = Plots { folder: arguments.plot.as_deref() };
    let task = Task { folder, config: &config, ablated: &ablated, leave_one_out: arguments.leave_one_out, plots };
    let report = match arguments.kind {
        Kind::Skab => skab::report(&task)?,
        Kind::Nab => nab::report(&task)?,
        Kind::Hvac => hvac::report(&task)?,
        Kind::Openfdd | Kind::Simulator => openfdd::report(folder, &config)?,
    };
    if arguments.json {
        println!("{}", json_pretty(&report.json));
    } else {
        print!("{}", report.text());
    }
    Ok(ExitCode::SUCCESS)
}

/// The configuration of a kind of data with settings over it.
fn config_of(kind: Kind, set: &[String]) -> anyhow::Result<Config> {
    let text = match kind {
        Kind::Skab => include_str!("evaluate/skab.toml"),
        Kind::Nab => include_str!("evaluate/nab.toml"),
        Kind::Hvac => include_str!("evaluate/hvac.toml"),
        Kind::Openfdd => include_str!("evaluate/openfdd.toml"),
        // Fleets are judged as `run` judges them.
        Kind::Simulator => "",
    };
    let table = text.parse().expect("the built-in configuration is TOML");
    config::from_table_and_flags("configuration of the evaluation", table, &set_flags(set)?)
        .map_err(|error| WrongUse(format!("{error:#}")).into())
}

/// Configurations with a part taken away each, by the part's name.
type Ablated = [(&'static str, Config)];

fn ablated(arguments: &EvaluateArguments) -> anyhow::Result<Vec<(&'static str, Config)>> {
    if !arguments.ablation {
        return Ok(Vec::new());
    }
    let parts = ablation::parts(arguments.kind);
    if parts.is_empty() {
        return Err(WrongUse("flag --ablation: rule cases have no parts to take away".to_owned()).into());
    }
    let without = |(name, settings): &ablation::Part| {
        let taken = settings.iter().map(|setting| (*setting).to_owned());
        Ok((*name, config_of(arguments.kind, &arguments.set.iter().cloned().chain(taken).collect::<Vec<_>>())?))
    };
    parts.iter().map(without).collect()
}

/// What is to be evaluated on a folder of data.
struct Task<'a> {
    folder: &'a Path,
    config: &'a Config,
    ablated: &'a Ablated,
    leave_one_out: bool,
    plots: Plots<'a>,
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

/// The parts one by one; a terminal is told how far it is.
fn progress(ablated: &Ablated) -> impl Iterator<Item = &(&'static str, Config)> {
    bar(ablated.len() as u64, "parts taken away").wrap_iter(ablated.iter())
}

/// What a score that is made of fewer files than are labelled must say.
fn without_files(absent: &[String], labels: &str) -> Option<String> {
    let named: Vec<&str> = absent.iter().take(3).map(String::as_str).collect();
    let more =
        if absent.len() > named.len() { format!(" and {} more", absent.len() - named.len()) } else { String::new() };
    (!absent.is_empty())
        .then(|| format!("{labels} also names {}{more}, not in the folder: not scored", named.join(", ")))
}

fn without(part: &str) -> String {
    format!("without: {part}")
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
