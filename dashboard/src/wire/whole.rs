//! Whole numbers in what is sent: JSON Schema, which describes it, knows no difference between 3751 and 3751.0.

use serde::de::{Deserialize as _, Deserializer, Error as _};
use serde_json::Number;

/// For `deserialize_with`.
pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = Number::deserialize(deserializer)?;
    let whole = || number.as_f64().filter(|float| float.fract() == 0.0 && (-TWO_63..TWO_63).contains(float));
    let found = number.as_i64().or_else(|| whole().map(|float| float as i64));
    found.ok_or_else(|| D::Error::custom(format!("{number} is no whole number of 64 bits")))
}

const TWO_63: f64 = 9_223_372_036_854_775_808.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_schema_calls_an_integer_is_one() {
        let read = |text: &str| whole(&mut serde_json::Deserializer::from_str(text)).map_err(|error| error.to_string());
        for (text, number) in [
            ("3751", 3_751),
            ("3751.0", 3_751),
            ("-0.0", 0),
            ("1.5e3", 1_500),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808.0", i64::MIN),
        ] {
            assert_eq!(read(text), Ok(number), "{text}");
        }
        for text in ["3751.5", "9223372036854775808", "9223372036854775808.0", "1e300"] {
            assert!(read(text).unwrap_err().contains("no whole number"), "{text}");
        }
        assert!(read("\"3751\"").is_err() && read("null").is_err());
    }
}
