//! Alerts to a webhook, signed as Standard Webhooks has it.
//!
//! Sent: one `POST` an alert with `content-type: application/json`, `webhook-id`, `webhook-timestamp` (seconds of this attempt),
//! `idempotency-key` (the id again) and, with a secret, `webhook-signature: v1,BASE64`: HMAC-SHA256 over `ID.TIMESTAMP.BODY`. A secret that
//! begins with `whsec_` is base64 behind it, any other is taken as its bytes.
//!
//! One call is one attempt within the time limit; whoever calls decides when to try again. What is worth that: no answer in time, no
//! connection, 408, 425, 429 and everything from 500 on. All other answers but 2xx are final, redirects included: they are not
//! followed, for the body would go to a place that nobody chose.
//!
//! Not supported: https, for no TLS is built in; a proxy beside the job (nginx, Envoy, stunnel) speaks it.

mod sign;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use tokio::runtime::Runtime;

use crate::counts;
use crate::error::Cause;

/// How long connecting may take, where the time limit is not shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of an answer that says no so much is shown.
const SHOWN_BYTES: usize = 300;
/// Nobody waits longer because the receiver asks for it.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Headers that are this program's.
const OWN: [&str; 6] =
    ["webhook-id", "webhook-timestamp", "webhook-signature", "idempotency-key", "content-type", "content-length"];

/// Where alerts go, and how.
#[derive(Clone, Default)]
pub struct WebhookSettings {
    /// `http://HOST[:PORT]/PATH`; it may hold a secret.
    pub url: String,
    /// Further headers; their values may be secrets.
    pub headers: BTreeMap<String, String>,
    /// Signs; empty: nothing is signed.
    pub secret: String,
    /// For one attempt as a whole.
    pub timeout: Duration,
}

/// A webhook can't be used.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A setting has no meaning. Its value is not told: it may be a secret.
    #[error("setting \"webhook.{name}\" {problem}")]
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The system refused.
    #[error("could not prepare the webhook: {0}")]
    System(Cause),
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver has it.
    Arrived,
    /// Trying again may help, after so long if the receiver said so.
    Failed {
        /// What happened.
        why: String,
        /// How long the receiver wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// Trying again won't help.
    Refused {
        /// What the receiver said.
        why: String,
    },
}

/// A receiver of alerts.
pub struct Webhook {
    runtime: Runtime,
    client: reqwest::Client,
    url: Url,
    place: String,
    headers: HeaderMap,
    key: Option<Vec<u8>>,
}

impl Webhook {
    /// Looks at the settings. Nothing is sent yet.
    ///
    /// # Errors
    /// Names the setting that can't be used.
    pub fn open(settings: &WebhookSettings) -> Result<Self, WebhookError> {
        let wrong =
            |name: &str, problem: &str| WebhookError::Setting { name: name.to_owned(), problem: problem.to_owned() };
        let url = Url::parse(&settings.url).map_err(|cause| wrong("url", &format!("is no address: {cause}")))?;
        match (url.scheme(), url.host_str()) {
            ("http", Some(_)) => {}
            ("https", _) => {
                let problem = "asks for https, which this build does not have; a proxy beside the job can speak it";
                return Err(wrong("url", problem));
            }
            _ => return Err(wrong("url", "is none of http://HOST[:PORT]/PATH")),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("url", "holds a user; a header \"authorization\" is the place for it"));
        }
        if settings.timeout.is_zero() {
            return Err(wrong("timeout", "is 0, so that nothing could ever arrive"));
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &settings.headers {
            let place = format!("headers.{name}");
            let header =
                HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong(&place, "is no name of a header"))?;
            if OWN.contains(&header.as_str()) {
                return Err(wrong(&place, "is a header that the job sets itself"));
            }
            let mut value =
                HeaderValue::from_str(value).map_err(|_| wrong(&place, "has a value that no header has"))?;
            value.set_sensitive(true);
            headers.insert(header, value);
        }
        let key = sign::key(&settings.secret).map_err(|problem| wrong("secret", problem))?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT.min(settings.timeout))
            .timeout(settings.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|cause| WebhookError::System(cause.into()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| WebhookError::System(cause.into()))?;
        let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
        let place = format!("http://{}{port}", url.host_str().unwrap_or_default());
        Ok(Webhook { runtime, client, url, place, headers, key })
    }

    /// Scheme, host and port, for people: what stands behind them may be a secret.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// One attempt, at `now_s` seconds since the epoch. Blocks no longer than the time limit.
    pub fn send(&self, id: &str, body: &str, now_s: i64) -> Attempt {
        let began = Instant::now();
        let attempt = self.runtime.block_on(self.attempt(id, body, now_s)).unwrap_or_else(|cause| Attempt::Failed {
            why: crate::error::chain(&cause.without_url()),
            retry_after: None,
        });
        counts::WEBHOOK.asked(1, began.elapsed());
        if matches!(attempt, Attempt::Failed { .. }) {
            counts::WEBHOOK.retried();
        }
        attempt
    }

    async fn attempt(&self, id: &str, body: &str, now_s: i64) -> Result<Attempt, reqwest::Error> {
        let mut request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone())
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now_s)
            .header("idempotency-key", id);
        if let Some(key) = &self.key {
            request = request.header("webhook-signature", sign::signature(key, id, now_s, body));
        }
        let mut response = request.body(body.to_owned()).send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Attempt::Arrived);
        }
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let mut said = Vec::new();
        while said.len() < SHOWN_BYTES {
            let Ok(Some(chunk)) = response.chunk().await else { break };
            said.extend_from_slice(&chunk);
        }
        said.truncate(SHOWN_BYTES);
        let said = String::from_utf8_lossy(&said).replace(char::is_control, " ");
        let why = format!("it answered {}: {}", status.as_u16(), said.trim());
        let why = why.trim_end_matches([' ', ':']).to_owned();
        let passing = status.is_server_error()
            || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
        Ok(match passing {
            true => Attempt::Failed { why, retry_after: retry_after.map(|pause| pause.min(LONGEST_PAUSE)) },
            false => Attempt::Refused { why },
        })
    }
}

#[cfg(test)]
mod tests;
