//! Faults: their names, what each does to which metrics of which type, and how people ask for one.
//!
//! A fault of equipment pushes the targets of metrics; consequences follow by the equipment's own law. Its numbers are the
//! original's and are reached at severity severe (where weather moves the normal target, as a distance from it). A fault of sensors or sending changes what is sent, not what happens.

use serde::Deserialize;

use super::error::SimulatorError;
use super::metrics::{DeviceKind, air, chiller, mau, rtu, tower};

/// What can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// The compressor does not run. Like any latent fault it shows only where it is asked to: a rooftop unit's in warm
    /// weather.
    CompressorFailure,
    /// Supply air reads 15 °F too high.
    SensorDrift,
    /// The fan stands still.
    FanFailure,
    /// The filter is clogged.
    DirtyFilter,
    /// The economizer's damper is stuck.
    EconomizerStuck,
    /// The fan runs slow and unsteadily.
    FanBearingFailure,
    /// The heating coil stays cold.
    HeatingCoilFailure,
    /// Too little supply air.
    AirflowImbalance,
    /// The outdoor air damper is stuck.
    StuckDamper,
    /// Refrigerant is lost.
    RefrigerantLeak,
    /// Too little water.
    LowFlow,
    /// The condenser is fouled.
    FouledCondenser,
    /// Scale in the tower.
    ScaleBuildup,
    /// The sump runs dry.
    LowWaterLevel,
    /// Compressed air leaks.
    PressureLeak,
    /// The motor is overloaded.
    MotorOverload,
    /// Discharge air is too hot.
    Overheating,
    /// Oil is thin and hot.
    OilSystemFailure,
    /// One metric is frozen.
    StuckSensor,
    /// One metric is not sent.
    MissingMetric,
    /// Nothing is sent.
    SilentDevice,
    /// One metric jumps now and then.
    Spike,
}

/// How strong a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultSeverity {
    /// A third of the way.
    Mild,
    /// Two thirds of the way.
    Moderate,
    /// All the way: the original's numbers.
    Severe,
}

/// What a fault of equipment does to one metric, at full strength.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// Its target becomes this.
    Target(f64),
    /// Its target becomes a draw with this mean and standard deviation, each tick.
    Unsteady(f64, f64),
    /// Its target is this much higher.
    Higher(f64),
    /// Its target is where it is.
    Stuck,
    /// Its target becomes this; below full strength only for a part of each ten minutes.
    Switched(f64),
}

use Effect::{Higher, Stuck, Switched, Target, Unsteady};

impl FaultKind {
    /// All kinds.
    pub const ALL: [FaultKind; 22] = [
        FaultKind::CompressorFailure,
        FaultKind::SensorDrift,
        FaultKind::FanFailure,
        FaultKind::DirtyFilter,
        FaultKind::EconomizerStuck,
        FaultKind::FanBearingFailure,
        FaultKind::HeatingCoilFailure,
        FaultKind::AirflowImbalance,
        FaultKind::StuckDamper,
        FaultKind::RefrigerantLeak,
        FaultKind::LowFlow,
        FaultKind::FouledCondenser,
        FaultKind::ScaleBuildup,
        FaultKind::LowWaterLevel,
        FaultKind::PressureLeak,
        FaultKind::MotorOverload,
        FaultKind::Overheating,
        FaultKind::OilSystemFailure,
        FaultKind::StuckSensor,
        FaultKind::MissingMetric,
        FaultKind::SilentDevice,
        FaultKind::Spike,
    ];

    /// Name in requests and labels.
    pub fn name(self) -> &'static str {
        match self {
            FaultKind::CompressorFailure => "compressor_failure",
            FaultKind::SensorDrift => "sensor_drift",
            FaultKind::FanFailure => "fan_failure",
            FaultKind::DirtyFilter => "dirty_filter",
            FaultKind::EconomizerStuck => "economizer_stuck",
            FaultKind::FanBearingFailure => "fan_bearing_failure",
            FaultKind::HeatingCoilFailure => "heating_coil_failure",
            FaultKind::AirflowImbalance => "airflow_imbalance",
            FaultKind::StuckDamper => "stuck_damper",
            FaultKind::RefrigerantLeak => "refrigerant_leak",
            FaultKind::LowFlow => "low_flow",
            FaultKind::FouledCondenser => "fouled_condenser",
            FaultKind::ScaleBuildup => "scale_buildup",
            FaultKind::LowWaterLevel => "low_water_level",
            FaultKind::PressureLeak => "pressure_leak",
            FaultKind::MotorOverload => "motor_overload",
            FaultKind::Overheating => "overheating",
            FaultKind::OilSystemFailure => "oil_system_failure",
            FaultKind::StuckSensor => "stuck_sensor",
            FaultKind::MissingMetric => "missing_metric",
            FaultKind::SilentDevice => "silent_device",
            FaultKind::Spike => "spike",
        }
    }

    /// A kind by its name.
    pub fn parse(name: &str) -> Option<FaultKind> {
        FaultKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Of sensors or sending: possible on every type.
    pub fn is_generic(self) -> bool {
        self >= FaultKind::StuckSensor
    }

    /// Needs one metric to act on; without one it is drawn.
    pub fn takes_metric(self) -> bool {
        self.is_generic() && self != FaultKind::SilentDevice
    }

    /// The kinds that a type can have, its own first.
    pub fn of(kind: DeviceKind) -> impl Iterator<Item = FaultKind> + Clone {
        FaultKind::ALL.into_iter().filter(move |fault| fault.is_generic() || !fault.effects(kind).is_empty())
    }

    /// What it does to the type's metrics; nothing where it is generic or not of this type.
    pub fn effects(self, kind: DeviceKind) -> &'static [(usize, Effect)] {
        match (kind, self) {
            (DeviceKind::RooftopUnit, FaultKind::CompressorFailure) => &[(rtu::COMPRESSOR, Switched(0.0))],
            (DeviceKind::RooftopUnit, FaultKind::SensorDrift) => &[(rtu::SUPPLY_TEMP, Higher(15.0))],
            (DeviceKind::RooftopUnit, FaultKind::FanFailure) => &[(rtu::FAN_SPEED, Target(0.0))],
            (DeviceKind::RooftopUnit, FaultKind::DirtyFilter) => &[(rtu::FILTER, Target(1.8))],
            (DeviceKind::RooftopUnit, FaultKind::EconomizerStuck) => &[(rtu::ECONOMIZER, Stuck)],
            (DeviceKind::MakeupAirUnit, FaultKind::FanBearingFailure) => &[(mau::FAN_SPEED, Unsteady(800.0, 200.0))],
            (DeviceKind::MakeupAirUnit, FaultKind::HeatingCoilFailure) => &[(mau::HEATING_COIL, Target(80.0))],
            (DeviceKind::MakeupAirUnit, FaultKind::AirflowImbalance) => &[(mau::FLOW, Target(1_000.0))],
            (DeviceKind::MakeupAirUnit, FaultKind::StuckDamper) => &[(mau::DAMPER, Stuck)],
            (DeviceKind::Chiller, FaultKind::CompressorFailure) => {
                &[(chiller::COMPRESSOR, Switched(0.0)), (chiller::CURRENT, Switched(0.0))]
            }
            (DeviceKind::Chiller, FaultKind::RefrigerantLeak) => {
                &[(chiller::SUPPLY_TEMP, Higher(5.0)), (chiller::COP, Target(3.5))]
            }
            (DeviceKind::Chiller, FaultKind::LowFlow) => &[
                (chiller::FLOW, Target(200.0)),
                (chiller::CONDENSER_FLOW, Target(300.0)),
                (chiller::ALARM, Switched(1.0)),
            ],
            (DeviceKind::Chiller, FaultKind::FouledCondenser) => &[
                (chiller::COP, Target(3.5)),
                (chiller::CONDENSER_SUPPLY, Higher(7.0)),
                (chiller::CONDENSER_RETURN, Higher(7.0)),
            ],
            (DeviceKind::CoolingTower, FaultKind::FanFailure) => {
                &[(tower::FAN_SPEED, Target(0.0)), (tower::VIBRATION, Target(8.0))]
            }
            (DeviceKind::CoolingTower, FaultKind::ScaleBuildup) => &[(tower::OUTLET_TEMP, Higher(5.0))],
            (DeviceKind::CoolingTower, FaultKind::LowWaterLevel) => &[(tower::SUMP, Target(35.0))],
            (DeviceKind::AirCompressor, FaultKind::PressureLeak) => &[(air::PRESSURE, Target(95.0))],
            (DeviceKind::AirCompressor, FaultKind::MotorOverload) => {
                &[(air::MOTOR_CURRENT, Target(95.0)), (air::VIBRATION, Target(12.0))]
            }
            (DeviceKind::AirCompressor, FaultKind::Overheating) => &[(air::DISCHARGE_TEMP, Target(240.0))],
            (DeviceKind::AirCompressor, FaultKind::OilSystemFailure) => {
                &[(air::OIL_PRESSURE, Target(28.0)), (air::OIL_TEMP, Target(190.0))]
            }
            _ => &[],
        }
    }

    /// Metrics that move as a consequence of the effects, strongest first.
    pub fn consequences(self, kind: DeviceKind) -> &'static [usize] {
        match (kind, self) {
            (DeviceKind::RooftopUnit, FaultKind::CompressorFailure) => &[rtu::POWER, rtu::FAN_SPEED, rtu::FAN_CURRENT],
            (DeviceKind::RooftopUnit, FaultKind::FanFailure) => &[rtu::FAN_CURRENT, rtu::POWER, rtu::FILTER],
            (DeviceKind::MakeupAirUnit, FaultKind::FanBearingFailure) => &[mau::VFD],
            (DeviceKind::Chiller, FaultKind::CompressorFailure) => &[
                chiller::CAPACITY,
                chiller::POWER,
                chiller::CONDENSER_PRESSURE,
                chiller::SUPPLY_TEMP,
                chiller::EVAPORATOR_PRESSURE,
            ],
            (DeviceKind::Chiller, FaultKind::RefrigerantLeak) => &[chiller::DELTA_T],
            (DeviceKind::CoolingTower, FaultKind::FanFailure) => &[tower::FAN_CURRENT, tower::POWER, tower::MAKEUP],
            (DeviceKind::CoolingTower, FaultKind::ScaleBuildup) => &[tower::RANGE],
            _ => &[],
        }
    }

    /// Names of all metrics that it moves on a device, strongest first.
    pub fn moved_metrics(self, kind: DeviceKind, metric: Option<usize>) -> Vec<String> {
        let metrics = kind.metrics();
        let name = |index: usize| metrics[index].name.to_owned();
        match (self, metric) {
            (FaultKind::SilentDevice, _) => metrics.iter().map(|metric| metric.name.to_owned()).collect(),
            (_, Some(metric)) => vec![name(metric)],
            _ => {
                let direct = self.effects(kind).iter().map(|(metric, _)| *metric);
                direct.chain(self.consequences(kind).iter().copied()).map(name).collect()
            }
        }
    }
}

impl FaultSeverity {
    /// All severities.
    pub const ALL: [FaultSeverity; 3] = [FaultSeverity::Mild, FaultSeverity::Moderate, FaultSeverity::Severe];

    /// Name in requests and labels.
    pub fn name(self) -> &'static str {
        match self {
            FaultSeverity::Mild => "mild",
            FaultSeverity::Moderate => "moderate",
            FaultSeverity::Severe => "severe",
        }
    }

    /// A severity by its name.
    pub fn parse(name: &str) -> Option<FaultSeverity> {
        FaultSeverity::ALL.into_iter().find(|severity| severity.name() == name)
    }

    /// Share of the full effect.
    pub fn share(self) -> f64 {
        match self {
            FaultSeverity::Mild => 0.35,
            FaultSeverity::Moderate => 0.65,
            FaultSeverity::Severe => 1.0,
        }
    }
}

/// A fault that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRequest {
    /// Which device.
    pub device_id: String,
    /// What breaks.
    pub kind: FaultKind,
    /// How strongly.
    pub severity: FaultSeverity,
    /// When.
    pub start: FaultStart,
    /// For how long.
    pub duration_ms: i64,
    /// Which metric; only for generic kinds.
    pub metric: Option<String>,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultStart {
    /// So long after the first tick.
    After(i64),
    /// At this time, milliseconds since the epoch.
    At(i64),
}

impl FaultStart {
    fn parse(text: &str) -> Option<FaultStart> {
        let time = model::time::parse_rfc3339(text).map(FaultStart::At);
        time.or_else(|| model::time::parse_duration_ms(text).ok().map(FaultStart::After))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultFile {
    #[serde(default)]
    fault: Vec<FaultEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultEntry {
    device_id: String,
    kind: String,
    severity: Option<String>,
    start: Option<String>,
    duration: Option<String>,
    metric: Option<String>,
}

const TEXT_FORM: &str =
    "DEVICE/KIND[/SEVERITY[/START[/DURATION[/METRIC]]]], such as RTU-001/fan_failure/severe/2h/30min";

impl FaultRequest {
    /// Reads `DEVICE/KIND[/SEVERITY[/START[/DURATION[/METRIC]]]]`. Without them a fault is severe, starts after 10 minutes
    /// and lasts 30. A start is a duration after the first tick or an RFC 3339 time.
    pub fn parse(text: &str) -> Result<FaultRequest, SimulatorError> {
        let parts: Vec<&str> = text.split('/').collect();
        if !(2..=6).contains(&parts.len()) || parts.iter().any(|part| part.is_empty()) {
            return Err(SimulatorError::fault(format!("{text:?}"), "fault", "is not of the form", TEXT_FORM));
        }
        let part = |index: usize| parts.get(index).map(|part| (*part).to_owned());
        FaultEntry {
            device_id: parts[0].to_owned(),
            kind: parts[1].to_owned(),
            severity: part(2),
            start: part(3),
            duration: part(4),
            metric: part(5),
        }
        .request(&format!("{text:?}"))
    }

    /// Reads a TOML text of `[[fault]]` tables with the keys `device_id`, `kind`, `severity`, `start`, `duration`, `metric`.
    pub fn parse_toml(text: &str) -> Result<Vec<FaultRequest>, SimulatorError> {
        let file: FaultFile = toml::from_str(text).map_err(|error| SimulatorError::Format {
            what: "faults",
            format: "TOML",
            cause: error.to_string(),
        })?;
        file.fault.into_iter().enumerate().map(|(at, entry)| entry.request(&format!("number {}", at + 1))).collect()
    }
}

impl FaultEntry {
    fn request(self, fault: &str) -> Result<FaultRequest, SimulatorError> {
        let kind = FaultKind::parse(&self.kind).ok_or_else(|| {
            let allowed = FaultKind::ALL.map(FaultKind::name).join(", ");
            SimulatorError::fault(fault, "kind", format!("{:?} is unknown", self.kind), allowed)
        })?;
        let severity = self.severity.as_deref().unwrap_or("severe");
        let severity = FaultSeverity::parse(severity).ok_or_else(|| {
            let allowed = FaultSeverity::ALL.map(FaultSeverity::name).join(", ");
            SimulatorError::fault(fault, "severity", format!("{severity:?} is unknown"), allowed)
        })?;
        let start = self.start.as_deref().unwrap_or("10min");
        let start = FaultStart::parse(start).ok_or_else(|| {
            let allowed = "a duration after the first tick such as 2h, or an RFC 3339 time";
            SimulatorError::fault(fault, "start", format!("{start:?} is no time"), allowed)
        })?;
        let duration = self.duration.as_deref().unwrap_or("30min");
        let duration_ms = model::time::parse_duration_ms(duration).ok().filter(|ms| *ms > 0).ok_or_else(|| {
            let allowed = "a positive number with ms, s, min, h or d";
            SimulatorError::fault(fault, "duration", format!("{duration:?} is no duration"), allowed)
        })?;
        Ok(FaultRequest { device_id: self.device_id, kind, severity, start, duration_ms, metric: self.metric })
    }
}
