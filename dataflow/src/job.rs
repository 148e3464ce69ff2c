//! A worker's step loop: it lets the graph run, cuts checkpoints, and knows when the end has come.
//!
//! Worker 0 leads. It follows the read frontier with the control stream, announces a cut there when one is due, joins the
//! workers' parts, and hands the manifest to the store once everything below the cut is durable.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use connectors::{Embedder, IdleMark, Source};
use serde::{Deserialize, Serialize};
use timely::worker::Worker;
use udfs::MonitorConfig;

use crate::checkpoint::{Manifest, Start, WorkerPart, assemble};
use crate::detect::Context;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::read::Reader;
use crate::operators::write::Writer;
use crate::operators::{Cut, Order};
use crate::progress::Progress;
use crate::queue::{Work, WriteQueue};
use crate::settings::JobSettings;
use crate::{Graph, Input, Parts, build};

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

/// Where the live partitions of a worker stand, sent while one of them is idle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Watermarks {
    /// Which worker.
    pub worker: usize,
    /// Newest window with a reading that it has read.
    pub newest_window_ms: Option<i64>,
    /// Its partitions that are not finished.
    pub partitions: Vec<LivePartition>,
}

/// A live partition.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LivePartition {
    /// Which.
    pub partition: u32,
    /// Next offset.
    pub offset: i64,
    /// Watermark.
    pub watermark_ms: i64,
    /// It has been idle for long enough, and is not read until worker 0 has answered.
    pub frozen: bool,
}

/// Everything a job is made of, the same for all workers of a process.
#[derive(Clone)]
pub struct JobConfig {
    /// Time, bounds, checkpoints.
    pub settings: JobSettings,
    /// Thresholds of the detectors.
    pub monitor: MonitorConfig,
    /// Where messages come from.
    pub source: Arc<dyn Source>,
    /// Rows are made and written; without, only counted results remain.
    pub store_rows: bool,
    /// Makes an embedder for a worker.
    pub embedder: Option<fn() -> Box<dyn Embedder>>,
    /// Rules to break, for mutation runs.
    pub faults: Faults,
    /// Operators that wait for something let a moment pass before they look again. Off in walks, where no clock may decide.
    pub timed: bool,
}

impl JobConfig {
    /// The settings that decide results, as text: a store holds results of one such text only.
    pub fn meaning(&self) -> String {
        let settings = &self.settings;
        format!(
            "window={} lateness={} max_future={} max_age={:?} max_message_bytes={} max_devices={} max_metrics={} aggregate={:?} detectors={:016x}",
            settings.window_ms,
            settings.lateness_ms,
            settings.max_future_ms,
            settings.max_age_ms,
            settings.max_message_bytes,
            settings.max_devices,
            settings.max_metrics,
            settings.aggregate,
            model::hash::hash_text(&format!("{:?}", self.monitor)),
        )
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
    last_cut_sent: bool,
    stop_told: bool,
    lead: Option<Lead>,
    /// What a replay at full speed never needs: the clock of the last report and when partitions fell idle.
    idle: Idle,
}

/// What only worker 0 keeps.
struct Lead {
    peers: usize,
    next_id: u64,
    least_interval_ms: i64,
    interval_ms: i64,
    boundary_ms: i64,
    last_start_ms: Option<i64>,
    cut: Option<Joining>,
    ended: bool,
    at_end: bool,
    stopping: bool,
    source: String,
    meaning: String,
    faults: Faults,
    reports: std::collections::BTreeMap<usize, Watermarks>,
    marks: Option<(Option<u64>, Vec<IdleMark>)>,
    window_ms: i64,
    /// The newest manifest that is durable.
    manifest: Option<Manifest>,
    taken: u64,
}

/// Sends at once: timely delivers what an input was given when its time moves on.
fn say<T: Clone + 'static>(input: &mut Input<T>, said: T) {
    input.send(said);
    let next = input.time() + 1;
    input.advance_to(next);
}

/// A checkpoint under way.
struct Joining {
    boundary_ms: i64,
    last: bool,
    parts: Vec<WorkerPart>,
    ticket: Option<u64>,
    submitted_ms: i64,
    manifest: Option<Manifest>,
}

#[derive(Default)]
struct Idle {
    since_ms: std::collections::BTreeMap<u32, i64>,
    reported_ms: Option<i64>,
}

impl Job {
    /// Builds a worker's part. `threads` is the number of worker threads in the store's process.
    ///
    /// # Errors
    /// When a partition can't be opened.
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
            config.store_rows,
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
            config: config.monitor.clone(),
            width_ms: config.settings.window_ms,
            aggregate: config.settings.aggregate,
            store_rows: config.store_rows,
            embedder: config.embedder.map(|make| make()),
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
            faults: config.faults.clone(),
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
            last_cut_sent: false,
            stop_told: false,
            lead,
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
        if stopped {
            return Ok(Status::Stopped);
        }
        let led = self.lead.as_ref().is_none_or(|lead| lead.ended && lead.cut.is_none());
        let finished = led && self.last_cut_sent && self.graph.durable.done();
        Ok(if finished { Status::Finished } else { Status::Running })
    }

    fn tell(&mut self, said: Up) {
        if let Some(up) = &mut self.graph.up {
            say(up, said);
        }
    }

    /// Sends the parts that `detect` has saved, completed by positions and totals.
    fn send_parts(&mut self) {
        let saved = std::mem::take(&mut *self.graph.saved.borrow_mut());
        for (boundary_ms, (last, devices)) in saved {
            let positions = self.reader.borrow_mut().positions(boundary_ms);
            let faults = self.lead.as_ref().map(|lead| lead.faults.clone()).unwrap_or_default();
            let counted_below_ms = if faults.count_now { i64::MAX } else { boundary_ms };
            let totals = self.ledger.borrow_mut().below(counted_below_ms);
            let part = WorkerPart { boundary_ms, worker: self.index, totals, positions, devices };
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

    /// Worker 0: follow the read frontier, cut, join, hand in.
    fn lead(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let started = *lead.last_start_ms.get_or_insert(now_ms);
        for said in std::mem::take(&mut *self.graph.inbox.borrow_mut()) {
            match said {
                Up::Part(part) => {
                    let cut = lead.cut.as_mut().expect("a part follows its cut");
                    assert_eq!(cut.boundary_ms, part.boundary_ms, "one checkpoint at a time");
                    cut.parts.push(*part);
                }
                Up::Stop => lead.stopping = true,
                Up::Watermarks(report) => {
                    lead.reports.insert(report.worker, report);
                }
            }
        }
        let frontier = self.graph.read.with_frontier(|frontier| frontier.first().copied());
        if let Some(control) = &mut self.graph.control {
            let can_cut = lead.cut.is_none() && !lead.ended;
            match frontier {
                Some(frontier_ms) => {
                    // Only together with a step of the control stream: what an input was given is delivered when its time
                    // moves on (or when it closes, at the last cut).
                    let moves = frontier_ms > *control.time();
                    let due = now_ms - started >= lead.interval_ms && frontier_ms > lead.boundary_ms && moves;
                    if can_cut && (due || lead.stopping) {
                        let cut = Joining::new(frontier_ms.max(lead.boundary_ms), lead.stopping);
                        control.send(Cut { boundary_ms: cut.boundary_ms, last: cut.last });
                        lead.ended = cut.last;
                        lead.last_start_ms = Some(now_ms);
                        lead.cut = Some(cut);
                    }
                    if lead.ended {
                        // Nothing is announced any more; what is judged beyond the last cut will be judged again.
                        self.graph.control = None;
                    } else if moves {
                        control.advance_to(frontier_ms);
                    }
                }
                None if can_cut => {
                    // The source ended: one cut behind everything.
                    let newest_ms = self.graph.newest_ms.get();
                    let end_ms =
                        newest_ms.map_or(lead.boundary_ms, |newest_ms| newest_ms.saturating_add(lead.window_ms));
                    let boundary_ms = end_ms.max(lead.boundary_ms).max(i64::MIN + 1);
                    control.send(Cut { boundary_ms, last: true });
                    lead.ended = true;
                    lead.at_end = true;
                    lead.cut = Some(Joining::new(boundary_ms, true));
                    self.graph.control = None;
                }
                None => {}
            }
        }
        self.join_parts(now_ms);
        self.mark_idle();
    }

    fn join_parts(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let Some(cut) = &mut lead.cut else { return };
        let mut writer = self.writer.borrow_mut();
        match cut.ticket {
            None => {
                let durable = !self.graph.durable.less_than(&cut.boundary_ms) || lead.faults.manifest_first;
                if cut.parts.len() < lead.peers || !durable {
                    return;
                }
                let at_end = cut.last && lead.at_end;
                let (manifest, checkpoint) =
                    assemble(lead.next_id, cut.parts.clone(), at_end, lead.source.clone(), lead.meaning.clone());
                // A full queue: tried again at the next step.
                if let Ok(ticket) = writer.submit(Work::Checkpoint(Box::new(checkpoint))) {
                    cut.ticket = Some(ticket);
                    cut.submitted_ms = now_ms;
                    cut.manifest = Some(manifest);
                }
            }
            Some(ticket) => {
                let Some(at) = writer.others_done.iter().position(|done| *done == ticket) else { return };
                writer.others_done.swap_remove(at);
                let cut = lead.cut.take().expect("it was just looked at");
                lead.next_id += 1;
                lead.taken += 1;
                lead.boundary_ms = cut.boundary_ms;
                lead.manifest = cut.manifest;
                // Writing checkpoints takes at most a tenth of the time; waiting for rows is no part of it, they are written anyway.
                lead.interval_ms = lead.least_interval_ms.max(9 * (now_ms - cut.submitted_ms));
                if cut.last {
                    if let (false, Some(orders)) = (lead.at_end, &mut self.graph.orders) {
                        say(orders, Order::Done);
                    }
                    self.graph.orders = None;
                }
            }
        }
    }

    /// Notices partitions that have been idle for long enough, freezes them, and reports.
    fn watch_idle(&mut self, now_ms: i64) {
        let mut reader = self.reader.borrow_mut();
        let idle_ms = reader.idle_ms();
        if reader.partitions.iter().all(|partition| partition.finished || !partition.end_reached)
            && self.idle.reported_ms.is_none()
        {
            self.idle.since_ms.clear();
            return;
        }
        let mut newly_frozen = false;
        for partition in &mut reader.partitions {
            if partition.finished || !partition.end_reached {
                self.idle.since_ms.remove(&partition.number);
                continue;
            }
            let since_ms = *self.idle.since_ms.entry(partition.number).or_insert(now_ms);
            if now_ms - since_ms >= idle_ms && !partition.frozen {
                partition.frozen = true;
                newly_frozen = true;
            }
        }
        let due = self.idle.reported_ms.is_none_or(|reported_ms| now_ms - reported_ms >= (idle_ms / 10).max(1));
        if !newly_frozen && !due {
            return;
        }
        self.idle.reported_ms = Some(now_ms);
        let report = Watermarks {
            worker: self.index,
            newest_window_ms: reader.newest_window_ms,
            partitions: reader
                .partitions
                .iter()
                .filter(|partition| !partition.finished)
                .map(|partition| LivePartition {
                    partition: partition.number,
                    offset: partition.next_offset(),
                    watermark_ms: partition.watermark_ms,
                    frozen: partition.frozen,
                })
                .collect(),
        };
        drop(reader);
        self.tell(Up::Watermarks(report));
    }

    /// Worker 0: decides once for all frozen partitions, and lets the decision become durable before anyone uses it.
    fn mark_idle(&mut self) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let mut writer = self.writer.borrow_mut();
        if let Some((ticket, marks)) = &mut lead.marks {
            match ticket {
                None => match writer.submit(Work::Marks(marks.clone())) {
                    Ok(given) => *ticket = Some(given),
                    Err(_) => return,
                },
                Some(given) => {
                    let Some(at) = writer.others_done.iter().position(|done| done == given) else { return };
                    writer.others_done.swap_remove(at);
                    if let Some(orders) = &mut self.graph.orders {
                        for mark in marks.iter() {
                            let thaw = (mark.offset, mark.watermark_ms);
                            say(orders, Order::Thaw { partition: mark.partition, mark: Some(thaw) });
                        }
                    }
                    lead.marks = None;
                    return;
                }
            }
            return;
        }
        if lead.reports.len() < lead.peers || lead.ended {
            return;
        }
        let reports = std::mem::take(&mut lead.reports);
        let all = || reports.values().flat_map(|report| report.partitions.iter());
        let active_ms = all().filter(|partition| !partition.frozen).map(|partition| partition.watermark_ms).min();
        let newest_ms = reports.values().filter_map(|report| report.newest_window_ms).max();
        // Where all are idle the frontier goes to the end of the newest window that has readings, no further.
        let target_ms = active_ms.or(newest_ms.map(|newest_ms| newest_ms + lead.window_ms));
        let mut marks = Vec::new();
        let mut thawed = Vec::new();
        for partition in all().filter(|partition| partition.frozen) {
            match target_ms {
                Some(watermark_ms) if watermark_ms > partition.watermark_ms => {
                    marks.push(IdleMark { partition: partition.partition, offset: partition.offset, watermark_ms });
                }
                _ => thawed.push(partition.partition),
            }
        }
        if let Some(orders) = &mut self.graph.orders {
            for partition in thawed {
                say(orders, Order::Thaw { partition, mark: None });
            }
        }
        if !marks.is_empty() {
            lead.marks = Some((None, marks));
        }
    }

    fn thaw(&mut self, number: u32, mark: Option<(i64, i64)>) {
        let mut reader = self.reader.borrow_mut();
        if let Some(partition) = reader.partitions.iter_mut().find(|partition| partition.number == number) {
            if let Some((offset, watermark_ms)) = mark {
                assert_eq!(offset, partition.next_offset(), "a frozen partition is not read");
                partition.add_mark(IdleMark { partition: number, offset, watermark_ms });
            }
            partition.frozen = false;
        }
    }
}

impl Joining {
    fn new(boundary_ms: i64, last: bool) -> Self {
        Joining { boundary_ms, last, parts: Vec::new(), ticket: None, submitted_ms: 0, manifest: None }
    }
}
