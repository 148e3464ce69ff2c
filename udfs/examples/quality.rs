//! Incidents of healthy simulated devices per device-month, faults found, and the cost of a state.
//!
//! `cargo run --release -p udfs --example quality -- [DAYS] [SEEDS]`

#[path = "../tests/fleet/mod.rs"]
mod fleet;

use std::time::Instant;

use fleet::Watched;
use model::IncidentStatus;

const TYPES: [(&str, &[&str]); 5] = [
    ("rooftop_unit", &["compressor_failure", "sensor_drift", "fan_failure", "dirty_filter", "economizer_stuck"]),
    ("makeup_air_unit", &["fan_bearing_failure", "heating_coil_failure", "airflow_imbalance", "stuck_damper"]),
    ("chiller", &["compressor_failure", "refrigerant_leak", "low_flow", "fouled_condenser"]),
    ("cooling_tower", &["fan_failure", "scale_buildup", "low_water_level"]),
    ("air_compressor", &["pressure_leak", "motor_overload", "overheating", "oil_system_failure"]),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let days: u32 = arguments.next().map_or(30, |text| text.parse().expect("days"));
    let seeds: u64 = arguments.next().map_or(4, |text| text.parse().expect("seeds"));
    let verbose = arguments.next().is_some();
    for day_cycle in [false, true] {
        for (kind, _) in TYPES {
            let (mut incidents, mut states, mut flagged) = (0, 0u64, 0u64);
            let mut findings = std::collections::BTreeMap::new();
            let started = Instant::now();
            let mut first_day = 0;
            for seed in 0..seeds {
                let mut watched = Watched::new(kind, seed + 11, day_cycle);
                for minute in 0..days * 1_440 {
                    let judgement = watched.step();
                    states += 1;
                    flagged += u64::from(judgement.severity.is_some());
                    for finding in judgement.verdicts.iter().flat_map(|verdict| &verdict.findings) {
                        let what = format!("{} {}", finding.kind, finding.metric.as_deref().unwrap_or("-"));
                        *findings.entry(what).or_insert(0u32) += 1;
                    }
                    for incident in judgement.incidents {
                        if incident.status == IncidentStatus::Closed {
                            incidents += 1;
                            first_day += u32::from(minute < 2 * 1_440);
                            if verbose {
                                let minutes = (incident.end_ms - incident.start_ms) / 60_000;
                                let at = (incident.start_ms - fleet::START_MS) / 60_000;
                                println!(
                                    "    seed {seed} day {} minute {} {} {} for {minutes}: {}",
                                    at / 1440,
                                    at % 1440,
                                    incident.kind,
                                    incident.severity.name(),
                                    incident.summary
                                );
                            }
                        }
                    }
                }
            }
            let ns = started.elapsed().as_nanos() as f64 / states as f64;
            let months = f64::from(days) / 30.0 * seeds as f64;
            println!(
                "healthy {kind:16} day cycle {day_cycle:5}: {:.2} incidents a device-month ({first_day} in the first two days), {:.3} % of states flagged, {ns:.0} ns a state with the simulator",
                f64::from(incidents) / months,
                flagged as f64 / states as f64 * 100.0
            );
            if verbose {
                println!("    findings {findings:?}");
            }
        }
    }
    for (kind, faults) in TYPES {
        for fault in faults {
            let mut found = Vec::new();
            for seed in 0..seeds {
                let mut watched = Watched::new(kind, 100 + seed, true);
                let begin = 540 + 60 * u32::try_from(seed).expect("few seeds");
                let mut text = "none".to_owned();
                for minute in 0..begin + 360 {
                    if minute == begin {
                        watched.device.fault = fault;
                    }
                    for incident in watched.step().incidents {
                        if minute >= begin {
                            let delay = (incident.detected_ms - fleet::START_MS) / 60_000 - i64::from(begin);
                            if text == "none" || incident.transition > 1 {
                                text = format!("{}@{delay}", incident.severity.name());
                                if verbose {
                                    println!("    {} {}", incident.kind, incident.summary);
                                }
                            }
                        }
                    }
                }
                found.push(text);
            }
            println!("fault {kind:16} {fault:22} {}", found.join(" "));
        }
    }
    cost();
}

/// What a state costs without the simulator, and what a device holds: in memory, and as bytes of a checkpoint.
fn cost() {
    let mut watched = Watched::new("rooftop_unit", 7, true);
    let rows: Vec<Vec<Option<f64>>> =
        (0..20_000).map(|_| watched.device.step().into_iter().map(Some).collect()).collect();
    for row in &rows[..2_000] {
        watched.observe(row);
    }
    let started = Instant::now();
    for row in &rows[2_000..] {
        std::hint::black_box(watched.observe(row));
    }
    let states = rows.len() - 2_000;
    let ns = started.elapsed().as_nanos() as f64 / states as f64;
    println!("cost: {ns:.0} ns a state of 14 metrics, {:.0} ns a metric, all methods", ns / 14.0);

    let resident_before = resident_bytes();
    let fleet: Vec<Watched> = (0..200)
        .map(|_| {
            let mut device = Watched::new("rooftop_unit", 7, true);
            rows[..3_000].iter().for_each(|row| drop(std::hint::black_box(device.observe(row))));
            device
        })
        .collect();
    let held = (resident_bytes() - resident_before) / fleet.len() as u64;
    let saved = bincode::serialized_size(&fleet[0].monitor).expect("a monitor can be encoded");
    println!("a device after 3,000 states: {held} bytes in memory, {saved} in a checkpoint");
}

/// Resident memory of this process, where the system tells.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4_096
}
