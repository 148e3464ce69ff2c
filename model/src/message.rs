//! A message of the topic: decoded into a reading, or the reason why not.

use std::borrow::Cow;

/// Why a message can't be used. A closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadLetterReason {
    /// Not one JSON object.
    NotJson,
    /// A required field is absent or empty.
    MissingField,
    /// A field has another type than the contract says.
    WrongType,
    /// The value is not finite.
    NotFinite,
    /// The timestamp can't be read.
    BadTimestamp,
    /// The event time lies beyond broker time + `max_future`.
    TooFarInFuture,
    /// The event time lies before broker time - `max_age`.
    TooOld,
    /// The message or one of its names is longer than allowed.
    TooLarge,
    /// The metric is known and the unit is none of its own.
    UnknownUnit,
    /// The partition has more devices than `max_devices`.
    TooManyDevices,
    /// The device has more metrics than `max_metrics`.
    TooManyMetrics,
}

impl DeadLetterReason {
    /// All reasons.
    pub const ALL: [DeadLetterReason; 11] = [
        Self::NotJson,
        Self::MissingField,
        Self::WrongType,
        Self::NotFinite,
        Self::BadTimestamp,
        Self::TooFarInFuture,
        Self::TooOld,
        Self::TooLarge,
        Self::UnknownUnit,
        Self::TooManyDevices,
        Self::TooManyMetrics,
    ];

    /// The name in rows and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::BadTimestamp => "bad_timestamp",
            Self::TooFarInFuture => "too_far_in_future",
            Self::TooOld => "too_old",
            Self::TooLarge => "too_large",
            Self::UnknownUnit => "unknown_unit",
            Self::TooManyDevices => "too_many_devices",
            Self::TooManyMetrics => "too_many_metrics",
        }
    }
}

/// A usable message, borrowing from its bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    /// Device.
    pub device_id: Cow<'a, str>,
    /// Type as sent.
    pub device_type: Cow<'a, str>,
    /// Event time, milliseconds since the epoch.
    pub timestamp_ms: i64,
    /// Metric.
    pub metric_name: Cow<'a, str>,
    /// Finite; true and false are 1 and 0.
    pub metric_value: f64,
    /// Unit as sent.
    pub unit: Option<Cow<'a, str>>,
    /// Where the device stands.
    pub location: Option<Cow<'a, str>>,
    /// Which building.
    pub building_id: Option<Cow<'a, str>>,
}
