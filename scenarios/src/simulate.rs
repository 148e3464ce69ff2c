//! The `[simulate]` table of a case: the simulator's parameters in the words of a case file.
//!
//! ```toml
//! [simulate]
//! devices = ["RTU-001:rooftop_unit"]
//! hours = 14
//! seed = 7
//! period = "60s"                                     # the default
//! off = ["occupancy", "wear"]                        # of weather, occupancy, cycling, wear; all are on by default
//! faults = ["RTU-001/fan_failure/severe/10h/2h"]     # DEVICE/KIND[/SEVERITY[/START[/DURATION[/METRIC]]]]
//! mean_outdoor_f = 85.0
//! [simulate.delivery]                                # shares of messages; all are 0 by default
//! late_rate = 0.01
//! ```

use model::time::{parse_duration_ms, parse_rfc3339};
use serde::Deserialize;

use crate::simulator::{FaultRequest, Fleet, Options, Simulator, SimulatorError};

/// A simulation that is ready to run.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// Its devices.
    pub fleet: Fleet,
    /// Everything else.
    pub options: Options,
}

/// Why a `[simulate]` table can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// It isn't of the format.
    #[error("bad [simulate] table: {0}")]
    Toml(#[from] toml::de::Error),
    /// A key has a bad value.
    #[error("bad [simulate] table: key {key:?}: {problem}")]
    Value {
        /// Which key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// The simulator refuses it.
    #[error("bad [simulate] table: {0}")]
    Simulator(#[from] SimulatorError),
    /// The lines can't be written.
    #[error("could not write the simulated recording: {0}")]
    Write(#[from] std::io::Error),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    devices: Vec<String>,
    hours: f64,
    seed: u64,
    start: Option<String>,
    period: Option<String>,
    partitions: Option<u32>,
    mean_outdoor_f: Option<f64>,
    noise: Option<f64>,
    #[serde(default)]
    off: Vec<Feature>,
    #[serde(default)]
    faults: Vec<String>,
    #[serde(default)]
    delivery: Rates,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Feature {
    Weather,
    Occupancy,
    Cycling,
    Wear,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Rates {
    drop_rate: f64,
    duplicate_rate: f64,
    out_of_order_rate: f64,
    late_rate: f64,
    malformed_rate: f64,
    tombstone_rate: f64,
}

impl Simulation {
    /// Reads the table.
    ///
    /// # Errors
    /// An unknown key, or a value that is none.
    pub fn parse(table: &toml::Table) -> Result<Simulation, SimulateError> {
        let table: Table = table.clone().try_into()?;
        let bad = |key, problem| SimulateError::Value { key, problem };
        let fleet = Fleet::from_pairs(&table.devices)?;
        if !(table.hours > 0.0 && table.hours <= 24.0 * 400.0) {
            return Err(bad("hours", format!("{} is not above 0 and up to 9600", table.hours)));
        }
        let mut options = Options { seed: table.seed, period_ms: 60_000, ..Options::default() };
        #[expect(clippy::cast_possible_truncation, reason = "checked against the range above")]
        let duration_ms = (table.hours * 3_600_000.0).round() as i64;
        options.duration_ms = Some(duration_ms);
        if let Some(start) = table.start {
            options.start_ms =
                parse_rfc3339(&start).ok_or_else(|| bad("start", format!("{start:?} is no RFC 3339 time")))?;
        }
        if let Some(period) = table.period {
            options.period_ms = parse_duration_ms(&period).map_err(|problem| bad("period", problem))?;
        }
        options.partitions = table.partitions.unwrap_or(options.partitions);
        options.features.climate.mean_f = table.mean_outdoor_f.unwrap_or(options.features.climate.mean_f);
        options.features.noise = table.noise.unwrap_or(options.features.noise);
        for feature in table.off {
            match feature {
                Feature::Weather => options.features.weather = false,
                Feature::Occupancy => options.features.occupancy = false,
                Feature::Cycling => options.features.cycling = false,
                Feature::Wear => options.features.wear = false,
            }
        }
        let rates = table.delivery;
        options.delivery.drop_rate = rates.drop_rate;
        options.delivery.duplicate_rate = rates.duplicate_rate;
        options.delivery.out_of_order_rate = rates.out_of_order_rate;
        options.delivery.late_rate = rates.late_rate;
        options.delivery.malformed_rate = rates.malformed_rate;
        options.delivery.tombstone_rate = rates.tombstone_rate;
        options.faults.per_device_week = 0.0;
        options.faults.per_marked_device_week = 0.0;
        options.faults.requests =
            table.faults.iter().map(|fault| FaultRequest::parse(fault)).collect::<Result<_, _>>()?;
        Ok(Simulation { fleet, options })
    }

    /// Runs it to its end; the same table gives the same bytes.
    ///
    /// # Errors
    /// The simulator refuses the options.
    pub fn recording(&self) -> Result<Vec<u8>, SimulateError> {
        let mut simulator = Simulator::new(&self.fleet, &self.options)?;
        let mut bytes = Vec::new();
        simulator.write_lines(&mut bytes, |_| true)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Simulation, String> {
        Simulation::parse(&text.parse().expect("TOML")).map_err(|error| error.to_string())
    }

    const TABLE: &str = r#"
        devices = ["RTU-001:rooftop_unit"]
        hours = 0.5
        seed = 7
        faults = ["RTU-001/silent_device/severe/10min/10min"]
        off = ["weather"]
    "#;

    #[test]
    fn a_table_gives_the_same_recording_each_time() {
        let bytes = parse(TABLE).expect("a simulation").recording().expect("it runs");
        assert_eq!(bytes, parse(TABLE).expect("a simulation").recording().expect("it runs"));
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines, 14 * (30 - 10), "14 metrics a minute, but none for ten minutes");
        crate::case::check_recording("simulated", &bytes).expect("it is a recording");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let errors = [
            parse(&format!("{TABLE}\nweather = true")),
            parse(&TABLE.replace("0.5", "0")),
            parse(&format!("{TABLE}\nstart = \"today\"")),
            parse(&format!("{TABLE}\nperiod = \"60\"")),
            parse(&TABLE.replace("silent_device", "silence")),
        ]
        .map(|result| result.expect_err("the table is wrong"));
        assert!(errors[0].contains("unknown field `weather`"), "{}", errors[0]);
        assert_eq!(errors[1], "bad [simulate] table: key \"hours\": 0 is not above 0 and up to 9600");
        assert_eq!(errors[2], "bad [simulate] table: key \"start\": \"today\" is no RFC 3339 time");
        assert!(errors[3].starts_with("bad [simulate] table: key \"period\": duration \"60\" needs"), "{}", errors[3]);
        assert!(errors[4].starts_with("bad [simulate] table: fault"), "{}", errors[4]);
    }
}
