//! The five types of equipment and their metrics: unit, range, typical value, noise and greatest step of a tick.
//!
//! Numbers are those of the system that this one succeeds, so that its users see their fleet. The order of a type's
//! metrics is the order in which they are sent.

/// Most metrics that a type has.
pub const MAX_METRICS: usize = 15;

/// A type of equipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceKind {
    /// `rooftop_unit`
    RooftopUnit,
    /// `makeup_air_unit`
    MakeupAirUnit,
    /// `chiller`
    Chiller,
    /// `cooling_tower`
    CoolingTower,
    /// `air_compressor`
    AirCompressor,
}

/// One metric of a type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric {
    /// Name on the wire.
    pub name: &'static str,
    /// Unit on the wire.
    pub unit: &'static str,
    /// Lowest value.
    pub low: f64,
    /// Highest value.
    pub high: f64,
    /// Where it starts.
    pub typical: f64,
    /// Standard deviation of the noise of a tick.
    pub sigma: f64,
    /// Greatest change of a tick.
    pub max_step: f64,
}

impl Metric {
    /// A switch, 0 or 1, without noise.
    pub fn is_switch(&self) -> bool {
        self.unit == "0/1"
    }
}

impl DeviceKind {
    /// All types.
    pub const ALL: [DeviceKind; 5] = [
        DeviceKind::RooftopUnit,
        DeviceKind::MakeupAirUnit,
        DeviceKind::Chiller,
        DeviceKind::CoolingTower,
        DeviceKind::AirCompressor,
    ];

    /// Canonical name, as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            DeviceKind::RooftopUnit => "rooftop_unit",
            DeviceKind::MakeupAirUnit => "makeup_air_unit",
            DeviceKind::Chiller => "chiller",
            DeviceKind::CoolingTower => "cooling_tower",
            DeviceKind::AirCompressor => "air_compressor",
        }
    }

    /// The name that the original's devices send.
    pub fn original_name(self) -> &'static str {
        match self {
            DeviceKind::RooftopUnit => "rooftopunit",
            DeviceKind::MakeupAirUnit => "makeupairunit",
            DeviceKind::Chiller => "chiller",
            DeviceKind::CoolingTower => "coolingtower",
            DeviceKind::AirCompressor => "aircompressor",
        }
    }

    /// What ids of this type begin with.
    pub fn id_prefix(self) -> &'static str {
        match self {
            DeviceKind::RooftopUnit => "RTU",
            DeviceKind::MakeupAirUnit => "MAU",
            DeviceKind::Chiller => "CH",
            DeviceKind::CoolingTower => "CT",
            DeviceKind::AirCompressor => "AC",
        }
    }

    /// Reads a name in any of the catalogue's spellings.
    pub fn parse(text: &str) -> Option<DeviceKind> {
        let name = model::Catalogue::builtin().normalise_type(text);
        DeviceKind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The canonical names, for messages to people.
    pub fn names() -> String {
        DeviceKind::ALL.map(DeviceKind::name).join(", ")
    }

    /// Its metrics, in the order of sending.
    pub fn metrics(self) -> &'static [Metric] {
        match self {
            DeviceKind::RooftopUnit => &ROOFTOP_UNIT,
            DeviceKind::MakeupAirUnit => &MAKEUP_AIR_UNIT,
            DeviceKind::Chiller => &CHILLER,
            DeviceKind::CoolingTower => &COOLING_TOWER,
            DeviceKind::AirCompressor => &AIR_COMPRESSOR,
        }
    }

    /// Index of a metric.
    pub fn metric_index(self, name: &str) -> Option<usize> {
        self.metrics().iter().position(|metric| metric.name == name)
    }
}

const fn m(
    name: &'static str,
    unit: &'static str,
    (low, high): (f64, f64),
    typical: f64,
    sigma: f64,
    max_step: f64,
) -> Metric {
    Metric { name, unit, low, high, typical, sigma, max_step }
}

static ROOFTOP_UNIT: [Metric; 14] = [
    m("supply_air_temp", "°F", (50.0, 80.0), 65.0, 0.5, 2.0),
    m("return_air_temp", "°F", (65.0, 80.0), 72.0, 0.3, 1.5),
    m("outdoor_air_temp", "°F", (-20.0, 110.0), 75.0, 1.0, 3.0),
    m("supply_air_humidity", "%", (25.0, 65.0), 45.0, 1.0, 3.0),
    m("return_air_humidity", "%", (30.0, 70.0), 50.0, 0.8, 2.5),
    m("cooling_setpoint", "°F", (70.0, 78.0), 74.0, 0.0, 0.5),
    m("heating_setpoint", "°F", (65.0, 73.0), 70.0, 0.0, 0.5),
    m("fan_speed", "RPM", (0.0, 1800.0), 1500.0, 20.0, 100.0),
    m("fan_current", "Amps", (0.0, 30.0), 15.0, 0.5, 3.0),
    m("compressor_status", "0/1", (0.0, 1.0), 1.0, 0.0, 1.0),
    m("heating_valve_position", "%", (0.0, 100.0), 20.0, 2.0, 10.0),
    m("economizer_damper_position", "%", (0.0, 100.0), 30.0, 2.0, 8.0),
    m("filter_pressure_drop", "inH2O", (0.1, 2.5), 0.5, 0.02, 0.1),
    m("power_consumption", "kW", (5.0, 55.0), 25.0, 1.0, 5.0),
];

static MAKEUP_AIR_UNIT: [Metric; 14] = [
    m("supply_air_temp", "°F", (55.0, 85.0), 70.0, 0.5, 2.0),
    m("outdoor_air_temp", "°F", (-20.0, 110.0), 75.0, 1.0, 3.0),
    m("supply_air_humidity", "%", (25.0, 75.0), 50.0, 1.0, 3.0),
    m("outdoor_air_humidity", "%", (10.0, 95.0), 60.0, 2.0, 5.0),
    m("supply_air_flow", "CFM", (400.0, 5200.0), 2500.0, 50.0, 200.0),
    m("fan_speed", "RPM", (0.0, 1500.0), 1200.0, 20.0, 100.0),
    m("fan_vfd_frequency", "Hz", (0.0, 60.0), 48.0, 1.0, 5.0),
    m("heating_coil_temp", "°F", (70.0, 185.0), 120.0, 2.0, 10.0),
    m("cooling_coil_temp", "°F", (38.0, 68.0), 50.0, 1.0, 5.0),
    m("filter_pressure_drop", "inH2O", (0.1, 1.8), 0.4, 0.02, 0.1),
    m("static_pressure", "inH2O", (0.4, 3.2), 1.5, 0.1, 0.3),
    m("damper_position", "%", (0.0, 100.0), 50.0, 2.0, 10.0),
    m("gas_valve_position", "%", (0.0, 100.0), 30.0, 2.0, 8.0),
    m("power_consumption", "kW", (2.0, 32.0), 15.0, 0.5, 3.0),
];

static CHILLER: [Metric; 15] = [
    m("chilled_water_supply_temp", "°F", (40.0, 50.0), 45.0, 0.3, 1.0),
    m("chilled_water_return_temp", "°F", (50.0, 60.0), 55.0, 0.3, 1.0),
    m("chilled_water_flow_rate", "GPM", (80.0, 1050.0), 500.0, 10.0, 50.0),
    m("chilled_water_delta_t", "°F", (6.0, 16.0), 10.0, 0.3, 1.5),
    m("condenser_water_supply_temp", "°F", (70.0, 98.0), 85.0, 1.0, 3.0),
    m("condenser_water_return_temp", "°F", (80.0, 108.0), 95.0, 1.0, 3.0),
    m("condenser_water_flow_rate", "GPM", (140.0, 1250.0), 650.0, 15.0, 60.0),
    m("refrigerant_pressure_evap", "PSIG", (32.0, 52.0), 42.0, 0.5, 3.0),
    m("refrigerant_pressure_cond", "PSIG", (95.0, 185.0), 140.0, 2.0, 8.0),
    m("compressor_current", "Amps", (45.0, 410.0), 200.0, 5.0, 30.0),
    m("compressor_status", "0/1", (0.0, 1.0), 1.0, 0.0, 1.0),
    m("capacity_percentage", "%", (0.0, 100.0), 70.0, 2.0, 10.0),
    m("cop", "ratio", (2.5, 7.5), 5.0, 0.1, 0.5),
    m("alarm_status", "0/1", (0.0, 1.0), 0.0, 0.0, 1.0),
    m("power_consumption", "kW", (45.0, 820.0), 350.0, 10.0, 50.0),
];

static COOLING_TOWER: [Metric; 14] = [
    m("inlet_water_temp", "°F", (82.0, 108.0), 95.0, 0.5, 2.0),
    m("outlet_water_temp", "°F", (72.0, 98.0), 85.0, 0.5, 2.0),
    m("water_flow_rate", "GPM", (140.0, 1250.0), 650.0, 15.0, 60.0),
    m("wet_bulb_temp", "°F", (38.0, 82.0), 65.0, 0.8, 3.0),
    m("dry_bulb_temp", "°F", (48.0, 102.0), 75.0, 1.0, 3.0),
    m("approach_temp", "°F", (4.0, 16.0), 8.0, 0.3, 1.5),
    m("range_temp", "°F", (6.0, 16.0), 10.0, 0.3, 1.5),
    m("fan_speed", "RPM", (0.0, 420.0), 300.0, 10.0, 50.0),
    m("fan_current", "Amps", (3.0, 42.0), 20.0, 0.5, 3.0),
    m("sump_water_level", "%", (35.0, 95.0), 70.0, 1.0, 5.0),
    m("makeup_water_flow", "GPM", (0.0, 52.0), 10.0, 1.0, 5.0),
    m("blowdown_valve_position", "%", (0.0, 100.0), 20.0, 1.0, 8.0),
    m("vibration_level", "mm/s", (0.0, 12.0), 3.0, 0.3, 2.0),
    m("power_consumption", "kW", (1.0, 52.0), 18.0, 1.0, 5.0),
];

static AIR_COMPRESSOR: [Metric; 14] = [
    m("discharge_pressure", "PSIG", (85.0, 130.0), 110.0, 1.0, 5.0),
    m("inlet_pressure", "PSIG", (-2.0, 16.0), 0.0, 0.2, 1.0),
    m("discharge_temp", "°F", (145.0, 255.0), 200.0, 2.0, 10.0),
    m("ambient_temp", "°F", (48.0, 102.0), 75.0, 0.5, 2.0),
    m("motor_current", "Amps", (15.0, 105.0), 60.0, 2.0, 10.0),
    m("motor_speed", "RPM", (0.0, 3650.0), 1800.0, 50.0, 200.0),
    m("oil_pressure", "PSIG", (25.0, 62.0), 45.0, 0.5, 3.0),
    m("oil_temp", "°F", (115.0, 205.0), 160.0, 1.0, 5.0),
    m("cooling_water_temp", "°F", (58.0, 98.0), 75.0, 0.5, 3.0),
    m("air_flow_rate", "CFM", (45.0, 520.0), 250.0, 10.0, 40.0),
    m("load_percentage", "%", (0.0, 100.0), 70.0, 2.0, 10.0),
    m("run_hours", "hours", (0.0, 50000.0), 5000.0, 0.0, 0.02),
    m("vibration_level", "mm/s", (0.0, 16.0), 5.0, 0.3, 2.0),
    m("power_consumption", "kW", (8.0, 155.0), 80.0, 2.0, 10.0),
];

/// Indices of the rooftop unit's metrics.
pub mod rtu {
    pub const SUPPLY_TEMP: usize = 0;
    pub const RETURN_TEMP: usize = 1;
    pub const OUTDOOR_TEMP: usize = 2;
    pub const SUPPLY_HUMIDITY: usize = 3;
    pub const RETURN_HUMIDITY: usize = 4;
    pub const COOLING_SETPOINT: usize = 5;
    pub const HEATING_SETPOINT: usize = 6;
    pub const FAN_SPEED: usize = 7;
    pub const FAN_CURRENT: usize = 8;
    pub const COMPRESSOR: usize = 9;
    pub const HEATING_VALVE: usize = 10;
    pub const ECONOMIZER: usize = 11;
    pub const FILTER: usize = 12;
    pub const POWER: usize = 13;
}

/// Indices of the makeup air unit's metrics.
pub mod mau {
    pub const SUPPLY_TEMP: usize = 0;
    pub const OUTDOOR_TEMP: usize = 1;
    pub const SUPPLY_HUMIDITY: usize = 2;
    pub const OUTDOOR_HUMIDITY: usize = 3;
    pub const FLOW: usize = 4;
    pub const FAN_SPEED: usize = 5;
    pub const VFD: usize = 6;
    pub const HEATING_COIL: usize = 7;
    pub const COOLING_COIL: usize = 8;
    pub const FILTER: usize = 9;
    pub const STATIC_PRESSURE: usize = 10;
    pub const DAMPER: usize = 11;
    pub const GAS_VALVE: usize = 12;
    pub const POWER: usize = 13;
}

/// Indices of the chiller's metrics.
pub mod chiller {
    pub const SUPPLY_TEMP: usize = 0;
    pub const RETURN_TEMP: usize = 1;
    pub const FLOW: usize = 2;
    pub const DELTA_T: usize = 3;
    pub const CONDENSER_SUPPLY: usize = 4;
    pub const CONDENSER_RETURN: usize = 5;
    pub const CONDENSER_FLOW: usize = 6;
    pub const EVAPORATOR_PRESSURE: usize = 7;
    pub const CONDENSER_PRESSURE: usize = 8;
    pub const CURRENT: usize = 9;
    pub const COMPRESSOR: usize = 10;
    pub const CAPACITY: usize = 11;
    pub const COP: usize = 12;
    pub const ALARM: usize = 13;
    pub const POWER: usize = 14;
}

/// Indices of the cooling tower's metrics.
pub mod tower {
    pub const INLET_TEMP: usize = 0;
    pub const OUTLET_TEMP: usize = 1;
    pub const FLOW: usize = 2;
    pub const WET_BULB: usize = 3;
    pub const DRY_BULB: usize = 4;
    pub const APPROACH: usize = 5;
    pub const RANGE: usize = 6;
    pub const FAN_SPEED: usize = 7;
    pub const FAN_CURRENT: usize = 8;
    pub const SUMP: usize = 9;
    pub const MAKEUP: usize = 10;
    pub const BLOWDOWN: usize = 11;
    pub const VIBRATION: usize = 12;
    pub const POWER: usize = 13;
}

/// Indices of the air compressor's metrics.
pub mod air {
    pub const PRESSURE: usize = 0;
    pub const INLET_PRESSURE: usize = 1;
    pub const DISCHARGE_TEMP: usize = 2;
    pub const AMBIENT_TEMP: usize = 3;
    pub const MOTOR_CURRENT: usize = 4;
    pub const MOTOR_SPEED: usize = 5;
    pub const OIL_PRESSURE: usize = 6;
    pub const OIL_TEMP: usize = 7;
    pub const COOLING_WATER: usize = 8;
    pub const FLOW: usize = 9;
    pub const LOAD: usize = 10;
    pub const RUN_HOURS: usize = 11;
    pub const VIBRATION: usize = 12;
    pub const POWER: usize = 13;
}
