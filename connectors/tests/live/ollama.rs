//! Ollama with all-minilm:l6-v2.

use connectors::{Ollama, TextEmbedder as _};

use crate::services::address;

const MODEL: &str = "all-minilm:l6-v2";

fn open(model: &str) -> Ollama {
    Ollama::open(&format!("ollama://{}/{model}", address("PLENUM_TEST_OLLAMA"))).unwrap()
}

fn norm(vector: &[f32]) -> f64 {
    vector.iter().map(|component| f64::from(*component).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn a_text_has_one_vector_alone_and_in_any_batch() {
    let mut ollama = open(MODEL);
    let texts: Vec<String> = (0..20).map(|at| format!("chiller, compressor on. above normal: zone {at}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = ollama.embed(&texts).unwrap();
    assert_eq!(together.len(), texts.len());
    for vector in &together {
        assert!((norm(vector.as_ref().unwrap()) - 1.0).abs() < 1e-5);
    }
    for at in [0, 15, 16, 19] {
        assert_eq!(ollama.embed(&texts[at..=at]).unwrap()[0], together[at], "{}", texts[at]);
    }
    assert_ne!(together[0], together[1]);
}

#[test]
fn a_text_that_is_too_long_spoils_no_other() {
    let long = "supply air temperature far above normal, ".repeat(100);
    let texts = ["fan off", "compressor on", &long, "pump on", &long];
    let mut ollama = open(MODEL);
    let answers = ollama.embed(&texts).unwrap();
    for at in [0, 1, 3] {
        assert_eq!(answers[at], ollama.embed(&texts[at..=at]).unwrap()[0]);
        assert!(answers[at].is_ok());
    }
    for at in [2, 4] {
        let why = answers[at].as_ref().unwrap_err();
        assert!(why.contains("context length"), "{why}");
    }
}

#[test]
fn the_longest_text_of_a_state_is_not_refused() {
    // 200 tokens by the estimate of `udfs::text`, most of them letters of no language.
    let text = format!("rooftop unit. far above normal: {}", "xqzk ".repeat(48));
    assert!(open(MODEL).embed(&[&text]).unwrap()[0].is_ok());
}

#[test]
fn a_model_that_is_not_there_says_how_to_get_it() {
    let error = open("nothing:of-the-kind").embed(&["x"]).unwrap_err();
    assert!(!error.is_passing() && error.to_string().contains("ollama pull nothing:of-the-kind"), "{error}");
}
