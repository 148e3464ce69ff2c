//! `GET /api/v1/events`: changes as they come.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{KeepAlive, Sse};
use utoipa::ToSchema;

use crate::problem::{Problem, Problems};
use crate::server::Shared;

/// Comments that keep a quiet line open.
const KEEP: Duration = Duration::from_secs(15);

/// One event of the stream: in OpenAPI 3.1 the schema of a stream describes that.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described")]
pub(crate) struct StreamEvent {
    /// What it tells.
    event: StreamEventKind,
    /// Rises, also from one start of the program to the next.
    id: String,
    /// JSON.
    data: String,
}

/// What an event tells.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "only described")]
pub(crate) enum StreamEventKind {
    /// A list of cards that changed.
    States,
    /// An incident that did.
    Incident,
    /// How the job is doing.
    Pipeline,
    /// Something was missed: load again.
    Resync,
}

/// Changes as they come (server-sent events)
///
/// `states`: a list of cards that changed; `incident`: an incident that did; `pipeline`: how the job is doing, every two seconds;
/// `resync`: something was missed, load again.
#[utoipa::path(get, path = "/api/v1/events", tag = "events",
    responses((status = 200, content_type = "text/event-stream", body = StreamEvent), Problems,
        (status = 429, content_type = "application/problem+json", description = "Too many watch", body = crate::problem::ProblemBody)))]
pub(crate) async fn events(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let again = headers.contains_key("last-event-id");
    let events = shared.hub.watch(again)?;
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP)))
}
