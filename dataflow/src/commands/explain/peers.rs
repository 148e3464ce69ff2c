//! How metrics stand to what the device's peers showed, as the states' rows have it.

use connectors::Store;
use model::Compared;

use super::page::exact;
use super::state::{State, state_at};
use crate::commands::common::{printable, table, table_text};
use crate::commands::incidents::Stored;

/// What a state compares.
pub(super) fn of_state(state: &State) -> Vec<Compared> {
    state.compared().cloned().collect()
}

/// What the state at an incident's peak compares, of the metrics that contribute.
///
/// # Errors
/// If the store fails or the row is no state.
pub(super) fn at_peak(store: &mut dyn Store, incident: &Stored, width_ms: i64) -> anyhow::Result<Vec<Compared>> {
    let state = state_at(store, &incident.device_id, incident.peak_ms, width_ms)?;
    let mut compared = state.as_ref().map(of_state).unwrap_or_default();
    compared.retain(|one| incident.contributions.iter().any(|part| part.metric == one.metric));
    Ok(compared)
}

/// A line a metric.
pub(super) fn text(compared: &[Compared]) -> String {
    let header = ["", "metric", "seen", "median", "middle half", "all", "devices", "unit", "the device is"];
    let mut shown = table(&header, &[2, 3, 6]);
    for one in compared {
        let peers = &one.peers;
        let usual = one.usual.map_or_else(String::new, |usual| format!(" (usually {usual:+.2} from the median)"));
        shown.add_row([
            String::new(),
            printable(&one.metric),
            exact(one.observed),
            exact(peers.median),
            format!("{} to {}", exact(peers.lower), exact(peers.upper)),
            format!("{} to {}", exact(peers.lowest), exact(peers.highest)),
            peers.devices.to_string(),
            printable(&one.unit),
            format!("{}{usual}", peers.rank(one.observed)),
        ]);
    }
    table_text(&shown)
}
