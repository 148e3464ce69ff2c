//! What a reply has to be before anyone trusts it.

use serde::Deserialize;

use crate::Embedded;
use crate::projection::DIMENSIONS;

/// How far a norm may be from 1.
const TOLERANCE: f64 = 1e-3;
/// Characters of the server's own words that are passed on.
const LONGEST_MESSAGE: usize = 200;

#[derive(Deserialize)]
struct Reply {
    embeddings: Vec<Vec<f32>>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

/// The vectors of a reply to so many texts.
///
/// # Errors
/// If it is no such reply, as the end of a sentence about it.
pub(super) fn vectors(bytes: &[u8], texts: usize) -> Result<Vec<Embedded>, String> {
    let reply: Reply = serde_json::from_slice(bytes).map_err(|error| format!("is none: {error}"))?;
    if reply.embeddings.len() != texts {
        return Err(format!("holds {} vectors for {texts} texts", reply.embeddings.len()));
    }
    reply.embeddings.into_iter().map(check).collect()
}

/// A vector that points nowhere is the text's matter; a vector of another kind is the model's.
fn check(vector: Vec<f32>) -> Result<Embedded, String> {
    if vector.len() != DIMENSIONS {
        let length = vector.len();
        return Err(format!(
            "has vectors of {length} components and the store {DIMENSIONS}; choose a model with {DIMENSIONS}"
        ));
    }
    let norm = vector.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt();
    if norm == 0.0 || !norm.is_finite() {
        return Ok(Err("its vector is zero or not finite".to_owned()));
    }
    if (norm - 1.0).abs() > TOLERANCE {
        return Err(format!("has a vector of norm {norm}, which is not 1"));
    }
    Ok(Ok(vector))
}

/// The server's own words about what went wrong, on one line.
pub(super) fn message(bytes: &[u8]) -> String {
    let text = match serde_json::from_slice::<Failure>(bytes) {
        Ok(failure) => failure.error,
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    let text: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    match text.char_indices().nth(LONGEST_MESSAGE) {
        Some((at, _)) => format!("{} ...", &text[..at]),
        None if text.is_empty() => "without a word".to_owned(),
        None => text,
    }
}
