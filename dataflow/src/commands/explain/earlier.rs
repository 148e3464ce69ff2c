//! The device's earlier states that are most like this one, and what became of them.

use connectors::Store;

use super::State;
use crate::commands::common::{short_duration, short_time};
use crate::commands::incidents::Stored;
use crate::commands::similar::search::{Among, Query, around};

/// How many are shown.
pub const SHOWN: usize = 3;
/// States of one event are minutes apart: of those within so long only the nearest is shown, and the state's own time is left
/// out.
const APART_MS: i64 = 30 * 60_000;
/// An incident that begins so long after a state may be what became of it.
const AFTERWARDS_MS: i64 = 2 * 3_600_000;

/// An earlier state.
pub struct Earlier {
    /// Start of its window.
    pub start_ms: i64,
    /// Cosine of the two vectors.
    pub similarity: f64,
    /// It was judged unusual.
    pub anomalous: bool,
    /// What became of it, for a person.
    pub became: String,
    /// The incident that it was part of or that followed.
    pub incident_id: Option<String>,
}

/// Looks for at most so many; none where the state has no vector. `incidents` are all of the device's.
///
/// # Errors
/// If the store fails.
pub fn find(store: &mut dyn Store, state: &State, incidents: &[Stored], most: usize) -> anyhow::Result<Vec<Earlier>> {
    let Some(query) = Query::of(store, state)? else { return Ok(Vec::new()) };
    // What comes later is left out, too.
    let own = around(incidents, state, APART_MS).start..i64::MAX;
    let (hits, _) = query.search(store, state, (Among::Device, &own), 50 * most)?;
    let mut earlier: Vec<Earlier> = Vec::new();
    for hit in hits {
        if earlier.len() == most {
            break;
        }
        if earlier.iter().all(|other| (other.start_ms - hit.start_ms).abs() >= APART_MS) {
            let (became, incident_id) = became(incidents, hit.start_ms, hit.anomalous);
            let (start_ms, similarity, anomalous) = (hit.start_ms, hit.similarity, hit.anomalous);
            earlier.push(Earlier { start_ms, similarity, anomalous, became, incident_id });
        }
    }
    Ok(earlier)
}

/// What became of a state, in words, and the incident that it was part of or that followed.
pub fn became(incidents: &[Stored], start_ms: i64, anomalous: bool) -> (String, Option<String>) {
    let was = if anomalous { "unusual" } else { "normal" };
    if let Some(within) = incidents.iter().find(|one| one.start_ms <= start_ms && start_ms < one.end_ms) {
        let lasted = short_duration(within.end_ms - within.start_ms);
        let text = format!(
            "within {:?} ({}) from {}, which lasted {lasted}{}",
            within.kind,
            within.severity.name(),
            short_time(within.start_ms),
            if within.open { " so far" } else { "" }
        );
        return (text, Some(within.id.clone()));
    }
    let after = incidents.iter().filter(|one| (1..=AFTERWARDS_MS).contains(&(one.start_ms - start_ms)));
    match after.min_by_key(|one| one.start_ms) {
        Some(after) => {
            let later = short_duration(after.start_ms - start_ms);
            let text = format!("{was}, and {later} later {:?} ({}) began", after.kind, after.severity.name());
            (text, Some(after.id.clone()))
        }
        None => (format!("{was}, and no incident in the {} after it", short_duration(AFTERWARDS_MS)), None),
    }
}
