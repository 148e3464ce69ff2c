//! One measurement, in a process of its own: prepare, parse bare, run, parse bare again.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use connectors::{NullStore, Source, SqliteStore, Store};
use model::message::decode;
use model::tables::TableId;
use serde::{Deserialize, Serialize};
use udfs::MonitorConfig;

use super::graph::{self, Feed, Part};
use super::prepare::{self, Amount, Decoded, Expected};
use super::source::Held;
use super::topic::Ended;
use super::{Case, Form, Kafka, Stage};
use crate::commands::run::{cpu_seconds, peak_rss_bytes};
use crate::detectors::Detectors;
use crate::faults::Faults;
use crate::job::{JobConfig, Status};
use crate::ledger::Totals;
use crate::progress::Progress;
use crate::run::{Workers, run};
use crate::settings::JobSettings;

/// CPU seconds that each of the two bare loops takes at least: the process's CPU clock has steps of 10 ms.
const CEILING_CPU_S: f64 = 0.4;

/// What was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Messages, or decoded readings.
    pub messages: u64,
    /// Wall time of the run.
    pub wall_s: f64,
    /// CPU time of the run, all threads.
    pub cpu_s: f64,
    /// What the bare loop does in a CPU-second.
    pub ceiling_per_cpu_s: f64,
    /// Highest resident memory while it ran, the prepared messages included.
    pub peak_rss_bytes: u64,
    /// What the run counted.
    pub totals: Totals,
    /// Counts are what a plain reading of the rules gives.
    pub correct: bool,
}

impl Measured {
    /// The measure that others on the same machine disturb least.
    pub fn per_cpu_s(&self) -> f64 {
        rate(self.messages, self.cpu_s)
    }

    /// Long enough for a rate a CPU-second: the system tells CPU time in steps of 10 ms, a fifth of this.
    pub fn has_cpu_rate(&self) -> bool {
        self.cpu_s >= 0.05
    }

    /// What people feel.
    pub fn per_s(&self) -> f64 {
        rate(self.messages, self.wall_s)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far fewer messages than 2^53")]
fn rate(messages: u64, seconds: f64) -> f64 {
    messages as f64 / seconds.max(1e-3)
}

/// Measures one case.
///
/// # Errors
/// The simulator refuses the amount, the system does not tell times and memory, or the job fails.
pub fn measure(case: &Case, amount: Amount, kafka: Option<&Kafka>) -> anyhow::Result<Measured> {
    let settings = JobSettings::default();
    let topic = Arc::new(prepare::topic(amount)?);
    let all = prepare::expect(&topic, &settings);
    // So many states at most are of devices that are still learned.
    let learning = amount.devices as u64 * u64::from(MonitorConfig::default().warm_up_windows);
    let folder = Folder::new()?;
    let run = |source| run_messages(case, source, &settings, &folder);
    match case.source.layout() {
        None if case.source == Form::Kafka => {
            let Kafka { url, settings } = kafka.context("a measurement from Kafka needs its topic")?;
            drop(topic);
            let bare = || Ended::open(url, settings)?.consume().context("could not read the topic");
            around(
                amount.records,
                &bare,
                || run(Arc::new(Ended::open(url, settings)?)),
                |run| run.is(&all, case.stage, learning),
            )
        }
        None => {
            let held = Arc::clone(&topic);
            let bare = || Ok(parse_bare(&topic, &settings));
            around(amount.records, &bare, || run(held), |run| run.is(&all, case.stage, learning))
        }
        Some(layout) => {
            // Whatever is no reading on time never gets into the cache.
            let expected = Expected { late: 0, dead_lettered: 0, skipped: 0, ..all };
            let messages = expected.windowed + expected.duplicate;
            let partitions = Arc::new(prepare::decoded(&topic, &settings, layout, &folder.0)?);
            drop(topic);
            let bare = || Ok(pass_bare(&partitions));
            let feed = Feed::Decoded(Arc::clone(&partitions));
            around(messages, &bare, || run_part(case, feed, &settings), |run| run.is(&expected, case.stage, learning))
        }
    }
}

/// What a run gave.
struct Run {
    totals: Totals,
    rows: Option<[u64; 2]>,
}

impl Run {
    fn is(&self, expected: &Expected, stage: Stage, learning: u64) -> bool {
        let totals = &self.totals;
        let seen = Expected {
            windowed: totals.windowed,
            duplicate: totals.duplicate,
            late: totals.late,
            dead_lettered: totals.dead_lettered,
            skipped: totals.skipped,
            states: totals.states,
        };
        let wanted = if stage == Stage::Decode {
            // Without windows nothing is known of duplicates and states.
            Expected { windowed: expected.windowed + expected.duplicate, duplicate: 0, states: 0, ..*expected }
        } else {
            *expected
        };
        let rows = self.rows.is_none_or(|rows| rows == [wanted.states, wanted.dead_lettered]);
        // Nothing is embedded while devices are learned.
        let is_embedded = expected.states <= learning || totals.embeddings_computed > 0;
        seen == wanted && rows && (stage < Stage::Embedding || is_embedded)
    }
}

/// Measures a run between two bare loops, so that what disturbs one disturbs the other.
fn around(
    messages: u64,
    bare: &dyn Fn() -> anyhow::Result<u64>,
    run: impl FnOnce() -> anyhow::Result<Run>,
    is_right: impl FnOnce(&Run) -> bool,
) -> anyhow::Result<Measured> {
    let (looped_before, bare_before_s) = repeat(bare)?;
    std::fs::write("/proc/self/clear_refs", "5").context("could not reset the peak of resident memory")?;
    let cpu_before_s = cpu_seconds();
    let began = Instant::now();
    let run = run()?;
    let wall_s = began.elapsed().as_secs_f64();
    let cpu_s = cpu_seconds() - cpu_before_s;
    let peak_rss_bytes = peak_rss_bytes();
    let (looped_after, bare_after_s) = repeat(bare)?;
    Ok(Measured {
        messages,
        wall_s,
        cpu_s,
        ceiling_per_cpu_s: rate(looped_before + looped_after, bare_before_s + bare_after_s),
        peak_rss_bytes,
        correct: is_right(&run),
        totals: run.totals,
    })
}

/// Repeats a bare loop for long enough; how many messages, and in how many CPU seconds.
fn repeat(bare: &dyn Fn() -> anyhow::Result<u64>) -> anyhow::Result<(u64, f64)> {
    let before_s = cpu_seconds();
    ensure!(before_s > 0.0, "the system does not tell CPU time in /proc/self/stat");
    let mut messages = 0;
    loop {
        messages += bare()?;
        let cpu_s = cpu_seconds() - before_s;
        if cpu_s >= CEILING_CPU_S {
            return Ok((messages, cpu_s));
        }
    }
}

/// The ceiling for messages: each decoded, each field touched, nothing else.
fn parse_bare(topic: &Held, settings: &JobSettings) -> u64 {
    let (mut messages, mut bytes, mut sum) = (0, 0, 0.0);
    for record in topic.logs.iter().flat_map(|log| log.messages()) {
        messages += 1;
        let Some(Ok(message)) = record.bytes.map(|bytes| decode(bytes, settings.max_message_bytes)) else { continue };
        sum += message.metric_value;
        bytes += message.device_id.len() + message.device_type.len() + message.metric_name.len();
        bytes += message.unit.map_or(0, |unit| unit.len());
        bytes += message.location.map_or(0, |location| location.len());
        bytes += message.building_id.map_or(0, |building| building.len());
        bytes += usize::from(message.timestamp_ms % 2 == 0);
    }
    black_box((bytes, sum));
    messages
}

/// The ceiling for decoded readings: each one loaded.
fn pass_bare(partitions: &[Decoded]) -> u64 {
    let (mut messages, mut sum, mut mixed) = (0, 0.0, 0);
    for decoded in partitions {
        for record in decoded.lock().view().iter() {
            messages += 1;
            sum += record.value;
            mixed ^= record.series ^ record.ts.cast_unsigned() ^ u64::from(record.route);
        }
    }
    black_box((sum, mixed));
    messages
}

/// The part of the graph up to the case's stage.
fn run_part(case: &Case, feed: Feed, settings: &JobSettings) -> anyhow::Result<Run> {
    let (settings, monitor) = (settings.clone(), Detectors::default());
    let part = Part { stage: case.stage, feed, settings, monitor, embedder: case.stage.embedder()? };
    Ok(Run { totals: graph::run(part, case.workers)?, rows: None })
}

/// Messages up to windows run in a part of the graph, and everything beyond in the whole job, checkpoints included.
fn run_messages(case: &Case, source: Arc<dyn Source>, settings: &JobSettings, folder: &Folder) -> anyhow::Result<Run> {
    if case.stage <= Stage::Windows {
        return run_part(case, Feed::Messages(source), settings);
    }
    let is_stored = case.stage == Stage::Store;
    let config = JobConfig {
        settings: settings.clone(),
        monitor: Detectors::default(),
        source,
        store_rows: is_stored,
        raw_rows: true,
        embedder: case.stage.embedder()?,
        texts: None,
        faults: Faults::default(),
        timed: true,
    };
    let store: Box<dyn Store> = if is_stored {
        Box::new(SqliteStore::open(folder.0.join("bench.db")).context("could not open a store for the measurement")?)
    } else {
        Box::new(NullStore::default())
    };
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    let outcome = run(&config, &Workers::threads(case.workers), Some(store), &stop, &progress)?;
    ensure!(outcome.status == Status::Finished, "the job stopped before the end");
    let manifest = outcome.manifest.context("the job ended without a checkpoint")?;
    let rows = match outcome.store {
        Some(mut store) if is_stored => {
            Some([store.count(TableId::DeviceStateSnapshots)?, store.count(TableId::DeadLetters)?])
        }
        _ => None,
    };
    Ok(Run { totals: manifest.totals, rows })
}

/// A folder for what a measurement writes, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("plenum-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("could not make folder {}", path.display()))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let path: &Path = &self.0;
        if let Err(error) = std::fs::remove_dir_all(path) {
            tracing::warn!("could not remove folder {}: {error}", path.display());
        }
    }
}
