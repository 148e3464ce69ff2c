//! `GET /api/v1/fleet`

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::take::{Asked, Needle, lets, page, word, words};
use crate::board::{Device, card, trouble};
use crate::labels::label;
use crate::problem::{Problem, Problems};
use crate::server::Shared;
use crate::wire::Fleet;

/// The newest window is still open, the one before waits for what comes late, and one may be on its way to the store.
const STALE_WINDOWS: i64 = 3;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FleetQuery {
    /// Only of this building.
    building: Option<String>,
    /// Only of this type.
    #[serde(rename = "type")]
    #[param(rename = "type")]
    device_type: Option<String>,
    /// Any of info, warning, critical, none, silent, separated by commas.
    #[param(pattern = "^((info|warning|critical|none|silent)(,(info|warning|critical|none|silent))*)?$")]
    severity: Option<String>,
    /// Only where id, type, building or location hold this.
    text: Option<String>,
    /// trouble (the default), device, last_seen or building.
    #[param(pattern = "^(trouble|device|last_seen|building)?$")]
    sort: Option<String>,
    /// At most so many, up to 10,000; 500 where nothing is said.
    #[param(maximum = 10_000)]
    limit: Option<usize>,
    /// Leaves out so many.
    #[param(maximum = 1_000_000_000)]
    offset: Option<usize>,
}

/// The fleet: counts, and devices by trouble
#[utoipa::path(get, path = "/api/v1/fleet", tag = "fleet", params(FleetQuery), responses((status = 200, body = Fleet), Problems))]
pub(crate) async fn fleet(
    State(shared): State<Arc<Shared>>,
    Asked(asked): Asked<FleetQuery>,
) -> Result<Json<Fleet>, Problem> {
    let (limit, offset) = page(asked.limit, asked.offset)?;
    shared.check_there()?;
    let known = ["info", "warning", "critical", "none", "silent"];
    let severities = asked.severity.as_deref().filter(|given| !given.is_empty());
    let severities = severities.map(|given| words("severity", given, &known)).transpose()?;
    let sort = word(
        "sort",
        asked.sort.as_deref().filter(|sort| !sort.is_empty()).unwrap_or("trouble"),
        &["trouble", "device", "last_seen", "building"],
    )?;
    let needle = Needle::new(asked.text.as_deref());
    let view = shared.board.view();
    let fits = |device: &&Arc<Device>| {
        let gravest = device.open.first().map_or("none", |known| known.incident.severity.name());
        let severe =
            |wanted: &Vec<&str>| wanted.contains(&gravest) || (wanted.contains(&"silent") && device.is_silent());
        lets(asked.building.as_deref(), device.building_id.as_deref())
            && lets(asked.device_type.as_deref(), Some(&device.device_type))
            && severities.as_ref().is_none_or(severe)
            && needle.is_in([
                Some(device.id.as_str()),
                Some(&device.device_type),
                Some(&label(&device.device_type)),
                device.building_id.as_deref(),
                device.location.as_deref(),
            ])
    };
    let mut devices: Vec<&Arc<Device>> = view.devices.iter().filter(fits).collect();
    // They come by their ids, which decide where nothing else does.
    match sort {
        "device" => {}
        "last_seen" => devices.sort_by_key(|device| Reverse(device.totals.last_seen_ms)),
        "building" => devices.sort_by(|a, b| a.building_id.cmp(&b.building_id)),
        _ => devices.sort_by_cached_key(|device| trouble(device)),
    }
    let pipeline = shared.pipeline();
    let (recording, lateness_ms) =
        pipeline.map_or((false, 0), |pipeline| (pipeline.view.recording, pipeline.view.lateness_ms));
    Ok(Json(Fleet {
        as_of_ms: view.as_of_ms(),
        live: shared.live,
        recording,
        stale_after_ms: view.width_ms.saturating_mul(STALE_WINDOWS).saturating_add(lateness_ms),
        counts: view.counts(),
        buildings: view.buildings(),
        types: view.types(),
        total: devices.len(),
        devices: devices.into_iter().skip(offset).take(limit).map(|device| card(device)).collect(),
    }))
}
