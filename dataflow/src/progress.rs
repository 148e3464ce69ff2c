//! Counters that a process shows while it runs. They steer nothing but backpressure, and no result depends on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::delays::Delays;
use crate::status::Status;

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
    /// How late rows are.
    pub delays: Arc<Delays>,
    /// Where the job stands.
    pub status: Status,
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
