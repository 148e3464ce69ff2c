//! The job: from partitions of messages to durable states, verdicts and incidents, the same for any number of workers.
//!
//! The whole graph on one page ([`build`]):
//!
//! ```text
//!                                                       ┌──(by type and metric)──▶ peers ──(to all)──┐
//!                                                       │                                            ▼
//! read ── readings, introductions ──(by device)──▶ window ───────────────────────────────────────▶ detect ── rows ──▶ [embed] ──┐
//!   ├──── ticks ──(to all)────────────────────────────▲──────────────────────────────────────────────▲                          │
//!   ├──── late readings ──(by device)────────────────────────────────────────────────────────────────▲                          ├──(to the store's process)──▶ write ──▶ probe
//!   └──── raw rows, late rows, dead letters ─────────────────────────────────────────────────────────┼──────────────────────────┘
//! control (worker 0) ──(to all)──────────────────────────────────────────────────────────────────────┘
//! ```
//! `peers` is a differential collection, whose time stands still while no type has enough devices.
//! `embed` is there for embedders of texts, which take their time; others work within `detect`.
//! Timely's timestamp is the window start in milliseconds; *frontier passed* behind `write` means *durable*.

pub mod alerts;
pub mod begin;
pub mod checkpoint;
pub mod clock;
pub mod commands;
pub mod config;
pub mod controls;
pub mod delays;
pub mod detect;
pub mod detectors;
pub mod directory;
pub mod distinct;
pub mod embeddings;
pub mod faults;
pub mod job;
pub mod ledger;
mod links;
pub mod operators;
pub mod outlets;
pub mod progress;
pub mod queue;
pub mod recent;
pub mod replay;
pub mod rows;
pub mod run;
pub mod samples;
pub mod series;
pub mod serving;
pub mod settings;
pub mod slice;
pub mod status;
pub mod telemetry;
pub mod whole;
pub mod zones;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::probe::Handle as ProbeHandle;
use timely::dataflow::operators::vec::Broadcast as _;
use timely::dataflow::operators::vec::Map as _;
use timely::dataflow::operators::{Concat as _, Exchange as _, Inspect as _, Probe as _};
use timely::worker::Worker;

use crate::checkpoint::Start;
use crate::directory::Directory;
use crate::faults::Faults;
use crate::job::{Heard, Up};
use crate::ledger::Ledger;
use crate::operators::detect::{Devices, Judged, Saved, Shared};
use crate::operators::peers::Table;
use crate::operators::read::Reader;
use crate::operators::window::{self, Terms};
use crate::operators::write::Writer;
use crate::operators::{Announced, Order, Tick};
use crate::progress::Progress;

/// What a worker's graph is built around.
pub struct Parts {
    /// Partitions of this worker.
    pub reader: Rc<RefCell<Reader>>,
    /// Its way to the store.
    pub writer: Rc<RefCell<Writer>>,
    /// Totals by stamp.
    pub ledger: Rc<RefCell<Ledger>>,
    /// What its detectors need beside the devices.
    pub context: detect::Context,
    /// Counters for people.
    pub progress: Arc<Progress>,
    /// Worker threads of the store's process.
    pub threads: usize,
    /// Rules to break, for mutation runs.
    pub faults: Faults,
    /// Operators let a moment pass before they look again.
    pub timed: bool,
}

/// An input of the graph.
pub type Input<T> = InputHandle<i64, CapacityContainerBuilder<Vec<T>>>;

/// A worker's ends of the graph.
pub struct Graph {
    /// Control stream; only worker 0 sends. Its time promises that no cut at or below it will be announced any more, and no
    /// control that takes effect in front of a window below it.
    pub control: Option<Input<Announced>>,
    /// Orders; only worker 0 sends. Its time only counts.
    pub orders: Option<Input<Order>>,
    /// Parts and requests for worker 0. Its time only counts.
    pub up: Option<Input<Up>>,
    /// Lowest stamp that may still be read anywhere; all ticks below it have arrived here.
    pub read: ProbeHandle<i64>,
    /// Lowest stamp that may not be durable yet.
    pub durable: ProbeHandle<i64>,
    /// Newest stamp of any record anywhere.
    pub newest_ms: Rc<Cell<Option<i64>>>,
    /// Saved parts of this worker.
    pub saved: Saved,
    /// A last cut was announced.
    pub last_cut: Rc<Cell<bool>>,
    /// Orders of worker 0.
    pub heard: Rc<RefCell<Vec<Order>>>,
    /// What came for worker 0.
    pub inbox: Rc<RefCell<Vec<Heard>>>,
}

/// Builds the graph on one worker.
pub fn build(worker: &mut Worker, start: &Start, parts: Parts) -> Graph {
    let (index, peers) = (worker.index(), worker.peers());
    let mut control = InputHandle::new();
    let mut orders = InputHandle::new();
    let mut up = InputHandle::new();
    let (read, durable) = (ProbeHandle::new(), ProbeHandle::new());
    let newest_ms = Rc::new(Cell::new(None));
    let saved: Saved = Rc::default();
    let heard: Rc<RefCell<Vec<Order>>> = Rc::default();
    let last_cut = Rc::new(Cell::new(false));
    let inbox: Rc<RefCell<Vec<Heard>>> = Rc::default();
    let mut directory = Directory::default();
    let ours: Vec<_> = start
        .devices
        .iter()
        .filter(|device| u64::from(low(model::hash::hash_text(&device.device_id))) % peers as u64 == index as u64)
        .cloned()
        .map(|mut device| {
            if parts.faults.forget_recent {
                device.forget_recent();
            }
            device
        })
        .collect();
    let seen = start.manifest.as_ref().map(|(_, manifest)| &manifest.peers).filter(|_| !parts.faults.forget_peers);
    let table = Table::resume(start.boundary_ms(), seen.map_or(&[], |seen| seen));
    let devices = Devices::resume(ours, table, &mut directory, &parts.context);
    let min_devices = parts.context.config.least_peers();
    let every_ms = parts.context.config.usual.peers.every_ms(parts.context.width_ms);
    let any_peers = Rc::new(Cell::new(false));
    let directory = Rc::new(RefCell::new(directory));
    worker.dataflow::<i64, _, _>(|scope| {
        let streams = operators::read::read(
            scope,
            Rc::clone(&parts.reader),
            Rc::clone(&parts.ledger),
            durable.clone(),
            Arc::clone(&parts.progress),
            min_devices,
            parts.timed,
        );
        let newest = Rc::clone(&newest_ms);
        let ticks = streams.ticks.broadcast();
        let note = move |tick: &Tick| {
            if let Tick::Stamp { stamp_ms, .. } = tick {
                newest.set(newest.get().max(Some(*stamp_ms)));
            }
        };
        ticks.clone().inspect(note).probe_with(&read);
        let hear = Rc::clone(&last_cut);
        let control = control.to_stream(scope).broadcast().inspect(move |said: &Announced| {
            hear.set(hear.get() || matches!(said, Announced::Cut { last: true, .. }));
        });
        let hear = Rc::clone(&heard);
        orders.to_stream(scope).broadcast().map(move |order: Order| hear.borrow_mut().push(order));
        let terms = Terms { every_ms, keep: parts.context.corrected_for_ms.is_some(), min_devices };
        let shared = window::Shared {
            directory: Rc::clone(&directory),
            ledger: Rc::clone(&parts.ledger),
            any_peers: Rc::clone(&any_peers),
            faults: parts.faults.clone(),
        };
        let window::Streams { closed, contributions } =
            window::window(streams.readings, streams.introductions, ticks.clone(), terms, shared);
        let peers = operators::peers::peers(contributions, min_devices);
        let shared = Shared {
            directory,
            ledger: parts.ledger,
            saved: Rc::clone(&saved),
            progress: Arc::clone(&parts.progress),
            any_peers,
            faults: parts.faults.clone(),
        };
        let (texts, width_ms) = (parts.context.texts.clone(), parts.context.width_ms);
        let judged = Judged { closed, late: streams.late, ticks, control, peers };
        let rows = operators::detect::detect(judged, devices, parts.context, shared);
        let rows = match texts {
            Some(embeddings) => operators::embed::embed(rows, embeddings, width_ms, parts.timed),
            None => rows,
        };
        operators::write::write(
            streams.rows.concat(rows),
            parts.writer,
            parts.progress,
            (index, parts.threads),
            parts.faults,
            parts.timed,
        )
        .probe_with(&durable);
        let arrived = Rc::clone(&inbox);
        up.to_stream(scope).exchange(|_| 0).map(move |said: Up| arrived.borrow_mut().push(said));
    });
    Graph {
        control: Some(control),
        orders: Some(orders),
        up: Some(up),
        read,
        durable,
        newest_ms,
        saved,
        last_cut,
        heard,
        inbox,
    }
}

/// The half of a hash that routes.
fn low(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
    let low = hash as u32;
    low
}
