//! The thread that has texts embedded while the job runs, and completes pending states when it has nothing better to do and at
//! the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connectors::{Store, TextEmbedder};

use super::Embeddings;
use super::backfill::Backfill;

/// Pauses after the service failed double from the first to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// How often is looked for pending states.
const LOOK_EVERY: Duration = Duration::from_secs(60);
const IDLE: Duration = Duration::from_millis(500);
/// A request that is under way is not waited for any longer when the job ends.
const LEAVE_AFTER: Duration = Duration::from_secs(2);

/// How often a job that waits for vectors at its end looks whether it is told to stop.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);

/// The running thread.
pub struct Service {
    embeddings: Arc<Embeddings>,
    ended: Receiver<()>,
}

impl Service {
    /// Starts it. With a store, a handle of its own, it also completes that store's pending states.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(
        embeddings: Arc<Embeddings>,
        embedder: Box<dyn TextEmbedder>,
        store: Option<Box<dyn Store>>,
    ) -> anyhow::Result<Self> {
        let (end, ended) = channel();
        let shared = Arc::clone(&embeddings);
        std::thread::Builder::new()
            .name("embed".to_owned())
            .spawn(move || {
                serve(&shared, embedder, store);
                let _ = end.send(()); // nobody listens any more when it took too long
            })
            .context("could not start the thread that embeds")?;
        Ok(Service { embeddings, ended })
    }

    /// Ends it. Until then it completes pending states, for so long at most and not once it is told to stop; the rest stays pending.
    pub fn finish(self, most: Duration, stop: &AtomicBool) {
        let until = Instant::now() + most;
        let left = || until.saturating_duration_since(Instant::now()) * u32::from(!stop.load(Ordering::SeqCst));
        if !left().is_zero() {
            self.embeddings.close();
        }
        let is_over = loop {
            let left = left();
            if left.is_zero() {
                break false;
            }
            match self.ended.recv_timeout(left.min(LOOK_FOR_STOP)) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => break true,
            }
        };
        self.embeddings.stop();
        if !is_over && self.ended.recv_timeout(LEAVE_AFTER).is_err() {
            tracing::debug!("a request to the embedder is still under way; its answer is not waited for");
        }
    }
}

fn serve(embeddings: &Embeddings, mut embedder: Box<dyn TextEmbedder>, mut store: Option<Box<dyn Store>>) {
    let mut pause = PAUSES.0;
    let mut round: Option<Backfill> = None;
    let mut look_at = Instant::now();
    while !embeddings.is_stopping() {
        let closing = embeddings.is_closing();
        match embeddings.work(embedder.as_mut()) {
            Ok(0) => {
                let due = closing || (round.is_some() || Instant::now() >= look_at) && embeddings.is_calm();
                match &mut store {
                    Some(store) if due => {
                        let step = round.get_or_insert_default().step(store.as_mut(), embeddings, embedder.as_mut());
                        if let Err(error) = &step {
                            tracing::warn!(error = format!("{error:#}"), "pending states have to wait");
                        }
                        if !matches!(step, Ok(true)) {
                            tell(round.take());
                            look_at = Instant::now() + LOOK_EVERY;
                            if closing {
                                return;
                            }
                        }
                    }
                    _ if closing => return,
                    _ => embeddings.rest(IDLE),
                }
            }
            Ok(_) => {
                if pause > PAUSES.0 {
                    tracing::info!("the embedder answers again");
                }
                pause = PAUSES.0;
            }
            Err(error) if closing => {
                tracing::warn!(%error, "states stay without a vector for now");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = pause.as_secs(), "states are stored without a vector for now");
                embeddings.pause(pause);
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
    tell(round);
}

fn tell(round: Option<Backfill>) {
    if let Some(round) = round.filter(|round| round.completed > 0) {
        let (states, texts) = (round.completed, round.computed);
        tracing::info!(states, texts, "completed states that waited for their vector");
    }
}
