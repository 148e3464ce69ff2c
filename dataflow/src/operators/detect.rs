//! `detect`: judges closed windows in order, notices silent devices, saves its part of a checkpoint exactly at T.
//!
//! In come closed windows (from the same worker), late readings that may correct a state (by device), ticks (all windows that
//! have a reading anywhere), the control stream, and what the devices' peers show; out go rows. A window is judged when it lies
//! below both frontiers: the data's, and the control stream's, which says that no cut at or below it will be announced any more.
//! So every worker cuts between the same two windows. Where devices may have peers, those of the window before have to be known,
//! too.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

use model::Row;
use model::time::window_start;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::Antichain;

use crate::checkpoint::encode_devices;
use crate::detect::{Context, DeviceState};
use crate::directory::Directory;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::peers::{Change, Seen, Table};
use crate::operators::window::Closed;
use crate::operators::{Announced, Reading, Tick};
use crate::progress::Progress;
use crate::samples::Sample;

/// A part of a checkpoint, as of its boundary.
pub struct SavedPart {
    /// Nothing comes after it.
    pub last: bool,
    /// The worker's devices, encoded in chunks.
    pub devices: Vec<Vec<u8>>,
    /// The peers as of the window before, the same on every worker.
    pub peers: Seen,
}

/// Saved parts of this worker, by boundary, until the step loop sends them.
pub type Saved = Rc<RefCell<BTreeMap<i64, SavedPart>>>;

/// The devices of this worker, and what their peers show.
pub struct Devices {
    peers: Table,
    by_number: HashMap<u32, DeviceState>,
    due: BTreeSet<(i64, u32)>,
    due_of: HashMap<u32, i64>,
}

impl Devices {
    /// From a checkpoint: those whose hash falls to this worker.
    pub fn resume(saved: Vec<DeviceState>, peers: Table, directory: &mut Directory, context: &Context) -> Self {
        let mut devices = Devices { peers, by_number: HashMap::new(), due: BTreeSet::new(), due_of: HashMap::new() };
        for mut device in saved {
            let number = directory.device(&device.device_id);
            device.renumber(directory);
            let due_ms = device.silent_due_ms(context);
            devices.by_number.insert(number, device);
            devices.set_due(number, due_ms);
        }
        devices
    }

    fn set_due(&mut self, number: u32, due_ms: Option<i64>) {
        if let Some(before_ms) = self.due_of.remove(&number) {
            self.due.remove(&(before_ms, number));
        }
        if let Some(due_ms) = due_ms {
            self.due.insert((due_ms, number));
            self.due_of.insert(number, due_ms);
        }
    }

    /// Lets what people said of incidents take effect in front of a window.
    fn resolve(&mut self, window_ms: i64, context: &mut Context) {
        while let Some(resolve) = context.standing.next_at(window_ms) {
            // A device that is not there yet, or falls to another worker, has no such incident.
            let found = self.by_number.iter_mut().find(|(_, device)| device.device_id == resolve.device_id);
            let Some((&number, device)) = found else { continue };
            device.resolve(&resolve, window_ms);
            let due_ms = device.silent_due_ms(context);
            self.set_due(number, due_ms);
        }
    }

    /// Saves all of them as of `boundary_ms`, in the order of their names.
    fn save(&mut self, boundary_ms: i64, context: &Context) -> Vec<Vec<u8>> {
        for device in self.by_number.values_mut() {
            device.forget(context, boundary_ms);
        }
        let mut devices: Vec<&DeviceState> = self.by_number.values().collect();
        devices.sort_unstable_by(|a, b| a.device_id.cmp(&b.device_id));
        encode_devices(devices.into_iter())
    }
}

/// What the operator shares with the worker's step loop.
pub struct Shared {
    /// Names.
    pub directory: Rc<RefCell<Directory>>,
    /// Totals by stamp.
    pub ledger: Rc<RefCell<Ledger>>,
    /// Parts for checkpoints.
    pub saved: Saved,
    /// Counters for people.
    pub progress: Arc<Progress>,
    /// Some type has enough devices to be peers.
    pub any_peers: Rc<Cell<bool>>,
    /// Rules to break, for mutation runs.
    pub faults: Faults,
}

/// The streams that `detect` takes.
pub struct Judged<'scope> {
    /// Closed windows of this worker.
    pub closed: StreamVec<'scope, i64, Closed>,
    /// Late readings.
    pub late: StreamVec<'scope, i64, Reading>,
    /// Ticks of all readers.
    pub ticks: StreamVec<'scope, i64, Tick>,
    /// The control stream.
    pub control: StreamVec<'scope, i64, Announced>,
    /// What the devices' peers show.
    pub peers: StreamVec<'scope, i64, Change>,
}

/// Builds the operator.
pub fn detect<'scope>(
    judged: Judged<'scope>,
    mut devices: Devices,
    mut context: Context,
    shared: Shared,
) -> StreamVec<'scope, i64, Row> {
    let Judged { closed, late, ticks, control, peers } = judged;
    let mut builder = OperatorBuilder::new("detect".to_owned(), closed.scope());
    let mut closed_in = builder.new_input(closed, Pipeline);
    let mut ticks_in = builder.new_input(ticks, Pipeline);
    let mut control_in = builder.new_input(control, Pipeline);
    let by_device = Exchange::new(|reading: &Reading| u64::from(reading.route));
    let mut late_in = builder.new_input(late, by_device);
    // The operator's own capability holds the rows back; the peers' time stands still where nobody has any.
    let mut peers_in = builder.new_input(peers, Pipeline);
    let (rows_out, rows) = builder.new_output_connection((0..4).map(|input| (input, Antichain::from_elem(0))));
    let mut rows_out = OutputBuilder::from(rows_out);
    builder.build(move |mut capabilities| {
        let mut capability: Option<Capability<i64>> = capabilities.pop();
        let mut stash = Stash::default();
        let mut cuts: BTreeMap<i64, bool> = BTreeMap::new();
        let mut newest_ms: Option<i64> = None;
        let faults = shared.faults.clone();
        move |frontiers| {
            closed_in.for_each_stamp(|cap, batches| {
                let window_ms = *cap.least().expect("a closed window has its time");
                stash.closed.entry(window_ms).or_default().extend(batches.map(std::mem::take));
            });
            ticks_in.for_each_stamp(|_cap, batches| {
                for tick in batches.flat_map(|batch| batch.drain(..)) {
                    if let Tick::Stamp { stamp_ms, has_reading: true } = tick {
                        newest_ms = newest_ms.max(Some(stamp_ms));
                    }
                }
            });
            control_in.for_each_stamp(|_cap, batches| {
                for said in batches.flat_map(|batch| batch.drain(..)) {
                    match said {
                        Announced::Cut { boundary_ms, last } => drop(cuts.insert(boundary_ms, last)),
                        Announced::Control(placed) => context.standing.add(*placed),
                    }
                }
            });
            late_in.for_each_stamp(|cap, batches| {
                let stamp_ms = *cap.least().expect("a late reading has a stamp");
                stash.late.entry(stamp_ms).or_default().extend(batches.flat_map(std::mem::take));
            });
            peers_in.for_each_stamp(|_cap, batches| {
                batches.flat_map(|batch| batch.drain(..)).for_each(|change| devices.peers.hear(change));
            });
            let Some(cap) = capability.as_mut() else { return };
            let lowest = |frontiers: &[usize], all: &[timely::progress::frontier::MutableAntichain<i64>]| {
                frontiers.iter().filter_map(|&at| all[at].frontier().first().copied()).min()
            };
            let open_ms = if faults.ungated { lowest(&[0, 1, 3], frontiers) } else { lowest(&[0, 1, 2, 3], frontiers) };
            // Peers are asked for as of a window before: it may be the last one that is known.
            let ahead_ms = if faults.peers_of_same_window { 0 } else { context.width_ms - 1 };
            let peers_ms = lowest(&[4], frontiers).filter(|_| shared.any_peers.get());
            let open_ms = open_ms.into_iter().chain(peers_ms.map(|peers_ms| peers_ms.saturating_add(ahead_ms))).min();
            // Nobody is silent where nobody can be heard any more: at the end of a finite source, and where a partition that
            // began late moved the frontier behind all readings. A later reading shows who was.
            let ends_ms = newest_ms.map_or(i64::MIN, |newest_ms| newest_ms + context.width_ms);
            let heard_ms = if faults.silent_for_ever { i64::MAX } else { ends_ms };
            loop {
                let cut = cuts.first_key_value().map(|(&boundary_ms, &last)| (boundary_ms, last));
                let read_ms = cut.map_or(i64::MAX, |(boundary_ms, _)| boundary_ms).min(open_ms.unwrap_or(i64::MAX));
                let until = Until { read_ms, silent_ms: read_ms.min(heard_ms) };
                let mut output = rows_out.activate();
                while let Some(window_ms) = next_window(&stash, &devices, &context, until) {
                    let at = cap.delayed(cap.time().max(&window_ms));
                    let mut rows = Vec::new();
                    devices.peers.advance(context.peers_ms(window_ms, &faults));
                    judge(window_ms, &mut stash, &mut devices, &mut context, &shared, until, &mut rows);
                    if !rows.is_empty() {
                        output.session(&at).give_container(&mut rows);
                    }
                }
                match cut {
                    Some((boundary_ms, last)) if open_ms.is_none_or(|open_ms| boundary_ms <= open_ms) => {
                        if faults.save_state_now {
                            let now_ms = lowest(&[0, 3], frontiers).unwrap_or(heard_ms);
                            let until = Until { read_ms: now_ms, silent_ms: now_ms };
                            while let Some(window_ms) = next_window(&stash, &devices, &context, until) {
                                let at = cap.delayed(&window_ms);
                                let mut rows = Vec::new();
                                judge(window_ms, &mut stash, &mut devices, &mut context, &shared, until, &mut rows);
                                output.session(&at).give_container(&mut rows);
                            }
                        }
                        cuts.remove(&boundary_ms);
                        devices.peers.advance(context.peers_ms(boundary_ms, &faults));
                        let (devices, peers) = (devices.save(boundary_ms, &context), devices.peers.save());
                        shared.saved.borrow_mut().insert(boundary_ms, SavedPart { last, devices, peers });
                    }
                    _ => break,
                }
            }
            match open_ms {
                Some(open_ms) if open_ms > *cap.time() => cap.downgrade(&open_ms),
                Some(_) => {}
                None => capability = None,
            }
        }
    });
    rows
}

/// What has been read and is not judged yet, by stamp.
#[derive(Default)]
struct Stash {
    closed: BTreeMap<i64, Vec<Vec<Closed>>>,
    late: BTreeMap<i64, Vec<Reading>>,
}

/// Below which stamps there is nothing more to wait for.
#[derive(Clone, Copy)]
struct Until {
    /// For what was read.
    read_ms: i64,
    /// For devices that fall silent.
    silent_ms: i64,
}

/// The earliest stamp that has a state, a late reading or a word of people, or in which a device falls silent.
fn next_window(stash: &Stash, devices: &Devices, context: &Context, until: Until) -> Option<i64> {
    let read_ms = stash.closed.keys().next().into_iter().chain(stash.late.keys().next()).min().copied();
    let read_ms = read_ms.into_iter().chain(context.standing.next_ms()).min();
    let silent_ms = devices.due.first().map(|(due_ms, _)| *due_ms);
    let read_ms = read_ms.filter(|&read_ms| read_ms < until.read_ms);
    let silent_ms = silent_ms.filter(|&silent_ms| silent_ms < until.silent_ms);
    read_ms.into_iter().chain(silent_ms).min()
}

/// Late readings of one stamp, by device and window.
fn correct(
    stamp_ms: i64,
    late: &[Reading],
    devices: &mut Devices,
    context: &mut Context,
    directory: &Directory,
    rows: &mut Vec<Row>,
) {
    let mut by_state: BTreeMap<(u32, i64), Vec<(u32, Sample)>> = BTreeMap::new();
    for reading in late {
        let series = directory.series(reading.series);
        let start_ms = window_start(reading.timestamp_ms, context.width_ms);
        by_state.entry((series.device, start_ms)).or_default().push((series.metric, Sample::from(reading)));
    }
    for ((number, start_ms), late) in by_state {
        if let Some(device) = devices.by_number.get_mut(&number) {
            device.correct(context, (stamp_ms, start_ms), &late, directory, rows);
        }
    }
}

/// Judges one window: the late readings that came by then, the states in it, then the devices whose time has run out with it.
fn judge(
    window_ms: i64,
    stash: &mut Stash,
    devices: &mut Devices,
    context: &mut Context,
    shared: &Shared,
    until: Until,
    rows: &mut Vec<Row>,
) {
    devices.resolve(window_ms, context);
    let directory = shared.directory.borrow();
    let mut ledger = shared.ledger.borrow_mut();
    let totals = ledger.at(window_ms);
    let incidents_before: u64 = totals.incidents.iter().fold(0, |sum, count| sum.wrapping_add(*count));
    if let Some(late) = stash.late.remove(&window_ms) {
        correct(window_ms, &late, devices, context, &directory, rows);
    }
    let mut states = 0;
    for closed in stash.closed.remove(&window_ms).into_iter().flatten().flatten() {
        let number = closed.device;
        let device = devices
            .by_number
            .entry(number)
            .or_insert_with(|| DeviceState::new(&directory.devices[number as usize], window_ms));
        device.observe(context, window_ms, closed, (&directory, &mut devices.peers), totals, rows);
        let due_ms = device.silent_due_ms(context);
        devices.set_due(number, due_ms);
        states += 1;
    }
    while let Some(&(due_ms, number)) = devices.due.first() {
        if due_ms > window_ms || due_ms >= until.silent_ms {
            break;
        }
        let device = devices.by_number.get_mut(&number).expect("a device that is due is known");
        let postponed_ms = device.silent_due_ms(context);
        if postponed_ms.is_none_or(|postponed_ms| postponed_ms > due_ms) {
            // People said something of it since.
            devices.set_due(number, postponed_ms);
            continue;
        }
        device.silent(context, due_ms, totals, rows);
        let next_ms = device.silent_due_ms(context);
        assert!(next_ms.is_none_or(|next_ms| next_ms > due_ms), "a device falls silent once");
        devices.set_due(number, next_ms);
    }
    let incidents: u64 = totals.incidents.iter().fold(0, |sum, count| sum.wrapping_add(*count));
    shared.progress.closed(states, incidents.wrapping_sub(incidents_before));
}
