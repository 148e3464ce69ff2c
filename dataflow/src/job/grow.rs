//! Partitions that a live topic gains while the job runs: noticed by worker 0, opened by the worker that owns them.
//!
//! A new partition begins frozen and holds its worker's frontier where it stands. Worker 0 then gives it its mark like an idle
//! one, and it is read once that is durable: a replay begins it at the same watermark.

use std::collections::BTreeSet;

use anyhow::Context as _;

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

impl Job {
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
