//! Where the job stands, for those who look at it: published by the workers about once a second while somebody does. It steers
//! nothing, and no result depends on it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::checkpoint::Manifest;
use crate::ledger::Totals;

/// How often a worker publishes, milliseconds.
pub const EVERY_MS: i64 = 1_000;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionStand {
    /// The next offset to read.
    pub next_offset: i64,
    /// `i64::MIN`: none yet.
    pub watermark_ms: i64,
    /// It has been quiet for so long that it holds nobody up.
    pub idle: bool,
    /// All that there was has been read.
    pub at_end: bool,
}

/// A checkpoint that became durable in this run.
#[derive(Clone, Copy, Debug)]
pub struct CheckpointStand {
    /// Its number.
    pub id: u64,
    /// T.
    pub boundary_ms: i64,
    /// Size of manifest and parts.
    pub bytes: u64,
    /// How long writing took.
    pub took_ms: i64,
    /// When it was known to be durable.
    pub at: Instant,
    /// Counted below T, over all workers of all processes.
    pub totals: Totals,
}

/// Where the job stands.
#[derive(Debug, Default)]
pub struct Status {
    watched: AtomicBool,
    stand: Mutex<Stand>,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Stand {
    /// What was counted so far, by worker of this process.
    pub totals: BTreeMap<usize, Totals>,
    /// By number: those of this process, and where worker 0 was told of others, theirs.
    pub partitions: BTreeMap<u32, PartitionStand>,
    /// The newest checkpoint of this run.
    pub checkpoint: Option<CheckpointStand>,
}

impl Status {
    /// From now on somebody looks.
    pub fn watch(&self) {
        self.watched.store(true, Relaxed);
    }

    /// Whether it is worth publishing anything.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Relaxed)
    }

    /// As it was published last.
    pub fn stand(&self) -> Stand {
        self.lock().clone()
    }

    /// Publishes what a worker counted and where its partitions stand.
    pub fn publish(&self, worker: usize, totals: Totals, partitions: impl IntoIterator<Item = (u32, PartitionStand)>) {
        let mut stand = self.lock();
        stand.totals.insert(worker, totals);
        stand.partitions.extend(partitions);
    }

    /// Publishes where partitions of other processes stand.
    pub fn publish_partitions(&self, partitions: impl IntoIterator<Item = (u32, PartitionStand)>) {
        self.lock().partitions.extend(partitions);
    }

    /// Publishes a checkpoint.
    pub fn publish_checkpoint(&self, checkpoint: CheckpointStand) {
        self.lock().checkpoint = Some(checkpoint);
    }

    /// Publishes how a run ended: what its last manifest counts is all there is.
    pub fn publish_end(&self, manifest: &Manifest) {
        let mut stand = self.lock();
        stand.totals = BTreeMap::from([(0, manifest.totals)]);
        stand.partitions = partitions_of(manifest, manifest.finished);
    }

    fn lock(&self) -> MutexGuard<'_, Stand> {
        self.stand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a manifest's partitions go on.
pub fn partitions_of(manifest: &Manifest, at_end: bool) -> BTreeMap<u32, PartitionStand> {
    let stand = |position: &crate::checkpoint::Position| {
        let (next_offset, watermark_ms) = (position.offset, position.watermark_ms);
        (position.partition, PartitionStand { next_offset, watermark_ms, idle: false, at_end })
    };
    manifest.positions.iter().map(stand).collect()
}
