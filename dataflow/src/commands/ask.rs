//! How a command asks something of the job: a row in the store, which the job places; where the job is at its source's end, it is
//! placed here.

use anyhow::Context as _;
use connectors::{Store, StoreError};

use crate::checkpoint::{Start, judged_ms as judged};
use crate::clock;
use crate::commands::common::window_ms;
use crate::commands::run::this_process;
use crate::controls::{ASKED_MS, Ask, Placed, read, settle_finished};

/// Windows that start earlier may be judged, as far as the store tells.
///
/// # Errors
/// If the store fails.
pub fn judged_ms(store: &mut dyn Store) -> anyhow::Result<i64> {
    let marks = store.marks().context("could not read the idle marks")?;
    let start = Start::decode(store.latest_checkpoint()?, Vec::new())?;
    Ok(judged(start.boundary_ms(), &marks))
}

/// Asks for something. Given back as the store has it then.
///
/// # Errors
/// If the store fails.
pub fn ask(store: &mut dyn Store, ask: Ask) -> anyhow::Result<Placed> {
    let id = format!("{}/{}", model::time::format_ms(clock::now_ms()), std::process::id());
    let asked = Placed { window_ms: ASKED_MS, id, ask };
    store.write_controls(&[asked.to_control()]).context("could not write what is asked for")?;
    let finished = Start::decode(store.latest_checkpoint()?, Vec::new())?.manifest;
    if let Some((_, manifest)) = finished.filter(|(_, manifest)| manifest.finished) {
        match store.acquire_lease(&this_process()) {
            Ok(()) => {
                let width_ms = window_ms(store)?;
                let controls = read(store)?;
                let settled = settle_finished(store, &controls, manifest.boundary_ms, width_ms);
                store.release_lease().context("could not give the store back")?;
                settled?;
            }
            // Another job works on it, which places it itself.
            Err(StoreError::Held { .. }) => {}
            Err(error) => return Err(error).context("could not take the store"),
        }
    }
    let placed = read(store)?.placed.into_iter().find(|placed| placed.id == asked.id);
    Ok(placed.unwrap_or(asked))
}
