//! What `explain` says, redone from the store's rows alone by slow and obvious reckoning.

mod expression;
mod findings;
mod incidents;
mod rows;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::ops::ControlFlow;

use model::recording::{Line, parse_line, write_message};
use model::time::{format_ms, parse_rfc3339};
use model::{Catalogue, Contribution};

use super::*;
use findings::{MINUTE_MS, Place, same};
use rows::{State, States};

/// Faults of many kinds in one fleet; nine devices of a type are each other's peers.
const FLEET: &str = "simulate --to redo-fleet.jsonl.zst --duration 24h --period 60s --seed 5 --devices RTU-001:rooftop_unit \
    RTU-002:rooftop_unit RTU-003:rooftop_unit RTU-004:rooftop_unit RTU-005:rooftop_unit RTU-006:rooftop_unit RTU-007:rooftop_unit \
    RTU-008:rooftop_unit RTU-009:rooftop_unit CH-001:chiller MAU-001:makeup_air_unit AC-001:air_compressor \
    --fault RTU-001/fan_failure/severe/9h/90min --fault RTU-002/stuck_sensor/severe/10h/4h/supply_air_temp \
    --fault RTU-003/missing_metric/severe/11h/1h/fan_current --fault RTU-004/spike/severe/12h/3h/return_air_temp \
    --fault RTU-005/sensor_drift/severe/10h/5h --fault RTU-006/dirty_filter/severe/15h/2h \
    --fault CH-001/refrigerant_leak/severe/13h/2h --fault MAU-001/airflow_imbalance/severe/16h/1h \
    --fault AC-001/motor_overload/severe/14h/1h --fault RTU-007/economizer_stuck/severe/18h/2h --malformed 0.001 --late 0.001 \
    --duplicates 0.001";

const START_MS: i64 = 1_772_409_600_000;

/// States of each kind of finding that are explained.
const OF_A_KIND: usize = 4;

/// The fleet's recording with a device that comes now and then, and an air handler whose metrics others are derived from.
fn record(folder: &Path) {
    call(folder, FLEET);
    let packed = fs::read(folder.join("redo-fleet.jsonl.zst")).unwrap();
    let fleet = zstd::decode_all(packed.as_slice()).unwrap();
    let mut lines: Vec<(i64, Vec<u8>)> = Vec::new();
    for line in fleet.split_inclusive(|byte| *byte == b'\n') {
        let Ok(Line::Message { broker_ms, .. }) = parse_line(line.trim_ascii_end()) else { panic!("messages") };
        let minute = (broker_ms - START_MS) / MINUTE_MS;
        let gone = minute > 17 * 60 && minute % 5 < 2 && String::from_utf8_lossy(line).contains("\"RTU-008\"");
        if !gone {
            lines.push((broker_ms, line.to_vec()));
        }
    }
    for (offset, (time_ms, metric, value)) in (0i64..).zip(air_handler()) {
        let message = format!(
            r#"{{"device_id":"AHU-001","device_type":"air_handling_unit","timestamp":{time_ms},"metric_name":"{metric}","metric_value":{value:?}}}"#
        );
        let mut line = Vec::new();
        write_message(&mut line, 9, offset, time_ms, Some(message.as_bytes()));
        lines.push((time_ms, line));
    }
    lines.sort_by_key(|(broker_ms, _)| *broker_ms);
    let mut out = fs::File::create(folder.join("redo.jsonl")).unwrap();
    lines.iter().for_each(|(_, line)| out.write_all(line).unwrap());
}

/// An air handler with a little noise, whose coil heats by itself from 14:00 on.
fn air_handler() -> Vec<(i64, &'static str, f64)> {
    let noise = |minute: i64, salt: u8| {
        let mixed = model::hash::hash_bytes(&[&minute.to_le_bytes()[..], &[salt]].concat());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    };
    let mut sent = Vec::new();
    for minute in 0..24 * 60 {
        let (outdoor, returned) = (40.0 + 4.0 * noise(minute, 1), 72.0 + noise(minute, 2));
        let mixed = returned + 0.3 * (outdoor - returned) + 0.3 * noise(minute, 3);
        let leak = if (14 * 60..16 * 60).contains(&minute) { 4.0 } else { 0.0 };
        let supply = mixed + 1.0 + leak + 0.3 * noise(minute, 4);
        let metrics = ["outdoor_air_temp", "return_air_temp", "mixed_air_temp", "supply_air_temp", "supply_fan_status"];
        for (metric, value) in metrics.into_iter().zip([outdoor, returned, mixed, supply, 1.0]) {
            sent.push((START_MS + minute * MINUTE_MS + 20_000, metric, value));
        }
    }
    sent
}

/// Runs the job over it, with the peers speaking for themselves.
fn run(folder: &Path) -> States {
    let mut config = Config::default();
    config.detectors.usual.peers.decades = 3.0;
    config.detectors.usual.peers.after_windows = 360;
    let path = folder.join("redo.db");
    run_job_with(&config, &folder.join("redo.jsonl"), &path);
    rows::states(&mut SqliteStore::open(path).unwrap())
}

/// Of each kind of finding some states, of as many devices as there are.
fn chosen(states: &States) -> BTreeMap<String, Vec<(&str, &State)>> {
    let mut by_kind: BTreeMap<String, BTreeMap<&str, Vec<&State>>> = BTreeMap::new();
    for (device, states) in states {
        for state in states.values() {
            for (verdict, finding) in state.verdicts.iter().flat_map(|v| v.findings.iter().map(move |f| (v, f))) {
                let whole = if finding.kind == "centroid" && finding.metric.is_none() { " of the state" } else { "" };
                let kind = match verdict.method {
                    model::Method::Rules if finding.kind != "implausible" => "rule".to_owned(),
                    _ => format!("{}{whole}", finding.kind),
                };
                by_kind.entry(kind).or_default().entry(device).or_default().push(state);
            }
        }
    }
    // Of each device the one in the middle of all that are like it.
    let middle = |(device, states): (&'_ str, Vec<&'_ State>)| (device.to_owned(), states[states.len() / 2].start_ms);
    let mut chosen = BTreeMap::new();
    for (kind, of) in by_kind {
        let places: Vec<(String, i64)> = of.into_iter().map(middle).take(OF_A_KIND).collect();
        let place = |(device, start_ms): &(String, i64)| {
            let (device, own) = states.get_key_value(device).expect("it is one of them");
            (device.as_str(), &own[start_ms])
        };
        chosen.insert(kind, places.iter().map(place).collect());
    }
    chosen
}

#[test]
fn an_explanation_is_redone_from_the_store() {
    let folder = folder();
    record(folder);
    let states = run(folder);
    let chosen = chosen(&states);
    let kinds: BTreeSet<&str> = chosen.keys().map(String::as_str).collect();
    for kind in [
        "rule",
        "residual",
        "relation",
        "range",
        "jump",
        "centroid",
        "centroid of the state",
        "neighbours",
        "stuck",
        "missing",
        "peers",
    ] {
        assert!(kinds.contains(kind), "no state has a finding of the kind {kind:?}: {kinds:?}");
    }
    let mut wrong = Vec::new();
    let mut explained = BTreeSet::new();
    for (kind, places) in &chosen {
        for (device, state) in places {
            if explained.insert((*device, state.start_ms)) {
                let at = format_ms(state.start_ms);
                if let Err(error) = one(&states, device, state) {
                    wrong.push(format!("{kind} of {device} at {at}: {error}"));
                }
            }
        }
    }
    // What needs no page of its own is redone for every state.
    let (mut all, mut redone) = (Vec::new(), 0);
    for (device, own) in &states {
        for state in own.values().filter(|state| !state.verdicts.iter().all(|verdict| verdict.findings.is_empty())) {
            redone += 1;
            all.extend(
                Place { states: &states, device, state }
                    .check()
                    .err()
                    .map(|e| format!("{device} {}: {e}", format_ms(state.start_ms))),
            );
        }
    }
    expectations(&states);
    let all_findings =
        states.values().flat_map(BTreeMap::values).flat_map(|state| &state.verdicts).flat_map(|v| &v.findings);
    let (with, without): (Vec<_>, Vec<_>) =
        all_findings.filter(|f| matches!(f.kind.as_str(), "residual" | "relation")).partition(|f| !f.parts.is_empty());
    // A state that lacks a value to judge adds nothing to an average.
    assert!(without.len() * 50 < with.len(), "{} of {} can't be redone", without.len(), with.len());
    println!("{} states explained, {redone} redone, kinds {kinds:?}", explained.len());
    assert!(
        wrong.is_empty() && all.is_empty(),
        "{} and {} differ:\n{}\n\n{}",
        wrong.len(),
        all.len(),
        wrong.join("\n"),
        all[..all.len().min(60)].join("\n")
    );
}

/// Something is expected of every measurement once its device is known, and of nothing before.
fn expectations(states: &States) {
    let mut of_fan = BTreeSet::new();
    for (device, own) in states {
        for state in own.values() {
            let at = format_ms(state.start_ms);
            let learns = state.verdicts[1].warm_up < 1.0;
            assert!(state.expected.keys().eq(state.band.keys()), "{device} {at}");
            assert!(!learns || state.expected.is_empty(), "{device} at {at} learns, and expects {:?}", state.expected);
            assert!(state.band.values().all(|band| *band > 0.0), "{device} {at}: {:?}", state.band);
            let known = Catalogue::builtin().types.get(&state.device_type).unwrap();
            for metric in state.expected.keys() {
                let kind = known.metrics[metric].kind;
                let is_predicted = matches!(kind, model::MetricKind::Gauge | model::MetricKind::Derived);
                assert!(is_predicted && state.values.contains_key(metric), "{device} {at} {metric}");
            }
            // A broken message may have taken its reading.
            if device == "RTU-006" && state.mean.contains_key("fan_current") {
                of_fan.insert((learns, state.expected.contains_key("fan_current")));
            }
        }
    }
    assert_eq!(of_fan, BTreeSet::from([(true, false), (false, true)]));
}

/// The page of one state against the rows.
fn one(states: &States, device: &str, state: &State) -> Result<(), String> {
    let at = format_ms(state.start_ms);
    let page = json(&format!("explain --store sqlite:redo.db --device {device} --at {at} --json"));
    if page["verdicts"] != serde_json::to_value(&state.verdicts).unwrap() {
        return Err("its verdicts are not the row's".to_owned());
    }
    metrics(device, state, &page)?;
    for incident in page["incidents"].as_array().unwrap().iter().filter(|one| one["kind"] == "anomaly") {
        let time = |name: &str| parse_rfc3339(incident[name].as_str().unwrap()).unwrap();
        let parts: Vec<Contribution> =
            serde_json::from_value(incident["contributions"].clone()).map_err(|e| e.to_string())?;
        let within: Vec<&State> = states[device].range(time("start")..time("end")).map(|(_, state)| state).collect();
        incidents::check(&parts, &within).map_err(|error| format!("{error} in {incident}"))?;
        similar(states, device, incident)?;
    }
    Ok(())
}

/// Metrics from the readings as they were sent, and those that are derived from the formulas' text.
fn metrics(device: &str, state: &State, page: &Json) -> Result<(), String> {
    let mut store = SqliteStore::open(folder().join("redo.db")).unwrap();
    let mut readings: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    let day = [Value::Text(device.to_owned()), Value::Text(model::time::date_of(state.start_ms))];
    let take = &mut |row: model::Row| {
        let time_ms = row.value("timestamp").as_int().unwrap();
        if (state.start_ms..state.start_ms + MINUTE_MS).contains(&time_ms)
            && *row.value("is_late") == Value::Bool(false)
        {
            let metric = row.value("metric_name").as_text().unwrap();
            let unit = row.value("unit").as_text();
            let to = Catalogue::builtin().conversion(&state.device_type, metric, unit).unwrap();
            let value = row.value("metric_value").as_double().unwrap() * to.scale + to.offset;
            readings.entry(metric.to_owned()).or_default().insert(time_ms, value);
        }
        ControlFlow::Continue(())
    };
    store.scan(TableId::DeviceMetricsRaw, &day, take).unwrap();
    let names = |map: &Json| map.as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();
    if names(&page["metrics"]) != readings.keys().cloned().collect() {
        return Err(format!("readings of {:?}", readings.keys()));
    }
    for (metric, readings) in &readings {
        let values: Vec<f64> = readings.values().copied().collect();
        let count = values.len() as f64;
        let redone = [
            ("last", values[values.len() - 1]),
            ("mean", values.iter().fold(0.0, |sum, value| sum + value) / count),
            ("min", values.iter().copied().fold(f64::INFINITY, f64::min)),
            ("max", values.iter().copied().fold(f64::NEG_INFINITY, f64::max)),
            ("count", count),
        ];
        for (part, redone) in redone {
            if page["metrics"][metric][part].as_f64() != Some(redone) {
                return Err(format!("{part} of {metric} is {redone}, not {}", page["metrics"][metric]));
            }
        }
        let row = [state.last[metric], state.mean[metric], state.min[metric], state.max[metric], state.count[metric]];
        if row != redone.map(|(_, value)| value) {
            return Err(format!("{metric} is {redone:?}, and {row:?} in its row"));
        }
    }
    let derived: BTreeMap<&String, f64> =
        state.values.iter().filter(|(name, _)| !state.mean.contains_key(*name)).map(|(n, v)| (n, *v)).collect();
    let said = page["derived"].as_object().unwrap();
    let is_same = said.len() == derived.len()
        && derived.iter().all(|(name, value)| {
            said.get(*name).and_then(|one| one["mean"].as_f64()).is_some_and(|mean| same(mean, *value))
        });
    is_same.then_some(()).ok_or(format!("derived are {derived:?}, not {said:?}"))
}

/// The earlier states are normal ones that the store has. Their cosines can't be redone: rows have projections of the vectors to 384
/// dimensions, and exemplars are rescaled when the models are fitted anew.
fn similar(states: &States, device: &str, incident: &Json) -> Result<(), String> {
    let own = &states[device];
    let peak_ms = parse_rfc3339(incident["peak_at"].as_str().unwrap()).unwrap();
    let Some(similar) = incident["similar"].as_array() else { return Ok(()) };
    for earlier in similar {
        let Some(at_ms) = earlier["at"].as_str().and_then(parse_rfc3339) else { continue };
        let (Some(peak), Some(other)) = (own.get(&peak_ms), own.get(&at_ms)) else {
            return Err(format!("there is no state at {earlier}"));
        };
        let votes = other.verdicts.iter().any(dataflow::commands::explain::votes);
        let is_before = earlier["at"].as_str() < incident["end"].as_str();
        if !is_before || votes || peak.vector.len() != other.vector.len() {
            return Err(format!("{earlier} is no normal state before"));
        }
    }
    Ok(())
}
