//! A partition as its worker keeps it: how far it is read, its watermark, and where a restart would have to go on.

use std::collections::BTreeMap;

use connectors::{IdleMark, PartitionReader};
use model::time::window_start;

use crate::checkpoint::Position;
use crate::faults::Faults;
use crate::series::{Interner, Known};
use crate::settings::JobSettings;

/// What a partition has shown so far.
pub struct Partition {
    /// Which.
    pub number: u32,
    pub(super) reader: Box<dyn PartitionReader>,
    pub(super) next_offset: i64,
    /// `i64::MIN`: none yet.
    pub watermark_ms: i64,
    /// A finite source that has nothing more.
    pub finished: bool,
    /// Read to its proven end, live source.
    pub end_reached: bool,
    /// Its end was proven since it was last thawed.
    pub looked: bool,
    /// New since the run began: it needs a mark before its first record.
    pub fresh: bool,
    /// Reported as idle: not read until worker 0 has answered, so that a mark stands in front of the next record.
    pub frozen: bool,
    pub(super) interner: Interner,
    pub(super) known: Known,
    pub(super) firsts: BTreeMap<i64, First>,
    pub(super) last_stamp_ms: Option<i64>,
    pub(super) last_window_ms: Option<i64>,
    pub(super) marks: BTreeMap<i64, i64>,
}

pub(super) fn stamp_of_watermark_ms(watermark_ms: i64, settings: &JobSettings) -> i64 {
    if watermark_ms == i64::MIN { i64::MIN } else { window_start(watermark_ms, settings.window_ms) }
}

/// The first record of a stamp, with what was true in front of it.
#[derive(Clone, Copy)]
pub(super) struct First {
    pub(super) offset: i64,
    pub(super) watermark_ms: i64,
    pub(super) known: usize,
}

impl Partition {
    /// A partition of which nothing has been read.
    pub(super) fn new(number: u32, reader: Box<dyn PartitionReader>, next_offset: i64, watermark_ms: i64) -> Self {
        Partition {
            number,
            reader,
            next_offset,
            watermark_ms,
            finished: false,
            end_reached: false,
            looked: false,
            fresh: false,
            frozen: false,
            interner: Interner::default(),
            known: Known::default(),
            firsts: BTreeMap::new(),
            last_stamp_ms: None,
            last_window_ms: None,
            marks: BTreeMap::new(),
        }
    }

    /// The stamp of whatever is not an on-time reading: the window of the watermark.
    pub fn watermark_stamp_ms(&self, settings: &JobSettings) -> i64 {
        stamp_of_watermark_ms(self.watermark_ms, settings)
    }

    /// The window of a time: mostly the same as the last one, which costs no division.
    pub(super) fn window_of_ms(&mut self, timestamp_ms: i64, width_ms: i64) -> i64 {
        if let Some(window_ms) = self.last_window_ms
            && timestamp_ms.checked_sub(window_ms).is_some_and(|into_ms| (0..width_ms).contains(&into_ms))
        {
            return window_ms;
        }
        let window_ms = window_start(timestamp_ms, width_ms);
        // The first window of all time is cut off.
        self.last_window_ms = Some(window_ms).filter(|&window_ms| window_ms > i64::MIN);
        window_ms
    }

    pub(super) fn raise(&mut self, watermark_ms: i64) {
        self.watermark_ms = self.watermark_ms.max(watermark_ms);
    }

    pub(super) fn apply_marks(&mut self, offset: i64) {
        while let Some(mark) = self.marks.first_entry().filter(|mark| *mark.key() <= offset) {
            let watermark_ms = mark.remove();
            self.raise(watermark_ms);
        }
    }

    /// The next offset to be read: where an idle mark of now belongs.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// A mark that has become durable.
    pub fn add_mark(&mut self, mark: IdleMark) {
        let watermark_ms = self.marks.entry(mark.offset).or_insert(i64::MIN);
        *watermark_ms = (*watermark_ms).max(mark.watermark_ms);
        self.apply_marks(self.next_offset);
    }

    pub(super) fn note_first(&mut self, stamp_ms: i64, offset: i64) {
        if self.last_stamp_ms == Some(stamp_ms) {
            return;
        }
        self.last_stamp_ms = Some(stamp_ms);
        let first = First { offset, watermark_ms: self.watermark_ms, known: self.known.count() };
        self.firsts.entry(stamp_ms).or_insert(first);
    }

    /// Where a run that starts from T has to go on, and forgets what lies below.
    pub(super) fn position(&mut self, boundary_ms: i64, faults: &Faults) -> Position {
        self.firsts = self.firsts.split_off(&boundary_ms);
        self.last_stamp_ms = None;
        let now = First { offset: self.next_offset, watermark_ms: self.watermark_ms, known: self.known.count() };
        let mut first = self.firsts.values().min_by_key(|first| first.offset).copied().unwrap_or(now);
        if faults.resume_at_read_position {
            first = now;
        }
        if faults.forget_watermark {
            first.watermark_ms = i64::MIN;
        }
        Position {
            partition: self.number,
            offset: first.offset,
            watermark_ms: first.watermark_ms,
            known: self.known.first(if faults.forget_known { 0 } else { first.known }),
        }
    }
}
