//! The pages' files, and the charts' library as the crate `plotly` carries it.

use std::collections::HashMap;
use std::sync::OnceLock;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::problem::Problem;

/// All files under `assets/`, by name.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the charts' library is asked for; it leads to the name with its hash.
const PLOTLY: &str = "plotly.js";
/// Level of compression: the library becomes a quarter in half a second, once.
const LEVEL: i32 = 9;

/// The one page of all views.
pub(crate) async fn shell() -> Response {
    match find("index.html") {
        Some(bytes) => ([(header::CONTENT_TYPE, kind_of("index.html"))], bytes).into_response(),
        None => Problem::unknown("this build has no pages").into_response(),
    }
}

/// A file by its name.
pub(crate) async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name == PLOTLY {
        let location = format!("/assets/{}", library().name);
        return match HeaderValue::from_str(&location) {
            Ok(location) => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response(),
            Err(_) => Problem::unknown("the charts' library has no name").into_response(),
        };
    }
    if name.starts_with("plotly-") && name == library().name {
        return send_library(&headers).await;
    }
    let Some(bytes) = find(&name) else {
        return Problem::unknown(format!("there is no asset {name:?}")).into_response();
    };
    let tag = tag_of(&name, bytes);
    if matches(&headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    // Asked again each time whether it is still the same: a new version of the program shows its own pages at once.
    let cache = HeaderValue::from_static("no-cache");
    let headers = [(header::CONTENT_TYPE, kind_of(&name)), (header::CACHE_CONTROL, cache), (header::ETAG, tag)];
    (headers, bytes).into_response()
}

fn find(name: &str) -> Option<&'static [u8]> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, bytes)| *bytes)
}

fn kind_of(name: &str) -> HeaderValue {
    let kind = match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    };
    HeaderValue::from_static(kind)
}

/// A tag of what a file holds; computed once a file.
fn tag_of(name: &str, bytes: &[u8]) -> HeaderValue {
    static TAGS: OnceLock<HashMap<&str, HeaderValue>> = OnceLock::new();
    let tags = TAGS.get_or_init(|| FILES.iter().map(|(name, bytes)| (*name, tag(bytes))).collect());
    tags.get(name).cloned().unwrap_or_else(|| tag(bytes))
}

fn tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{:016x}\"", model::hash::hash_bytes(bytes));
    HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"?\""))
}

fn matches(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    headers.get_all(header::IF_NONE_MATCH).iter().any(|given| {
        let given = given.as_bytes();
        given.split(|byte| *byte == b',').any(|one| {
            let one = one.trim_ascii();
            one.strip_prefix(b"W/").unwrap_or(one) == tag.as_bytes() || one == b"*"
        })
    })
}

struct Library {
    name: String,
    text: Bytes,
}

/// The library, cut out of the tags that the crate wraps it in.
fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let tags = plotly::Plot::offline_js_sources();
        let text = cut(&tags).to_owned();
        let name = format!("plotly-{:016x}.js", model::hash::hash_bytes(text.as_bytes()));
        Library { name, text: text.into() }
    })
}

/// What stands between the first tag and the one that begins the next library.
fn cut(tags: &str) -> &str {
    const OPEN: &str = "<script type=\"text/javascript\">";
    let inside = tags.split_once(OPEN).map_or("", |(_, inside)| inside);
    let behind = inside.find(OPEN).unwrap_or(inside.len());
    inside[..behind].trim_end().trim_end_matches("</script>")
}

async fn send_library(headers: &HeaderMap) -> Response {
    let cache = HeaderValue::from_static("public, max-age=31536000, immutable");
    let kind = kind_of(PLOTLY);
    let tag = HeaderValue::from_str(&format!("\"{}\"", library().name)).unwrap_or(HeaderValue::from_static("\"?\""));
    if matches(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let vary = HeaderValue::from_static("Accept-Encoding");
    let head =
        [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache), (header::ETAG, tag), (header::VARY, vary)];
    if takes_zstd(headers)
        && let Ok(Some(small)) = tokio::task::spawn_blocking(compressed).await
    {
        return (head, [(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"))], small).into_response();
    }
    (head, library().text.clone()).into_response()
}

/// The library compressed, once; `None` where that failed.
fn compressed() -> Option<Bytes> {
    static SMALL: OnceLock<Option<Bytes>> = OnceLock::new();
    SMALL.get_or_init(|| zstd::bulk::compress(&library().text, LEVEL).ok().map(Bytes::from)).clone()
}

fn takes_zstd(headers: &HeaderMap) -> bool {
    let given = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next() == Some("zstd") && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_plotly_and_nothing_else() {
        let text = std::str::from_utf8(&library().text).unwrap();
        assert!(text.starts_with("/**\n* plotly.js v"), "{:?}", &text[..40]);
        assert!(text.len() > 4_000_000 && text.len() < 5_500_000, "{}", text.len());
        assert!(text.trim_end().ends_with(';') || text.trim_end().ends_with('}'), "{:?}", &text[text.len() - 40..]);
        assert!(!text.contains("mathjax@3/es5") && !text.contains("<script type=\"text/javascript\">"));
        assert_eq!(zstd::bulk::decompress(&compressed().unwrap(), 8 << 20).unwrap(), text.as_bytes());
        assert!(compressed().unwrap().len() < text.len() / 3);
    }

    #[test]
    fn zstd_is_sent_only_where_it_is_taken() {
        for (given, taken) in [("zstd", true), ("gzip, zstd;q=0.5", true), ("gzip, zstd;q=0", false), ("br", false)] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(given))]);
            assert_eq!(takes_zstd(&headers), taken, "{given}");
        }
        assert!(!takes_zstd(&HeaderMap::new()));
    }
}
