//! Changes for those who watch: every event is made once and lies in a ring that all share. Who is too slow for the ring is told
//! to load again, so that a slow reader costs nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::sse::Event;
use futures::stream::{self, Stream};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::board::{Board, card, incident_card};
use crate::problem::Problem;

/// Events in the ring.
const RING: usize = 128;
/// Cards in one event: with the ring that bounds the memory to some 20 MB.
const CARDS: usize = 200;
/// Those who may watch at once.
const WATCHERS: usize = 64;

/// A change, ready to be sent.
#[derive(Clone)]
struct Told {
    id: u64,
    kind: &'static str,
    data: Arc<str>,
}

/// Where changes are told.
pub(crate) struct Hub {
    ring: broadcast::Sender<Told>,
    next_id: AtomicU64,
    watchers: Arc<Semaphore>,
}

impl Hub {
    /// Ids rise from the time of the start, so that those of an earlier process are below.
    pub(crate) fn new(now_ms: i64) -> Hub {
        let next_id = AtomicU64::new(now_ms.max(0).cast_unsigned());
        Hub { ring: broadcast::channel(RING).0, next_id, watchers: Arc::new(Semaphore::new(WATCHERS)) }
    }

    /// Whether anybody watches.
    pub(crate) fn is_watched(&self) -> bool {
        self.ring.receiver_count() > 0
    }

    /// Tells an event.
    pub(crate) fn tell(&self, kind: &'static str, data: &impl Serialize) {
        if let Ok(text) = serde_json::to_string(data) {
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let _ = self.ring.send(Told { id, kind, data: text.into() }); // an error says that nobody watches
        }
    }

    /// Tells what has changed on a board.
    pub(crate) fn tell_changes(&self, board: &Board) {
        let changed = board.take_changed();
        if !self.is_watched() {
            return;
        }
        if changed.all {
            self.tell("resync", &serde_json::json!({}));
        }
        let (words, as_of_ms) = (board.words(), board.as_of_ms());
        for known in changed.incidents.iter().filter_map(|id| board.incident(id)) {
            self.tell("incident", &incident_card(&known, &words, as_of_ms));
        }
        let devices: Vec<_> = changed.devices.iter().filter_map(|id| board.device(id)).collect();
        for devices in devices.chunks(CARDS) {
            self.tell("states", &devices.iter().map(|device| card(device)).collect::<Vec<_>>());
        }
    }

    /// Begins to watch. `again`: the reader has seen events before, and may have missed some since.
    ///
    /// # Errors
    /// If too many watch.
    pub(crate) fn watch(&self, again: bool) -> Result<impl Stream<Item = Result<Event, axum::Error>> + use<>, Problem> {
        let seat = Arc::clone(&self.watchers).try_acquire_owned();
        let seat = seat.map_err(|_| Problem::too_many(format!("{WATCHERS} watch already")))?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let watcher = Watcher { ring: self.ring.subscribe(), last_id: id, resync: again, _seat: seat };
        Ok(stream::unfold(watcher, |mut watcher| async move {
            let event = watcher.next().await?;
            Some((event, watcher))
        }))
    }
}

struct Watcher {
    ring: broadcast::Receiver<Told>,
    last_id: u64,
    resync: bool,
    _seat: OwnedSemaphorePermit,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<Event, axum::Error>> {
        let event = |id: u64, kind: &str, data: &str| Event::default().id(id.to_string()).event(kind).data(data);
        if std::mem::take(&mut self.resync) {
            return Some(Ok(event(self.last_id, "resync", "{}")));
        }
        match self.ring.recv().await {
            Ok(Told { id, kind, data }) => {
                self.last_id = self.last_id.max(id);
                Some(Ok(event(id, kind, &data)))
            }
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                // What is told next has a higher id than all that was missed.
                self.last_id += missed;
                Some(Ok(event(self.last_id, "resync", "{}")))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
