//! What is open now and what has opened, by severity: counted where rows become durable.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use model::{Row, Severity};

use crate::alerts::transition::Transitions;
use crate::checkpoint::Start;
use crate::ledger::Totals;
use crate::outlets::Outlet;
use crate::progress::Progress;

/// Counts by severity: info, warning, critical.
#[derive(Debug, Default)]
pub struct Counted {
    opened: [AtomicU64; 3],
    open: [AtomicU64; 3],
    checkpoints: AtomicU64,
    /// What earlier runs had counted.
    before: Mutex<Totals>,
}

impl Counted {
    /// Incidents that opened with a severity or rose to it.
    pub fn opened(&self) -> [u64; 3] {
        self.opened.each_ref().map(|count| count.load(Relaxed))
    }

    /// Open now.
    pub fn open(&self) -> [u64; 3] {
        self.open.each_ref().map(|count| count.load(Relaxed))
    }

    /// Of the job's totals what this run has added: a counter that begins high after a restart would look like a jump.
    pub fn added(&self, now: &Totals) -> Totals {
        let before = *self.before.lock().unwrap_or_else(PoisonError::into_inner);
        Totals {
            windowed: now.windowed.saturating_sub(before.windowed),
            late: now.late.saturating_sub(before.late),
            dead_lettered: now.dead_lettered.saturating_sub(before.dead_lettered),
            duplicate: now.duplicate.saturating_sub(before.duplicate),
            skipped: now.skipped.saturating_sub(before.skipped),
            states: now.states.saturating_sub(before.states),
            anomalous_states: now.anomalous_states.saturating_sub(before.anomalous_states),
            ..Totals::default()
        }
    }

    /// Checkpoints of this run.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Relaxed)
    }

    /// One more.
    pub fn checkpoint(&self) {
        self.checkpoints.fetch_add(1, Relaxed);
    }
}

/// Counts on the store's thread.
pub struct Tally {
    progress: Arc<Progress>,
    transitions: Transitions,
    /// Severity before, severity now, whether it is over.
    noted: Vec<(Option<Severity>, Severity, bool)>,
}

impl Tally {
    /// Counts into `progress`.
    pub fn new(progress: Arc<Progress>) -> Self {
        Tally { progress, transitions: Transitions::default(), noted: Vec::new() }
    }
}

impl Outlet for Tally {
    fn begin(&mut self, start: &Start) {
        self.transitions.begin(start);
        let counted = &self.progress.tally;
        if let Some((_, manifest)) = &start.manifest {
            *counted.before.lock().unwrap_or_else(PoisonError::into_inner) = manifest.totals;
        }
        for (_, _, severity) in start.devices.iter().flat_map(|device| device.open_incidents()) {
            counted.open[severity as usize].fetch_add(1, Relaxed);
        }
    }

    fn note(&mut self, rows: &[Row]) {
        for row in rows {
            let before = self.transitions.severity_of(row);
            let Some(transition) = self.transitions.of_row(row) else { continue };
            self.noted.push((before, transition.severity(), transition.is_closing()));
        }
    }

    fn tell(&mut self) -> Result<(), String> {
        let counted = &self.progress.tally;
        for (before, severity, is_closing) in self.noted.drain(..) {
            if let Some(before) = before {
                counted.open[before as usize].fetch_sub(1, Relaxed);
            }
            if !is_closing {
                counted.open[severity as usize].fetch_add(1, Relaxed);
                counted.opened[severity as usize].fetch_add(1, Relaxed);
            }
        }
        Ok(())
    }
}
