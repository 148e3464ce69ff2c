//! How the job is doing, for the pages.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connectors::{Source, Store, counts};
use dashboard::wire::{Checkpoint, Delay, Embedding, Fates, Job, JobState, JobView, Partition, Readiness, Rows};

use crate::checkpoint::{Manifest, Start};
use crate::clock;
use crate::delays::Quantiles;
use crate::embeddings::Embeddings;
use crate::ledger::Totals;
use crate::progress::Progress;
use crate::run::Workers;
use crate::status::{PartitionStand, Stand, partitions_of};
use crate::telemetry::{JobFigures, render};

/// How often the brokers are asked for the ends of the partitions.
const ENDS_EVERY: Duration = Duration::from_secs(10);
/// Rows may be under way for so long before the store is taken to be away.
const PATIENCE: Duration = Duration::from_secs(15);

/// A job, and what tells how it is doing.
pub struct Watched {
    /// Counters.
    pub(super) progress: Arc<Progress>,
    /// Where messages come from.
    source: Arc<dyn Source>,
    /// How many, and where.
    workers: Workers,
    /// When this process began.
    started_ms: i64,
    /// It was asked to stop.
    stop: Arc<AtomicBool>,
    /// Vectors of texts.
    texts: Option<Arc<Embeddings>>,
    /// What was seen at the last looks.
    seen: Mutex<Seen>,
}

/// What was seen at the last looks.
#[derive(Default)]
struct Seen {
    finished: bool,
    /// Ends of the partitions, and when they were asked for.
    ends: BTreeMap<u32, i64>,
    asked: Option<Instant>,
    /// Rows written, and since when there are no more of them though some are under way.
    written: u64,
    since: Option<Instant>,
}

impl Watched {
    /// A job that is about to begin.
    pub fn new(
        progress: Arc<Progress>,
        source: Arc<dyn Source>,
        workers: Workers,
        stop: Arc<AtomicBool>,
        texts: Option<Arc<Embeddings>>,
    ) -> Watched {
        progress.status.watch();
        Watched { progress, source, workers, started_ms: clock::now_ms(), stop, texts, seen: Mutex::default() }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has come to its end.
    pub(super) fn finished(&self, manifest: Option<&Manifest>) {
        if let Some(manifest) = manifest {
            self.progress.status.publish_end(manifest);
        }
        self.seen().finished = true;
    }

    /// Looks; may ask the brokers.
    pub(super) fn view(&self) -> JobView {
        self.ask_ends();
        self.known()
    }

    /// The same as far as it is known: asks nobody.
    pub(super) fn known(&self) -> JobView {
        let stand = self.progress.status.stand();
        let (ends, finished) = {
            let mut seen = self.seen();
            let (written, under_way) = (self.progress.rows_written(), self.progress.rows_under_way());
            if written != seen.written || under_way == 0 {
                (seen.written, seen.since) = (written, None);
            } else {
                seen.since.get_or_insert_with(Instant::now);
            }
            (seen.ends.clone(), seen.finished)
        };
        let totals = self.totals(&stand);
        let at_end = !stand.partitions.is_empty() && stand.partitions.values().all(|partition| partition.at_end);
        let state = match () {
            () if finished => JobState::Finished,
            () if self.stop.load(Ordering::SeqCst) => JobState::Stopping,
            () if at_end => JobState::Waiting,
            () => JobState::Running,
        };
        let live = self.source.live().is_some();
        JobView {
            job: Some(Job {
                started_ms: self.started_ms,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                workers: self.workers.threads,
                processes: self.workers.processes,
                state,
                readiness: self.readiness(),
            }),
            partitions: partitions(&stand.partitions, &ends, live.then(clock::now_ms)),
            fates: fates(&totals),
            delays: if live { self.delays() } else { Vec::new() },
            checkpoint: stand.checkpoint.map(|checkpoint| Checkpoint {
                id: checkpoint.id,
                age_ms: i64::try_from(checkpoint.at.elapsed().as_millis()).ok(),
                window_ms: Some(checkpoint.boundary_ms).filter(|ms| *ms > i64::MIN),
                bytes: Some(checkpoint.bytes),
                took_ms: Some(checkpoint.took_ms),
            }),
            rows: Rows {
                written: self.progress.rows_written(),
                under_way: self.progress.rows_under_way() as u64,
                refused: counts::ROWS_REFUSED.load(Ordering::Relaxed),
            },
            embedding: self.texts.as_ref().map(|texts| {
                let counts = texts.counts();
                Embedding { computed: counts.computed, cached: counts.cached }
            }),
            recording: !live,
            lateness_ms: 0,
        }
    }

    fn totals(&self, stand: &Stand) -> Totals {
        let mut totals = Totals::default();
        match stand.checkpoint.filter(|_| self.workers.processes > 1) {
            // The workers of other processes are counted at checkpoints alone.
            Some(checkpoint) => totals = checkpoint.totals,
            None => stand.totals.values().for_each(|more| totals.add(more)),
        }
        totals
    }

    /// What `/metrics` shows.
    pub(super) fn figures(&self, is_ready: bool) -> String {
        let (view, totals) = (self.known(), self.totals(&self.progress.status.stand()));
        let waiting_texts = self.texts.as_ref().map(|texts| texts.waiting());
        let job = JobFigures { progress: &self.progress, view: &view, totals, waiting_texts };
        render(is_ready, self.started_ms, Some(&job))
    }

    fn ask_ends(&self) {
        let Some(live) = self.source.live() else { return };
        if self.seen().asked.is_some_and(|asked| asked.elapsed() < ENDS_EVERY) {
            return;
        }
        // Brokers that are away leave the ends as they were known; the job itself says that it can't read.
        let extents = live.extents().unwrap_or_default();
        let mut seen = self.seen();
        seen.asked = Some(Instant::now());
        seen.ends.extend(extents.into_iter().map(|extent| (extent.partition, extent.end_offset)));
    }

    fn delays(&self) -> Vec<Delay> {
        let (readings, states) = self.progress.delays.quantiles();
        let delay = |what: &str, quantiles: Quantiles| Delay {
            what: what.to_owned(),
            p50_ms: quantiles.p50_ms,
            p90_ms: quantiles.p90_ms,
            p99_ms: quantiles.p99_ms,
            max_ms: quantiles.max_ms,
            count: quantiles.count,
        };
        vec![
            delay("from a reading's time to its durable row", readings),
            delay("from when a window may close to its durable state", states),
        ]
    }

    /// Whether it does its work.
    pub(super) fn readiness(&self) -> Readiness {
        let stuck = self.seen().since.map(|since| since.elapsed()).filter(|stuck| *stuck > PATIENCE);
        match stuck {
            Some(stuck) => {
                Readiness { ready: false, why: format!("the store has taken no row for {} s", stuck.as_secs()) }
            }
            None => Readiness { ready: true, why: String::new() },
        }
    }
}

fn fates(totals: &Totals) -> Fates {
    Fates {
        received: totals.received(),
        windowed: totals.windowed,
        late: totals.late,
        duplicate: totals.duplicate,
        skipped: totals.skipped,
        dead_lettered: totals.dead_lettered,
    }
}

/// `now_ms`: the clock that watermarks are behind of; `None`: the furthest of them.
fn partitions(
    stands: &BTreeMap<u32, PartitionStand>,
    ends: &BTreeMap<u32, i64>,
    now_ms: Option<i64>,
) -> Vec<Partition> {
    let furthest_ms = stands.values().map(|stand| stand.watermark_ms).max();
    let partition = |(partition, stand): (&u32, &PartitionStand)| {
        let watermark_ms = Some(stand.watermark_ms).filter(|ms| *ms > i64::MIN);
        let end_offset = ends.get(partition).copied();
        Partition {
            partition: *partition,
            next_offset: stand.next_offset,
            end_offset,
            lag: end_offset.map(|end| (end - stand.next_offset).max(0)),
            watermark_ms,
            idle: stand.idle,
            behind_ms: watermark_ms
                .and_then(|watermark_ms| Some((now_ms.or(furthest_ms)?.saturating_sub(watermark_ms)).max(0))),
        }
    };
    stands.iter().map(partition).collect()
}

/// What a store's newest checkpoint tells of the job.
pub(super) fn of_store(store: &mut dyn Store, usual_lateness_ms: i64) -> anyhow::Result<JobView> {
    let Some((id, manifest)) = Start::decode(store.latest_checkpoint()?, Vec::new())?.manifest else {
        return Ok(JobView { lateness_ms: usual_lateness_ms, ..JobView::default() });
    };
    Ok(JobView {
        partitions: partitions(&partitions_of(&manifest, manifest.finished), &BTreeMap::new(), None),
        fates: fates(&manifest.totals),
        checkpoint: Some(Checkpoint {
            id,
            age_ms: None,
            window_ms: Some(manifest.boundary_ms).filter(|ms| *ms > i64::MIN),
            bytes: None,
            took_ms: None,
        }),
        recording: !is_topic(&manifest.source),
        lateness_ms: setting_ms(&manifest.settings, "lateness=").unwrap_or(usual_lateness_ms),
        ..JobView::default()
    })
}

/// A topic goes on; everything else that results are made of has an end.
fn is_topic(identity: &str) -> bool {
    identity.starts_with("kafka:")
}

/// A number of the settings' text in a manifest.
fn setting_ms(settings: &str, name: &str) -> Option<i64> {
    settings.split(' ').find_map(|part| part.strip_prefix(name))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_tells_a_topic_from_a_recording_and_the_lateness() {
        assert!(is_topic("kafka:iot-metrics") && !is_topic("recording:00ff:12"));
        let settings = "window=60000 lateness=45000 max_future=1";
        assert_eq!((setting_ms(settings, "lateness="), setting_ms(settings, "late=")), (Some(45_000), None));
    }
}
