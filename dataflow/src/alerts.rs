//! Alerts to a webhook: transitions of incidents, joined into alerts, each told at least once.
//!
//! ```text
//! rows ──▶ transition ──(durable, store's thread)──▶ pending ──▶ groups ──▶ alert, template ──(durable)──▶ waiting ──▶ webhook
//! ```
//! The store's thread only notes transitions and makes them durable (`outbox`) before their rows' stamp counts as durable; a thread of
//! its own ([`sender`]) makes alerts of them and sends those, so that a receiver that is away holds nothing up. A crash between any two
//! steps repeats the step: an alert's id and bytes are fixed before it is sent the first time.

pub mod alert;
pub mod groups;
pub mod outbox;
pub mod sender;
pub mod template;
pub mod transition;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connectors::{Notice, Store, StoreError};
use model::{Row, Severity};

use crate::checkpoint::Start;
use crate::outlets::Outlet;
use transition::{Transition, Transitions};

/// What became of alerts, for people.
#[derive(Debug, Default)]
pub struct Counts {
    /// Arrived.
    pub arrived: AtomicU64,
    /// Attempts that failed and may help later.
    pub retries: AtomicU64,
    /// Given up.
    pub given_up: AtomicU64,
    /// Waiting now.
    pub waiting: AtomicU64,
}

impl Counts {
    fn set_waiting(&self, count: usize) {
        self.waiting.store(count as u64, Relaxed);
    }
}

/// What the store's thread and the sender share.
#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Durable and not taken yet.
    inbox: Vec<Transition>,
    /// The job is at its end; whether that is the source's.
    closing: Option<bool>,
    stopping: bool,
}

impl Shared {
    /// Nothing is left half changed under the lock.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until there is something to do, and no longer than this.
    fn rest(&self, most: Duration) {
        let inner = self.inner();
        let idle = |inner: &mut Inner| inner.inbox.is_empty() && inner.closing.is_none() && !inner.stopping;
        drop(self.wake.wait_timeout_while(inner, most, idle).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Notes transitions on the store's thread.
pub struct AlertOutlet {
    shared: Arc<Shared>,
    transitions: Transitions,
    min_severity: Severity,
    /// Earlier ones were noted by an earlier run.
    horizon_ms: i64,
    noted: Vec<Transition>,
}

/// Notices written at once: a burst of incidents is megabytes.
const NOTICES_A_CALL: usize = 500;

impl Outlet for AlertOutlet {
    fn begin(&mut self, start: &Start) {
        self.transitions.begin(start);
    }

    fn note(&mut self, rows: &[Row]) {
        for row in rows {
            let transition = self.transitions.of_row(row);
            let is_told = |one: &Transition| one.severity() >= self.min_severity && one.at_ms >= self.horizon_ms;
            self.noted.extend(transition.filter(is_told));
        }
    }

    fn keep(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let notices: Vec<Notice> = self.noted.iter().map(outbox::pending).collect();
        notices.chunks(NOTICES_A_CALL).try_for_each(|notices| store.change_notices(notices, &[]))
    }

    fn tell(&mut self) -> Result<(), String> {
        if !self.noted.is_empty() {
            self.shared.inner().inbox.append(&mut self.noted);
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}
