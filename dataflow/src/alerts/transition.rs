//! Openings, changes of severity and closings of incidents, as they are told to others: found in the rows' order, always with the
//! same id and the same content.

use std::collections::HashMap;

use model::tables::TableId;
use model::time::format_ms;
use model::{Row, Severity, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::checkpoint::Start;

/// An incident, as it is told apart before it has a row.
type IncidentKey = (String, String, i64);

/// Finds the first row of each transition.
#[derive(Debug, Default)]
pub struct Transitions {
    /// Open incidents with the severity that was told last.
    open: HashMap<IncidentKey, String>,
}

/// A transition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Transition {
    /// Start of the window that made it.
    pub at_ms: i64,
    /// What is told: the object that also goes to Kafka.
    pub object: Json,
}

impl Transition {
    /// A text of the object, empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.object[name].as_str().unwrap_or_default()
    }

    /// `ANOMALY_ID:NUMBER`.
    pub fn id(&self) -> &str {
        self.text("id")
    }

    /// The incident ends with it.
    pub fn is_closing(&self) -> bool {
        self.text("status") == "closed"
    }

    /// The incident's severity.
    pub fn severity(&self) -> Severity {
        severity_by(self.text("severity")).unwrap_or(Severity::Info)
    }
}

impl Transitions {
    /// What a start finds open was told before.
    pub fn begin(&mut self, start: &Start) {
        for device in &start.devices {
            for (kind, start_ms, severity) in device.open_incidents() {
                let key = (device.device_id.clone(), kind.to_owned(), start_ms);
                self.open.insert(key, severity.name().to_owned());
            }
        }
    }

    /// The severity that was told last of an open incident, before its next row is looked at.
    pub fn severity_of(&self, row: &Row) -> Option<Severity> {
        if row.table != TableId::AnomalyEvents {
            return None;
        }
        self.open.get(&key_of(row)).and_then(|name| severity_by(name))
    }

    /// What a row tells, if it is the first one of a transition.
    pub fn of_row(&mut self, row: &Row) -> Option<Transition> {
        if row.table != TableId::AnomalyEvents {
            return None;
        }
        let text = |column| row.value(column).as_text().unwrap_or_default();
        let key = key_of(row);
        let severity = text("severity");
        let known = self.open.get(&key);
        if text("status") == "closed" {
            self.open.remove(&key);
        } else if known.is_some_and(|known| known == severity) {
            return None;
        } else {
            self.open.insert(key, severity.to_owned());
        }
        Some(Transition { at_ms: row.version.us().div_euclid(1_000), object: object(row)? })
    }
}

fn severity_by(name: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical].into_iter().find(|known| known.name() == name)
}

fn key_of(row: &Row) -> IncidentKey {
    let text = |column| row.value(column).as_text().unwrap_or_default().to_owned();
    (text("device_id"), text("anomaly_type"), row.value("started_at").as_int().unwrap_or_default())
}

/// An incident's row as others read it; `None`: it is none.
pub fn object(row: &Row) -> Option<Json> {
    let text = |column| row.value(column).as_text().unwrap_or_default();
    let number = |column| row.value(column).as_int().unwrap_or_default();
    let Value::Uuid(uuid) = row.value("anomaly_id") else { return None };
    let uuid = uuid::Uuid::from_bytes(*uuid).to_string();
    let contributions = serde_json::from_str(text("contributions")).unwrap_or(Json::Null);
    let similar = |column| match row.value(column) {
        Value::Texts(texts) => json!(texts),
        Value::Doubles(scores) => json!(scores),
        _ => json!([]),
    };
    Some(json!({
        "id": format!("{uuid}:{}", number("transition")),
        "anomaly_id": uuid,
        "transition": number("transition"),
        "device_id": text("device_id"),
        "device_type": text("device_type"),
        "location": row.value("location").as_text(),
        "building_id": row.value("building_id").as_text(),
        "kind": text("anomaly_type"),
        "status": text("status"),
        "severity": text("severity"),
        "score": row.value("anomaly_score").as_double(),
        "started_at": format_ms(number("started_at")),
        // What is open has no end: its row has that of the newest window that confirmed it.
        "ended_at": (text("status") == "closed").then(|| format_ms(number("ended_at"))),
        "detected_at": format_ms(number("detected_at")),
        "peak_at": format_ms(number("snapshot_time")),
        "summary": text("detection_details"),
        "contributions": contributions,
        "similar_times": similar("similar_times"),
        "similar_scores": similar("similar_scores"),
    }))
}
