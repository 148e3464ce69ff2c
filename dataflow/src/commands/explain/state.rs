//! A state as the store has it, with what follows from it.

use std::collections::BTreeMap;
use std::ops::Deref;

use anyhow::Context as _;
use connectors::Store;
use model::{Aggregate, Catalogue, StoredState};

/// A state with what the methods said of it.
#[derive(Clone, Debug)]
pub struct State {
    stored: StoredState,
    /// What follows from its metrics by the catalogue's formulas, by name: no row has it, so it is reckoned anew.
    pub derived: BTreeMap<String, f64>,
}

impl Deref for State {
    type Target = StoredState;

    fn deref(&self) -> &StoredState {
        &self.stored
    }
}

/// The state of the window that holds `at_ms`.
///
/// # Errors
/// If the store fails or the row is no state.
pub fn state_at(store: &mut dyn Store, device: &str, at_ms: i64, width_ms: i64) -> anyhow::Result<Option<State>> {
    let found = connectors::state_row_at(store, device, at_ms, width_ms)
        .context("could not read table \"device_state_snapshots\"")?;
    let Some(row) = found else { return Ok(None) };
    let stored = StoredState::of_row(&row, width_ms).with_context(|| format!("could not use row {:?}", row.key()))?;
    let derived = derived(&stored.device_type, &stored.metrics);
    Ok(Some(State { stored, derived }))
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
