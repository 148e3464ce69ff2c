//! A store's content as text for goldens: one line a fact, the same for the same rows in whatever order they come.

mod fields;
mod rules;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use fields::{double, int, map, name, text, time, value};
use model::hash::hash_bytes;
use model::tables::{TABLES, TableId};
use model::{DeadLetterReason, Row, Value};
use serde::Deserialize;

/// Which parts of a store a golden holds. The fates are always there.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Show(Vec<Part>);

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// A line a message that could not be used.
    DeadLetters,
    /// A line a late reading.
    Late,
    /// A line a state.
    States,
    /// A line a metric that a state compares with the device's peers.
    Peers,
    /// A line a reading.
    Raw,
    /// A line a rule that a device has broken: first and last state, and how many.
    Rules,
    /// A line an incident.
    Incidents,
    /// A line a device.
    Statistics,
    /// A line a table with the number of its rows and the hash of all their values: for cases too long to be read.
    Checksums,
}

impl Default for Show {
    /// All that a person reads in a short case.
    fn default() -> Self {
        Show(vec![Part::DeadLetters, Part::Late, Part::States, Part::Incidents, Part::Statistics])
    }
}

impl Show {
    /// Exactly these parts.
    pub fn only(parts: &[Part]) -> Self {
        Show(parts.to_vec())
    }

    /// Whether a part is shown.
    pub fn has(&self, part: Part) -> bool {
        self.0.contains(&part)
    }
}

/// What the job counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All records.
    pub received: u64,
    /// Readings that are in a state.
    pub windowed: u64,
    /// Readings whose window was closed.
    pub late: u64,
    /// Readings that another one of the same device, metric and time replaced.
    pub duplicate: u64,
    /// Tombstones.
    pub skipped: u64,
    /// Messages that could not be used.
    pub dead_lettered: u64,
    /// States made.
    pub states: u64,
}

/// Why rows can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// A column holds what its table doesn't say.
    #[error("table {table:?} column {column:?} holds {value:?}, which is not what it should hold")]
    Column {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is there.
        value: Value,
    },
    /// The contributions of an incident are no JSON list of them.
    #[error("table \"anomaly_events\" column \"contributions\" can't be read: {0}")]
    Contributions(#[from] serde_json::Error),
    /// The verdicts of a state are no JSON list of them.
    #[error("table \"device_state_snapshots\" column \"verdicts\" can't be read: {0}")]
    Verdicts(serde_json::Error),
}

/// Writes the line of a row.
type Writer = fn(&Row) -> Result<String, RenderError>;

/// Writes the text of a golden.
///
/// # Errors
/// A row has a value that its column can't hold.
pub fn render(show: &Show, totals: &Totals, rows: impl IntoIterator<Item = Row>) -> Result<String, RenderError> {
    let mut tables: BTreeMap<TableId, Vec<Row>> = BTreeMap::new();
    for row in rows {
        tables.entry(row.table).or_default().push(row);
    }
    for rows in tables.values_mut() {
        rows.sort_by(key_order);
    }
    let of = |id: TableId| tables.get(&id).map_or(&[][..], Vec::as_slice);
    let mut out = String::new();
    let Totals { received, windowed, late, duplicate, skipped, dead_lettered, states } = totals;
    line(
        &mut out,
        &format!(
            "fates received={received} windowed={windowed} late={late} duplicate={duplicate} skipped={skipped} dead_lettered={dead_lettered}"
        ),
    );
    line(&mut out, &format!("states count={states}"));
    if let Some(text) = reasons(of(TableId::DeadLetters))? {
        line(&mut out, &text);
    }
    let parts: [(Part, TableId, Writer); 5] = [
        (Part::DeadLetters, TableId::DeadLetters, dead_letter),
        (Part::Late, TableId::LateMetrics, late_reading),
        (Part::States, TableId::DeviceStateSnapshots, state),
        (Part::Raw, TableId::DeviceMetricsRaw, raw),
        (Part::Incidents, TableId::AnomalyEvents, incident),
    ];
    for (part, id, write) in parts {
        if !show.has(part) {
            continue;
        }
        let mut lines = of(id).iter().map(write).collect::<Result<Vec<_>, _>>()?;
        if part == Part::Incidents {
            // Their key ends in a hash; a reader wants them by device and time, which is how the line begins.
            lines.sort();
        }
        for text in lines {
            line(&mut out, &text);
        }
    }
    if show.has(Part::Rules) {
        rules::rules(of(TableId::DeviceStateSnapshots))?.iter().for_each(|text| line(&mut out, text));
    }
    if show.has(Part::Peers) {
        for row in of(TableId::DeviceStateSnapshots) {
            peers(row)?.iter().for_each(|text| line(&mut out, text));
        }
    }
    if show.has(Part::Statistics) {
        let mut late: BTreeMap<&str, u64> = BTreeMap::new();
        for row in of(TableId::LateMetrics) {
            *late.entry(text(row, "device_id")?).or_default() += 1;
        }
        for row in of(TableId::DeviceStatistics) {
            line(&mut out, &statistics(row, &late)?);
        }
    }
    if show.has(Part::Checksums) {
        for table in TABLES {
            let rows = of(table.id);
            line(&mut out, &format!("table {} rows={} xxh3={:016x}", table.name, rows.len(), checksum(rows)));
        }
    }
    Ok(out)
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

fn key_order(a: &Row, b: &Row) -> Ordering {
    let pairs = a.key().iter().zip(b.key());
    pairs.map(|(a, b)| a.key_order(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// Over the values as `store dump` prints them, in key order. Versions are left out: a CQL store can't give all of them back.
fn checksum(rows: &[Row]) -> u64 {
    let mut hashes = Vec::with_capacity(rows.len() * 8);
    for row in rows {
        let json: Vec<_> =
            row.table().columns.iter().zip(&row.values).map(|(column, value)| value.to_json(column.kind)).collect();
        let text = serde_json::Value::from(json).to_string();
        hashes.extend_from_slice(&hash_bytes(text.as_bytes()).to_le_bytes());
    }
    hash_bytes(&hashes)
}

fn reasons(rows: &[Row]) -> Result<Option<String>, RenderError> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        *counts.entry(text(row, "reason")?).or_default() += 1;
    }
    if counts.is_empty() {
        return Ok(None);
    }
    let mut out = String::from("reasons");
    for reason in DeadLetterReason::ALL {
        if let Some(count) = counts.remove(reason.name()) {
            let _ = write!(out, " {}={count}", reason.name());
        }
    }
    for (other, count) in counts {
        let _ = write!(out, " {}={count}", name(other));
    }
    Ok(Some(out))
}

fn dead_letter(row: &Row) -> Result<String, RenderError> {
    let detail = serde_json::Value::from(text(row, "detail")?);
    let (partition, offset) = (int(row, "partition")?, int(row, "offset")?);
    Ok(format!("dead_letter p={partition} o={offset} {} {detail}", text(row, "reason")?))
}

fn late_reading(row: &Row) -> Result<String, RenderError> {
    Ok(format!(
        "late {} {} {}={} by={}ms p={} o={}",
        name(text(row, "device_id")?),
        time(row, "timestamp")?,
        name(text(row, "metric_name")?),
        double(row, "metric_value")?,
        int(row, "late_by_ms")?,
        int(row, "partition")?,
        int(row, "offset")?,
    ))
}

fn state(row: &Row) -> Result<String, RenderError> {
    let mut out = format!("state {} {}", name(text(row, "device_id")?), time(row, "snapshot_time")?);
    let (last, min, max) = (map(row, "metrics_last")?, map(row, "metrics_min")?, map(row, "metrics_max")?);
    let count = map(row, "metrics_count")?;
    for (metric, value) in map(row, "metrics")? {
        let of = |map: &BTreeMap<String, f64>| map.get(metric).map_or_else(|| "?".to_owned(), f64::to_string);
        let (count, min, max, last) = (of(count), of(min), of(max), of(last));
        let _ = write!(out, " {}={value}(n={count},min={min},max={max},last={last})", name(metric));
    }
    if let Value::Bool(true) = value(row, "is_anomalous") {
        let score = match value(row, "anomaly_score") {
            Value::Double(score) => score.to_string(),
            _ => "?".to_owned(),
        };
        let severity = match value(row, "severity") {
            Value::Text(severity) => severity,
            _ => "?",
        };
        let _ = write!(out, " [{severity} {score}]");
    }
    if let Value::Bool(true) = value(row, "corrected") {
        out.push_str(" corrected");
    }
    Ok(out)
}

/// How its metrics stand to those of the device's peers.
fn peers(row: &Row) -> Result<Vec<String>, RenderError> {
    let Value::Text(json) = value(row, "verdicts") else { return Ok(Vec::new()) };
    let verdicts: Vec<model::Verdict> = serde_json::from_str(json).map_err(RenderError::Verdicts)?;
    let (device, time) = (name(text(row, "device_id")?), time(row, "snapshot_time")?);
    let line = |of: &model::Compared| {
        let model::Peers { devices, lowest, lower, median, upper, highest } = of.peers;
        let (metric, observed) = (name(&of.metric), of.observed);
        format!(
            "peers {device} {time} {metric}={observed} of={devices} median={median} half={lower}..{upper} all={lowest}..{highest}"
        )
    };
    Ok(verdicts.iter().flat_map(|verdict| &verdict.compared).map(line).collect())
}

fn raw(row: &Row) -> Result<String, RenderError> {
    let (device, metric) = (name(text(row, "device_id")?), name(text(row, "metric_name")?));
    let mut out = format!("raw {device} {} {metric}={}", time(row, "timestamp")?, double(row, "metric_value")?);
    if let Value::Text(unit) = value(row, "unit") {
        let _ = write!(out, " {}", name(unit));
    }
    if let Value::Bool(true) = value(row, "is_late") {
        out.push_str(" late");
    }
    Ok(out)
}

fn incident(row: &Row) -> Result<String, RenderError> {
    #[derive(Deserialize)]
    struct Top {
        metric: String,
    }
    let top = match value(row, "contributions") {
        Value::Text(json) => serde_json::from_str::<Vec<Top>>(json)?.into_iter().next(),
        _ => None,
    };
    let methods: Vec<&str> = [
        ("path1_rules_triggered", "rules"),
        ("statistics_triggered", "statistics"),
        ("path2_fingerprint_triggered", "fingerprint"),
        ("path3_vector_triggered", "similar"),
    ]
    .into_iter()
    .filter(|(column, _)| matches!(value(row, column), Value::Bool(true)))
    .map(|(_, method)| method)
    .collect();
    Ok(format!(
        "incident {} {} {}..{} {} {} top={} methods={}",
        name(text(row, "device_id")?),
        name(text(row, "anomaly_type")?),
        time(row, "started_at")?,
        time(row, "ended_at")?,
        text(row, "severity")?,
        text(row, "status")?,
        top.map_or_else(|| "-".to_owned(), |top| name(&top.metric)),
        if methods.is_empty() { "-".to_owned() } else { methods.join(",") },
    ))
}

/// The late readings are counted from their own table: a device's totals are cut where its windows close.
fn statistics(row: &Row, late: &BTreeMap<&str, u64>) -> Result<String, RenderError> {
    let device = text(row, "device_id")?;
    let mut out = format!(
        "statistics {} snapshots={} windowed={} late={} duplicate={}",
        name(device),
        int(row, "total_snapshots")?,
        int(row, "records_windowed")?,
        late.get(device).copied().unwrap_or(0),
        int(row, "records_duplicate")?,
    );
    for (column, word) in [("anomaly_count", "anomalous"), ("incidents", "incidents")] {
        let count = int(row, column)?;
        if count != 0 {
            let _ = write!(out, " {word}={count}");
        }
    }
    Ok(out)
}
#[cfg(test)]
mod tests;
