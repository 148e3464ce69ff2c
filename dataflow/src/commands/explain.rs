//! `explain`: one state, what each method made of it, and the numbers to redo that by hand.

pub mod earlier;
mod page;
mod peers;
mod plot;
mod state;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::Store;
use model::tables::TableId;
use model::time::{date_of, format_ms};
use model::{Compared, Value, Verdict};
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    StoreArgument, is_colourful, json_pretty, key, last_seen_ms, newest_ms, parse_duration, parse_time, scan,
    short_time, unit_of, window_ms,
};
use crate::commands::incidents::{self, Stored};

use earlier::Earlier;
pub use state::{State, state_at};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow explain --device RTU-002 --at 09:30
  dataflow explain --store sqlite:day.db --device RTU-002 --at 2026-03-02T09:30:00Z --metric fan_speed --json";

/// Arguments of `explain`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Which device
    #[arg(long, value_name = "ID")]
    device: String,
    /// When: RFC 3339, or HH:MM (UTC) on the device's newest day
    #[arg(long, value_name = "TIME")]
    at: String,
    /// Show the course of this metric, too; may be given several times
    #[arg(long, value_name = "NAME")]
    metric: Vec<String>,
    /// How much to show before and after the incident, or the state where there is none
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    around: String,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A metric over time.
pub(super) struct Series {
    pub metric: String,
    pub unit: &'static str,
    /// Window start and value.
    pub points: Vec<(i64, f64)>,
}

/// All that there is to say.
pub struct Explained {
    pub(super) state: State,
    /// Incidents that last through the state, the worst first.
    pub(super) incidents: Vec<Stored>,
    /// The newest event time: those that are open last until then.
    pub(super) now_ms: i64,
    /// Earlier states like it.
    pub(super) earlier: Vec<Earlier>,
    pub(super) series: Vec<Series>,
    /// Time that the series cover.
    pub(super) from_ms: i64,
    pub(super) to_ms: i64,
    /// Weights of the methods in the consensus.
    pub(super) weights: [f64; 4],
    /// How metrics stand to the device's peers: those of the state, and those of the worst incident at its peak.
    pub(super) compared: Vec<Compared>,
    pub(super) compared_at_peak: Vec<Compared>,
}

/// Metrics shown over time, unless more are asked for.
const MOST_SERIES: usize = 4;
/// The longest time that is shown: a series is read into memory.
const LONGEST_MS: i64 = 7 * 86_400_000;

/// Explains.
///
/// # Errors
/// [`WrongUse`] if there is no such device or state; otherwise if the store fails.
pub fn run(arguments: &ExplainArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    let newest_ms = last_seen_ms(store.as_mut(), &arguments.device)?;
    let at_ms = parse_time(&arguments.at, Some(newest_ms))?;
    let around_ms = parse_duration("--around", &arguments.around)?;
    let width_ms = window_ms(store.as_mut())?;
    let explained = answer(store.as_mut(), (&arguments.device, at_ms, width_ms), around_ms, &arguments.metric)?;
    let text =
        if arguments.json { json_pretty(&explained.to_json()) + "\n" } else { page::text(&explained, is_colourful()) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Explains the state of a device at a time, where windows have a width, with the course of metrics around it: those that are
/// asked for, and then what the incident and the findings are about.
///
/// # Errors
/// [`WrongUse`] if there is no such state or metric; otherwise if the store fails.
pub fn answer(
    store: &mut dyn Store,
    (device, at_ms, width_ms): (&str, i64, i64),
    around_ms: i64,
    metrics: &[String],
) -> anyhow::Result<Explained> {
    let mut incidents = incidents::read(store, Some(device))?;
    let all = incidents.clone();
    incidents.retain(|incident| incident.start_ms < at_ms + width_ms && incident.end_ms > at_ms);
    incidents.sort_by_key(|incident| std::cmp::Reverse(incident.severity));
    let Some(state) = state_at(store, device, at_ms, width_ms)? else {
        bail!(WrongUse(no_state(store, device, at_ms, &incidents)?));
    };
    let (mut from_ms, mut to_ms) = (state.start_ms, state.start_ms + width_ms);
    if let Some(incident) = incidents.first() {
        (from_ms, to_ms) = (from_ms.min(incident.start_ms), to_ms.max(incident.end_ms));
    }
    (from_ms, to_ms) = (from_ms.saturating_sub(around_ms), to_ms.saturating_add(around_ms));
    if to_ms - from_ms > LONGEST_MS {
        from_ms = from_ms.max(state.start_ms - LONGEST_MS / 2);
        to_ms = to_ms.min(from_ms + LONGEST_MS);
    }
    let metrics = metrics_to_show(&state, &incidents, metrics)?;
    let earlier = earlier::find(store, &state, &all, earlier::SHOWN)?;
    let series = read_series(store, &state, &metrics, (from_ms, to_ms))?;
    // A store keeps only a hash of the thresholds; where the weights were others, the page says so.
    let weights = crate::config::load(None, std::env::vars(), &[])
        .map_err(|error| WrongUse(format!("{error:#}")))?
        .detectors
        .resolve()
        .map_err(WrongUse)?
        .of(&state.device_type)
        .weights;
    let is_open = incidents.iter().any(|incident| incident.open);
    let now_ms = if is_open { newest_ms(store)?.unwrap_or(i64::MIN) } else { i64::MIN };
    let compared = peers::of_state(&state);
    let compared_at_peak = match incidents.first() {
        Some(incident) => peers::at_peak(store, incident, width_ms)?,
        None => Vec::new(),
    };
    Ok(Explained { state, incidents, now_ms, earlier, series, from_ms, to_ms, weights, compared, compared_at_peak })
}

/// Says which states are near, and whether an incident explains that there is none.
fn no_state(store: &mut dyn Store, device: &str, at_ms: i64, incidents: &[Stored]) -> anyhow::Result<String> {
    let (mut before, mut after) = (None, None);
    for day_ms in [at_ms.saturating_sub(86_400_000), at_ms, at_ms.saturating_add(86_400_000)] {
        scan(store, TableId::DeviceStateSnapshots, &[key(device), Value::Text(date_of(day_ms))], |row| {
            let start_ms = row.value("snapshot_time").as_int().unwrap_or_default();
            if start_ms <= at_ms {
                before = Some(start_ms);
            } else if after.is_none() {
                after = Some(start_ms);
            }
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
    }
    let mut text = format!("device {device:?} has no state at {}", format_ms(at_ms));
    let near: Vec<String> = [before, after].into_iter().flatten().map(short_time).collect();
    if !near.is_empty() {
        text += &format!("; nearest: {}", near.join(" and "));
    }
    for incident in incidents {
        text += &format!("; incident {:?} lasts then: {}", incident.kind, incident.summary);
    }
    Ok(text)
}

/// What people asked for, then what the incident and the findings are about.
fn metrics_to_show(state: &State, incidents: &[Stored], asked: &[String]) -> anyhow::Result<Vec<String>> {
    for metric in asked {
        if !state.metrics.contains_key(metric) && !state.derived.contains_key(metric) {
            let known: Vec<&str> = state.metrics.keys().chain(state.derived.keys()).map(String::as_str).collect();
            bail!(WrongUse(format!("metric {metric:?} is not in this state; it has {}", known.join(", "))));
        }
    }
    let contributions = incidents.iter().flat_map(|incident| incident.contributions.iter().map(|part| &part.metric));
    let findings = state.verdicts.iter().flat_map(|verdict| verdict.findings.iter().filter_map(|f| f.metric.as_ref()));
    let mut metrics = asked.to_vec();
    for metric in contributions.chain(findings) {
        if metrics.len() < MOST_SERIES.max(asked.len()) && !metrics.contains(metric) {
            metrics.push(metric.clone());
        }
    }
    Ok(metrics)
}

fn read_series(
    store: &mut dyn Store,
    state: &State,
    metrics: &[String],
    (from_ms, to_ms): (i64, i64),
) -> anyhow::Result<Vec<Series>> {
    let mut series: Vec<Series> = metrics
        .iter()
        .map(|metric| Series { metric: metric.clone(), unit: unit_of(&state.device_type, metric), points: Vec::new() })
        .collect();
    if series.is_empty() {
        return Ok(series);
    }
    let of_derived = metrics.iter().any(|metric| !state.metrics.contains_key(metric));
    connectors::scan_days(store, TableId::DeviceStateSnapshots, &state.device_id, from_ms..to_ms, &mut |row| {
        let start_ms = row.value("snapshot_time").as_int().unwrap_or_default();
        if let Value::Map(means) = row.value("metrics") {
            let derived = if of_derived { state::derived_of_means(&state.device_type, means) } else { BTreeMap::new() };
            for series in &mut series {
                let value = means.get(&series.metric).or_else(|| derived.get(&series.metric));
                series.points.extend(value.map(|value| (start_ms, *value)));
            }
        }
        std::ops::ControlFlow::Continue(())
    })
    .context("could not read table \"device_state_snapshots\"")?;
    Ok(series)
}

impl Explained {
    /// As people's programs read it.
    pub fn to_json(&self) -> serde_json::Value {
        let state = &self.state;
        let expected = |name: &String| state.expected.get(name);
        let metrics: serde_json::Map<String, serde_json::Value> = state
            .metrics
            .iter()
            .map(|(name, metric)| {
                let value = json!({
                    "unit": unit_of(&state.device_type, name), "last": metric.last, "mean": metric.mean,
                    "min": metric.min, "max": metric.max, "count": metric.count,
                    "expected": expected(name).map(|expected| expected.value),
                    "band": expected(name).map(|expected| expected.band),
                });
                (name.clone(), value)
            })
            .collect();
        let derived: serde_json::Map<String, serde_json::Value> = state
            .derived
            .iter()
            .map(|(name, value)| {
                let value = json!({
                    "unit": unit_of(&state.device_type, name), "mean": value,
                    "expected": expected(name).map(|expected| expected.value),
                    "band": expected(name).map(|expected| expected.band),
                });
                (name.clone(), value)
            })
            .collect();
        let series: serde_json::Map<String, serde_json::Value> = self
            .series
            .iter()
            .map(|series| {
                let points = series.points.iter().map(|(at_ms, value)| json!([format_ms(*at_ms), value]));
                (series.metric.clone(), json!({"unit": series.unit, "points": points.collect::<Vec<_>>()}))
            })
            .collect();
        json!({
            "device_id": state.device_id,
            "device_type": state.device_type,
            "location": state.location,
            "building_id": state.building_id,
            "start": format_ms(state.start_ms),
            "end": format_ms(state.start_ms + state.width_ms),
            "readings": state.readings,
            "corrected": state.corrected,
            "severity": state.severity,
            "score": state.score,
            "metrics": metrics,
            "derived": derived,
            "verdicts": state.verdicts,
            "votes": state.verdicts.iter().map(votes).collect::<Vec<_>>(),
            "weights": self.weights,
            "incidents": self.incidents.iter().map(|one| one.to_json(self.now_ms)).collect::<Vec<_>>(),
            "earlier": self.earlier.iter().map(|earlier| json!({
                "at": format_ms(earlier.start_ms),
                "similarity": earlier.similarity,
                "anomalous": earlier.anomalous,
                "became": earlier.became,
            })).collect::<Vec<_>>(),
            "series": series,
            "peers_at_peak": self.compared_at_peak,
        })
    }
}

/// Whether a verdict counts in the consensus: what has an incident of its own (a stuck or missing metric) does not, nor
/// does the reason why a method keeps silent.
pub fn votes(verdict: &Verdict) -> bool {
    verdict.severity.is_some()
        && verdict.findings.iter().any(|finding| !finding.has_own_incident() && !finding.explains_silence())
}
