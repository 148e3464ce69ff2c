//! Which series a message belongs to: one look-up on borrowed names, and the limits on how many there may be.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher as _;

use hashbrown::HashTable;
use model::device::Conversion;
use model::hash::{hash_text, hash_texts};
use model::message::Rejected;
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
}

impl Entry {
    /// A value as sent in the canonical unit.
    pub fn convert(&self, value: f64) -> f64 {
        value * self.conversion.scale + self.conversion.offset
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

/// The series of a partition.
#[derive(Default)]
pub struct Interner {
    entries: Vec<Entry>,
    table: HashTable<usize>,
    hasher: hashbrown::DefaultHashBuilder,
}

impl Interner {
    /// The series of a message; a new one is checked against catalogue and limits first.
    ///
    /// # Errors
    /// `unknown_unit`, `too_many_devices`, `too_many_metrics`.
    pub fn find_or_admit(
        &mut self,
        message: &Message<'_>,
        catalogue: &Catalogue,
        known: &mut Known,
        settings: &JobSettings,
    ) -> Result<Found, Rejected> {
        let hash = self.hasher.hash_one((&message.device_id, &message.metric_name));
        if let Some(&at) = self.table.find(hash, |&at| self.entries[at].sent.is(message)) {
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
    pub fn len(&self) -> usize {
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
