//! `embed`: gives states the vector of their text, or lets them go without.
//!
//! In come rows; behind the snapshot of a state that has a text stands its row of `pending_states`. Out go the same rows, these
//! two either completed (snapshot with vector, distinct state, occurrence) or as they are, with the reason. A live state waits
//! for its vector with its capability, no longer than `embedding.max_wait`; so *frontier passed* still means *durable*, and
//! checkpoints wait no longer than that either. Rows of the same window that have no text do not wait.

use std::sync::Arc;
use std::time::Duration;

use model::tables::TableId;
use model::{Row, Value};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;

use crate::embeddings::{Answer, Embeddings};
use crate::rows;

/// States of a worker that may wait at once: some 10 MB.
const MOST_HELD: usize = 4_096;

/// A state that waits.
struct Held {
    capability: Capability<i64>,
    state: State,
    until_ms: i64,
}

/// A state's snapshot and its row of `pending_states`.
struct State {
    snapshot: Row,
    waiting: Row,
}

impl State {
    fn vector_id(&self) -> i64 {
        self.waiting.value("vector_id").as_int().expect("a state with a text has a vector id")
    }

    fn text(&self) -> &str {
        self.waiting.value("text").as_text().expect("a state with a text has one")
    }

    /// Its rows as they are to be written; `None` while it is to be waited for.
    fn rows(&mut self, answer: &Answer) -> Option<Vec<Row>> {
        let take = |row: &mut Row| Row { values: std::mem::take(&mut row.values), ..*row };
        match answer {
            Answer::Wait => None,
            Answer::Known(reply) => Some(rows::completed(take(&mut self.snapshot), &self.waiting, reply)),
            Answer::Pending(reason) => {
                let reason = Value::Text((*reason).to_owned());
                self.snapshot.set("embedding_pending", reason.clone());
                self.waiting.set("reason", reason);
                Some(vec![take(&mut self.snapshot), take(&mut self.waiting)])
            }
        }
    }
}

/// Builds the operator.
pub fn embed<'scope>(
    rows: StreamVec<'scope, i64, Row>,
    embeddings: Arc<Embeddings>,
    width_ms: i64,
    timed: bool,
) -> StreamVec<'scope, i64, Row> {
    let scope = rows.scope();
    rows.unary(Pipeline, "embed", |_capability, info| {
        let activator = scope.activator_for(info.address);
        let mut held: Vec<Held> = Vec::new();
        let mut batches = 0;
        move |input, output| {
            // Read before the answers are: what comes in between is looked at next time.
            let now = embeddings.batches();
            let now_ms = if held.is_empty() { 0 } else { embeddings.now_ms() };
            if now != batches || held.first().is_some_and(|first| first.until_ms <= now_ms) {
                batches = now;
                held.retain_mut(|held| {
                    let answer = match embeddings.ask_again(held.state.vector_id()) {
                        Answer::Wait if held.until_ms <= now_ms => {
                            Answer::Pending("no answer within embedding.max_wait")
                        }
                        answer => answer,
                    };
                    let Some(mut rows) = held.state.rows(&answer) else { return true };
                    output.session(&held.capability).give_container(&mut rows);
                    false
                });
            }
            input.for_each_stamp(|cap, incoming| {
                let cap = cap.retain_least(0).expect("a batch of rows has a time");
                let end_ms = cap.time().saturating_add(width_ms);
                for incoming in incoming {
                    let mut outgoing: Vec<Row> = Vec::with_capacity(incoming.len());
                    for row in incoming.drain(..) {
                        if row.table != TableId::PendingStates {
                            outgoing.push(row);
                            continue;
                        }
                        let snapshot = outgoing.pop().filter(|row| row.table == TableId::DeviceStateSnapshots);
                        let snapshot = snapshot.expect("what waits stands behind its snapshot");
                        let mut state = State { snapshot, waiting: row };
                        let answer = match embeddings.ask(state.vector_id(), state.text(), end_ms) {
                            Answer::Wait if held.len() >= MOST_HELD => Answer::Pending("too many states wait"),
                            answer => answer,
                        };
                        match state.rows(&answer) {
                            Some(rows) => outgoing.extend(rows),
                            None => {
                                let until_ms = embeddings.now_ms().saturating_add(embeddings.max_wait_ms());
                                held.push(Held { capability: cap.clone(), state, until_ms });
                            }
                        }
                    }
                    output.session(&cap).give_container(&mut outgoing);
                }
            });
            if !held.is_empty() {
                if timed {
                    activator.activate_after(Duration::from_millis(5));
                } else {
                    activator.activate();
                }
            }
        }
    })
}
