//! Incidents, in a list and in full.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Became, Grade};

/// A page of incidents.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Incidents {
    /// How many match.
    pub total: usize,
    /// Open before closed, newest first.
    pub incidents: Vec<IncidentCard>,
}

/// An incident in a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IncidentCard {
    /// Made from device, kind and start: a replay gives the same one.
    pub id: String,
    /// Which device; untrusted.
    pub device_id: String,
    /// Its canonical type.
    pub device_type: String,
    /// The type for a person.
    pub type_label: String,
    /// Which building.
    pub building_id: Option<String>,
    /// Where it is.
    pub location: Option<String>,
    /// `anomaly`, `silent`, `missing:METRIC` and the like.
    pub kind: String,
    /// `open` or `closed`.
    pub status: &'static str,
    /// The highest severity.
    pub severity: Grade,
    /// Start of the first anomalous window.
    pub started_at_ms: i64,
    /// End of the last one so far.
    pub ended_at_ms: i64,
    /// From its start to its end; of an open one to the fleet's newest time.
    pub duration_ms: i64,
    /// When it was known.
    pub detected_at_ms: i64,
    /// Window of the peak.
    pub peak_at_ms: i64,
    /// Score of the peak, 0 to 1.
    pub score: f64,
    /// One line.
    pub summary: String,
    /// Methods that agreed.
    pub methods: Vec<&'static str>,
    /// `false_positive`, `resolved` or `maintenance` where people said so.
    pub resolution: Option<String>,
    /// In their words.
    pub note: Option<String>,
    /// What they said and the job has not taken up yet.
    pub asked: Option<Asked>,
}

/// A word on an incident that waits to take effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asked {
    /// `false_positive`, `resolved` or `maintenance`.
    #[serde(rename = "as")]
    pub resolution: String,
    /// In their words.
    pub note: Option<String>,
    /// When it was asked for.
    pub asked_at_ms: Option<i64>,
}

/// An incident in full.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Incident {
    /// As in a list.
    #[serde(flatten)]
    pub card: IncidentCard,
    /// Strongest first.
    pub contributions: Vec<Part>,
    /// Earlier states like the peak.
    pub similar: Vec<SimilarTime>,
    /// What happened, by time.
    pub timeline: Vec<Moment>,
    /// How the metrics stood to the device's peers at the peak.
    pub peers: Vec<Peer>,
}

/// A metric's part in an incident.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Part {
    /// Its name.
    pub metric: String,
    /// The name for a person.
    pub label: String,
    /// Share of the evidence, 0 to 1.
    pub share: f64,
    /// The furthest value.
    pub observed: f64,
    /// What was expected there.
    pub expected: Option<f64>,
    /// Unit of both, empty where unknown.
    pub unit: String,
    /// What was found: a rule's id, `residual`, `range` and the like.
    pub kind: String,
}

/// An earlier state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SimilarTime {
    /// Start of its window.
    pub at_ms: i64,
    /// Cosine of the two states.
    pub cosine: f64,
    /// What it became.
    pub became: Became,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Moment {
    /// When.
    pub at_ms: i64,
    /// What, for a person.
    pub what: String,
}

/// A metric among the device's peers.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Peer {
    /// Its name.
    pub metric: String,
    /// The name for a person.
    pub label: String,
    /// Unit, empty where unknown.
    pub unit: String,
    /// Start of the window of the peers' values.
    pub at_ms: i64,
    /// The device's own.
    pub value: f64,
    /// Devices of the type that had it.
    pub count: u32,
    /// The lowest of them.
    pub min: f64,
    /// A quarter lies below.
    pub low: f64,
    /// The middle one.
    pub median: f64,
    /// A quarter lies above.
    pub high: f64,
    /// The highest.
    pub max: f64,
}
