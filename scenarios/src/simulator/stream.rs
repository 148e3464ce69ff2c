//! The simulator: ticks become readings, readings become messages in broker-time order.
//!
//! A tick puts one small entry for each of its devices into `entries`, sorted by broker time; a device is moved on and its
//! messages written only when its entry's turn comes. So what is held is a few entries a device and those messages that
//! are on their way longer than their tick (`delayed`), however long the stream.

mod batch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use model::recording::Label;

use super::climate::Building;
use super::delivery::{Fate, Parts};
use super::device::{Device, Known};
use super::encode::{self, MetricText, TIMESTAMP_LENGTH};
use super::error::SimulatorError;
use super::fleet::Fleet;
use super::metrics::DeviceKind;
use super::options::Options;
use super::physics::Push;
use super::random::Random;
use batch::Batch;

/// A batch ends with the tick's time or after the device with which it has this many messages.
const BATCH_MESSAGES: usize = 4_096;

/// One message of the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimulatedMessage {
    /// The device's place in the fleet; [`Simulator::device_id`] of it is the message's key.
    pub device: u32,
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in the partition; rises by one.
    pub offset: i64,
    /// The broker's time of appending; never falls, over all partitions.
    pub broker_ms: i64,
    /// The bytes as sent; `None` is a tombstone.
    pub bytes: Option<Vec<u8>>,
}

/// What was sent and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Messages that arrived, of all kinds.
    pub messages: u64,
    /// Readings that were taken.
    pub readings: u64,
    /// Readings lost because the device was offline.
    pub offline: u64,
    /// Readings not sent because of a fault.
    pub silenced: u64,
    /// Messages that never arrived.
    pub dropped: u64,
    /// Messages that arrived a second time.
    pub duplicates: u64,
    /// Messages that were overtaken, within the lateness.
    pub out_of_order: u64,
    /// Messages that came beyond the lateness.
    pub late: u64,
    /// Messages that can't be used.
    pub malformed: u64,
    /// Messages without a value.
    pub tombstones: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    broker_ms: i64,
    due_ms: i64,
    device: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delayed {
    broker_ms: i64,
    due_ms: i64,
    device: u32,
    metric: usize,
    duplicate: bool,
    bytes: Option<Vec<u8>>,
}

/// Devices of one period.
struct Group {
    period_ms: i64,
    next_ms: i64,
    devices: Vec<u32>,
}

/// A running simulation.
pub struct Simulator {
    options: Options,
    end_ms: i64,
    devices: Vec<Device>,
    buildings: Vec<Building>,
    tails: Vec<Box<[u8]>>,
    texts: Vec<Vec<MetricText>>,
    groups: Vec<Group>,
    entries: Vec<Entry>,
    next_entry: usize,
    /// Nothing that is still to be made arrives before this.
    horizon_ms: i64,
    delayed: BinaryHeap<Reverse<Delayed>>,
    next_offset: Vec<i64>,
    labels: Vec<Label>,
    tally: Tally,
    pushes: Vec<Push>,
    value: Vec<u8>,
    disturbs_messages: bool,
    stamped_us: i64,
    stamp: [u8; TIMESTAMP_LENGTH],
}

impl Simulator {
    /// A simulation at its start.
    pub fn new(fleet: &Fleet, options: &Options) -> Result<Simulator, SimulatorError> {
        options.check()?;
        let known = Known::new(fleet, options)?;
        let mut simulator = Simulator {
            end_ms: options.duration_ms.map_or(i64::MAX, |duration_ms| options.start_ms + duration_ms),
            devices: Vec::with_capacity(fleet.devices().len()),
            buildings: Vec::new(),
            tails: Vec::new(),
            texts: DeviceKind::ALL.map(encode::metric_texts).to_vec(),
            groups: Vec::new(),
            entries: Vec::new(),
            next_entry: 0,
            horizon_ms: options.start_ms,
            delayed: BinaryHeap::new(),
            next_offset: vec![0; options.partitions as usize],
            labels: Vec::new(),
            tally: Tally::default(),
            pushes: Vec::new(),
            value: Vec::new(),
            disturbs_messages: options.delivery.disturbs_messages(),
            stamped_us: i64::MIN,
            stamp: [0; TIMESTAMP_LENGTH],
            options: options.clone(),
        };
        let (mut tails, mut buildings) = (BTreeMap::new(), BTreeMap::new());
        let mut groups: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
        for spec in fleet.devices() {
            let tail = *tails.entry((spec.location.as_str(), spec.building_id.as_str())).or_insert_with(|| {
                simulator.tails.push(encode::tail(&spec.location, &spec.building_id));
                simulator.tails.len() - 1
            });
            let building = *buildings.entry(spec.building_id.as_str()).or_insert_with(|| {
                let building = Building::new(options.seed, &spec.building_id, &options.features.climate);
                simulator.buildings.push(building);
                simulator.buildings.len() - 1
            });
            let device = known.device(spec, options, (small(tail), small(building)))?;
            groups.entry(device.period_ms).or_default().push(small(simulator.devices.len()));
            simulator.devices.push(device);
        }
        let group = |(period_ms, devices)| Group { period_ms, next_ms: options.start_ms, devices };
        simulator.groups = groups.into_iter().map(group).collect();
        Ok(simulator)
    }

    /// Replaces `out` by the next messages, in broker-time order; its buffers are used again. A batch ends where the time
    /// of a tick ends, and before it grows beyond some thousand messages. `false`: the stream is at its end.
    pub fn next_batch(&mut self, out: &mut Vec<SimulatedMessage>) -> bool {
        let mut batch = Batch { messages: out, used: 0 };
        while batch.used < BATCH_MESSAGES {
            let entry = self.entries.get(self.next_entry).filter(|entry| entry.broker_ms < self.horizon_ms).copied();
            let delayed_ms = self.delayed.peek().map(|delayed| delayed.0.broker_ms);
            let delayed_ms = delayed_ms.filter(|broker_ms| *broker_ms < self.horizon_ms);
            match (entry, delayed_ms) {
                (Some(entry), Some(broker_ms)) if entry.broker_ms < broker_ms => self.deliver_tick(entry, &mut batch),
                (_, Some(_)) => {
                    if let Some(Reverse(delayed)) = self.delayed.pop() {
                        let partition = self.devices[delayed.device as usize].partition;
                        let message = self.append(&mut batch, delayed.device, partition, delayed.broker_ms);
                        message.bytes = delayed.bytes;
                    }
                }
                (Some(entry), None) => self.deliver_tick(entry, &mut batch),
                (None, None) if batch.used > 0 || !self.next_tick() => break,
                (None, None) => {}
            }
        }
        let used = batch.used;
        out.truncate(used);
        used > 0
    }

    /// Labels of the faults that have begun, by start and device. A fault's end may lie beyond the stream's.
    pub fn labels(&self) -> Vec<Label> {
        let mut labels = self.labels.clone();
        labels.sort_by(|a, b| (a.start_ms, &a.device_id, &a.fault).cmp(&(b.start_ms, &b.device_id, &b.fault)));
        labels
    }

    /// What was sent so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Id of a device by its place in the fleet, the key of its messages.
    pub fn device_id(&self, device: u32) -> &str {
        &self.devices[device as usize].id
    }

    /// Time up to which everything has been made.
    pub fn simulated_until_ms(&self) -> i64 {
        self.horizon_ms.min(self.end_ms)
    }

    /// Plans the next tick; `false` where there is none any more and nothing is on its way.
    fn next_tick(&mut self) -> bool {
        let Some(due_ms) = self.groups.iter().map(|group| group.next_ms).min().filter(|ms| *ms < self.end_ms) else {
            let more = self.horizon_ms != i64::MAX;
            self.horizon_ms = i64::MAX;
            return more;
        };
        self.entries.drain(..self.next_entry);
        self.next_entry = 0;
        let (delivery, jitter_ms) = (&self.options.delivery, self.options.jitter_ms);
        for group in self.groups.iter_mut().filter(|group| group.next_ms == due_ms) {
            for index in &group.devices {
                let device = &mut self.devices[*index as usize];
                // A period of its own may be shorter than the jitter of all.
                let jitter_ms = jitter_ms.min(device.period_ms - 1);
                let broker_ms = device.line.broker_ms(delivery, due_ms, device.phase_ms, jitter_ms);
                self.entries.push(Entry { broker_ms, due_ms, device: *index });
            }
            group.next_ms += group.period_ms;
        }
        self.entries.sort_unstable();
        let next_ms = self.groups.iter().map(|group| group.next_ms).min().filter(|ms| *ms < self.end_ms);
        self.horizon_ms = next_ms.unwrap_or(i64::MAX);
        true
    }

    /// Moves a device on by one tick and sends its readings.
    fn deliver_tick(&mut self, entry: Entry, batch: &mut Batch<'_>) {
        self.next_entry += 1;
        let device = &mut self.devices[entry.device as usize];
        let options = &self.options;
        let jitter_ms = options.jitter_ms.min(device.period_ms - 1);
        let true_us = device.line.true_us(entry.due_ms, device.phase_ms, jitter_ms);
        let event_us = device.line.event_us(true_us, options.start_ms);
        let mut values =
            device.step(options, &self.buildings, (true_us.div_euclid(1_000), event_us.div_euclid(1_000)), {
                (&mut self.labels, &mut self.pushes)
            });
        let silent = match &mut device.breakage {
            Some(breakage) => breakage.disturb(&mut values),
            None => 0,
        };
        let kind = device.machine.kind;
        let count = kind.metrics().len();
        self.tally.readings += count as u64;
        if device.line.offline(&options.delivery, options.start_ms, true_us.div_euclid(1_000)) {
            self.tally.offline += count as u64;
            return;
        }
        if event_us != self.stamped_us {
            self.stamped_us = event_us;
            self.stamp = encode::timestamp(event_us);
        }
        let mut fates = self.disturbs_messages.then(|| device.line.fates(entry.due_ms));
        for (metric, value) in values[..count].iter().enumerate() {
            if silent >> metric & 1 == 1 {
                self.tally.silenced += 1;
                continue;
            }
            match &mut fates {
                None => self.send(entry, metric, *value, batch),
                Some(fates) => self.send_disturbed(entry, metric, *value, fates, batch),
            }
        }
    }

    /// One regular message.
    fn send(&mut self, entry: Entry, metric: usize, value: f64, batch: &mut Batch<'_>) {
        let partition = self.devices[entry.device as usize].partition;
        let message = batch.message();
        let bytes = message.bytes.get_or_insert_default();
        bytes.clear();
        let device = &self.devices[entry.device as usize];
        let text = &self.texts[device.machine.kind as usize][metric];
        bytes.extend_from_slice(&device.head);
        bytes.extend_from_slice(&self.stamp);
        bytes.extend_from_slice(&text.before_value);
        encode::push_hundredths(bytes, encode::hundredths(value));
        bytes.extend_from_slice(&text.after_value);
        bytes.extend_from_slice(&self.tails[device.tail as usize]);
        let offset = &mut self.next_offset[partition as usize];
        (message.device, message.partition, message.offset, message.broker_ms) =
            (entry.device, partition, *offset, entry.broker_ms);
        *offset += 1;
        self.tally.messages += 1;
    }

    /// One message that may be disturbed.
    fn send_disturbed(&mut self, entry: Entry, metric: usize, value: f64, fates: &mut Random, batch: &mut Batch<'_>) {
        let period_ms = self.devices[entry.device as usize].period_ms;
        let (fate, again_ms) = self.options.delivery.fate(fates, period_ms);
        match fate {
            Fate::Dropped => self.tally.dropped += 1,
            Fate::Regular => self.send(entry, metric, value, batch),
            Fate::Tombstone => {
                self.tally.tombstones += 1;
                let partition = self.devices[entry.device as usize].partition;
                self.append(batch, entry.device, partition, entry.broker_ms).bytes = None;
            }
            Fate::Malformed(defect) => {
                self.tally.malformed += 1;
                self.value.clear();
                encode::push_hundredths(&mut self.value, encode::hundredths(value));
                let partition = self.devices[entry.device as usize].partition;
                let mut bytes = Vec::new();
                self.parts(entry.device, metric).push_spoiled(&mut bytes, defect);
                self.append(batch, entry.device, partition, entry.broker_ms).bytes = Some(bytes);
            }
            Fate::OutOfOrder(after_ms) => {
                self.tally.out_of_order += 1;
                self.delay(entry, metric, value, (after_ms, false));
            }
            Fate::Late(after_ms) => {
                self.tally.late += 1;
                self.delay(entry, metric, value, (after_ms, false));
            }
        }
        if let Some(again_ms) = again_ms {
            self.tally.duplicates += 1;
            let first_ms = match fate {
                Fate::OutOfOrder(after_ms) | Fate::Late(after_ms) => after_ms,
                _ => 0,
            };
            self.delay(entry, metric, value, (first_ms + again_ms, true));
        }
    }

    /// A message that comes later than its tick.
    fn delay(&mut self, entry: Entry, metric: usize, value: f64, (after_ms, duplicate): (i64, bool)) {
        self.value.clear();
        encode::push_hundredths(&mut self.value, encode::hundredths(value));
        let parts = self.parts(entry.device, metric);
        let bytes = [
            parts.head,
            parts.timestamp,
            &parts.metric.before_value,
            parts.value,
            &parts.metric.after_value,
            parts.tail,
        ]
        .concat();
        let Entry { broker_ms, due_ms, device } = entry;
        let broker_ms = broker_ms + after_ms;
        self.delayed.push(Reverse(Delayed { broker_ms, due_ms, device, metric, duplicate, bytes: Some(bytes) }));
    }

    fn parts(&self, device: u32, metric: usize) -> Parts<'_> {
        let device = &self.devices[device as usize];
        Parts {
            head: &device.head,
            timestamp: &self.stamp,
            metric: &self.texts[device.machine.kind as usize][metric],
            value: &self.value,
            tail: &self.tails[device.tail as usize],
        }
    }

    /// The next message of a partition, without its bytes.
    fn append<'b>(
        &mut self,
        batch: &'b mut Batch<'_>,
        device: u32,
        partition: u32,
        broker_ms: i64,
    ) -> &'b mut SimulatedMessage {
        let offset = &mut self.next_offset[partition as usize];
        let message = batch.message();
        (message.device, message.partition, message.offset, message.broker_ms) =
            (device, partition, *offset, broker_ms);
        *offset += 1;
        self.tally.messages += 1;
        message
    }
}

fn small(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
