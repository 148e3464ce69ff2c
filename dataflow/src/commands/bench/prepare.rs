//! What is measured on: the simulated fleet's messages held in memory, what must become of them, and the same readings
//! decoded.
//!
//! What must become of them is counted by a plain reading of the rules over each partition's log, with none of the job's
//! own code but the decoder and the catalogue.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use model::hash::hash_texts;
use model::message::decode;
use model::time::window_start;
use model::{Catalogue, Message};
use scenarios::cache::{self, Layout, Record, Records};
use scenarios::simulator::{Delivery, FaultOptions, Fleet, Options, Simulator};
use serde::{Deserialize, Serialize};

use super::source::{Held, Log};
use crate::directory::Introduction;
use crate::series::{Interner, Known};
use crate::settings::JobSettings;

/// As many as the largest usual number of workers, so that each of them reads something.
const PARTITIONS: u32 = 8;

/// Same messages on every machine.
const SEED: u64 = 20;

/// What to simulate.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Messages.
    pub records: u64,
    /// Devices.
    pub devices: usize,
    /// Time between two readings of a metric.
    pub period_ms: i64,
}

/// What must become of the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// Readings that are part of a state.
    pub windowed: u64,
    /// Readings that another one of the same device, metric and time replaces.
    pub duplicate: u64,
    /// Readings whose window was closed.
    pub late: u64,
    /// Messages that can't be used.
    pub dead_lettered: u64,
    /// Tombstones.
    pub skipped: u64,
    /// (device, window) pairs.
    pub states: u64,
}

/// The simulated messages.
///
/// # Errors
/// The simulator refuses the number of devices or the period.
pub fn topic(amount: Amount) -> anyhow::Result<Held> {
    let fleet = match amount.devices {
        11 => Fleet::default_eleven(),
        count => Fleet::generate(count, SEED)?,
    };
    // About a fault a device and day, and about as much trouble on the way as a site network has.
    let options = Options {
        seed: SEED,
        period_ms: amount.period_ms,
        partitions: PARTITIONS,
        faults: FaultOptions { per_device_week: 7.0, per_marked_device_week: 7.0, ..FaultOptions::default() },
        delivery: Delivery {
            duplicate_rate: 0.001,
            out_of_order_rate: 0.002,
            late_rate: 0.000_5,
            malformed_rate: 0.000_2,
            tombstone_rate: 0.000_1,
            ..Delivery::default()
        },
        ..Options::default()
    };
    let mut simulator = Simulator::new(&fleet, &options)?;
    let mut logs: Vec<Log> = (0..PARTITIONS).map(|_| Log::default()).collect();
    let mut messages = Vec::new();
    let mut left = amount.records;
    while left > 0 && simulator.next_batch(&mut messages) {
        for message in messages.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
            logs[message.partition as usize].push(message.broker_ms, message.bytes.as_deref());
            left -= 1;
        }
    }
    let identity = format!("bench:{amount:?}");
    Ok(Held { identity, logs: logs.into_iter().map(Arc::new).collect() })
}

/// A usable, on-time reading by the rules.
struct OnTime<'a> {
    offset: i64,
    message: Message<'a>,
}

/// Reads a partition by the rules; hands over what is on time.
fn read_plainly<'a>(log: &'a Log, settings: &JobSettings, expected: &mut Expected, each: &mut dyn FnMut(OnTime<'a>)) {
    let catalogue = Catalogue::builtin();
    let mut watermark_ms: Option<i64> = None;
    for record in log.messages() {
        let Some(bytes) = record.bytes else {
            expected.skipped += 1;
            continue;
        };
        let message = decode(bytes, settings.max_message_bytes)
            .ok()
            .filter(|message| message.timestamp_ms - record.broker_ms <= settings.max_future_ms)
            .filter(|message| {
                let device_type = catalogue.normalise_type(&message.device_type);
                catalogue.conversion(&device_type, &message.metric_name, message.unit.as_deref()).is_some()
            });
        let Some(message) = message else {
            expected.dead_lettered += 1;
            continue;
        };
        let window_end_ms = window_start(message.timestamp_ms, settings.window_ms) + settings.window_ms;
        let is_late = watermark_ms.is_some_and(|watermark_ms| window_end_ms <= watermark_ms);
        let seen_ms = message.timestamp_ms.min(record.broker_ms) - settings.lateness_ms;
        watermark_ms = watermark_ms.max(Some(seen_ms));
        if is_late {
            expected.late += 1;
        } else {
            each(OnTime { offset: record.offset, message });
        }
    }
}

/// What must become of the topic's messages.
pub fn expect(topic: &Held, settings: &JobSettings) -> Expected {
    let mut expected = Expected::default();
    for log in &topic.logs {
        // A device's messages are all in one partition.
        let (mut states, mut readings) = (HashSet::new(), HashSet::new());
        let (mut windowed, mut duplicate) = (0, 0);
        read_plainly(log, settings, &mut expected, &mut |OnTime { message, .. }| {
            let window_ms = window_start(message.timestamp_ms, settings.window_ms);
            states.insert((hash_texts(&[&message.device_id]), window_ms));
            match readings.insert((hash_texts(&[&message.device_id, &message.metric_name]), message.timestamp_ms)) {
                true => windowed += 1,
                false => duplicate += 1,
            }
        });
        expected.windowed += windowed;
        expected.duplicate += duplicate;
        expected.states += states.len() as u64;
    }
    expected
}

/// A partition's on-time readings, decoded.
pub struct Decoded {
    /// In the order of the log. Locked for a turn at a time, and nobody else wants it then.
    records: Mutex<Records>,
    /// Names of their series.
    pub introductions: Vec<Introduction>,
}

impl Decoded {
    /// The records, for a turn.
    ///
    /// # Panics
    /// When another thread panicked over them.
    pub fn lock(&self) -> MutexGuard<'_, Records> {
        self.records.lock().expect("no thread panics over a partition's records")
    }
}

/// Decodes the topic into a cache a partition, in `folder`, and loads each.
///
/// # Errors
/// A cache can't be written or read.
pub fn decoded(topic: &Held, settings: &JobSettings, layout: Layout, folder: &Path) -> anyhow::Result<Vec<Decoded>> {
    let mut all = Vec::new();
    for (partition, log) in (0u32..).zip(&topic.logs) {
        let (mut interner, mut known) = (Interner::default(), Known::default());
        let (mut records, mut introductions) = (Vec::new(), Vec::new());
        read_plainly(log, settings, &mut Expected::default(), &mut |OnTime { offset, message }| {
            let found = interner
                .find_or_admit(&message, Catalogue::builtin(), &mut known, settings)
                .expect("a plain reading has checked unit and numbers");
            if found.is_new {
                introductions.push(interner.introduce(found.at));
            }
            let entry = interner.entry(found.at);
            records.push(Record {
                series: entry.series,
                ts: message.timestamp_ms,
                value: entry.convert(message.metric_value),
                offset,
                partition,
                route: entry.route_low,
            });
        });
        let path = folder.join(format!("decoded-{partition}"));
        let source = cache::Source::of(topic.identity.as_bytes());
        cache::store(&path, layout, source, &records)
            .with_context(|| format!("could not write cache {}", path.display()))?;
        let records =
            cache::load(&path, layout, source).with_context(|| format!("could not read cache {}", path.display()))?;
        all.push(Decoded { records: Mutex::new(records), introductions });
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_one_fate_and_the_last_one_counts() {
        let amount = Amount { records: 20_000, devices: 11, period_ms: 10_000 };
        let topic = topic(amount).unwrap();
        let expected = expect(&topic, &JobSettings::default());
        let Expected { windowed, duplicate, late, dead_lettered, skipped, states } = expected;
        assert_eq!(windowed + duplicate + late + dead_lettered + skipped, 20_000);
        assert!(duplicate > 0 && dead_lettered > 0 && skipped > 0, "{expected:?}");
        assert_eq!(states, 22 * 11, "20000 messages are 21 full minutes and one begun");
    }
}
