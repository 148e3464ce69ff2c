//! A state (one device, one window) and what the methods say of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::device::DeviceType;
use crate::incident::Incident;
use crate::peers::{Compared, Peers};

/// One metric of one device over one window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// The reading with the highest (timestamp, partition, offset).
    pub last: f64,
    /// Sum in (timestamp, partition, offset) order divided by the count.
    pub mean: f64,
    /// Lowest reading.
    pub min: f64,
    /// Highest reading.
    pub max: f64,
    /// Readings in the window, duplicates not counted; at least 1.
    pub count: u32,
}

/// A state as the detectors see it. Metrics are in slots: slot numbers are given to a device's metrics in the order
/// (first window, name), never change afterwards, and so depend on the records alone.
#[derive(Clone, Copy, Debug)]
pub struct StateView<'a> {
    /// Window start, milliseconds since the epoch.
    pub start_ms: i64,
    /// Window width in milliseconds.
    pub width_ms: i64,
    /// `None` for a type that the catalogue lacks.
    pub device_type: Option<&'a DeviceType>,
    /// Metric names by slot.
    pub names: &'a [String],
    /// Aggregates by slot, same length as `names`; `None`: no reading in this window.
    pub metrics: &'a [Option<Aggregate>],
    /// By slot what the device's peers showed in a window before; shorter than `names` where there is no more to tell.
    pub peers: &'a [Option<Peers>],
    /// Start of that window.
    pub peers_ms: i64,
    /// What is added to `start_ms` to get the time on the clock where the device stands, in milliseconds.
    pub offset_ms: i64,
}

impl StateView<'_> {
    /// Window start on the clock where the device stands: what an hour of the day and a weekend are told from.
    pub fn local_ms(&self) -> i64 {
        self.start_ms.saturating_add(self.offset_ms)
    }

    /// The aggregate of a metric by name, if it has a reading in this window.
    pub fn metric(&self, name: &str) -> Option<&Aggregate> {
        let slot = self.names.iter().position(|known| known == name)?;
        self.metrics[slot].as_ref()
    }
}

/// The four independent methods, in their fixed order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Limits and relations from the catalogue.
    Rules,
    /// Incremental statistics of each metric and of all together.
    Statistics,
    /// Cosine to the centroid of the device's own normal states.
    Fingerprint,
    /// Too few near neighbours among earlier normal states.
    Similar,
}

impl Method {
    /// All methods in order.
    pub const ALL: [Method; 4] = [Method::Rules, Method::Statistics, Method::Fingerprint, Method::Similar];

    /// The name used in rows and reports.
    pub fn name(self) -> &'static str {
        match self {
            Method::Rules => "rules",
            Method::Statistics => "statistics",
            Method::Fingerprint => "fingerprint",
            Method::Similar => "similar",
        }
    }
}

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// One method.
    Info,
    /// Two methods.
    Warning,
    /// Three or more, or a critical rule.
    Critical,
}

impl Severity {
    /// All of them, rising.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    /// A severity by its name.
    pub fn by_name(name: &str) -> Option<Severity> {
        Severity::ALL.into_iter().find(|known| known.name() == name)
    }

    /// The name used in rows and reports.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// One reason behind a verdict, with the numbers to redo it by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found: a rule's id, or one of the words of the detectors (`residual`, `range`, `season`, `jump`,
    /// `level`, `relation`, `stuck`, `missing`, `erratic`, `gaps`, `centroid`, `peers`, `neighbours`), or why something keeps silent (`new_operating_point`,
    /// `raised_bar`, `maintenance`, `whole_type`).
    pub kind: String,
    /// The metric it is about; `None` where it is about the whole state.
    pub metric: Option<String>,
    /// What was seen, in the metric's unit (or the method's own scale where `metric` is `None`).
    pub observed: f64,
    /// What was expected, same unit.
    pub expected: Option<f64>,
    /// The score that was compared, in the detector's own scale.
    pub score: f64,
    /// The limit it was compared with, same scale as `score`.
    pub limit: f64,
    /// The metric's unit, empty where unknown.
    pub unit: String,
    /// One sentence for a person.
    pub text: String,
    /// Further numbers by name with which the score can be redone: `REDO` of [`crate::state`] says how, by kind. All are finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, f64>,
}

impl Finding {
    /// Whether it has an incident of its own and is no vote on an anomaly: what is wrong with a sensor or a line.
    pub fn has_own_incident(&self) -> bool {
        matches!(self.kind.as_str(), "stuck" | "missing" | "erratic" | "gaps")
    }

    /// Whether it says why something keeps silent.
    pub fn explains_silence(&self) -> bool {
        matches!(self.kind.as_str(), "new_operating_point" | "raised_bar" | "maintenance" | "whole_type")
    }
}

/// How the score of a finding follows from its numbers, by kind: a formula over `observed`, `expected` and its parts by name. Units: `predicted`,
/// `deviation`, `value`, `level`, `spread` and `median` are in the metric's; all else is a number.
pub const REDO: [(&[&str], &str); 7] = [
    (
        &["residual", "relation"],
        "r = (observed - predicted) / deviation, within clip where there is one; score = |before + step * (r - before)| / spread",
    ),
    (&["range"], "score = decades of |value - expected| / deviation: 4.29 + 0.46 * log10"),
    (
        &["season", "jump", "level"],
        "a = |value - expected| / deviation; rare = 1.824 * a / quantile up to the quantile, 1.824 + (a - quantile) / (2.3026 * width) above; \
         score = offset + slope * log10(rare) - habit",
    ),
    (
        &["centroid"],
        "score = |(observed - level) / spread within clip - (expected - level) / spread|, of the state 1 - product / root(square * centroid_square)",
    ),
    (&["neighbours"], "score = 1 - cosine"),
    (&["peers"], "score = |before + step * (observed - median - usual - before)|"),
    (
        &["stuck", "missing"],
        "limit = the larger of the setting and so many times the longest before (10 for stuck, 3 for missing)",
    ),
];

/// What one method says of one state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which method.
    pub method: Method,
    /// From 0 (as usual) to 1 (never seen).
    pub score: f64,
    /// `None`: nothing to report.
    pub severity: Option<Severity>,
    /// Progress of the warm-up from 0 to 1; a method below 1 reports nothing.
    pub warm_up: f64,
    /// Why, strongest first.
    pub findings: Vec<Finding>,
    /// How the metrics that findings are about stand to the device's peers; only the fingerprint has any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compared: Vec<Compared>,
}

/// What the statistics predicted of one metric in one window before they saw it, and how far away a value may be.
///
/// It is what the residual of that window was taken against (`predicted` in the parts of a finding `residual`, bit for bit): the metric's
/// mean one step ahead, from its own last two values and what the device was asked to do, with the slow offset that is followed. So it goes
/// along with a metric that is wrong; where the metric would settle is another number, the finding's own `expected`.
///
/// There is none while a device is learned (warm-up, a new operating point, after a lasting change), for what explains rather than answers
/// (weather, set points, statuses, commands), for counters (their increase is predicted, not their reading), for what never moved, in a window
/// without a reading of the metric or with one that is left out (saturated, stuck), and for the first two readings after a long silence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    /// What was predicted, in the metric's unit.
    pub value: f64,
    /// Half the width of the band around it, in the metric's unit: [`BAND`].
    pub band: f64,
}

/// How [`Expected::band`] is made, from numbers of a finding `residual`: `limit` with its caution, `deviation`, and the `spread` of its fast
/// average. A value beyond the band counts as unusual by that average if it stays; as long as all are within, the average can't pass its limit.
/// One value beyond it is not unusual yet, and the slow average, the other metrics and a metric's own range have limits of their own.
pub const BAND: &str =
    "band = limit * spread * deviation: the average of the residuals is unusual beyond limit * spread deviations";

/// What all methods together say of one state.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// One verdict a method, in the order of [`Method::ALL`].
    pub verdicts: Vec<Verdict>,
    /// Consensus; `None`: normal.
    pub severity: Option<Severity>,
    /// Consensus score from 0 to 1.
    pub score: f64,
    /// The metric vector (standardised metrics by slot, then one constant component); `None` before the warm-up.
    pub vector: Option<Vec<f64>>,
    /// Incidents that opened, grew or closed with this state.
    pub incidents: Vec<Incident>,
}
