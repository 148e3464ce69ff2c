//! All routes: `/api/v1` as it is described, the pages, and what machines ask outside of it.

mod devices;
mod events;
mod fleet;
mod incidents;
mod letters;
mod people;
mod pipeline;
mod plain;
mod take;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::assets;
use crate::problem::Problem;
use crate::server::Shared;

/// Longest body of what is written.
const BODY_BYTES: usize = 8 << 20;

/// Addresses of the pages; all have the same shell.
const PAGES: [&str; 7] =
    ["/", "/devices/{id}", "/incidents", "/incidents/{id}", "/pipeline", "/dead-letters", "/maintenance"];

#[derive(OpenApi)]
#[openapi(info(
    title = "Plenum",
    description = "A fleet of building equipment: devices, states, incidents with their reasons, and the job's health. Times are milliseconds since the epoch."
), modifiers(&Token))]
struct Head;

/// The scheme behind `security` of the routes that write.
struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let what =
            "The setting http_token. Not needed from this machine where the server listens on its loopback alone.";
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(what)).build();
        openapi.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

type Api = OpenApiRouter<Arc<Shared>>;

fn api() -> Api {
    OpenApiRouter::with_openapi(Head::openapi())
        .routes(routes!(fleet::fleet))
        .routes(routes!(devices::device))
        .routes(routes!(devices::series))
        .routes(routes!(devices::similar))
        .routes(routes!(devices::explain))
        .routes(routes!(incidents::incidents))
        .routes(routes!(incidents::incident))
        .routes(routes!(people::resolve))
        .routes(routes!(people::maintenance, people::announce))
        .routes(routes!(pipeline::pipeline))
        .routes(routes!(letters::letters))
        .routes(routes!(letters::replay))
        .routes(routes!(letters::late))
        .routes(routes!(events::events))
        .routes(routes!(description))
        .routes(routes!(plain::healthz))
        .routes(routes!(plain::readyz))
        .routes(routes!(plain::config))
        .routes(routes!(plain::metrics))
}

/// The description of all routes for machines, as OpenAPI.
pub fn openapi() -> utoipa::openapi::OpenApi {
    api().into_openapi()
}

/// This description
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "about", responses((status = 200, description = "OpenAPI", body = serde_json::Value)))]
async fn description() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}

/// Everything that is served.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (api, _) = api().split_for_parts();
    let pages = PAGES.iter().fold(Router::new(), |router, page| router.route(page, get(assets::shell)));
    let all = api.merge(pages).route("/assets/{*name}", get(assets::asset));
    all.fallback(|| async { Problem::unknown("there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::of_status(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), around))
        .with_state(shared)
}

/// A body that says itself that it is too long is not waited for.
fn check_length(request: &Request) -> Result<(), Problem> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    match length.and_then(|length| length.parse::<u64>().ok()) {
        Some(length) if length > BODY_BYTES as u64 => Err(Problem::of_status(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body has {length} bytes, which is more than {BODY_BYTES}"),
        )),
        _ => Ok(()),
    }
}

/// What holds for every answer.
async fn around(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let allowed = shared.guard.check(request.method(), request.headers()).and_then(|()| check_length(&request));
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; \
             base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
