//! An embedder of texts that needs no service: vectors from the text's hash, the same for ever, and failures on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::hash::hash_text;

use crate::projection::{DIMENSIONS, splitmix};
use crate::{EmbedError, Embedded, TextEmbedder};

/// Clones share the failures to come and the count.
#[derive(Clone, Debug, Default)]
pub struct MemoryEmbedder {
    failures: Arc<AtomicU64>,
    embedded: Arc<AtomicU64>,
}

impl MemoryEmbedder {
    /// One that always answers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next so many calls fail as if the service were away.
    pub fn fail(&self, calls: u64) {
        self.failures.store(calls, Ordering::SeqCst);
    }

    /// Texts that got an answer so far.
    pub fn embedded(&self) -> u64 {
        self.embedded.load(Ordering::SeqCst)
    }
}

impl TextEmbedder for MemoryEmbedder {
    fn method(&self) -> &str {
        "memory"
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Embedded>, EmbedError> {
        let one_less = |left: u64| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            let cause = "it was told to fail".into();
            return Err(EmbedError::Failed { place: "memory".to_owned(), passing: true, cause });
        }
        self.embedded.fetch_add(texts.len() as u64, Ordering::SeqCst);
        Ok(texts.iter().map(|text| vector(text)).collect())
    }
}

/// An empty text is refused, as any service does.
fn vector(text: &str) -> Embedded {
    if text.is_empty() {
        return Err("the text is empty".to_owned());
    }
    let mut state = hash_text(text);
    #[expect(clippy::cast_precision_loss, reason = "24 bits are meant")]
    let raw: Vec<f32> = (0..DIMENSIONS).map(|_| (splitmix(&mut state) >> 40) as f32 - (1 << 23) as f32).collect();
    let norm = raw.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "components of a unit vector")]
    let unit = raw.iter().map(|value| (f64::from(*value) / norm) as f32).collect();
    Ok(unit)
}
