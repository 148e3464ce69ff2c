//! Vectors of texts from Ollama (tried on 0.17.4 with all-minilm:l6-v2).
//!
//! Sent: `POST /api/embed` with a list of texts, the model, `keep_alive` and `truncate: false`; no `options`, for a thread
//! count other than the loaded one makes the server load the model again. The server computes a batch one text after the
//! other, so a batch saves only the calls, and one request at a time is enough.
//!
//! A text that the model refuses (too long) fails its whole batch, so a refused batch is halved until the text is found. What
//! may pass by itself is tried again with pauses that double, a few times; then the caller hears why.
//!
//! Not supported: https, passwords, and models of another dimension than the store's vectors.

pub(crate) mod check;
mod reply;

use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::Runtime;

use crate::error::{Cause, chain};
use crate::{EmbedError, Embedded, TextEmbedder, counts};

/// The port that Ollama listens at unless told otherwise.
const PORT: u16 = 11_434;
/// A batch on a busy machine takes seconds, a large model's first load a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the server keeps the model loaded after a request: longer than a few windows.
const KEEP_ALIVE: &str = "30m";
/// Tries of a request.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Texts a request; more wait in the caller's queue, where urgent ones can go first.
const TEXTS_A_REQUEST: usize = 16;
/// A reply that is longer is none: 16 vectors as JSON are some 100 kB.
const LONGEST_REPLY: usize = 8 << 20;

/// An Ollama server and one of its models.
pub struct Ollama {
    runtime: Runtime,
    client: reqwest::Client,
    /// `HOST:PORT`.
    place: String,
    model: String,
    method: String,
}

/// What is sent.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: &'a [&'a str],
    truncate: bool,
    keep_alive: &'static str,
}

/// How one request ended.
enum Answer {
    Vectors(Vec<Embedded>),
    /// The server refuses the batch because of what is in it.
    Refused(String),
}

impl Ollama {
    /// From `ollama://HOST[:PORT]/MODEL`. Nothing is sent yet.
    ///
    /// # Errors
    /// If the address is none.
    pub fn open(url: &str) -> Result<Self, EmbedError> {
        let fail = |problem: &str| EmbedError::Url { url: url.to_owned(), problem: problem.to_owned() };
        let rest = url.strip_prefix("ollama://").ok_or_else(|| fail("does not begin with ollama://"))?;
        let (place, model) = rest.split_once('/').unwrap_or((rest, ""));
        if model.is_empty() {
            return Err(fail("names no model"));
        }
        if place.contains('@') {
            return Err(fail("has a user name, which Ollama does not know"));
        }
        // Within brackets a colon belongs to the address.
        let has_port = place.rsplit(']').next().is_some_and(|behind| behind.contains(':'));
        let place = if has_port { place.to_owned() } else { format!("{place}:{PORT}") };
        let host = place.rsplit_once(':').map_or("", |(host, _)| host);
        if host.is_empty() || reqwest::Url::parse(&format!("http://{place}/")).is_err() {
            return Err(fail("names no host and port"));
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build();
        let failed = |cause: Cause| EmbedError::Failed { place: place.clone(), passing: false, cause };
        let client = client.map_err(|cause| failed(cause.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| failed(cause.into()))?;
        Ok(Ollama { runtime, client, method: format!("ollama/{model}"), model: model.to_owned(), place })
    }

    /// Halves a refused batch until the texts that are the reason stand alone.
    fn embed_all(&self, texts: &[&str], into: &mut Vec<Embedded>) -> Result<(), EmbedError> {
        match self.request(texts)? {
            Answer::Vectors(vectors) => into.extend(vectors),
            Answer::Refused(why) if texts.len() == 1 => into.push(Err(why)),
            Answer::Refused(_) => {
                let (front, back) = texts.split_at(texts.len() / 2);
                self.embed_all(front, into)?;
                self.embed_all(back, into)?;
            }
        }
        Ok(())
    }

    fn request(&self, texts: &[&str]) -> Result<Answer, EmbedError> {
        let mut pause = FIRST_PAUSE;
        for tried in 1.. {
            let began = Instant::now();
            let answer = self.runtime.block_on(self.request_once(texts));
            counts::OLLAMA.asked(texts.len(), began.elapsed());
            match answer {
                Err(error) if error.is_passing() && tried < TRIES => {
                    tracing::debug!(%error, texts = texts.len(), retry_in_ms = pause.as_millis(), "asking again");
                    counts::OLLAMA.retried();
                    std::thread::sleep(pause);
                    pause *= 3;
                }
                answer => return answer,
            }
        }
        unreachable!("the last try returns")
    }

    async fn request_once(&self, texts: &[&str]) -> Result<Answer, EmbedError> {
        let failed = |cause: reqwest::Error| EmbedError::Failed {
            place: self.place.clone(),
            passing: true,
            // The address is in the message already.
            cause: chain(&cause.without_url()).into(),
        };
        let body = Request { model: &self.model, input: texts, truncate: false, keep_alive: KEEP_ALIVE };
        let request = self.client.post(format!("http://{}/api/embed", self.place)).json(&body);
        let mut response = request.send().await.map_err(failed)?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > LONGEST_REPLY {
                return Err(self.wrong_reply(format!("is longer than {LONGEST_REPLY} bytes")));
            }
        }
        match status.as_u16() {
            200 => {
                let vectors = reply::vectors(&bytes, texts.len()).map_err(|problem| self.wrong_reply(problem))?;
                Ok(Answer::Vectors(vectors))
            }
            400 => Ok(Answer::Refused(reply::message(&bytes))),
            404 => Err(EmbedError::Model { place: self.place.clone(), model: self.model.clone() }),
            code => Err(EmbedError::Failed {
                place: self.place.clone(),
                passing: code >= 500 || code == 429,
                cause: format!("it answered {code}: {}", reply::message(&bytes)).into(),
            }),
        }
    }

    fn wrong_reply(&self, problem: String) -> EmbedError {
        EmbedError::Reply { place: self.place.clone(), model: self.model.clone(), problem }
    }
}

impl TextEmbedder for Ollama {
    fn method(&self) -> &str {
        &self.method
    }

    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Embedded>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(TEXTS_A_REQUEST) {
            self.embed_all(batch, &mut vectors)?;
        }
        Ok(vectors)
    }
}

#[cfg(test)]
mod tests;
