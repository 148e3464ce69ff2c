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
}

#[derive(Default)]
pub(super) struct Idle {
    pub(super) since_ms: BTreeMap<u32, i64>,
    pub(super) reported_ms: Option<i64>,
}

impl Job {
    /// Notices partitions that have been idle for long enough, freezes them, and reports.
    pub(super) fn watch_idle(&mut self, now_ms: i64) {
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
    pub(super) fn mark_idle(&mut self) {
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

    pub(super) fn thaw(&mut self, number: u32, mark: Option<(i64, i64)>) {
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
