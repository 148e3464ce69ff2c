//! `incidents resolve`: what people made of an incident.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use connectors::Store;
use model::time::format_ms;
use serde_json::json;

use super::{Stored, read};
use crate::commands::WrongUse;
use crate::commands::ask::ask;
use crate::commands::common::{printable, short_time};
use crate::controls::{ASKED_MS, Ask, Placed, Resolution, Resolve};

/// Asks for it.
///
/// # Errors
/// [`WrongUse`] if no incident or several have this id; otherwise if the store fails.
pub fn run(
    store: &mut dyn Store,
    id: &str,
    resolution: Resolution,
    note: Option<&str>,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let incident = find(store, id)?;
    let placed = say(store, &incident, resolution, note)?;
    let window = (placed.window_ms != ASKED_MS).then(|| format_ms(placed.window_ms));
    let mut out = std::io::stdout().lock();
    let written = if as_json {
        let said = json!({
            "id": incident.id,
            "device_id": incident.device_id,
            "kind": incident.kind,
            "start": format_ms(incident.start_ms),
            "resolution": resolution.status(),
            "note": note,
            "effective_from": window,
        });
        writeln!(out, "{said}")
    } else {
        let (device, kind) = (printable(&incident.device_id), printable(&incident.kind));
        let when = effect(&placed);
        let (start, status) = (short_time(incident.start_ms), resolution.status());
        writeln!(out, "{device}, {kind} of {start}: {status}; {when}")
    };
    written.context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// When a control takes effect.
pub fn effect(placed: &Placed) -> String {
    match placed.window_ms {
        ASKED_MS => "a running job takes it up within seconds, else the next start does".to_owned(),
        window_ms => format!("in effect from {}", format_ms(window_ms)),
    }
}

/// Says of an incident what it was.
///
/// # Errors
/// If the store fails.
pub fn say(
    store: &mut dyn Store,
    incident: &Stored,
    resolution: Resolution,
    note: Option<&str>,
) -> anyhow::Result<Placed> {
    let resolve = Resolve {
        device_id: incident.device_id.clone(),
        anomaly_id: incident.id.clone(),
        kind: incident.kind.clone(),
        start_ms: incident.start_ms,
        metric: incident.contributions.first().map(|first| first.metric.clone()).unwrap_or_default(),
        resolution,
        note: note.map(str::to_owned),
        step: 0,
    };
    ask(store, Ask::Resolve(resolve))
}
/// The incident whose id ends so.
///
/// # Errors
/// [`WrongUse`] if no incident or several have this id; otherwise if the store fails.
pub fn find(store: &mut dyn Store, id: &str) -> anyhow::Result<Stored> {
    let mut found: Vec<Stored> = read(store, None)?.into_iter().filter(|one| one.id.ends_with(id)).collect();
    match (id.is_empty(), found.len()) {
        (false, 1) => Ok(found.remove(0)),
        (_, 0) => bail!(WrongUse(format!(
            "incident {id:?} is not in the store; `dataflow incidents` lists them with their ids"
        ))),
        (_, several) => {
            bail!(WrongUse(format!("{several} incidents have an id that ends with {id:?}; give more of it")))
        }
    }
}
