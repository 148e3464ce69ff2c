//! Incidents and states as the store has them: what its rows say, read back.

use std::collections::BTreeMap;

use serde_json::json;

use crate::row::{Row, Value};
use crate::state::{Aggregate, Expected, Method, Severity, Verdict};
use crate::tables::TableId;
use crate::time::format_ms;
use crate::{Compared, Contribution};

/// An incident as the store has it.
#[derive(Clone, Debug)]
pub struct StoredIncident {
    /// `anomaly_id`.
    pub id: String,
    /// Which device.
    pub device_id: String,
    /// Its type.
    pub device_type: String,
    /// Where it is.
    pub location: Option<String>,
    /// Which building.
    pub building_id: Option<String>,
    /// `anomaly` and the like.
    pub kind: String,
    /// The highest severity.
    pub severity: Severity,
    /// Still lasting.
    pub open: bool,
    /// Start of the first anomalous window.
    pub start_ms: i64,
    /// End of the last one.
    pub end_ms: i64,
    /// When it was known.
    pub detected_ms: i64,
    /// Window of the peak.
    pub peak_ms: i64,
    /// Score of the peak.
    pub peak_score: f64,
    /// Methods that agreed.
    pub methods: Vec<Method>,
    /// Strongest first.
    pub contributions: Vec<Contribution>,
    /// Earlier states like the peak: time and cosine.
    pub similar: Vec<(String, f64)>,
    /// One line for a person.
    pub summary: String,
    /// `open`, or what people made of it.
    pub resolution: String,
    /// In their words.
    pub note: Option<String>,
    /// They said so, and the job has not taken it up yet.
    pub asked: bool,
}

impl StoredIncident {
    /// Reads a row of `anomaly_events`; `None`: it is none.
    pub fn of_row(row: &Row) -> Option<StoredIncident> {
        let text = |column| row.value(column).as_text().map(str::to_owned);
        let flags =
            ["path1_rules_triggered", "statistics_triggered", "path2_fingerprint_triggered", "path3_vector_triggered"];
        let agreed = Method::ALL.into_iter().zip(flags).filter(|(_, flag)| *row.value(flag) == Value::Bool(true));
        let similar = match (row.value("similar_times"), row.value("similar_scores")) {
            (Value::Texts(times), Value::Doubles(scores)) => {
                times.iter().cloned().zip(scores.iter().copied()).collect()
            }
            _ => Vec::new(),
        };
        let Value::Uuid(id) = row.value("anomaly_id") else { return None };
        Some(StoredIncident {
            id: uuid::Uuid::from_bytes(*id).to_string(),
            device_id: text("device_id")?,
            device_type: text("device_type").unwrap_or_default(),
            location: text("location"),
            building_id: text("building_id"),
            kind: text("anomaly_type")?,
            severity: Severity::by_name(row.value("severity").as_text()?)?,
            open: text("status")? == "open",
            start_ms: row.value("started_at").as_int()?,
            end_ms: row.value("ended_at").as_int()?,
            detected_ms: row.value("detected_at").as_int()?,
            peak_ms: row.value("snapshot_time").as_int()?,
            peak_score: row.value("anomaly_score").as_double()?,
            methods: agreed.map(|(method, _)| method).collect(),
            contributions: serde_json::from_str(row.value("contributions").as_text()?).ok()?,
            similar,
            summary: text("detection_details").unwrap_or_default(),
            resolution: text("resolution_status").unwrap_or_default(),
            note: text("notes"),
            asked: false,
        })
    }

    /// Until when it has lasted where event time is at `now_ms`: an open one lasts until then, whatever window confirmed it last.
    pub fn until_ms(&self, now_ms: i64) -> i64 {
        if self.open { self.end_ms.max(now_ms) } else { self.end_ms }
    }

    /// Whether it lasts into a time or later: an open one always does.
    pub fn lasts_into(&self, from_ms: i64) -> bool {
        self.open || self.end_ms > from_ms
    }

    /// As people's programs read it; `now_ms` is the newest event time.
    pub fn to_json(&self, now_ms: i64) -> serde_json::Value {
        json!({
            "id": self.id,
            "device_id": self.device_id,
            "device_type": self.device_type,
            "kind": self.kind,
            "severity": self.severity.name(),
            "status": if self.open { "open" } else { "closed" },
            "start": format_ms(self.start_ms),
            "end": format_ms(self.end_ms),
            "duration_ms": self.until_ms(now_ms) - self.start_ms,
            "detected_at": format_ms(self.detected_ms),
            "peak_at": format_ms(self.peak_ms),
            "peak_score": self.peak_score,
            "methods": self.methods.iter().map(|method| method.name()).collect::<Vec<_>>(),
            "contributions": self.contributions,
            "similar": self.similar.iter()
                .map(|(at, cosine)| json!({"at": at, "similarity": cosine})).collect::<Vec<_>>(),
            "summary": self.summary,
            "resolution": self.resolution,
            "resolution_asked": self.asked,
            "note": self.note,
        })
    }

    /// Short names of the methods that agreed.
    pub fn method_names(&self) -> String {
        self.methods.iter().map(|method| method.name()).collect::<Vec<_>>().join(", ")
    }
}

/// A state with what the methods said of it.
#[derive(Clone, Debug)]
pub struct StoredState {
    /// Which device.
    pub device_id: String,
    /// Its type.
    pub device_type: String,
    /// Where it is.
    pub location: Option<String>,
    /// Which building.
    pub building_id: Option<String>,
    /// Window start.
    pub start_ms: i64,
    /// Window width.
    pub width_ms: i64,
    /// Readings in the window.
    pub readings: i64,
    /// Consensus; `None`: normal.
    pub severity: Option<String>,
    /// Consensus score.
    pub score: f64,
    /// Late readings were added to the metrics after it was judged.
    pub corrected: bool,
    /// Metrics by name.
    pub metrics: BTreeMap<String, Aggregate>,
    /// What was predicted of them and of derived ones, by name; of those that are not here nothing was.
    pub expected: BTreeMap<String, Expected>,
    /// One a method.
    pub verdicts: Vec<Verdict>,
    /// Why it has no vector yet.
    pub embedding_pending: Option<String>,
}

/// A row is no state.
#[derive(Debug, thiserror::Error)]
#[error("{table:?} holds a row that is no state: column {column:?} {problem}", table = TableId::DeviceStateSnapshots.table().name)]
pub struct NoState {
    /// Which column.
    pub column: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

fn lacks(column: &'static str) -> NoState {
    NoState { column, problem: "is empty".to_owned() }
}

/// What a row of `device_state_snapshots` says was predicted, by name; nothing in a row of a store from before it said so.
pub fn expected_of_row(row: &Row) -> impl Iterator<Item = (&str, Expected)> {
    let map = |column| if let Value::Map(map) = row.value(column) { Some(map) } else { None };
    let pair = map("metrics_expected").zip(map("metrics_band"));
    pair.into_iter().flat_map(|(values, bands)| {
        values
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), Expected { value: *value, band: *bands.get(name)? })))
    })
}

impl StoredState {
    /// Reads a row of `device_state_snapshots`.
    ///
    /// # Errors
    /// Names the column that is not as a state has it.
    pub fn of_row(row: &Row, width_ms: i64) -> Result<StoredState, NoState> {
        let text = |column| row.value(column).as_text().map(str::to_owned);
        let map = |column| match row.value(column) {
            Value::Map(map) => Ok(map),
            _ => Err(lacks(column)),
        };
        let (means, lasts) = (map("metrics")?, map("metrics_last")?);
        let (mins, maxs, counts) = (map("metrics_min")?, map("metrics_max")?, map("metrics_count")?);
        let mut metrics = BTreeMap::new();
        for (name, mean) in means {
            let of = |column, map: &BTreeMap<String, f64>| {
                let missing = || NoState { column, problem: format!("lacks metric {name:?}") };
                map.get(name).copied().ok_or_else(missing)
            };
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2^32")]
            let count = of("metrics_count", counts)? as u32;
            let aggregate = Aggregate {
                last: of("metrics_last", lasts)?,
                mean: *mean,
                min: of("metrics_min", mins)?,
                max: of("metrics_max", maxs)?,
                count,
            };
            metrics.insert(name.clone(), aggregate);
        }
        let expected = expected_of_row(row).map(|(name, expected)| (name.to_owned(), expected)).collect();
        let verdicts = row.value("verdicts").as_text().ok_or_else(|| lacks("verdicts"))?;
        let bad =
            |error: serde_json::Error| NoState { column: "verdicts", problem: format!("holds bad JSON: {error}") };
        Ok(StoredState {
            device_id: text("device_id").ok_or_else(|| lacks("device_id"))?,
            device_type: text("device_type").unwrap_or_default(),
            location: text("location"),
            building_id: text("building_id"),
            start_ms: row.value("snapshot_time").as_int().ok_or_else(|| lacks("snapshot_time"))?,
            width_ms,
            readings: row.value("readings").as_int().unwrap_or_default(),
            severity: text("severity"),
            score: row.value("anomaly_score").as_double().unwrap_or_default(),
            corrected: *row.value("corrected") == Value::Bool(true),
            metrics,
            expected,
            verdicts: serde_json::from_str(verdicts).map_err(bad)?,
            embedding_pending: text("embedding_pending"),
        })
    }

    /// How metrics stand to what the device's peers showed.
    pub fn compared(&self) -> impl Iterator<Item = &Compared> {
        self.verdicts.iter().flat_map(|verdict| &verdict.compared)
    }
}
