//! The recording of the default run: a day of eleven devices with known faults, made at first use and always the same.

use std::path::Path;

use crate::simulator::{Clock, Delivery, FaultOptions, FaultRequest, Fleet, Options, Simulator, SimulatorError};

/// Its name as a scenario.
pub const NAME: &str = "fleet-day";

/// Its file; the labels lie beside it.
pub const FILE_NAME: &str = "fleet-day.jsonl.zst";

/// What it is, for people.
pub const DESCRIPTION: &str = "a simulated day of 11 devices with labelled faults";

/// Midnight of Monday 2026-03-02, UTC.
const START_MS: i64 = 1_772_409_600_000;

/// Every fault begins after the detectors' warm-up of six hours.
const FAULTS: [&str; 9] = [
    "RTU-002/fan_failure/severe/9h/90min",
    "MAU-001/airflow_imbalance/severe/10h/1h",
    "RTU-003/dirty_filter/severe/11h/2h",
    "CT-001/fan_failure/severe/12h/90min",
    "CH-001/refrigerant_leak/severe/13h/2h",
    "AC-001/motor_overload/severe/14h/1h",
    "MAU-002/stuck_sensor/severe/15h/3h/supply_air_humidity",
    "CH-002/low_flow/severe/16h/1h",
    "AC-002/silent_device/severe/20h/45min",
];

/// The simulator that makes it.
fn simulator() -> Result<Simulator, SimulatorError> {
    let mut devices = Fleet::default_eleven().devices().to_vec();
    for device in &mut devices {
        // Only the faults above: each of them is then known to whoever reads the summary.
        device.inject_anomalies = false;
    }
    let requests = FAULTS.into_iter().map(FaultRequest::parse).collect::<Result<_, _>>()?;
    let options = Options {
        seed: 11,
        start_ms: START_MS,
        duration_ms: Some(86_400_000),
        period_ms: 60_000,
        delivery: Delivery {
            duplicate_rate: 0.001,
            out_of_order_rate: 0.01,
            late_rate: 0.001,
            malformed_rate: 0.000_5,
            tombstone_rate: 0.000_1,
            clocks: vec![Clock { device_id: "CT-002".to_owned(), ahead_ms: 45_000, drift_ppm: 0 }],
            ..Delivery::default()
        },
        faults: FaultOptions { requests, ..FaultOptions::default() },
        ..Options::default()
    };
    Simulator::new(&Fleet::new(devices)?, &options)
}

/// Writes the recording and its labels. They appear under their names when they are whole.
///
/// # Errors
/// When a file can't be written.
pub fn write(path: &Path, labels: &Path) -> Result<(), SimulatorError> {
    let mut simulator = simulator()?;
    // Two processes may make it at the same time: each has a file of its own until then.
    let part = path.with_extension(format!("part-{}.zst", std::process::id()));
    simulator.write_recording(&part, |_| true)?;
    simulator.write_labels(labels)?;
    std::fs::rename(&part, path).map_err(|cause| SimulatorError::File { doing: "rename", path: part, cause })
}

/// The same in memory: lines and labels.
///
/// # Errors
/// When the simulator fails.
pub fn recording() -> Result<(Vec<u8>, Vec<model::recording::Label>), crate::simulate::SimulateError> {
    let mut simulator = simulator()?;
    let mut lines = Vec::new();
    simulator.write_lines(&mut lines, |_| true)?;
    Ok((lines, simulator.labels()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user who runs the default again after an update finds the same recording, or a store that says it isn't.
    #[test]
    fn it_is_the_same_day_on_every_machine() {
        let (bytes, labels) = recording().unwrap();
        let digest = model::hash::hash_bytes(&bytes);
        let messages = bytes.iter().filter(|byte| **byte == b'\n').count();
        expect_test::expect![["224225 messages, 24253cd845130f34"]]
            .assert_eq(&format!("{messages} messages, {digest:016x}"));
        assert_eq!(labels.len(), FAULTS.len());
    }
}
