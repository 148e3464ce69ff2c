//! A worker's step loop: it lets the graph run, cuts checkpoints, and knows when the end has come.
//!
//! Worker 0 leads. It follows the read frontier with the control stream, announces a cut there when one is due, joins the
//! workers' parts, and hands the manifest to the store once everything below the cut is durable.

mod grow;
mod idle;
mod lead;
mod meaning;
mod people;
mod publish;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use connectors::{Embedder, Source};
use serde::{Deserialize, Serialize};
use timely::worker::Worker;

use crate::checkpoint::{Manifest, Start, WorkerPart};
use crate::controls::Standing;
use crate::detect::Context;
use crate::detectors::Detectors;
use crate::embeddings::Embeddings;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::Order;
use crate::operators::detect::SavedPart;
use crate::operators::read::Reader;
use crate::operators::write::Writer;
use crate::progress::Progress;
use crate::queue::WriteQueue;
use crate::settings::JobSettings;
use crate::zones::Zones;
use crate::{Graph, Parts, build};

use grow::{Ahead, Grown};
use idle::Idle;
pub use idle::{LivePartition, Watermarks};
use lead::{Lead, say};
pub use meaning::{differences, meaning};
use people::People;

/// What workers tell worker 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Up {
    /// A part of a checkpoint.
    Part(Box<WorkerPart>),
    /// This process was asked to stop.
    Stop,
    /// Where the live partitions of a worker stand.
    Watermarks(Watermarks),
}

/// What worker 0 heard.
pub type Heard = Up;

/// Makes an embedder; each worker has its own.
pub type MakeEmbedder = fn() -> Box<dyn Embedder>;

/// Everything a job is made of, the same for all workers of a process.
#[derive(Clone)]
pub struct JobConfig {
    /// Time, bounds, checkpoints.
    pub settings: JobSettings,
    /// Thresholds of the detectors.
    pub monitor: Detectors,
    /// Where messages come from.
    pub source: Arc<dyn Source>,
    /// Rows are made and written; without, only counted results remain.
    pub store_rows: bool,
    /// Of these also one a reading, where rows are made at all.
    pub raw_rows: bool,
    /// Makes an embedder for a worker.
    pub embedder: Option<MakeEmbedder>,
    /// Makes vectors of texts, for all workers of the process; then there is no other embedder.
    pub texts: Option<Arc<Embeddings>>,
    /// Rules to break, for mutation runs.
    pub faults: Faults,
    /// Operators that wait for something let a moment pass before they look again. Off in walks, where no clock may decide.
    pub timed: bool,
}

impl JobConfig {
    /// The settings that decide results, as text: a store holds results of one such text only.
    pub fn meaning(&self) -> String {
        meaning(&self.settings, &self.monitor)
    }
}

/// How a worker stands after a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is more to do.
    Running,
    /// The source ended and everything is durable.
    Finished,
    /// Asked to stop, and everything below the last checkpoint is durable; what is left is dropped.
    Stopped,
}

/// A worker's part of a running job.
pub struct Job {
    graph: Graph,
    reader: Rc<RefCell<Reader>>,
    writer: Rc<RefCell<Writer>>,
    ledger: Rc<RefCell<Ledger>>,
    progress: Arc<Progress>,
    index: usize,
    source: Arc<dyn Source>,
    /// Workers that have partitions: those that the topic gains fall to them, too.
    readers: usize,
    last_cut_sent: bool,
    stop_told: bool,
    lead: Option<Lead>,
    /// Worker threads of process 0: workers of a lower number are its own.
    threads: usize,
    published_ms: Option<i64>,
    faults: Faults,
    /// What a replay at full speed never needs: the clock of the last report and when partitions fell idle.
    idle: Idle,
}

impl Job {
    /// Builds a worker's part. `threads` is the number of worker threads in the store's process.
    ///
    /// # Errors
    /// When a partition can't be opened, or the settings of a device type or a time zone are none.
    pub fn build(
        worker: &mut Worker,
        config: &JobConfig,
        start: &Start,
        queue: Box<dyn WriteQueue>,
        threads: usize,
        progress: Arc<Progress>,
    ) -> anyhow::Result<Job> {
        let (index, peers) = (worker.index(), worker.peers());
        let reader = Reader::open(
            config.source.as_ref(),
            &config.settings,
            start,
            (index, peers),
            config.store_rows && config.raw_rows,
            config.faults.clone(),
        )?;
        let reader = Rc::new(RefCell::new(reader));
        let writer = Rc::new(RefCell::new(Writer::new(queue)));
        // The totals of the checkpoint are carried on by one worker.
        let ledger = match (&start.manifest, index) {
            (Some((_, manifest)), 0) => Ledger::resume(manifest.totals),
            _ => Ledger::default(),
        };
        let ledger = Rc::new(RefCell::new(ledger));
        let context = Context {
            config: config.monitor.resolve().map_err(|problem| anyhow::anyhow!(problem))?,
            zones: Zones::of(&config.settings).map_err(|problem| anyhow::anyhow!(problem))?,
            width_ms: config.settings.window_ms,
            aggregate: config.settings.aggregate,
            store_rows: config.store_rows,
            corrected_for_ms: config.settings.corrected_for_ms().filter(|_| config.store_rows),
            embedder: config.embedder.map(|make| make()),
            texts: config.texts.clone(),
            standing: Standing::resume(&start.controls.placed, start.boundary_ms()),
        };
        let parts = Parts {
            reader: Rc::clone(&reader),
            writer: Rc::clone(&writer),
            ledger: Rc::clone(&ledger),
            context,
            progress: Arc::clone(&progress),
            threads,
            faults: config.faults.clone(),
            timed: config.timed,
        };
        let mut graph = build(worker, start, parts);
        let partitions: Vec<u32> = match &start.manifest {
            Some((_, manifest)) => manifest.positions.iter().map(|position| position.partition).collect(),
            None => config.source.partitions(),
        };
        let lead = (index == 0).then(|| Lead {
            peers,
            next_id: start.manifest.as_ref().map_or(1, |(id, _)| id + 1),
            least_interval_ms: config.settings.checkpoint_interval_ms,
            interval_ms: config.settings.checkpoint_interval_ms,
            boundary_ms: start.boundary_ms(),
            last_start_ms: None,
            cut: None,
            ended: false,
            at_end: false,
            stopping: false,
            source: config.source.identity(),
            meaning: config.meaning(),
            grown: Grown::from(partitions.iter().copied(), config.settings.partition_refresh_ms),
            ahead: Ahead::new(
                config.source.live().is_some() && !config.faults.close_unannounced,
                start.judged_ms(),
                config.settings.ahead_windows,
            ),
            people: People::new(start, config.settings.partition_refresh_ms),
            until_idle_ms: config.settings.until_idle_ms.filter(|_| config.source.live().is_some()),
            idle_since_ms: None,
            reports: std::collections::BTreeMap::new(),
            marks: None,
            window_ms: config.settings.window_ms,
            manifest: start.manifest.as_ref().map(|(_, manifest)| manifest.clone()),
            taken: 0,
        });
        if lead.is_none() {
            graph.control = None;
            graph.orders = None;
        }
        Ok(Job {
            graph,
            reader,
            writer,
            ledger,
            progress,
            index,
            source: Arc::clone(&config.source),
            readers: peers.min(partitions.len()).max(1),
            last_cut_sent: false,
            stop_told: false,
            threads,
            published_ms: None,
            lead,
            faults: config.faults.clone(),
            idle: Idle::default(),
        })
    }

    /// The newest durable manifest (worker 0 only).
    pub fn manifest(&self) -> Option<&Manifest> {
        self.lead.as_ref().and_then(|lead| lead.manifest.as_ref())
    }

    /// Where this worker stands, for a run that does not move.
    pub fn describe(&self) -> String {
        let reader = self.reader.borrow();
        let partitions: Vec<String> = reader
            .partitions
            .iter()
            .map(|partition| {
                format!(
                    "partition {} at {} watermark {} finished {} end {} frozen {}",
                    partition.number,
                    partition.next_offset(),
                    partition.watermark_ms,
                    partition.finished,
                    partition.end_reached,
                    partition.frozen
                )
            })
            .collect();
        let frontier = |probe: &timely::dataflow::operators::probe::Handle<i64>| {
            probe.with_frontier(|frontier| frontier.first().copied())
        };
        let control = self.graph.control.as_ref().map(|control| *control.time());
        let lead = self.lead.as_ref().map(|lead| {
            let cut = lead.cut.as_ref().map(|cut| (cut.boundary_ms, cut.last, cut.parts.len(), cut.ticket));
            format!("cut {cut:?} ended {} stopping {} boundary {}", lead.ended, lead.stopping, lead.boundary_ms)
        });
        format!(
            "worker {}: read {:?} durable {:?} control {control:?} under way {} stopped {} last cut sent {} {}; {}",
            self.index,
            frontier(&self.graph.read),
            frontier(&self.graph.durable),
            reader.under_way.len(),
            reader.stopped,
            self.last_cut_sent,
            lead.unwrap_or_default(),
            partitions.join(", ")
        )
    }

    /// How many checkpoints became durable (worker 0 only).
    pub fn checkpoints_taken(&self) -> u64 {
        self.lead.as_ref().map_or(0, |lead| lead.taken)
    }

    /// What there is to do after the worker's operators had their turn. `now_ms` is any clock that only goes forward; `stop`
    /// asks for an orderly end.
    ///
    /// # Errors
    /// Reading or writing failed for good; the next start resumes from the newest checkpoint.
    pub fn step(&mut self, now_ms: i64, stop: bool) -> anyhow::Result<Status> {
        self.writer.borrow_mut().collect(&self.progress);
        if let Some(error) = self.reader.borrow_mut().failure.take() {
            return Err(error);
        }
        if let Some(error) = self.writer.borrow().failure.clone() {
            return Err(anyhow::anyhow!(error));
        }
        if stop && !self.stop_told && !self.last_cut_sent {
            self.stop_told = true;
            self.tell(Up::Stop);
        }
        let mut stopped = false;
        let heard = std::mem::take(&mut *self.graph.heard.borrow_mut());
        for said in heard {
            match said {
                Order::Done => stopped = true,
                Order::Open { partition } => self.open_partition(partition)?,
                Order::Thaw { mark, partition } => self.thaw(partition, mark),
            }
        }
        if self.graph.last_cut.get() {
            self.reader.borrow_mut().stopped = true;
        }
        self.send_parts();
        self.watch_idle(now_ms);
        if self.lead.is_some() {
            self.lead(now_ms);
        }
        self.publish(now_ms);
        if stopped {
            return Ok(Status::Stopped);
        }
        let led = self.lead.as_ref().is_none_or(|lead| lead.ended && lead.cut.is_none());
        let finished = led && self.last_cut_sent && self.graph.durable.done();
        // Of a source that came to its end behind the last cut, the next start reads the rest again.
        let is_whole = self.lead.as_ref().is_none_or(|lead| lead.at_end);
        Ok(match (finished, is_whole) {
            (true, true) => Status::Finished,
            (true, false) => Status::Stopped,
            (false, _) => Status::Running,
        })
    }

    fn tell(&mut self, said: Up) {
        if let Some(up) = &mut self.graph.up {
            say(up, said);
        }
    }

    /// Sends the parts that `detect` has saved, completed by positions and totals.
    fn send_parts(&mut self) {
        let saved = std::mem::take(&mut *self.graph.saved.borrow_mut());
        for (boundary_ms, SavedPart { last, devices, peers }) in saved {
            let positions = self.reader.borrow_mut().positions(boundary_ms);
            if last {
                self.progress.left_behind(self.reader.borrow().read_behind(&positions));
            }
            let counted_below_ms = if self.faults.count_now { i64::MAX } else { boundary_ms };
            let totals = self.ledger.borrow_mut().below(counted_below_ms);
            let part = WorkerPart { boundary_ms, worker: self.index, totals, positions, peers, devices };
            self.tell(Up::Part(Box::new(part)));
            if last {
                self.last_cut_sent = true;
                let stopped_early = self.reader.borrow().partitions.iter().any(|partition| !partition.finished);
                if !stopped_early {
                    self.graph.up = None;
                }
            }
        }
    }
}
