//! Sources, stores and embedders by their address.

use std::sync::Arc;

use crate::{
    EmbedError, FileSource, KafkaSettings, KafkaSource, NullStore, Ollama, Source, SourceError, SqliteStore, Store,
    StoreError, TextEmbedder,
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

/// Opens an embedder of texts: `ollama://HOST[:PORT]/MODEL`. Nothing is sent yet.
///
/// # Errors
/// If the address names none.
pub fn open_text_embedder(url: &str) -> Result<Box<dyn TextEmbedder>, EmbedError> {
    Ok(Box::new(Ollama::open(url)?))
}
