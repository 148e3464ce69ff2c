//! Sources, stores and embedders by their address.

use std::path::Path;
use std::sync::Arc;

use crate::check::{Answer, Checkup};
use crate::{
    CqlStore, EmbedError, FileSource, KafkaSettings, KafkaSource, NullStore, Ollama, Source, SourceError, SqliteStore,
    Store, StoreError, TextEmbedder, cql, ollama, sqlite,
};

pub(crate) const SOURCES: &str =
    "file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC";
pub(crate) const STORES: &str =
    "sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null";

/// Opens a source: `file:PATH` or `kafka://HOST[:PORT]/TOPIC`.
///
/// # Errors
/// If the scheme is unknown or the source can't be opened.
pub fn open_source(url: &str, kafka: &KafkaSettings) -> Result<Arc<dyn Source>, SourceError> {
    let fail = |problem: &str| SourceError::Url { url: url.to_owned(), problem: problem.to_owned(), known: SOURCES };
    match url.split_once(':') {
        Some(("file", "")) => Err(fail("needs a path")),
        Some(("file", path)) => Ok(Arc::new(FileSource::open(path)?)),
        Some(("kafka", _)) => Ok(Arc::new(KafkaSource::open(url, kafka)?)),
        _ => Err(fail("has no known scheme")),
    }
}

/// Opens a store, and makes it where there is none: `sqlite:PATH`, `scylla://HOST[:PORT]/KEYSPACE` or the same with
/// `cassandra`, or `null`, which only counts.
///
/// # Errors
/// If the scheme is unknown or the store can't be opened.
pub fn open_store(url: &str) -> Result<Box<dyn Store>, StoreError> {
    let fail = |problem: &str| StoreError::Url { url: mask_address(url), problem: problem.to_owned(), known: STORES };
    match url.split_once(':') {
        Some(("sqlite", "")) => Err(fail("needs a path")),
        Some(("sqlite", path)) => Ok(Box::new(SqliteStore::open(path)?)),
        Some(("scylla" | "cassandra", _)) => Ok(Box::new(CqlStore::open(url)?)),
        _ if url == "null" => Ok(Box::new(NullStore::default())),
        _ => Err(fail("has no known scheme")),
    }
}

/// Opens a store that has to be there, for those who read: making an empty one would hide a mistyped name.
///
/// # Errors
/// As [`open_store`], and if there is none.
pub fn open_existing_store(url: &str) -> Result<Box<dyn Store>, StoreError> {
    match url.split_once(':') {
        Some(("scylla" | "cassandra", _)) => Ok(Box::new(CqlStore::open_existing(url)?)),
        Some(("sqlite", path)) if !path.is_empty() && !Path::new(path).exists() => Err(StoreError::Schema {
            place: url.to_owned(),
            problem: format!("does not exist; `dataflow run --store {url}` makes it"),
        }),
        _ => open_store(url),
    }
}

/// Tries a store out and leaves nothing behind.
pub fn check_store(url: &str, checkup: &mut Checkup) {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => sqlite::check::check(Path::new(path), checkup),
        Some(("scylla" | "cassandra", _)) => cql::check::check(url, checkup),
        // What has nothing to try is opened: it says what is wrong with its address.
        _ => {
            checkup.ask("address", || {
                open_store(url)?;
                Ok(((), Answer::fine("keeps nothing: results are only counted")))
            });
        }
    }
}

/// What stands for a secret.
const MASK: &str = "***";

/// `scheme://user:password@host` without the password, for messages.
pub fn mask_address(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    // Where there is no path but a keyspace, a slash before the last @ is part of a password that was not encoded.
    let behind = if matches!(scheme, "scylla" | "cassandra") { '?' } else { '/' };
    let host_at = rest.find(behind).unwrap_or(rest.len());
    match rest[..host_at].rsplit_once('@').and_then(|(user, host)| Some((user.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:{MASK}@{host}{}", &rest[host_at..]),
        None => text.to_owned(),
    }
}

/// Opens an embedder of texts: `ollama://HOST[:PORT]/MODEL`. Nothing is sent yet.
///
/// # Errors
/// If the address names none.
pub fn open_text_embedder(url: &str) -> Result<Box<dyn TextEmbedder>, EmbedError> {
    Ok(Box::new(Ollama::open(url)?))
}

/// Tries an embedder of texts out.
pub fn check_embedder(url: &str, checkup: &mut Checkup) {
    ollama::check::check(url, checkup);
}
