//! A state as the store has it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use anyhow::{Context as _, anyhow};
use connectors::Store;
use model::tables::TableId;
use model::time::date_of;
use model::{Aggregate, Catalogue, Row, Value, Verdict};

use crate::commands::common::{key, scan};

/// A state with what the methods said of it.
pub struct State {
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
    /// What follows from them by the catalogue's formulas, by name: no row has it, so it is reckoned anew.
    pub derived: BTreeMap<String, f64>,
    /// One a method.
    pub verdicts: Vec<Verdict>,
    /// Why it has no vector yet.
    pub embedding_pending: Option<String>,
}

/// The state of the window that holds `at_ms`.
///
/// # Errors
/// If the store fails or the row is no state.
pub fn state_at(store: &mut dyn Store, device: &str, at_ms: i64, width_ms: i64) -> anyhow::Result<Option<State>> {
    let mut found: Option<Row> = None;
    let mut days = vec![date_of(at_ms.saturating_sub(width_ms)), date_of(at_ms)];
    days.dedup();
    for day in days {
        scan(store, TableId::DeviceStateSnapshots, &[key(device), Value::Text(day)], |row| {
            let start_ms = row.value("snapshot_time").as_int().unwrap_or_default();
            if start_ms > at_ms {
                return Ok(ControlFlow::Break(()));
            }
            if at_ms - start_ms < width_ms {
                found = Some(row.clone());
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    found
        .map(|row| {
            State::of_row(&row, width_ms).with_context(|| {
                format!("table \"device_state_snapshots\" holds a row that is no state: {:?}", row.key())
            })
        })
        .transpose()
}

impl State {
    fn of_row(row: &Row, width_ms: i64) -> anyhow::Result<State> {
        let text = |column| row.value(column).as_text().map(str::to_owned);
        let lacks = |column| anyhow!("column {column:?} is empty");
        let map = |column| match row.value(column) {
            Value::Map(map) => Ok(map),
            _ => Err(lacks(column)),
        };
        let (means, lasts) = (map("metrics")?, map("metrics_last")?);
        let (mins, maxs, counts) = (map("metrics_min")?, map("metrics_max")?, map("metrics_count")?);
        let mut metrics = BTreeMap::new();
        for (name, mean) in means {
            let of = |map: &BTreeMap<String, f64>| map.get(name).copied().ok_or_else(|| anyhow!("{name:?} is missing"));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2^32")]
            let count = of(counts)? as u32;
            let aggregate = Aggregate { last: of(lasts)?, mean: *mean, min: of(mins)?, max: of(maxs)?, count };
            metrics.insert(name.clone(), aggregate);
        }
        let device_type = text("device_type").unwrap_or_default();
        let derived = derived(&device_type, &metrics);
        let verdicts = row.value("verdicts").as_text().ok_or_else(|| lacks("verdicts"))?;
        Ok(State {
            device_id: text("device_id").ok_or_else(|| lacks("device_id"))?,
            device_type,
            location: text("location"),
            building_id: text("building_id"),
            start_ms: row.value("snapshot_time").as_int().ok_or_else(|| lacks("snapshot_time"))?,
            width_ms,
            readings: row.value("readings").as_int().unwrap_or_default(),
            severity: text("severity"),
            score: row.value("anomaly_score").as_double().unwrap_or_default(),
            corrected: *row.value("corrected") == Value::Bool(true),
            metrics,
            derived,
            verdicts: serde_json::from_str(verdicts).context("column \"verdicts\" is no list of verdicts")?,
            embedding_pending: text("embedding_pending"),
        })
    }
}

/// The derived metrics of a state, without those that the device sends itself.
fn derived(device_type: &str, metrics: &BTreeMap<String, Aggregate>) -> BTreeMap<String, f64> {
    let Some(device_type) = Catalogue::builtin().types.get(device_type) else { return BTreeMap::new() };
    let (names, aggregates): (Vec<String>, Vec<Option<Aggregate>>) =
        metrics.iter().map(|(name, metric)| (name.clone(), Some(*metric))).unzip();
    let derived = udfs::derive(device_type, &names, &aggregates).into_iter();
    derived.filter(|(name, _)| !metrics.contains_key(name)).map(|(name, metric)| (name, metric.mean)).collect()
}

/// The same from means alone.
pub(super) fn derived_of_means(device_type: &str, means: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let alone = |mean: &f64| Aggregate { last: *mean, mean: *mean, min: *mean, max: *mean, count: 1 };
    derived(device_type, &means.iter().map(|(name, mean)| (name.clone(), alone(mean))).collect())
}
