//! A recording of one device through the job, and what the job's tables say of it afterwards.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use connectors::Store;
use connectors::memory::{MemorySource, MemoryStore, Recorded};
use model::tables::TableId;
use model::time::format_ms;
use model::{Row, Value, Verdict};
use serde_json::json;

use crate::checkpoint::Start;
use crate::commands::common::scan;
use crate::config::Config;
use crate::progress::Progress;
use crate::whole::{job_of, run_whole};

/// What a device sent: rows of cells in rising or nearly rising order of time.
pub struct Recording {
    /// The device.
    pub device_id: String,
    /// Its type.
    pub device_type: &'static str,
    /// Metric names and units; an empty unit is not sent.
    pub metrics: Vec<(String, &'static str)>,
    /// Event times and cells in milliseconds, in the order of the metrics.
    pub rows: Vec<(i64, Vec<String>)>,
}

impl Recording {
    /// A message a cell, on one partition; the broker's time is the event time. What is no number is sent as it is, as a
    /// device would: the job makes a dead letter of it. Empty cells are not sent.
    fn source(&self) -> MemorySource {
        let mut events = Vec::with_capacity(self.rows.len() * self.metrics.len());
        for (time_ms, cells) in &self.rows {
            let timestamp = format_ms(*time_ms);
            for ((metric, unit), cell) in self.metrics.iter().zip(cells) {
                if cell.is_empty() {
                    continue;
                }
                let number = cell.parse::<f64>().ok().and_then(serde_json::Number::from_f64);
                let mut message = json!({
                    "device_id": self.device_id, "device_type": self.device_type, "timestamp": timestamp,
                    "metric_name": metric, "metric_value": number.map_or_else(|| json!(cell), serde_json::Value::Number),
                });
                if !unit.is_empty() {
                    message["unit"] = json!(unit);
                }
                let offset = i64::try_from(events.len()).expect("what fits into memory is fewer than 2^63 messages");
                let bytes = Some(message.to_string().into_bytes());
                events.push(Recorded::Message { offset, broker_ms: *time_ms, bytes });
            }
        }
        MemorySource::finite(&self.device_id, BTreeMap::from([(0, events)]))
    }
}

/// A state as its row has it.
pub struct Judged {
    /// Means by metric.
    pub metrics: BTreeMap<String, f64>,
    /// One a method.
    pub verdicts: Vec<Verdict>,
    /// Consensus score.
    pub score: f64,
}

impl Judged {
    /// The highest score among the findings of these kinds; 0 where there is none.
    pub fn strongest(&self, kinds: &[&str]) -> f64 {
        let findings = self.verdicts.iter().flat_map(|verdict| &verdict.findings);
        findings.filter(|finding| kinds.contains(&finding.kind.as_str())).fold(0.0, |most, next| next.score.max(most))
    }
}

/// An incident as its row has it.
pub struct Alarm {
    /// `anomaly`, `stuck:...`.
    pub kind: String,
    /// Start of its first window.
    pub start_ms: i64,
    /// Start of the window in which it opened.
    pub opened_ms: i64,
    /// End of its last anomalous window.
    pub end_ms: i64,
}

/// What came of a recording.
pub struct Outcome {
    /// States by window start.
    pub states: BTreeMap<i64, Judged>,
    /// Incidents by start.
    pub alarms: Vec<Alarm>,
    /// Mean and deviation of the normal states by metric.
    pub usual: BTreeMap<String, (f64, f64)>,
    /// Window width.
    pub width_ms: i64,
    /// How long an incident stays open behind its last anomalous window.
    pub clear_ms: i64,
}

impl Outcome {
    /// The window of an event time.
    pub fn window(&self, time_ms: i64) -> i64 {
        time_ms - time_ms.rem_euclid(self.width_ms)
    }

    /// Whether an anomaly's incident is open when the window that holds `time_ms` has been judged.
    pub fn is_open(&self, time_ms: i64) -> bool {
        let start_ms = self.window(time_ms);
        let open = |alarm: &Alarm| {
            alarm.kind == "anomaly" && alarm.opened_ms <= start_ms && start_ms < alarm.end_ms + self.clear_ms
        };
        self.alarms.iter().any(open)
    }
}

/// Runs the job over a recording, with one worker, to its end.
///
/// # Errors
/// If the job fails, or its tables hold what they can't.
pub fn judge(recording: &Recording, config: &Config) -> anyhow::Result<Outcome> {
    let job = job_of(config, Arc::new(recording.source()));
    let mut store = MemoryStore::new();
    run_whole(&job, 1, Box::new(store.clone()), &Arc::new(Progress::default()))
        .with_context(|| format!("could not judge {}", recording.device_id))?;
    read(&mut store, config)
}

fn read(store: &mut dyn Store, config: &Config) -> anyhow::Result<Outcome> {
    let width_ms = config.job.window_ms;
    let mut outcome = Outcome {
        states: BTreeMap::new(),
        alarms: Vec::new(),
        usual: BTreeMap::new(),
        width_ms,
        clear_ms: i64::from(config.detectors.usual.clear_windows.saturating_sub(1)) * width_ms,
    };
    scan(store, TableId::DeviceStateSnapshots, &[], |row| {
        let Value::Map(metrics) = row.value("metrics") else { return Err(anyhow!("a state without metrics")) };
        let verdicts = serde_json::from_str(row.value("verdicts").as_text().unwrap_or("[]"))?;
        let score = row.value("anomaly_score").as_double().unwrap_or_default();
        outcome.states.insert(ms(row, "snapshot_time"), Judged { metrics: metrics.clone(), verdicts, score });
        Ok(ControlFlow::Continue(()))
    })?;
    scan(store, TableId::AnomalyEvents, &[], |row| {
        outcome.alarms.push(Alarm {
            kind: row.value("anomaly_type").as_text().unwrap_or_default().to_owned(),
            start_ms: ms(row, "started_at"),
            opened_ms: ms(row, "detected_at") - width_ms,
            end_ms: ms(row, "ended_at"),
        });
        Ok(ControlFlow::Continue(()))
    })?;
    outcome.alarms.sort_by(|a, b| (a.start_ms, &a.kind).cmp(&(b.start_ms, &b.kind)));
    // As of the end: the table's row is of the last full hour, and many files are shorter.
    for device in Start::decode(store.latest_checkpoint()?, Vec::new())?.devices {
        let stats = device.monitor.profile().metric_stats;
        outcome.usual.extend(stats.into_iter().map(|(name, stats)| (name, (stats.mean, stats.std))));
    }
    Ok(outcome)
}

fn ms(row: &Row, column: &str) -> i64 {
    row.value(column).as_int().unwrap_or_default()
}
