//! `GET /api/v1/pipeline`

use std::sync::Arc;

use axum::Json;
use axum::extract::State;

use crate::problem::{Problem, Problems};
use crate::server::Shared;
use crate::wire::Pipeline;

/// How the job is doing
#[utoipa::path(get, path = "/api/v1/pipeline", tag = "pipeline", responses((status = 200, body = Pipeline), Problems))]
pub(crate) async fn pipeline(State(shared): State<Arc<Shared>>) -> Result<Json<Pipeline>, Problem> {
    let pipeline = shared.pipeline().ok_or_else(|| Problem::away("the first look is still under way"))?;
    Ok(Json(Pipeline::clone(&pipeline)))
}
