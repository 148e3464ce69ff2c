//! How late results are: from a reading's time to its durable row, and from the moment a window may close to its durable state.
//! Only live sources are measured; a recording's times say nothing about the job.

use std::sync::{Arc, Mutex};

use hdrhistogram::Histogram;
use model::tables::TableId;
use model::{Row, Value};
use serde_json::{Value as Json, json};

use crate::checkpoint::Start;
use crate::clock;
use crate::outlets::Outlet;

/// Longest delay that is told apart: some three hundred years, for a topic may be replayed long after.
const MOST_MS: u64 = 10_000_000_000_000;
/// Significant digits that a histogram keeps.
const DIGITS: u8 = 2;

/// Delays in milliseconds, shared with whoever shows them.
#[derive(Debug)]
pub struct Delays(Mutex<Histograms>);

#[derive(Debug)]
struct Histograms {
    readings: Histogram<u64>,
    states: Histogram<u64>,
}

/// Quantiles of a delay, milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Half are not later.
    pub p50_ms: u64,
    /// Nine of ten are not later.
    pub p90_ms: u64,
    /// 99 of 100 are not later.
    pub p99_ms: u64,
    /// The latest.
    pub max_ms: u64,
}

impl Default for Delays {
    fn default() -> Self {
        let histogram = || Histogram::new_with_max(MOST_MS, DIGITS).expect("the bounds are those of the library");
        Delays(Mutex::new(Histograms { readings: histogram(), states: histogram() }))
    }
}

impl Delays {
    /// Readings: from their time to their durable row. States: from window end plus lateness to their durable row.
    pub fn quantiles(&self) -> (Quantiles, Quantiles) {
        let histograms = self.0.lock().expect("no thread panics while it counts");
        (quantiles(&histograms.readings), quantiles(&histograms.states))
    }

    /// Of readings and of states the sum in milliseconds, and how many lie in each bucket with these upper ends and beyond the last.
    pub fn buckets(&self, ends_ms: &[u64]) -> [(f64, Vec<u64>); 2] {
        let histograms = self.0.lock().expect("no thread panics while it counts");
        [&histograms.readings, &histograms.states].map(|histogram| {
            let mut from_ms = 0;
            let mut counts = Vec::with_capacity(ends_ms.len() + 1);
            for end_ms in ends_ms {
                counts.push(histogram.count_between(from_ms, *end_ms));
                from_ms = end_ms + 1;
            }
            let within: u64 = counts.iter().sum();
            counts.push(histogram.len().saturating_sub(within));
            (histogram.mean() * histogram.len() as f64, counts)
        })
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    Quantiles {
        count: histogram.len(),
        p50_ms: histogram.value_at_quantile(0.5),
        p90_ms: histogram.value_at_quantile(0.9),
        p99_ms: histogram.value_at_quantile(0.99),
        max_ms: histogram.max(),
    }
}

impl Quantiles {
    /// As `run --json` has it.
    pub fn to_json(self) -> Json {
        json!({"count": self.count, "p50": self.p50_ms, "p99": self.p99_ms, "max": self.max_ms})
    }
}

/// Measures rows as they become durable.
pub struct DelayMeter {
    delays: Arc<Delays>,
    /// From a window's start to the moment when it may close.
    closes_after_ms: i64,
    now_ms: fn() -> i64,
    readings: Vec<i64>,
    states: Vec<i64>,
}

impl DelayMeter {
    /// For windows of `window_ms` that stay open for `lateness_ms`.
    pub fn new(delays: Arc<Delays>, window_ms: i64, lateness_ms: i64) -> Self {
        let closes_after_ms = window_ms.saturating_add(lateness_ms);
        DelayMeter { delays, closes_after_ms, now_ms: clock::now_ms, readings: Vec::new(), states: Vec::new() }
    }
}

impl Outlet for DelayMeter {
    fn begin(&mut self, _start: &Start) {}

    fn note(&mut self, rows: &[Row]) {
        let time = |row: &Row, column| row.value(column).as_int().unwrap_or(i64::MAX);
        for row in rows {
            match row.table {
                TableId::DeviceMetricsRaw => self.readings.push(time(row, "timestamp")),
                // A correction comes as late as its reading; the state itself did not.
                TableId::DeviceStateSnapshots if *row.value("corrected") != Value::Bool(true) => {
                    self.states.push(time(row, "snapshot_time").saturating_add(self.closes_after_ms));
                }
                _ => {}
            }
        }
    }

    fn tell(&mut self) -> Result<(), String> {
        let now_ms = (self.now_ms)();
        let mut histograms = self.delays.0.lock().expect("no thread panics while it counts");
        let Histograms { readings, states } = &mut *histograms;
        for (due, histogram) in [(&mut self.readings, readings), (&mut self.states, states)] {
            for due_ms in due.drain(..) {
                // A device's clock that is ahead makes a delay of nothing.
                histogram.saturating_record(u64::try_from(now_ms.saturating_sub(due_ms)).unwrap_or(0));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Value, Version};

    /// A reading counts from its own time, a state from its window's end and lateness; a clock ahead is no negative delay.
    #[test]
    fn delays_count_from_when_a_row_was_due() {
        let row = |table: TableId, column: &str, at_ms: i64| {
            let known = table.table();
            let value = |name: &str| if name == column { Value::Int(at_ms) } else { Value::Null };
            let values = known.columns.iter().map(|column| value(column.name)).collect();
            Row { table, version: Version::window(at_ms), values }
        };
        let delays = Arc::new(Delays::default());
        let mut meter = DelayMeter::new(Arc::clone(&delays), 60_000, 30_000);
        meter.now_ms = || 100_000;
        let readings = [99_900, 99_000, 105_000].map(|at_ms| row(TableId::DeviceMetricsRaw, "timestamp", at_ms));
        meter.note(&readings);
        meter.note(&[row(TableId::DeviceStateSnapshots, "snapshot_time", 9_500), row(TableId::DeadLetters, "", 0)]);
        assert_eq!(delays.quantiles().0.count, 0, "nothing is durable yet");
        meter.tell().unwrap();
        meter.tell().unwrap();
        let (readings, states) = delays.quantiles();
        assert_eq!(readings, Quantiles { count: 3, p50_ms: 100, p90_ms: 1_003, p99_ms: 1_003, max_ms: 1_003 });
        assert_eq!(states.to_json(), json!({"count": 1, "p50": 501, "p99": 501, "max": 501}));
    }
}
