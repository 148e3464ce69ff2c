//! Device types as data: `devices.toml`, compiled in, says for every type its metrics, units, aliases and rules.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::hash::hash_text;
use crate::state::Severity;

/// All known device types.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Catalogue {
    /// Further spellings of units: alias to canonical. Units bring their usual spellings themselves.
    #[serde(default)]
    pub unit_aliases: BTreeMap<String, String>,
    /// Units by canonical name.
    #[serde(default, rename = "unit")]
    pub units: BTreeMap<String, UnitSpec>,
    /// Types by canonical name.
    #[serde(rename = "device")]
    pub types: BTreeMap<String, DeviceType>,
}

/// A unit: `base = sent * scale + offset`, where the base is the same for all units of a kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// What it measures; only units of one kind convert into each other.
    pub kind: String,
    /// Factor to the base.
    #[serde(default = "one")]
    pub scale: f64,
    /// Added after the factor.
    #[serde(default)]
    pub offset: f64,
    /// Other spellings, compared without case.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// One device type.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "DeviceTypeFile")]
pub struct DeviceType {
    /// Other spellings of the type, compared without case, blanks, `_` and `-`.
    pub aliases: Vec<String>,
    /// Metrics by name.
    pub metrics: BTreeMap<String, MetricSpec>,
    /// Metrics that follow from others, in the order of their names; `metrics` has them, too.
    pub derived: Vec<DerivedSpec>,
    /// Rules in the order of the file.
    pub rules: Vec<RuleSpec>,
    /// Hash of metrics and rules: what is derived from a type (compiled rules) is remembered under it.
    pub content: u64,
}

/// A type as the file has it; `content` is computed when it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeviceTypeFile {
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default, rename = "metric")]
    metrics: BTreeMap<String, MetricSpec>,
    #[serde(default)]
    derived: BTreeMap<String, DerivedFile>,
    #[serde(default, rename = "rule")]
    rules: Vec<RuleSpec>,
}

/// A derived metric as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DerivedFile {
    unit: String,
    value: String,
    when: Option<String>,
    #[serde(default)]
    difference: bool,
}

impl From<DeviceTypeFile> for DeviceType {
    fn from(DeviceTypeFile { aliases, mut metrics, derived, rules }: DeviceTypeFile) -> Self {
        let mut specs = Vec::with_capacity(derived.len());
        for (name, DerivedFile { unit, value, when, difference }) in derived {
            let spec = MetricSpec { unit, difference, kind: MetricKind::Derived, ..MetricSpec::default() };
            metrics.insert(name.clone(), spec);
            specs.push(DerivedSpec { name, value, when });
        }
        let mut content = format!("{metrics:?} {rules:?}");
        if !specs.is_empty() {
            content += &format!(" {specs:?}");
        }
        DeviceType { aliases, metrics, derived: specs, rules, content: hash_text(&content) }
    }
}

/// What a metric is, which decides how it is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricKind {
    /// A measurement of the device: judged by every method.
    #[default]
    Gauge,
    /// A measurement of the device's surroundings (weather): judged, but it explains rather than accuses.
    Ambient,
    /// On or off: an input of the models, judged by rules alone.
    Status,
    /// Only rises: judged by its increase per window.
    Counter,
    /// What people ask for: an input of the models.
    Setpoint,
    /// What the controller asks for (a valve's position): an input of the models.
    Command,
    /// Follows from other metrics by a formula: judged with the others together, and by no method alone.
    Derived,
}

/// A metric that follows from others of the same state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedSpec {
    /// Its name, unique within the type.
    pub name: String,
    /// CEL expression over metric names: its value.
    pub value: String,
    /// CEL expression: there is a value only while it is true.
    pub when: Option<String>,
}

/// One metric of a type.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    /// Canonical unit.
    pub unit: String,
    /// Lowest plausible value.
    pub lo: Option<f64>,
    /// Highest plausible value.
    pub hi: Option<f64>,
    /// What it is.
    #[serde(default)]
    pub kind: MetricKind,
    /// A difference of two values: converted without the unit's offset.
    #[serde(default)]
    pub difference: bool,
    /// A command counts as on from here up: what it asks for then, and not its exact position, explains the device.
    pub on_above: Option<f64>,
    /// Other names of the metric, compared without case, blanks, `_` and `-`.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// A rule: a CEL condition over metric names that a healthy device never meets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// Name, unique within the type.
    pub id: String,
    /// What it means, for a person.
    pub description: String,
    /// How much it matters; a critical rule makes the state critical by itself.
    pub severity: Severity,
    /// CEL expression: true is a breach.
    pub when: String,
    /// CEL expression: the rule applies only while it is true.
    pub guard: Option<String>,
    /// Minutes for which it must be breached, window by window, before it reports; at least one window.
    #[serde(default)]
    pub confirm_minutes: u32,
    /// Minutes after the guard became true in which the rule does not apply.
    #[serde(default)]
    pub settle_minutes: u32,
    /// The metrics to show, the one it is about first.
    pub metrics: Vec<String>,
    /// Where it comes from: a standard, a public collection of rules.
    pub source: Option<String>,
}

fn one() -> f64 {
    1.0
}

/// `canonical = sent * scale + offset`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Factor.
    pub scale: f64,
    /// Added after the factor.
    pub offset: f64,
}

/// Why a catalogue can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    /// Not of the format.
    #[error("catalogue is not valid: {0}")]
    Toml(#[from] toml::de::Error),
    /// A metric's unit is not listed.
    #[error("device type {device_type:?}: metric {metric:?} has unit {unit:?}, which the catalogue does not list")]
    UnknownUnit {
        /// The type.
        device_type: String,
        /// The metric.
        metric: String,
        /// Its unit.
        unit: String,
    },
    /// A spelling leads to a unit that is not listed.
    #[error("unit alias {alias:?} names {unit:?}, which the catalogue does not list")]
    UnknownAlias {
        /// The spelling.
        alias: String,
        /// Where it leads.
        unit: String,
    },
    /// The limits of a metric are the wrong way round.
    #[error("device type {device_type:?}: metric {metric:?} has lo {lo} above hi {hi}")]
    Limits {
        /// The type.
        device_type: String,
        /// The metric.
        metric: String,
        /// Lower limit.
        lo: f64,
        /// Upper limit.
        hi: f64,
    },
    /// Two rules of a type share their id, or a rule names no metric.
    #[error("device type {device_type:?}: rule {rule:?} {problem}")]
    Rule {
        /// The type.
        device_type: String,
        /// The rule.
        rule: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Catalogue {
    /// Reads a catalogue and checks what can be checked without compiling its rules.
    pub fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
        let catalogue: Catalogue = toml::from_str(text)?;
        for (alias, unit) in &catalogue.unit_aliases {
            if !catalogue.units.contains_key(unit) {
                return Err(CatalogueError::UnknownAlias { alias: alias.clone(), unit: unit.clone() });
            }
        }
        for (name, device_type) in &catalogue.types {
            catalogue.check_type(name, device_type)?;
        }
        Ok(catalogue)
    }

    fn check_type(&self, name: &str, device_type: &DeviceType) -> Result<(), CatalogueError> {
        for (metric, spec) in &device_type.metrics {
            if !self.units.contains_key(&spec.unit) {
                return Err(CatalogueError::UnknownUnit {
                    device_type: name.to_owned(),
                    metric: metric.clone(),
                    unit: spec.unit.clone(),
                });
            }
            if let (Some(lo), Some(hi)) = (spec.lo, spec.hi)
                && lo > hi
            {
                return Err(CatalogueError::Limits { device_type: name.to_owned(), metric: metric.clone(), lo, hi });
            }
        }
        for (at, rule) in device_type.rules.iter().enumerate() {
            let problem = if device_type.rules[..at].iter().any(|earlier| earlier.id == rule.id) {
                "is there twice"
            } else if rule.metrics.is_empty() {
                "names no metric to show"
            } else if !rule.metrics.iter().all(|metric| device_type.metrics.contains_key(metric)) {
                "shows a metric that the type lacks"
            } else {
                continue;
            };
            return Err(CatalogueError::Rule { device_type: name.to_owned(), rule: rule.id.clone(), problem });
        }
        Ok(())
    }

    /// The built-in catalogue.
    ///
    /// # Panics
    /// Never in a released build: a test parses it.
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: std::sync::OnceLock<Catalogue> = std::sync::OnceLock::new();
        CATALOGUE.get_or_init(|| Catalogue::parse(include_str!("../devices.toml")).expect("devices.toml is valid"))
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

    /// Canonical metric name of a (canonical) type; a metric that the catalogue lacks keeps its name.
    pub fn normalise_metric<'a>(&'a self, device_type: &str, sent: &'a str) -> &'a str {
        let Some(known) = self.types.get(device_type) else { return sent };
        if known.metrics.contains_key(sent) {
            return sent;
        }
        let folded = fold(sent);
        let found = known
            .metrics
            .iter()
            .find(|(name, spec)| fold(name) == folded || spec.aliases.iter().any(|alias| fold(alias) == folded));
        found.map_or(sent, |(name, _)| name)
    }

    /// How to turn a reading in `sent` unit into the canonical unit of the metric. `None`: the unit is unknown or of
    /// another kind. A metric that the catalogue lacks keeps whatever unit it has; an absent unit is the canonical one.
    pub fn conversion(&self, device_type: &str, metric: &str, sent: Option<&str>) -> Option<Conversion> {
        const SAME: Conversion = Conversion { scale: 1.0, offset: 0.0 };
        let Some(spec) = self.types.get(device_type).and_then(|known| known.metrics.get(metric)) else {
            return Some(SAME);
        };
        let Some(sent) = sent.map(str::trim).filter(|sent| !sent.is_empty()) else { return Some(SAME) };
        if sent == spec.unit {
            return Some(SAME);
        }
        let (name, from) = self.unit(sent)?;
        if name == spec.unit {
            return Some(SAME);
        }
        let to = self.units.get(&spec.unit)?;
        if from.kind != to.kind {
            return None;
        }
        let offset = if spec.difference { 0.0 } else { (from.offset - to.offset) / to.scale };
        Some(Conversion { scale: from.scale / to.scale, offset })
    }

    /// A unit by any of its spellings: exactly as written first (`MW` is not `mW`), then without case where only one
    /// unit answers to it.
    fn unit(&self, sent: &str) -> Option<(&str, &UnitSpec)> {
        let exact = self.unit_aliases.get(sent).map_or(sent, String::as_str);
        if let Some((name, unit)) = self.units.get_key_value(exact) {
            return Some((name, unit));
        }
        let mut found = None;
        for (name, unit) in &self.units {
            if unit.aliases.iter().any(|alias| alias == sent) {
                return Some((name, unit));
            }
            let folds = |spelling: &str| spelling.to_lowercase() == sent.to_lowercase();
            if folds(name) || unit.aliases.iter().any(|alias| folds(alias)) {
                if found.is_some() {
                    return None;
                }
                found = Some((name.as_str(), unit));
            }
        }
        found
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
