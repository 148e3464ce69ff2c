//! Messages that could not be used, and readings that came late.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::whole::whole;

/// A page of dead letters.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Letters {
    /// How many match.
    pub total: u64,
    /// All reasons, whatever the filter.
    pub reasons: Vec<ReasonCount>,
    /// A page of them, by topic, partition and offset.
    pub letters: Vec<Letter>,
}

/// How many have a reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonCount {
    /// `not_json` and the like.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// A message that could not be used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Letter {
    /// Where it came from.
    pub topic: String,
    /// Partition there.
    pub partition: i64,
    /// Offset there.
    pub offset: i64,
    /// `not_json` and the like.
    pub reason: String,
    /// More about it.
    pub detail: String,
    /// When the broker had it.
    pub broker_time_ms: Option<i64>,
    /// The message as it came.
    pub bytes_base64: String,
    /// Its beginning as text; what is no UTF-8 is replaced.
    pub text: String,
    /// Its length.
    pub bytes: usize,
}

/// Which letters to send again.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// At most a hundred.
    #[schema(min_items = 1, max_items = 100)]
    pub letters: Vec<LetterKey>,
}

/// A letter, and what to send instead.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterKey {
    /// Where it came from.
    pub topic: String,
    /// Partition there.
    #[serde(deserialize_with = "whole")]
    pub partition: i64,
    /// Offset there.
    #[serde(deserialize_with = "whole")]
    pub offset: i64,
    /// The repaired message; absent: as it came.
    #[serde(default)]
    pub text: Option<String>,
}

/// How many were sent.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Sent {
    /// Messages.
    pub sent: u64,
}

/// Devices whose readings came late.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Late {
    /// Those with the most first.
    pub devices: Vec<LateDevice>,
}

/// Late readings of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LateDevice {
    /// Which; untrusted.
    pub device_id: String,
    /// How many.
    pub late: u64,
    /// The latest.
    pub late_by_ms_max: i64,
    /// Half are not later.
    pub late_by_ms_median: i64,
    /// How far its clock is ahead of the broker's (negative: behind), where nearly all of its late readings say the same.
    pub clock_skew_ms: Option<i64>,
}
