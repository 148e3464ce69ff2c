//! Partitions that a live topic gains while the job runs: noticed by worker 0, opened by the worker that owns them.
//!
//! A new partition begins frozen and holds its worker's frontier where it stands. Worker 0 then gives it its mark like an idle
//! one, and it is read once that is durable: a replay begins it at the same watermark.
//!
//! A run may also be killed before it notices a new partition, or before the mark is durable. What it had judged beyond its last
//! checkpoint stands, so the next run must not begin the partition in front of that. Therefore no window is judged before a
//! durable mark for partitions to come lies behind it ([`Ahead`]): there a start begins what it does not know.

use std::collections::BTreeSet;

use anyhow::Context as _;
use connectors::IdleMark;

use super::Job;
use super::lead::say;
use crate::operators::Order;

/// How often the source's list is looked at, in milliseconds, where it is not asked for more often; the source asks the brokers
/// at its own pace.
const LOOK_EVERY_MS: i64 = 1_000;

/// The partitions that worker 0 knows, and when it last looked for others.
pub(super) struct Grown {
    known: BTreeSet<u32>,
    looked_ms: Option<i64>,
    every_ms: i64,
}

impl Grown {
    pub(super) fn from(known: impl Iterator<Item = u32>, refresh_ms: i64) -> Self {
        Grown { known: known.collect(), looked_ms: None, every_ms: refresh_ms.min(LOOK_EVERY_MS) }
    }
}

/// How far windows may be judged, as the store knows it.
pub(super) struct Ahead {
    /// Windows that end later are not judged yet.
    pub(super) durable_ms: i64,
    /// Where earlier runs may have come to: a partition found while running begins no earlier.
    pub(super) earlier_ms: i64,
    /// By how many windows the last step went on.
    windows: usize,
    most_windows: usize,
    stepped_ms: Option<i64>,
}

/// Steps that follow each other faster than this grow: a job that catches up must not wait for the store at every window.
const STEP_MS: i64 = 1_000;

impl Ahead {
    /// At a start; recordings gain no partitions.
    pub(super) fn new(is_live: bool, earlier_ms: i64, most_windows: usize) -> Self {
        let durable_ms = if is_live { earlier_ms } else { i64::MAX };
        Ahead { durable_ms, earlier_ms, windows: 1, most_windows, stepped_ms: None }
    }

    /// The mark that is to become durable next, where judging has come to the window before the last one's end: so a job that
    /// keeps pace with its devices never waits for it.
    fn step(&mut self, frontier_ms: i64, window_ms: i64, now_ms: i64) -> Option<IdleMark> {
        if frontier_ms.saturating_add(window_ms) <= self.durable_ms {
            return None;
        }
        let is_fast = self.stepped_ms.replace(now_ms).is_some_and(|before_ms| now_ms - before_ms < STEP_MS);
        self.windows = if is_fast { (self.windows * 2).min(self.most_windows) } else { 1 };
        let by_ms = window_ms.saturating_mul(i64::try_from(self.windows + 1).unwrap_or(i64::MAX));
        Some(IdleMark { partition: IdleMark::TO_COME, offset: 0, watermark_ms: frontier_ms.saturating_add(by_ms) })
    }
}

impl Job {
    /// Worker 0: lets what may be judged next become durable.
    pub(super) fn judge_ahead(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let Some(frontier_ms) = self.graph.read.with_frontier(|frontier| frontier.first().copied()) else { return };
        if lead.marks.is_none() && !lead.ended && frontier_ms > i64::MIN {
            let mark = lead.ahead.step(frontier_ms, lead.window_ms, now_ms);
            lead.marks = mark.map(|mark| (None, vec![mark]));
        }
    }

    /// Worker 0: has new partitions opened.
    pub(super) fn look_for_partitions(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let due = lead.grown.looked_ms.is_none_or(|looked_ms| now_ms - looked_ms >= lead.grown.every_ms);
        if !due || lead.ended || self.source.live().is_none() {
            return;
        }
        lead.grown.looked_ms = Some(now_ms);
        for partition in self.source.partitions() {
            if lead.grown.known.insert(partition)
                && let Some(orders) = &mut self.graph.orders
            {
                tracing::info!(partition, "a new partition");
                say(orders, Order::Open { partition });
            }
        }
    }

    /// The owner: opens a new partition, which is not read before its mark has come.
    pub(super) fn open_partition(&mut self, number: u32) -> anyhow::Result<()> {
        if number as usize % self.readers != self.index {
            return Ok(());
        }
        let reader = self.source.open(number, 0).with_context(|| format!("could not open new partition {number}"))?;
        self.reader.borrow_mut().add(number, reader);
        Ok(())
    }
}
