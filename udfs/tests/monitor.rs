//! The monitor as the job uses it: healthy devices stay quiet, faults are found and explained, state survives a restart.

mod fleet;
use expect_test::expect;
use fleet::{Noise, START_MS, WIDTH_MS, Watched, single};
use model::{Incident, IncidentStatus, Method, StateView};
use proptest::prelude::*;
use udfs::{Monitor, MonitorConfig};

const TYPES: [&str; 5] = ["rooftop_unit", "makeup_air_unit", "chiller", "cooling_tower", "air_compressor"];

/// What is left out can't be seen within hours: a damper that stands still, a coil that need not heat, scale in warm weather.
const FAULTS: [(&str, &str); 15] = [
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
    ("cooling_tower", "low_water_level"),
    ("air_compressor", "pressure_leak"),
    ("air_compressor", "motor_overload"),
    ("air_compressor", "overheating"),
    ("air_compressor", "oil_system_failure"),
];

const KNOWN: i64 = 1_440; // every hour of a day has been seen; before, more is asked

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
    for (kind, fault) in FAULTS {
        let mut watched = Watched::new(kind, 21, true);
        for minute in 0..KNOWN + 480 {
            let judgement = watched.step();
            assert!(judgement.incidents.is_empty(), "{kind} at {minute}: {:?}", judgement.incidents);
        }
        watched.device.fault = fault;
        assert!((0..360).any(|_| watched.step().incidents.iter().any(|one| one.kind == "anomaly")), "{kind} {fault}");
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
        anomaly Open critical 609..618 transition 1 rules+statistics: the unit cools and the fan hardly turns: fan_speed down to 168.07 RPM where 1426.38 is expected; for 9 windows; found by rules, statistics
        anomaly Closed critical 609..663 transition 2 rules+statistics: the unit cools and the fan hardly turns: fan_speed down to 0.00 RPM where 1424.26 is expected, 2 more metrics; for 54 windows; found by rules, statistics
          fan_speed 0.46: relation 0.0 RPM expected 1424.3
          power_consumption 0.39: relation 30.9 kW expected 6.8
          fan_current 0.14: relation 4.0 Amps expected 20.6"#]].assert_eq(&lines.join("\n"));
}

/// What a technician reads is what was there: each metric's number is its furthest over the incident's windows, the peak is
/// where the first of them was, and the length in words is that of the incident. All of it is counted again from the values.
#[test]
fn an_incident_tells_the_numbers_of_its_windows() {
    for (kind, fault) in FAULTS {
        for seed in [21, 22] {
            let mut watched = Watched::new(kind, seed, true);
            let mut rows: Vec<(i64, Vec<f64>)> = Vec::new();
            let mut closed = Vec::new();
            for minute in 0..1_100 {
                watched.device.fault = if (600..720).contains(&minute) { fault } else { "" };
                let values = watched.device.step();
                rows.push((watched.start_ms, values.clone()));
                let judgement = watched.observe(&values.into_iter().map(Some).collect::<Vec<_>>());
                closed.extend(judgement.incidents.into_iter().filter(|i| i.status == IncidentStatus::Closed));
            }
            for incident in &closed {
                if incident.kind != "anomaly" {
                    continue;
                }
                let text = line(incident);
                let within: Vec<&(i64, Vec<f64>)> =
                    rows.iter().filter(|(at, _)| (incident.start_ms..incident.end_ms).contains(at)).collect();
                assert!(text.contains(&format!("; for {} windows;", within.len())), "{text}");
                assert!((incident.start_ms..=incident.detected_ms).contains(&incident.start_ms));
                for (rank, part) in incident.contributions.iter().enumerate() {
                    if part.metric == "run_hours" {
                        continue;
                    }
                    let slot = watched.names.iter().position(|name| *name == part.metric).unwrap();
                    let of = |row: &&(i64, Vec<f64>)| row.1[slot];
                    let low = within.iter().map(of).fold(f64::INFINITY, f64::min);
                    let high = within.iter().map(of).fold(f64::NEG_INFINITY, f64::max);
                    assert!(part.observed == low || part.observed == high, "{part:?} of {low}..{high} {text}");
                    if rank == 0 {
                        let healthy: f64 = rows[..600].iter().map(|row| row.1[slot]).sum();
                        let upwards = part.observed > part.expected.unwrap_or(healthy / 600.0);
                        let (way, furthest) = if upwards { ("up", high) } else { ("down", low) };
                        assert!(text.contains(&format!("{} {way} to {furthest:.2}", part.metric)), "{text}");
                        let first = within.iter().find(|row| of(row) == part.observed).unwrap();
                        assert_eq!(incident.peak_ms, first.0, "{text}");
                    }
                }
            }
        }
    }
}

/// When the fault is over the incident soon is, too: an average that remembers must not keep it open for an hour.
#[test]
fn an_incident_ends_soon_after_its_fault() {
    let mut late = Vec::new();
    for (kind, fault) in FAULTS {
        let mut watched = Watched::new(kind, 31, true);
        let mut end = None;
        for minute in 0..KNOWN + 1_000i64 {
            watched.device.fault = if (KNOWN + 600..KNOWN + 720).contains(&minute) { fault } else { "" };
            for incident in watched.step().incidents {
                if incident.kind == "anomaly" && incident.start_ms < START_MS + (KNOWN + 720) * WIDTH_MS {
                    end = Some((incident.end_ms - START_MS) / WIDTH_MS - KNOWN - 720);
                }
            }
        }
        late.push((end.unwrap_or_else(|| panic!("{kind} {fault} is found")), fault));
    }
    late.sort_unstable();
    assert!(late[late.len() / 2].0 <= 25 && late[late.len() - 1].0 <= 60, "{late:?}");
}

/// A device whose alarm or whose first hour of cooling is new must not be left alone while a rule says that it fails.
#[test]
fn a_new_operating_point_excuses_nothing_while_a_rule_is_broken() {
    let mut watched = Watched::new("chiller", 4, true);
    let mut methods = Vec::new();
    for minute in 0..660 {
        watched.device.fault = if minute >= 600 { "low_flow" } else { "" };
        let judgement = watched.step();
        if minute == 600 || minute == 601 {
            // The alarm was never on before, and its rule is not confirmed yet.
            let finding = &judgement.verdicts[1].findings[0];
            let learned = minute - 600;
            assert_eq!(finding.kind, "new_operating_point");
            assert_eq!(
                finding.text,
                format!("new operating point: alarm_status is on, {learned} of 60 windows learned")
            );
            assert!(judgement.severity.is_none() && judgement.verdicts[1].warm_up < 1.0);
        }
        methods.extend(judgement.incidents.into_iter().map(|incident| incident.methods).next_back());
    }
    let last = methods.last().expect("an incident");
    assert!(last.contains(&Method::Rules) && last.contains(&Method::Statistics), "{last:?}");
}

#[test]
fn a_device_is_silent_only_once_its_rhythm_is_known() {
    let mut watched = Watched::new("chiller", 4, true);
    for seen in 1..=10 {
        watched.step();
        let due_ms = watched.monitor.silent_due_ms(&watched.config, WIDTH_MS);
        let known = (seen >= 5).then_some(START_MS + (seen - 1 + 5) * WIDTH_MS);
        assert_eq!(due_ms, known, "after {seen} windows");
    }
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
        &StateView {
            start_ms,
            width_ms: WIDTH_MS,
            device_type: None,
            names: &names,
            metrics: &metrics,
            peers: &[],
            peers_ms: 0,
            offset_ms: 0,
        },
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
