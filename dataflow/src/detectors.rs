//! Settings of the detectors: those of all devices, what is set otherwise for a device type, and how much devices matter.
//!
//! A type's settings are those of all devices with its own laid over them (`[detectors.type.chiller]`), put together once when a
//! job starts ([`Thresholds`]) and looked up by the device's canonical type from then on.

mod criticality;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::Catalogue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
use toml::{Table, Value};
use udfs::{Criticality, MonitorConfig};

use crate::config::{merge, nearest};
use crate::directory::Place;
pub use criticality::Criticalities;

/// Thresholds and weights, as they are set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Detectors {
    /// Of every device for whose type nothing else is set.
    pub usual: MonitorConfig,
    /// What is set for types, by canonical name: tables of the same keys, with those that differ.
    pub by_type: BTreeMap<String, Table>,
    /// How much devices matter.
    pub criticality: Criticalities,
}

/// Thresholds and weights, ready to be looked up.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds {
    /// Of every type that is not named below.
    pub usual: MonitorConfig,
    by_type: BTreeMap<String, MonitorConfig>,
    criticality: Criticalities,
}

impl From<MonitorConfig> for Detectors {
    fn from(usual: MonitorConfig) -> Self {
        Detectors { usual, ..Detectors::default() }
    }
}

impl Detectors {
    /// Puts the settings of each type together.
    ///
    /// # Errors
    /// Names the type and the setting that is no such value, or that can't be set for a type alone.
    pub fn resolve(&self) -> Result<Thresholds, String> {
        self.usual.check().map_err(|problem| format!("detectors: {problem}"))?;
        let mut by_type = BTreeMap::new();
        for (device_type, changes) in &self.by_type {
            let wrong = |problem: &str| format!("device type {device_type:?}: {}", problem.trim_end());
            if changes.get("peers").and_then(|peers| peers.get("every_windows")).is_some() {
                return Err(wrong(
                    "setting \"peers.every_windows\" holds for all types together, whose devices are compared at the same times",
                ));
            }
            let mut table = Table::try_from(&self.usual).map_err(|error| wrong(&error.to_string()))?;
            merge(&mut table, changes.clone());
            let settings =
                MonitorConfig::deserialize(Value::Table(table)).map_err(|error| wrong(&error.to_string()))?;
            settings.check().map_err(|problem| wrong(&problem))?;
            by_type.insert(device_type.clone(), settings);
        }
        Ok(Thresholds { usual: self.usual.clone(), by_type, criticality: self.criticality.clone() })
    }

    /// What decides results beside the settings of all devices, as the end of a text; empty where nothing does.
    pub fn meaning(&self) -> String {
        let mut text = String::new();
        match self.resolve() {
            Ok(Thresholds { by_type, .. }) => {
                for (device_type, settings) in by_type.iter().filter(|(_, settings)| **settings != self.usual) {
                    let _ = write!(text, "{device_type}={settings:?};");
                }
            }
            // No job starts with these.
            Err(problem) => text = problem,
        }
        if !text.is_empty() {
            text = format!(" types={:016x}", model::hash::hash_text(&text));
        }
        text + &self.criticality.meaning()
    }
}

impl Thresholds {
    /// Settings of the devices of a (canonical) type.
    pub fn of(&self, device_type: &str) -> &MonitorConfig {
        self.by_type.get(device_type).unwrap_or(&self.usual)
    }

    /// How much a device matters.
    pub fn criticality(&self, device_id: &str, place: &Place) -> Criticality {
        self.criticality.of(device_id, place)
    }

    /// The settings of all devices, then those of types.
    pub fn all(&self) -> impl Iterator<Item = &MonitorConfig> {
        std::iter::once(&self.usual).chain(self.by_type.values())
    }

    /// Devices that a type needs at least to have peers, where it needs fewest; 0: no type has any.
    pub fn least_peers(&self) -> u32 {
        self.all().map(|settings| settings.peers.min_devices).filter(|&devices| devices > 0).min().unwrap_or(0)
    }
}

impl Serialize for Detectors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut table = Table::try_from(&self.usual).map_err(ser::Error::custom)?;
        table.insert("type".to_owned(), Value::try_from(&self.by_type).map_err(ser::Error::custom)?);
        table.insert("criticality".to_owned(), Value::try_from(&self.criticality).map_err(ser::Error::custom)?);
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Detectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = Table::deserialize(deserializer)?;
        let by_type = table.remove("type").map(BTreeMap::deserialize).transpose().map_err(de::Error::custom)?;
        let criticality = table.remove("criticality").map(Criticalities::deserialize).transpose();
        let criticality = criticality.map_err(de::Error::custom)?.unwrap_or_default();
        let usual = MonitorConfig::deserialize(Value::Table(table)).map_err(de::Error::custom)?;
        Ok(Detectors { usual, by_type: by_type.unwrap_or_default(), criticality })
    }
}

/// Gives the device types in a table's keys their canonical names.
///
/// # Errors
/// Names a type that the catalogue lacks with the nearest that it has, and one that is there under two names.
pub(crate) fn name_types(table: &mut Table) -> Result<(), String> {
    let catalogue = Catalogue::builtin();
    let mut written: BTreeMap<String, String> = BTreeMap::new();
    for (sent, value) in std::mem::take(table) {
        let name = catalogue.normalise_type(&sent).into_owned();
        if !catalogue.types.contains_key(&name) {
            let all: Vec<&str> = catalogue.types.keys().map(String::as_str).collect();
            let all = format!("; the catalogue has {}", all.join(", "));
            return Err(format!("unknown device type {sent:?}{}", nearest(&name, catalogue.types.keys(), &all)));
        }
        if let Some(other) = written.insert(name.clone(), sent.clone()) {
            return Err(format!("device type {name:?} is there twice, as {other:?} and as {sent:?}"));
        }
        table.insert(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, from_table, from_table_and_flags};

    fn config(text: &str, flags: &[(&str, &str)]) -> anyhow::Result<Config> {
        let flags: Vec<_> = flags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        from_table_and_flags("test", text.parse()?, &flags)
    }

    #[test]
    fn a_type_has_the_settings_of_all_devices_but_for_its_own() {
        let text = "
            [detectors]
            clear_windows = 20
            [detectors.type.CH]
            warm_up_windows = 720
            [detectors.type.chiller_2]
        ";
        assert!(config(text, &[]).unwrap_err().to_string().contains("unknown device type \"chiller_2\""));
        let text = &text[..text.find("[detectors.type.chiller_2]").unwrap()];
        let flags = [
            ("detectors.type.water-chiller.residual.limit_min", "6"),
            ("detectors.type.chiller.weights", "[1, 0.5, 0, 0]"),
            ("detectors.type.RTU.warm_up_windows", "120"),
            ("detectors.type.rooftop_unit.warm_up_windows", "240"),
        ];
        let detectors = config(text, &flags).unwrap().detectors;
        let thresholds = detectors.resolve().unwrap();
        let usual = MonitorConfig { clear_windows: 20, ..MonitorConfig::default() };
        let chiller = MonitorConfig {
            warm_up_windows: 720,
            weights: [1.0, 0.5, 0.0, 0.0],
            residual: udfs::ResidualConfig { limit_min: 6.0, ..usual.residual.clone() },
            ..usual.clone()
        };
        assert_eq!(*thresholds.of("chiller"), chiller);
        assert_eq!(*thresholds.of("rooftop_unit"), MonitorConfig { warm_up_windows: 240, ..usual.clone() });
        assert_eq!(*thresholds.of("cooling_tower"), usual);
        // Written and read again.
        let printed = toml::to_string(&config(text, &flags).unwrap()).unwrap();
        assert_eq!(from_table("printed", printed.parse().unwrap()).unwrap().detectors, detectors);
    }

    #[test]
    fn what_can_not_be_set_for_a_type_is_said_with_its_place() {
        let said = |key: &str, value: &str| config("", &[(key, value)]).unwrap_err().to_string();
        let lines = [
            said("detectors.type.chillr.warm_up_windows", "1"),
            said("detectors.type.boiler_of_ours.warm_up_windows", "1"),
            said("detectors.type.chiller.warm_up_window", "1"),
            said("detectors.type.chiller.residual.limit_mni", "1"),
            said("detectors.type.chiller.warm_up_windows", "soon"),
            said("detectors.type.chiller.peers.every_windows", "3"),
            said("detectors.type.chiller", "3"),
            said("detectors.type", "3"),
            config("[detectors.type]\nCH = {}\nchiller = {}", &[]).unwrap_err().to_string(),
        ];
        expect_test::expect![[r#"
            flag --set detectors.type.chillr.warm_up_windows: unknown device type "chillr"; did you mean "chiller"?
            flag --set detectors.type.boiler_of_ours.warm_up_windows: unknown device type "boiler_of_ours"; the catalogue has air_compressor, air_handling_unit, chiller, cooling_tower, makeup_air_unit, rooftop_unit, vav_box
            flag --set detectors.type.chiller.warm_up_window: unknown setting "detectors.type.chiller.warm_up_window"; did you mean "detectors.type.chiller.warm_up_windows"?
            flag --set detectors.type.chiller.residual.limit_mni: unknown setting "detectors.type.chiller.residual.limit_mni"; did you mean "detectors.type.chiller.residual.limit_min"?
            flag --set detectors.type.chiller.warm_up_windows: device type "chiller": invalid type: string "soon", expected u32 in `warm_up_windows`
            flag --set detectors.type.chiller.peers.every_windows: device type "chiller": setting "peers.every_windows" holds for all types together, whose devices are compared at the same times
            flag --set detectors.type.chiller: setting "detectors.type.chiller" is no table of settings
            flag --set detectors.type: setting "detectors.type" is no table of settings
            test: device type "chiller" is there twice, as "CH" and as "chiller"
        "#]].assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn only_what_differs_has_a_meaning() {
        let meaning = |text: &str| config(text, &[]).unwrap().detectors.meaning();
        assert_eq!(meaning(""), "");
        assert_eq!(meaning("[detectors.type.chiller]\nwarm_up_windows = 360"), "", "as all devices have it");
        let (one, other) =
            ("[detectors.type.chiller]\nwarm_up_windows = 720", "[detectors.type.CH]\nwarm_up_windows = 720");
        assert_eq!(meaning(one), meaning(other));
        assert_ne!(meaning(one), meaning("[detectors.type.cooling_tower]\nwarm_up_windows = 720"));
        assert!(!meaning(one)[1..].contains(' '), "one word in the settings of a store");
    }

    #[test]
    fn peers_are_counted_from_the_fewest_that_a_type_asks_for() {
        let least = |text: &str| config(text, &[]).unwrap().detectors.resolve().unwrap().least_peers();
        assert_eq!(least(""), 8);
        assert_eq!(least("[detectors.type.chiller.peers]\nmin_devices = 4"), 4);
        assert_eq!(least("[detectors.type.chiller.peers]\nmin_devices = 0"), 8);
        assert_eq!(least("[detectors.peers]\nmin_devices = 0"), 0);
    }
}
