//! `backtest`: what a changed configuration would have made of messages that are known, incident by incident.
//!
//! Both configurations go through the job itself, one after the other; what came of each is then held against the other.

mod compare;
mod input;
mod judged;
mod labelled;
mod matching;
mod report;
mod text;
mod why;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::commands::WrongUse;
use crate::commands::common::{json_pretty, set_flags};
use crate::commands::incidents;
use crate::commands::run::Watcher;
use crate::config::{self, Config};
use crate::job::meaning;
use crate::progress::Progress;
use crate::whole::{job_of, run_whole};
use compare::Run;
use input::Input;
use judged::Kept;
use report::{Difference, Report};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow backtest month.jsonl.zst --config new.toml --against old.toml
  dataflow backtest fleet-day --set detectors.confirm_windows=5            one setting against the defaults
  dataflow backtest --store sqlite:live.db --from 2026-03-01 --to 2026-04-01 --against live.toml --config new.toml

Two runs of the job are compared, each of which learns its devices anew from the first message: in a device's warm-up
(detectors.warm_up_windows states) rules alone report, which says nothing of a job that has run for long. Of a store the
readings of --learn before --from are read for that, and incidents that end before --from are left out.

Settings come from the two files and --set alone, not from the environment; where the job runs (source, store, embedder,
kafka) is left out. A bundled case has settings of its own below both.

Of a store, what people said (false positives, maintenance) takes effect in both runs where it did for its job; what has
not yet is left out, and nothing is written. A store does not tell in which order readings came: a longer lateness takes in
what was late, a shorter one makes nothing late. Nor does it have what became a dead letter, or the first of two readings of
one time of which the second came late.

A state takes 60 bytes and more where a method found something, about 3 MB a device and month for each run; readings are
not held.

Exit codes: 0 nothing vanishes, 1 an incident vanishes, 2 wrong use.";

/// Arguments of `backtest`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArguments {
    /// A recording (a path or file:PATH) or the name of a bundled case
    #[arg(value_name = "WHAT")]
    what: Option<String>,
    /// The new configuration (TOML) [default: that of --against, with --set]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The configuration that it is compared with [default: the built-in settings]
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
    /// A setting laid over the new configuration, such as detectors.rarity_decades=5
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Instead of a recording: a slice of this store, such as sqlite:live.db
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Of a store: where judging begins (RFC 3339, a day, or HH:MM on the newest day)
    #[arg(long, value_name = "TIME", requires = "store")]
    from: Option<String>,
    /// Of a store: the first time that is left out [default: behind the newest reading]
    #[arg(long, value_name = "TIME", requires = "store")]
    to: Option<String>,
    /// Of a store: how much before --from the devices are learned from [default: 7d]
    #[arg(long, value_name = "DURATION", requires = "store")]
    learn: Option<String>,
    /// Of a store: only this device; may be given several times
    #[arg(long, value_name = "ID", requires = "store")]
    device: Vec<String>,
    /// Worker threads
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: u16,
    /// One JSON object on stdout, no progress
    #[arg(long)]
    json: bool,
}

/// The two configurations.
struct Configurations {
    before: Config,
    after: Config,
    /// What the first one is.
    before_name: String,
    after_name: String,
}

/// Compares.
///
/// # Errors
/// [`WrongUse`] for what is no recording, case, store, time or setting, and for a slice without readings; otherwise if a message
/// source, a store or the job fails.
pub fn run(arguments: &BacktestArguments) -> anyhow::Result<ExitCode> {
    let input = Input::open(arguments)?;
    let configurations = configurations(arguments, &input)?;
    udfs::check_catalogue(model::Catalogue::builtin()).context("could not use the device catalogue")?;
    let (old, new) = (&configurations.before, &configurations.after);
    let mut before = judge(&input, old, arguments, "before")?;
    let means = |config: &Config| meaning(&config.job, &config.detectors);
    // What decides results is the same, so the results are.
    let mut after = if means(old) == means(new) { None } else { Some(judge(&input, new, arguments, "after")?) };
    compare::leave_out(&mut before, after.as_mut(), input.from_ms);
    let report = Report::new(&input, &configurations, &before, after.as_ref().unwrap_or(&before));
    let text = if arguments.json { json_pretty(&report.to_json()) + "\n" } else { report.text() };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::from(u8::from(report.vanishes())))
}

/// Defaults, what a case brings, the files and `--set`.
fn configurations(arguments: &BacktestArguments, input: &Input) -> anyhow::Result<Configurations> {
    if arguments.config.is_none() && arguments.set.is_empty() {
        bail!(WrongUse(
            "nothing to compare: give the new configuration by --config FILE, or single settings by --set KEY=VALUE"
                .to_owned()
        ));
    }
    let load = |file: Option<&Path>, flags: &[(String, String)]| {
        config::for_backtest(input.settings.clone(), file, flags).map_err(|error| WrongUse(format!("{error:#}")))
    };
    let name = |file: Option<&PathBuf>| match (file, &input.settings) {
        (Some(file), _) => file.display().to_string(),
        (None, Some((name, _))) => format!("the settings of {name}"),
        (None, None) => "the built-in settings".to_owned(),
    };
    let sets = set_flags(&arguments.set)?;
    let file = arguments.config.as_ref().or(arguments.against.as_ref());
    let mut after_name = name(file);
    if !sets.is_empty() {
        after_name += " with --set";
    }
    Ok(Configurations {
        before: load(arguments.against.as_deref(), &[])?,
        after: load(file.map(PathBuf::as_path), &sets)?,
        before_name: name(arguments.against.as_ref()),
        after_name,
    })
}

/// Runs the job over all of the input under one configuration.
fn judge(input: &Input, config: &Config, arguments: &BacktestArguments, name: &str) -> anyhow::Result<Run> {
    let source = input.source(config);
    let kept = Kept::new(input.from_ms, input.controls.clone());
    let progress = Arc::new(Progress::default());
    if !arguments.json {
        eprintln!("running the job with the configuration {name}");
    }
    let watcher = (!arguments.json).then(|| Watcher::start(Arc::clone(&progress), Arc::clone(&source)));
    let job = job_of(config, source);
    let ran = run_whole(&job, usize::from(arguments.workers), Box::new(kept.clone()), &progress);
    if let Some(watcher) = watcher {
        watcher.finish();
    }
    let (manifest, _) = ran.with_context(|| format!("could not run the job with the configuration {name}"))?;
    input.refuse_if_empty()?;
    let incidents = incidents::read(&mut kept.clone(), None)?;
    let (states, learned) = kept.take();
    Ok(Run {
        incidents,
        states,
        learned,
        totals: manifest.totals,
        detectors: config.detectors.resolve().map_err(WrongUse)?,
        width_ms: config.job.window_ms,
    })
}

/// The settings that differ, by key.
fn differences(before: &Config, after: &Config) -> Vec<Difference> {
    let (old, new) = (config::compared(before), config::compared(after));
    let all: BTreeMap<&String, ()> = old.keys().chain(new.keys()).map(|key| (key, ())).collect();
    let value = |settings: &BTreeMap<String, String>, key: &String| {
        settings.get(key).cloned().unwrap_or_else(|| "off".to_owned())
    };
    all.into_keys()
        .map(|key| Difference { key: key.clone(), before: value(&old, key), after: value(&new, key) })
        .filter(|difference| difference.before != difference.after)
        .collect()
}
