//! Sources, stores and embedders by their address.

use std::path::Path;
use std::sync::Arc;

use crate::check::{Answer, Checkup};
use crate::{
    EmbedError, FileSource, KafkaSettings, KafkaSource, NullStore, Ollama, Source, SourceError, SqliteStore, Store,
    StoreError, TextEmbedder, ollama, sqlite,
};

pub(crate) const SOURCES: &str =
    "file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC";
const STORES: &str = "sqlite:PATH and null";

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

/// Opens a store: `sqlite:PATH`, or `null`, which only counts.
///
/// # Errors
/// If the scheme is unknown or the store can't be opened.
pub fn open_store(url: &str) -> Result<Box<dyn Store>, StoreError> {
    let fail = |problem: &str| StoreError::Url { url: url.to_owned(), problem: problem.to_owned(), known: STORES };
    match url.split_once(':') {
        Some(("sqlite", "")) => Err(fail("needs a path")),
        Some(("sqlite", path)) => Ok(Box::new(SqliteStore::open(path)?)),
        _ if url == "null" => Ok(Box::new(NullStore::default())),
        Some(("scylla", _)) => Err(fail("needs a CQL client, which this build does not have")),
        _ => Err(fail("has no known scheme")),
    }
}

/// Tries a store out and leaves nothing behind.
pub fn check_store(url: &str, checkup: &mut Checkup) {
    match url.split_once(':') {
        Some(("sqlite", path)) if !path.is_empty() => sqlite::check::check(Path::new(path), checkup),
        // What has nothing to try is opened: it says what is wrong with its address.
        _ => {
            checkup.ask("address", || {
                open_store(url)?;
                Ok(((), Answer::fine("keeps nothing: results are only counted")))
            });
        }
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
