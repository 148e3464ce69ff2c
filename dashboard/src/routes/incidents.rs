//! `GET /api/v1/incidents` and one of them.

use std::ops::ControlFlow;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use connectors::{Store, scan_days, state_row_at};
use model::tables::TableId;
use model::time::parse_rfc3339;
use model::{Contribution, StoredIncident, StoredState};
use serde::Deserialize;
use utoipa::IntoParams;

use super::take::{Asked, Named, Needle, lets, page, time, word, words};
use crate::board::{Known, incident_card};
use crate::labels::label;
use crate::problem::{Problem, Problems};
use crate::program::Word;
use crate::readers::Deadline;
use crate::server::Shared;
use crate::wire::{Incident, Incidents, Moment, Part, Peer, SimilarTime};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct IncidentsQuery {
    /// open or closed.
    #[param(pattern = "^(open|closed)?$")]
    status: Option<String>,
    /// Any of info, warning, critical, separated by commas.
    #[param(pattern = "^((info|warning|critical)(,(info|warning|critical))*)?$")]
    severity: Option<String>,
    /// Only of this building.
    building: Option<String>,
    /// Only of this device type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    device_type: Option<String>,
    /// Only of this device.
    device: Option<String>,
    /// Only of this kind; `missing` finds those of every metric.
    kind: Option<String>,
    /// Only where device, kind, summary, building, location or note hold this.
    text: Option<String>,
    /// Only those that last into this time or later.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    from_ms: Option<i64>,
    /// Only those that start before this time.
    #[param(minimum = 0, maximum = 253_402_300_799_999_i64)]
    to_ms: Option<i64>,
    /// At most so many, up to 10,000; 500 where nothing is said.
    #[param(maximum = 10_000)]
    limit: Option<usize>,
    /// Leaves out so many.
    #[param(maximum = 1_000_000_000)]
    offset: Option<usize>,
}

/// Incidents, open before closed, newest first
#[utoipa::path(get, path = "/api/v1/incidents", tag = "incidents", params(IncidentsQuery),
    responses((status = 200, body = Incidents), Problems))]
pub(crate) async fn incidents(
    State(shared): State<Arc<Shared>>,
    Asked(asked): Asked<IncidentsQuery>,
) -> Result<Json<Incidents>, Problem> {
    let (limit, offset) = page(asked.limit, asked.offset)?;
    shared.check_there()?;
    let given = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
    let status = given(&asked.status);
    let status = status.as_deref().map(|status| word("status", status, &["open", "closed"])).transpose()?;
    let severities = given(&asked.severity);
    let known = ["info", "warning", "critical"];
    let severities = severities.as_deref().map(|severities| words("severity", severities, &known)).transpose()?;
    let from_ms = asked.from_ms.map(|ms| time("from_ms", ms)).transpose()?;
    let to_ms = asked.to_ms.map(|ms| time("to_ms", ms)).transpose()?;
    let kind = given(&asked.kind);
    let needle = Needle::new(asked.text.as_deref());
    let all = shared.board.incidents();
    let fits = |known: &&Arc<Known>| {
        let incident = &known.incident;
        status.is_none_or(|status| (status == "open") == incident.open)
            && severities.as_ref().is_none_or(|wanted| wanted.contains(&incident.severity.name()))
            && lets(asked.building.as_deref(), incident.building_id.as_deref())
            && lets(asked.device_type.as_deref(), Some(&incident.device_type))
            && lets(asked.device.as_deref(), Some(&incident.device_id))
            && kind.as_deref().is_none_or(|kind| incident.kind.split(':').next() == Some(kind) || incident.kind == kind)
            && from_ms.is_none_or(|from_ms| incident.lasts_into(from_ms))
            && to_ms.is_none_or(|to_ms| incident.start_ms < to_ms)
            && needle.is_in([
                Some(incident.device_id.as_str()),
                Some(&incident.kind),
                Some(&incident.summary),
                incident.building_id.as_deref(),
                incident.location.as_deref(),
                incident.note.as_deref(),
            ])
    };
    let mut found: Vec<&Arc<Known>> = all.iter().filter(fits).collect();
    found.sort_by_key(|known| !known.incident.open);
    let (words, as_of_ms) = (shared.board.words(), shared.board.as_of_ms());
    Ok(Json(Incidents {
        total: found.len(),
        incidents: found
            .into_iter()
            .skip(offset)
            .take(limit)
            .map(|known| incident_card(known, &words, as_of_ms))
            .collect(),
    }))
}

/// An incident in full
#[utoipa::path(get, path = "/api/v1/incidents/{id}", tag = "incidents", params(("id" = String, Path, description = "Incident id")),
    responses((status = 200, body = Incident), Problems))]
pub(crate) async fn incident(State(shared): State<Arc<Shared>>, Named(id): Named) -> Result<Json<Incident>, Problem> {
    shared.check_there()?;
    let known = shared.board.incident(&id).ok_or_else(|| Problem::unknown(format!("there is no incident {id:?}")))?;
    let width_ms = shared.board.view().width_ms;
    let told = Arc::clone(&known);
    let (peak, severities) =
        shared.readers.ask(move |store, deadline| course(store, deadline, &told.incident, width_ms)).await?;
    let incident = &known.incident;
    let of_device: Vec<StoredIncident> = shared
        .board
        .incidents()
        .iter()
        .filter(|other| other.incident.device_id == incident.device_id)
        .map(|other| other.incident.clone())
        .collect();
    let similar = incident.similar.iter().filter_map(|(at, cosine)| {
        let at_ms = parse_rfc3339(at)?;
        Some(SimilarTime { at_ms, cosine: *cosine, became: shared.program.became(&of_device, at_ms, false) })
    });
    let words = shared.board.words();
    let said = words.get(&incident.id).map_or(&[][..], Vec::as_slice);
    Ok(Json(Incident {
        card: incident_card(&known, &words, shared.board.as_of_ms()),
        contributions: incident.contributions.iter().map(part).collect(),
        similar: similar.collect(),
        timeline: timeline(&known, severities, said),
        peers: peak.iter().flat_map(|peak| peers(peak, &incident.contributions)).collect(),
    }))
}

fn part(part: &Contribution) -> Part {
    Part {
        metric: part.metric.clone(),
        label: label(&part.metric),
        share: part.share,
        observed: part.observed,
        expected: part.expected,
        unit: part.unit.clone(),
        kind: part.kind.clone(),
    }
}

/// The longest time that is looked through for changes.
const LONGEST_MS: i64 = 31 * 86_400_000;
/// Changes that are told at most.
const CHANGES: usize = 200;

/// The state at the peak, and where the severity of the states changed.
fn course(
    store: &mut dyn Store,
    deadline: Deadline,
    incident: &StoredIncident,
    width_ms: i64,
) -> Result<(Option<StoredState>, Vec<Moment>), Problem> {
    let peak = state_row_at(store, &incident.device_id, incident.peak_ms, width_ms)?;
    let peak = peak.and_then(|row| StoredState::of_row(&row, width_ms).ok());
    let (mut changes, mut before) = (Vec::new(), None);
    let range = incident.start_ms..incident.end_ms.min(incident.start_ms.saturating_add(LONGEST_MS));
    scan_days(store, TableId::DeviceStateSnapshots, &incident.device_id, range, &mut |row| {
        let severity = row.value("severity").as_text().unwrap_or("as usual").to_owned();
        let at_ms = row.value("snapshot_time").as_int().unwrap_or_default();
        if before.as_ref() != Some(&severity) {
            let again = if before.is_some() { " again" } else { "" };
            let what = match severity.as_str() {
                "as usual" => format!("the state is as usual{again}"),
                severity => format!("the state is judged {severity}"),
            };
            changes.push(Moment { at_ms, what });
            before = Some(severity);
        }
        if changes.len() < CHANGES { deadline.flow() } else { ControlFlow::Break(()) }
    })?;
    deadline.check()?;
    Ok((peak, changes))
}

fn timeline(known: &Known, severities: Vec<Moment>, said: &[Word]) -> Vec<Moment> {
    let incident = &known.incident;
    let moment = |at_ms, what: &str| Moment { at_ms, what: what.to_owned() };
    let mut all = vec![moment(incident.start_ms, "it started")];
    all.extend(severities);
    all.push(moment(incident.detected_ms, "it was detected"));
    all.push(moment(incident.peak_ms, "it was furthest from what was expected"));
    all.push(moment(incident.end_ms, if incident.open { "unusual up to here" } else { "unusual for the last time" }));
    if !incident.open {
        // The row was written last by the window that closed it, or by people's word behind it.
        all.push(moment(known.version.us().div_euclid(1_000).max(incident.end_ms), "it was closed"));
    }
    for word in said {
        let note = word.said.note.as_deref().filter(|note| !note.is_empty());
        let note = note.map(|note| format!(": {note}")).unwrap_or_default();
        let effect = if word.in_effect { "" } else { ", which waits to take effect" };
        let what = format!("people said {}{note}{effect}", word.said.resolution.replace('_', " "));
        all.push(Moment { at_ms: word.said.asked_at_ms.unwrap_or(incident.end_ms), what });
    }
    // What happens at one time stays in the order of the story.
    all.sort_by_key(|moment| moment.at_ms);
    all
}

fn peers<'a>(peak: &'a StoredState, parts: &'a [Contribution]) -> impl Iterator<Item = Peer> + 'a {
    let accused = |metric: &str| parts.iter().any(|part| part.metric == metric);
    peak.compared().filter(move |one| accused(&one.metric)).map(|one| Peer {
        metric: one.metric.clone(),
        label: label(&one.metric),
        unit: one.unit.clone(),
        at_ms: one.peers_ms,
        value: one.observed,
        count: one.peers.devices,
        min: one.peers.lowest,
        low: one.peers.lower,
        median: one.peers.median,
        high: one.peers.upper,
        max: one.peers.highest,
    })
}
