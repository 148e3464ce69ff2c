//! Incidents as the summary shows them, and which labelled fault they belong to.

use std::ops::ControlFlow;

use anyhow::Context as _;
use connectors::Store;
use model::recording::Label;
use model::tables::TableId;
use model::{Contribution, Row, Value};

use crate::commands::common::printable;
use crate::commands::incidents::is_about;

/// An incident as the summary needs it.
pub(super) struct Found {
    pub(super) device_id: String,
    pub(super) kind: String,
    pub(super) severity: String,
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    pub(super) detected_ms: i64,
    pub(super) open: bool,
    pub(super) contributions: Vec<Contribution>,
}

impl Found {
    pub(super) fn belongs_to(&self, label: &Label) -> bool {
        is_about(label, &self.device_id, (self.start_ms, self.end_ms), self.detected_ms)
    }

    pub(super) fn reason(&self) -> String {
        match self.contributions.first() {
            Some(part) => {
                let expected =
                    part.expected.map(|expected| format!(", expected {}", number(expected))).unwrap_or_default();
                let unit = if part.unit.is_empty() { String::new() } else { format!(" {}", part.unit) };
                format!("{} {}{unit}{expected}", printable(&part.metric), number(part.observed))
            }
            None => String::new(),
        }
    }
}

/// One decimal, and no hundred digits for what no equipment measures.
fn number(value: f64) -> String {
    if value.abs() < 1e9 { format!("{value:.1}") } else { format!("{value:.1e}") }
}

pub(super) fn read_incidents(store: &mut dyn Store) -> anyhow::Result<Vec<Found>> {
    let mut incidents = Vec::new();
    let mut broken = None;
    store
        .scan(TableId::AnomalyEvents, &[], &mut |row| match found(&row) {
            Some(found) => {
                incidents.push(found);
                ControlFlow::Continue(())
            }
            None => {
                broken = Some(format!("{:?}", row.key()));
                ControlFlow::Break(())
            }
        })
        .context("could not read table \"anomaly_events\"")?;
    if let Some(key) = broken {
        anyhow::bail!("table \"anomaly_events\" holds a row that is no incident: {key}");
    }
    incidents.sort_by(|a, b| (a.start_ms, &a.device_id, &a.kind).cmp(&(b.start_ms, &b.device_id, &b.kind)));
    Ok(incidents)
}

fn found(row: &Row) -> Option<Found> {
    let text = |column| row.value(column).as_text().map(str::to_owned);
    Some(Found {
        device_id: text("device_id")?,
        kind: text("anomaly_type")?,
        severity: text("severity")?,
        start_ms: row.value("started_at").as_int()?,
        end_ms: row.value("ended_at").as_int()?,
        detected_ms: row.value("detected_at").as_int()?,
        open: *row.value("status") == Value::Text("open".to_owned()),
        contributions: serde_json::from_str(row.value("contributions").as_text()?).ok()?,
    })
}
