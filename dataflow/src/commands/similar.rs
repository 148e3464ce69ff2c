//! `similar`: states like this one, of the device or of all.
//!
//! The nearest distinct states say which occurrences may be meant; among those the exact vectors of the states decide.

pub mod search;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::Range;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use model::time::format_ms;
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    StoreArgument, json_pretty, last_seen_ms, number, parse_duration, parse_time, printable, short_time, table,
    table_text, thousands, unit_of, window_ms,
};
use crate::commands::explain::{State, state_at};
use crate::commands::incidents;
use crate::commands::profiles::deviations;
use search::{Among, Hit, Query, around};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow similar --device RTU-002 --at 09:30
  dataflow similar --store sqlite:day.db --device RTU-002 --at 2026-03-02T09:30:00Z --any-device --apart 2h --json";

/// Arguments of `similar`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SimilarArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Which device
    #[arg(long, value_name = "ID")]
    device: String,
    /// When: RFC 3339, or HH:MM (UTC) on the device's newest day
    #[arg(long, value_name = "TIME")]
    at: String,
    /// How many
    #[arg(long, value_name = "N", default_value_t = 10)]
    limit: usize,
    /// Look at the states of all devices
    #[arg(long)]
    any_device: bool,
    /// Leave out the device's own states that are nearer in time, or of the same incident: little has changed there
    #[arg(long, value_name = "DURATION", default_value = "30min")]
    apart: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A state that was found, and what is different there.
struct Found {
    hit: Hit,
    differences: Vec<Difference>,
}

/// A metric that is different.
struct Difference {
    metric: String,
    unit: &'static str,
    here: f64,
    there: f64,
    /// Apart in standard deviations of the device while normal; `None` where it has none.
    deviations: Option<f64>,
}

/// Metrics shown of a state.
const MOST_DIFFERENCES: usize = 3;

/// Finds similar states.
///
/// # Errors
/// [`WrongUse`] if there is no such device, state or vector; otherwise if the store fails.
pub fn run(arguments: &SimilarArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    let store = store.as_mut();
    let newest_ms = last_seen_ms(store, &arguments.device)?;
    let at_ms = parse_time(&arguments.at, Some(newest_ms))?;
    let apart_ms = parse_duration("--apart", &arguments.apart)?;
    let width_ms = window_ms(store)?;
    let Some(state) = state_at(store, &arguments.device, at_ms, width_ms)? else {
        bail!(WrongUse(format!("device {:?} has no state at {}", arguments.device, format_ms(at_ms))));
    };
    let Some(query) = Query::of(store, &state)? else {
        bail!(WrongUse(no_vector(&state)));
    };
    let own = around(&incidents::read(store, Some(&state.device_id))?, &state, apart_ms);
    let among = if arguments.any_device { Among::All } else { Among::Device };
    let (hits, seen) = query.search(store, &state, (among, &own), arguments.limit)?;
    let spreads = if hits.is_empty() { BTreeMap::new() } else { deviations(store, &arguments.device)? };
    let mut found = Vec::new();
    for hit in hits {
        let other = state_at(store, &hit.device_id, hit.start_ms, width_ms)?;
        let differences = other.map(|other| differences(&state, &other, &spreads)).unwrap_or_default();
        found.push(Found { hit, differences });
    }
    let text = if arguments.json {
        json_pretty(&to_json(&state, &query, &own, seen, &found)) + "\n"
    } else {
        to_text(&state, &query, &own, seen, &found, arguments.any_device)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Why a state has no vector.
pub fn no_vector(state: &State) -> String {
    let why = match &state.embedding_pending {
        Some(reason) => format!("has no vector yet ({reason}): `dataflow store backfill-embeddings` makes it"),
        None => "has no vector: the device was still warming up, or the run had no embedder".to_owned(),
    };
    format!("state of {} {why}", short_time(state.start_ms))
}

/// The metrics that are furthest apart, measured in the device's own deviations where those are known.
fn differences(here: &State, there: &State, spreads: &BTreeMap<String, f64>) -> Vec<Difference> {
    let mut all: Vec<(f64, Difference)> = here
        .metrics
        .iter()
        .filter_map(|(metric, aggregate)| {
            let (here_mean, there_mean) = (aggregate.mean, there.metrics.get(metric)?.mean);
            let apart = (there_mean - here_mean).abs();
            let deviations = spreads.get(metric).filter(|spread| **spread > 0.0).map(|spread| apart / spread);
            let size = here_mean.abs().max(there_mean.abs());
            let weight = deviations.unwrap_or(if size > 0.0 { apart / size } else { 0.0 });
            let unit = unit_of(&here.device_type, metric);
            Some((weight, Difference { metric: metric.clone(), unit, here: here_mean, there: there_mean, deviations }))
        })
        .filter(|(weight, _)| *weight > 0.0)
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.metric.cmp(&b.1.metric)));
    all.into_iter().take(MOST_DIFFERENCES).map(|(_, difference)| difference).collect()
}

fn to_json(state: &State, query: &Query, own: &Range<i64>, seen: u64, found: &[Found]) -> serde_json::Value {
    json!({
        "device_id": state.device_id,
        "at": format_ms(state.start_ms),
        "anomalous": state.severity.is_some(),
        "embedding_method": query.method,
        "text": query.text,
        "left_out": {"from": format_ms(own.start), "to": format_ms(own.end)},
        "states_compared": seen,
        "similar": found.iter().map(|found| json!({
            "device_id": found.hit.device_id,
            "at": format_ms(found.hit.start_ms),
            "similarity": found.hit.similarity,
            "anomalous": found.hit.anomalous,
            "differences": found.differences.iter().map(|difference| json!({
                "metric": difference.metric,
                "unit": difference.unit,
                "here": difference.here,
                "there": difference.there,
                "deviations": difference.deviations,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

fn to_text(state: &State, query: &Query, own: &Range<i64>, seen: u64, found: &[Found], any_device: bool) -> String {
    let kind = |anomalous| if anomalous { "unusual" } else { "normal" };
    let mut text = format!(
        "{} at {} ({}) against {} states{} by {}; its own from {} to {} are left out\n{}\n",
        printable(&state.device_id),
        short_time(state.start_ms),
        kind(state.severity.is_some()),
        thousands(seen),
        if any_device { " of all devices" } else { "" },
        query.method,
        short_time(own.start),
        short_time(own.end),
        query.text.as_ref().map(|text| format!("In words: {}\n", printable(text))).unwrap_or_default()
    );
    if found.is_empty() {
        return text + "No other states.\n";
    }
    let mut shown = table(&["device", "time", "similarity", "was", "differs most in (there against here)"], &[2]);
    for found in found {
        let differences: Vec<String> = found
            .differences
            .iter()
            .map(|difference| {
                let unit = if difference.unit.is_empty() { String::new() } else { format!(" {}", difference.unit) };
                let (there, here) = (number(difference.there), number(difference.here));
                format!("{} {there} against {here}{unit}", printable(&difference.metric))
            })
            .collect();
        shown.add_row([
            printable(&found.hit.device_id),
            short_time(found.hit.start_ms),
            format!("{:.4}", found.hit.similarity),
            kind(found.hit.anomalous).to_owned(),
            differences.join("; "),
        ]);
    }
    text += &table_text(&shown);
    let unusual = found.iter().filter(|found| found.hit.anomalous).count();
    #[expect(clippy::cast_precision_loss, reason = "a few states")]
    let mean = found.iter().map(|found| found.hit.similarity).sum::<f64>() / found.len() as f64;
    let _ = std::fmt::Write::write_fmt(
        &mut text,
        format_args!(
            "\n{unusual} of these {} were unusual; mean similarity {mean:.3}. {}\n",
            found.len(),
            meaning(state.severity.is_some(), unusual)
        ),
    );
    text
}

/// What that says about the state.
fn meaning(anomalous: bool, unusual: usize) -> &'static str {
    match (anomalous, unusual) {
        (true, 0) => "None of the states most like it was called unusual: it is new.",
        (true, _) => "Something like it has happened at another time, too.",
        (false, 0) => "A normal state among normal ones.",
        (false, _) => "It was judged normal but is like states that were not: worth a look.",
    }
}
