//! A slice of a store as a source: the readings of `device_metrics_raw` from one time to another become messages again.
//!
//! A store keeps what was sent, not in which order it came. So each device is a partition of its own that has its readings in the
//! order of their event times, each with that time as the broker's. Readings that came late for the job that wrote the store
//! stand in `late_metrics` with how late they were: they come where the watermark was as far again as it was then, so that the
//! same lateness finds them late and a longer one does not.
//!
//! What a store does not tell: whether a shorter lateness had found more readings late; the readings that became dead letters;
//! and of a reading whose duplicate came late only the duplicate.

use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use connectors::{Event, PartitionReader, Poll, Source, SourceError, SourceMessage, Store};
use model::tables::TableId;
use model::time::{date_of, window_start};
use model::{Row, Value};
use serde_json::json;

const DAY_MS: i64 = 86_400_000;
/// Readings that all devices together hold at most, beyond the least of each.
const HELD_READINGS: usize = 400_000;
/// Readings that a device holds at least and at most, 24 bytes each.
const HELD_A_DEVICE: Range<usize> = 512..8_192;

/// How the job that wrote the store told late readings.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Width of its windows.
    pub window_ms: i64,
    /// How far its watermarks stayed behind.
    pub lateness_ms: i64,
}

/// What was read of a slice so far.
#[derive(Debug)]
pub struct Counts {
    readings: AtomicU64,
    late: AtomicU64,
    first_ms: AtomicI64,
    last_ms: AtomicI64,
}

impl Counts {
    /// All readings, and those among them that came late for the job that wrote the store.
    pub fn readings(&self) -> (u64, u64) {
        (self.readings.load(Relaxed), self.late.load(Relaxed))
    }

    /// First and last event time; `None`: no reading.
    pub fn extent_ms(&self) -> Option<(i64, i64)> {
        let extent = (self.first_ms.load(Relaxed), self.last_ms.load(Relaxed));
        (extent.0 <= extent.1).then_some(extent)
    }

    fn count(&self, timestamp_ms: i64, is_late: bool) {
        self.readings.fetch_add(1, Relaxed);
        self.late.fetch_add(u64::from(is_late), Relaxed);
        self.first_ms.fetch_min(timestamp_ms, Relaxed);
        self.last_ms.fetch_max(timestamp_ms, Relaxed);
    }
}

/// A store that several readers share.
pub type SharedStore = Arc<Mutex<Box<dyn Store>>>;

/// The readings of some devices from one time to another.
pub struct Slice {
    store: SharedStore,
    place: String,
    devices: Vec<String>,
    range_ms: Range<i64>,
    written: Written,
    lateness_ms: i64,
    counts: Arc<Counts>,
}

impl Slice {
    /// Of a store that is called `place`; `lateness_ms` is that of the job which is to read it.
    pub fn new(
        store: SharedStore,
        place: &str,
        devices: Vec<String>,
        range_ms: Range<i64>,
        written: Written,
        lateness_ms: i64,
    ) -> Slice {
        let counts = Arc::new(Counts {
            readings: AtomicU64::new(0),
            late: AtomicU64::new(0),
            first_ms: AtomicI64::new(i64::MAX),
            last_ms: AtomicI64::new(i64::MIN),
        });
        Slice { store, place: place.to_owned(), devices, range_ms, written, lateness_ms, counts }
    }

    /// What was read so far by all its readers.
    pub fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }
}

impl Source for Slice {
    fn topic(&self) -> &str {
        "slice"
    }

    fn identity(&self) -> String {
        let devices = model::hash::hash_text(&self.devices.join("\n"));
        format!("slice:{}:{}:{}:{devices:016x}", self.place, self.range_ms.start, self.range_ms.end)
    }

    fn partitions(&self) -> Vec<u32> {
        (0..u32::try_from(self.devices.len()).expect("fewer than 2^32 devices")).collect()
    }

    fn messages_total(&self) -> Option<u64> {
        None
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let device = self
            .devices
            .get(partition as usize)
            .ok_or_else(|| SourceError::Partition { topic: self.topic().to_owned(), partition })?;
        let held = HELD_READINGS / self.devices.len();
        Ok(Box::new(Reader {
            store: Arc::clone(&self.store),
            device: device.clone(),
            range_ms: self.range_ms.clone(),
            written: self.written,
            lateness_ms: self.lateness_ms,
            counts: Arc::clone(&self.counts),
            from: offset,
            offset: 0,
            hold: held.clamp(HELD_A_DEVICE.start, HELD_A_DEVICE.end),
            next_ms: self.range_ms.start,
            series: Vec::new(),
            held: VecDeque::new(),
            late: None,
            marked: false,
            bytes: Vec::new(),
        }))
    }
}

/// A reading that came in time.
struct Held {
    timestamp_ms: i64,
    value: f64,
    series: usize,
}

/// A reading that came late.
struct Belated {
    /// Watermark before it, and the lateness then: the newest event time that had come.
    arrival_ms: i64,
    broker_ms: i64,
    reading: Held,
}

/// A cursor over one device's readings.
struct Reader {
    store: SharedStore,
    device: String,
    range_ms: Range<i64>,
    written: Written,
    lateness_ms: i64,
    counts: Arc<Counts>,
    /// First offset wanted.
    from: i64,
    /// Of the next reading.
    offset: i64,
    /// So many readings are taken from the store at once.
    hold: usize,
    /// Event time up to which the store was read.
    next_ms: i64,
    /// Names as they were sent, each with its message up to the two values that change.
    series: Vec<(Vec<Value>, String)>,
    held: VecDeque<Held>,
    /// In the order of their coming; `None`: not read yet.
    late: Option<VecDeque<Belated>>,
    /// The mark in front of the next late one was handed over.
    marked: bool,
    bytes: Vec<u8>,
}

/// Columns of a raw row that make its series: metric, unit, type, location, building.
const SERIES_COLUMNS: [&str; 5] = ["metric_name", "unit", "device_type", "location", "building_id"];

impl Reader {
    fn key(&self, day_ms: i64) -> [Value; 2] {
        [Value::Text(self.device.clone()), Value::Text(date_of(day_ms))]
    }

    /// The series of a message with these names.
    fn series(&mut self, names: Vec<Value>) -> usize {
        if let Some(at) = self.series.iter().position(|(known, _)| *known == names) {
            return at;
        }
        let mut message = json!({"device_id": self.device});
        for (column, name) in SERIES_COLUMNS.iter().zip(&names) {
            if let Value::Text(name) = name {
                message[*column] = json!(name);
            }
        }
        let text = message.to_string();
        let head = text.strip_suffix('}').expect("an object ends so");
        self.series.push((names, head.to_owned()));
        self.series.len() - 1
    }

    /// Takes the readings that follow from the store: at least so many as are to be held, but of one day only.
    fn fill(&mut self) -> Result<(), SourceError> {
        let day_end_ms = window_start(self.next_ms, DAY_MS).saturating_add(DAY_MS).min(self.range_ms.end);
        let (key, range_ms) = (self.key(self.next_ms), self.next_ms..day_end_ms);
        let mut next_ms = day_end_ms;
        let store = Arc::clone(&self.store);
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last_ms = None;
        store
            .scan_range(TableId::DeviceMetricsRaw, &key, range_ms, &mut |row| {
                let Some(timestamp_ms) = row.value("timestamp").as_int() else { return ControlFlow::Continue(()) };
                // Readings of one time stay together: the next look begins with another.
                if self.held.len() >= self.hold && last_ms != Some(timestamp_ms) {
                    next_ms = timestamp_ms;
                    return ControlFlow::Break(());
                }
                last_ms = Some(timestamp_ms);
                let value = row.value("metric_value").as_double();
                // What came late is told by the table of late readings.
                if let (Some(value), false) = (value, *row.value("is_late") == Value::Bool(true)) {
                    let names = SERIES_COLUMNS.iter().map(|column| row.value(column).clone()).collect();
                    let series = self.series(names);
                    self.held.push_back(Held { timestamp_ms, value, series });
                }
                ControlFlow::Continue(())
            })
            .map_err(|error| {
                // The next look begins where this one began.
                self.held.clear();
                SourceError::Store(Box::new(error))
            })?;
        self.next_ms = next_ms;
        Ok(())
    }

    /// The late readings of the device. They are few, or nothing could be said of it, and are held: 60 bytes each.
    fn read_late(&mut self) -> Result<VecDeque<Belated>, SourceError> {
        let store = Arc::clone(&self.store);
        let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<((i64, i64, i64), Belated)> = Vec::new();
        let mut day_ms = window_start(self.range_ms.start, DAY_MS);
        while day_ms < self.range_ms.end {
            let mut rows: Vec<Row> = Vec::new();
            let key = self.key(day_ms);
            let mut keep = |row| {
                rows.push(row);
                ControlFlow::Continue(())
            };
            let fail = |error| SourceError::Store(Box::new(error));
            store.scan_range(TableId::LateMetrics, &key, self.range_ms.clone(), &mut keep).map_err(fail)?;
            for row in rows {
                let mut raw = None;
                let raw_key =
                    [key[0].clone(), key[1].clone(), row.value("timestamp").clone(), row.value("metric_name").clone()];
                // Type and place stand with the reading itself.
                let mut keep = |row| {
                    raw = Some(row);
                    ControlFlow::Break(())
                };
                store.scan(TableId::DeviceMetricsRaw, &raw_key, &mut keep).map_err(fail)?;
                found.extend(raw.and_then(|raw| self.belated(&row, &raw)));
            }
            day_ms += DAY_MS;
        }
        found.sort_by_key(|(order, _)| *order);
        Ok(found.into_iter().map(|(_, belated)| belated).collect())
    }

    fn belated(&mut self, row: &Row, raw: &Row) -> Option<((i64, i64, i64), Belated)> {
        let int = |column| row.value(column).as_int();
        let timestamp_ms = int("timestamp")?;
        let window_end_ms = window_start(timestamp_ms, self.written.window_ms).saturating_add(self.written.window_ms);
        let arrival_ms = window_end_ms.saturating_add(int("late_by_ms")?).saturating_add(self.written.lateness_ms);
        let names = SERIES_COLUMNS.iter().map(|column| match *column {
            "metric_name" | "unit" => row.value(column).clone(),
            column => raw.value(column).clone(),
        });
        let series = self.series(names.collect());
        let reading = Held { timestamp_ms, value: row.value("metric_value").as_double()?, series };
        let belated = Belated { arrival_ms, broker_ms: int("broker_time")?, reading };
        Some(((arrival_ms, int("partition")?, int("offset")?), belated))
    }

    /// Hands a reading over, if it is wanted; says so.
    fn send(&mut self, reading: &Held, broker_ms: i64, is_late: bool, each: &mut dyn FnMut(Event<'_>)) -> bool {
        let offset = self.offset;
        self.offset += 1;
        if offset < self.from {
            return false;
        }
        self.counts.count(reading.timestamp_ms, is_late);
        self.bytes.clear();
        self.bytes.extend_from_slice(self.series[reading.series].1.as_bytes());
        let value = json!(reading.value);
        self.bytes.extend_from_slice(
            format!(",\"timestamp\":{},\"metric_value\":{value}}}", reading.timestamp_ms).as_bytes(),
        );
        each(Event::Message(SourceMessage { offset, broker_ms, bytes: Some(&self.bytes) }));
        true
    }
}

impl PartitionReader for Reader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        if self.late.is_none() {
            self.late = Some(self.read_late()?);
        }
        if self.held.is_empty() && self.next_ms < self.range_ms.end {
            self.fill()?;
        }
        let mut late = self.late.take().unwrap_or_default();
        let ended = self.next_ms >= self.range_ms.end;
        let mut count = 0;
        while count < max {
            let next_ms = self.held.front().map(|reading| reading.timestamp_ms);
            let is_due = |belated: &Belated| match next_ms {
                Some(next_ms) => belated.arrival_ms < next_ms,
                None => ended,
            };
            if let Some(belated) = late.front().filter(|belated| is_due(belated)) {
                // A mark in front of it puts the watermark where it was.
                if !std::mem::replace(&mut self.marked, true) && self.offset >= self.from {
                    let watermark_ms = belated.arrival_ms.saturating_sub(self.lateness_ms);
                    each(Event::Mark { offset: self.offset, watermark_ms });
                    count += 1;
                    continue;
                }
                self.marked = false;
                count += usize::from(self.send(&belated.reading, belated.broker_ms, true, each));
                late.pop_front();
            } else if let Some(reading) = self.held.pop_front() {
                count += usize::from(self.send(&reading, reading.timestamp_ms, false, each));
            } else {
                break;
            }
        }
        let finished = count == 0 && ended && self.held.is_empty() && late.is_empty();
        self.late = Some(late);
        Ok(if finished { Poll::Finished } else { Poll::Ready(count) })
    }
}

#[cfg(test)]
mod tests;
