//! The first part of the job's graph, without checkpoints and without a way to a store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use connectors::Source;
use timely::communication::Config as Communication;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::probe::Handle as ProbeHandle;
use timely::dataflow::operators::vec::Broadcast as _;
use timely::dataflow::operators::{Inspect as _, Probe as _};
use timely::worker::Worker;

use super::Stage;
use super::prepare::Decoded;
use super::replay::replay;
use crate::Input;
use crate::checkpoint::Start;
use crate::controls::Standing;
use crate::detect::Context;
use crate::detectors::Detectors;
use crate::directory::Directory;
use crate::faults::Faults;
use crate::ledger::{Ledger, Totals};
use crate::operators::Announced;
use crate::operators::detect::{Devices, Judged, Shared, detect};
use crate::operators::peers::{Table, peers};
use crate::operators::read::{Reader, Streams, read};
use crate::operators::window::{self, Terms};
use crate::progress::Progress;
use crate::settings::JobSettings;
use crate::zones::Zones;

/// What the workers read.
pub enum Feed {
    /// Messages.
    Messages(Arc<dyn Source>),
    /// Decoded readings by partition.
    Decoded(Arc<Vec<Decoded>>),
}

/// What to run.
pub struct Part {
    /// Up to where.
    pub stage: Stage,
    /// From what.
    pub feed: Feed,
    /// Time and bounds.
    pub settings: JobSettings,
    /// Thresholds.
    pub monitor: Detectors,
    /// Makes vectors.
    pub embedder: Option<fn() -> Box<dyn connectors::Embedder>>,
}

/// Runs the part to the end of its input; gives what was counted.
///
/// # Errors
/// The input can't be read.
pub fn run(part: Part, workers: usize) -> anyhow::Result<Totals> {
    let communication = if workers > 1 { Communication::Process(workers) } else { Communication::Thread };
    let part = Arc::new(part);
    let config = timely::Config { communication, worker: timely::WorkerConfig::default() };
    let guards = timely::execute(config, move |worker| work(worker, &part)).map_err(|error| anyhow!(error))?;
    let mut totals = Totals::default();
    for worker in guards.join() {
        totals.add(&worker.map_err(|error| anyhow!(error))??);
    }
    Ok(totals)
}

fn work(worker: &mut Worker, part: &Part) -> anyhow::Result<Totals> {
    let (index, peers) = (worker.index(), worker.peers());
    let ledger = Rc::new(RefCell::new(Ledger::default()));
    let durable = ProbeHandle::new();
    let start = Start::default();
    let progress = Arc::new(Progress::default());
    let mut reader = None;
    if let Feed::Messages(source) = &part.feed {
        let source: &dyn Source = source.as_ref();
        let opened = Reader::open(source, &part.settings, &start, (index, peers), false, Faults::default())?;
        reader = Some(Rc::new(RefCell::new(opened)));
    }
    let min_peers = part.monitor.usual.peers.min_devices;
    worker.dataflow::<i64, _, _>(|scope| {
        let streams = match (&part.feed, &reader) {
            (Feed::Decoded(all), _) => {
                replay(scope, all, (index, peers), part.settings.clone(), min_peers, durable.clone())
            }
            (Feed::Messages(_), Some(reader)) => {
                let (reader, ledger) = (Rc::clone(reader), Rc::clone(&ledger));
                read(scope, reader, ledger, durable.clone(), Arc::clone(&progress), min_peers, true)
            }
            (Feed::Messages(_), None) => unreachable!("messages have a reader"),
        };
        behind(part, streams, &ledger, &progress, &durable);
    });
    while !durable.done() {
        worker.step_or_park(Some(Duration::from_millis(1)));
        if let Some(error) = reader.as_ref().and_then(|reader| reader.borrow_mut().failure.take()) {
            return Err(error);
        }
    }
    let totals = ledger.borrow_mut().below(i64::MAX);
    Ok(totals)
}

/// What stands behind reading.
fn behind<'scope>(
    part: &Part,
    streams: Streams<'scope>,
    ledger: &Rc<RefCell<Ledger>>,
    progress: &Arc<Progress>,
    durable: &ProbeHandle<i64>,
) {
    if part.stage == Stage::Decode {
        let ledger = Rc::clone(ledger);
        // The stamp does not matter: only the end's totals are asked for.
        let counted = streams.readings.inspect_core(move |event| {
            if let Ok((_stamps, batch)) = event {
                ledger.borrow_mut().at(i64::MIN).windowed += batch.len() as u64;
            }
        });
        counted.probe_with(durable);
        return;
    }
    let context = Context {
        config: part.monitor.resolve().expect("a measurement has no settings of types"),
        zones: Zones::of(&part.settings).expect("a measurement has no time zones"),
        width_ms: part.settings.window_ms,
        aggregate: part.settings.aggregate,
        store_rows: false,
        corrected_for_ms: None,
        embedder: part.embedder.map(|make| make()),
        texts: None,
        standing: Standing::default(),
    };
    let mut directory = Directory::default();
    let devices = Devices::resume(Vec::new(), Table::default(), &mut directory, &context);
    let directory = Rc::new(RefCell::new(directory));
    let any_peers = Rc::new(Cell::new(false));
    let terms = Terms {
        every_ms: part.monitor.usual.peers.every_ms(part.settings.window_ms),
        keep: false,
        // Peers are part of judging.
        min_devices: if part.stage == Stage::Windows { 0 } else { part.monitor.usual.peers.min_devices },
    };
    let shared = window::Shared {
        directory: Rc::clone(&directory),
        ledger: Rc::clone(ledger),
        any_peers: Rc::clone(&any_peers),
        faults: Faults::default(),
    };
    let ticks = streams.ticks.broadcast();
    let window::Streams { closed, contributions } =
        window::window(streams.readings, streams.introductions, ticks.clone(), terms, shared);
    if part.stage == Stage::Windows {
        closed.probe_with(durable);
        return;
    }
    let peers = peers(contributions, terms.min_devices);
    let mut control: Input<Announced> = InputHandle::new();
    let controls = control.to_stream(closed.scope());
    // No cut will ever be announced.
    control.close();
    let shared = Shared {
        directory,
        ledger: Rc::clone(ledger),
        saved: Rc::default(),
        progress: Arc::clone(progress),
        any_peers,
        faults: Faults::default(),
    };
    let judged = Judged { closed, late: streams.late, ticks, control: controls, peers };
    detect(judged, devices, context, shared).probe_with(durable);
}
