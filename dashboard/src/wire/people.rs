//! What people say: words on incidents, work on devices.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::whole::whole;

/// What an incident was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum As {
    /// It was one, and was taken care of.
    Fault,
    /// There was nothing: the device's bar for such an incident rises.
    FalsePositive,
    /// Somebody worked on the device.
    Maintenance,
}

/// A word on an incident.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resolve {
    /// What it was.
    #[serde(rename = "as")]
    pub resolution: As,
    /// In people's words; may be empty.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    pub note: String,
}

/// What was asked for was written down.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Accepted {
    /// Which control it is.
    pub control_id: String,
    /// When it takes effect, for a person.
    pub takes_effect: String,
}

/// Work on devices to announce: of one device, or of all of a building.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announce {
    /// Only this device.
    #[serde(default)]
    pub device_id: Option<String>,
    /// All devices of this building.
    #[serde(default)]
    pub building_id: Option<String>,
    /// Beginning.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 0, maximum = 253_402_300_799_999_i64)]
    pub from_ms: i64,
    /// End, exclusive; behind the beginning.
    #[serde(deserialize_with = "whole")]
    #[schema(minimum = 1, maximum = 253_402_300_799_999_i64)]
    pub to_ms: i64,
    /// What is done; may be empty.
    #[serde(default)]
    #[schema(max_length = 2_000)]
    pub note: String,
}

/// All announced work.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MaintenanceWindows {
    /// By beginning.
    pub windows: Vec<MaintenanceWindow>,
}

/// Announced work.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MaintenanceWindow {
    /// Which control it is.
    pub id: String,
    /// Only this device.
    pub device_id: Option<String>,
    /// All devices of this building.
    pub building_id: Option<String>,
    /// Beginning.
    pub from_ms: i64,
    /// End, exclusive.
    pub to_ms: i64,
    /// In people's words.
    pub note: Option<String>,
    /// `asked` (the job has not taken it up yet) or `in effect from` a time.
    pub status: String,
}
