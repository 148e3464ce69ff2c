//! What `dataflow doctor` asks of Ollama: whether it answers, has the model, and gives the vector that the model has for a
//! known text.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Ollama, chain, reply};
use crate::check::{Answer, Checkup};
use crate::{EmbedError, TextEmbedder as _};

const WITHIN: Duration = Duration::from_secs(5);
/// A text like those of states.
const TEXT: &str = "chiller, compressor on. above normal: zone";
/// The model that the vector below is of, whatever its tag.
const MODEL: &str = "all-minilm";
/// The first components of the text's vector, by Ollama 0.17.4 with the model's weights in half precision.
const KNOWN: [f32; 16] = [
    -0.077_699, -0.008_818, -0.070_712, 0.039_488, 0.050_285, -0.046_037, -0.023_545, 0.036_053, 0.013_334, -0.046_604,
    0.043_906, 0.018_542, 0.033_520, -0.046_899, 0.005_243, 0.001_491,
];
/// Weights of fewer bits turn a vector a little; another model turns it anywhere.
const LEAST_COSINE: f64 = 0.999;

#[derive(Deserialize)]
struct Version {
    version: String,
}

/// Tries out the server and the model of `ollama://HOST[:PORT]/MODEL`.
pub(crate) fn check(url: &str, checkup: &mut Checkup) {
    let ollama = checkup.ask("server", || {
        let ollama = Ollama::open(url)?;
        let version = ollama.runtime.block_on(ollama.version())?;
        Ok((ollama, Answer::fine(format!("Ollama {version}"))))
    });
    let Some(mut ollama) = ollama else { return };
    let vector = checkup.ask("model", || {
        let loaded = one_vector(&mut ollama)?;
        // Loading is behind us: this is what a text costs.
        let began = Instant::now();
        let again = one_vector(&mut ollama)?;
        let took = began.elapsed();
        if loaded != again {
            let seen = format!("model {:?} gives the same text two different vectors", ollama.model);
            return Err(Answer::failed(seen, "restart Ollama, and see its log"));
        }
        let seen =
            format!("model {:?}: {} components, norm 1, {} ms a text", ollama.model, again.len(), took.as_millis());
        Ok((again, Answer::fine(seen)))
    });
    let Some(vector) = vector else { return };
    checkup.ask("vector", || Ok(((), judge(&ollama.model, &vector))));
}

impl Ollama {
    async fn version(&self) -> Result<String, EmbedError> {
        let failed = |cause: &dyn std::error::Error| EmbedError::Failed {
            place: self.place.clone(),
            passing: true,
            cause: chain(cause).into(),
        };
        let request = self.client.get(format!("http://{}/api/version", self.place)).timeout(WITHIN);
        let response = request.send().await.map_err(|error| failed(&error.without_url()))?;
        let bytes = response.bytes().await.map_err(|error| failed(&error.without_url()))?;
        match serde_json::from_slice::<Version>(&bytes) {
            Ok(answer) => Ok(answer.version.chars().filter(|c| c.is_ascii_graphic()).take(40).collect()),
            Err(_) => {
                let cause = format!("what answers there is no Ollama: {}", reply::message(&bytes));
                Err(EmbedError::Failed { place: self.place.clone(), passing: false, cause: cause.into() })
            }
        }
    }
}

fn one_vector(ollama: &mut Ollama) -> Result<Vec<f32>, Answer> {
    let answer = ollama.embed(&[TEXT])?.pop().unwrap_or_else(|| Err("it gave no vector".to_owned()));
    answer.map_err(|why| Answer::failed(format!("model {:?} refuses a short text: {why}", ollama.model), ""))
}

/// Whether the vector is the one that the model has for the text.
fn judge(model: &str, vector: &[f32]) -> Answer {
    if model.split(':').next() != Some(MODEL) {
        return Answer::fine(format!("not compared: only {MODEL}'s vectors are known here"));
    }
    let (mut both, mut ours, mut theirs) = (0.0, 0.0, 0.0);
    for (known, seen) in KNOWN.iter().zip(vector) {
        let (known, seen) = (f64::from(*known), f64::from(*seen));
        both += known * seen;
        ours += known * known;
        theirs += seen * seen;
    }
    let cosine = both / (ours * theirs).sqrt();
    if cosine >= LEAST_COSINE {
        return Answer::fine(format!(
            "as expected of {MODEL}: cosine {cosine:.6} on its first {} components",
            KNOWN.len()
        ));
    }
    Answer::advice(
        format!("is not the one of {MODEL}: cosine {cosine:.3} on its first {} components", KNOWN.len()),
        format!(
            "another model has this name there, or it was made from other weights: ollama rm {model}; ollama pull {model}. \
             Vectors of different models must not meet in one store"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn another_models_vector_is_noticed() {
        let mut vector = KNOWN.to_vec();
        assert_eq!(judge("all-minilm:l6-v2", &vector).verdict, Verdict::Fine);
        vector[3] = -vector[3];
        let answer = judge("all-minilm", &vector);
        assert!(answer.verdict == Verdict::Advice && answer.help.contains("ollama pull all-minilm"), "{answer:?}");
        assert!(judge("nomic-embed-text", &vector).seen.starts_with("not compared"));
    }
}
