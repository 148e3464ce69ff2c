//! The way out to the store: batches go in, tickets of durable ones come back. Workers never wait here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connectors::{Checkpoint, Control, IdleMark, Store, StoreError, counts};
use model::{Row, tables::TableId};

use crate::controls::{self, Placed};
use crate::outlets::Outlet;

/// One thing to make durable.
#[derive(Debug)]
pub enum Work {
    /// Rows; any order, twice is the same as once.
    Rows(Vec<Row>),
    /// A checkpoint; durable after all that was acknowledged before it was handed in.
    Checkpoint(Box<Checkpoint>),
    /// Idle marks.
    Marks(Vec<IdleMark>),
    /// Controls at their windows.
    Controls(Vec<Control>),
    /// A control whose incident gets people's word in its row; durable after the rows in front of its window.
    Settle(Box<Placed>),
    /// All controls are to be read: nothing becomes durable, the answer is sent.
    ReadControls(Sender<Vec<Control>>),
}

impl Work {
    /// Does what is no matter of rows.
    ///
    /// # Errors
    /// If the store fails; doing it again is safe.
    ///
    /// # Panics
    /// On rows, which are joined and told before they are written.
    pub fn apply(&self, store: &mut dyn Store) -> Result<(), StoreError> {
        match self {
            Work::Rows(_) => unreachable!("rows are written together"),
            Work::Checkpoint(checkpoint) => store.write_checkpoint(checkpoint),
            Work::Marks(marks) => store.write_marks(marks),
            Work::Controls(controls) => store.write_controls(controls),
            Work::Settle(control) => controls::settle(store, control),
            Work::ReadControls(answer) => {
                let _ = answer.send(store.controls()?); // a worker that ended no longer asks
                Ok(())
            }
        }
    }
}

/// A worker's end of the queue.
pub trait WriteQueue {
    /// Hands work in and gives its ticket; `Err` gives it back when the queue is full.
    ///
    /// # Errors
    /// The work itself, to be handed in again later.
    fn submit(&mut self, work: Work) -> Result<u64, Work>;

    /// Tickets of what has become durable since the last call.
    ///
    /// # Errors
    /// The store failed for good; nothing more will become durable.
    fn completed(&mut self, tickets: &mut Vec<u64>) -> Result<(), String>;
}

struct Order {
    ticket: u64,
    work: Work,
    reply: Sender<u64>,
}

/// How many batches may wait for the store's thread.
const WAITING_BATCHES: usize = 32;

/// How many rows one transaction joins at most.
const ROWS_A_TRANSACTION: usize = 20_000;

/// The store's own thread, shared by the workers of a process.
pub struct StoreThread {
    orders: SyncSender<Order>,
    failure: Arc<Mutex<Option<String>>>,
    abandoned: Arc<AtomicBool>,
    thread: JoinHandle<Box<dyn Store>>,
}

impl StoreThread {
    /// Starts the thread; it owns the store until [`StoreThread::finish`]. Outlets hear of all rows.
    ///
    /// # Panics
    /// When the system has no thread left.
    pub fn start(mut store: Box<dyn Store>, mut outlets: Vec<Box<dyn Outlet>>) -> Self {
        let (orders, inbox) = sync_channel::<Order>(WAITING_BATCHES);
        let failure = Arc::new(Mutex::new(None));
        let told = Arc::clone(&failure);
        let abandoned = Arc::new(AtomicBool::new(false));
        let given_up = Arc::clone(&abandoned);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || {
                if let Err(error) = serve(store.as_mut(), &mut outlets, &inbox, &given_up) {
                    *told.lock().expect("no thread panics while it holds the failure") = Some(error);
                }
                store
            })
            .expect("the store's thread starts");
        StoreThread { orders, failure, abandoned, thread }
    }

    /// A worker's end.
    pub fn client(&self) -> StoreClient {
        let (reply, replies) = channel();
        StoreClient { orders: self.orders.clone(), failure: Arc::clone(&self.failure), reply, replies, next_ticket: 0 }
    }

    /// A store that is away is not asked again: nobody waits for the answer any more.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
    }

    /// Ends the thread after all clients are gone, and gives the store back.
    ///
    /// # Errors
    /// What the store said when it failed for good.
    ///
    /// # Panics
    /// When the store's thread panicked.
    pub fn finish(self) -> Result<Box<dyn Store>, String> {
        drop(self.orders);
        let store = self.thread.join().expect("the store's thread does not panic");
        match self.failure.lock().expect("no thread panics while it holds the failure").take() {
            Some(error) => Err(error),
            None => Ok(store),
        }
    }
}

fn serve(
    store: &mut dyn Store,
    outlets: &mut [Box<dyn Outlet>],
    inbox: &Receiver<Order>,
    abandoned: &AtomicBool,
) -> Result<(), String> {
    let mut next = None;
    while let Some(order) = next.take().or_else(|| inbox.recv().ok()) {
        match order.work {
            Work::Rows(mut rows) => {
                let mut replies = vec![(order.reply, order.ticket)];
                // Whatever waits joins this transaction: one sync to disk serves all of it.
                while rows.len() < ROWS_A_TRANSACTION {
                    match inbox.try_recv() {
                        Ok(Order { ticket, work: Work::Rows(more), reply }) => {
                            rows.extend(more);
                            replies.push((reply, ticket));
                        }
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                outlets.iter_mut().for_each(|outlet| outlet.note(&rows));
                let rows = newest_only(rows);
                persist(abandoned, || {
                    let began = Instant::now();
                    let written = store.write(&rows);
                    counts::STORE.asked(rows.len(), began.elapsed());
                    written
                })?;
                for outlet in &mut *outlets {
                    persist(abandoned, || outlet.keep(store))?;
                    outlet.tell()?;
                }
                for (reply, ticket) in replies {
                    let _ = reply.send(ticket); // a worker that ended no longer asks
                }
            }
            other => {
                persist(abandoned, || other.apply(store))?;
                let _ = order.reply.send(order.ticket);
            }
        }
    }
    Ok(())
}

/// How long a store that is away is asked again before the job ends; the next start resumes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Tries again what may pass by itself (a full disk, a locked file), with pauses that double from 100 ms to 5 s.
fn persist(abandoned: &AtomicBool, mut attempt: impl FnMut() -> Result<(), StoreError>) -> Result<(), String> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match attempt() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_passing() && began.elapsed() < PATIENCE => {
                tracing::warn!(%error, retry_in_ms = pause.as_millis(), "the store refused, and is asked again");
                counts::STORE.retried();
                let again = Instant::now() + pause;
                while Instant::now() < again {
                    if abandoned.load(Ordering::SeqCst) {
                        return Err(error.to_string());
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
            Err(error) if error.is_passing() => {
                return Err(format!("{error} (asked again for {} s)", PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Of several writes to one key in a transaction only the last with the highest version is worth a statement: totals and
/// profiles change with every window, and a replay at full speed has many windows in one transaction.
fn newest_only(rows: Vec<Row>) -> Vec<Row> {
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut seen: HashMap<(TableId, String), usize> = HashMap::new();
    for row in rows {
        if !matches!(row.table, TableId::DeviceStatistics | TableId::DeviceProfiles | TableId::AnomalyEvents) {
            kept.push(row);
            continue;
        }
        let key = (row.table, format!("{:?}", row.key()));
        match seen.get(&key) {
            Some(&at) if kept[at].version <= row.version => kept[at] = row,
            Some(_) => {}
            None => {
                seen.insert(key, kept.len());
                kept.push(row);
            }
        }
    }
    kept
}

/// A worker's end of a [`StoreThread`].
pub struct StoreClient {
    orders: SyncSender<Order>,
    failure: Arc<Mutex<Option<String>>>,
    reply: Sender<u64>,
    replies: Receiver<u64>,
    next_ticket: u64,
}

impl WriteQueue for StoreClient {
    fn submit(&mut self, work: Work) -> Result<u64, Work> {
        let ticket = self.next_ticket;
        match self.orders.try_send(Order { ticket, work, reply: self.reply.clone() }) {
            Ok(()) => {
                self.next_ticket += 1;
                Ok(ticket)
            }
            // A thread that ended has left its reason; `completed` tells it.
            Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) => Err(order.work),
        }
    }

    fn completed(&mut self, tickets: &mut Vec<u64>) -> Result<(), String> {
        while let Ok(ticket) = self.replies.try_recv() {
            tickets.push(ticket);
        }
        match &*self.failure.lock().expect("no thread panics while it holds the failure") {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}
