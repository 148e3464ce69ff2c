//! A message of the topic: decoded, or the reason why not.
//!
//! Two readers, one meaning: a scanner for the flat form that nearly every device sends, and `serde_json` for all else. The
//! scanner gives up at the first surprise (an escape, a nested value, a field sent twice), so that only one of them has to
//! know what is wrong with a bad message; a property test holds them against each other.

mod any;
mod scan;
mod shape;

use std::borrow::Cow;

use any::decode_any;
use scan::scan;
pub use shape::{RecentTimestamp, Shape};

/// Longest name (device, type, metric, unit, location, building) in bytes.
pub const MAX_NAME_BYTES: usize = 256;

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

/// A message that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Why, as a word.
    pub reason: DeadLetterReason,
    /// Why, for a person: which field and what was there.
    pub detail: String,
}

impl Rejected {
    /// With its detail.
    pub fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        Rejected { reason, detail: detail.into() }
    }
}

/// Reads one message.
///
/// # Errors
/// `too_large`, `not_json`, `missing_field`, `wrong_type`, `not_finite` or `bad_timestamp`, looked for in this order.
pub fn decode(bytes: &[u8], max_message_bytes: usize) -> Result<Message<'_>, Rejected> {
    if bytes.len() > max_message_bytes {
        let detail = format!("message has {} bytes, more than {max_message_bytes}", bytes.len());
        return Err(Rejected::new(DeadLetterReason::TooLarge, detail));
    }
    match scan(bytes) {
        Some((message, _)) => Ok(message),
        None => decode_any(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"{"device_id":"RTU-001","device_type":"rooftop_unit","timestamp":"2026-03-02T10:00:00.000000+00:00","metric_name":"fan_speed","metric_value":1500.25,"unit":"RPM","location":"building-A","building_id":"bldg-001"}"#;

    #[test]
    fn the_contract_form_is_read_by_the_scanner() {
        let (message, _) = scan(GOOD.as_bytes()).expect("the usual form takes the fast path");
        assert_eq!(message.timestamp_ms, 1_772_445_600_000);
        assert_eq!(message.metric_value, 1500.25);
        assert_eq!(decode_any(GOOD.as_bytes()).unwrap(), message);
    }

    fn reason(text: &str) -> String {
        match decode(text.as_bytes(), 65_536) {
            Ok(message) => format!("ok {}", message.metric_value),
            Err(rejected) => format!("{}: {}", rejected.reason.name(), rejected.detail),
        }
    }

    #[test]
    fn every_reason_says_which_field_and_what_was_there() {
        let with = |from: &str, to: &str| reason(&GOOD.replace(from, to));
        let seen = [
            reason("12"),
            reason("{\"device_id\":"),
            with("\"device_id\":\"RTU-001\",", ""),
            with("\"RTU-001\"", "\"\""),
            with("\"rooftop_unit\"", "\"  \""),
            with("\"RTU-001\"", "17"),
            with("1500.25", "\"#VALUE!\""),
            with("1500.25", "null"),
            with("1500.25", "NaN"),
            with("1500.25", "-Infinity"),
            with("1500.25", "1e999"),
            with("1500.25", "true"),
            with("1500.25", "[1]"),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "\"yesterday\""),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "1772445600000"),
            with("\"2026-03-02T10:00:00.000000+00:00\"", "1772445600.5"),
            with("RTU-001", &"x".repeat(300)),
            with("\"unit\":\"RPM\"", "\"unit\":null"),
            with("\"unit\"", "\"more\":{\"a\":[1]},\"unit\""),
        ];
        expect_test::expect![[r##"
            not_json: invalid type: integer `12`, expected a map at line 1 column 2
            not_json: EOF while parsing a value at line 1 column 13
            missing_field: field "device_id" is missing
            missing_field: field "device_id" is empty
            missing_field: field "device_type" is empty
            wrong_type: field "device_id" is 17, not a text
            wrong_type: field "metric_value" is "#VALUE!", not a number, true or false
            missing_field: field "metric_value" is missing
            not_finite: NaN is no JSON number
            not_finite: Infinity is no JSON number
            not_finite: field "metric_value" is 1e999
            ok 1
            wrong_type: field "metric_value" is [1], not a number, true or false
            bad_timestamp: field "timestamp" is "yesterday"
            ok 1500.25
            wrong_type: field "timestamp" is 1772445600.5, not an RFC 3339 text or integer milliseconds
            too_large: field "device_id" has 300 bytes, more than 256
            ok 1500.25
            ok 1500.25
        "##]]
        .assert_eq(&(seen.join("\n") + "\n"));
    }

    proptest! {
        /// What the scanner takes, the general reader reads the same, to the bit.
        #[test]
        fn scanner_agrees_with_the_general_reader(
            name in "[a-zA-Z0-9_ é\"\\\\-]{1,12}",
            value in prop_oneof![any::<f64>().prop_map(|v| format!("{v:?}")), "-?[0-9]{1,20}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", Just("true".to_owned()), Just("nul".to_owned())],
            timestamp in prop_oneof![(-10_000_000_000_000i64..10_000_000_000_000).prop_map(|ms| ms.to_string()), Just("\"2026-03-02T10:00:00Z\"".to_owned()), Just("\"2026-03-02T10:00:00+01:00\"".to_owned()), Just("\"2026-02-30T10:00:00Z\"".to_owned())],
            blank in "[ \t]{0,2}",
            tail in prop_oneof![Just(String::new()), Just(",\"unit\":\"F\"".to_owned()), Just(",\"metric_value\":1".to_owned()), Just(",\"x\":[1,{}]".to_owned())],
        ) {
            let text = format!("{{{blank}\"device_id\":{},\"device_type\":\"chiller\",\"timestamp\":{blank}{timestamp},\"metric_name\":\"t\",\"metric_value\":{value}{blank}{tail}}}", serde_json::to_string(&name).unwrap());
            if let Some((message, _)) = scan(text.as_bytes()) {
                let general = decode_any(text.as_bytes()).unwrap();
                prop_assert_eq!(message.metric_value.to_bits(), general.metric_value.to_bits());
                prop_assert_eq!(message, general);
            }
        }

        /// What a shape reads, the reader of whole messages reads the same, to the bit; whatever byte is changed.
        #[test]
        fn shape_agrees_with_the_general_reader(
            value in prop_oneof!["-?[0-9]{1,20}(\\.[0-9]{1,20})?", Just("true".to_owned()), Just("1e3".to_owned()), Just("nul".to_owned())],
            timestamp in prop_oneof!["[0-9]{1,19}", "\"2026-0[0-9]-[0-3][0-9]T[0-2][0-9]:00:00(\\.[0-9]{1,10})?(Z|\\+00:00|\\+01:00)\""],
            is_value_first in any::<bool>(),
            is_changed in any::<bool>(),
            at in any::<proptest::sample::Index>(),
            byte in any::<u8>(),
        ) {
            let with = |value: &str, timestamp: &str| {
                let fields = [("timestamp", timestamp), ("metric_value", value)];
                let [(a, b), (c, d)] = if is_value_first { [fields[1], fields[0]] } else { fields };
                format!("{{\"device_id\":\"é\",\"{a}\":{b},\"device_type\":\"chiller\", \"metric_name\":\"t\",\"{c}\":{d},\"unit\":\"F\"}}")
            };
            let known = with("1.25", "\"2026-03-02T10:00:00Z\"");
            let shape = Shape::of(known.as_bytes()).expect("a flat message has a shape");
            let mut recent = RecentTimestamp::default();
            prop_assert_eq!(shape.read(known.as_bytes(), &mut recent), Some((1_772_445_600_000, 1.25)));
            let mut bytes = with(&value, &timestamp).into_bytes();
            if is_changed {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some((timestamp_ms, value)) = shape.read(&bytes, &mut recent) {
                let message = decode_any(&bytes).unwrap();
                prop_assert_eq!((message.timestamp_ms, message.metric_value.to_bits()), (timestamp_ms, value.to_bits()));
                let known = Message { timestamp_ms, metric_value: value, ..decode_any(known.as_bytes()).unwrap() };
                prop_assert_eq!(message, known);
            }
        }

        /// A string ends at its first quote, wherever that is.
        #[test]
        fn strings_end_where_they_end(bytes in "\"[ -~é\t\"\\\\]{0,40}") {
            let bytes = bytes.as_bytes();
            let wanted = bytes[1..].iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).map(|at| at + 1);
            prop_assert_eq!(scan::string_end(bytes, 0), wanted.filter(|&at| bytes[at] == b'"').map(|at| at + 1));
        }

        /// No bytes make the reader panic.
        #[test]
        fn any_bytes_give_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, 128).is_ok();
        }
    }
}
