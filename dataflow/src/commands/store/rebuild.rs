//! `store rebuild-profiles`: every device's profile once more, from what the job has learned.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use connectors::Store;
use model::Row;

use crate::checkpoint::Start;
use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, bar, json_pretty, short_time, thousands, window_ms};
use crate::commands::run::{Embedder, embedder};
use crate::config;

/// Rows a call.
const CHUNK: usize = 500;

/// The job writes a profile once an hour of its device. What it has learned lies in the newest checkpoint; the rows made of that have the
/// version of its last window, so that a running job's next ones replace them, and a repeat changes nothing.
pub(super) fn run(argument: &StoreArgument, name: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut store = argument.open()?;
    let width_ms = window_ms(store.as_mut())?;
    let checkpoint = store.latest_checkpoint().context("could not read the newest checkpoint")?;
    let start = Start::decode(checkpoint, Vec::new())?;
    if start.manifest.is_none() {
        bail!(WrongUse(
            "the store has no checkpoint, and what is normal for a device lies there; replay the source into it"
                .to_owned()
        ));
    }
    let name = match name {
        Some(name) => name.to_owned(),
        None => config::load(None, std::env::vars(), &[]).map_err(|error| WrongUse(format!("{error:#}")))?.embedder,
    };
    // Profiles have a vector by the embedder within the program only.
    let mut embedder = match embedder(&name)? {
        Embedder::Vectors(make) => Some(make()),
        Embedder::None | Embedder::Texts(_) => None,
    };
    let progress = bar(start.devices.len() as u64, "devices");
    let (mut written, mut rows) = (0, Vec::with_capacity(CHUNK));
    for device in &start.devices {
        // A device that was never judged has nothing to tell.
        let Some(last_ms) = device.last_window_ms() else { continue };
        rows.push(device.profile_row(embedder.as_deref_mut(), last_ms, width_ms));
        if rows.len() == CHUNK {
            written += flush(store.as_mut(), &mut rows)?;
        }
        progress.inc(1);
    }
    written += flush(store.as_mut(), &mut rows)?;
    progress.finish_and_clear();
    let boundary_ms = start.boundary_ms();
    if as_json {
        println!(
            "{}",
            json_pretty(&serde_json::json!({"profiles": written, "as_of": model::time::format_ms(boundary_ms)}))
        );
    } else {
        println!("{} profiles are those of the checkpoint at {}", thousands(written), short_time(boundary_ms));
    }
    Ok(ExitCode::SUCCESS)
}

fn flush(store: &mut dyn Store, rows: &mut Vec<Row>) -> anyhow::Result<u64> {
    store.write(rows).context("could not write table \"device_profiles\"")?;
    let written = rows.len() as u64;
    rows.clear();
    Ok(written)
}
