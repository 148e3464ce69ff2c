//! Settings of the webhook. Durations are texts such as `"30s"`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use model::Severity;
use serde::{Deserialize, Serialize};

use super::duration;

/// Where alerts go beside Kafka, and which.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebhookSettings {
    /// `http://HOST[:PORT]/PATH`; empty: no webhook is told. It may hold a secret.
    pub url: String,
    /// Further headers; their values may be secrets.
    pub headers: BTreeMap<String, String>,
    /// Signs each alert as Standard Webhooks has it; empty: nothing is signed.
    pub secret: String,
    /// The body as a template; empty: the object that also goes to Kafka, and for several incidents one with a list of them.
    pub template: String,
    /// Incidents below it are not told.
    pub min_severity: Severity,
    /// How much later, in event time, others of the same building (or type) may come to be told in one alert with the first.
    #[serde(rename = "group_wait", with = "duration")]
    pub group_wait_ms: i64,
    /// How long after an alert of a building further ones wait to be told together, in event time; what is critical does not.
    #[serde(rename = "group_interval", with = "duration")]
    pub group_interval_ms: i64,
    /// After so long what is still open is told again; 0: never.
    #[serde(rename = "repeat_interval", with = "duration")]
    pub repeat_interval_ms: i64,
    /// For one attempt as a whole.
    #[serde(rename = "timeout", with = "duration")]
    pub timeout_ms: i64,
    /// An alert that has not arrived after so long is kept as a dead letter.
    #[serde(rename = "give_up_after", with = "duration")]
    pub give_up_after_ms: i64,
    /// How long a job that has come to its end goes on telling; what waits longer is left to the next start.
    #[serde(rename = "end_wait", with = "duration")]
    pub end_wait_ms: i64,
    /// Alerts are logged instead of sent.
    pub dry_run: bool,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        WebhookSettings {
            url: String::new(),
            headers: BTreeMap::new(),
            secret: String::new(),
            template: String::new(),
            min_severity: Severity::Warning,
            group_wait_ms: 30_000,
            group_interval_ms: 300_000,
            repeat_interval_ms: 14_400_000,
            timeout_ms: 10_000,
            give_up_after_ms: 86_400_000,
            end_wait_ms: 10_000,
            dry_run: false,
        }
    }
}

impl WebhookSettings {
    /// Whether there is one.
    pub fn is_on(&self) -> bool {
        !self.url.is_empty()
    }

    /// What speaks to it.
    ///
    /// # Errors
    /// Names the setting that can't be used.
    pub fn open(&self) -> Result<connectors::Webhook, connectors::WebhookError> {
        connectors::Webhook::open(&connectors::WebhookSettings {
            url: self.url.clone(),
            headers: self.headers.clone(),
            secret: self.secret.clone(),
            timeout: Duration::from_millis(self.timeout_ms.unsigned_abs()),
        })
    }
}

/// Without what may be a secret.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings")
            .field("is_on", &self.is_on())
            .field("headers", &self.headers.keys())
            .field("min_severity", &self.min_severity)
            .finish_non_exhaustive()
    }
}
