//! Device types as data: `devices.toml`, compiled in, says for every type its metrics, units, aliases and rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;

/// All known device types.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Spellings of units: alias to canonical.
    #[serde(default)]
    pub unit_aliases: BTreeMap<String, String>,
    /// Types by canonical name.
    #[serde(rename = "device")]
    pub types: BTreeMap<String, DeviceType>,
}

/// One device type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceType {
    /// Other spellings of the type, compared without case, blanks, `_` and `-`.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Metrics by name.
    #[serde(default, rename = "metric")]
    pub metrics: BTreeMap<String, MetricSpec>,
}

/// One metric of a type.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    /// Canonical unit.
    pub unit: String,
}

/// `canonical = sent * scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Factor.
    pub scale: f64,
    /// Added after the factor.
    pub offset: f64,
}

impl Catalogue {
    /// The built-in catalogue.
    ///
    /// # Panics
    /// Never in a released build: a test parses it.
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
        CATALOGUE.get_or_init(|| toml::from_str(include_str!("../devices.toml")).expect("devices.toml is valid"))
    }

    /// Canonical type name: aliases resolved; an unknown type is its own name in lower case.
    pub fn normalise_type<'a>(&'a self, sent: &'a str) -> Cow<'a, str> {
        if let Some((name, _)) = self.types.get_key_value(sent) {
            return Cow::Borrowed(name);
        }
        let folded = fold(sent);
        for (name, device_type) in &self.types {
            if fold(name) == folded || device_type.aliases.iter().any(|alias| fold(alias) == folded) {
                return Cow::Borrowed(name);
            }
        }
        Cow::Owned(sent.trim().to_lowercase())
    }

    /// How to turn a reading in `sent` unit into the canonical unit of the metric. `None`: the unit is unknown or of
    /// another kind. A metric that the catalogue lacks keeps whatever unit it has; an absent unit is the canonical one.
    pub fn conversion(&self, device_type: &str, metric: &str, sent: Option<&str>) -> Option<Conversion> {
        const SAME: Conversion = Conversion { scale: 1.0, offset: 0.0 };
        let Some(spec) = self.types.get(device_type).and_then(|known| known.metrics.get(metric)) else {
            return Some(SAME);
        };
        let Some(sent) = sent else { return Some(SAME) };
        let canonical = self.unit_aliases.get(sent).map_or(sent, String::as_str);
        if canonical == spec.unit { Some(SAME) } else { None }
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}
