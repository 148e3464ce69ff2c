//! The devices of a simulation: read from a file, from `ID:TYPE`, or made up in any number.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::SimulatorError;
use super::metrics::DeviceKind;
use super::random::{Random, mix};

/// Most devices that a fleet may have.
pub const MAX_DEVICES: usize = 1_000_000;

/// A device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSpec {
    /// Its id, the key of its messages.
    pub device_id: String,
    /// What it is.
    pub kind: DeviceKind,
    /// Where it is.
    pub location: String,
    /// Its building; devices of one building have the same weather and hours.
    pub building_id: String,
    /// Random faults are injected.
    pub inject_anomalies: bool,
    /// Its own time between two ticks.
    pub period_ms: Option<i64>,
}

/// All devices, each id once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    devices: Vec<DeviceSpec>,
}

/// Types and buildings of the original's fleet, in its order.
const ELEVEN: [(DeviceKind, usize); 11] = [
    (DeviceKind::RooftopUnit, 0),
    (DeviceKind::RooftopUnit, 0),
    (DeviceKind::RooftopUnit, 1),
    (DeviceKind::MakeupAirUnit, 0),
    (DeviceKind::MakeupAirUnit, 1),
    (DeviceKind::Chiller, 0),
    (DeviceKind::Chiller, 1),
    (DeviceKind::CoolingTower, 0),
    (DeviceKind::CoolingTower, 1),
    (DeviceKind::AirCompressor, 0),
    (DeviceKind::AirCompressor, 1),
];

const FIELDS: &str = "device_id, device_type, location, building_id, inject_anomalies, period_ms";

impl Fleet {
    /// A fleet of these devices.
    pub fn new(devices: Vec<DeviceSpec>) -> Result<Fleet, SimulatorError> {
        if devices.is_empty() || devices.len() > MAX_DEVICES {
            let problem = format!("{} devices", devices.len());
            return Err(SimulatorError::option("devices", problem, format!("1 to {MAX_DEVICES}")));
        }
        let mut seen = BTreeSet::new();
        for (at, device) in devices.iter().enumerate() {
            if device.device_id.is_empty() {
                let device = format!("number {}", at + 1);
                return Err(SimulatorError::device(device, "device_id", "is empty", "a text that is not empty"));
            }
            if !seen.insert(device.device_id.as_str()) {
                return Err(SimulatorError::device(&device.device_id, "device_id", "is there twice", "each id once"));
            }
            if device.period_ms.is_some_and(|period_ms| !(1..=86_400_000).contains(&period_ms)) {
                let problem = format!("{} is out of range", device.period_ms.unwrap_or(0));
                return Err(SimulatorError::device(&device.device_id, "period_ms", problem, "1 to 86400000"));
            }
        }
        drop(seen);
        Ok(Fleet { devices })
    }

    /// The original's fleet: eleven devices in two buildings, RTU-001 with anomalies.
    pub fn default_eleven() -> Fleet {
        let mut numbers = [0usize; 5];
        let devices = ELEVEN.iter().map(|(kind, building)| {
            let mut device = numbered(*kind, &mut numbers, *building);
            device.inject_anomalies = device.device_id == "RTU-001";
            device
        });
        Fleet { devices: devices.collect() }
    }

    /// `count` devices with the original's mix of types, in buildings of three to nine devices. A larger fleet of the
    /// same seed begins with the smaller one.
    pub fn generate(count: usize, seed: u64) -> Result<Fleet, SimulatorError> {
        if count == 0 || count > MAX_DEVICES {
            let problem = format!("{count} devices");
            return Err(SimulatorError::option("devices", problem, format!("1 to {MAX_DEVICES}")));
        }
        let mut sizes = Random::new(mix(seed, 0x666C_6565));
        let mut numbers = [0usize; 5];
        let (mut building, mut room) = (0, 3 + sizes.below(7));
        let devices = (0..count).map(|at| {
            if room == 0 {
                building += 1;
                room = 3 + sizes.below(7);
            }
            room -= 1;
            // Steps of 5 through 11 places mix the types of a building and keep the shares.
            numbered(ELEVEN[at * 5 % 11].0, &mut numbers, building)
        });
        Ok(Fleet { devices: devices.collect() })
    }

    /// A fleet of `ID:TYPE` texts, all in the original's default building. The type is behind the last colon.
    pub fn from_pairs<T: AsRef<str>>(pairs: &[T]) -> Result<Fleet, SimulatorError> {
        let devices = pairs.iter().map(|pair| {
            let pair = pair.as_ref();
            let (device_id, type_name) = pair.rsplit_once(':').ok_or_else(|| {
                SimulatorError::device(pair, "device_type", "is missing", "ID:TYPE, such as RTU-001:rooftop_unit")
            })?;
            Ok(DeviceSpec {
                device_id: device_id.to_owned(),
                kind: kind_of(device_id, type_name)?,
                location: "building-A".to_owned(),
                building_id: "bldg-001".to_owned(),
                inject_anomalies: false,
                period_ms: None,
            })
        });
        Fleet::new(devices.collect::<Result<_, _>>()?)
    }

    /// Reads a JSON text: a list of devices, or an object with the list under `devices`.
    pub fn from_json(text: &str) -> Result<Fleet, SimulatorError> {
        let value: Value = serde_json::from_str(text).map_err(|error| SimulatorError::Format {
            what: "the fleet",
            format: "JSON",
            cause: error.to_string(),
        })?;
        Fleet::from_value(&value)
    }

    /// Reads a TOML text of `[[devices]]` (or `[[device]]`) tables with the same fields.
    pub fn from_toml(text: &str) -> Result<Fleet, SimulatorError> {
        let value: Value = toml::from_str(text).map_err(|error| SimulatorError::Format {
            what: "the fleet",
            format: "TOML",
            cause: error.to_string(),
        })?;
        Fleet::from_value(&value)
    }

    /// Reads a file: TOML where its name ends so, otherwise JSON.
    pub fn from_file(path: &std::path::Path) -> Result<Fleet, SimulatorError> {
        let text = std::fs::read_to_string(path).map_err(|cause| SimulatorError::File {
            doing: "read",
            path: path.to_owned(),
            cause,
        })?;
        if path.extension().is_some_and(|extension| extension == "toml") {
            Fleet::from_toml(&text)
        } else {
            Fleet::from_json(&text)
        }
    }

    fn from_value(value: &Value) -> Result<Fleet, SimulatorError> {
        let list = value.get("devices").or_else(|| value.get("device")).unwrap_or(value).as_array();
        let list = list.ok_or_else(|| SimulatorError::Shape {
            what: "the fleet",
            problem: "it has no list of devices".to_owned(),
            allowed: "a list of devices, or an object with the list under \"devices\"",
        })?;
        Fleet::new(list.iter().enumerate().map(|(at, entry)| device(at, entry)).collect::<Result<_, _>>()?)
    }

    /// The devices.
    pub fn devices(&self) -> &[DeviceSpec] {
        &self.devices
    }
}

fn numbered(kind: DeviceKind, numbers: &mut [usize; 5], building: usize) -> DeviceSpec {
    let number = &mut numbers[kind as usize];
    *number += 1;
    DeviceSpec {
        device_id: format!("{}-{number:03}", kind.id_prefix()),
        kind,
        location: format!("building-{}", letters(building)),
        building_id: format!("bldg-{:03}", building + 1),
        inject_anomalies: false,
        period_ms: None,
    }
}

/// A, B, ... Z, AA, AB, ...
fn letters(mut number: usize) -> String {
    let mut text = Vec::new();
    loop {
        text.push(b'A' + u8::try_from(number % 26).unwrap_or(0));
        if number < 26 {
            break;
        }
        number = number / 26 - 1;
    }
    text.iter().rev().map(|letter| char::from(*letter)).collect()
}

fn kind_of(device: &str, type_name: &str) -> Result<DeviceKind, SimulatorError> {
    DeviceKind::parse(type_name).ok_or_else(|| {
        SimulatorError::device(device, "device_type", format!("{type_name:?} is unknown"), DeviceKind::names())
    })
}

fn device(at: usize, entry: &Value) -> Result<DeviceSpec, SimulatorError> {
    let number = format!("number {}", at + 1);
    let Some(fields) = entry.as_object() else {
        return Err(SimulatorError::device(number, "device", "is no object", FIELDS));
    };
    let name = fields.get("device_id").and_then(Value::as_str).map_or(number, str::to_owned);
    for field in fields.keys() {
        if !FIELDS.split(", ").any(|known| known == field) {
            return Err(SimulatorError::device(name, field, "is unknown", FIELDS));
        }
    }
    let text = |field: &str, default: Option<&str>| match (fields.get(field), default) {
        (Some(Value::String(text)), _) => Ok(text.clone()),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(SimulatorError::device(&name, field, "is missing", "a text")),
        (Some(other), _) => Err(SimulatorError::device(&name, field, format!("{other} is no text"), "a text")),
    };
    let inject_anomalies = match fields.get("inject_anomalies") {
        None => false,
        Some(Value::Bool(inject)) => *inject,
        Some(other) => {
            let problem = format!("{other} is no truth value");
            return Err(SimulatorError::device(name, "inject_anomalies", problem, "true, false"));
        }
    };
    let period_ms = match fields.get("period_ms") {
        None => None,
        Some(number) => Some(number.as_i64().ok_or_else(|| {
            let problem = format!("{number} is no whole number");
            SimulatorError::device(&name, "period_ms", problem, "1 to 86400000")
        })?),
    };
    Ok(DeviceSpec {
        device_id: text("device_id", None)?,
        kind: kind_of(&name, &text("device_type", None)?)?,
        location: text("location", Some("building-A"))?,
        building_id: text("building_id", Some("bldg-001"))?,
        inject_anomalies,
        period_ms,
    })
}
