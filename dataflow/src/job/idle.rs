//! Partitions that have nothing: noticed by their worker, frozen, decided by worker 0, marked durably, thawed.
//!
//! A frozen partition is not read, so that its mark stands exactly in front of the next record, in this run and in any replay.

use std::collections::BTreeMap;

use connectors::IdleMark;
use serde::{Deserialize, Serialize};

use super::lead::say;
use super::{Job, Up};
use crate::operators::Order;
use crate::queue::Work;

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
    /// Nothing has come for the idle timeout, whether that is decided or not.
    pub idle: bool,
    /// It is new, and needs a mark whatever its watermark.
    pub fresh: bool,
}

/// The longest time between two reports of a worker.
const REPORT_EVERY_MS: i64 = 200;

/// The time between two reports after a mark: where one moved the frontier, readers that catch up soon wait for the next.
const REPORT_AGAIN_MS: i64 = 10;

/// Since when partitions have had nothing.
#[derive(Default)]
pub(super) struct Quiet(BTreeMap<u32, Rest>);

struct Rest {
    offset: i64,
    since_ms: i64,
}

impl Quiet {
    /// A look at a partition: whether it is at its end, and its next offset. A record that came since the last look ends its
    /// rest also where the end was reached again at once, as it always is in a job that has caught up.
    fn look(&mut self, partition: u32, at_end: bool, offset: i64, now_ms: i64) {
        if !at_end {
            self.0.remove(&partition);
        } else if self.0.get(&partition).is_none_or(|rest| rest.offset != offset) {
            self.0.insert(partition, Rest { offset, since_ms: now_ms });
        }
    }

    /// Whether it has had nothing for so long.
    pub(super) fn is_longer(&self, partition: u32, than_ms: i64, now_ms: i64) -> bool {
        self.0.get(&partition).is_some_and(|rest| now_ms - rest.since_ms >= than_ms)
    }
}

#[derive(Default)]
pub(super) struct Idle {
    pub(super) quiet: Quiet,
    pub(super) reported_ms: Option<i64>,
    /// A mark came for any worker's partition since the last report.
    pub(super) moved: bool,
    /// Partitions of the last report that are frozen still.
    pub(super) undecided: usize,
}

impl Job {
    /// Notices partitions that have been idle for long enough, freezes them, and reports.
    pub(super) fn watch_idle(&mut self, now_ms: i64) {
        let mut reader = self.reader.borrow_mut();
        let idle_ms = reader.idle_ms();
        for partition in &reader.partitions {
            let at_end = partition.end_reached && !partition.finished;
            self.idle.quiet.look(partition.number, at_end, partition.next_offset(), now_ms);
        }
        // On a live topic every worker reports, for worker 0 waits for all of them: one that has no partition, or never comes
        // to the end of its own, would else keep the idle ones of others waiting, and them it.
        let always = self.source.live().is_some();
        if !always && self.idle.quiet.0.is_empty() && self.idle.reported_ms.is_none() {
            return;
        }
        // One report after the other: what is frozen in one is decided before the next, or a mark could come for a partition
        // that has been read on.
        let most_ms = if self.idle.moved { REPORT_AGAIN_MS } else { REPORT_EVERY_MS };
        let every_ms = (idle_ms / 10).clamp(1, most_ms);
        let due = self.idle.reported_ms.is_none_or(|reported_ms| now_ms - reported_ms >= every_ms);
        if !due || self.idle.undecided > 0 {
            return;
        }
        for partition in reader.partitions.iter_mut().filter(|partition| partition.looked) {
            partition.frozen |= self.idle.quiet.is_longer(partition.number, idle_ms, now_ms);
        }
        self.idle.reported_ms = Some(now_ms);
        self.idle.moved = false;
        self.idle.undecided = reader.partitions.iter().filter(|partition| partition.frozen).count();
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
                    idle: self.idle.quiet.is_longer(partition.number, idle_ms, now_ms),
                    fresh: partition.fresh,
                })
                .collect(),
        };
        drop(reader);
        self.tell(Up::Watermarks(report));
    }

    /// Worker 0: decides once for all frozen partitions, and lets the decision become durable before anyone uses it.
    pub(super) fn mark_idle(&mut self, now_ms: i64) {
        let lead = self.lead.as_mut().expect("only worker 0 leads");
        let mut writer = self.writer.borrow_mut();
        if let Some((ticket, marks)) = &mut lead.marks {
            match ticket {
                None => match writer.submit(Work::Marks(marks.clone())) {
                    Ok(given) => *ticket = Some(given),
                    Err(_) => return,
                },
                Some(given) => {
                    match writer.others_done.iter().position(|done| done == given) {
                        Some(at) => drop(writer.others_done.swap_remove(at)),
                        None if self.faults.use_marks_early => {}
                        None => return,
                    }
                    tracing::debug!(marks = marks.len(), "idle marks are durable");
                    for mark in marks.iter() {
                        if mark.partition == IdleMark::TO_COME {
                            lead.ahead.durable_ms = lead.ahead.durable_ms.max(mark.watermark_ms);
                        } else if let Some(orders) = &mut self.graph.orders {
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
        // The frontier goes to the end of the newest window that has readings, no further: not where all are idle, and not
        // where the watermark of another says nothing of readings, for it is new and began behind what had been judged.
        let end_ms = newest_ms.map(|newest_ms| newest_ms + lead.window_ms);
        let target_ms = active_ms.map(|active_ms| active_ms.min(end_ms.unwrap_or(lead.boundary_ms))).or(end_ms);
        let reader = self.reader.borrow();
        let mut marks = Vec::new();
        let mut thawed = Vec::new();
        for partition in all().filter(|partition| partition.frozen) {
            let target_ms = target_ms.max(partition.fresh.then_some(lead.ahead.earlier_ms));
            match target_ms {
                // Within a window a mark would move nothing.
                Some(watermark_ms) if reader.stamp_ms(watermark_ms) > reader.stamp_ms(partition.watermark_ms) => {
                    marks.push(IdleMark { partition: partition.partition, offset: partition.offset, watermark_ms });
                }
                _ if partition.fresh => {
                    let watermark_ms = partition.watermark_ms.max(target_ms.unwrap_or(i64::MIN));
                    marks.push(IdleMark { partition: partition.partition, offset: partition.offset, watermark_ms });
                }
                _ => thawed.push(partition.partition),
            }
        }
        drop(reader);
        let at_rest =
            active_ms.is_none() && marks.is_empty() && end_ms.is_none_or(|end_ms| !self.graph.read.less_than(&end_ms));
        lead.idle_since_ms = if at_rest { lead.idle_since_ms.or(Some(now_ms)) } else { None };
        if let (Some(since_ms), Some(until_idle_ms)) = (lead.idle_since_ms, lead.until_idle_ms)
            && now_ms - since_ms >= until_idle_ms
        {
            lead.stopping = true;
        }
        tracing::debug!(marks = marks.len(), unmarked = thawed.len(), target_ms, "idle partitions");
        if let Some(orders) = &mut self.graph.orders {
            for partition in thawed {
                say(orders, Order::Thaw { partition, mark: None });
            }
        }
        if !marks.is_empty() {
            lead.marks = Some((None, marks));
        }
    }

    pub(super) fn thaw(&mut self, number: u32, mark: Option<(i64, i64)>) {
        self.idle.moved |= mark.is_some();
        let mut reader = self.reader.borrow_mut();
        if let Some(partition) = reader.partitions.iter_mut().find(|partition| partition.number == number) {
            if let Some((offset, watermark_ms)) = mark {
                assert_eq!(offset, partition.next_offset(), "a frozen partition is not read");
                partition.add_mark(IdleMark { partition: number, offset, watermark_ms });
            }
            (partition.frozen, partition.fresh, partition.looked) = (false, false, false);
            self.idle.undecided -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a job that has caught up every look finds the end, whatever came meanwhile: only a partition without records rests.
    #[test]
    fn a_partition_that_delivers_is_not_idle_though_its_end_is_always_reached() {
        let mut quiet = Quiet::default();
        let idle = |quiet: &Quiet, now_ms| (quiet.is_longer(0, 30_000, now_ms), quiet.is_longer(1, 30_000, now_ms));
        for second in 0..60 {
            quiet.look(0, true, second, second * 1_000);
            quiet.look(1, true, 7, second * 1_000);
        }
        assert_eq!(idle(&quiet, 59_000), (false, true));
        quiet.look(1, false, 7, 60_000);
        assert_eq!(idle(&quiet, 90_000), (true, false));
    }
}
