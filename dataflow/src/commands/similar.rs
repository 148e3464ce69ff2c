//! `similar`: states like this one, of the device or of all.
//!
//! The nearest distinct states say which occurrences may be meant; among those the exact vectors of the states decide.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::ops::{ControlFlow, Range};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::Store;
use model::tables::TableId;
use model::time::{date_of, format_ms};
use model::{Row, Value};
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    StoreArgument, json_pretty, key, last_seen_ms, number, parse_duration, parse_time, printable, row_of, scan,
    short_time, table, table_text, thousands, unit_of, window_ms,
};
use crate::commands::explain::{State, state_at};
use crate::commands::incidents;
use crate::commands::profiles::deviations;

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

/// A state that was found.
struct Found {
    device_id: String,
    start_ms: i64,
    similarity: f64,
    anomalous: bool,
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
    let occurrence = row_of(store, TableId::StateOccurrences, &[key(&arguments.device), Value::Int(state.start_ms)])?;
    let Some((method, vector_id)) = occurrence.as_ref().and_then(vector_of) else {
        bail!(WrongUse(format!(
            "state of {} has no vector: the device was still warming up, or the run had no embedder",
            short_time(state.start_ms)
        )));
    };
    let cosines = cosines(store, &method, vector_id)?;
    let own = around(store, &state, apart_ms)?;
    let (mut found, seen) = search(store, arguments, &state, &own, (&method, &cosines))?;
    refine(store, &method, &state, &mut found)?;
    keep_best(&mut found, arguments.limit);
    let mut spreads = BTreeMap::new();
    for found in &mut found {
        if let Some(other) = state_at(store, &found.device_id, found.start_ms, width_ms)? {
            if !spreads.contains_key(&arguments.device) {
                spreads.insert(arguments.device.clone(), deviations(store, &arguments.device)?);
            }
            found.differences = differences(&state, &other, &spreads[&arguments.device]);
        }
    }
    let text = if arguments.json {
        json_pretty(&to_json(&state, &method, &own, seen, &found)) + "\n"
    } else {
        to_text(&state, &method, &own, seen, &found, arguments.any_device)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn vector_of(row: &Row) -> Option<(String, i64)> {
    Some((row.value("embedding_method").as_text()?.to_owned(), row.value("vector_id").as_int()?))
}

/// Cosine of every distinct state of the method to this one; only the method's own vectors can be compared.
fn cosines(store: &mut dyn Store, method: &str, vector_id: i64) -> anyhow::Result<HashMap<i64, f64>> {
    let row = row_of(store, TableId::StateVectors, &[key(method), Value::Int(vector_id)])?;
    let Some(Value::Vector(query)) = row.as_ref().map(|row| row.value("embedding")) else {
        bail!("vector {vector_id} of method {method:?} is not in table \"state_vectors\"");
    };
    let query = query.clone();
    let mut cosines = HashMap::new();
    let each = |row: &Row| {
        if let (Some(id), Value::Vector(vector)) = (row.value("vector_id").as_int(), row.value("embedding")) {
            cosines.insert(id, cosine(&query, vector));
        }
        Ok(ControlFlow::Continue(()))
    };
    scan(store, TableId::StateVectors, &[key(method)], each)?;
    Ok(cosines)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        squares_a += a * a;
        squares_b += b * b;
    }
    (dot / (squares_a * squares_b).sqrt()).clamp(-1.0, 1.0)
}

/// The time around a state in which the device's own states are no news: so long before and after, and the incident that
/// the state belongs to.
fn around(store: &mut dyn Store, state: &State, apart_ms: i64) -> anyhow::Result<Range<i64>> {
    let windows = apart_ms.unsigned_abs().div_ceil(state.width_ms.unsigned_abs()).clamp(1, 1 << 32).cast_signed();
    let mut around =
        state.start_ms - (windows - 1) * state.width_ms..state.start_ms.saturating_add(windows * state.width_ms);
    for incident in incidents::read(store, Some(&state.device_id))? {
        if incident.start_ms <= state.start_ms && state.start_ms < incident.end_ms {
            around = around.start.min(incident.start_ms)..around.end.max(incident.end_ms);
        }
    }
    Ok(around)
}

/// Occurrences that are looked at more closely, beyond a few times as many as were asked for: a state that occurs all day
/// says little about which of the days is meant.
const MORE_CANDIDATES: usize = 64;

/// The occurrences of the most similar distinct states, and how many states were looked at.
fn search(
    store: &mut dyn Store,
    arguments: &SimilarArguments,
    state: &State,
    own: &Range<i64>,
    (method, cosines): (&str, &HashMap<i64, f64>),
) -> anyhow::Result<(Vec<Found>, u64)> {
    let candidates = arguments.limit.saturating_mul(4).saturating_add(MORE_CANDIDATES);
    let mut found: Vec<Found> = Vec::new();
    let mut seen = 0;
    let prefix: Vec<Value> = if arguments.any_device { Vec::new() } else { vec![key(&arguments.device)] };
    scan(store, TableId::StateOccurrences, &prefix, |row| {
        let device = row.value("device_id").as_text().unwrap_or_default();
        let start_ms = row.value("snapshot_time").as_int().unwrap_or_default();
        let itself = device == state.device_id && own.contains(&start_ms);
        let Some((of_method, id)) = vector_of(row) else { return Ok(ControlFlow::Continue(())) };
        if itself || of_method != method {
            return Ok(ControlFlow::Continue(()));
        }
        let similarity = *cosines.get(&id).with_context(|| format!("vector {id} is not in table \"state_vectors\""))?;
        seen += 1;
        found.push(Found {
            device_id: device.to_owned(),
            start_ms,
            similarity,
            anomalous: *row.value("is_anomalous") == Value::Bool(true),
            differences: Vec::new(),
        });
        if found.len() / 4 >= candidates {
            keep_best(&mut found, candidates);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    keep_best(&mut found, candidates);
    Ok((found, seen))
}

/// Puts the cosine of the states' own vectors in place of that of their distinct ones, where both have one.
fn refine(store: &mut dyn Store, method: &str, state: &State, found: &mut [Found]) -> anyhow::Result<()> {
    let mut exact = |device: &str, start_ms: i64| -> anyhow::Result<Option<Vec<f32>>> {
        let key = [key(device), Value::Text(date_of(start_ms)), Value::Int(start_ms)];
        let row = row_of(store, TableId::DeviceStateSnapshots, &key)?;
        Ok(row.filter(|row| row.value("embedding_method").as_text() == Some(method)).and_then(|row| {
            match row.value("embedding") {
                Value::Vector(vector) => Some(vector.clone()),
                _ => None,
            }
        }))
    };
    let Some(query) = exact(&state.device_id, state.start_ms)? else { return Ok(()) };
    for found in found {
        if let Some(vector) = exact(&found.device_id, found.start_ms)? {
            found.similarity = cosine(&query, &vector);
        }
    }
    Ok(())
}

/// The highest similarity first; among equals the newest.
fn keep_best(found: &mut Vec<Found>, limit: usize) {
    found.sort_by(|a, b| {
        let order = b.similarity.total_cmp(&a.similarity);
        order.then_with(|| (Reverse(a.start_ms), &a.device_id).cmp(&(Reverse(b.start_ms), &b.device_id)))
    });
    found.truncate(limit);
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

fn to_json(state: &State, method: &str, own: &Range<i64>, seen: u64, found: &[Found]) -> serde_json::Value {
    json!({
        "device_id": state.device_id,
        "at": format_ms(state.start_ms),
        "anomalous": state.severity.is_some(),
        "embedding_method": method,
        "left_out": {"from": format_ms(own.start), "to": format_ms(own.end)},
        "states_compared": seen,
        "similar": found.iter().map(|found| json!({
            "device_id": found.device_id,
            "at": format_ms(found.start_ms),
            "similarity": found.similarity,
            "anomalous": found.anomalous,
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

fn to_text(state: &State, method: &str, own: &Range<i64>, seen: u64, found: &[Found], any_device: bool) -> String {
    let kind = |anomalous| if anomalous { "unusual" } else { "normal" };
    let mut text = format!(
        "{} at {} ({}) against {} states{} by {method}; its own from {} to {} are left out\n\n",
        printable(&state.device_id),
        short_time(state.start_ms),
        kind(state.severity.is_some()),
        thousands(seen),
        if any_device { " of all devices" } else { "" },
        short_time(own.start),
        short_time(own.end)
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
            printable(&found.device_id),
            short_time(found.start_ms),
            format!("{:.4}", found.similarity),
            kind(found.anomalous).to_owned(),
            differences.join("; "),
        ]);
    }
    text += &table_text(&shown);
    let unusual = found.iter().filter(|found| found.anomalous).count();
    #[expect(clippy::cast_precision_loss, reason = "a few states")]
    let mean = found.iter().map(|found| found.similarity).sum::<f64>() / found.len() as f64;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_exact_and_bounded() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[1.0, 0.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert!(cosine(&[0.1; 384], &[0.3; 384]) <= 1.0);
    }
}
