//! Rows made of records, states and incidents.

use std::collections::BTreeMap;

use connectors::SourceMessage;
use model::message::Rejected;
use model::tables::TableId;
use model::time::{date_of, format_ms};
use model::{Aggregate, Expected, Incident, IncidentStatus, Judgement, Message, Method, Row, Severity, Value, Version};
use serde::{Deserialize, Serialize};

use crate::controls::resolved;
use crate::detect::DeviceState;
use crate::directory::Place;
use crate::distinct::Distinct;
use crate::embeddings::Reply;
use crate::series::Entry;
use crate::settings::Aggregation;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn optional(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
}

fn raw_version(late: bool, partition: u32, record: &SourceMessage<'_>) -> Version {
    Version::raw(late, record.broker_ms, partition, record.offset)
}

/// A usable reading, as it was sent.
pub fn raw(message: &Message<'_>, entry: &Entry, partition: u32, record: &SourceMessage<'_>, late: bool) -> Row {
    Row {
        table: TableId::DeviceMetricsRaw,
        version: raw_version(late, partition, record),
        values: vec![
            text(&message.device_id),
            Value::Text(date_of(message.timestamp_ms)),
            Value::Int(message.timestamp_ms),
            text(&message.metric_name),
            Value::Double(message.metric_value),
            optional(message.unit.as_deref()),
            text(&entry.device_type),
            optional(message.location.as_deref()),
            optional(message.building_id.as_deref()),
            Value::Bool(late),
        ],
    }
}

/// A late reading.
pub fn late(message: &Message<'_>, partition: u32, record: &SourceMessage<'_>, late_by_ms: i64) -> Row {
    Row {
        table: TableId::LateMetrics,
        version: raw_version(true, partition, record),
        values: vec![
            text(&message.device_id),
            Value::Text(date_of(message.timestamp_ms)),
            Value::Int(message.timestamp_ms),
            text(&message.metric_name),
            Value::Int(i64::from(partition)),
            Value::Int(record.offset),
            Value::Double(message.metric_value),
            optional(message.unit.as_deref()),
            Value::Int(late_by_ms),
            Value::Int(record.broker_ms),
        ],
    }
}

/// A message that can't be used, with its bytes.
pub fn dead_letter(topic: &str, partition: u32, record: &SourceMessage<'_>, rejected: &Rejected) -> Row {
    Row {
        table: TableId::DeadLetters,
        version: raw_version(false, partition, record),
        values: vec![
            text(topic),
            Value::Int(i64::from(partition)),
            Value::Int(record.offset),
            text(rejected.reason.name()),
            text(&rejected.detail),
            Value::Blob(record.bytes.unwrap_or_default().to_vec()),
            Value::Int(record.broker_ms),
        ],
    }
}

/// What the methods said of a state, as its row tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judged {
    score: f64,
    severity: Option<Severity>,
    /// One verdict a method, as JSON.
    verdicts: String,
}

impl From<&Judgement> for Judged {
    fn from(judgement: &Judgement) -> Self {
        let verdicts = serde_json::to_string(&judgement.verdicts).expect("verdicts can be written as JSON");
        Judged { score: judgement.score, severity: judgement.severity, verdicts }
    }
}

/// What a state's rows need to know of it.
pub struct StateParts<'a> {
    /// Window start.
    pub start_ms: i64,
    /// The stamp that the rows follow from: the window's, or that of the late readings which correct it.
    pub stamp_ms: i64,
    /// The device.
    pub device_id: &'a str,
    /// What is told of it.
    pub place: &'a Place,
    /// Metric name and aggregate, by name.
    pub metrics: &'a [(&'a str, Aggregate)],
    /// Readings in the window.
    pub readings: u32,
    /// What the methods say.
    pub judged: &'a Judged,
    /// The device's metrics by slot.
    pub names: &'a [String],
    /// What was predicted of them, by slot; shorter where nothing was.
    pub expected: &'a [Option<Expected>],
    /// Its vector, with the embedder's name.
    pub embedding: Option<(&'a str, Vec<f32>)>,
    /// The distinct state that it is an occurrence of.
    pub distinct: Option<Distinct>,
}

/// A state that waits for the vector of its text. It stands behind its snapshot until one of them is completed or both are
/// written as they are.
pub fn pending(state: &StateParts<'_>, method: &str, words: &str) -> Row {
    Row {
        table: TableId::PendingStates,
        version: Version::window(state.stamp_ms),
        values: vec![
            text(method),
            Value::Text(date_of(state.start_ms)),
            Value::Int(state.start_ms),
            text(state.device_id),
            Value::Int(model::hash::hash_text(words).cast_signed()),
            text(words),
            Value::Bool(state.judged.severity.is_some()),
            Value::Null,
        ],
    }
}

/// The rows of a state whose text has its answer: the snapshot in its next version, the distinct state, and that it occurred;
/// of a text that was refused, the snapshot says so for good. A snapshot that is complete stays as it is.
pub fn completed(mut snapshot: Row, waiting: &Row, reply: &Reply) -> Vec<Row> {
    let method = waiting.value("embedding_method");
    if *snapshot.value("embedding_method") == Value::Null {
        snapshot.version = snapshot.version.next();
        snapshot.set("embedding_method", method.clone());
        let (vector, pending) = match reply {
            Ok(vector) => (Value::Vector(vector.to_vec()), Value::Null),
            Err(why) => (Value::Null, Value::Text(format!("the text was refused: {why}"))),
        };
        snapshot.set("embedding", vector);
        snapshot.set("embedding_pending", pending);
    }
    let Ok(vector) = reply else { return vec![snapshot] };
    let vector_id = waiting.value("vector_id");
    let values = vec![method.clone(), vector_id.clone(), Value::Vector(vector.to_vec()), waiting.value("text").clone()];
    let distinct = Row { table: TableId::StateVectors, version: Version::window(0), values };
    let values = vec![
        waiting.value("device_id").clone(),
        waiting.value("snapshot_time").clone(),
        method.clone(),
        vector_id.clone(),
        waiting.value("is_anomalous").clone(),
    ];
    vec![snapshot, distinct, Row { table: TableId::StateOccurrences, version: waiting.version, values }]
}

/// A state.
pub fn snapshot(state: &StateParts<'_>, aggregate: Aggregation) -> Row {
    let map = |value: &dyn Fn(&Aggregate) -> f64| {
        Value::Map(state.metrics.iter().map(|(name, metric)| ((*name).to_owned(), value(metric))).collect())
    };
    // What no metric has is no map, so that a state which was learned from takes no room for it.
    let predicted = |value: fn(&Expected) -> f64| {
        let known = state.names.iter().zip(state.expected);
        let map: BTreeMap<String, f64> =
            known.filter_map(|(name, expected)| Some((name.clone(), value(expected.as_ref()?)))).collect();
        if map.is_empty() { Value::Null } else { Value::Map(map) }
    };
    let (method, vector) = match &state.embedding {
        Some((method, vector)) => (text(method), Value::Vector(vector.clone())),
        None => (Value::Null, Value::Null),
    };
    Row {
        table: TableId::DeviceStateSnapshots,
        version: Version::window(state.stamp_ms),
        values: [
            vec![text(state.device_id), Value::Text(date_of(state.start_ms)), Value::Int(state.start_ms)],
            place(state.place),
            vec![
                match aggregate {
                    Aggregation::Mean => map(&|metric| metric.mean),
                    Aggregation::Last => map(&|metric| metric.last),
                },
                vector,
                method,
                Value::Double(state.judged.score),
                Value::Bool(state.judged.severity.is_some()),
                optional(state.judged.severity.map(Severity::name)),
                Value::Int(i64::from(state.readings)),
                map(&|metric| metric.last),
                map(&|metric| metric.min),
                map(&|metric| metric.max),
                map(&|metric| f64::from(metric.count)),
                text(&state.judged.verdicts),
                Value::Null,
                Value::Bool(state.stamp_ms != state.start_ms),
                predicted(|expected| expected.value),
                predicted(|expected| expected.band),
            ],
        ]
        .concat(),
    }
}

fn place(place: &Place) -> Vec<Value> {
    vec![text(&place.device_type), optional(place.location.as_deref()), optional(place.building_id.as_deref())]
}

/// An incident as it stands after the window at `window_ms`.
pub fn incident(device: &DeviceState, incident: &Incident, window_ms: i64, width_ms: i64) -> Row {
    let agreed = |method| Value::Bool(incident.methods.contains(&method));
    let observed: BTreeMap<String, f64> =
        incident.contributions.iter().map(|part| (part.metric.clone(), part.observed)).collect();
    let mut row = Row {
        table: TableId::AnomalyEvents,
        version: Version::window(window_ms),
        values: vec![
            text(&device.device_id),
            Value::Text(date_of(incident.start_ms)),
            Value::Uuid(incident.id(&device.device_id).into_bytes()),
            text(&device.place.device_type),
            Value::Int(incident.detected_ms + width_ms),
            Value::Int(incident.peak_ms),
            Value::Double(incident.peak_score),
            text(&incident.kind),
            Value::Map(observed),
            Value::Texts(incident.similar.iter().map(|_| device.device_id.clone()).collect()),
            Value::Doubles(incident.similar.iter().map(|(_, cosine)| *cosine).collect()),
            text("open"),
            Value::Null,
            agreed(Method::Rules),
            agreed(Method::Fingerprint),
            agreed(Method::Similar),
            text(&incident.summary),
            agreed(Method::Statistics),
            text(incident.severity.name()),
            text(match incident.status {
                IncidentStatus::Open => "open",
                IncidentStatus::Closed => "closed",
            }),
            Value::Int(incident.start_ms),
            Value::Int(incident.end_ms),
            Value::Int(i64::from(incident.transition)),
            optional(device.place.location.as_deref()),
            optional(device.place.building_id.as_deref()),
            Value::Text(serde_json::to_string(&incident.contributions).expect("contributions can be written as JSON")),
            Value::Texts(incident.similar.iter().map(|(start_ms, _)| format_ms(*start_ms)).collect()),
        ],
    };
    if let Some((resolution, note)) = device.said_of(incident) {
        resolved(&mut row, resolution, note);
    }
    row
}

/// A device's totals after the window at `window_ms`.
pub fn statistics(device: &DeviceState, window_ms: i64) -> Row {
    let count = |number: u64| Value::Int(i64::try_from(number).expect("fewer than 2^63 of anything"));
    Row {
        table: TableId::DeviceStatistics,
        version: Version::window(window_ms),
        values: vec![
            text(&device.device_id),
            count(device.snapshots),
            count(device.anomalies),
            count(device.windowed),
            count(device.duplicate),
            count(device.incidents),
            Value::Int(device.last_seen_ms),
        ],
    }
}

/// A device's profile after the window at `window_ms`.
pub fn profile(device: &DeviceState, embedding: Option<Vec<f32>>, window_ms: i64, width_ms: i64) -> Row {
    let profile = device.monitor.profile();
    let stats = profile
        .metric_stats
        .into_iter()
        .map(|(name, stats)| {
            let parts = [("mean", stats.mean), ("std", stats.std), ("min", stats.min), ("max", stats.max)];
            (name, parts.into_iter().map(|(part, value)| (part.to_owned(), value)).collect())
        })
        .collect();
    Row {
        table: TableId::DeviceProfiles,
        version: Version::window(window_ms),
        values: [
            vec![text(&device.device_id)],
            place(&device.place),
            vec![
                embedding.map_or(Value::Null, Value::Vector),
                Value::Int(device.first_seen_ms),
                Value::Int(window_ms + width_ms),
                Value::Int(device.last_seen_ms),
                Value::Stats(stats),
                Value::Int(i64::try_from(profile.normal_states).expect("fewer than 2^63 states")),
            ],
        ]
        .concat(),
    }
}

/// A distinct state's vector, and that it occurred.
pub fn occurrence(state: &StateParts<'_>) -> Option<[Row; 2]> {
    let (method, _) = state.embedding.as_ref()?;
    let distinct = state.distinct.as_ref()?;
    let version = Version::window(state.start_ms);
    Some([
        Row {
            table: TableId::StateVectors,
            // The same vector always has the same id: any version will do, and one that never changes saves rewriting it.
            version: Version::window(0),
            values: vec![
                text(method),
                Value::Int(distinct.vector_id),
                Value::Vector(distinct.vector.clone()),
                Value::Null,
            ],
        },
        Row {
            table: TableId::StateOccurrences,
            version,
            values: vec![
                text(state.device_id),
                Value::Int(state.start_ms),
                text(method),
                Value::Int(distinct.vector_id),
                Value::Bool(state.judged.severity.is_some()),
            ],
        },
    ])
}
