//! `GET /api/v1/devices/{id}`, its series, and what is told of one of its states.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use connectors::{Store, scan_days};
use model::tables::TableId;
use model::{Row, Value};
use serde::Deserialize;
use utoipa::IntoParams;

use super::take::{Asked, Named, time};
use crate::board::{self, Known, face, incident_card};
use crate::labels::{label, unit_of};
use crate::problem::{Contradictions, Problem, Problems};
use crate::series::{self, Gather, band};
use crate::server::Shared;
use crate::wire::{Device, DeviceTotals, IncidentCard, MetricBand, Profile, ProfileMetric, Series, Similar};

/// Incidents shown with a device.
const INCIDENTS: usize = 50;
/// The longest time that is shown.
const LONGEST_MS: i64 = 31 * 86_400_000;

fn known_device(shared: &Shared, id: &str) -> Result<Arc<board::Device>, Problem> {
    shared.check_there()?;
    shared.board.device(id).ok_or_else(|| Problem::unknown(format!("there is no device {id:?}")))
}

fn of_device(shared: &Shared, id: &str, pick: impl Fn(&Known) -> bool, most: usize) -> Vec<IncidentCard> {
    let (words, as_of_ms) = (shared.board.words(), shared.board.as_of_ms());
    let incidents = shared.board.incidents();
    let fits = incidents.iter().filter(|known| known.incident.device_id == id && pick(known));
    fits.take(most).map(|known| incident_card(known, &words, as_of_ms)).collect()
}

/// The one row with a key.
pub(super) fn row_of(store: &mut dyn Store, table: TableId, key: Vec<Value>) -> Result<Option<Row>, Problem> {
    Ok(store.find(table, &[key])?.into_iter().next())
}

/// A device in full
#[utoipa::path(get, path = "/api/v1/devices/{id}", tag = "devices", params(("id" = String, Path, description = "Device id")),
    responses((status = 200, body = Device), Problems))]
pub(crate) async fn device(State(shared): State<Arc<Shared>>, Named(id): Named) -> Result<Json<Device>, Problem> {
    let device = known_device(&shared, &id)?;
    let key = vec![Value::Text(id.clone())];
    let row = shared.readers.ask(move |store, _| row_of(store, TableId::DeviceProfiles, key)).await?;
    let device_type = &device.device_type;
    let newest = device.newest.as_deref();
    let metrics = newest.map_or(&[][..], |newest| &newest.metrics).iter().map(|(name, value)| {
        let expected = newest.and_then(|newest| newest.expected(name));
        let ends = expected.map(|expected| band(device_type, name, expected));
        MetricBand {
            name: name.clone(),
            label: label(name),
            unit: unit_of(device_type, name).to_owned(),
            value: Some(*value),
            expected: expected.map(|expected| expected.value),
            low: ends.map(|(low, _)| low),
            high: ends.map(|(_, high)| high),
        }
    });
    let totals = &device.totals;
    Ok(Json(Device {
        face: face(&device),
        first_seen_ms: row.as_ref().and_then(|row| row.value("profile_created_at").as_int()),
        totals: DeviceTotals {
            states: totals.states,
            unusual_states: totals.unusual_states,
            readings: totals.readings,
            duplicates: totals.duplicates,
            incidents: totals.incidents,
        },
        metrics: metrics.collect(),
        profile: row.as_ref().and_then(|row| profile(row, device_type)),
        incidents: of_device(&shared, &id, |_| true, INCIDENTS),
    }))
}

fn profile(row: &Row, device_type: &str) -> Option<Profile> {
    let Value::Stats(stats) = row.value("metric_stats") else { return None };
    let metrics = stats.iter().map(|(name, stats)| ProfileMetric {
        name: name.clone(),
        label: label(name),
        unit: unit_of(device_type, name).to_owned(),
        stats: stats.clone(),
    });
    Some(Profile {
        updated_ms: row.value("profile_updated_at").as_int(),
        normal_states: row.value("normal_states").as_int().unwrap_or_default(),
        metrics: metrics.collect(),
    })
}

/// Only for the description: the handler reads pairs, for `metric` may stand several times.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only described")]
pub(crate) struct SeriesQuery {
    /// Beginning; six hours before the end where nothing is said.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    from_ms: Option<i64>,
    /// End, exclusive; the device's newest time where nothing is said. At most 31 days behind the beginning.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    to_ms: Option<i64>,
    /// Only these metrics, up to 1,000; all where nothing is said.
    #[param(max_items = 1_000)]
    metric: Option<Vec<String>>,
    /// At most so many steps, up to 10,000; 1,000 where nothing is said.
    #[param(minimum = 1, maximum = 10_000)]
    points: Option<usize>,
}

#[derive(Default)]
struct SeriesAsked {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    metrics: Vec<String>,
    points: Option<usize>,
}

fn series_asked(pairs: Vec<(String, String)>) -> Result<SeriesAsked, Problem> {
    let mut asked = SeriesAsked::default();
    let bad =
        |name: &str, text: &str| Problem::bad(format!("parameter {name:?} is {text:?}, which is no whole number"));
    for (name, text) in pairs {
        let number = || text.parse::<i64>().map_err(|_| bad(&name, &text));
        match name.as_str() {
            "from_ms" => asked.from_ms = Some(time("from_ms", number()?)?),
            "to_ms" => asked.to_ms = Some(time("to_ms", number()?)?),
            "points" => {
                let points = number()?;
                if !(1..=10_000).contains(&points) {
                    return Err(Problem::bad(format!(
                        "parameter \"points\" is {points}, which is not from 1 to 10000"
                    )));
                }
                asked.points = usize::try_from(points).ok();
            }
            "metric" if asked.metrics.len() >= 1_000 => {
                return Err(Problem::bad("parameter \"metric\" is there more than a thousand times"));
            }
            "metric" if asked.metrics.contains(&text) => {}
            "metric" => asked.metrics.push(text),
            _ => {
                let known = "from_ms, to_ms, metric, points";
                return Err(Problem::bad(format!("unknown parameter {name:?}; there are {known}")));
            }
        }
    }
    Ok(asked)
}

/// A device over time
#[utoipa::path(get, path = "/api/v1/devices/{id}/series", tag = "devices",
    params(("id" = String, Path, description = "Device id"), SeriesQuery),
    responses((status = 200, body = Series), Problems, Contradictions,
        (status = 414, description = "The address is longer than 64 kB: fewer or shorter metrics")))]
pub(crate) async fn series(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Asked(pairs): Asked<Vec<(String, String)>>,
) -> Result<Json<Series>, Problem> {
    let asked = series_asked(pairs)?;
    let device = known_device(&shared, &id)?;
    let window_ms = shared.board.view().width_ms;
    let newest_ms = device.newest.as_deref().map(|newest| newest.start_ms.saturating_add(window_ms));
    let to_ms = asked.to_ms.or(newest_ms).unwrap_or_else(crate::clock::now_ms);
    let from_ms = asked.from_ms.unwrap_or(to_ms - 6 * 3_600_000).max(0);
    if from_ms >= to_ms || to_ms - from_ms > LONGEST_MS {
        return Err(Problem::contradiction(format!(
            "parameter \"from_ms\" is {from_ms}, which is not up to 31 days before the end at {to_ms}"
        )));
    }
    let (metrics, points) = (asked.metrics, asked.points.unwrap_or(1_000));
    let known = device.newest.as_deref().map_or(0, |newest| newest.metrics.len());
    let asked = series::Asked { from_ms, to_ms, window_ms, points, metrics: metrics.clone() };
    let name = id.clone();
    let mut series = shared
        .readers
        .ask(move |store, deadline| {
            let mut gather = Gather::new(asked, known);
            scan_days(store, TableId::DeviceStateSnapshots, &name, gather.begins_ms()..to_ms, &mut |row| {
                gather.take(&row);
                deadline.flow()
            })?;
            deadline.check()?;
            Ok(gather.finish(metrics))
        })
        .await?;
    let overlaps = |known: &Known| known.incident.start_ms < to_ms && known.incident.lasts_into(from_ms);
    series.incidents = of_device(&shared, &id, overlaps, usize::MAX);
    Ok(Json(series))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SimilarQuery {
    /// A time in the state's window.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    at_ms: i64,
    /// At most so many, up to 50; 3 where nothing is said.
    #[param(minimum = 1, maximum = 50)]
    limit: Option<usize>,
}

/// Earlier states like one
#[utoipa::path(get, path = "/api/v1/devices/{id}/similar", tag = "devices",
    params(("id" = String, Path, description = "Device id"), SimilarQuery), responses((status = 200, body = Similar), Problems))]
pub(crate) async fn similar(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Asked(asked): Asked<SimilarQuery>,
) -> Result<Json<Similar>, Problem> {
    let at_ms = time("at_ms", asked.at_ms)?;
    let limit = asked.limit.unwrap_or(3);
    if !(1..=50).contains(&limit) {
        return Err(Problem::bad(format!("parameter \"limit\" is {limit}, which is not from 1 to 50")));
    }
    known_device(&shared, &id)?;
    let program = Arc::clone(&shared.program);
    let answer = shared.readers.ask(move |store, _| Ok(program.similar(store, &id, at_ms, limit)?)).await?;
    Ok(Json(answer))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// A time in the state's window.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    at_ms: i64,
}

/// Why a state was judged as it was
#[utoipa::path(get, path = "/api/v1/devices/{id}/explain", tag = "devices",
    params(("id" = String, Path, description = "Device id"), ExplainQuery), responses((status = 200, body = serde_json::Value), Problems))]
pub(crate) async fn explain(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Asked(asked): Asked<ExplainQuery>,
) -> Result<Json<serde_json::Value>, Problem> {
    let at_ms = time("at_ms", asked.at_ms)?;
    known_device(&shared, &id)?;
    let program = Arc::clone(&shared.program);
    let answer = shared.readers.ask(move |store, _| Ok(program.explain(store, &id, at_ms)?)).await?;
    Ok(Json(answer))
}
