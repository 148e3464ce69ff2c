//! Small topics with all that the field has, made from a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use connectors::Source;
use connectors::memory::{MemorySource, Recorded, Steps};
use dataflow::embeddings::{Clock, Embeddings};
use dataflow::faults::Faults;
use dataflow::job::JobConfig;
use dataflow::settings::{Aggregation, EmbeddingSettings, JobSettings, Late, TextKind};

use crate::random::Random;

/// What a seed makes.
pub struct World {
    pub settings: JobSettings,
    /// (arrival step, event) by partition.
    pub partitions: BTreeMap<u32, Vec<(u64, Recorded)>>,
    /// Texts of an embedder that takes its time, instead of one that works in the stream.
    pub texts: Option<EmbeddingSettings>,
    /// Step at which a partition comes into being; one that is not named is there from the beginning.
    pub births: BTreeMap<u32, u64>,
}

pub const START_MS: i64 = 1_772_445_600_000;
const TYPES: [&str; 3] = ["rooftop_unit", "chiller", "pump"];

/// A small topic: several devices over some partitions, with all that the field has: disorder, late readings, duplicates,
/// tombstones, broken messages, quiet spells of a partition, changes of unit, place and metric.
pub fn world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let partitions = random.between(2, 4);
    let devices = random.between(2, 5);
    let lateness_ms = *random.pick(&[0, 5_000, 15_000, 25_000]);
    let window_ms = *random.pick(&[10_000, 10_000, 60_000]);
    let quiet = random.chance(0.6);
    let backlog = random.chance(0.5);
    let regular = random.chance(0.4);
    // Devices of one type are each other's peers.
    let alike = Random::new(seed ^ 0x9ee5).chance(0.5);
    let mut topic: BTreeMap<u32, Vec<(u64, Recorded)>> = (0..partitions).map(|at| (at as u32, Vec::new())).collect();
    let homes: Vec<Vec<i64>> = (0..devices)
        .map(|device| {
            if random.chance(0.7) {
                vec![device % partitions]
            } else {
                vec![device % partitions, (device + 1) % partitions]
            }
        })
        .collect();
    let spells: Vec<Option<(i64, i64)>> = (0..partitions)
        .map(|_| (quiet && random.chance(0.6)).then(|| (random.between(20, 60), random.between(60, 130))))
        .collect();
    let records = random.between(80, 220);
    let (mut time_ms, mut step) = (START_MS, 0);
    let mut history: Vec<(i64, i64, &str)> = Vec::new();
    for at in 0..records {
        time_ms += if random.chance(0.96) { random.between(0, 4_000) } else { random.between(20_000, 90_000) };
        step += random.between(0, 3) as u64;
        // Real devices send their metrics in the same order again and again.
        let mut device = if regular { at / 3 % devices } else { random.between(0, devices - 1) };
        let mut partition = *random.pick(&homes[device as usize]);
        let mut event_ms = time_ms;
        let kind = random.unit();
        if kind < 0.15 {
            event_ms -= random.between(1_000, 12_000);
        } else if kind < 0.25 {
            event_ms -= random.between(15_000, 90_000);
        } else if kind < 0.31 {
            event_ms += random.between(1_000, 200_000);
        }
        if backlog && spells[partition as usize].is_some_and(|(_, to)| (to..to + 25).contains(&at)) {
            // What a partition kept back while it was quiet.
            event_ms -= random.between(0, 60_000);
        }
        if random.chance(0.05) {
            // Windows begin there.
            event_ms -= event_ms % 10_000;
        }
        let metrics = ["supply_air_temp", "fan_speed", "x"];
        let mut metric = if regular { metrics[at as usize % 3] } else { *random.pick(&metrics) };
        let burst = random.chance(0.12) || (at / 25 % 3 == 2 && device == 0);
        let value = 50.0 + device as f64 + random.unit() + if burst { 25.0 } else { 0.0 };
        if random.chance(0.08) && !history.is_empty() {
            let recent = history.len().min(12);
            (device, event_ms, metric) = history[history.len() - 1 - random.below(recent)];
            partition = *random.pick(&homes[device as usize]);
        }
        if spells[partition as usize].is_some_and(|(from, to)| (from..to).contains(&at)) {
            continue;
        }
        history.push((device, event_ms, metric));
        let unit = match metric {
            "supply_air_temp" if random.chance(0.2) => ",\"unit\":\"degC\"",
            "supply_air_temp" if random.chance(0.05) => ",\"unit\":\"parsec\"",
            _ => "",
        };
        let place = if random.chance(0.1) { ",\"location\":\"roof\",\"building_id\":\"b1\"" } else { "" };
        let time =
            if random.chance(0.1) { format!("\"{}\"", model::time::format_ms(event_ms)) } else { event_ms.to_string() };
        let value =
            if metric == "x" && random.chance(0.2) { random.chance(0.5).to_string() } else { value.to_string() };
        let text = format!(
            "{{\"device_id\":\"d{device}\",\"device_type\":\"{}\",\"timestamp\":{time},\"metric_name\":\"{metric}\",\"metric_value\":{value}{unit}{place}}}",
            if alike { TYPES[0] } else { TYPES[device as usize % TYPES.len()] }
        );
        let disguised = random.chance(0.08);
        let text = if disguised { disguise(&mut random, &text) } else { text };
        let bytes = match random.unit() {
            broken if broken < 0.05 && !disguised => Some(break_message(&mut random, &text).into_bytes()),
            gone if (0.05..0.08).contains(&gone) => None,
            _ => Some(text.into_bytes()),
        };
        let log = topic.get_mut(&(partition as u32)).expect("all partitions exist");
        let offset = log.len() as i64 + i64::from(partition == 1) * 100;
        log.push((step, Recorded::Message { offset, broker_ms: time_ms + random.between(0, 500), bytes }));
    }
    let settings = JobSettings {
        window_ms,
        lateness_ms,
        max_future_ms: 100_000,
        max_age_ms: random.chance(0.3).then_some(60_000),
        max_message_bytes: LONGEST,
        aggregate: if random.chance(0.2) { Aggregation::Last } else { Aggregation::Mean },
        max_devices: if random.chance(0.1) { 2 } else { 1_000 },
        max_metrics: if random.chance(0.1) { 2 } else { 200 },
        idle_ms: 6,
        checkpoint_interval_ms: random.between(1, 40),
        ahead_windows: random.between(2, 8) as usize,
        ahead_rows: random.between(10, 400) as usize,
        late: if random.chance(0.5) { Late::Correct } else { Late::Keep },
        correct_within_ms: *random.pick(&[0, 20_000, 60_000, 3_600_000]),
        partition_refresh_ms: 1 + (seed % 50) as i64,
        ..JobSettings::default()
    };
    let texts = match seed % 3 {
        0 => None,
        1 => Some(TextKind::Words),
        _ => Some(TextKind::Values),
    };
    let texts = texts.map(|text| EmbeddingSettings {
        text,
        max_wait_ms: random.between(0, 60_000),
        ..EmbeddingSettings::default()
    });
    let births = births(seed, partitions, step);
    for (partition, birth) in &births {
        let log = topic.get_mut(partition).expect("all partitions exist");
        log.iter_mut().for_each(|(arrives, _)| *arrives = (*arrives).max(*birth));
    }
    World { settings, partitions: topic, births, texts }
}

/// Half of the topics gain their last partitions while they are read.
fn births(seed: u64, partitions: i64, last_step: u64) -> BTreeMap<u32, u64> {
    let mut random = Random::new(seed ^ 0xb127);
    if random.chance(0.5) {
        return BTreeMap::new();
    }
    let gained = random.between(1, partitions - 1);
    (partitions - gained..partitions).map(|at| (at as u32, random.between(1, last_step as i64) as u64)).collect()
}

/// The longest message that a world's settings allow, in bytes.
const LONGEST: usize = 400;

/// The field of a message with another value, written as it stands here.
fn with_field(text: &str, name: &str, with: &str) -> String {
    let from = text.find(&format!("\"{name}\":")).expect("every message has it");
    let to = text[from..].find([',', '}']).expect("a field ends") + from;
    format!("{}{with}{}", &text[..from], &text[to..])
}

/// A message that looks nearly like the ones before it: other forms of numbers, some of them none, and other spacing.
fn disguise(random: &mut Random, text: &str) -> String {
    const NUMBERS: [&str; 20] = [
        "1e2",
        "5.0E-1",
        "-0.0",
        "-7",
        "0",
        "007",
        "1.",
        ".5",
        "+5",
        "1e",
        "-",
        "5 ",
        " 5",
        "\"5\"",
        "12345678901234567890",
        "0.12345678901234567890123",
        "5,\"metric_value\":6",
        "1e-400",
        "NaN",
        "9007199254740993",
    ];
    match random.below(5) {
        0 => text.replacen(":", ": ", 1),
        1 => format!("{text} "),
        2 => format!("{text}}}"),
        _ => with_field(text, "metric_value", &format!("\"metric_value\":{}", random.pick(&NUMBERS))),
    }
}

/// One defect of each kind that makes a message unusable.
fn break_message(random: &mut Random, text: &str) -> String {
    let field = |name: &str, with: &str| with_field(text, name, with);
    match random.below(6) {
        0 => text[..text.len() - 9].to_owned(),
        1 => field("device_type", "\"other\":1"),
        2 => field("metric_value", "\"metric_value\":\"#VALUE!\""),
        3 => field("metric_value", "\"metric_value\":1e999"),
        4 => field("timestamp", "\"timestamp\":\"soon\""),
        _ => text.replacen('{', &format!("{{\"note\":\"{}\",", "n".repeat(LONGEST)), 1),
    }
}

impl World {
    pub fn finite(&self) -> MemorySource {
        let events = |log: &Vec<(u64, Recorded)>| log.iter().map(|(_, event)| event.clone()).collect();
        MemorySource::finite("walk", self.partitions.iter().map(|(number, log)| (*number, events(log))).collect())
    }

    pub fn live(&self, steps: &Steps) -> MemorySource {
        if self.births.is_empty() {
            return MemorySource::live("walk", self.partitions.clone(), steps.clone());
        }
        MemorySource::growing("walk", self.partitions.clone(), self.births.clone(), steps.clone())
    }

    /// The job; without patience its texts come in time or not.
    pub fn config(&self, source: Arc<dyn Source>, faults: &Faults, patient: bool) -> JobConfig {
        let texts = self.texts.clone().map(|mut settings| {
            // Time goes on whenever it is asked for, so that no real clock decides; or it stands still, and nothing is late.
            let now_ms = AtomicI64::new(START_MS + 150_000);
            let clock: Clock = match patient {
                true => {
                    settings.max_wait_ms = 1;
                    Box::new(|| START_MS - 86_400_000)
                }
                false => Box::new(move || now_ms.fetch_add(200, Ordering::SeqCst)),
            };
            Arc::new(Embeddings::new("memory", &settings, &self.settings, clock))
        });
        JobConfig {
            settings: self.settings.clone(),
            monitor: crate::quick_monitor().into(),
            source,
            store_rows: true,
            raw_rows: true,
            embedder: match texts {
                Some(_) => None,
                None => Some(|| Box::new(connectors::projection::Projection::new())),
            },
            texts,
            faults: faults.clone(),
            timed: false,
        }
    }
}
