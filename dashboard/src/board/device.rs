//! What the board keeps of a device.

use std::sync::Arc;

use model::{Expected, Row, StoredIncident, Value, Version, expected_of_row};
use serde::Deserialize;

use super::Known;

/// A device.
#[derive(Clone, Default)]
pub(crate) struct Device {
    pub(crate) id: String,
    pub(crate) device_type: String,
    pub(crate) location: Option<String>,
    pub(crate) building_id: Option<String>,
    pub(crate) newest: Option<Arc<Newest>>,
    pub(crate) totals: Totals,
    totals_version: Option<Version>,
    /// The gravest first.
    pub(crate) open: Vec<Arc<Known>>,
}

/// Counted of a device.
#[derive(Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) states: i64,
    pub(crate) unusual_states: i64,
    pub(crate) readings: i64,
    pub(crate) duplicates: i64,
    pub(crate) incidents: i64,
    pub(crate) last_seen_ms: Option<i64>,
}

impl Totals {
    /// Reads a row of `device_statistics`.
    pub(crate) fn of_row(row: &Row) -> Totals {
        let count = |column| row.value(column).as_int().unwrap_or_default();
        Totals {
            states: count("total_snapshots"),
            unusual_states: count("anomaly_count"),
            readings: count("records_windowed"),
            duplicates: count("records_duplicate"),
            incidents: count("incidents"),
            last_seen_ms: row.value("last_seen").as_int(),
        }
    }
}

/// A device's newest state.
#[derive(Clone)]
pub(crate) struct Newest {
    pub(crate) start_ms: i64,
    version: Version,
    device_type: String,
    location: Option<String>,
    building_id: Option<String>,
    pub(crate) score: Option<f64>,
    pub(crate) warm_up: f64,
    /// By name.
    pub(crate) metrics: Vec<(String, f64)>,
    /// What was predicted of them, by name.
    expected: Vec<(String, Expected)>,
    /// Metrics that findings are about, the strongest first.
    pub(crate) findings: Vec<String>,
}

/// As much of a verdict as the board shows.
#[derive(Deserialize)]
struct VerdictHead {
    warm_up: f64,
    severity: Option<String>,
    findings: Vec<FindingHead>,
}

#[derive(Deserialize)]
struct FindingHead {
    metric: Option<String>,
}

impl Newest {
    /// Reads a row of `device_state_snapshots`; `None`: it is none.
    pub(crate) fn of_row(row: &Row) -> Option<Newest> {
        let text = |column| row.value(column).as_text().map(str::to_owned);
        let verdicts: Vec<VerdictHead> =
            row.value("verdicts").as_text().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let metrics = match row.value("metrics") {
            Value::Map(map) => map.iter().map(|(name, value)| (name.clone(), *value)).collect(),
            _ => Vec::new(),
        };
        let mut findings: Vec<String> = Vec::new();
        for finding in verdicts.iter().filter(|verdict| verdict.severity.is_some()).flat_map(|one| &one.findings) {
            if let Some(metric) = &finding.metric
                && !findings.contains(metric)
            {
                findings.push(metric.clone());
            }
        }
        Some(Newest {
            start_ms: row.value("snapshot_time").as_int()?,
            version: row.version,
            device_type: text("device_type").unwrap_or_default(),
            location: text("location"),
            building_id: text("building_id"),
            score: row.value("anomaly_score").as_double(),
            warm_up: verdicts.iter().map(|verdict| verdict.warm_up).fold(1.0, f64::min),
            metrics,
            expected: expected_of_row(row).map(|(name, expected)| (name.to_owned(), expected)).collect(),
            findings,
        })
    }

    /// What was predicted of a metric.
    pub(crate) fn expected(&self, metric: &str) -> Option<Expected> {
        let at = self.expected.binary_search_by(|(known, _)| known.as_str().cmp(metric)).ok()?;
        Some(self.expected[at].1)
    }
}

impl Device {
    pub(crate) fn new(id: &str) -> Device {
        Device { id: id.to_owned(), ..Device::default() }
    }

    /// Takes a state that is newer than the one it has.
    pub(super) fn take_state(&mut self, newest: Newest) -> bool {
        let order = |state: &Newest| (state.start_ms, state.version);
        if self.newest.as_deref().is_some_and(|known| order(known) >= order(&newest)) {
            return false;
        }
        self.device_type.clone_from(&newest.device_type);
        self.location.clone_from(&newest.location);
        self.building_id.clone_from(&newest.building_id);
        self.newest = Some(Arc::new(newest));
        true
    }

    pub(super) fn take_totals(&mut self, version: Version, totals: Totals) -> bool {
        if self.totals_version.is_some_and(|known| known >= version) {
            return false;
        }
        (self.totals, self.totals_version) = (totals, Some(version));
        true
    }

    /// Where an incident says that it is, as long as no state does.
    pub(super) fn place_of(&mut self, incident: &StoredIncident) {
        if self.newest.is_none() && self.device_type.is_empty() {
            self.device_type.clone_from(&incident.device_type);
            self.location.clone_from(&incident.location);
            self.building_id.clone_from(&incident.building_id);
        }
    }

    /// Nothing comes from it any more.
    pub(crate) fn is_silent(&self) -> bool {
        self.open.iter().any(|known| known.incident.kind == "silent")
    }
}
