//! The board as it is shown: cards, counts, and the order by trouble.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Severity, StoredIncident};

use super::{Device, Known, Words};
use crate::labels::{label, unit_of};
use crate::wire::{Brief, Building, Card, Counts, Face, IncidentCard, MetricNow, OpenCounts, TypeCount};

/// Metrics in a card.
const CARD_METRICS: usize = 6;

/// The fleet at one moment.
pub(crate) struct View {
    /// By id.
    pub(crate) devices: Vec<Arc<Device>>,
    pub(crate) width_ms: i64,
    /// Start of the newest state's window.
    pub(crate) newest_ms: Option<i64>,
}

impl View {
    /// End of the newest window; 0 where there is none.
    pub(crate) fn as_of_ms(&self) -> i64 {
        self.newest_ms.map_or(0, |newest_ms| newest_ms.saturating_add(self.width_ms))
    }

    pub(crate) fn counts(&self) -> Counts {
        let mut open = OpenCounts::default();
        self.devices.iter().flat_map(|device| &device.open).for_each(|known| open.add(known.incident.severity));
        let recent_ms = self.newest_ms.map(|newest_ms| newest_ms.saturating_sub(self.width_ms));
        let recent = self.devices.iter().filter_map(|device| device.newest.as_ref());
        let recent = recent.filter(|newest| Some(newest.start_ms) >= recent_ms).count();
        #[expect(clippy::cast_precision_loss, reason = "a number of devices and of milliseconds a day at most")]
        let states_per_minute = recent as f64 * 60_000.0 / self.width_ms as f64;
        Counts {
            devices: self.devices.len(),
            silent: self.devices.iter().filter(|device| device.is_silent()).count(),
            open,
            states_per_minute,
        }
    }

    pub(crate) fn buildings(&self) -> Vec<Building> {
        let mut all: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for device in &self.devices {
            if let Some(building) = &device.building_id {
                let (devices, in_incident) = all.entry(building).or_default();
                *devices += 1;
                *in_incident += usize::from(!device.open.is_empty());
            }
        }
        let building = |(id, (devices, in_incident)): (&str, _)| Building { id: id.to_owned(), devices, in_incident };
        all.into_iter().map(building).collect()
    }

    pub(crate) fn types(&self) -> Vec<TypeCount> {
        let mut all: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for device in self.devices.iter().filter(|device| !device.device_type.is_empty()) {
            let (devices, in_incident) = all.entry(&device.device_type).or_default();
            *devices += 1;
            *in_incident += usize::from(!device.open.is_empty());
        }
        let count = |(name, (devices, in_incident)): (&str, _)| TypeCount {
            name: name.to_owned(),
            label: label(name),
            devices,
            in_incident,
        };
        all.into_iter().map(count).collect()
    }
}

/// How a device is sorted by trouble: critical, warning, silent, info, then by score.
pub(crate) fn trouble(device: &Device) -> (Reverse<u8>, Reverse<u64>) {
    let gravest = device.open.first().map(|known| known.incident.severity);
    let rank = match (gravest, device.is_silent()) {
        (Some(Severity::Critical), _) => 4,
        (Some(Severity::Warning), _) => 3,
        (_, true) => 2,
        (Some(Severity::Info), _) => 1,
        (None, _) => 0,
    };
    // A score is not negative, so its bits have its order.
    let score = device.newest.as_ref().and_then(|newest| newest.score).unwrap_or_default().max(0.0);
    (Reverse(rank), Reverse(score.to_bits()))
}

/// A device without its metrics.
pub(crate) fn face(device: &Device) -> Face {
    let newest = device.newest.as_deref();
    Face {
        device_id: device.id.clone(),
        device_type: device.device_type.clone(),
        type_label: label(&device.device_type),
        building_id: device.building_id.clone(),
        location: device.location.clone(),
        last_seen_ms: device.totals.last_seen_ms.max(newest.map(|newest| newest.start_ms)),
        silent: device.is_silent(),
        severity: device.open.first().map(|known| known.incident.severity.into()),
        score: newest.and_then(|newest| newest.score),
        warm_up: newest.map_or(0.0, |newest| newest.warm_up),
        open_incidents: device.open.len(),
        incident: device.open.first().map(|known| brief(&known.incident)),
        metric_count: newest.map_or(0, |newest| newest.metrics.len()),
    }
}

/// A device at a glance.
pub(crate) fn card(device: &Device) -> Card {
    let mut metrics: Vec<MetricNow> = Vec::new();
    if let Some(newest) = device.newest.as_deref() {
        let accused = device.open.iter().flat_map(|known| known.incident.contributions.iter().map(|part| &part.metric));
        let found = newest.findings.iter();
        for name in accused.chain(found).chain(newest.metrics.iter().map(|(name, _)| name)) {
            if metrics.len() == CARD_METRICS {
                break;
            }
            let known = newest.metrics.binary_search_by(|(known, _)| known.cmp(name)).map(|at| newest.metrics[at].1);
            if let Ok(value) = known
                && !metrics.iter().any(|metric| metric.name == *name)
            {
                let unit = unit_of(&device.device_type, name).to_owned();
                metrics.push(MetricNow { name: name.clone(), label: label(name), value, unit });
            }
        }
    }
    Card { face: face(device), metrics }
}

/// An incident in a card.
fn brief(incident: &StoredIncident) -> Brief {
    Brief {
        id: incident.id.clone(),
        kind: incident.kind.clone(),
        summary: incident.summary.clone(),
        started_at_ms: incident.start_ms,
        severity: incident.severity.into(),
    }
}

/// An incident in a list, with what people said of it; an open one has lasted until the fleet's newest time.
pub(crate) fn incident_card(known: &Known, words: &Words, as_of_ms: i64) -> IncidentCard {
    let incident = &known.incident;
    let said = words.get(&incident.id).map_or(&[][..], Vec::as_slice);
    let asked = said.iter().rev().find(|word| !word.in_effect).map(|word| word.said.clone());
    // The row may be older than the word, which the job writes into it behind the board's back.
    let (resolution, note) = match said.iter().rev().find(|word| word.in_effect) {
        Some(word) => (Some(word.said.resolution.clone()), word.said.note.clone()),
        None => (Some(incident.resolution.clone()), incident.note.clone()),
    };
    IncidentCard {
        id: incident.id.clone(),
        device_id: incident.device_id.clone(),
        device_type: incident.device_type.clone(),
        type_label: label(&incident.device_type),
        building_id: incident.building_id.clone(),
        location: incident.location.clone(),
        kind: incident.kind.clone(),
        status: if incident.open { "open" } else { "closed" },
        severity: incident.severity.into(),
        started_at_ms: incident.start_ms,
        ended_at_ms: incident.end_ms,
        duration_ms: incident.until_ms(as_of_ms) - incident.start_ms,
        detected_at_ms: incident.detected_ms,
        peak_at_ms: incident.peak_ms,
        score: incident.peak_score,
        summary: incident.summary.clone(),
        methods: incident.methods.iter().map(|method| method.name()).collect(),
        resolution: resolution.filter(|resolution| !resolution.is_empty() && resolution != "open"),
        note,
        asked,
    }
}
