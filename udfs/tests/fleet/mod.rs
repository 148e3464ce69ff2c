//! A small simulator of healthy and faulty devices for tests: first-order lags with noise, rate limits and hard ranges, one
//! step a minute, with a day cycle of the weather. The same numbers on every machine.

use model::{Aggregate, Catalogue, DeviceType, Judgement, StateView};
use udfs::{Monitor, MonitorConfig};

pub const WIDTH_MS: i64 = 60_000;
/// 2026-03-02T00:00:00Z, a Monday.
pub const START_MS: i64 = 1_772_409_600_000;

/// SplitMix64 and twelve uniforms for a normal.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        Noise(seed)
    }
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

struct Metric {
    name: &'static str,
    value: f64,
    target: f64,
    lo: f64,
    hi: f64,
    sigma: f64,
    rate: f64,
}

pub struct Device {
    pub kind: &'static str,
    metrics: Vec<Metric>,
    noise: Noise,
    minute: i64,
    outdoor: f64,
    day_cycle: bool,
    pub fault: &'static str,
}

macro_rules! metrics {
    ($($name:ident $lo:literal $hi:literal $typical:literal $sigma:literal $rate:literal;)*) => {
        &[$((stringify!($name), $lo as f64, $hi as f64, $typical as f64, $sigma as f64, $rate as f64)),*]
    };
}

type Spec = &'static [(&'static str, f64, f64, f64, f64, f64)];

const ROOFTOP: Spec = metrics! {
    supply_air_temp 50 80 65 0.5 2; return_air_temp 65 80 72 0.3 1.5; outdoor_air_temp -20 110 75 1 3;
    supply_air_humidity 25 65 45 1 3; return_air_humidity 30 70 50 0.8 2.5; cooling_setpoint 70 78 74 0 0.5;
    heating_setpoint 65 73 70 0 0.5; fan_speed 0 1800 1500 20 100; fan_current 0 30 15 0.5 3;
    compressor_status 0 1 1 0 1; heating_valve_position 0 100 20 2 10; economizer_damper_position 0 100 30 2 8;
    filter_pressure_drop 0.1 2.5 0.5 0.02 0.1; power_consumption 5 55 25 1 5;
};
const MAKEUP: Spec = metrics! {
    supply_air_temp 55 85 70 0.5 2; outdoor_air_temp -20 110 75 1 3; supply_air_humidity 25 75 50 1 3;
    outdoor_air_humidity 10 95 60 2 5; supply_air_flow 400 5200 2500 50 200; fan_speed 0 1500 1200 20 100;
    fan_vfd_frequency 0 60 48 1 5; heating_coil_temp 70 185 120 2 10; cooling_coil_temp 38 68 50 1 5;
    filter_pressure_drop 0.1 1.8 0.4 0.02 0.1; static_pressure 0.4 3.2 1.5 0.1 0.3; damper_position 0 100 50 2 10;
    gas_valve_position 0 100 30 2 8; power_consumption 2 32 15 0.5 3;
};
const CHILLER: Spec = metrics! {
    chilled_water_supply_temp 40 50 45 0.3 1; chilled_water_return_temp 50 60 55 0.3 1;
    chilled_water_flow_rate 80 1050 500 10 50; chilled_water_delta_t 6 16 10 0.3 1.5;
    condenser_water_supply_temp 70 98 85 1 3; condenser_water_return_temp 80 108 95 1 3;
    condenser_water_flow_rate 140 1250 650 15 60; refrigerant_pressure_evap 32 52 42 0.5 3;
    refrigerant_pressure_cond 95 185 140 2 8; compressor_current 45 410 200 5 30; compressor_status 0 1 1 0 1;
    capacity_percentage 0 100 70 2 10; cop 2.5 7.5 5 0.1 0.5; alarm_status 0 1 0 0 1; power_consumption 45 820 350 10 50;
};
const TOWER: Spec = metrics! {
    inlet_water_temp 82 108 95 0.5 2; outlet_water_temp 72 98 85 0.5 2; water_flow_rate 140 1250 650 15 60;
    wet_bulb_temp 38 82 65 0.8 3; dry_bulb_temp 48 102 75 1 3; approach_temp 4 16 8 0.3 1.5; range_temp 6 16 10 0.3 1.5;
    fan_speed 0 420 300 10 50; fan_current 3 42 20 0.5 3; sump_water_level 35 95 70 1 5; makeup_water_flow 0 52 10 1 5;
    blowdown_valve_position 0 100 20 1 8; vibration_level 0 12 3 0.3 2; power_consumption 1 52 18 1 5;
};
const COMPRESSOR: Spec = metrics! {
    discharge_pressure 85 130 110 1 5; inlet_pressure -2 16 0 0.2 1; discharge_temp 145 255 200 2 10;
    ambient_temp 48 102 75 0.5 2; motor_current 15 105 60 2 10; motor_speed 0 3650 1800 50 200; oil_pressure 25 62 45 0.5 3;
    oil_temp 115 205 160 1 5; cooling_water_temp 58 98 75 0.5 3; air_flow_rate 45 520 250 10 40;
    load_percentage 0 100 70 2 10; run_hours 0 50000 5000 0 0.02; vibration_level 0 16 5 0.3 2; power_consumption 8 155 80 2 10;
};

impl Device {
    pub fn new(kind: &'static str, seed: u64, day_cycle: bool) -> Self {
        let spec = match kind {
            "rooftop_unit" => ROOFTOP,
            "makeup_air_unit" => MAKEUP,
            "chiller" => CHILLER,
            "cooling_tower" => TOWER,
            _ => COMPRESSOR,
        };
        let mut noise = Noise::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let metrics = spec
            .iter()
            .map(|(name, lo, hi, typical, sigma, rate)| {
                let value = (typical + 2.0 * sigma * noise.normal()).clamp(*lo, *hi);
                Metric { name, value, target: value, lo: *lo, hi: *hi, sigma: *sigma, rate: *rate }
            })
            .collect();
        Device { kind, metrics, noise, minute: 0, outdoor: 75.0, day_cycle, fault: "" }
    }

    fn get(&self, name: &str) -> f64 {
        self.metrics.iter().find(|metric| metric.name == name).unwrap().value
    }

    fn go(&mut self, name: &str, target: f64, r: f64) {
        let metric = self.metrics.iter_mut().find(|metric| metric.name == name).unwrap();
        metric.target = target;
        let noise = if metric.sigma > 0.0 { metric.sigma * self.noise.normal() } else { 0.0 };
        let step = (r * (target - metric.value) + noise).clamp(-metric.rate, metric.rate);
        metric.value = (metric.value + step).clamp(metric.lo, metric.hi);
    }

    fn weather(&mut self, scale: f64) -> f64 {
        self.outdoor += scale * self.noise.normal();
        if !self.day_cycle {
            return self.outdoor;
        }
        // Pulled back to the season's mean, or a month's walk would end at the pole.
        self.outdoor += 0.002 * (75.0 - self.outdoor);
        let angle = self.minute as f64 / 1_440.0 * std::f64::consts::TAU;
        self.outdoor + 9.0 * libm::sin(angle - 2.3)
    }

    pub fn step(&mut self) -> Vec<f64> {
        match self.kind {
            "rooftop_unit" => self.rooftop(),
            "makeup_air_unit" => self.makeup(),
            "chiller" => self.chiller(),
            "cooling_tower" => self.tower(),
            _ => self.compressor(),
        }
        self.minute += 1;
        self.metrics.iter().map(|metric| (metric.value * 100.0).round() / 100.0).collect()
    }

    fn rooftop(&mut self) {
        let outdoor = self.weather(if self.day_cycle { 0.1 } else { 0.5 });
        self.go("outdoor_air_temp", outdoor, 0.05);
        let (cool, heat) = (self.get("cooling_setpoint"), self.get("heating_setpoint"));
        let outdoor = self.get("outdoor_air_temp");
        let (cooling, heating) = (outdoor > cool + 2.0, outdoor < heat - 2.0);
        let fault = self.fault;
        self.go("compressor_status", if cooling && fault != "compressor_failure" { 1.0 } else { 0.0 }, 1.0);
        let supply = if cooling {
            cool - 8.0
        } else if heating {
            heat + 10.0
        } else {
            (cool + heat) / 2.0
        };
        let supply = if fault == "compressor_failure" && cooling { (cool + heat) / 2.0 } else { supply };
        self.go("supply_air_temp", supply + if fault == "sensor_drift" { 15.0 } else { 0.0 }, 0.2);
        self.go("return_air_temp", (cool + heat) / 2.0, 0.1);
        let running = self.get("compressor_status") > 0.5;
        self.go(
            "fan_speed",
            if fault == "fan_failure" {
                0.0
            } else if running {
                1500.0
            } else {
                800.0
            },
            0.15,
        );
        let p = self.get("fan_speed") / 1800.0;
        self.go("fan_current", 5.0 + 20.0 * p, 0.2);
        self.go("filter_pressure_drop", if fault == "dirty_filter" { 1.8 } else { 0.5 + 0.3 * p }, 0.1);
        let damper = if fault == "economizer_stuck" {
            self.get("economizer_damper_position")
        } else if outdoor < 65.0 {
            30.0
        } else {
            10.0
        };
        self.go("economizer_damper_position", damper, 0.1);
        self.go("heating_valve_position", if heating { 80.0 } else { 10.0 }, 0.12);
        self.go("supply_air_humidity", 45.0, 0.08);
        self.go("return_air_humidity", 50.0, 0.08);
        self.go("power_consumption", if running { 25.0 } else { 5.0 } + 15.0 * p, 0.15);
        self.go("cooling_setpoint", 74.0, 0.02);
        self.go("heating_setpoint", 70.0, 0.02);
    }

    fn makeup(&mut self) {
        let outdoor = self.weather(if self.day_cycle { 0.1 } else { 0.5 });
        let fault = self.fault;
        self.go("outdoor_air_temp", outdoor, 0.05);
        let fan = if fault == "fan_bearing_failure" { 800.0 + 200.0 * self.noise.normal() } else { 1200.0 };
        self.go("fan_speed", fan, 0.12);
        self.go("fan_vfd_frequency", self.get("fan_speed") / 1500.0 * 60.0, 0.15);
        let heating = self.get("outdoor_air_temp") < 60.0;
        let coil = if fault == "heating_coil_failure" {
            80.0
        } else if heating {
            140.0
        } else {
            90.0
        };
        self.go("heating_coil_temp", coil, 0.1);
        self.go("supply_air_temp", if heating { 70.0 } else { 65.0 }, 0.15);
        self.go("supply_air_flow", if fault == "airflow_imbalance" { 1000.0 } else { 2500.0 }, 0.12);
        let damper = if fault == "stuck_damper" {
            self.get("damper_position")
        } else if heating {
            70.0
        } else {
            40.0
        };
        self.go("damper_position", damper, 0.1);
        self.go("outdoor_air_humidity", 60.0, 0.05);
        self.go("supply_air_humidity", 50.0, 0.08);
        self.go("cooling_coil_temp", 50.0, 0.1);
        self.go("filter_pressure_drop", 0.4, 0.05);
        self.go("static_pressure", 1.5, 0.08);
        self.go("gas_valve_position", if heating { 50.0 } else { 10.0 }, 0.1);
        self.go("power_consumption", 15.0, 0.12);
    }

    fn chiller(&mut self) {
        let fault = self.fault;
        let failed = fault == "compressor_failure";
        self.go("compressor_status", if failed { 0.0 } else { 1.0 }, 1.0);
        self.go("compressor_current", if failed { 0.0 } else { 200.0 }, 0.2);
        let leak = if fault == "refrigerant_leak" { 5.0 } else { 0.0 };
        self.go("chilled_water_supply_temp", if failed { 50.0 } else { 45.0 + leak }, 0.15);
        self.go("chilled_water_return_temp", if failed { 52.0 } else { 55.0 }, 0.12);
        let delta = self.get("chilled_water_return_temp") - self.get("chilled_water_supply_temp");
        self.go("chilled_water_delta_t", delta, 0.2);
        let low = fault == "low_flow";
        self.go("chilled_water_flow_rate", if low { 200.0 } else { 500.0 }, 0.15);
        self.go("condenser_water_flow_rate", if low { 300.0 } else { 650.0 }, 0.15);
        let fouled = fault == "fouled_condenser";
        self.go("condenser_water_supply_temp", if fouled { 92.0 } else { 85.0 }, 0.12);
        self.go("condenser_water_return_temp", if fouled { 102.0 } else { 95.0 }, 0.12);
        self.go("refrigerant_pressure_evap", if failed { 35.0 } else { 42.0 }, 0.15);
        self.go("refrigerant_pressure_cond", if failed { 100.0 } else { 140.0 }, 0.15);
        self.go("capacity_percentage", if failed { 0.0 } else { 70.0 }, 0.12);
        self.go("cop", if fouled || leak > 0.0 { 3.5 } else { 5.0 }, 0.08);
        self.go("power_consumption", if failed { 50.0 } else { 350.0 }, 0.15);
        self.go("alarm_status", if low { 1.0 } else { 0.0 }, 1.0);
    }

    fn tower(&mut self) {
        let fault = self.fault;
        let weather = self.weather(if self.day_cycle { 0.1 } else { 0.4 });
        self.go("wet_bulb_temp", weather - 10.0, 0.05);
        self.go("dry_bulb_temp", weather, 0.05);
        self.go("fan_speed", if fault == "fan_failure" { 0.0 } else { 300.0 }, 0.15);
        let p = self.get("fan_speed") / 420.0;
        self.go("fan_current", 5.0 + 35.0 * p, 0.2);
        self.go("inlet_water_temp", 95.0, 0.12);
        self.go("outlet_water_temp", if fault == "scale_buildup" { 90.0 } else { 85.0 }, 0.12);
        self.go("approach_temp", self.get("outlet_water_temp") - self.get("wet_bulb_temp"), 0.15);
        self.go("range_temp", self.get("inlet_water_temp") - self.get("outlet_water_temp"), 0.15);
        self.go("sump_water_level", if fault == "low_water_level" { 35.0 } else { 70.0 }, 0.1);
        self.go("makeup_water_flow", if p > 0.5 { 10.0 } else { 5.0 }, 0.12);
        self.go("water_flow_rate", 650.0, 0.12);
        self.go("blowdown_valve_position", 20.0, 0.08);
        self.go("vibration_level", if fault == "fan_failure" { 8.0 } else { 3.0 }, 0.15);
        self.go("power_consumption", if p > 0.1 { 18.0 * p } else { 2.0 }, 0.15);
    }

    fn compressor(&mut self) {
        let fault = self.fault;
        self.go("discharge_pressure", if fault == "pressure_leak" { 95.0 } else { 110.0 }, 0.12);
        let over = fault == "motor_overload";
        self.go("motor_current", if over { 95.0 } else { 60.0 }, 0.15);
        self.go("motor_speed", 1800.0, 0.2);
        self.go("discharge_temp", if fault == "overheating" { 240.0 } else { 200.0 }, 0.12);
        let oil = fault == "oil_system_failure";
        self.go("oil_pressure", if oil { 28.0 } else { 45.0 }, 0.12);
        self.go("oil_temp", if oil { 190.0 } else { 160.0 }, 0.1);
        self.go("inlet_pressure", 0.0, 0.1);
        self.go("ambient_temp", 75.0, 0.05);
        self.go("cooling_water_temp", 75.0, 0.1);
        self.go("load_percentage", 70.0, 0.12);
        self.go("air_flow_rate", 250.0, 0.15);
        self.go("vibration_level", if over { 12.0 } else { 5.0 }, 0.15);
        self.go("power_consumption", 80.0, 0.15);
        let hours = self.get("run_hours") + 0.016;
        self.go("run_hours", hours, 1.0);
    }

    pub fn names(&self) -> Vec<String> {
        self.metrics.iter().map(|metric| metric.name.to_owned()).collect()
    }
}

/// A device with its monitor.
#[allow(dead_code, reason = "each user of this module takes what it needs")]
pub struct Watched {
    pub device: Device,
    pub monitor: Monitor,
    pub config: MonitorConfig,
    pub names: Vec<String>,
    pub start_ms: i64,
    pub offset_ms: i64,
    device_type: Option<&'static DeviceType>,
}

#[allow(dead_code, reason = "each user of this module takes what it needs")]
impl Watched {
    pub fn new(kind: &'static str, seed: u64, day_cycle: bool) -> Self {
        let device = Device::new(kind, seed, day_cycle);
        let names = device.names();
        Watched {
            device,
            monitor: Monitor::new("D-1"),
            config: MonitorConfig::default(),
            names,
            start_ms: START_MS,
            offset_ms: 0,
            device_type: Catalogue::builtin().types.get(kind),
        }
    }

    pub fn step(&mut self) -> Judgement {
        let values = self.device.step();
        self.observe(&values.into_iter().map(Some).collect::<Vec<_>>())
    }

    pub fn observe(&mut self, values: &[Option<f64>]) -> Judgement {
        let metrics: Vec<Option<Aggregate>> = values.iter().map(|value| value.map(single)).collect();
        let state = StateView {
            start_ms: self.start_ms,
            width_ms: WIDTH_MS,
            device_type: self.device_type,
            names: &self.names,
            metrics: &metrics,
            peers: &[],
            peers_ms: 0,
            offset_ms: self.offset_ms,
        };
        self.start_ms += WIDTH_MS;
        self.monitor.observe(&self.config, &state)
    }
}

#[allow(dead_code, reason = "each user of this module takes what it needs")]
pub fn single(value: f64) -> Aggregate {
    Aggregate { last: value, mean: value, min: value, max: value, count: 1 }
}
