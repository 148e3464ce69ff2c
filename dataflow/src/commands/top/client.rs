//! Asks a job's API.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value as Json;
use tokio::runtime::Runtime;

use crate::commands::WrongUse;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest answer that is read, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// Speaks to one job.
pub struct Client {
    base: String,
    http: reqwest::Client,
    runtime: Runtime,
}

impl Client {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`WrongUse`] if the address is none of plain HTTP.
    pub fn new(url: &str) -> anyhow::Result<Client> {
        let base = url.trim_end_matches('/').to_owned();
        let parsed = reqwest::Url::parse(&base).ok().filter(|url| url.scheme() == "http" && url.host().is_some());
        if parsed.is_none_or(|url| url.path() != "/" || url.query().is_some()) {
            bail!(WrongUse(format!("flag --url: {url:?} is no address such as http://127.0.0.1:8050")));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("could not start what speaks to the job")?;
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("could not make a client of HTTP")?;
        Ok(Client { base, http, runtime })
    }

    /// The answer to a GET.
    ///
    /// # Errors
    /// If nothing answers in time, or not with JSON of a sensible length.
    pub fn get(&self, path: &str) -> anyhow::Result<Json> {
        let url = format!("{}{path}", self.base);
        self.runtime.block_on(async {
            let nobody =
                || format!("no job answers at {}; start one with --http, or name its address by --url", self.base);
            let mut reply = self.http.get(&url).send().await.with_context(nobody)?;
            let (status, mut bytes) = (reply.status(), Vec::new());
            while let Some(chunk) = reply.chunk().await.with_context(|| format!("could not read {url}"))? {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > MOST_BYTES {
                    bail!("the answer of {url} is longer than {MOST_BYTES} bytes");
                }
            }
            if !status.is_success() {
                bail!("{url} answers {status}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(300)]));
            }
            serde_json::from_slice(&bytes).with_context(|| format!("the answer of {url} is no JSON"))
        })
    }
}
