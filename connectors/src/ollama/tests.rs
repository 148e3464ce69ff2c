//! Against a server of a few lines that answers what the real one was seen to answer.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use super::*;
use crate::projection::DIMENSIONS;

/// Answers requests by what `answer` makes of their texts, until it is dropped; gives the address.
fn server(mut answer: impl FnMut(&[String]) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim_end().to_lowercase();
                if let Some(number) = line.strip_prefix("content-length: ") {
                    length = number.parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["truncate"], false);
            let texts: Vec<String> = serde_json::from_value(body["input"].clone()).unwrap();
            let (status, text) = answer(&texts);
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", text.len());
            reader.get_mut().write_all((head + &text).as_bytes()).unwrap();
        }
    });
    place
}

fn unit(at: usize) -> Vec<f32> {
    let mut vector = vec![0.0; DIMENSIONS];
    vector[at % DIMENSIONS] = 1.0;
    vector
}

fn open(place: &str) -> Ollama {
    Ollama::open(&format!("ollama://{place}/all-minilm:l6-v2")).unwrap()
}

#[test]
fn addresses() {
    let opened = |url: &str| Ollama::open(url).map(|ollama| (ollama.place, ollama.model)).map_err(|e| e.to_string());
    let good = |place: &str, model: &str| Ok((place.to_owned(), model.to_owned()));
    assert_eq!(opened("ollama://localhost/all-minilm:l6-v2"), good("localhost:11434", "all-minilm:l6-v2"));
    assert_eq!(opened("ollama://[::1]:7/a/b:c"), good("[::1]:7", "a/b:c"));
    assert_eq!(opened("ollama://[::1]/m"), good("[::1]:11434", "m"));
    for bad in
        ["ollama://localhost", "ollama://localhost/", "ollama:///m", "ollama://a:b/m", "http://a/m", "ollama://u@a/m"]
    {
        let said = opened(bad).unwrap_err();
        assert!(said.contains(bad) && said.contains("ollama://HOST[:PORT]/MODEL"), "{said}");
    }
    assert_eq!(open("localhost:1").method(), "ollama/all-minilm:l6-v2");
}

#[test]
fn a_refused_text_is_found_and_the_others_get_their_vectors() {
    let place = server(|texts| {
        if texts.iter().any(|text| text.starts_with("too long")) {
            return (400, r#"{"error":"the input length exceeds the context length"}"#.to_owned());
        }
        let vectors: Vec<Vec<f32>> = texts.iter().map(|text| unit(text.parse().unwrap())).collect();
        (200, serde_json::json!({"model": "m", "embeddings": vectors}).to_string())
    });
    let mut texts: Vec<String> = (0..40).map(|at| at.to_string()).collect();
    texts[5] = "too long".to_owned();
    texts[33] = "too long, too".to_owned();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let answers = open(&place).embed(&texts).unwrap();
    assert_eq!(answers.len(), 40);
    for (at, answer) in answers.iter().enumerate() {
        match answer {
            Ok(vector) => assert_eq!(*vector, unit(at)),
            Err(why) => {
                assert!(at == 5 || at == 33);
                assert_eq!(why, "the input length exceeds the context length");
            }
        }
    }
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 2);
}

#[test]
fn what_passes_is_tried_again() {
    let mut asked = 0;
    let place = server(move |_| {
        asked += 1;
        if asked < 3 {
            (503, "busy".to_owned())
        } else {
            (200, serde_json::json!({"embeddings": [unit(7)]}).to_string())
        }
    });
    assert_eq!(open(&place).embed(&["x"]).unwrap(), [Ok(unit(7))]);
}

#[test]
fn replies_that_nobody_should_trust() {
    let mut short = unit(0);
    short.pop();
    let replies = [
        ("[]".to_owned(), "is none"),
        (r#"{"embeddings":[]}"#.to_owned(), "holds 0 vectors for 1 texts"),
        (serde_json::json!({"embeddings": [short]}).to_string(), "has vectors of 383 components and the store 384"),
        (serde_json::json!({"embeddings": [vec![0.5; DIMENSIONS]]}).to_string(), "has a vector of norm"),
    ];
    for (body, says) in replies {
        let place = server(move |_| (200, body.clone()));
        let error = open(&place).embed(&["x"]).unwrap_err();
        assert!(!error.is_passing() && error.to_string().contains(says), "{error}");
    }
    let place = server(|_| (200, serde_json::json!({"embeddings": [vec![0.0; DIMENSIONS]]}).to_string()));
    assert!(open(&place).embed(&["x"]).unwrap()[0].is_err(), "a zero vector never leaves the process");
}

#[test]
fn a_missing_model_says_how_to_get_it() {
    let place = server(|_| (404, r#"{"error":"model \"m\" not found, try pulling it first"}"#.to_owned()));
    let error = open(&place).embed(&["x"]).unwrap_err();
    assert!(error.to_string().contains("ollama pull all-minilm:l6-v2"), "{error}");
}

#[test]
fn nobody_there() {
    let place = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = open(&place).embed(&["x"]).unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("refused"), "{error}");
}
