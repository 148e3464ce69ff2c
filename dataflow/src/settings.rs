//! Settings of the job: defaults, checks, and how durations are written.

mod webhook;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::zones::{UTC, Zones};
pub use webhook::WebhookSettings;

/// What the job does with time, bounds and checkpoints. Durations are texts such as `"30s"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSettings {
    /// Width of the tumbling windows.
    #[serde(rename = "window", with = "duration")]
    pub window_ms: i64,
    /// How far the watermark stays behind the newest reading of a partition.
    #[serde(rename = "lateness", with = "duration")]
    pub lateness_ms: i64,
    /// Event times further than this beyond the broker's are dead letters.
    #[serde(rename = "max_future", with = "duration")]
    pub max_future_ms: i64,
    /// Event times further than this before the broker's are dead letters; off where absent.
    #[serde(rename = "max_age", with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub max_age_ms: Option<i64>,
    /// Where a live topic is begun when the store holds nothing yet. Later starts go on where the last one stopped.
    pub from: Begin,
    /// What becomes of the state that a late reading belongs to.
    pub late: Late,
    /// How long after its window a late reading still corrects the state, on the clock of its partition's watermark.
    #[serde(rename = "correct_within", with = "duration")]
    pub correct_within_ms: i64,
    /// A live topic whose oldest messages are gone before they were read, or that was made anew, is read from its oldest
    /// message on instead of being an error.
    pub accept_loss: bool,
    /// How often a live topic is asked for new partitions.
    #[serde(rename = "partition_refresh", with = "duration")]
    pub partition_refresh_ms: i64,
    /// A job on a live topic ends when all partitions have been idle for so long; without, it goes on until it is stopped.
    #[serde(rename = "until_idle", with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub until_idle_ms: Option<i64>,
    /// A partition that has delivered nothing for so long, its end proven reached, stops holding the frontier.
    #[serde(rename = "idle", with = "duration")]
    pub idle_ms: i64,
    /// Longest message in bytes.
    pub max_message_bytes: usize,
    /// Most devices a partition.
    pub max_devices: usize,
    /// Most metrics a device.
    pub max_metrics: usize,
    /// Wall time between checkpoints.
    #[serde(rename = "checkpoint_interval", with = "duration")]
    pub checkpoint_interval_ms: i64,
    /// How long a job that is asked to stop may take to come to rest.
    #[serde(rename = "drain_timeout", with = "duration")]
    pub drain_timeout_ms: i64,
    /// How many windows may be under way between reading and the store.
    pub ahead_windows: usize,
    /// How many rows may be under way between reading and the store.
    pub ahead_rows: usize,
    /// Whether the table's `metrics` map holds means or last values.
    pub aggregate: Aggregation,
    /// Where the devices' clocks are, by its IANA name such as `America/Chicago`: what is usual for an hour or a weekend goes by them.
    pub time_zone: String,
    /// The same for single buildings.
    pub time_zones: BTreeMap<String, String>,
}

/// How states get the vector of a text. Durations are texts such as `"10s"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmbeddingSettings {
    /// What is said of a state.
    pub text: TextKind,
    /// How long a live state waits for its vector before it is stored without; it gets it later.
    #[serde(rename = "max_wait", with = "duration")]
    pub max_wait_ms: i64,
    /// How long a job that has come to its end goes on to complete the states that wait for their vector; what waits longer is
    /// left to the next start or to `store backfill-embeddings`.
    #[serde(rename = "end_wait", with = "duration")]
    pub end_wait_ms: i64,
}

impl Default for EmbeddingSettings {
    fn default() -> Self {
        EmbeddingSettings { text: TextKind::Words, max_wait_ms: 10_000, end_wait_ms: 30_000 }
    }
}

/// What an embedder of texts is told of a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TextKind {
    /// Words for what is not as usual for the device: few different texts.
    Words,
    /// The device and its values: nearly every state has a text of its own.
    Values,
}

impl TextKind {
    /// Its part of the embedding method.
    pub fn name(self) -> &'static str {
        match self {
            TextKind::Words => udfs::text::WORDS,
            TextKind::Values => udfs::text::VALUES,
        }
    }
}

/// What becomes of the state that a late reading belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Late {
    /// Nothing: the reading is kept beside it.
    Keep,
    /// Its metrics are corrected; verdicts and incidents stand.
    Correct,
}

/// Where a live topic is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// With the oldest message that the topic holds: nothing is left out.
    Earliest,
    /// With what comes after the start.
    Latest,
    /// With the first message of each partition whose broker time is at least this, in milliseconds.
    Time(i64),
}

impl Serialize for Begin {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Begin::Earliest => serializer.serialize_str("earliest"),
            Begin::Latest => serializer.serialize_str("latest"),
            Begin::Time(ms) => serializer.serialize_str(&model::time::format_ms(*ms)),
        }
    }
}

impl<'de> Deserialize<'de> for Begin {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "earliest" => Ok(Begin::Earliest),
            "latest" => Ok(Begin::Latest),
            time => model::time::parse_rfc3339(time).map(Begin::Time).ok_or_else(|| {
                let forms = "earliest, latest and a time such as 2026-03-02T09:30:00Z";
                serde::de::Error::custom(format!("from {text:?} is none of {forms}"))
            }),
        }
    }
}

/// Which aggregate stands for a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aggregation {
    /// Mean of the window.
    Mean,
    /// Last reading of the window.
    Last,
}

impl Default for JobSettings {
    fn default() -> Self {
        JobSettings {
            window_ms: 60_000,
            lateness_ms: 30_000,
            max_future_ms: 300_000,
            max_age_ms: None,
            late: Late::Keep,
            correct_within_ms: 3_600_000,
            from: Begin::Earliest,
            accept_loss: false,
            partition_refresh_ms: 30_000,
            until_idle_ms: None,
            idle_ms: 30_000,
            max_message_bytes: 65_536,
            max_devices: 1_000_000,
            max_metrics: 200,
            checkpoint_interval_ms: 60_000,
            drain_timeout_ms: 30_000,
            ahead_windows: 32,
            ahead_rows: 8_000,
            aggregate: Aggregation::Mean,
            time_zone: UTC.to_owned(),
            time_zones: BTreeMap::new(),
        }
    }
}

impl JobSettings {
    /// How long after its window a late reading still corrects the state; `None`: never.
    pub fn corrected_for_ms(&self) -> Option<i64> {
        (self.late == Late::Correct).then_some(self.correct_within_ms)
    }

    /// Checks what types can't say.
    ///
    /// # Errors
    /// Names the setting, its value and what it may be.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=86_400_000).contains(&self.window_ms) {
            return Err(format!("setting \"window\" is {}ms, which is not from 1ms to 1d", self.window_ms));
        }
        for (name, value) in [
            ("max_message_bytes", self.max_message_bytes),
            ("max_devices", self.max_devices),
            ("max_metrics", self.max_metrics),
            ("ahead_windows", self.ahead_windows),
            ("ahead_rows", self.ahead_rows),
        ] {
            if value == 0 {
                return Err(format!("setting {name:?} is 0, which leaves no room for anything"));
            }
        }
        Zones::of(self).map(drop)
    }
}

/// Durations as text.
mod duration {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&model::time::format_duration(*ms))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        model::time::parse_duration_ms(&text).map_err(serde::de::Error::custom)
    }
}

/// Durations that may be absent.
mod optional_duration {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => serializer.serialize_some(&model::time::format_duration(*ms)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
        let text: Option<String> = Option::deserialize(deserializer)?;
        text.map(|text| model::time::parse_duration_ms(&text).map_err(serde::de::Error::custom)).transpose()
    }
}
