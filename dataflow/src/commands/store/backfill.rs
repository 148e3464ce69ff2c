//! `store backfill-embeddings`: vectors for the states that were stored without one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, bail};
use connectors::Store;
use model::tables::TableId;
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, json_pretty, scan, thousands};
use crate::commands::run::{Embedder, embedder};
use crate::config;
use crate::embeddings::Embeddings;
use crate::embeddings::backfill::Backfill;
use crate::settings::{EmbeddingSettings, JobSettings, TextKind};

/// What was done for a method.
struct Done {
    method: String,
    round: Backfill,
}

pub(super) fn run(argument: &StoreArgument, name: Option<&str>, as_json: bool) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let name = match name {
        Some(name) => name.to_owned(),
        None => config::load(None, std::env::vars(), &[]).map_err(|error| WrongUse(format!("{error:#}")))?.embedder,
    };
    let Embedder::Texts(mut embedder) = embedder(&name)? else {
        bail!(WrongUse(format!(
            "embedder {name:?} leaves no state without a vector; name the one of the run: --embedder ollama://HOST[:PORT]/MODEL"
        )));
    };
    let mut store = argument.open()?;
    let mut others = waiting(store.as_mut())?;
    let mut all = Vec::new();
    for text in [TextKind::Words, TextKind::Values] {
        let settings = EmbeddingSettings { text, ..EmbeddingSettings::default() };
        let clock = Embeddings::system_clock();
        let embeddings = Embeddings::new(embedder.method(), &settings, &JobSettings::default(), clock);
        let Some(states) = others.remove(embeddings.method()) else { continue };
        embeddings.load(store.as_mut())?;
        let mut round = Backfill::default();
        let went = loop {
            match round.step(store.as_mut(), &embeddings, embedder.as_mut()) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        let completed = round.completed;
        went.with_context(|| {
            format!(
                "{} of {} pending states are complete; run it again to go on",
                thousands(completed),
                thousands(states)
            )
        })?;
        all.push(Done { method: embeddings.method().to_owned(), round });
    }
    let left: u64 = all.iter().map(|done| done.round.left()).sum();
    if as_json {
        let methods = all.iter().map(|done| {
            let Done { method, round } = done;
            json!({
                "embedding_method": method, "completed": round.completed, "computed": round.computed,
                "refused": round.refused, "without_snapshot": round.left(),
            })
        });
        let seconds = began.elapsed().as_secs_f64();
        let methods: Vec<_> = methods.collect();
        println!("{}", json_pretty(&json!({"methods": methods, "pending_of_others": others, "seconds": seconds})));
    } else {
        print!("{}", to_text(&all, &others));
    }
    Ok(if left == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Pending states by method.
fn waiting(store: &mut dyn Store) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut methods = BTreeMap::new();
    scan(store, TableId::PendingStates, &[], |row| {
        let method = row.value("embedding_method").as_text().unwrap_or_default();
        *methods.entry(method.to_owned()).or_default() += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(methods)
}

fn to_text(all: &[Done], others: &BTreeMap<String, u64>) -> String {
    let mut lines = Vec::new();
    for Done { method, round } in all {
        let (completed, computed) = (thousands(round.completed), thousands(round.computed));
        lines.push(format!("{completed} states have their vector by {method} now; {computed} texts were computed\n"));
        if round.refused > 0 {
            let refused = thousands(round.refused);
            lines.push(format!(
                "{refused} of them have none, for their text was refused: column embedding_pending says why\n"
            ));
        }
        if round.left() > 0 {
            let left = thousands(round.left());
            lines.push(format!("{left} could not be completed: their snapshot is not (or no more) in the store\n"));
        }
    }
    for (method, states) in others {
        lines.push(format!("{} states wait for another embedder: {method}\n", thousands(*states)));
    }
    if lines.is_empty() { "no state waits for its vector\n".to_owned() } else { lines.concat() }
}
