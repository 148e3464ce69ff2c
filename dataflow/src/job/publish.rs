//! Publishes where a worker stands, while somebody looks.

use super::{Job, LivePartition, Watermarks};
use crate::status::{EVERY_MS, PartitionStand, Status};

impl Job {
    /// Once a second.
    pub(super) fn publish(&mut self, now_ms: i64) {
        let status = &self.progress.status;
        if !status.is_watched() || self.published_ms.is_some_and(|published_ms| now_ms - published_ms < EVERY_MS) {
            return;
        }
        self.published_ms = Some(now_ms);
        let reader = self.reader.borrow();
        let partitions = reader.partitions.iter().map(|partition| {
            let stand = PartitionStand {
                next_offset: partition.next_offset(),
                watermark_ms: partition.watermark_ms,
                // At its end a job that has caught up is always: idle is only where nothing has come for so long.
                idle: partition.frozen || self.idle.quiet.is_longer(partition.number, reader.idle_ms(), now_ms),
                at_end: partition.end_reached || partition.finished,
            };
            (partition.number, stand)
        });
        status.publish(self.index, self.ledger.borrow().now(), partitions);
    }
}

/// Worker 0 was told where another worker's partitions stand. Those of its own process speak for themselves.
pub(super) fn publish_report(status: &Status, threads: usize, report: &Watermarks) {
    if !status.is_watched() || report.worker < threads {
        return;
    }
    let stand = |partition: &LivePartition| {
        let (next_offset, watermark_ms) = (partition.offset, partition.watermark_ms);
        let idle = partition.frozen || partition.idle;
        (partition.partition, PartitionStand { next_offset, watermark_ms, idle, at_end: idle })
    };
    status.publish_partitions(report.partitions.iter().map(stand));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A partition is frozen only until its mark is decided: that it has nothing is true for longer.
    #[test]
    fn partitions_of_other_processes_are_idle_while_nothing_comes() {
        let status = Status::default();
        status.watch();
        let partition = |partition, idle| LivePartition {
            partition,
            offset: 7,
            watermark_ms: 60_000,
            frozen: false,
            idle,
            fresh: false,
        };
        let partitions = vec![partition(0, true), partition(1, false)];
        publish_report(&status, 2, &Watermarks { worker: 2, newest_window_ms: None, partitions: partitions.clone() });
        let known = status.stand().partitions;
        assert_eq!((known[&0].idle, known[&1].idle), (true, false));
        // Workers of this process speak for themselves.
        let here = Status::default();
        here.watch();
        publish_report(&here, 2, &Watermarks { worker: 1, newest_window_ms: None, partitions });
        assert!(here.stand().partitions.is_empty());
    }
}
