//! Vectors of texts for all workers of a process: known ones at once, others from a service that takes its time.
//!
//! Workers ask and never wait here. What is not known yet is queued; live states may wait for it, a replay never does and
//! leaves its states pending. One thread ([`service`]) works the queue off, and where nothing is queued it completes what was
//! left pending ([`backfill`]).

pub mod backfill;
mod cache;
pub mod service;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use connectors::{EmbedError, Embedded, Store, TextEmbedder};
use model::tables::TableId;
use model::{Row, Value};

use crate::clock;
use crate::settings::{EmbeddingSettings, JobSettings, TextKind};
use cache::{CACHED_TEXTS, Cache};

/// Texts that may wait for the service, of live states and of others each.
const MOST_QUEUED: usize = 4_096;
/// Texts handed to the service at a time; between two batches live states go first.
const TEXTS_A_BATCH: usize = 16;
/// Beyond lateness and idle time, a window that ended longer ago is not live.
const BEHIND_MS: i64 = 60_000;
/// For so long after the last state that was far behind, the service has better to do than to complete others.
const CALM_MS: i64 = 5_000;

/// What became of a text: its vector, or why the service refuses it for good.
pub type Reply = Result<Arc<[f32]>, Arc<str>>;

/// What a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Known.
    Known(Reply),
    /// Ask again soon.
    Wait,
    /// Not in time: the state is stored without a vector, for this reason.
    Pending(&'static str),
}

/// Tells the time in milliseconds since the epoch.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// What was done so far, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Texts that the service answered.
    pub computed: u64,
    /// States whose text was known already.
    pub cached: u64,
}

/// Shared by the workers of a process and the thread that works the queue off.
pub struct Embeddings {
    method: String,
    kind: TextKind,
    max_wait_ms: i64,
    live_within_ms: i64,
    clock: Clock,
    inner: Mutex<Inner>,
    wake: Condvar,
    /// Rises with every batch, answered or not, so that workers need not look in vain.
    batches: AtomicU64,
}

#[derive(Default)]
struct Inner {
    cache: Cache,
    /// Texts of live states, and others.
    queues: [VecDeque<(i64, Arc<str>)>; 2],
    /// What is in the queues, and in which.
    queued: HashMap<i64, usize>,
    /// The last batch got no answer.
    away: bool,
    /// When the last state came that was far behind.
    behind_ms: Option<i64>,
    counts: Counts,
    /// The job is at its end: what waits is to be completed now.
    closing: bool,
    stopping: bool,
}

const LIVE: usize = 0;
const OTHER: usize = 1;

impl Embeddings {
    /// For an embedder with this name.
    pub fn new(embedder: &str, settings: &EmbeddingSettings, job: &JobSettings, clock: Clock) -> Self {
        Embeddings {
            method: format!("{embedder}/{}", settings.text.name()),
            kind: settings.text,
            max_wait_ms: settings.max_wait_ms,
            live_within_ms: job.lateness_ms.saturating_add(job.idle_ms).saturating_add(BEHIND_MS),
            clock,
            inner: Mutex::default(),
            wake: Condvar::new(),
            batches: AtomicU64::new(0),
        }
    }

    /// The system's clock.
    pub fn system_clock() -> Clock {
        Box::new(clock::now_ms)
    }

    /// Names text and embedder; vectors of different methods are never compared.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Which text a state has.
    pub fn kind(&self) -> TextKind {
        self.kind
    }

    /// Now, in milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        (self.clock)()
    }

    /// How long a live state may wait, in milliseconds.
    pub fn max_wait_ms(&self) -> i64 {
        self.max_wait_ms
    }

    /// Rises whenever asking again may have another answer.
    pub fn batches(&self) -> u64 {
        self.batches.load(Relaxed)
    }

    /// What was done so far.
    pub fn counts(&self) -> Counts {
        self.inner().counts
    }

    /// Texts that wait for the service.
    pub fn waiting(&self) -> usize {
        self.inner().queued.len()
    }

    /// Reads the vectors of this method that the store has, as many as there is room for.
    ///
    /// # Errors
    /// If the store fails.
    pub fn load(&self, store: &mut dyn Store) -> anyhow::Result<()> {
        let mut inner = self.inner();
        let mut room = CACHED_TEXTS;
        store
            .scan(TableId::StateVectors, &[Value::Text(self.method.clone())], &mut |row: Row| {
                if let (Some(id), Value::Vector(vector)) = (row.value("vector_id").as_int(), row.value("embedding")) {
                    inner.cache.put(id, Ok(Arc::from(vector.as_slice())));
                }
                room -= 1;
                if room > 0 { std::ops::ControlFlow::Continue(()) } else { std::ops::ControlFlow::Break(()) }
            })
            .context("could not read the known vectors from table \"state_vectors\"")
    }

    /// Asks for the vector of a state's text; `end_ms` is the end of its window.
    pub fn ask(&self, vector_id: i64, text: &str, end_ms: i64) -> Answer {
        let now_ms = self.now_ms();
        let live = now_ms.saturating_sub(end_ms) <= self.live_within_ms;
        let mut inner = self.inner();
        if let Some(reply) = inner.cache.get(vector_id) {
            inner.counts.cached += 1;
            return Answer::Known(reply);
        }
        if !live {
            inner.behind_ms = Some(now_ms);
        }
        let to = if live { LIVE } else { OTHER };
        // A text may stand in both queues; the second time it is known.
        let stands = inner.queued.get(&vector_id).is_some_and(|&at| at <= to);
        if !stands && inner.queues[to].len() < MOST_QUEUED {
            inner.queues[to].push_back((vector_id, Arc::from(text)));
            inner.queued.insert(vector_id, to);
            self.wake.notify_one();
        } else if !stands {
            return Answer::Pending("too many texts wait for the embedder");
        }
        match (live, inner.away) {
            (false, _) => Answer::Pending("the job was catching up"),
            (true, true) => Answer::Pending(AWAY),
            (true, false) => Answer::Wait,
        }
    }

    /// Asks once more for what was to be waited for.
    pub fn ask_again(&self, vector_id: i64) -> Answer {
        let mut inner = self.inner();
        match inner.cache.get(vector_id) {
            Some(reply) => Answer::Known(reply),
            None if inner.away => Answer::Pending(AWAY),
            None => Answer::Wait,
        }
    }

    /// Has the service answer a batch of queued texts. How many; 0: none was queued.
    ///
    /// # Errors
    /// What the service said; the texts stay queued, and nobody waits for them until it answers again.
    pub fn work(&self, embedder: &mut dyn TextEmbedder) -> Result<usize, EmbedError> {
        let batch = self.next_batch();
        if batch.is_empty() {
            return Ok(0);
        }
        let texts: Vec<&str> = batch.iter().map(|(_, text)| &**text).collect();
        let answer = embedder.embed(&texts);
        let mut inner = self.inner();
        inner.away = answer.is_err();
        let result = match answer {
            Ok(replies) => {
                assert_eq!(replies.len(), batch.len(), "one answer a text");
                for ((id, _), reply) in batch.iter().zip(replies) {
                    inner.queued.remove(id);
                    inner.cache.put(*id, shared(reply));
                }
                inner.counts.computed += batch.len() as u64;
                Ok(batch.len())
            }
            Err(error) => {
                for (id, text) in batch.into_iter().rev() {
                    let to = inner.queued.get(&id).copied().unwrap_or(OTHER);
                    inner.queues[to].push_front((id, text));
                }
                Err(error)
            }
        };
        drop(inner);
        self.batches.fetch_add(1, Relaxed);
        result
    }

    fn next_batch(&self) -> Vec<(i64, Arc<str>)> {
        let mut inner = self.inner();
        let mut batch: Vec<(i64, Arc<str>)> = Vec::new();
        while batch.len() < TEXTS_A_BATCH {
            let Some(next) = inner.queues.iter_mut().find_map(VecDeque::pop_front) else { break };
            // The text of a pending state may have been queued while that was completed.
            if inner.cache.get(next.0).is_some() {
                inner.queued.remove(&next.0);
            } else if inner.queued.contains_key(&next.0) && !batch.iter().any(|(id, _)| *id == next.0) {
                batch.push(next);
            }
        }
        batch
    }

    /// What is known of a text, without being counted.
    fn known(&self, vector_id: i64) -> Option<Reply> {
        self.inner().cache.get(vector_id)
    }

    fn learn(&self, vector_id: i64, reply: Reply) {
        let mut inner = self.inner();
        inner.cache.put(vector_id, reply);
        inner.counts.computed += 1;
        drop(inner);
        self.batches.fetch_add(1, Relaxed);
    }

    /// Nothing is queued, and no state was far behind for a while.
    fn is_calm(&self) -> bool {
        let now_ms = self.now_ms();
        let inner = self.inner();
        inner.queued.is_empty() && inner.behind_ms.is_none_or(|behind_ms| now_ms.saturating_sub(behind_ms) > CALM_MS)
    }

    fn is_stopping(&self) -> bool {
        self.inner().stopping
    }

    fn is_closing(&self) -> bool {
        self.inner().closing
    }

    fn close(&self) {
        self.inner().closing = true;
        self.wake.notify_all();
    }

    fn stop(&self) {
        self.inner().stopping = true;
        self.wake.notify_all();
    }

    /// Until something is queued or the end has come, and no longer than this.
    fn rest(&self, most: Duration) {
        let inner = self.inner();
        let idle = |inner: &mut Inner| !inner.stopping && !inner.closing && inner.queued.is_empty();
        drop(self.wake.wait_timeout_while(inner, most, idle).unwrap_or_else(PoisonError::into_inner));
    }

    /// Until the end has come, and no longer than this.
    fn pause(&self, most: Duration) {
        let inner = self.inner();
        let on = |inner: &mut Inner| !inner.stopping && !inner.closing;
        drop(self.wake.wait_timeout_while(inner, most, on).unwrap_or_else(PoisonError::into_inner));
    }

    /// Nothing is left half changed under the lock, so a thread that died elsewhere with it spoils nothing.
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const AWAY: &str = "the embedder did not answer";

fn shared(reply: Embedded) -> Reply {
    reply.map(Arc::from).map_err(Arc::from)
}

#[cfg(test)]
mod tests;
