//! `simulate`: a fleet's messages, with the labels of what was broken in it.

mod send;
mod write;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use connectors::KafkaProducer;
use model::time::{format_duration, format_ms};
use scenarios::simulator::{
    Clock, Delivery, FaultOptions, FaultRequest, Features, Fleet, Options, Simulator, SimulatorError, Tally,
    TypeSpelling,
};
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    ConfigLayers, json_text, parse_duration, parse_time, short_time, table, table_text, thousands,
};
use crate::commands::run::labels_of;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow simulate --to day.jsonl.zst --duration 24h --period 60s
  dataflow simulate --to week.jsonl.zst --count 200 --duration 7d --faults-per-device-week 1
  dataflow simulate --to - --devices RTU-001:rooftop_unit --fault RTU-001/fan_failure/severe/9h/90min
  dataflow simulate --to poor.jsonl --late 0.01 --duplicates 0.01 --malformed 0.001 --fast-clock CT-001:2min
  dataflow simulate --to kafka://localhost:9092/iot-metrics --live --duration 1h --period 1s";

/// Arguments of `simulate`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
#[allow(rustdoc::broken_intra_doc_links, reason = "texts of --help, where brackets are what may be left out")]
pub struct SimulateArguments {
    /// Where to: a file (compressed if it ends in .zst), - for stdout, or kafka://HOST[:PORT]/TOPIC, made if it is missing
    #[arg(long, value_name = "TARGET", default_value = "fleet.jsonl.zst")]
    to: String,
    /// Where the labels of the faults go [default: beside the file, NAME.labels.jsonl; nowhere without a file]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Devices from a file: TOML, or JSON such as fleet_config.json
    #[arg(long, value_name = "FILE", group = "fleet_of", help_heading = "Fleet")]
    fleet: Option<PathBuf>,
    /// Devices by name and type, such as RTU-001:rooftop_unit
    #[arg(long, value_name = "ID:TYPE", num_args = 1.., group = "fleet_of", help_heading = "Fleet")]
    devices: Vec<String>,
    /// So many devices of all types [default: the fleet of eleven]
    #[arg(long, value_name = "N", group = "fleet_of", help_heading = "Fleet")]
    count: Option<usize>,
    /// Names of types as devices send them
    #[arg(long, value_enum, default_value_t = Spelling::Canonical, help_heading = "Fleet")]
    spelling: Spelling,
    /// First tick (RFC 3339)
    #[arg(long, value_name = "TIME", default_value = "2026-03-02T00:00:00Z", help_heading = "Time")]
    start: String,
    /// How much time
    #[arg(long, value_name = "DURATION", default_value = "24h", help_heading = "Time")]
    duration: String,
    /// Between two readings of a device
    #[arg(long, value_name = "DURATION", default_value = "10s", help_heading = "Time")]
    period: String,
    /// Readings lie up to this long after their tick
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = "Time")]
    jitter: String,
    /// Devices tick one after the other instead of all at once
    #[arg(long, help_heading = "Time")]
    stagger: bool,
    /// All randomness follows from it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Partitions of the topic
    #[arg(long, value_name = "N", default_value_t = 3)]
    partitions: u32,
    /// Messages a second at most [default: as fast as it can]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// To Kafka: begin now and send each message when its time has come
    #[arg(long, conflicts_with = "start")]
    live: bool,
    #[command(flatten)]
    layers: ConfigLayers,
    /// The original's dynamics: no weather, no people, no cycling, no wear
    #[arg(long, help_heading = "Equipment")]
    original: bool,
    /// Factor on the noise of every metric
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, help_heading = "Equipment")]
    noise: f64,
    /// Mean outdoor temperature
    #[arg(long, value_name = "F", default_value_t = 75.0, help_heading = "Equipment")]
    mean_outdoor_f: f64,
    /// A fault: ID/KIND[/SEVERITY[/START[/DURATION[/METRIC]]]]; may be given several times
    #[arg(long, value_name = "FAULT", help_heading = "Faults")]
    fault: Vec<String>,
    /// Faults from a TOML file of [[fault]] tables
    #[arg(long, value_name = "FILE", help_heading = "Faults")]
    faults: Option<PathBuf>,
    /// Random faults of each device in a week
    #[arg(long, value_name = "N", default_value_t = 0.0, help_heading = "Faults")]
    faults_per_device_week: f64,
    /// Devices with many random faults, the first within 20 minutes
    #[arg(long, value_name = "ID", num_args = 1.., help_heading = "Faults")]
    anomaly_devices: Vec<String>,
    /// No random faults, whatever else is said
    #[arg(long, help_heading = "Faults")]
    no_anomalies: bool,
    /// How often a device is offline, times a day
    #[arg(long, value_name = "N", default_value_t = 0.0, help_heading = "Delivery")]
    gaps: f64,
    /// Share of messages that never arrive
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    dropped: f64,
    /// Share of messages that arrive twice
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    duplicates: f64,
    /// Share of messages that are overtaken
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    out_of_order: f64,
    /// Share of messages that come after their window was closed
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    late: f64,
    /// Share of messages that can't be used
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    malformed: f64,
    /// Share of messages without a value
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, help_heading = "Delivery")]
    tombstones: f64,
    /// A device whose clock is ahead, such as CT-001:2min; may be given several times
    #[arg(long, value_name = "ID:AHEAD", help_heading = "Delivery")]
    fast_clock: Vec<String>,
    /// The summary as JSON, no progress
    #[arg(long)]
    json: bool,
}

/// How devices name their types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Spelling {
    /// rooftop_unit
    Canonical,
    /// rooftopunit
    Original,
}

impl SimulateArguments {
    fn fleet(&self) -> anyhow::Result<Fleet> {
        let fleet = match (&self.fleet, self.devices.is_empty(), self.count) {
            (Some(path), ..) => Fleet::from_file(path),
            (None, false, _) => Fleet::from_pairs(&self.devices),
            (None, true, Some(count)) => Fleet::generate(count, self.seed),
            (None, true, None) => Ok(Fleet::default_eleven()),
        }
        .map_err(wrong)?;
        if !self.no_anomalies {
            return Ok(fleet);
        }
        // The faults that are asked for stay; only those that nobody asked for go.
        let mut devices = fleet.devices().to_vec();
        devices.iter_mut().for_each(|device| device.inject_anomalies = false);
        Fleet::new(devices).map_err(wrong)
    }

    /// The topic to send to, if it is one.
    fn topic(&self) -> anyhow::Result<Option<KafkaProducer>> {
        if !self.to.contains("://") {
            return Ok(None);
        }
        let producer = KafkaProducer::open(&self.to, &self.layers.load()?.kafka());
        Ok(Some(producer.map_err(|error| WrongUse(error.to_string()))?))
    }

    fn options(&self) -> anyhow::Result<Options> {
        let mut requests: Vec<FaultRequest> =
            self.fault.iter().map(|text| FaultRequest::parse(text)).collect::<Result<_, _>>().map_err(wrong)?;
        if let Some(path) = &self.faults {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("could not read faults {}", path.display()))
                .map_err(|error| WrongUse(format!("{error:#}")))?;
            let more = FaultRequest::parse_toml(&text)
                .map_err(|error| WrongUse(format!("faults {}: {error}", path.display())))?;
            requests.extend(more);
        }
        let mut features = if self.original { Features::original() } else { Features::default() };
        features.noise = self.noise;
        features.climate.mean_f = self.mean_outdoor_f;
        let random = !self.no_anomalies;
        let faults = FaultOptions {
            requests,
            per_device_week: if random { self.faults_per_device_week } else { 0.0 },
            marked_devices: if random { self.anomaly_devices.clone() } else { Vec::new() },
            ..FaultOptions::default()
        };
        let delivery = Delivery {
            gaps_per_day: self.gaps,
            drop_rate: self.dropped,
            duplicate_rate: self.duplicates,
            out_of_order_rate: self.out_of_order,
            late_rate: self.late,
            malformed_rate: self.malformed,
            tombstone_rate: self.tombstones,
            clocks: self.fast_clock.iter().map(|text| clock(text)).collect::<anyhow::Result<_>>()?,
            ..Delivery::default()
        };
        Ok(Options {
            seed: self.seed,
            start_ms: parse_time(&self.start, None)?,
            duration_ms: Some(parse_duration("--duration", &self.duration)?),
            period_ms: parse_duration("--period", &self.period)?,
            jitter_ms: parse_duration("--jitter", &self.jitter)?,
            stagger: self.stagger,
            partitions: self.partitions,
            spelling: match self.spelling {
                Spelling::Canonical => TypeSpelling::Canonical,
                Spelling::Original => TypeSpelling::Original,
            },
            features,
            delivery,
            faults,
        })
    }
}

/// The simulator refuses what it was told; a file that can't be written is another matter, but none is written here.
fn wrong(error: SimulatorError) -> anyhow::Error {
    WrongUse(error.to_string()).into()
}

/// `ID:AHEAD`, with `-2min` for a clock that is behind.
fn clock(text: &str) -> anyhow::Result<Clock> {
    let (device_id, ahead) = text
        .rsplit_once(':')
        .ok_or_else(|| WrongUse(format!("flag --fast-clock: {text:?} is not ID:AHEAD, such as CT-001:2min")))?;
    let (sign, ahead) = ahead.strip_prefix('-').map_or((1, ahead), |ahead| (-1, ahead));
    let ahead_ms = sign * parse_duration("--fast-clock", ahead)?;
    Ok(Clock { device_id: device_id.to_owned(), ahead_ms, drift_ppm: 0 })
}

/// Simulates.
///
/// # Errors
/// Wrong use, or a file that can't be written.
pub fn run(arguments: &SimulateArguments) -> anyhow::Result<ExitCode> {
    if arguments.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        bail!(WrongUse("flag --rate: a rate is above 0 messages a second".to_owned()));
    }
    let (fleet, mut options) = (arguments.fleet()?, arguments.options()?);
    let topic = arguments.topic()?;
    if let Some(producer) = &topic {
        options.partitions = producer.make_topic(options.partitions, &[("message.timestamp.type", "LogAppendTime")])?;
    } else if arguments.live {
        bail!(WrongUse("flag --live: only Kafka has a clock of its own; name a topic with --to".to_owned()));
    }
    if arguments.live {
        options.start_ms = crate::clock::now_ms();
    }
    let mut simulator = Simulator::new(&fleet, &options).map_err(wrong)?;
    let labels_path = arguments
        .labels
        .clone()
        .or_else(|| (arguments.to != "-" && topic.is_none()).then(|| labels_of(Path::new(&arguments.to))));
    let write_labels = |simulator: &Simulator| -> anyhow::Result<()> {
        if let Some(path) = &labels_path {
            simulator.write_labels(path).with_context(|| format!("could not write labels {}", path.display()))?;
        }
        Ok(())
    };
    let pace = write::Pace { rate: arguments.rate, show: !arguments.json };
    let to_stdout = arguments.to == "-";
    let Some(tally) = (if let Some(producer) = &topic {
        Some(send::to_kafka(&mut simulator, &options, producer, pace, arguments.live, &write_labels)?)
    } else if to_stdout {
        write::to_stdout(&mut simulator, &options, pace)?
    } else {
        Some(write::to_file(&mut simulator, &options, Path::new(&arguments.to), pace)?)
    }) else {
        return Ok(ExitCode::from(141)); // the reader went away, as shells have it
    };
    write_labels(&simulator)?;
    let summary = Summary {
        arguments,
        options: &options,
        devices: fleet.devices().len(),
        tally,
        labels: simulator.labels().len(),
        labels_path,
    };
    let text = if arguments.json { format!("{}\n", json_text(&summary.to_json())) } else { summary.to_text() };
    // Where the messages have stdout for themselves, people read on stderr.
    if to_stdout {
        std::io::stderr().write_all(text.as_bytes()).context("could not write to stderr")?;
    } else {
        std::io::stdout().write_all(text.as_bytes()).context("could not write to stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

struct Summary<'a> {
    arguments: &'a SimulateArguments,
    options: &'a Options,
    devices: usize,
    tally: Tally,
    labels: usize,
    labels_path: Option<PathBuf>,
}

impl Summary<'_> {
    /// What happened to the readings and messages, in words.
    fn counts(&self) -> [(&'static str, &'static str, u64); 10] {
        let tally = &self.tally;
        [
            ("messages", "messages written", tally.messages),
            ("readings", "readings taken", tally.readings),
            ("duplicates", "written a second time", tally.duplicates),
            ("out_of_order", "overtaken, within the lateness", tally.out_of_order),
            ("late", "beyond the lateness", tally.late),
            ("malformed", "not usable", tally.malformed),
            ("tombstones", "without a value", tally.tombstones),
            ("dropped", "lost on their way", tally.dropped),
            ("offline", "lost while a device was offline", tally.offline),
            ("silenced", "not sent because of a fault", tally.silenced),
        ]
    }

    fn end_ms(&self) -> i64 {
        self.options.start_ms + self.options.duration_ms.unwrap_or_default()
    }

    fn to_json(&self) -> serde_json::Value {
        let mut object = json!({
            "to": self.arguments.to,
            "labels_file": self.labels_path,
            "devices": self.devices,
            "partitions": self.options.partitions,
            "seed": self.options.seed,
            "start": format_ms(self.options.start_ms),
            "end": format_ms(self.end_ms()),
            "period_ms": self.options.period_ms,
            "faults": self.labels,
        });
        for (name, _, count) in self.counts() {
            object[name] = count.into();
        }
        object
    }

    fn to_text(&self) -> String {
        let target = if self.arguments.to == "-" { "stdout" } else { &self.arguments.to };
        let mut text = format!(
            "{target}: {} devices every {}, {} to {}, {} partitions, seed {}\n",
            self.devices,
            format_duration(self.options.period_ms),
            short_time(self.options.start_ms),
            short_time(self.end_ms()),
            self.options.partitions,
            self.options.seed
        );
        let mut shown = table(&["", "", ""], &[1]);
        for (at, (_, words, count)) in self.counts().into_iter().enumerate() {
            // What did not happen needs no line, but for the first two.
            if at < 2 || count > 0 {
                shown.add_row([String::new(), thousands(count), words.to_owned()]);
            }
        }
        let beside = self.labels_path.as_ref().map_or(String::new(), |path| format!(" in {}", path.display()));
        shown.add_row([String::new(), self.labels.to_string(), format!("faults, labelled{beside}")]);
        text.extend(table_text(&shown).lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")));
        text
    }
}
