//! What is answered where something can't be: RFC 9457.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use crate::program::Refusal;

/// An answer that says what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) detail: String,
}

/// A problem as it is sent (`application/problem+json`).
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// `about:blank`: the status says it.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What kind of problem.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong, and what helps.
    detail: String,
}

/// Problems of every route.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub(crate) enum Problems {
    /// A parameter or a header can't be meant; the detail names it.
    #[response(status = 400, content_type = "application/problem+json")]
    Bad(#[to_schema] ProblemBody),
    /// Not from here.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(#[to_schema] ProblemBody),
    /// There is no such thing.
    #[response(status = 404, content_type = "application/problem+json")]
    Unknown(#[to_schema] ProblemBody),
    /// The store is away, or too many ask at once.
    #[response(status = 503, content_type = "application/problem+json")]
    Away(#[to_schema] ProblemBody),
}

/// A further problem of the routes that take what can be right one by one and wrong together: no schema says so.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub(crate) enum Contradictions {
    /// What is asked contradicts itself; the detail names the parts.
    #[response(status = 422, content_type = "application/problem+json")]
    Contradiction(#[to_schema] ProblemBody),
}

/// Further problems of the routes that write.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "only described")]
pub(crate) enum WriteProblems {
    /// A token is needed.
    #[response(status = 401, content_type = "application/problem+json")]
    Token(#[to_schema] ProblemBody),
    /// It can't be done here, or not any more.
    #[response(status = 409, content_type = "application/problem+json")]
    Conflict(#[to_schema] ProblemBody),
    /// The body is too large.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(#[to_schema] ProblemBody),
    /// The body is no JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    NoJson(#[to_schema] ProblemBody),
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, title, detail: detail.into() }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "wrong parameter", detail)
    }

    pub(crate) fn unknown(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not found", detail)
    }

    /// Each part can be meant, and all of them together can't.
    pub(crate) fn contradiction(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "contradiction", detail)
    }

    pub(crate) fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, "not allowed from here", detail)
    }

    pub(crate) fn token(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNAUTHORIZED, "token needed", detail)
    }

    pub(crate) fn away(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not available now", detail)
    }

    pub(crate) fn too_many(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many at once", detail)
    }

    /// Of a status that the library answers by itself.
    pub(crate) fn of_status(status: StatusCode, detail: impl Into<String>) -> Problem {
        let title = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "not JSON",
            StatusCode::METHOD_NOT_ALLOWED => "method not allowed",
            StatusCode::NOT_FOUND => "not found",
            _ => "wrong parameter",
        };
        // What the library calls unprocessable is a wrong parameter like any other.
        let status = if status == StatusCode::UNPROCESSABLE_ENTITY { StatusCode::BAD_REQUEST } else { status };
        Problem::new(status, title, detail)
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unknown(detail) => Problem::unknown(detail),
            Refusal::Conflict(detail) => Problem::new(StatusCode::CONFLICT, "not possible here", detail),
            Refusal::Away(error) => error.into(),
        }
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        tracing::warn!(error = format!("{error:#}"), "a page could not be answered");
        Problem::away(format!("{error:#}"))
    }
}

impl From<connectors::StoreError> for Problem {
    fn from(error: connectors::StoreError) -> Self {
        anyhow::Error::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body =
            ProblemBody { kind: "about:blank", title: self.title, status: self.status.as_u16(), detail: self.detail };
        let text = serde_json::to_string(&body).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (self.status, [(header::CONTENT_TYPE, kind)], text).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
