//! Embedders by their name or address.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use connectors::TextEmbedder;

use crate::commands::WrongUse;
use crate::config::Config;
use crate::embeddings::Embeddings;
use crate::embeddings::service::Service;
use crate::job::MakeEmbedder;

/// What makes vectors of states.
pub enum Embedder {
    /// Nothing.
    None,
    /// Works on the metric vector, within the stream.
    Vectors(MakeEmbedder),
    /// Works on a text, and takes its time.
    Texts(Box<dyn TextEmbedder>),
}

/// The embedder by its name or address. Nothing is sent yet.
///
/// # Errors
/// [`WrongUse`] for an unknown one.
pub fn embedder(name: &str) -> anyhow::Result<Embedder> {
    match name {
        "projection" => Ok(Embedder::Vectors(|| Box::new(connectors::projection::Projection::new()))),
        "none" => Ok(Embedder::None),
        url if url.starts_with("ollama:") => {
            let embedder = connectors::open_text_embedder(url).map_err(|error| WrongUse(error.to_string()))?;
            Ok(Embedder::Texts(embedder))
        }
        other => {
            bail!(WrongUse(format!("embedder {other:?} is none of projection, ollama://HOST[:PORT]/MODEL, none")))
        }
    }
}

/// The embedder of a running job.
#[derive(Default)]
pub(super) struct Started {
    /// Each worker has its own.
    pub(super) vectors: Option<MakeEmbedder>,
    /// All workers ask this one.
    pub(super) texts: Option<Arc<Embeddings>>,
    /// Its thread.
    pub(super) service: Option<Service>,
}

/// Starts the job's embedder; one of texts, in the first process, also completes what is pending in the store.
///
/// # Errors
/// For an unknown embedder, or a store whose vectors can't be read.
pub(super) fn start(config: &Config, is_first: bool) -> anyhow::Result<Started> {
    let embedder = match embedder(&config.embedder)? {
        Embedder::None => return Ok(Started::default()),
        Embedder::Vectors(make) => return Ok(Started { vectors: Some(make), ..Started::default() }),
        Embedder::Texts(embedder) => embedder,
    };
    let clock = Embeddings::system_clock();
    let embeddings = Arc::new(Embeddings::new(embedder.method(), &config.embedding, &config.job, clock));
    let mut store = None;
    if is_first && config.store != "null" {
        let url = &config.store;
        let mut second = connectors::open_store(url)
            .with_context(|| format!("could not open store {url:?} a second time, for vectors"))?;
        embeddings.load(second.as_mut())?;
        store = Some(second);
    }
    let service = Service::start(Arc::clone(&embeddings), embedder, store)?;
    Ok(Started { vectors: None, texts: Some(embeddings), service: Some(service) })
}
