//! What a store has of a device: its states in order.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use connectors::Store;
use model::tables::TableId;
use model::{Row, Value, Verdict};

use super::expression::{Values, evaluate};

/// A state's row.
#[derive(Clone)]
pub struct State {
    pub start_ms: i64,
    pub device_type: String,
    pub score: f64,
    pub severity: Option<String>,
    pub mean: Values,
    pub last: Values,
    pub min: Values,
    pub max: Values,
    pub count: Values,
    pub vector: Vec<f32>,
    pub verdicts: Vec<Verdict>,
    /// What was predicted, and half the width of its band.
    pub expected: Values,
    pub band: Values,
    /// Means with what the catalogue derives from them.
    pub values: Values,
}

/// States by device and start.
pub type States = BTreeMap<String, BTreeMap<i64, State>>;

/// All states of a store.
pub fn states(store: &mut dyn Store) -> States {
    let mut states = States::new();
    let mut take = |row: &Row| {
        let text = |column: &str| row.value(column).as_text().map(str::to_owned);
        let map = |column: &str| match row.value(column) {
            Value::Map(map) => map.clone(),
            other => panic!("{column} is {other:?}"),
        };
        let predicted = |column: &str| if *row.value(column) == Value::Null { Values::new() } else { map(column) };
        let start_ms = row.value("snapshot_time").as_int().unwrap();
        let device_type = text("device_type").unwrap();
        let mean = map("metrics");
        let state = State {
            start_ms,
            score: row.value("anomaly_score").as_double().unwrap(),
            severity: text("severity"),
            last: map("metrics_last"),
            expected: predicted("metrics_expected"),
            band: predicted("metrics_band"),
            min: map("metrics_min"),
            max: map("metrics_max"),
            count: map("metrics_count"),
            vector: match row.value("embedding") {
                Value::Vector(vector) => vector.clone(),
                _ => Vec::new(),
            },
            verdicts: serde_json::from_str(&text("verdicts").unwrap()).unwrap(),
            values: with_derived(&device_type, &mean),
            mean,
            device_type,
        };
        states.entry(text("device_id").unwrap()).or_default().insert(start_ms, state);
    };
    let scan = &mut |row: Row| {
        take(&row);
        ControlFlow::Continue(())
    };
    store.scan(TableId::DeviceStateSnapshots, &[], scan).unwrap();
    states
}

/// The means and what follows from them, by the formulas' text.
pub fn with_derived(device_type: &str, mean: &Values) -> Values {
    let mut values = mean.clone();
    let Some(known) = model::Catalogue::builtin().types.get(device_type) else { return values };
    for derived in &known.derived {
        let holds =
            derived.when.as_ref().is_none_or(|when| evaluate(when, mean).is_some_and(|(holds, _)| holds == 1.0));
        if let (true, Some((value, _))) = (holds, evaluate(&derived.value, mean)) {
            values.entry(derived.name.clone()).or_insert(value);
        }
    }
    values
}
