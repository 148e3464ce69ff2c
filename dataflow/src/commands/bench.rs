//! `bench`: how many messages a CPU-second goes through, by stage of the graph and number of workers.
//!
//! The fleet is simulated and held in memory before the clock starts. Each measurement is a process of its own, repeated;
//! the median counts. Beside each stands its ceiling, a bare loop over the same bytes in the same process, and whether every
//! record had the fate that a plain reading of the rules gives it.

mod graph;
mod measure;
mod plot;
mod prepare;
mod replay;
mod report;
mod source;
mod topic;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use connectors::KafkaSettings;
use scenarios::cache::Layout;

use crate::commands::WrongUse;
use crate::commands::common::ConfigLayers;
use crate::commands::run::{Embedder, embedder};
use measure::Measured;
use prepare::Amount;
use report::Entry;
use topic::Filled;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow bench                                        every stage on 1, 2, 4 and 8 workers
  dataflow bench --stage detectors -w 1 --repeat 5      one stage, five times
  dataflow bench --devices 10000 --period 60s --records 10000000 --source decoded --stage detectors
  dataflow bench --source json,kafka://localhost:9092 --stage detectors -w 1,2";

type MakeEmbedder = fn() -> Box<dyn connectors::Embedder>;

/// How far the graph goes; each stage has all before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Stage {
    /// Messages decoded and stamped
    Decode,
    /// Readings gathered into closed windows
    Windows,
    /// Messages to incidents, all methods on, no store
    Detectors,
    /// Also a vector of each state
    Embedding,
    /// The whole path into a new SQLite file
    Store,
}

impl Stage {
    fn embedder(self) -> anyhow::Result<Option<MakeEmbedder>> {
        match embedder("projection")? {
            Embedder::Vectors(make) if self >= Stage::Embedding => Ok(Some(make)),
            _ => Ok(None),
        }
    }
}

/// What is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Messages
    Json,
    /// Messages in a topic that is made for it, and removed again
    Kafka,
    /// Decoded readings from a cache
    Decoded,
    /// The same in abomonation's layout
    #[cfg(feature = "abomonation")]
    DecodedAbomonation,
}

impl Form {
    fn layout(self) -> Option<Layout> {
        match self {
            Form::Json | Form::Kafka => None,
            Form::Decoded => Some(Layout::Rkyv),
            #[cfg(feature = "abomonation")]
            Form::DecodedAbomonation => Some(Layout::Abomonation),
        }
    }
}

/// Arguments of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArguments {
    /// Numbers of workers
    #[arg(short, long, value_delimiter = ',', default_values_t = [1, 2, 4, 8], value_name = "N")]
    pub workers: Vec<usize>,
    /// Messages
    #[arg(long, default_value_t = 1_000_000, value_name = "N")]
    pub records: u64,
    /// Devices
    #[arg(long, default_value_t = 11, value_name = "N")]
    pub devices: usize,
    /// Time between two readings of a metric
    #[arg(long, default_value = "10s", value_name = "DURATION")]
    pub period: String,
    /// What is read: json, decoded, or kafka://HOST:PORT for a topic that is made there and removed again
    #[arg(long, value_delimiter = ',', default_values = ["json"], value_name = "WHAT")]
    pub source: Vec<String>,
    /// How far the graph goes; without it every stage
    #[arg(long, value_enum, value_delimiter = ',')]
    pub stage: Vec<Stage>,
    /// Measurements of each; the median counts
    #[arg(long, default_value_t = 3, value_name = "K")]
    pub repeat: usize,
    /// A JSON list on stdout instead of the table
    #[arg(long)]
    pub json: bool,
    /// Picture of the results
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
    /// Every single measurement as CSV
    #[arg(long, value_name = "FILE.csv")]
    pub raw: Option<PathBuf>,
    /// Measure once in this process and print the measurement
    #[arg(long, hide = true)]
    pub once: bool,
    /// The topic that the measuring process filled
    #[arg(long, hide = true)]
    pub topic: Option<String>,
}

/// A filled topic, and how it is reached.
pub struct Kafka {
    url: String,
    settings: KafkaSettings,
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// How far.
    pub stage: Stage,
    /// From what.
    pub source: Form,
    /// On how many workers.
    pub workers: usize,
}

/// Measures, and shows what came out. The exit code is 1 when a count was wrong.
///
/// # Errors
/// Wrong use, or a measurement that failed.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<ExitCode> {
    let amount = amount(arguments)?;
    let cases = cases(arguments)?;
    let settings = ConfigLayers::default().load()?.kafka();
    if arguments.once {
        let case = cases.first().context("a measurement needs a case")?;
        let kafka = arguments.topic.clone().map(|url| Kafka { url, settings });
        println!("{}", serde_json::to_string(&measure::measure(case, amount, kafka.as_ref())?)?);
        return Ok(ExitCode::SUCCESS);
    }
    let filled = match arguments.source.iter().find_map(|source| brokers(source)) {
        Some(brokers) => Some(Filled::new(brokers, &prepare::topic(amount)?, &settings)?),
        None => None,
    };
    let is_terminal = std::io::stderr().is_terminal();
    let mut entries = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let mut all = Vec::new();
        for turn in 1..=arguments.repeat {
            if is_terminal {
                eprint!("\r{} of {}, {}, run {turn} of {} ", at + 1, cases.len(), name(case), arguments.repeat);
            }
            all.push(measure_apart(case, arguments, filled.as_ref())?);
        }
        let entry = Entry::new(*case, amount, all);
        let million = entry.median().per_cpu_s() / 1e6;
        let start = if is_terminal { "\r\u{1b}[K" } else { "" };
        eprintln!("{start}{} of {}, {}: {million:.2} million a CPU-second", at + 1, cases.len(), name(case));
        entries.push(entry);
    }
    report::compare(&mut entries);
    if let Some(path) = &arguments.raw {
        write(path, &report::csv(&entries))?;
    }
    if let Some(path) = &arguments.plot {
        write(path, &plot::svg(&entries))?;
    }
    if arguments.json {
        println!("{}", report::json(&entries));
    } else {
        print!("{}", report::table(&entries));
    }
    Ok(if entries.iter().all(Entry::is_correct) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("could not write {}", path.display()))
}

fn name(case: &Case) -> String {
    format!("stage {} from {} on {} workers", value_name(case.stage), value_name(case.source), case.workers)
}

/// What stands before the brokers.
const KAFKA: &str = "kafka://";

/// The brokers on which a topic is wished.
fn brokers(source: &str) -> Option<&str> {
    if source == "kafka" { Some("localhost") } else { source.strip_prefix(KAFKA) }
}

fn form(source: &str) -> anyhow::Result<Form> {
    if let Some(brokers) = brokers(source) {
        let is_address = connectors::kafka::KafkaAddress::parse(&format!("{KAFKA}{brokers}/topic")).is_ok();
        ensure!(is_address, WrongUse(format!("flag --source: {source:?} names no broker; write kafka://HOST[:PORT]")));
        return Ok(Form::Kafka);
    }
    let known: Vec<String> = Form::value_variants().iter().copied().map(value_name).collect();
    Form::from_str(source, false).map_err(|_| {
        WrongUse(format!("flag --source: {source:?} is none of {}, kafka://HOST[:PORT]", known.join(", "))).into()
    })
}

/// A value as it is written on the command line.
fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn amount(arguments: &BenchArguments) -> anyhow::Result<Amount> {
    let period_ms = model::time::parse_duration_ms(&arguments.period)
        .map_err(|error| WrongUse(format!("flag --period: {error}")))?;
    for (flag, value) in [
        ("records", arguments.records),
        ("repeat", arguments.repeat as u64),
        ("workers", arguments.workers.iter().copied().min().unwrap_or(0) as u64),
    ] {
        ensure!(value > 0, WrongUse(format!("flag --{flag} is 0, which measures nothing")));
    }
    Ok(Amount { records: arguments.records, devices: arguments.devices, period_ms })
}

fn cases(arguments: &BenchArguments) -> anyhow::Result<Vec<Case>> {
    let stages = if arguments.stage.is_empty() { Stage::value_variants() } else { &arguments.stage };
    let mut cases = Vec::new();
    for source in &arguments.source {
        let source = form(source)?;
        for &stage in stages {
            if source.layout().is_some() && stage == Stage::Store {
                if arguments.stage.is_empty() {
                    continue;
                }
                bail!(WrongUse(
                    "stage store writes messages as they were sent, which decoded ones no longer hold".to_owned()
                ));
            }
            cases.extend(arguments.workers.iter().map(|&workers| Case { stage, source, workers }));
        }
    }
    Ok(cases)
}

/// Measures in a process of its own, so that no measurement inherits another one's heap.
fn measure_apart(case: &Case, arguments: &BenchArguments, filled: Option<&Filled>) -> anyhow::Result<Measured> {
    let program = std::env::current_exe().context("could not find this program's own file")?;
    let topic = filled.iter().flat_map(|filled| ["--topic", filled.url.as_str()]);
    let output = Command::new(program)
        .args(["bench", "--once", "--stage", &value_name(case.stage), "--source", &value_name(case.source)])
        .args(topic)
        .args(["-w", &case.workers.to_string(), "--records", &arguments.records.to_string()])
        .args(["--devices", &arguments.devices.to_string(), "--period", &arguments.period])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("could not start a process for the measurement")?;
    ensure!(output.status.success(), "the measurement of {} ended with {}", name(case), output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("the measurement of {} is not readable", name(case)))
}
