//! Runs a job on threads and processes, from the newest checkpoint to the end or to a stop.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use connectors::{Checkpoint, IdleMark, Store};
use timely::communication::allocator::ProcessBuilder;
use timely::communication::allocator::zero_copy::initialize::initialize_networking_from_sockets;
use timely::communication::{AllocatorBuilder, Config as Communication, Hooks};
use timely::dataflow::InputHandle;
use timely::dataflow::operators::vec::Broadcast as _;
use timely::dataflow::operators::{Inspect as _, Probe as _};
use timely::worker::Worker;

use crate::begin;
use crate::checkpoint::{Manifest, Start};
use crate::controls::{self, Controls};
use crate::job::{Job, JobConfig, Status};
use crate::links;
use crate::outlets::Outlet;
use crate::progress::Progress;
use crate::queue::{StoreClient, StoreThread, Work, WriteQueue};

/// How many workers, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Threads of each process.
    pub threads: usize,
    /// Processes.
    pub processes: usize,
    /// Which process this is.
    pub process: usize,
    /// `host:port` of every process; empty with one process.
    pub addresses: Vec<String>,
}

impl Workers {
    /// Threads of one process.
    pub fn threads(threads: usize) -> Self {
        Workers { threads, processes: 1, process: 0, addresses: Vec::new() }
    }

    /// What the workers of this process talk through.
    fn allocators(&self, stop: &AtomicBool) -> anyhow::Result<(Vec<AllocatorBuilder>, Box<dyn Any + Send>)> {
        if self.processes == 1 {
            let threads = if self.threads > 1 { Communication::Process(self.threads) } else { Communication::Thread };
            return threads.try_build().map_err(|error| anyhow!(error));
        }
        let links = links::connect(&self.addresses, self.process, stop)?;
        let hooks = Hooks::default();
        let inside = ProcessBuilder::new_typed_vector(self.threads, hooks.refill.clone(), hooks.spill.clone());
        let (builders, guard) = initialize_networking_from_sockets(inside, links, self.process, self.threads, hooks)
            .context("could not connect the processes of the job")?;
        Ok((builders.into_iter().map(AllocatorBuilder::Tcp).collect(), Box::new(guard)))
    }
}

/// How a run ended.
pub struct Outcome {
    /// The newest durable manifest; `None` in processes other than the first.
    pub manifest: Option<Manifest>,
    /// Whether the source's end was reached.
    pub status: Status,
    /// Window start that the run resumed from; `None`: it began at the beginning.
    pub resume_window_ms: Option<i64>,
    /// Whether there was nothing left to do.
    pub was_finished: bool,
    /// Offsets of a live topic that were gone before this start, and left out because the settings accept it.
    pub lost: u64,
    /// The store, given back.
    pub store: Option<Box<dyn Store>>,
    /// Checkpoints that became durable in this run.
    pub checkpoints: u64,
    /// Wall time.
    pub wall: Duration,
}

/// Runs the job. Process 0 brings the store; the others get what they need from it.
///
/// # Errors
/// As [`run_telling`].
pub fn run(
    config: &JobConfig,
    workers: &Workers,
    store: Option<Box<dyn Store>>,
    stop: &Arc<AtomicBool>,
    progress: &Arc<Progress>,
) -> anyhow::Result<Outcome> {
    run_telling(config, workers, store, Vec::new(), stop, progress)
}

/// Runs the job, and tells outlets what has become durable. Process 0 brings store and outlets.
///
/// # Errors
/// When the store holds results of another recording or of other settings, when reading or writing fails for good, or when the
/// processes can't reach each other.
pub fn run_telling(
    config: &JobConfig,
    workers: &Workers,
    store: Option<Box<dyn Store>>,
    mut outlets: Vec<Box<dyn Outlet>>,
    stop: &Arc<AtomicBool>,
    progress: &Arc<Progress>,
) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let mut store = store;
    let mut boot: Option<Boot> = None;
    let mut resume_window_ms = None;
    let mut lost = 0;
    if let Some(store) = &mut store {
        let checkpoint = store.latest_checkpoint().context("could not read the newest checkpoint")?;
        let marks = store.marks().context("could not read the idle marks")?;
        if let Some((_, manifest)) = &Start::decode(checkpoint.clone(), Vec::new())?.manifest {
            check_manifest(manifest, config)?;
        }
        let begin::Settled { checkpoint, marks, controls, lost: gone } =
            begin::settle(config, store.as_mut(), checkpoint, marks)?;
        lost = gone;
        let start = Start { controls, ..Start::decode(checkpoint.clone(), marks.clone())? };
        if let Some((_, manifest)) = &start.manifest {
            resume_window_ms = Some(manifest.boundary_ms).filter(|&boundary_ms| boundary_ms > i64::MIN);
            if let (Some(boundary_ms), false) = (resume_window_ms, manifest.finished) {
                let (window, records) = (model::time::format_ms(boundary_ms), manifest.totals.received());
                tracing::info!(window, records, "resuming from a checkpoint");
            }
        }
        outlets.iter_mut().for_each(|outlet| outlet.begin(&start));
        boot = Some(Boot { checkpoint, marks, start: Arc::new(start) });
    }
    if let (Some(store), Some(boot)) = (&mut store, &boot)
        && let Some((_, manifest)) = boot.start.manifest.as_ref().filter(|(_, manifest)| manifest.finished)
    {
        let width_ms = config.settings.window_ms;
        controls::settle_finished(store.as_mut(), &boot.start.controls, manifest.boundary_ms, width_ms)?;
    }
    if let (1, Some(boot)) = (workers.processes, &boot)
        && let Some((_, manifest)) = boot.start.manifest.as_ref().filter(|(_, manifest)| manifest.finished)
    {
        return Ok(Outcome {
            manifest: Some(manifest.clone()),
            status: Status::Finished,
            resume_window_ms,
            was_finished: true,
            lost,
            store,
            checkpoints: 0,
            wall: began.elapsed(),
        });
    }
    let (allocators, links) = workers.allocators(stop)?;
    let thread = store.map(|store| StoreThread::start(store, outlets));
    let clients: Vec<StoreClient> =
        thread.iter().flat_map(|thread| (0..workers.threads).map(|_| thread.client())).collect();
    let shared = Arc::new(Process {
        config: config.clone(),
        threads: workers.threads,
        processes: workers.processes,
        clients: Mutex::new(clients),
        boot,
        stop: Arc::clone(stop),
        failed: AtomicBool::new(false),
        progress: Arc::clone(progress),
        began,
    });
    let for_workers = Arc::clone(&shared);
    let guards = timely::execute::execute_from(allocators, links, timely::WorkerConfig::default(), move |worker| {
        work(worker, &for_workers)
    })
    .map_err(|error| anyhow!(error))?;
    let mut outcomes = Vec::new();
    let mut failure: Option<anyhow::Error> = None;
    for result in guards.join() {
        match result {
            Ok(Ok(outcome)) => outcomes.push(outcome),
            Ok(Err(error)) => {
                // The cause stands before those who only heard of it.
                failure = match failure {
                    Some(earlier) if !earlier.is::<AnotherFailed>() => Some(earlier),
                    _ => Some(error),
                }
            }
            Err(panic) => failure = failure.or_else(|| Some(anyhow!("worker panicked: {panic}"))),
        }
    }
    shared.clients.lock().expect("no worker panics while it takes its client").clear();
    if let (Some(thread), Some(_)) = (&thread, &failure) {
        thread.abandon();
    }
    let store = match (thread.map(StoreThread::finish).transpose(), failure) {
        (Ok(store), None) => store,
        (Ok(_), Some(error)) => return Err(error),
        (Err(cause), None) => bail!(cause),
        // Workers that had to give up do not know why the store kept them waiting.
        (Err(cause), Some(error)) if error.to_string() == cause => bail!(cause),
        (Err(cause), Some(error)) => bail!("{error}; the store: {cause}"),
    };
    let stopped = outcomes.iter().any(|(status, ..)| *status == Status::Stopped);
    let lead =
        outcomes.into_iter().find_map(|(_, manifest, checkpoints)| manifest.map(|manifest| (manifest, checkpoints)));
    let (manifest, checkpoints) = lead.map_or((None, 0), |(manifest, checkpoints)| (Some(manifest), checkpoints));
    Ok(Outcome {
        manifest,
        status: if stopped { Status::Stopped } else { Status::Finished },
        resume_window_ms,
        was_finished: false,
        lost,
        store,
        checkpoints,
        wall: began.elapsed(),
    })
}

fn check_manifest(manifest: &Manifest, config: &JobConfig) -> anyhow::Result<()> {
    let identity = config.source.identity();
    if manifest.source != identity {
        bail!(
            "store holds results of another source ({}), this one is {identity}; choose another --store, or --fresh to begin again",
            manifest.source
        );
    }
    let meaning = config.meaning();
    if manifest.settings != meaning {
        let differences = crate::job::differences(&manifest.settings, &meaning);
        bail!(
            "store holds results of other settings ({}); choose another --store, or --fresh to begin again",
            differences.join("; ")
        );
    }
    Ok(())
}

/// What a start is made of.
struct Boot {
    checkpoint: Option<Checkpoint>,
    marks: Vec<IdleMark>,
    start: Arc<Start>,
}

/// What the workers of a process share.
struct Process {
    config: JobConfig,
    threads: usize,
    processes: usize,
    clients: Mutex<Vec<StoreClient>>,
    boot: Option<Boot>,
    stop: Arc<AtomicBool>,
    failed: AtomicBool,
    progress: Arc<Progress>,
    began: Instant,
}

/// A worker gave up because another one did.
#[derive(Debug, thiserror::Error)]
#[error("another worker of the job failed")]
struct AnotherFailed;

type WorkerOutcome = (Status, Option<Manifest>, u64);

/// How long a worker sleeps when nothing calls it.
const PARK: Duration = Duration::from_millis(5);

fn work(worker: &mut Worker, process: &Process) -> anyhow::Result<WorkerOutcome> {
    let result = work_to_the_end(worker, process);
    let finished = matches!(result, Ok((Status::Finished, ..)));
    if !finished {
        if result.is_err() {
            process.failed.store(true, Ordering::SeqCst);
        }
        for dataflow in worker.installed_dataflows() {
            worker.drop_dataflow(dataflow);
        }
    }
    result
}

fn work_to_the_end(worker: &mut Worker, process: &Process) -> anyhow::Result<WorkerOutcome> {
    let start = match &process.boot {
        Some(boot) if process.processes == 1 => Arc::clone(&boot.start),
        boot => Arc::new(hear_start(worker, boot.as_ref())?),
    };
    let queue: Box<dyn WriteQueue> =
        match process.clients.lock().expect("no worker panics while it takes its client").pop() {
            Some(client) => Box::new(client),
            None => Box::new(Elsewhere),
        };
    let mut job = Job::build(worker, &process.config, &start, queue, process.threads, Arc::clone(&process.progress))?;
    drop(start);
    let mut stopping_since_ms = None;
    loop {
        worker.step_or_park(Some(PARK));
        if process.failed.load(Ordering::SeqCst) {
            bail!(AnotherFailed);
        }
        let now_ms = i64::try_from(process.began.elapsed().as_millis()).unwrap_or(i64::MAX);
        let stop = process.stop.load(Ordering::SeqCst);
        if stop {
            let stopping_ms = *stopping_since_ms.get_or_insert(now_ms);
            if now_ms - stopping_ms > process.config.settings.drain_timeout_ms {
                bail!(
                    "the job did not come to rest within drain_timeout; the next start resumes from the last checkpoint"
                );
            }
        }
        let status = job.step(now_ms, stop)?;
        if status != Status::Running {
            if status == Status::Stopped {
                // Lets the other processes hear of it before the connections close.
                for _ in 0..10 {
                    worker.step_or_park(Some(Duration::from_millis(1)));
                }
            }
            return Ok((status, job.manifest().cloned(), job.checkpoints_taken()));
        }
    }
}

/// The store of another process: rows never come here.
struct Elsewhere;

impl WriteQueue for Elsewhere {
    fn submit(&mut self, work: Work) -> Result<u64, Work> {
        Err(work)
    }

    fn completed(&mut self, _tickets: &mut Vec<u64>) -> Result<(), String> {
        Ok(())
    }
}

/// A start as it crosses processes: checkpoint (id, manifest, parts), marks (partition, offset, watermark) and controls.
type Telegram = (Option<(u64, Vec<u8>, Vec<(String, Vec<u8>)>)>, Vec<(u32, i64, i64)>, Controls);

/// With several processes only the first one speaks with the store; it tells the others where to start.
fn hear_start(worker: &mut Worker, boot: Option<&Boot>) -> anyhow::Result<Start> {
    let mut input: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Telegram>>> = InputHandle::new();
    let heard = std::rc::Rc::new(std::cell::RefCell::new(None));
    let put = std::rc::Rc::clone(&heard);
    let probe = timely::dataflow::operators::probe::Handle::new();
    worker.dataflow::<u64, _, _>(|scope| {
        input
            .to_stream(scope)
            .broadcast()
            .inspect(move |telegram: &Telegram| *put.borrow_mut() = Some(telegram.clone()))
            .probe_with(&probe);
    });
    if let (0, Some(boot)) = (worker.index(), boot) {
        let checkpoint =
            boot.checkpoint.clone().map(|checkpoint| (checkpoint.id, checkpoint.manifest, checkpoint.parts));
        let marks = boot.marks.iter().map(|mark| (mark.partition, mark.offset, mark.watermark_ms)).collect();
        input.send((checkpoint, marks, boot.start.controls.clone()));
    }
    drop(input);
    while !probe.done() {
        worker.step_or_park(Some(PARK));
    }
    let (checkpoint, marks, controls) =
        heard.borrow_mut().take().ok_or_else(|| anyhow!("process 0 did not say where to start"))?;
    let checkpoint = checkpoint.map(|(id, manifest, parts)| Checkpoint { id, manifest, parts });
    let marks = marks
        .into_iter()
        .map(|(partition, offset, watermark_ms)| IdleMark { partition, offset, watermark_ms })
        .collect();
    Ok(Start { controls, ..Start::decode(checkpoint, marks)? })
}
