//! The monitor as the job uses it: healthy devices stay quiet, faults are found and explained, state survives a restart.

mod fleet;

use expect_test::expect;
use fleet::{Noise, START_MS, WIDTH_MS, Watched, single};
use model::{Incident, IncidentStatus, StateView};
use proptest::prelude::*;
use udfs::{Monitor, MonitorConfig};

const TYPES: [&str; 5] = ["rooftop_unit", "makeup_air_unit", "chiller", "cooling_tower", "air_compressor"];

fn line(incident: &Incident) -> String {
    let minute = |ms: i64| (ms - START_MS) / WIDTH_MS;
    format!(
        "{} {:?} {} {}..{} transition {} {}: {}",
        incident.kind,
        incident.status,
        incident.severity.name(),
        minute(incident.start_ms),
        minute(incident.end_ms),
        incident.transition,
        incident.methods.iter().map(|method| method.name()).collect::<Vec<_>>().join("+"),
        incident.summary
    )
}

#[test]
fn healthy_devices_have_about_an_incident_in_a_month_or_less() {
    let mut opened = 0;
    for day_cycle in [false, true] {
        for kind in TYPES {
            let mut watched = Watched::new(kind, 11, day_cycle);
            for _ in 0..30 * 1_440 {
                opened += watched.step().incidents.iter().filter(|i| i.status == IncidentStatus::Closed).count();
            }
        }
    }
    assert!(opened <= 10, "{opened} incidents in 10 device-months");
}

#[test]
fn faults_are_found() {
    // What is left out can't be seen within hours: a damper that stands still among its own noise, a coil that need not heat.
    let faults = [
        ("rooftop_unit", "sensor_drift"),
        ("rooftop_unit", "fan_failure"),
        ("rooftop_unit", "dirty_filter"),
        ("makeup_air_unit", "fan_bearing_failure"),
        ("makeup_air_unit", "airflow_imbalance"),
        ("chiller", "compressor_failure"),
        ("chiller", "refrigerant_leak"),
        ("chiller", "low_flow"),
        ("chiller", "fouled_condenser"),
        ("cooling_tower", "fan_failure"),
        ("cooling_tower", "scale_buildup"),
        ("cooling_tower", "low_water_level"),
        ("air_compressor", "pressure_leak"),
        ("air_compressor", "motor_overload"),
        ("air_compressor", "overheating"),
        ("air_compressor", "oil_system_failure"),
    ];
    for (kind, fault) in faults {
        let mut watched = Watched::new(kind, 21, true);
        for minute in 0..480 {
            let judgement = watched.step();
            assert!(judgement.incidents.is_empty(), "{kind} at {minute}: {:?}", judgement.incidents);
        }
        watched.device.fault = fault;
        let found = (0..360).any(|_| watched.step().incidents.iter().any(|incident| incident.kind == "anomaly"));
        assert!(found, "{kind} {fault}");
    }
}

#[test]
fn a_fan_failure_from_first_sign_to_close() {
    let mut watched = Watched::new("rooftop_unit", 5, true);
    let mut lines = Vec::new();
    let mut last = None;
    for minute in 0..900 {
        watched.device.fault = if (600..660).contains(&minute) { "fan_failure" } else { "" };
        for incident in watched.step().incidents {
            if last.as_ref() != Some(&(incident.transition, incident.status)) {
                lines.push(line(&incident));
                last = Some((incident.transition, incident.status));
            }
            if incident.status == IncidentStatus::Closed {
                for part in &incident.contributions {
                    lines.push(format!(
                        "  {} {:.2}: {} {:.1} {} expected {}",
                        part.metric,
                        part.share,
                        part.kind,
                        part.observed,
                        part.unit,
                        part.expected.map_or("-".to_owned(), |expected| format!("{expected:.1}"))
                    ));
                }
                assert!(!incident.similar.is_empty());
            }
        }
    }
    expect![[r#"
        anomaly Open critical 608..618 transition 1 rules+statistics: the unit cools and the fan hardly turns (179.46 against 400.00, for 5 windows); found by rules, statistics
        anomaly Closed critical 608..663 transition 2 rules+statistics: the unit cools and the fan hardly turns (311.47 against 400.00, for 50 windows); found by rules, statistics
          fan_speed 0.79: residual 179.5 RPM expected 1419.8
          fan_current 0.21: residual 8.0 Amps expected 21.1"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn nothing_is_reported_in_the_warm_up() {
    let mut watched = Watched::new("air_compressor", 3, true);
    watched.device.fault = "pressure_leak";
    for minute in 0..MonitorConfig::default().warm_up_windows {
        if minute % 50 == 0 {
            watched.device.fault = if minute % 100 == 0 { "pressure_leak" } else { "" };
        }
        let judgement = watched.step();
        assert_eq!(judgement.severity, None, "{minute}");
        assert!(judgement.incidents.is_empty());
        assert_eq!(judgement.verdicts.len(), 4);
        assert!(judgement.verdicts[1..].iter().all(|verdict| verdict.warm_up < 1.0));
    }
}

#[test]
fn a_critical_rule_speaks_in_the_warm_up() {
    let mut watched = Watched::new("cooling_tower", 3, true);
    watched.device.fault = "low_water_level";
    let first = (0..100).find_map(|_| watched.step().incidents.first().map(line));
    assert!(first.is_some_and(|text| text.contains("critical") && text.contains("the basin is nearly empty")));
}

/// One metric of a type that the catalogue lacks.
fn one_metric(monitor: &mut Monitor, config: &MonitorConfig, minute: i64, value: f64) -> model::Judgement {
    let names = ["x".to_owned()];
    let metrics = [Some(single(value))];
    let start_ms = START_MS + minute * WIDTH_MS;
    monitor.observe(
        config,
        &StateView { start_ms, width_ms: WIDTH_MS, device_type: None, names: &names, metrics: &metrics },
    )
}

/// An outlier at the third reading must not widen the deviation for hours.
#[test]
fn an_outlier_among_the_first_readings_does_not_blind() {
    let config = MonitorConfig { warm_up_windows: 200, ..MonitorConfig::default() };
    let mut monitor = Monitor::new("D-1");
    let mut noise = Noise::new(1);
    for minute in 0..303 {
        let value = match minute {
            0 | 1 => 1.0,
            2 => 500.0,
            _ => 1.0 + 0.05 * noise.normal().clamp(-1.0, 1.0),
        };
        let judgement = one_metric(&mut monitor, &config, minute, value);
        assert_eq!(judgement.severity, None, "{minute}: {:?}", judgement.verdicts);
    }
    let judgement = one_metric(&mut monitor, &config, 303, 3.0);
    assert!(judgement.severity.is_some(), "{:?}", judgement.verdicts);
    let stats = monitor.profile().metric_stats["x"];
    assert!(stats.max < 2.0 && stats.std < 0.1, "{stats:?}");
}

#[test]
fn a_silent_device_a_stuck_and_a_missing_metric_have_incidents_of_their_own() {
    let mut watched = Watched::new("air_compressor", 9, true);
    let mut lines = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut note = |incidents: Vec<Incident>, lines: &mut Vec<String>| {
        for incident in incidents {
            if seen.insert((incident.kind.clone(), incident.transition)) {
                lines.push(line(&incident));
            }
        }
    };
    for minute in 0..900 {
        let mut values: Vec<Option<f64>> = watched.device.step().into_iter().map(Some).collect();
        if (500..620).contains(&minute) {
            values[7] = Some(161.25);
        }
        if (700..710).contains(&minute) {
            values[8] = None;
        }
        if (800..820).contains(&minute) {
            let start_ms = watched.start_ms;
            if watched.monitor.silent_due_ms(&watched.config, WIDTH_MS) == Some(start_ms) {
                note(watched.monitor.silent(&watched.config, start_ms, WIDTH_MS), &mut lines);
                assert_eq!(watched.monitor.silent_due_ms(&watched.config, WIDTH_MS), None);
            }
            watched.start_ms += WIDTH_MS;
            continue;
        }
        note(watched.observe(&values).incidents, &mut lines);
    }
    expect![[r#"
        stuck:oil_temp Open info 500..561 transition 1 statistics: oil_temp stands at exactly 161.25 °F for 61 windows
        stuck:oil_temp Closed info 500..620 transition 2 statistics: oil_temp stands at exactly 161.25 °F for 120 windows
        missing:cooling_water_temp Open info 700..705 transition 1 statistics: cooling_water_temp is missing for 5 windows, its last value was 75.50 °F
        missing:cooling_water_temp Closed info 700..710 transition 2 statistics: cooling_water_temp is missing for 10 windows, its last value was 75.50 °F
        silent Open warning 800..805 transition 1 statistics: the device is silent since 2026-03-02T13:20:00Z
        silent Closed warning 800..820 transition 2 statistics: the device was silent from 2026-03-02T13:20:00Z to 2026-03-02T13:40:00Z"#]].assert_eq(&lines.join("\n"));
}

#[test]
fn a_rule_without_its_metric_is_not_applicable() {
    let mut watched = Watched::new("chiller", 4, true);
    for minute in 0..200 {
        let mut values: Vec<Option<f64>> = watched.device.step().into_iter().map(Some).collect();
        values[13] = if minute >= 100 { None } else { values[13] };
        let verdict = &watched.observe(&values).verdicts[0];
        assert_eq!(verdict.severity, None, "{verdict:?}");
    }
}

#[test]
fn new_metrics_become_new_slots() {
    let mut watched = Watched::new("rooftop_unit", 6, true);
    let mut noise = Noise::new(2);
    for _ in 0..500 {
        watched.step();
    }
    watched.names.push("zone_temp".to_owned());
    let mut last = None;
    for _ in 0..600 {
        let mut values: Vec<Option<f64>> = watched.device.step().into_iter().map(Some).collect();
        values.push(Some(71.0 + 0.2 * noise.normal()));
        let judgement = watched.observe(&values);
        assert!(judgement.incidents.is_empty(), "{:?}", judgement.incidents);
        last = judgement.vector;
    }
    assert_eq!(last.map(|vector| (vector.len(), vector[15])), Some((16, 15f64.sqrt())));
    let profile = watched.monitor.profile();
    assert!((70.5..71.5).contains(&profile.metric_stats["zone_temp"].mean));
    assert_eq!(profile.centroid.map(|centroid| centroid.len()), Some(16));
}

#[test]
fn a_lasting_new_level_is_the_new_normal_after_relearn() {
    let mut watched = Watched::new("air_compressor", 8, true);
    watched.config.relearn_windows = 600;
    let mut ends = Vec::new();
    for minute in 0..4_000 {
        watched.device.fault = if minute >= 600 { "overheating" } else { "" };
        for incident in watched.step().incidents {
            if incident.status == IncidentStatus::Closed {
                ends.push((minute, incident.summary));
            }
        }
        // The rule goes on: it knows better than habit.
    }
    assert!(ends[0].1.ends_with("it lasts, so it is taken as the new normal"), "{ends:?}");
}

#[test]
fn unknown_settings_are_refused() {
    let error = serde_json::from_str::<MonitorConfig>(r#"{"warmup":3}"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `warmup`"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Saved and restored anywhere, a monitor goes on with the same bits.
    #[test]
    fn a_restored_monitor_goes_on_the_same(seed in 0u64..1000, cut in 1usize..1500, kind in 0usize..5) {
        let kind = TYPES[kind];
        let fault = ["sensor_drift", "airflow_imbalance", "refrigerant_leak", "scale_buildup", "overheating"];
        let fault = fault[TYPES.iter().position(|known| *known == kind).unwrap()];
        let mut one = Watched::new(kind, seed, true);
        let mut other = Watched::new(kind, seed, true);
        for minute in 0..1_600 {
            for watched in [&mut one, &mut other] {
                watched.device.fault = if (700..800).contains(&minute) { fault } else { "" };
            }
            if minute == cut {
                let saved = bincode::serialize(&one.monitor).unwrap();
                one.monitor = bincode::deserialize(&saved).unwrap();
            }
            prop_assert_eq!(one.step(), other.step());
        }
        prop_assert_eq!(bincode::serialize(&one.monitor).unwrap(), bincode::serialize(&other.monitor).unwrap());
    }
}
