//! Completes states that were stored without a vector.
//!
//! For each: its vector is written with that it occurred and with the snapshot, which gets the next version; then, all of that
//! being durable, the state is pending no more. A crash between any two of these leaves something that is done again, with the
//! same outcome. A state that has its vector already is only written once more.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::ControlFlow;

use anyhow::Context as _;
use connectors::{Store, TextEmbedder};
use model::tables::TableId;
use model::{Row, Value};

use super::{Embeddings, Reply, TEXTS_A_BATCH, shared};
use crate::rows;

/// Pending states that are read at a time.
const ROWS_A_READ: usize = 20_000;
/// States that are completed together.
const ROWS_A_STEP: usize = 256;

/// One round over the pending states of a method.
#[derive(Default)]
pub struct Backfill {
    waiting: VecDeque<Row>,
    /// States whose snapshot is not there (yet): left for another round.
    left: HashSet<(String, i64)>,
    /// States that are complete now.
    pub completed: u64,
    /// Texts that the embedder was asked for.
    pub computed: u64,
    /// States whose text it refused.
    pub refused: u64,
}

impl Backfill {
    /// States that have no snapshot, so that they could not be completed.
    pub fn left(&self) -> u64 {
        self.left.len() as u64
    }

    /// Completes some. Whether there may be more.
    ///
    /// # Errors
    /// If the store or the embedder fails; what is done is done, and calling again goes on.
    pub fn step(
        &mut self,
        store: &mut dyn Store,
        embeddings: &Embeddings,
        embedder: &mut dyn TextEmbedder,
    ) -> anyhow::Result<bool> {
        if self.waiting.is_empty() {
            self.read(store, embeddings.method())?;
        }
        let (count, replies) = self.embed(embeddings, embedder)?;
        if count == 0 {
            return Ok(false);
        }
        let (mut complete, mut done) = (Vec::new(), Vec::new());
        let keys: Vec<Vec<Value>> = self.waiting.iter().take(count).map(snapshot_key).collect();
        let snapshots = store
            .find(TableId::DeviceStateSnapshots, &keys)
            .context("could not read the snapshots of pending states")?;
        let mut snapshots: HashMap<_, Row> = snapshots.into_iter().map(|row| (name_of(&row), row)).collect();
        for waiting in self.waiting.iter().take(count) {
            let Some(snapshot) = snapshots.remove(&name_of(waiting)) else {
                self.left.insert(name_of(waiting));
                continue;
            };
            let reply = &replies[&id_of(waiting)];
            self.refused += u64::from(reply.is_err());
            complete.extend(rows::completed(snapshot, waiting, reply));
            done.push(waiting.clone());
        }
        store.write(&complete).context("could not write vectors of pending states")?;
        store.remove(&done).context("could not remove what is pending no more")?;
        self.waiting.drain(..count);
        self.completed += done.len() as u64;
        Ok(true)
    }

    fn read(&mut self, store: &mut dyn Store, method: &str) -> anyhow::Result<()> {
        let each = &mut |row: Row| {
            if !self.left.contains(&name_of(&row)) {
                self.waiting.push_back(row);
            }
            if self.waiting.len() < ROWS_A_READ { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        store
            .scan(TableId::PendingStates, &[Value::Text(method.to_owned())], each)
            .context("could not read pending states")
    }

    /// Answers for the texts of the next states: of so many that the embedder is asked once.
    fn embed(
        &mut self,
        embeddings: &Embeddings,
        embedder: &mut dyn TextEmbedder,
    ) -> anyhow::Result<(usize, HashMap<i64, Reply>)> {
        let mut replies: HashMap<i64, Reply> = HashMap::new();
        let mut unknown: Vec<(i64, &str)> = Vec::new();
        let mut count = 0;
        for waiting in self.waiting.iter().take(ROWS_A_STEP) {
            let id = id_of(waiting);
            if !replies.contains_key(&id) && !unknown.iter().any(|(other, _)| *other == id) {
                match embeddings.known(id) {
                    Some(reply) => drop(replies.insert(id, reply)),
                    None if unknown.len() == TEXTS_A_BATCH => break,
                    None => unknown.push((id, waiting.value("text").as_text().unwrap_or_default())),
                }
            }
            count += 1;
        }
        if !unknown.is_empty() {
            let texts: Vec<&str> = unknown.iter().map(|(_, text)| *text).collect();
            let answers = embedder.embed(&texts).context("could not embed the texts of pending states")?;
            assert_eq!(answers.len(), texts.len(), "one answer a text");
            self.computed += texts.len() as u64;
            for ((id, _), answer) in unknown.into_iter().zip(answers) {
                let reply = shared(answer);
                embeddings.learn(id, reply.clone());
                replies.insert(id, reply);
            }
        }
        Ok((count, replies))
    }
}

fn id_of(waiting: &Row) -> i64 {
    waiting.value("vector_id").as_int().unwrap_or_default()
}

/// Device and start of the window, of a pending state or of a snapshot.
fn name_of(row: &Row) -> (String, i64) {
    let device = row.value("device_id").as_text().unwrap_or_default().to_owned();
    (device, row.value("snapshot_time").as_int().unwrap_or_default())
}

fn snapshot_key(waiting: &Row) -> Vec<Value> {
    ["device_id", "date", "snapshot_time"].map(|column| waiting.value(column).clone()).to_vec()
}
