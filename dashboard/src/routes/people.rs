//! What people say: a word on an incident, work on devices.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;

use super::take::{Body, Named, time};
use crate::problem::{Contradictions, Problem, Problems, WriteProblems};
use crate::server::Shared;
use crate::wire::{Accepted, Announce, MaintenanceWindows, Resolve};

/// Longest note in characters.
const NOTE: usize = 2_000;

fn check_note(note: &str) -> Result<(), Problem> {
    if note.chars().count() > NOTE {
        return Err(Problem::bad(format!("field \"note\" has more than {NOTE} characters")));
    }
    Ok(())
}

/// Says what an incident was
#[utoipa::path(post, path = "/api/v1/incidents/{id}/resolution", tag = "incidents",
    security((), ("token" = [])), params(("id" = String, Path, description = "Incident id")), request_body = Resolve,
    responses((status = 202, body = Accepted), Problems, WriteProblems))]
pub(crate) async fn resolve(
    State(shared): State<Arc<Shared>>,
    Named(id): Named,
    Body(resolve): Body<Resolve>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    check_note(&resolve.note)?;
    shared.board.incident(&id).ok_or_else(|| Problem::unknown(format!("there is no incident {id:?}")))?;
    let program = Arc::clone(&shared.program);
    let work = move |store: &mut dyn connectors::Store| {
        let accepted = program.resolve(store, &id, resolve.resolution, resolve.note.trim())?;
        // Shown at once, not at the next look.
        Ok((accepted, program.words(store)?))
    };
    let (accepted, words) = shared.readers.ask(move |store, _| work(store)).await?;
    shared.board.set_words(words);
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

/// Announced work on devices
#[utoipa::path(get, path = "/api/v1/maintenance", tag = "maintenance",
    responses((status = 200, body = MaintenanceWindows), Problems))]
pub(crate) async fn maintenance(State(shared): State<Arc<Shared>>) -> Result<Json<MaintenanceWindows>, Problem> {
    let program = Arc::clone(&shared.program);
    let windows = shared.readers.ask(move |store, _| Ok(program.maintenance(store)?)).await?;
    Ok(Json(MaintenanceWindows { windows }))
}

/// Announces work on devices, so that no incident opens meanwhile
#[utoipa::path(post, path = "/api/v1/maintenance", tag = "maintenance",
    security((), ("token" = [])), request_body = Announce,
    responses((status = 202, body = Accepted), Problems, WriteProblems, Contradictions))]
pub(crate) async fn announce(
    State(shared): State<Arc<Shared>>,
    Body(work): Body<Announce>,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    check_note(&work.note)?;
    let (from_ms, to_ms) = (time("from_ms", work.from_ms)?, time("to_ms", work.to_ms)?);
    if to_ms <= from_ms {
        return Err(Problem::contradiction(format!("field \"to_ms\" is {to_ms}, which is not after \"from_ms\"")));
    }
    match (&work.device_id, &work.building_id) {
        (Some(device), None) if shared.board.device(device).is_none() => {
            return Err(Problem::unknown(format!("there is no device {device:?}")));
        }
        (None, Some(building)) if !shared.board.view().buildings().iter().any(|one| one.id == *building) => {
            return Err(Problem::unknown(format!("there is no building {building:?}")));
        }
        (Some(_), None) | (None, Some(_)) => {}
        _ => {
            let what = "one of the fields \"device_id\" and \"building_id\" is needed, and only one";
            return Err(Problem::contradiction(what));
        }
    }
    let program = Arc::clone(&shared.program);
    let accepted = shared.readers.ask(move |store, _| Ok(program.announce(store, &work)?)).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}
