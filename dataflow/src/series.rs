//! Which series a message belongs to: one look-up on borrowed names, and the limits on how many there may be.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use model::device::Conversion;
use model::hash::{hash_text, hash_texts};
use model::message::{RecentTimestamp, Rejected, Shape};
use model::{Catalogue, DeadLetterReason, Message};

use crate::directory::{Introduction, Place};
use crate::settings::JobSettings;

/// A series of a partition.
pub struct Entry {
    /// Hash of its names.
    pub series: u64,
    /// Low half of the device's hash.
    pub route_low: u32,
    /// From the unit as sent to the canonical one.
    pub conversion: Conversion,
    /// Canonical device type.
    pub device_type: String,
    sent: Sent,
    /// How its messages look, where they are of the flat form.
    shape: Option<Shape>,
    /// How often that has changed.
    shape_changes: u8,
    /// The entry whose message came behind this one's last time.
    next: usize,
}

/// Changes after which a series that is sent now in this form, now in another keeps the shape it has.
const MOST_SHAPE_CHANGES: u8 = 16;

/// The entry behind which nothing has come yet.
const NONE: usize = usize::MAX;

fn convert(conversion: Conversion, value: f64) -> f64 {
    value * conversion.scale + conversion.offset
}

fn check(conversion: Conversion, value: f64) -> Result<(), Rejected> {
    if convert(conversion, value).is_finite() {
        return Ok(());
    }
    let detail = format!("field \"metric_value\" is {value:e}, too large for the metric's unit");
    Err(Rejected::new(DeadLetterReason::NotFinite, detail))
}

impl Entry {
    /// A value as sent in the canonical unit.
    pub fn convert(&self, value: f64) -> f64 {
        convert(self.conversion, value)
    }

    /// Whether a value is finite in the canonical unit, too.
    ///
    /// # Errors
    /// `not_finite`.
    pub fn check(&self, value: f64) -> Result<(), Rejected> {
        check(self.conversion, value)
    }

    /// A message of this series, put together again.
    pub fn message(&self, timestamp_ms: i64, metric_value: f64) -> Message<'_> {
        let Sent { device_id, device_type, metric_name, unit, location, building_id } = &self.sent;
        Message {
            device_id: Cow::Borrowed(device_id),
            device_type: Cow::Borrowed(device_type),
            timestamp_ms,
            metric_name: Cow::Borrowed(metric_name),
            metric_value,
            unit: unit.as_deref().map(Cow::Borrowed),
            location: location.as_deref().map(Cow::Borrowed),
            building_id: building_id.as_deref().map(Cow::Borrowed),
        }
    }
}

/// The names as they were sent.
struct Sent {
    device_id: String,
    device_type: String,
    metric_name: String,
    unit: Option<String>,
    location: Option<String>,
    building_id: Option<String>,
}

impl Sent {
    fn is(&self, message: &Message<'_>) -> bool {
        self.metric_name == message.metric_name
            && self.device_id == message.device_id
            && self.device_type == message.device_type
            && self.unit.as_deref() == message.unit.as_deref()
            && self.location.as_deref() == message.location.as_deref()
            && self.building_id.as_deref() == message.building_id.as_deref()
    }
}

/// Where an entry is, and whether this message made it.
#[derive(Clone, Copy)]
pub struct Found {
    /// Index of the entry.
    pub at: usize,
    /// It has to be introduced.
    pub is_new: bool,
}

/// What was recalled of a message: its series, and the two values that change.
#[derive(Clone, Copy)]
pub struct Recalled {
    /// Index of the entry.
    pub at: usize,
    /// Event time.
    pub timestamp_ms: i64,
    /// As sent.
    pub value: f64,
}

/// The series of a partition.
pub struct Interner {
    entries: Vec<Entry>,
    table: HashTable<usize>,
    hasher: hashbrown::DefaultHashBuilder,
    /// The entry of the last message.
    last: usize,
    recent: RecentTimestamp,
}

impl Default for Interner {
    fn default() -> Self {
        Interner {
            entries: Vec::new(),
            table: HashTable::new(),
            hasher: Default::default(),
            last: NONE,
            recent: RecentTimestamp::default(),
        }
    }
}

impl Interner {
    /// Devices send their metrics in the same order again and again: if the message is of the series that came behind the
    /// last one's the time before, and looks the same, nothing has to be decoded or looked up. `None` says nothing.
    #[inline]
    pub fn recall(&mut self, bytes: &[u8]) -> Option<Recalled> {
        let at = self.entries.get(self.last)?.next;
        let (timestamp_ms, value) = self.entries.get(at)?.shape.as_ref()?.read(bytes, &mut self.recent)?;
        self.last = at;
        Some(Recalled { at, timestamp_ms, value })
    }

    /// Notes the series of a message that was not recalled.
    pub fn note(&mut self, at: usize, bytes: &[u8]) {
        if let Some(last) = self.entries.get_mut(self.last) {
            let was_expected = std::mem::replace(&mut last.next, at) == at;
            let entry = &mut self.entries[at];
            if was_expected && entry.shape_changes < MOST_SHAPE_CHANGES {
                entry.shape_changes += 1;
                entry.shape = Shape::of(bytes);
            }
        }
        let entry = &mut self.entries[at];
        if entry.shape.is_none() && entry.shape_changes < MOST_SHAPE_CHANGES {
            entry.shape_changes += 1;
            entry.shape = Shape::of(bytes);
        }
        self.last = at;
    }

    /// The series of a message; a new one is checked against catalogue and limits first.
    ///
    /// # Errors
    /// `unknown_unit`, `not_finite`, `too_many_devices`, `too_many_metrics`.
    pub fn find_or_admit(
        &mut self,
        message: &Message<'_>,
        catalogue: &Catalogue,
        known: &mut Known,
        settings: &JobSettings,
    ) -> Result<Found, Rejected> {
        let hash = self.hasher.hash_one((&message.device_id, &message.metric_name));
        if let Some(&at) = self.table.find(hash, |&at| self.entries[at].sent.is(message)) {
            self.entries[at].check(message.metric_value)?;
            return Ok(Found { at, is_new: false });
        }
        let device_type = catalogue.normalise_type(&message.device_type).into_owned();
        let unit = message.unit.as_deref();
        let Some(conversion) = catalogue.conversion(&device_type, &message.metric_name, unit) else {
            let detail = format!(
                "unit {:?} is none of metric {:?} of type {device_type:?}",
                unit.unwrap_or_default(),
                message.metric_name
            );
            return Err(Rejected::new(DeadLetterReason::UnknownUnit, detail));
        };
        check(conversion, message.metric_value)?;
        let route = hash_text(&message.device_id);
        known.admit((route, hash_text(&message.metric_name)), settings)?;
        let location = message.location.as_deref();
        let building = message.building_id.as_deref();
        let names = [
            &message.device_id,
            &message.metric_name,
            device_type.as_str(),
            location.unwrap_or("\0"),
            building.unwrap_or("\0"),
        ];
        let owned = |name: Option<&str>| name.map(str::to_owned);
        self.entries.push(Entry {
            series: hash_texts(&names),
            #[expect(clippy::cast_possible_truncation, reason = "the low half is meant")]
            route_low: route as u32,
            conversion,
            device_type,
            sent: Sent {
                device_id: message.device_id.to_string(),
                device_type: message.device_type.to_string(),
                metric_name: message.metric_name.to_string(),
                unit: owned(unit),
                location: owned(location),
                building_id: owned(building),
            },
            shape: None,
            shape_changes: 0,
            next: NONE,
        });
        let at = self.entries.len() - 1;
        let (entries, hasher) = (&self.entries, &self.hasher);
        self.table.insert_unique(hash, at, |&at| {
            let sent = &entries[at].sent;
            hasher.hash_one((&sent.device_id, &sent.metric_name))
        });
        Ok(Found { at, is_new: true })
    }

    /// An entry.
    pub fn entry(&self, at: usize) -> &Entry {
        &self.entries[at]
    }

    /// The introduction of an entry to its device's worker.
    pub fn introduce(&self, at: usize) -> Introduction {
        let entry = &self.entries[at];
        Introduction {
            series: entry.series,
            route: u64::from(entry.route_low),
            device_id: entry.sent.device_id.clone(),
            metric_name: entry.sent.metric_name.clone(),
            place: Place {
                device_type: entry.device_type.clone(),
                location: entry.sent.location.clone(),
                building_id: entry.sent.building_id.clone(),
            },
        }
    }
}

/// The devices and metrics that a partition has shown, in order. A checkpoint keeps them, because whether a record is one
/// too many depends on all before it.
#[derive(Default)]
pub struct Known {
    pairs: Vec<(u64, u64)>,
    seen: HashSet<(u64, u64)>,
    metrics: HashMap<u64, usize>,
}

impl Known {
    /// From a checkpoint.
    pub fn from_pairs(pairs: &[(u64, u64)]) -> Self {
        let mut known = Known::default();
        for &pair in pairs {
            known.add(pair);
        }
        known
    }

    /// How many (device, metric) pairs there are.
    pub fn count(&self) -> usize {
        self.pairs.len()
    }

    /// The first `count` pairs.
    pub fn first(&self, count: usize) -> Vec<(u64, u64)> {
        self.pairs[..count].to_vec()
    }

    fn add(&mut self, pair: (u64, u64)) {
        if self.seen.insert(pair) {
            self.pairs.push(pair);
            *self.metrics.entry(pair.0).or_default() += 1;
        }
    }

    fn admit(&mut self, pair: (u64, u64), settings: &JobSettings) -> Result<(), Rejected> {
        match self.metrics.get(&pair.0) {
            None if self.metrics.len() >= settings.max_devices => {
                let detail = format!("the partition has {} devices already (max_devices)", self.metrics.len());
                return Err(Rejected::new(DeadLetterReason::TooManyDevices, detail));
            }
            Some(&metrics) if metrics >= settings.max_metrics && !self.seen.contains(&pair) => {
                let detail = format!("the device has {metrics} metrics already (max_metrics)");
                return Err(Rejected::new(DeadLetterReason::TooManyMetrics, detail));
            }
            _ => {}
        }
        self.add(pair);
        Ok(())
    }
}
