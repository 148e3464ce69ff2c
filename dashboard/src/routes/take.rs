//! What is taken from a request, with problems that name what is wrong.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Parameters of the query; unknown ones are refused where the type says so.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(asked)| Asked(asked)).map_err(|error| Problem::bad(error.body_text()))
    }
}

/// The one name in the path.
pub(crate) struct Named(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(name)| Named(name)).map_err(|error| Problem::bad(error.body_text()))
    }
}

/// A body of JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let body = Json::<T>::from_request(request, state).await;
        body.map(|Json(body)| Body(body)).map_err(|error| Problem::of_status(error.status(), error.body_text()))
    }
}

/// Most of a list.
const MOST: usize = 10_000;
/// Nothing has so many.
const FURTHEST: usize = 1_000_000_000;

/// Which part of a list.
pub(crate) fn page(limit: Option<usize>, offset: Option<usize>) -> Result<(usize, usize), Problem> {
    let limit = limit.unwrap_or(500);
    if limit > MOST {
        return Err(Problem::bad(format!("parameter \"limit\" is {limit}, which is more than {MOST}")));
    }
    let offset = offset.unwrap_or(0);
    if offset > FURTHEST {
        return Err(Problem::bad(format!("parameter \"offset\" is {offset}, which is more than {FURTHEST}")));
    }
    Ok((limit, offset))
}

/// Beginning of the year 10000: what stands behind is no time that a device can have sent.
const END_MS: i64 = 253_402_300_800_000;

/// Checks a time.
pub(crate) fn time(name: &str, ms: i64) -> Result<i64, Problem> {
    if (0..END_MS).contains(&ms) {
        Ok(ms)
    } else {
        Err(Problem::bad(format!("parameter {name:?} is {ms}, which is no millisecond from 1970 to 9999")))
    }
}

/// One of a few words.
pub(crate) fn word<'a>(name: &str, given: &'a str, known: &[&str]) -> Result<&'a str, Problem> {
    if known.contains(&given) {
        Ok(given)
    } else {
        Err(Problem::bad(format!("parameter {name:?} is {given:?}, which is none of {}", known.join(", "))))
    }
}

/// Several of a few words, separated by commas.
pub(crate) fn words<'a>(name: &str, given: &'a str, known: &[&str]) -> Result<Vec<&'a str>, Problem> {
    given.split(',').map(|one| word(name, one.trim(), known)).collect()
}

/// A text to look for, without case; empty finds all.
pub(crate) struct Needle(String);

impl Needle {
    pub(crate) fn new(text: Option<&str>) -> Needle {
        Needle(text.unwrap_or_default().trim().to_lowercase())
    }

    pub(crate) fn is_in<'a>(&self, texts: impl IntoIterator<Item = Option<&'a str>>) -> bool {
        self.0.is_empty() || texts.into_iter().flatten().any(|text| text.to_lowercase().contains(&self.0))
    }
}

/// Whether a filter that may be absent lets something pass.
pub(crate) fn lets(filter: Option<&str>, value: Option<&str>) -> bool {
    filter.is_none_or(|filter| filter.is_empty() || value == Some(filter))
}
