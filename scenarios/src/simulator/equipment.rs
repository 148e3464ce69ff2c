//! Where each metric of each type is heading: the original's targets, and on top of them weather, occupancy, cycling, wear.
//!
//! With all features off occupancy is 1, weather is typical and a load is 1, so that the extra terms vanish and the
//! targets and their order are the original's.

use super::climate::Weather;
use super::metrics::{DeviceKind, air, chiller, mau, rtu, tower};
use super::physics::Tick;

impl Tick<'_> {
    /// One tick of whatever it is.
    pub(super) fn equipment(&mut self) {
        match self.machine.kind {
            DeviceKind::RooftopUnit => self.rooftop_unit(),
            DeviceKind::MakeupAirUnit => self.makeup_air_unit(),
            DeviceKind::Chiller => self.chiller(),
            DeviceKind::CoolingTower => self.cooling_tower(),
            DeviceKind::AirCompressor => self.air_compressor(),
        }
    }

    fn rooftop_unit(&mut self) {
        let (around, occupied) = (self.around, self.around.occupancy);
        let sky = if around.features.weather { around.weather.outdoor_f } else { self.wander(0, 0.5) };
        self.steer(rtu::OUTDOOR_TEMP, sky, 0.05);
        let outdoor = self.value(rtu::OUTDOOR_TEMP);
        let (cool_at, heat_at) = (self.value(rtu::COOLING_SETPOINT), self.value(rtu::HEATING_SETPOINT));
        let comfort = 0.5 * (cool_at + heat_at);
        let heating = outdoor < heat_at - 2.0;
        let mut cooling = outdoor > cool_at + 2.0;
        if around.features.cycling {
            // A third of the capacity where the original starts, all of it 12 °F above the set point.
            cooling = self.cycles(((outdoor - cool_at + 2.0) / 14.0).clamp(0.0, 1.0));
        }
        self.steer(rtu::COMPRESSOR, if cooling { 1.0 } else { 0.0 }, 1.0);
        let compressing = self.value(rtu::COMPRESSOR) > 0.5;
        // With cycling, air is only cold while the compressor really runs.
        let cold = if around.features.cycling { compressing } else { cooling };
        let supply = if cold {
            cool_at - 8.0
        } else if heating {
            heat_at + 10.0
        } else {
            comfort
        };
        self.steer(rtu::SUPPLY_TEMP, supply, 0.2);
        self.steer(rtu::RETURN_TEMP, comfort, 0.1);
        let fan = if compressing { 1_500.0 } else { 800.0 * (0.5 + 0.5 * occupied) };
        self.steer(rtu::FAN_SPEED, fan, 0.15);
        let part = self.value(rtu::FAN_SPEED) / 1_800.0;
        self.steer(rtu::FAN_CURRENT, 5.0 + 20.0 * part, 0.2);
        let filter = if around.features.wear { 0.4 + 0.3 * self.machine.filter_age(around.time_ms) } else { 0.5 };
        self.steer(rtu::FILTER, filter + 0.3 * part, 0.1);
        let economizer = if outdoor < 65.0 { 30.0 } else { 10.0 };
        self.steer(rtu::ECONOMIZER, economizer * (0.3 + 0.7 * occupied), 0.1);
        self.steer(rtu::HEATING_VALVE, if heating { 80.0 } else { 10.0 }, 0.12);
        self.steer(rtu::SUPPLY_HUMIDITY, 45.0, 0.08);
        self.steer(rtu::RETURN_HUMIDITY, 50.0, 0.08);
        self.steer(rtu::POWER, if compressing { 25.0 } else { 5.0 } + 15.0 * part, 0.15);
        self.steer(rtu::COOLING_SETPOINT, 74.0 + 4.0 * (1.0 - occupied), 0.02);
        self.steer(rtu::HEATING_SETPOINT, 70.0 - 4.0 * (1.0 - occupied), 0.02);
    }

    fn makeup_air_unit(&mut self) {
        let around = self.around;
        let sky = if around.features.weather { around.weather.outdoor_f } else { self.wander(0, 0.5) };
        self.steer(mau::OUTDOOR_TEMP, sky, 0.05);
        // Fresh air for half the people at night: fans obey the affinity laws.
        let air = 0.5 + 0.5 * around.occupancy;
        self.steer(mau::FAN_SPEED, 1_200.0 * air, 0.12);
        self.steer(mau::VFD, self.value(mau::FAN_SPEED) / 1_500.0 * 60.0, 0.15);
        let heating = self.value(mau::OUTDOOR_TEMP) < 60.0;
        self.steer(mau::HEATING_COIL, if heating { 140.0 } else { 90.0 }, 0.1);
        self.steer(mau::SUPPLY_TEMP, if heating { 70.0 } else { 65.0 }, 0.15);
        self.steer(mau::FLOW, 2_500.0 * air, 0.12);
        self.steer(mau::DAMPER, if heating { 70.0 } else { 40.0 } * air, 0.1);
        self.steer(mau::OUTDOOR_HUMIDITY, around.weather.humidity, 0.05);
        self.steer(mau::SUPPLY_HUMIDITY, 50.0, 0.08);
        self.steer(mau::COOLING_COIL, 50.0, 0.1);
        let filter = if around.features.wear { 0.3 + 0.25 * self.machine.filter_age(around.time_ms) } else { 0.4 };
        self.steer(mau::FILTER, filter * air, 0.05);
        self.steer(mau::STATIC_PRESSURE, 1.5 * air * air, 0.08);
        self.steer(mau::GAS_VALVE, if heating { 50.0 } else { 10.0 }, 0.1);
        self.steer(mau::POWER, 15.0 * (0.3 + 0.7 * air * air * air), 0.12);
    }

    fn chiller(&mut self) {
        let around = self.around;
        let mut load = self.cooling_load();
        let mut on = true;
        if around.features.cycling {
            // A chiller can't run below 40 % of its capacity; it cycles instead.
            on = self.cycles((load / 0.4).min(1.0));
            load = load.max(0.4);
        }
        self.steer(chiller::COMPRESSOR, if on { 1.0 } else { 0.0 }, 1.0);
        let running = self.value(chiller::COMPRESSOR) > 0.5;
        let damp = around.weather.wet_bulb_f - Weather::TYPICAL.wet_bulb_f;
        // The original keeps the current's target where the status has failed by itself: a fault names both.
        self.steer(chiller::CURRENT, if on { 200.0 * (0.3 + 0.7 * load) } else { 0.0 }, 0.2);
        self.steer(chiller::SUPPLY_TEMP, if running { 45.0 } else { 50.0 }, 0.15);
        self.steer(chiller::RETURN_TEMP, if running { 45.0 + 10.0 * load } else { 52.0 }, 0.12);
        let delta = self.value(chiller::RETURN_TEMP) - self.value(chiller::SUPPLY_TEMP);
        self.steer(chiller::DELTA_T, delta, 0.2);
        self.steer(chiller::FLOW, 500.0 * (0.6 + 0.4 * load), 0.15);
        self.steer(chiller::CONDENSER_FLOW, 650.0 * (0.6 + 0.4 * load), 0.15);
        self.steer(chiller::CONDENSER_SUPPLY, 85.0 + 0.4 * damp, 0.12);
        self.steer(chiller::CONDENSER_RETURN, 85.0 + 0.4 * damp + 10.0 * load, 0.12);
        self.steer(chiller::EVAPORATOR_PRESSURE, if running { 42.0 } else { 35.0 }, 0.15);
        let condensing = if running { 140.0 + 0.8 * damp } else { 100.0 };
        self.steer(chiller::CONDENSER_PRESSURE, condensing, 0.15);
        self.steer(chiller::CAPACITY, if running { 70.0 * load } else { 0.0 }, 0.12);
        self.steer(chiller::COP, 5.0 + 0.5 * (1.0 - load), 0.08);
        self.steer(chiller::POWER, if running { 350.0 * (0.15 + 0.85 * load) } else { 50.0 }, 0.15);
        self.steer(chiller::ALARM, 0.0, 1.0);
    }

    fn cooling_tower(&mut self) {
        let around = self.around;
        let (wet, dry) = if around.features.weather {
            (around.weather.wet_bulb_f, around.weather.outdoor_f)
        } else {
            (self.wander(0, 0.3), self.wander(1, 0.5))
        };
        self.steer(tower::WET_BULB, wet, 0.05);
        self.steer(tower::DRY_BULB, dry, 0.05);
        let load = self.cooling_load();
        let damp = around.weather.wet_bulb_f - Weather::TYPICAL.wet_bulb_f;
        self.steer(tower::FAN_SPEED, 300.0 * (0.4 + 0.6 * load) + 2.0 * damp, 0.15);
        let part = self.value(tower::FAN_SPEED) / 420.0;
        self.steer(tower::FAN_CURRENT, 5.0 + 35.0 * part, 0.2);
        self.steer(tower::INLET_TEMP, 85.0 + 0.3 * damp + 10.0 * load, 0.12);
        self.steer(tower::OUTLET_TEMP, 85.0 + 0.3 * damp, 0.12);
        self.steer(tower::APPROACH, self.value(tower::OUTLET_TEMP) - self.value(tower::WET_BULB), 0.15);
        self.steer(tower::RANGE, self.value(tower::INLET_TEMP) - self.value(tower::OUTLET_TEMP), 0.15);
        self.steer(tower::SUMP, 70.0, 0.1);
        self.steer(tower::MAKEUP, if part > 0.5 { 10.0 } else { 5.0 }, 0.12);
        self.steer(tower::FLOW, 650.0 * (0.6 + 0.4 * load), 0.12);
        self.steer(tower::BLOWDOWN, 20.0, 0.08);
        self.steer(tower::VIBRATION, 3.0, 0.15);
        self.steer(tower::POWER, if part > 0.1 { 18.0 * part } else { 2.0 }, 0.15);
    }

    fn air_compressor(&mut self) {
        let around = self.around;
        let mut pressure = 110.0;
        let mut running = true;
        if around.features.cycling {
            running = self.cycles((0.3 + 0.75 * around.occupancy).min(1.0));
            // The receiver empties while the machine is unloaded.
            pressure = if running { 111.0 } else { 104.0 };
        }
        self.steer(air::PRESSURE, pressure, 0.12);
        running = running && self.value(air::PRESSURE) < 120.0;
        let warm = around.weather.outdoor_f - Weather::TYPICAL.outdoor_f;
        let either = |loaded: f64, unloaded: f64| if running { loaded } else { unloaded };
        self.steer(air::MOTOR_CURRENT, either(60.0, 20.0), 0.15);
        self.steer(air::MOTOR_SPEED, either(1_800.0, 0.0), 0.2);
        let cooling_down = if around.features.cycling { 170.0 } else { 200.0 };
        self.steer(air::DISCHARGE_TEMP, either(200.0, cooling_down), 0.12);
        self.steer(air::OIL_PRESSURE, 45.0, 0.12);
        self.steer(air::OIL_TEMP, 160.0, 0.1);
        self.steer(air::INLET_PRESSURE, 0.0, 0.1);
        // Machine rooms follow the weather a little.
        self.steer(air::AMBIENT_TEMP, 75.0 + 0.3 * warm, 0.05);
        self.steer(air::COOLING_WATER, 75.0 + 0.2 * warm, 0.1);
        self.steer(air::LOAD, either(70.0, 10.0), 0.12);
        self.steer(air::FLOW, either(250.0, 50.0), 0.15);
        let worn = if around.features.wear { self.value(air::RUN_HOURS) / 50_000.0 } else { 0.0 };
        self.steer(air::VIBRATION, 5.0 + 1.5 * worn, 0.15);
        self.steer(air::POWER, either(80.0, 10.0), 0.15);
        if running {
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a tick are exact")]
            let hours = if around.features.wear { around.elapsed_ms as f64 / 3_600_000.0 } else { 0.016 };
            self.count(air::RUN_HOURS, hours);
        }
    }

    /// Load of a cooling plant: 1 in an occupied building at the typical temperature.
    fn cooling_load(&self) -> f64 {
        let warm = self.around.weather.outdoor_f - Weather::TYPICAL.outdoor_f;
        (0.25 + 0.75 * self.around.occupancy + 0.02 * warm).clamp(0.05, 1.3)
    }

    fn cycles(&mut self, demand: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a tick are exact")]
        let elapsed_s = self.around.elapsed_ms as f64 / 1_000.0;
        self.machine.cycle.step(demand, elapsed_s)
    }
}
