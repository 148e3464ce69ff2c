//! What machines ask: life, readiness, settings, figures.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::IntoResponse;

use crate::server::Shared;
use crate::wire::Readiness;

/// Whether the process lives
#[utoipa::path(get, path = "/healthz", tag = "about", responses((status = 200, body = String)))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether it does its work
#[utoipa::path(get, path = "/readyz", tag = "about",
    responses((status = 200, body = Readiness), (status = 503, description = "It does not, and why", body = Readiness)))]
pub(crate) async fn readyz(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let readiness = match shared.unready() {
        Some(why) => Readiness { ready: false, why },
        None => shared.program.readiness(),
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}

/// All settings as TOML, without secrets
#[utoipa::path(get, path = "/config", tag = "about", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn config(State(shared): State<Arc<Shared>>) -> String {
    shared.program.config_text()
}

/// All figures for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "about", responses((status = 200, content_type = "text/plain", body = String)))]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, kind)], shared.program.metrics_text())
}
