//! What the simulator promises, from outside: bytes, order, independence, ranges, switches.

mod delivery;
mod faults;
mod fleet;

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use model::recording::Label;

const HOUR_MS: i64 = 3_600_000;

fn run(fleet: &Fleet, options: &Options) -> (Vec<SimulatedMessage>, Vec<Label>, Tally) {
    let mut simulator = Simulator::new(fleet, options).unwrap();
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    while simulator.next_batch(&mut batch) {
        all.extend(batch.iter().cloned());
    }
    assert_eq!(simulator.tally().messages, all.len() as u64);
    (all, simulator.labels(), simulator.tally())
}

/// An hour of the default fleet without its random faults.
fn quiet(duration_ms: i64) -> Options {
    let faults = FaultOptions { per_marked_device_week: 0.0, ..FaultOptions::default() };
    Options { duration_ms: Some(duration_ms), faults, ..Options::default() }
}

/// Noon of the first Monday: everything runs.
fn noon(duration_ms: i64) -> Options {
    let options = quiet(duration_ms);
    Options { start_ms: options.start_ms + 12 * HOUR_MS, ..options }
}

fn one(kind: DeviceKind) -> Fleet {
    Fleet::from_pairs(&[format!("X-1:{}", kind.name())]).unwrap()
}

/// Values by (device, metric, event time).
fn readings(messages: &[SimulatedMessage]) -> BTreeMap<(String, String, i64), f64> {
    let mut readings = BTreeMap::new();
    for message in messages {
        let text = std::str::from_utf8(message.bytes.as_deref().unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        let field = |name: &str| value[name].as_str().unwrap().to_owned();
        let time_ms = model::time::parse_rfc3339(&field("timestamp")).unwrap();
        readings.insert((field("device_id"), field("metric_name"), time_ms), value["metric_value"].as_f64().unwrap());
    }
    readings
}

fn digest(messages: &[SimulatedMessage]) -> u64 {
    let mut lines = Vec::new();
    for m in messages {
        model::recording::write_message(&mut lines, m.partition, m.offset, m.broker_ms, m.bytes.as_deref());
    }
    model::hash::hash_bytes(&lines)
}

fn everything() -> Options {
    Options {
        jitter_ms: 500,
        stagger: true,
        delivery: Delivery {
            gaps_per_day: 24.0,
            drop_rate: 0.01,
            duplicate_rate: 0.01,
            out_of_order_rate: 0.01,
            late_rate: 0.01,
            malformed_rate: 0.01,
            tombstone_rate: 0.01,
            fast_clock_rate: 0.2,
            fast_clock_drift_ppm: 50,
            ..Delivery::default()
        },
        faults: FaultOptions { per_device_week: 1_000.0, ..FaultOptions::default() },
        ..noon(HOUR_MS)
    }
}

/// The golden numbers: whoever changes them changes everybody's recordings made from a seed.
#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    let original = Options { features: Features::original(), ..quiet(600_000) };
    let fleet = Fleet::default_eleven();
    let digests = [digest(&run(&fleet, &original).0), digest(&run(&fleet, &everything()).0)];
    assert_eq!(digests.map(|digest| format!("{digest:016x}")), ["c6c90a3a811a675d", "c7500f2c608d2136"]);
}

#[test]
fn the_first_message_is_in_the_contracts_form() {
    let (messages, _, tally) = run(&Fleet::default_eleven(), &quiet(10_000));
    assert_eq!(tally.readings, 156);
    let text = String::from_utf8(messages[0].bytes.clone().unwrap()).unwrap();
    let value = &text[text.find("\"metric_value\":").unwrap() + 15..text.find(",\"unit\"").unwrap()];
    let head = text.split("\"metric_value\"").next().unwrap().to_owned();
    assert!(value.parse::<f64>().is_ok(), "{text}");
    assert!(head.contains("\"timestamp\":\"2026-03-02T00:00:00.000000+00:00\",\"metric_name\":"), "{text}");
    let names: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let fields = ["device_id", "device_type", "timestamp", "metric_name", "metric_value", "unit", "location"];
    let at = |field: &str| names.iter().position(|name| *name == field).unwrap();
    assert!(fields.windows(2).all(|pair| at(pair[0]) < at(pair[1])) && at("location") < at("building_id"), "{text}");
    let decoded: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(decoded.as_object().unwrap().len(), 8);
}

#[test]
fn a_fleets_tick_has_one_timestamp_and_every_metric_of_its_types() {
    let (messages, _, _) = run(&Fleet::default_eleven(), &quiet(10_000));
    let keys: BTreeSet<_> = readings(&messages).into_keys().collect();
    assert_eq!(keys.len(), 156);
    assert_eq!(keys.iter().map(|key| key.2).collect::<BTreeSet<_>>().len(), 1);
    let original = Options { spelling: TypeSpelling::Original, ..quiet(10_000) };
    let (messages, _, _) = run(&one(DeviceKind::RooftopUnit), &original);
    assert!(String::from_utf8_lossy(messages[0].bytes.as_ref().unwrap()).contains("\"rooftopunit\""));
}

#[test]
fn another_device_changes_nothing_of_the_first_ones() {
    let small = Fleet::generate(11, 5).unwrap();
    let large = Fleet::generate(40, 5).unwrap();
    assert_eq!(small.devices(), &large.devices()[..11]);
    let own = |messages: Vec<SimulatedMessage>| -> Vec<(u32, i64, Option<Vec<u8>>)> {
        let mut own: Vec<_> = messages.into_iter().filter(|m| m.device < 11).collect();
        own.sort_by_key(|m| (m.device, m.broker_ms, m.offset));
        own.into_iter().map(|m| (m.device, m.broker_ms, m.bytes)).collect()
    };
    let (few, few_labels, _) = run(&small, &everything());
    let (many, many_labels, _) = run(&large, &everything());
    assert_eq!(own(few), own(many));
    let ids: BTreeSet<&str> = small.devices().iter().map(|device| device.device_id.as_str()).collect();
    let many_labels: Vec<Label> = many_labels.into_iter().filter(|l| ids.contains(l.device_id.as_str())).collect();
    assert_eq!(few_labels, many_labels);
    assert!(!few_labels.is_empty());
}

#[test]
fn broker_time_never_falls_and_offsets_rise_by_one() {
    let (messages, _, tally) = run(&Fleet::generate(30, 2).unwrap(), &everything());
    assert!(messages.windows(2).all(|pair| pair[0].broker_ms <= pair[1].broker_ms));
    let mut next = BTreeMap::new();
    for message in &messages {
        let offset = next.entry(message.partition).or_insert(0);
        assert_eq!(message.offset, *offset);
        *offset += 1;
    }
    assert_eq!(next.len(), 3);
    for count in [tally.offline, tally.silenced, tally.dropped, tally.duplicates, tally.out_of_order] {
        assert!(count > 0, "{tally:?}");
    }
    assert!(tally.late > 0 && tally.malformed > 0 && tally.tombstones > 0, "{tally:?}");
    // Nothing is made or lost that isn't counted.
    let sent = tally.readings - tally.offline - tally.silenced - tally.dropped + tally.duplicates;
    assert_eq!(sent, tally.messages);
}

#[test]
fn values_stay_in_their_ranges_whatever_happens() {
    let options = Options {
        features: Features { noise: 3.0, ..Features::default() },
        faults: FaultOptions { per_device_week: 2_000.0, ..FaultOptions::default() },
        ..quiet(24 * HOUR_MS)
    };
    let (messages, labels, _) = run(&Fleet::default_eleven(), &options);
    assert!(labels.len() > 50);
    for ((device, metric, _), value) in readings(&messages) {
        let kind = DeviceKind::ALL.into_iter().find(|kind| device.starts_with(kind.id_prefix())).unwrap();
        let spec = &kind.metrics()[kind.metric_index(&metric).unwrap()];
        assert!((spec.low..=spec.high).contains(&value), "{device} {metric} {value}");
    }
}

#[test]
fn healthy_equipment_stays_near_its_typical_values() {
    // The original's dynamics: means over a day are near the targets; weather makes outdoor temperature the exception.
    let options = Options { features: Features::original(), ..quiet(6 * HOUR_MS) };
    for (kind, metric, low, high) in [
        (DeviceKind::AirCompressor, "motor_current", 58.0, 62.0),
        (DeviceKind::Chiller, "power_consumption", 345.0, 355.0),
        (DeviceKind::CoolingTower, "approach_temp", 15.0, 16.0),
        (DeviceKind::MakeupAirUnit, "fan_vfd_frequency", 47.0, 49.0),
        (DeviceKind::RooftopUnit, "cooling_setpoint", 73.99, 74.01),
    ] {
        let (messages, _, _) = run(&one(kind), &options);
        let values: Vec<f64> =
            readings(&messages).into_iter().filter(|(key, _)| key.1 == metric).map(|(_, value)| value).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        assert!((low..=high).contains(&mean), "{} {metric}: {mean}", kind.name());
    }
}

#[test]
fn features_show_and_can_be_switched_off() {
    let day = |features: Features, kind: DeviceKind, metric: &str| -> Vec<f64> {
        let (messages, _, _) = run(&one(kind), &Options { features, ..quiet(24 * HOUR_MS) });
        readings(&messages).into_iter().filter(|(key, _)| key.1 == metric).map(|(_, value)| value).collect()
    };
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let noon_less_night = |values: &[f64]| mean(&values[4_320..5_400]) - mean(&values[360..1_440]);
    let off = Features::original();
    let weather = Features { weather: true, ..off.clone() };
    assert!(noon_less_night(&day(weather, DeviceKind::CoolingTower, "dry_bulb_temp")) > 5.0);
    let occupancy = Features { occupancy: true, ..off.clone() };
    assert!(noon_less_night(&day(occupancy, DeviceKind::Chiller, "power_consumption")) > 100.0);
    assert!(noon_less_night(&day(off.clone(), DeviceKind::Chiller, "power_consumption")).abs() < 5.0);
    let cycling = Features { cycling: true, occupancy: true, ..off.clone() };
    let switches = |values: &[f64]| values.windows(2).filter(|pair| (pair[0] - pair[1]).abs() > 0.5).count();
    let changes = switches(&day(cycling, DeviceKind::Chiller, "compressor_status"));
    assert!((10..150).contains(&changes), "{changes}");
    assert_eq!(switches(&day(off.clone(), DeviceKind::Chiller, "compressor_status")), 0);
    let wear = Features { wear: true, ..off.clone() };
    let hours = day(wear, DeviceKind::AirCompressor, "run_hours");
    assert!((hours[hours.len() - 1] - hours[0] - 24.0).abs() < 0.1);
    let hours = day(off.clone(), DeviceKind::AirCompressor, "run_hours");
    assert!((hours[hours.len() - 1] - hours[0] - 0.016 * 8_639.0).abs() < 0.1);
    let silent = Features { noise: 0.0, ..off };
    let flat = day(silent, DeviceKind::AirCompressor, "oil_temp");
    assert!(flat.iter().all(|value| value.to_bits() == flat[0].to_bits()));
}

#[test]
fn a_recording_is_read_back_plain_and_compressed() {
    let folder = std::env::temp_dir().join(format!("plenum-simulator-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (messages, labels, _) = run(&Fleet::default_eleven(), &everything());
    let mut texts = Vec::new();
    for name in ["fleet.jsonl", "fleet.jsonl.zst"] {
        let path = folder.join(name);
        let mut simulator = Simulator::new(&Fleet::default_eleven(), &everything()).unwrap();
        let mut calls = 0;
        let tally = simulator.write_recording(&path, |_| {
            calls += 1;
            true
        });
        assert_eq!(tally.unwrap().messages, messages.len() as u64);
        assert!(calls > 1);
        assert_eq!(simulator.write_labels(&folder.join("labels.jsonl")).unwrap(), labels.len());
        let bytes = std::fs::read(&path).unwrap();
        texts.push(if name.ends_with(".zst") { zstd::decode_all(&bytes[..]).unwrap() } else { bytes });
    }
    assert_eq!(texts[0], texts[1]);
    let mut read = 0;
    for (line, message) in texts[0].split(|byte| *byte == b'\n').zip(&messages) {
        let line = model::recording::parse_line(line).unwrap();
        let bytes = message.bytes.as_deref().map(std::borrow::Cow::Borrowed);
        let SimulatedMessage { partition, offset, broker_ms, .. } = *message;
        assert_eq!(line, model::recording::Line::Message { partition, offset, broker_ms, bytes });
        read += 1;
    }
    assert_eq!(read, messages.len());
    let error = Simulator::new(&Fleet::default_eleven(), &everything()).unwrap();
    assert!(error.write_labels(&folder.join("no/such/place")).unwrap_err().to_string().starts_with("could not create"));
    std::fs::remove_dir_all(&folder).unwrap();
}
