//! `write`: hands rows to the store and keeps their timestamp until they are durable.
//!
//! Rows go to the process that has the store (process 0; each worker to the worker there with its own thread number). A
//! capability is held with each batch until the store has acknowledged it: *frontier passed* means *durable*. Nothing leaves
//! but progress.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use model::Row;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::{Operator as _, OutputBuilderSession};

use crate::faults::Faults;
use crate::progress::Progress;
use crate::queue::{Work, WriteQueue};

/// Rows that make a batch full.
const ROWS_A_BATCH: usize = 2_000;

/// Batches of a worker that may wait for their acknowledgement.
const BATCHES_IN_FLIGHT: usize = 8;

/// A worker's way to the store, shared with its step loop, which hands in checkpoints.
pub struct Writer {
    queue: Box<dyn WriteQueue>,
    in_flight: HashMap<u64, (Option<Capability<i64>>, usize)>,
    /// Tickets that are no batch of rows: the step loop waits for them.
    pub others_done: Vec<u64>,
    /// The store failed for good.
    pub failure: Option<String>,
}

impl Writer {
    /// Around a queue.
    pub fn new(queue: Box<dyn WriteQueue>) -> Self {
        Writer { queue, in_flight: HashMap::new(), others_done: Vec::new(), failure: None }
    }

    /// Hands in something that is not rows.
    ///
    /// # Errors
    /// The work itself when the queue is full.
    pub fn submit(&mut self, work: Work) -> Result<u64, Work> {
        self.queue.submit(work)
    }

    /// Takes in what has become durable.
    pub fn collect(&mut self, progress: &Progress) {
        let mut tickets = Vec::new();
        if let Err(error) = self.queue.completed(&mut tickets) {
            self.failure = Some(error);
        }
        for ticket in tickets {
            match self.in_flight.remove(&ticket) {
                Some((_capability, rows)) => progress.rows_durable(rows),
                None => self.others_done.push(ticket),
            }
        }
    }
}

/// Builds the operator.
pub fn write<'scope>(
    rows: StreamVec<'scope, i64, Row>,
    writer: Rc<RefCell<Writer>>,
    progress: Arc<Progress>,
    (index, threads): (usize, usize),
    faults: Faults,
    timed: bool,
) -> StreamVec<'scope, i64, ()> {
    let target = (index % threads) as u64;
    let to_store = Exchange::new(move |_row: &Row| target);
    let scope = rows.scope();
    rows.unary_frontier(to_store, "write", |_capability, info| {
        let activator = scope.activator_for(info.address);
        let mut waiting: VecDeque<(Capability<i64>, Vec<Row>)> = VecDeque::new();
        move |(input, _frontier), _output: &mut OutputBuilderSession<'_, i64, CapacityContainerBuilder<Vec<()>>>| {
            let mut writer = writer.borrow_mut();
            writer.collect(&progress);
            input.for_each_stamp(|cap, batches| {
                for batch in batches {
                    let rows = std::mem::take(batch);
                    progress.rows_received(rows.len());
                    match waiting.back_mut() {
                        // The earlier capability covers the later rows: they only become durable later than needed.
                        Some((held, full)) if full.len() + rows.len() <= ROWS_A_BATCH => {
                            let time = cap.least().expect("a batch of rows has a time");
                            if time < held.time() {
                                *held = cap.retain_least(0).expect("a batch of rows has a time");
                            }
                            full.extend(rows);
                        }
                        _ => waiting.push_back((cap.retain_least(0).expect("a batch of rows has a time"), rows)),
                    }
                }
            });
            while writer.in_flight.len() < BATCHES_IN_FLIGHT {
                let Some((capability, rows)) = waiting.pop_front() else { break };
                let count = rows.len();
                match writer.submit(Work::Rows(rows)) {
                    Ok(ticket) => {
                        let capability = (!faults.drop_capability_early).then_some(capability);
                        writer.in_flight.insert(ticket, (capability, count));
                    }
                    Err(Work::Rows(rows)) => {
                        waiting.push_front((capability, rows));
                        break;
                    }
                    Err(_) => unreachable!("a queue gives back what it was given"),
                }
            }
            if !waiting.is_empty() || !writer.in_flight.is_empty() {
                if timed {
                    activator.activate_after(Duration::from_micros(500));
                } else {
                    activator.activate();
                }
            }
        }
    })
}
