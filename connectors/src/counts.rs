//! What each service was asked: how often, how much at once, how long it took, and how often it had to be asked again. Counted by the
//! process, once a request; nothing depends on it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper ends of the buckets of times, in seconds; longer ones are counted beyond.
pub const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0];
/// Upper ends of the buckets of items.
pub const ITEMS: [f64; 10] = [1.0, 4.0, 16.0, 64.0, 256.0, 1_000.0, 4_000.0, 10_000.0, 20_000.0, 50_000.0];

/// Counts of a service.
pub struct Counts {
    service: &'static str,
    retries: AtomicU64,
    micros: AtomicU64,
    items: AtomicU64,
    by_seconds: [AtomicU64; SECONDS.len() + 1],
    by_items: [AtomicU64; ITEMS.len() + 1],
}

/// The brokers, as they deliver messages.
pub static KAFKA_READ: Counts = Counts::of("kafka_read");
/// The brokers, as they take messages.
pub static KAFKA_WRITE: Counts = Counts::of("kafka_write");
/// Rows into the store.
pub static STORE: Counts = Counts::of("store");
/// Texts to Ollama.
pub static OLLAMA: Counts = Counts::of("ollama");
/// Alerts to the webhook.
pub static WEBHOOK: Counts = Counts::of("webhook");

/// All of them.
pub static ALL: [&Counts; 5] = [&KAFKA_READ, &KAFKA_WRITE, &STORE, &OLLAMA, &WEBHOOK];

/// Rows that the store's servers refused for good.
pub static ROWS_REFUSED: AtomicU64 = AtomicU64::new(0);

/// A histogram: the sum of what was seen, and how often by bucket; the last one is beyond all ends.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Of all values.
    pub sum: f64,
    /// Upper end of each bucket with its count, not cumulated; the last end is infinite.
    pub buckets: Vec<(f64, u64)>,
}

impl Counts {
    const fn of(service: &'static str) -> Counts {
        Counts {
            service,
            retries: AtomicU64::new(0),
            micros: AtomicU64::new(0),
            items: AtomicU64::new(0),
            by_seconds: [const { AtomicU64::new(0) }; SECONDS.len() + 1],
            by_items: [const { AtomicU64::new(0) }; ITEMS.len() + 1],
        }
    }

    /// Its name.
    pub fn service(&self) -> &'static str {
        self.service
    }

    /// A request with so many items has ended, well or not.
    pub fn asked(&self, items: usize, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Relaxed);
        self.items.fetch_add(items as u64, Relaxed);
        let (seconds, count) = (took.as_secs_f64(), items as f64);
        self.by_seconds[SECONDS.iter().filter(|end| seconds > **end).count()].fetch_add(1, Relaxed);
        self.by_items[ITEMS.iter().filter(|end| count > **end).count()].fetch_add(1, Relaxed);
    }

    /// It has to be asked again.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// How often it had to be asked again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// How long requests took, in seconds.
    pub fn times(&self) -> Histogram {
        Histogram { sum: self.micros.load(Relaxed) as f64 / 1e6, buckets: buckets(&SECONDS, &self.by_seconds) }
    }

    /// How many items requests had.
    pub fn batches(&self) -> Histogram {
        Histogram { sum: self.items.load(Relaxed) as f64, buckets: buckets(&ITEMS, &self.by_items) }
    }
}

fn buckets(ends: &[f64], counts: &[AtomicU64]) -> Vec<(f64, u64)> {
    let ends = ends.iter().copied().chain([f64::INFINITY]);
    ends.zip(counts).map(|(end, count)| (end, count.load(Relaxed))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_falls_into_the_first_bucket_that_holds_it() {
        let counts = Counts::of("x");
        counts.asked(1, Duration::from_millis(1));
        counts.asked(17, Duration::from_millis(700));
        counts.asked(1_000_000, Duration::from_secs(61));
        counts.retried();
        let filled = |histogram: Histogram| -> Vec<(f64, u64)> {
            histogram.buckets.into_iter().filter(|(_, count)| *count > 0).collect()
        };
        assert_eq!(filled(counts.times()), [(0.001, 1), (1.0, 1), (f64::INFINITY, 1)]);
        assert_eq!(filled(counts.batches()), [(1.0, 1), (64.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((counts.times().sum, counts.batches().sum, counts.retries()), (61.701, 1_000_018.0, 1));
    }
}
