//! A stage for workers whose every step is called by a script: the same script gives the same interleaving.
//!
//! Each worker lives on a thread of its own, as timely wants it, but only one of them moves at a time. The job is told not to
//! wait (`timed: false`), so that no clock decides anything.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use connectors::memory::{MemoryEmbedder, MemoryStore};
use connectors::{Event, Live, PartitionReader, Poll, Source, SourceError, Store as _};
use dataflow::begin::settle;
use dataflow::checkpoint::{Manifest, Start};
use dataflow::embeddings::Embeddings;
use dataflow::embeddings::backfill::Backfill;
use dataflow::job::{Job, JobConfig, Status};
use dataflow::progress::Progress;
use dataflow::queue::{Work, WriteQueue};
use model::Row;
use timely::communication::{Config as Communication, WorkerGuards};

/// What a worker is told.
enum Command {
    Step { now_ms: i64, stop: bool },
    Die,
}

/// What a worker answers after a step.
#[derive(Debug)]
pub struct Answer {
    pub status: Result<Status, String>,
    pub manifest: Option<Manifest>,
    pub describe: Option<String>,
}

/// Workers at the script's command.
pub struct Stage {
    commands: Vec<Sender<Command>>,
    answers: Vec<Receiver<Answer>>,
    guards: WorkerGuards<()>,
    /// It starts from a checkpoint.
    pub resumed: bool,
    /// Of a job with an embedder of texts.
    pub texts: Option<(Arc<Embeddings>, MemoryEmbedder)>,
}

impl Stage {
    /// Builds the workers of a job that starts from what the store holds.
    pub fn open(config: &JobConfig, workers: usize, store: &ScriptStore) -> Stage {
        let mut stored = store.stored();
        let checkpoint = stored.latest_checkpoint().expect("memory does not fail");
        let marks = stored.marks().expect("memory does not fail");
        let resumed = checkpoint.is_some();
        let texts = config.texts.clone().map(|embeddings| {
            embeddings.load(&mut stored).expect("memory does not fail");
            (embeddings, MemoryEmbedder::new())
        });
        let settled = settle(config, &mut stored, checkpoint, marks).expect("nothing is gone from memory");
        let mut start = Start::decode(settled.checkpoint, settled.marks).expect("what was written can be read");
        start.controls = settled.controls;
        let start = Arc::new(start);
        let communication = if workers == 1 { Communication::Thread } else { Communication::Process(workers) };
        let (mut commands, mut answers, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..workers {
            let (command, inbox) = channel();
            let (outbox, answer) = channel();
            commands.push(command);
            answers.push(answer);
            ends.push(Some((inbox, outbox)));
        }
        let ends = Mutex::new(ends);
        let (ready, all_ready) = channel();
        let ready = Mutex::new(ready);
        let (config, store) = (config.clone(), store.clone());
        let timely = timely::Config { communication, worker: timely::WorkerConfig::default() };
        let guards = timely::execute(timely, move |worker| {
            let index = worker.index();
            let (inbox, outbox) = ends.lock().expect("nobody panics here")[index].take().expect("one end a worker");
            let progress = Arc::new(Progress::default());
            let job = Job::build(worker, &config, &start, store.queue(index), workers, progress);
            let mut job = job.expect("memory does not fail");
            ready.lock().expect("nobody panics here").send(()).expect("the stage waits for it");
            for command in inbox {
                let Command::Step { now_ms, stop } = command else { break };
                worker.step();
                let describe = (now_ms < 0).then(|| job.describe());
                let status = job.step(now_ms.abs(), stop).map_err(|error| format!("{error:#}"));
                // A stage that is being left no longer listens.
                let _ = outbox.send(Answer { status, manifest: job.manifest().cloned(), describe });
            }
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        });
        for _ in 0..workers {
            all_ready.recv().expect("every worker is built");
        }
        Stage { commands, answers, guards: guards.expect("threads need no network"), resumed, texts }
    }

    /// Lets one worker take a step.
    pub fn step(&self, worker: usize, now_ms: i64, stop: bool) -> Result<Answer, String> {
        self.commands[worker].send(Command::Step { now_ms, stop }).map_err(|_| "worker died".to_owned())?;
        self.answers[worker].recv().map_err(|_| format!("worker {worker} panicked"))
    }

    /// The embedder answers some of the queued texts, or does not.
    pub fn embed(&mut self, answers: bool) {
        if let Some((embeddings, embedder)) = &mut self.texts {
            embedder.fail(u64::from(!answers));
            let queued = embeddings.work(embedder);
            assert!(queued.is_err() || answers || matches!(queued, Ok(0)));
        }
    }

    /// Completes some of what the store has pending, as the job does when it is calm.
    pub fn complete(&mut self, store: &ScriptStore) {
        if let Some((embeddings, embedder)) = &mut self.texts {
            embedder.fail(0);
            let step = Backfill::default().step(&mut store.stored(), embeddings, embedder);
            step.expect("memory does not fail");
        }
    }

    /// Ends all workers where they are.
    pub fn die(self) {
        for command in &self.commands {
            let _ = command.send(Command::Die); // one that panicked is gone already
        }
        drop(self.answers);
        for result in self.guards.join() {
            let _ = result; // a panic was reported by `step`
        }
    }
}

/// A source that gives a few records at a time, so that a crash may fall between any two of them.
pub struct Sips {
    /// What it gives.
    pub source: Arc<dyn Source>,
    /// How many at most.
    pub records: usize,
}

impl Source for Sips {
    fn topic(&self) -> &str {
        self.source.topic()
    }

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn partitions(&self) -> Vec<u32> {
        self.source.partitions()
    }

    fn messages_total(&self) -> Option<u64> {
        self.source.messages_total()
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        Ok(Box::new(SippingReader { reader: self.source.open(partition, offset)?, records: self.records }))
    }

    fn live(&self) -> Option<&dyn Live> {
        self.source.live()
    }
}

struct SippingReader {
    reader: Box<dyn PartitionReader>,
    records: usize,
}

impl PartitionReader for SippingReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        self.reader.poll(max.min(self.records), each)
    }
}

/// Something on its way to the store.
struct Pending {
    worker: usize,
    ticket: u64,
    work: Work,
}

#[derive(Default)]
struct Wire {
    pending: Vec<Pending>,
    acknowledged: BTreeMap<usize, Vec<u64>>,
    next_ticket: u64,
    belated: Vec<Row>,
}

/// A store whose completions are the script's: applied in any order, in part, twice, or long after the writer died.
#[derive(Clone)]
pub struct ScriptStore {
    store: MemoryStore,
    wire: Arc<Mutex<Wire>>,
    ignore_versions: bool,
    writes: Arc<Mutex<i64>>,
}

/// How much may wait on the wire before the queue is full.
const QUEUE: usize = 6;

impl ScriptStore {
    /// Empty.
    pub fn new(ignore_versions: bool) -> Self {
        ScriptStore { store: MemoryStore::new(), wire: Arc::default(), ignore_versions, writes: Arc::default() }
    }

    /// A handle of what is stored.
    pub fn stored(&self) -> MemoryStore {
        self.store.clone()
    }

    fn queue(&self, worker: usize) -> Box<dyn WriteQueue + Send> {
        Box::new(ScriptQueue { wire: Arc::clone(&self.wire), worker })
    }

    fn wire(&self) -> std::sync::MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// How many works wait.
    pub fn pending(&self) -> usize {
        self.wire().pending.len()
    }

    /// Whether the work at `at` is idle marks.
    pub fn is_marks(&self, at: usize) -> bool {
        matches!(self.wire().pending[at].work, Work::Marks(_))
    }

    /// How many rows of dead writers may still arrive.
    pub fn belated(&self) -> usize {
        self.wire().belated.len()
    }

    fn apply_rows(&self, rows: &[Row]) {
        let mut rows = rows.to_vec();
        if self.ignore_versions {
            let mut writes = self.writes.lock().expect("only the script's thread writes");
            for row in &mut rows {
                *writes += 1;
                row.version = model::Version::from_us(*writes);
            }
        }
        self.store.clone().write(&rows).expect("memory takes every row that fits its table");
    }

    fn apply(&self, work: &Work) {
        match work {
            Work::Rows(rows) => self.apply_rows(rows),
            other => other.apply(&mut self.store.clone()).expect("memory does not fail"),
        }
    }

    /// Applies the work at `at`; without `acknowledge` its reply is lost, so it stays on the wire and is sent again.
    pub fn complete(&self, at: usize, acknowledge: bool) {
        let mut wire = self.wire();
        self.apply(&wire.pending[at].work);
        if acknowledge {
            let done = wire.pending.remove(at);
            wire.acknowledged.entry(done.worker).or_default().push(done.ticket);
        }
    }

    /// Applies only the rows of the work at `at` that `pick` takes, without a reply: it will be sent again in whole.
    pub fn complete_in_part(&self, at: usize, mut pick: impl FnMut() -> bool) {
        let wire = self.wire();
        if let Work::Rows(rows) = &wire.pending[at].work {
            let part: Vec<Row> = rows.iter().filter(|_| pick()).cloned().collect();
            self.apply_rows(&part);
        }
    }

    /// The writer died: each row on the wire was applied, is lost, or arrives later; a checkpoint was applied or is lost.
    pub fn crash(&self, mut fate: impl FnMut() -> Fate) {
        let mut wire = self.wire();
        let pending = std::mem::take(&mut wire.pending);
        wire.acknowledged.clear();
        for pending in pending {
            match &pending.work {
                Work::Rows(rows) => {
                    for row in rows {
                        match fate() {
                            Fate::Applied => self.apply_rows(std::slice::from_ref(row)),
                            Fate::Belated => wire.belated.push(row.clone()),
                            Fate::Lost => {}
                        }
                    }
                }
                other => {
                    if matches!(fate(), Fate::Applied) {
                        self.apply(other);
                    }
                }
            }
        }
    }

    /// A row of a dead writer arrives.
    pub fn arrive(&self, at: usize) {
        let row = self.wire().belated.swap_remove(at);
        self.apply_rows(&[row]);
    }
}

/// What became of something that was on the wire when its writer died.
pub enum Fate {
    Applied,
    Belated,
    Lost,
}

struct ScriptQueue {
    wire: Arc<Mutex<Wire>>,
    worker: usize,
}

impl WriteQueue for ScriptQueue {
    fn submit(&mut self, work: Work) -> Result<u64, Work> {
        let mut wire = self.wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if wire.pending.iter().filter(|pending| pending.worker == self.worker).count() >= QUEUE {
            return Err(work);
        }
        let ticket = wire.next_ticket;
        wire.next_ticket += 1;
        wire.pending.push(Pending { worker: self.worker, ticket, work });
        Ok(ticket)
    }

    fn completed(&mut self, tickets: &mut Vec<u64>) -> Result<(), String> {
        let mut wire = self.wire.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tickets.extend(wire.acknowledged.remove(&self.worker).unwrap_or_default());
        Ok(())
    }
}
