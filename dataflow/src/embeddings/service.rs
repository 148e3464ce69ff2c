//! The thread that has texts embedded while the job runs, and completes pending states when it has nothing better to do.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
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

    /// Ends it. What it was asked for stays pending.
    pub fn finish(self) {
        self.embeddings.stop();
        if self.ended.recv_timeout(LEAVE_AFTER).is_err() {
            tracing::debug!("a request to the embedder is still under way; its answer is not waited for");
        }
    }
}

fn serve(embeddings: &Embeddings, mut embedder: Box<dyn TextEmbedder>, mut store: Option<Box<dyn Store>>) {
    let mut pause = PAUSES.0;
    let mut round: Option<Backfill> = None;
    let mut look_at = Instant::now();
    while !embeddings.is_stopping() {
        match embeddings.work(embedder.as_mut()) {
            Ok(0) => {
                let due = round.is_some() || Instant::now() >= look_at;
                match &mut store {
                    Some(store) if due && embeddings.is_calm() => {
                        let step = round.get_or_insert_default().step(store.as_mut(), embeddings, embedder.as_mut());
                        if let Err(error) = &step {
                            tracing::warn!(error = format!("{error:#}"), "pending states have to wait");
                        }
                        if !matches!(step, Ok(true)) {
                            tell(round.take());
                            look_at = Instant::now() + LOOK_EVERY;
                        }
                    }
                    _ => embeddings.rest(IDLE),
                }
            }
            Ok(_) => {
                if pause > PAUSES.0 {
                    tracing::info!("the embedder answers again");
                }
                pause = PAUSES.0;
            }
            Err(error) => {
                tracing::warn!(%error, retry_in_s = pause.as_secs(), "states are stored without a vector for now");
                embeddings.pause(pause);
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn tell(round: Option<Backfill>) {
    if let Some(round) = round.filter(|round| round.completed > 0) {
        let (states, texts) = (round.completed, round.computed);
        tracing::info!(states, texts, "completed states that waited for their vector");
    }
}
