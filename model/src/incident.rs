//! Incidents: alarms with a start and an end.

use serde::{Deserialize, Serialize};

use crate::hash::hash_texts;
use crate::state::{Method, Severity};

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IncidentStatus {
    /// It lasts.
    Open,
    /// It ended.
    Closed,
}

/// One metric's part in an incident.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Metric name.
    pub metric: String,
    /// Share of the evidence from 0 to 1; the shares of an incident sum to at most 1.
    pub share: f64,
    /// The furthest value over the incident's windows, in the direction in which the metric was away, in `unit`.
    pub observed: f64,
    /// What was expected where it was furthest among the accused windows, in `unit`.
    pub expected: Option<f64>,
    /// The metric's unit, empty where unknown.
    pub unit: String,
    /// What was found (see `Finding::kind`).
    pub kind: String,
}

/// An alarm: one row that is extended while it lasts. Its identity is (device, kind, start window), so a replay
/// writes the same row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// `anomaly` (consensus of the methods), `stuck`, `missing`, `erratic`, `gaps` or `silent`; with `:metric` behind it where it is about
    /// one.
    pub kind: String,
    /// Start of the first window of the run that was confirmed (not of the confirming one).
    pub start_ms: i64,
    /// End of the last anomalous window so far.
    pub end_ms: i64,
    /// Start of the window whose state confirmed it.
    pub detected_ms: i64,
    /// Open or closed.
    pub status: IncidentStatus,
    /// Counts opening, changes of severity and closing, from 1.
    pub transition: u32,
    /// The highest severity so far.
    pub severity: Severity,
    /// The highest consensus score so far, 0 to 1.
    pub peak_score: f64,
    /// Window start of the peak: where the first contribution was furthest.
    pub peak_ms: i64,
    /// The methods that ever agreed, in order.
    pub methods: Vec<Method>,
    /// Ranked: the metric of the gravest broken rule, then the strongest first.
    pub contributions: Vec<Contribution>,
    /// One line for a person.
    pub summary: String,
    /// Earlier states most like the one that last moved the peak: (window start, cosine), nearest first.
    pub similar: Vec<(i64, f64)>,
}

impl Incident {
    /// `anomaly_id`: a version 1 UUID made from device, kind and start alone, with `detected_ms` as its time.
    pub fn id(&self, device_id: &str) -> uuid::Uuid {
        let content = hash_texts(&[device_id, &self.kind, &self.start_ms.to_string()]);
        let [c0, c1, node @ ..] = content.to_be_bytes();
        let ticks = self.detected_ms.saturating_mul(10_000).saturating_add(GREGORIAN_TO_UNIX_TICKS);
        let clock = u16::from_be_bytes([c0 & 0x3f, c1]);
        uuid::Builder::from_gregorian_timestamp(ticks.max(0).cast_unsigned(), clock, &multicast(node)).into_uuid()
    }
}

/// 100 ns steps from 1582-10-15 to 1970-01-01 (RFC 9562 part 5.1).
const GREGORIAN_TO_UNIX_TICKS: i64 = 0x01B2_1DD2_1381_4000;

/// RFC 9562 part 6.10: a node that is no network card's has the multicast bit set.
fn multicast(mut node: [u8; 6]) -> [u8; 6] {
    node[0] |= 1;
    node
}
