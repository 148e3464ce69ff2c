//! One device: what it is like now, over time, and when it was like this before.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Face, Grade, IncidentCard};

/// A device in full.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Device {
    /// What it is and how it stands.
    #[serde(flatten)]
    pub face: Face,
    /// Its oldest event time.
    pub first_seen_ms: Option<i64>,
    /// Counted since then.
    pub totals: DeviceTotals,
    /// All metrics of the newest state.
    pub metrics: Vec<MetricBand>,
    /// What is normal for it; none before it is learned.
    pub profile: Option<Profile>,
    /// The newest fifty.
    pub incidents: Vec<IncidentCard>,
}

/// Counted of a device.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct DeviceTotals {
    /// Windows with a state.
    pub states: i64,
    /// Those that were unusual.
    pub unusual_states: i64,
    /// Readings in states.
    pub readings: i64,
    /// Readings that came twice.
    pub duplicates: i64,
    /// Incidents ever opened.
    pub incidents: i64,
}

/// A metric now, with the band in which it is expected.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MetricBand {
    /// Its name.
    pub name: String,
    /// The name for a person.
    pub label: String,
    /// Canonical unit, empty where unknown.
    pub unit: String,
    /// Value of the newest window.
    pub value: Option<f64>,
    /// What the statistics predicted of it before they saw it; none while they learn, and of what is no measurement that they predict.
    pub expected: Option<f64>,
    /// Lower end of the band around that, within what is plausible: a value beyond it is unusual if it stays.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// What is normal for a device.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Profile {
    /// As of this time.
    pub updated_ms: Option<i64>,
    /// Normal states that it was learned from.
    pub normal_states: i64,
    /// By name.
    pub metrics: Vec<ProfileMetric>,
}

/// What is normal for a metric.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProfileMetric {
    /// Its name.
    pub name: String,
    /// The name for a person.
    pub label: String,
    /// Canonical unit, empty where unknown.
    pub unit: String,
    /// What the profile holds: `mean`, `std`, `min`, `max`.
    #[serde(flatten)]
    pub stats: BTreeMap<String, f64>,
}

/// A device over time, in equal steps.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Series {
    /// First step.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// Width of a window.
    pub window_ms: i64,
    /// Width of a step, a multiple of the window's.
    pub step_ms: i64,
    /// Start of every step, also where nothing came.
    pub times_ms: Vec<i64>,
    /// By name.
    pub metrics: Vec<MetricSeries>,
    /// The methods' scores.
    pub methods: Methods,
    /// The highest severity in each step.
    pub severity: Vec<Option<Grade>>,
    /// Incidents that last into this time, newest first.
    pub incidents: Vec<IncidentCard>,
}

/// A metric over time; null where nothing came.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct MetricSeries {
    /// Its name.
    pub name: String,
    /// The name for a person.
    pub label: String,
    /// Canonical unit, empty where unknown.
    pub unit: String,
    /// Means weighted by their readings.
    pub mean: Vec<Option<f64>>,
    /// Lowest reading.
    pub min: Vec<Option<f64>>,
    /// Highest reading.
    pub max: Vec<Option<f64>>,
    /// What the statistics predicted before they saw it, the mean over a step's states for which they did; null where they learned, and of
    /// what is no measurement that they predict (weather, set points, switches, counters).
    pub expected: Vec<Option<f64>>,
    /// Lower end of the band around that, within what is plausible: less the mean of how far a value could be away, for as long as it
    /// liked, without being unusual to them.
    pub low: Vec<Option<f64>>,
    /// Upper end.
    pub high: Vec<Option<f64>>,
}

/// The highest score of each method in each step; null where there is no state.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Methods {
    /// Limits and relations.
    pub rules: Vec<Option<f64>>,
    /// Each metric's own past.
    pub statistics: Vec<Option<f64>>,
    /// The whole against its usual place.
    pub fingerprint: Vec<Option<f64>>,
    /// Whether it was ever like this.
    pub similar: Vec<Option<f64>>,
    /// All together.
    pub consensus: Vec<Option<f64>>,
}

/// States like one, of the same device.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Similar {
    /// Start of the state's window.
    pub at_ms: i64,
    /// What made the vectors; none where there are none.
    pub method: Option<String>,
    /// The state's metrics.
    pub metrics: BTreeMap<String, f64>,
    /// The most like it first.
    pub states: Vec<Likeness>,
    /// Why there are none.
    pub note: Option<String>,
}

/// A state like another.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Likeness {
    /// Start of its window.
    pub at_ms: i64,
    /// Cosine of the two vectors.
    pub cosine: f64,
    /// Its metrics.
    pub metrics: BTreeMap<String, f64>,
    /// What it became.
    pub became: Became,
}

/// What became of a state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Became {
    /// For a person.
    pub text: String,
    /// The incident that it was part of, or that followed.
    pub incident_id: Option<String>,
}
