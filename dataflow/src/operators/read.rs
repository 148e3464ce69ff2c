//! `read`: takes messages from the partitions of this worker, gives every record its stamp and fate.
//!
//! Out come, each at its stamp: readings, late ones that may correct a state and introductions (to the device's worker), rows (raw
//! readings, late ones, dead letters), and ticks (every window that has a reading, and the first devices of each type, to all
//! workers). A stamp is a pure function of the partition's log:
//! on time: the window; late, dead letter and tombstone: the window of the partition's watermark just before the record.

mod partition;
mod take;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connectors::{Event, IdleMark, PartitionReader, Poll, Source};
use model::{Catalogue, Row};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::probe::Handle as ProbeHandle;
use timely::dataflow::{Scope, StreamVec};

use crate::checkpoint::{Position, Start};
use crate::directory::Introduction;
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::peers::Told;
use crate::operators::{Reading, Tick};
use crate::progress::Progress;
use crate::series::Known;
use crate::settings::JobSettings;

pub use partition::Partition;
use partition::stamp_of_watermark_ms;
use take::{Turn, take};

/// Records taken from a partition at a time.
const RECORDS_A_POLL: usize = 1024;

/// Polls that gave something before the worker gets its turn for other operators.
const POLLS_A_TURN: usize = 4;

/// The reader's state, shared with the worker's step loop.
pub struct Reader {
    /// Partitions of this worker.
    pub partitions: Vec<Partition>,
    /// No further reading: the last cut is announced.
    pub stopped: bool,
    /// Windows with readings that are not durable yet.
    pub under_way: BTreeSet<i64>,
    /// Newest window with a reading.
    pub newest_window_ms: Option<i64>,
    /// Newest stamp of a record that is no on-time reading.
    newest_other_ms: Option<i64>,
    /// Reading failed for good.
    pub failure: Option<anyhow::Error>,
    boundary_ms: i64,
    settings: JobSettings,
    topic: String,
    store_rows: bool,
    faults: Faults,
}

impl Reader {
    /// Opens the partitions that fall to this worker, each where the start says.
    ///
    /// # Errors
    /// When a partition can't be opened.
    pub fn open(
        source: &dyn Source,
        settings: &JobSettings,
        start: &Start,
        (index, peers): (usize, usize),
        store_rows: bool,
        faults: Faults,
    ) -> anyhow::Result<Reader> {
        let mut partitions = Vec::new();
        // A live topic may have grown since the start was settled: that is for later, and the same for all processes.
        let numbers: Vec<u32> = match (source.live(), &start.manifest) {
            (Some(_), Some((_, manifest))) => manifest.positions.iter().map(|position| position.partition).collect(),
            _ => source.partitions(),
        };
        for (place, number) in numbers.into_iter().enumerate() {
            if place % peers != index {
                continue;
            }
            let position = start
                .manifest
                .as_ref()
                .and_then(|(_, manifest)| manifest.positions.iter().find(|position| position.partition == number));
            let offset = position.map_or(0, |position| position.offset);
            let reader = source.open(number, offset).with_context(|| format!("could not open partition {number}"))?;
            let watermark_ms = position.map_or(i64::MIN, |position| position.watermark_ms);
            let mut partition = Partition::new(number, reader, offset, watermark_ms);
            partition.known = Known::from_pairs(position.map_or(&[], |position| position.known.as_slice()));
            if !faults.forget_marks {
                for mark in start.marks.iter().filter(|mark| mark.partition == number && mark.offset >= offset) {
                    partition.add_mark(*mark);
                }
            }
            partitions.push(partition);
        }
        Ok(Reader {
            partitions,
            stopped: false,
            under_way: BTreeSet::new(),
            newest_window_ms: None,
            newest_other_ms: None,
            failure: None,
            boundary_ms: start.boundary_ms(),
            settings: settings.clone(),
            topic: source.topic().to_owned(),
            store_rows,
            faults,
        })
    }

    /// Adds a partition that the topic has gained. It is frozen, and holds the frontier where it stands.
    pub fn add(&mut self, number: u32, reader: Box<dyn PartitionReader>) {
        let watermark_ms = self.frontier_ms().unwrap_or(self.boundary_ms);
        let mut partition = Partition::new(number, reader, 0, watermark_ms);
        (partition.fresh, partition.frozen) = (!self.faults.open_without_mark, !self.faults.open_without_mark);
        self.partitions.push(partition);
    }

    /// The start of the window that a watermark lies in.
    pub fn stamp_ms(&self, watermark_ms: i64) -> i64 {
        stamp_of_watermark_ms(watermark_ms, &self.settings)
    }

    /// How long a partition has to be idle before it stops holding the frontier.
    pub fn idle_ms(&self) -> i64 {
        self.settings.idle_ms
    }

    /// Positions of this worker's partitions for a checkpoint at T.
    pub fn positions(&mut self, boundary_ms: i64) -> Vec<Position> {
        let faults = self.faults.clone();
        self.partitions.iter_mut().map(|partition| partition.position(boundary_ms, &faults)).collect()
    }

    /// How many offsets of this worker's partitions were read from these positions on.
    pub fn read_behind(&self, positions: &[Position]) -> u64 {
        let read = |position: &Position| {
            let partition = self.partitions.iter().find(|partition| partition.number == position.partition);
            partition.map_or(0, |partition| partition.next_offset().saturating_sub(position.offset).unsigned_abs())
        };
        positions.iter().map(read).sum()
    }

    /// The lowest stamp that may still come: `None` when all partitions are finished.
    fn frontier_ms(&self) -> Option<i64> {
        let live = self.partitions.iter().filter(|partition| !partition.finished);
        live.map(|partition| partition.watermark_stamp_ms(&self.settings).max(self.boundary_ms)).min()
    }

    /// The partition to read: the one furthest behind that may have something. While too much is under way only the one
    /// that holds everything up may go on.
    fn next_partition(&self, full: bool, passed: &[bool]) -> Option<usize> {
        let limit_ms = self.under_way.first().copied().unwrap_or(i64::MAX);
        (0..self.partitions.len())
            .filter(|&at| !self.partitions[at].finished && !self.partitions[at].frozen && !passed[at])
            .min_by_key(|&at| (self.partitions[at].watermark_ms, self.partitions[at].number))
            .filter(|&at| !full || self.partitions[at].watermark_stamp_ms(&self.settings) <= limit_ms)
    }
}
/// The streams that leave `read`.
pub struct Streams<'scope> {
    /// Readings at their window.
    pub readings: StreamVec<'scope, i64, Reading>,
    /// Introductions, before or with the first reading of their series.
    pub introductions: StreamVec<'scope, i64, Introduction>,
    /// Late readings that may correct a state, at the stamp of their record.
    pub late: StreamVec<'scope, i64, Reading>,
    /// Rows that need no window: raw readings, late ones, dead letters.
    pub rows: StreamVec<'scope, i64, Row>,
    /// Stamps that occur, and the first devices of each type.
    pub ticks: StreamVec<'scope, i64, Tick>,
}

/// Builds the operator; `min_peers` is how many devices of a type have to be told.
pub fn read<'scope>(
    scope: Scope<'scope, i64>,
    reader: Rc<RefCell<Reader>>,
    ledger: Rc<RefCell<Ledger>>,
    durable: ProbeHandle<i64>,
    progress: Arc<Progress>,
    min_peers: u32,
    timed: bool,
) -> Streams<'scope> {
    let mut builder = OperatorBuilder::new("read".to_owned(), scope);
    let activator = scope.activator_for(builder.operator_info().address);
    let (readings_out, readings) = builder.new_output();
    let (introductions_out, introductions) = builder.new_output();
    let (rows_out, rows) = builder.new_output();
    let (ticks_out, ticks) = builder.new_output();
    let (late_out, late) = builder.new_output();
    let mut readings_out = OutputBuilder::from(readings_out);
    let mut introductions_out = OutputBuilder::from(introductions_out);
    let mut rows_out = OutputBuilder::from(rows_out);
    let mut ticks_out = OutputBuilder::from(ticks_out);
    let mut late_out = OutputBuilder::from(late_out);
    builder.build(move |capabilities| {
        let mut capabilities: Option<[Capability<i64>; 5]> =
            Some(capabilities.try_into().expect("one capability an output"));
        let mut turn = Turn::default();
        let mut told = Told::default();
        move |_frontiers| {
            let Some(caps) = capabilities.as_mut() else { return };
            let reader = &mut *reader.borrow_mut();
            let wait = if reader.stopped || reader.failure.is_some() {
                Some(Duration::from_millis(20))
            } else {
                take_turn(reader, &mut ledger.borrow_mut(), &durable, &progress, &mut turn)
            };
            let mut introduced = introductions_out.activate();
            let mut ticked = ticks_out.activate();
            if !turn.introductions.is_empty() {
                ticked.session(&caps[3]).give_iterator(told.members(&turn.introductions, min_peers).into_iter());
            }
            introduced.session(&caps[1]).give_iterator(turn.introductions.drain(..));
            let mut read = readings_out.activate();
            for (stamp_ms, mut batch) in turn.readings.drain(..) {
                read.session(&caps[0].delayed(&stamp_ms)).give_container(&mut batch);
            }
            let mut written = rows_out.activate();
            for (stamp_ms, mut batch) in turn.rows.drain(..) {
                written.session(&caps[2].delayed(&stamp_ms)).give_container(&mut batch);
            }
            for (stamp_ms, has_reading) in turn.ticks.drain(..) {
                ticked.session(&caps[3].delayed(&stamp_ms)).give(Tick::Stamp { stamp_ms, has_reading });
            }
            let mut belated = late_out.activate();
            for (stamp_ms, mut batch) in turn.late.drain(..) {
                belated.session(&caps[4].delayed(&stamp_ms)).give_container(&mut batch);
            }
            match reader.frontier_ms() {
                Some(frontier_ms) => {
                    for cap in caps.iter_mut() {
                        if frontier_ms > *cap.time() {
                            cap.downgrade(&frontier_ms);
                        }
                    }
                    match wait {
                        Some(wait) if timed => activator.activate_after(wait),
                        _ => activator.activate(),
                    }
                }
                None => capabilities = None,
            }
        }
    });
    Streams { readings, introductions, late, rows, ticks }
}

/// Reads for one turn; says how long to wait for the next one.
fn take_turn(
    reader: &mut Reader,
    ledger: &mut Ledger,
    durable: &ProbeHandle<i64>,
    progress: &Progress,
    turn: &mut Turn,
) -> Option<Duration> {
    durable.with_frontier(|frontier| {
        let lowest = frontier.first().copied();
        reader.under_way = match lowest {
            Some(lowest) => reader.under_way.split_off(&lowest),
            None => BTreeSet::new(),
        };
    });
    turn.noted_window_ms = None;
    let mut passed = vec![false; reader.partitions.len()];
    let mut any = false;
    let mut polls = 0;
    while polls < POLLS_A_TURN {
        let full = reader.under_way.len() >= reader.settings.ahead_windows
            || progress.rows_under_way() >= reader.settings.ahead_rows;
        let Some(at) = reader.next_partition(full, &passed) else {
            if full {
                progress.waited_for_store();
            }
            return Some(Duration::from_millis(if any { 0 } else { 1 }));
        };
        let mut partition = reader.partitions.swap_remove(at);
        let result = poll_partition(&mut partition, reader, ledger, progress, turn);
        match result {
            // Those that have nothing do not count: there may be many, and they are looked at first.
            Ok(Poll::Ready(_)) => (any, polls) = (true, polls + 1),
            Ok(Poll::Finished) => partition.finished = true,
            Ok(Poll::EndReached) => {
                (partition.end_reached, partition.looked) = (true, true);
                passed[at] = true;
            }
            Ok(Poll::Empty) => {
                partition.end_reached = false;
                passed[at] = true;
            }
            Err(error) => {
                let number = partition.number;
                reader.failure = Some(error.context(format!("could not read partition {number}")));
                reader.partitions.push(partition);
                let last = reader.partitions.len() - 1;
                reader.partitions.swap(at, last);
                return Some(Duration::from_millis(20));
            }
        }
        reader.partitions.push(partition);
        let last = reader.partitions.len() - 1;
        reader.partitions.swap(at, last);
    }
    None
}

fn poll_partition(
    partition: &mut Partition,
    reader: &mut Reader,
    ledger: &mut Ledger,
    progress: &Progress,
    turn: &mut Turn,
) -> anyhow::Result<Poll> {
    let catalogue = Catalogue::builtin();
    let mut inner = std::mem::replace(&mut partition.reader, Box::new(Nothing));
    let mut records = 0;
    let poll = inner.poll(RECORDS_A_POLL, &mut |event| match event {
        Event::Mark { offset, watermark_ms } => {
            if !reader.faults.forget_marks {
                partition.add_mark(IdleMark { partition: partition.number, offset, watermark_ms });
            }
        }
        Event::Message(message) => {
            records += 1;
            partition.end_reached = false;
            take(partition, reader, ledger, catalogue, &message, turn);
        }
    });
    partition.reader = inner;
    progress.read(records);
    Ok(poll?)
}

/// Stands in for a reader while it is polled.
struct Nothing;

impl PartitionReader for Nothing {
    fn poll(&mut self, _: usize, _: &mut dyn FnMut(Event<'_>)) -> Result<Poll, connectors::SourceError> {
        Ok(Poll::Empty)
    }
}
