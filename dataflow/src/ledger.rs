//! What became of every record, counted by stamp so that a checkpoint at T holds exactly what is stamped below T.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Totals of a run. Every record has exactly one of the five fates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Readings that are part of a state.
    pub windowed: u64,
    /// Readings whose window was closed.
    pub late: u64,
    /// Messages that could not be used.
    pub dead_lettered: u64,
    /// Readings replaced by a later one of the same device, metric and timestamp.
    pub duplicate: u64,
    /// Tombstones.
    pub skipped: u64,
    /// Closed (device, window) pairs.
    pub states: u64,
    /// States that the consensus calls anomalous.
    pub anomalous_states: u64,
    /// Incidents by their highest severity: info, warning, critical.
    pub incidents: [u64; 3],
    /// States that have a vector, or a text that gets one.
    pub embeddings_computed: u64,
}

impl Totals {
    /// All records: the sum of the fates.
    pub fn received(&self) -> u64 {
        self.windowed + self.late + self.dead_lettered + self.duplicate + self.skipped
    }

    /// Adds another one's numbers.
    pub fn add(&mut self, other: &Totals) {
        self.windowed += other.windowed;
        self.late += other.late;
        self.dead_lettered += other.dead_lettered;
        self.duplicate += other.duplicate;
        self.skipped += other.skipped;
        self.states += other.states;
        self.anomalous_states += other.anomalous_states;
        for (sum, more) in self.incidents.iter_mut().zip(other.incidents) {
            // A change of severity counts the old one down on one worker and the new one up on the same.
            *sum = sum.wrapping_add(more);
        }
        self.embeddings_computed += other.embeddings_computed;
    }
}

/// A worker's totals: folded below the last cut, by stamp above it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    folded: Totals,
    open: BTreeMap<i64, Totals>,
}

impl Ledger {
    /// Starts from the totals of a checkpoint.
    pub fn resume(totals: Totals) -> Self {
        Ledger { folded: totals, open: BTreeMap::new() }
    }

    /// The totals at a stamp, to be counted up.
    pub fn at(&mut self, stamp_ms: i64) -> &mut Totals {
        self.open.entry(stamp_ms).or_default()
    }

    /// Totals of everything so far, whatever its stamp.
    pub fn now(&self) -> Totals {
        let mut all = self.folded;
        self.open.values().for_each(|totals| all.add(totals));
        all
    }

    /// Totals of everything stamped below the boundary.
    pub fn below(&mut self, boundary_ms: i64) -> Totals {
        let above = self.open.split_off(&boundary_ms);
        for (_, totals) in std::mem::replace(&mut self.open, above) {
            self.folded.add(&totals);
        }
        self.folded
    }
}
