//! Counters that a process shows while it runs. They steer nothing but backpressure, and no result depends on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering, Ordering::Relaxed};

use crate::alerts::Counts;
use crate::delays::Delays;
use crate::status::Status;
use crate::telemetry::Counted;

/// Shared by the workers of a process.
#[derive(Debug, Default)]
pub struct Progress {
    records: AtomicU64,
    rows_under_way: AtomicUsize,
    rows_written: AtomicU64,
    waits: AtomicU64,
    windows: AtomicU64,
    incidents: AtomicU64,
    behind_checkpoint: AtomicU64,
    durable: DurableMs,
    /// How late rows are.
    pub delays: Arc<Delays>,
    /// Where the job stands.
    pub status: Status,
    /// What became of alerts.
    pub alerts: Counts,
    /// Incidents by severity.
    pub tally: Counted,
}

/// A stamp; at first the lowest there is.
#[derive(Debug)]
struct DurableMs(AtomicI64);

impl Default for DurableMs {
    fn default() -> Self {
        DurableMs(AtomicI64::new(i64::MIN))
    }
}

impl Progress {
    /// Records read.
    pub fn read(&self, records: u64) {
        self.records.fetch_add(records, Relaxed);
    }

    /// Rows that have come to the process of the store. In the other processes nothing is counted: there the windows under
    /// way are the bound.
    pub fn rows_received(&self, rows: usize) {
        self.rows_under_way.fetch_add(rows, Relaxed);
    }

    /// Rows that are durable now.
    pub fn rows_durable(&self, rows: usize) {
        let taken = self.rows_under_way.fetch_update(Relaxed, Relaxed, |now| Some(now.saturating_sub(rows)));
        debug_assert!(taken.is_ok());
        self.rows_written.fetch_add(rows as u64, Relaxed);
    }

    /// Reading had to wait for the store.
    pub fn waited_for_store(&self) {
        self.waits.fetch_add(1, Relaxed);
    }

    /// Everything stamped below is durable, and was told.
    pub fn set_durable_ms(&self, stamp_ms: i64) {
        self.durable.0.fetch_max(stamp_ms, Ordering::Release);
    }

    /// The lowest stamp that may not be durable yet, while the job goes on; `i64::MIN`: not known.
    pub fn durable_ms(&self) -> i64 {
        self.durable.0.load(Ordering::Acquire)
    }

    /// States closed and incidents opened.
    pub fn closed(&self, states: u64, incidents: u64) {
        self.windows.fetch_add(states, Relaxed);
        self.incidents.fetch_add(incidents, Relaxed);
    }

    /// Records that were read behind the last checkpoint.
    pub fn left_behind(&self, records: u64) {
        self.behind_checkpoint.fetch_add(records, Relaxed);
    }

    /// Records that this process has read behind the last checkpoint of its run.
    pub fn behind_checkpoint(&self) -> u64 {
        self.behind_checkpoint.load(Relaxed)
    }

    /// Records read so far.
    pub fn records(&self) -> u64 {
        self.records.load(Relaxed)
    }

    /// States so far.
    pub fn states(&self) -> u64 {
        self.windows.load(Relaxed)
    }

    /// Incidents opened so far.
    pub fn incidents(&self) -> u64 {
        self.incidents.load(Relaxed)
    }

    /// Rows between reading and the store.
    pub fn rows_under_way(&self) -> usize {
        self.rows_under_way.load(Relaxed)
    }

    /// Rows written so far.
    pub fn rows_written(&self) -> u64 {
        self.rows_written.load(Relaxed)
    }

    /// How often reading had to wait for the store.
    pub fn waits(&self) -> u64 {
        self.waits.load(Relaxed)
    }
}
