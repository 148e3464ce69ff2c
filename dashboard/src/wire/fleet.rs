//! The fleet: counts, and a card a device.

use serde::Serialize;
use utoipa::ToSchema;

/// How grave an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// One method spoke.
    Info,
    /// Two did, or one is far beyond its limit.
    Warning,
    /// Three did, or a critical rule is broken.
    Critical,
}

impl From<model::Severity> for Grade {
    fn from(severity: model::Severity) -> Self {
        match severity {
            model::Severity::Info => Grade::Info,
            model::Severity::Warning => Grade::Warning,
            model::Severity::Critical => Grade::Critical,
        }
    }
}

/// A page of the fleet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Fleet {
    /// End of the newest window of any device; 0 where there is none.
    pub as_of_ms: i64,
    /// A running job feeds it; else it is looked up in the store every few seconds.
    pub live: bool,
    /// It is made of a recording: its newest time is not meant to be the present.
    pub recording: bool,
    /// Data that is older than this does not tell of the present: a few windows and the wait for what comes late.
    pub stale_after_ms: i64,
    /// Of the whole fleet, whatever the filter.
    pub counts: Counts,
    /// All buildings by name.
    pub buildings: Vec<Building>,
    /// All types by name.
    pub types: Vec<TypeCount>,
    /// How many devices match.
    pub total: usize,
    /// A page of them.
    pub devices: Vec<Card>,
}

/// Numbers of the whole fleet.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Counts {
    /// Known devices.
    pub devices: usize,
    /// With an open incident that they are silent.
    pub silent: usize,
    /// Open incidents.
    pub open: OpenCounts,
    /// Devices whose state is one of the newest two windows, by the minute.
    pub states_per_minute: f64,
}

/// Open incidents by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct OpenCounts {
    /// Of one method.
    pub info: usize,
    /// Of two.
    pub warning: usize,
    /// The worst.
    pub critical: usize,
}

impl OpenCounts {
    /// One more.
    pub fn add(&mut self, severity: model::Severity) {
        match severity {
            model::Severity::Info => self.info += 1,
            model::Severity::Warning => self.warning += 1,
            model::Severity::Critical => self.critical += 1,
        }
    }
}

/// A building.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Building {
    /// As the devices send it.
    pub id: String,
    /// Its devices.
    pub devices: usize,
    /// Those of them with an open incident.
    pub in_incident: usize,
}

/// A device type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TypeCount {
    /// Canonical name.
    pub name: String,
    /// For a person.
    pub label: String,
    /// Its devices.
    pub devices: usize,
    /// Those of them with an open incident.
    pub in_incident: usize,
}

/// A device at a glance.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Card {
    /// What it is and how it stands.
    #[serde(flatten)]
    pub face: Face,
    /// At most six: those in trouble first.
    pub metrics: Vec<MetricNow>,
}

/// What a device is and how it stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Face {
    /// As it calls itself; untrusted.
    pub device_id: String,
    /// Canonical type.
    pub device_type: String,
    /// The type for a person.
    pub type_label: String,
    /// Which building.
    pub building_id: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// Its newest event time.
    pub last_seen_ms: Option<i64>,
    /// Nothing comes from it any more.
    pub silent: bool,
    /// Of its gravest open incident.
    pub severity: Option<Grade>,
    /// Consensus score of its newest state, 0 to 1.
    pub score: Option<f64>,
    /// How far the method that has learned least has learned, 0 to 1.
    pub warm_up: f64,
    /// How many incidents are open.
    pub open_incidents: usize,
    /// The gravest open one.
    pub incident: Option<Brief>,
    /// How many metrics it has.
    pub metric_count: usize,
}

/// An incident in a card.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Brief {
    /// Its id.
    pub id: String,
    /// `anomaly` and the like.
    pub kind: String,
    /// One line.
    pub summary: String,
    /// Start of its first window.
    pub started_at_ms: i64,
    /// The highest severity so far.
    pub severity: Grade,
}

/// A metric in the newest state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MetricNow {
    /// Its name.
    pub name: String,
    /// The name for a person.
    pub label: String,
    /// Value of the window.
    pub value: f64,
    /// Canonical unit, empty where unknown.
    pub unit: String,
}
