//! Commands that read results.

use super::*;

#[test]
fn incidents_are_listed_by_start() {
    check(
        &format!("incidents {STORE} --device CH-001 --from 10:30 --to 12:00"),
        expect![[r#"
            exit 0
             id        device  kind    severity  start (UTC)       end               lasted  furthest seen  methods     summary
             111a43f8  CH-001  silent  warning   2026-03-02 11:00  2026-03-02 11:30  30 min                 statistics  the device was silent from 2026-03-02T11:00:00Z to 2026-03-02T11:30:00Z
        "#]],
    );
    let all = json(&format!("incidents list {STORE} --json"));
    let starts: Vec<&str> = all.as_array().unwrap().iter().map(|one| one["start"].as_str().unwrap()).collect();
    assert!(starts.is_sorted() && starts.len() >= 2, "{starts:?}");
    assert!(all.as_array().unwrap().iter().any(|one| {
        one["device_id"] == "RTU-001" && one["contributions"][0]["metric"] == "fan_speed" && one["kind"] == "anomaly"
    }));
    check(&format!("incidents {STORE} --open"), expect!["exit 0\nNo incidents.\n"]);
    assert_eq!(json(&format!("incidents {STORE} --to 2026-03-01 --json")), serde_json::json!([]));
}

/// A silent device confirms no window any more, so the row of its open incident stays as it is while hours pass.
#[test]
fn an_open_incident_lasts_until_the_newest_time_of_the_store() {
    fs::copy(folder().join("day.db"), folder().join("open.db")).unwrap();
    let mut store = SqliteStore::open(folder().join("open.db")).unwrap();
    let mut rows = Vec::new();
    let mut add = |row: model::Row| {
        rows.extend((row.value("anomaly_type").as_text() == Some("silent")).then_some(row));
        std::ops::ControlFlow::Continue(())
    };
    store.scan(TableId::AnomalyEvents, &[], &mut add).unwrap();
    for row in &mut rows {
        let at = row.table().columns.iter().position(|column| column.name == "status").unwrap();
        (row.values[at], row.version) = (Value::Text("open".to_owned()), row.version.next());
    }
    store.write(&rows).unwrap();
    drop(store);
    // From 11:00, confirmed until 11:30; the newest reading is of 13:59.
    let text = call(folder(), "incidents --store sqlite:open.db --open --from 13:00");
    assert!(
        text.contains(" CH-001  silent  warning   2026-03-02 11:00  open ") && text.contains(" 2 h 59 min "),
        "{text}"
    );
    let listed = json("incidents --store sqlite:open.db --open --from 13:00 --json");
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["end"]), (1, &"2026-03-02T11:30:00Z".into()));
    let hours = listed[0]["duration_ms"].as_i64().unwrap() / 60_000;
    assert!((175..=180).contains(&hours), "{listed}");
}

#[test]
fn a_state_is_explained_with_numbers_that_can_be_redone() {
    let text = call(folder(), &format!("explain {STORE} --device RTU-001 --at 10:07 --metric power_consumption"));
    for part in [
        "exit 0\nRTU-001, rooftop_unit, building-A, bldg-001\nState of 2026-03-02 10:07 (1 min, 14 readings)",
        "\nCourse from ",
        "  fan_speed         ▆",
        "  power_consumption ",
        "▲ this state",
        "\nWhat each method says\n",
        "the fan stands still",
        " methods report",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no colours on a pipe");

    let state = json(&format!("explain {STORE} --device RTU-001 --at 2026-03-02T10:07:42Z --json"));
    assert_eq!((&state["start"], &state["readings"]), (&"2026-03-02T10:07:00Z".into(), &14.into()));
    let numbers = |name: &str| -> Vec<f64> {
        state[name].as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    };
    let votes: Vec<bool> = state["votes"].as_array().unwrap().iter().map(|vote| vote.as_bool().unwrap()).collect();
    let verdicts = state["verdicts"].as_array().unwrap().iter().zip(numbers("weights")).zip(votes);
    let doubt: f64 = verdicts
        .filter(|(_, vote)| *vote)
        .map(|((verdict, weight), _)| 1.0 - weight * verdict["score"].as_f64().unwrap())
        .product();
    assert!((1.0 - doubt - state["score"].as_f64().unwrap()).abs() < 1e-12, "{state}");
    let fan = &state["metrics"]["fan_speed"];
    assert!(fan["unit"] == "RPM" && fan["min"].as_f64() <= fan["mean"].as_f64() && fan["count"] == 1, "{fan}");
    let points = state["series"]["fan_speed"]["points"].as_array().unwrap();
    assert!(points.contains(&serde_json::json!(["2026-03-02T10:07:00Z", fan["mean"]])), "{points:?}");
}

#[test]
fn what_can_not_be_explained_is_said() {
    check(
        &format!("explain {STORE} --device CH-001 --at 11:10"),
        expect![[r#"
            exit 2
            error: device "CH-001" has no state at 2026-03-02T11:10:00Z; nearest: 2026-03-02 10:59 and 2026-03-02 11:30; incident "silent" lasts then: the device was silent from 2026-03-02T11:00:00Z to 2026-03-02T11:30:00Z
        "#]],
    );
    check(
        &format!("explain {STORE} --device CH-1 --at 11:10"),
        expect![[r#"
            exit 2
            error: device "CH-1" is not in the store; did you mean "CH-001"?
        "#]],
    );
    check(
        &format!("explain {STORE} --device CH-001 --at noon"),
        expect![[r#"
            exit 2
            error: time "noon" is none; write it such as 2026-03-02T09:30:00Z, "2026-03-02 09:30" or 09:30 (UTC, on the newest day)
        "#]],
    );
    check(
        &format!("explain {STORE} --device CH-001 --at 09:00 --metric fan_speed"),
        expect![[r#"
            exit 2
            error: metric "fan_speed" is not in this state; it has alarm_status, capacity_percentage, chilled_water_delta_t, chilled_water_flow_rate, chilled_water_return_temp, chilled_water_supply_temp, compressor_current, compressor_status, condenser_water_flow_rate, condenser_water_return_temp, condenser_water_supply_temp, cop, power_consumption, refrigerant_pressure_cond
        "#]],
    );
}

/// Two faults, and a day and a half later both again, in the other order.
#[test]
fn the_same_fault_of_another_day_is_found_first() {
    call(
        folder(),
        "simulate --to again.jsonl.zst --duration 64h --period 60s --devices RTU-001:rooftop_unit \
         --fault RTU-001/fan_failure/severe/15h/1h --fault RTU-001/dirty_filter/severe/21h/1h \
         --fault RTU-001/dirty_filter/severe/55h/1h --fault RTU-001/fan_failure/severe/61h/1h",
    );
    run_job(folder(), "again");
    let similar = "similar --store sqlite:again.db --device RTU-001 --apart 2h --limit 3 --json";
    for (at, fault) in [("03-04T07:40", "03-02T21"), ("03-04T13:40", "03-02T15")] {
        let found = json(&format!("{similar} --at 2026-{at}:00Z"));
        let first = &found["similar"][0];
        assert!(first["at"].as_str().unwrap().starts_with(&format!("2026-{fault}:")), "{at}: {found:#}");
    }
}

/// Redone from the dump with another way of reckoning.
#[test]
fn similar_states_are_the_nearest_of_all() {
    let found = json(&format!("similar {STORE} --device RTU-001 --at 13:07 --limit 5 --apart 20min --json"));
    let table = |name: &str| -> Vec<Json> {
        let output = output(folder(), &format!("store dump {STORE} --table {name}"));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let unit = |row: &Json| -> Vec<f64> {
        let vector: Vec<f64> = serde_json::from_value(row["embedding"].clone()).unwrap();
        let norm = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
        vector.into_iter().map(|part| part / norm).collect()
    };
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let distinct: BTreeMap<i64, Vec<f64>> =
        table("state_vectors").iter().map(|row| (row["vector_id"].as_i64().unwrap(), unit(row))).collect();
    let own = |row: &Json| row["device_id"] == "RTU-001" && row["embedding_method"] == "projection-1";
    let exact: BTreeMap<String, Vec<f64>> = table("device_state_snapshots")
        .iter()
        .filter(|row| own(row))
        .map(|row| (row["snapshot_time"].as_str().unwrap().to_owned(), unit(row)))
        .collect();
    let occurrences: Vec<Json> = table("state_occurrences").into_iter().filter(|row| own(row)).collect();
    assert!(distinct.len() * 4 < occurrences.len() * 3, "{} of {}", distinct.len(), occurrences.len());
    let coarse = |row: &Json| &distinct[&row["vector_id"].as_i64().unwrap()];
    let at = |row: &Json| row["snapshot_time"].as_str().unwrap().to_owned();
    let time = |row: &Json| model::time::parse_rfc3339(&at(row)).unwrap();
    let here = occurrences.iter().find(|row| at(row) == "2026-03-02T13:07:00Z").unwrap();
    let mut others: Vec<(f64, i64, String)> = occurrences
        .iter()
        .filter(|row| (time(row) - time(here)).abs() >= 20 * 60_000)
        .map(|row| (cosine(coarse(row), coarse(here)), time(row), at(row)))
        .collect();
    assert_eq!(found["states_compared"], others.len());
    others.sort_by(|a, b| b.partial_cmp(a).unwrap());
    // Four times as many as asked for and 64 more are looked at closely.
    let mut nearest: Vec<(f64, i64, String)> = others[..84]
        .iter()
        .map(|(_, time, at)| (cosine(&exact[at], &exact["2026-03-02T13:07:00Z"]), *time, at.clone()))
        .collect();
    nearest.sort_by(|a, b| b.partial_cmp(a).unwrap());
    let similar = found["similar"].as_array().unwrap();
    assert_eq!(similar.len(), 5);
    for (found, (cosine, _, at)) in similar.iter().zip(nearest) {
        assert_eq!(found["at"], at);
        assert!((found["similarity"].as_f64().unwrap() - cosine).abs() < 1e-9, "{found} against {cosine}");
        assert!(!found["differences"].as_array().unwrap().is_empty());
    }
    let text = call(folder(), &format!("similar {STORE} --device RTU-001 --at 10:07 --any-device --limit 3"));
    assert!(text.starts_with("exit 0\nRTU-001 at 2026-03-02 10:07 (unusual) against "), "{text}");
    // The incident that the state belongs to began at 09:44 and is no other time.
    let found = json(&format!("similar {STORE} --device RTU-001 --at 10:20 --limit 1000 --apart 0s --json"));
    let times: Vec<&str> =
        found["similar"].as_array().unwrap().iter().map(|found| found["at"].as_str().unwrap()).collect();
    let within = |time: &&&str| ("2026-03-02T10:10:00Z".."2026-03-02T10:25:00Z").contains(*time);
    assert!(times.len() > 300 && !times.iter().any(|time| within(&time)), "{times:?}");
    check(
        &format!("similar {STORE} --device RTU-001 --at 00:07"),
        expect![[r#"
            exit 2
            error: state of 2026-03-02 00:07 has no vector: the device was still warming up, or the run had no embedder
        "#]],
    );
}

#[test]
fn devices_are_listed_with_what_is_normal() {
    let devices = json(&format!("profiles {STORE} --json"));
    let ids: Vec<&str> = devices.as_array().unwrap().iter().map(|one| one["device_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["CH-001", "RTU-001"]);
    assert_eq!((&devices[0]["states"], &devices[1]["states"]), (&810.into(), &840.into()));
    let one = call(folder(), &format!("profiles {STORE} --device RTU-001"));
    assert!(one.contains(" fan_speed                   RPM") && !one.contains("CH-001"), "{one}");
    assert!(one.ends_with("the increase per window.\n"), "a counter is not compared with its reading: {one}");
}

#[test]
fn dead_letters_are_listed_and_counted() {
    check(
        &format!("dead-letters {STORE} --reason not_json --show-bytes --limit 1"),
        expect![[r#"
            exit 0
             topic  partition  offset  arrived                  reason    detail                             message
             day            1    6348  2026-03-02 07:33:00.050  not_json  expected value at line 1 column 1  ERR sensor bus timeout
            ... and 2 more; --limit shows them

             reason    dead letters
             not_json             3
        "#]],
    );
    assert_eq!(json(&format!("dead-letters list {STORE} --json")).as_array().unwrap().len(), 19);
    check(
        &format!("dead-letters {STORE} --reason odd"),
        expect![[r#"
            exit 2
            error: reason "odd" is none of not_json, missing_field, wrong_type, not_finite, bad_timestamp, too_far_in_future, too_old, too_large, unknown_unit, too_many_devices, too_many_metrics, row_refused
        "#]],
    );
}

#[test]
fn methods_are_compared_over_a_span() {
    let all = json(&format!("methods {STORE} --json"));
    let agreement = &all["agreement"];
    assert_eq!(agreement["states"].as_u64().unwrap() + agreement["learning"].as_u64().unwrap(), 1_650);
    // Of the windows while the fan stands still.
    check(
        &format!("methods {STORE} --device RTU-001 --from 08:30 --to 11:00 --alone rules --limit 2"),
        expect![[r#"
        exit 0
        131 judged states of 1 devices, 2026-03-02 08:30 to 2026-03-02 11:00

        States that a method calls unusual, alone and together with others
            method       unusual   of all  alone  with one  with two  with all
            rules             48  36.64 %     48         0         0         0
            statistics         0   0.00 %      0         0         0         0
            fingerprint        0   0.00 %      0         0         0         0
            similar            0   0.00 %      0         0         0         0

        Both, of the states that either calls unusual (and agreement beyond chance: Cohen's kappa)
                           rules  statistics  fingerprint  similar
            rules                    0 % (-)      0 % (-)  0 % (-)
            statistics   0 % (-)                        -        -
            fingerprint  0 % (-)           -                     -
            similar      0 % (-)           -            -

        19 more states are of devices that are still learned; rules alone speak there

        Unusual to rules alone, the first 2
            device   at                score  why
            RTU-001  2026-03-02 09:26   0.75  the fan stands still (18.98 against 60.00, for 15 windows)
            RTU-001  2026-03-02 09:27   0.75  the fan stands still (27.22 against 60.00, for 16 windows)
    "#]],
    );
    assert!(call(folder(), &format!("methods {STORE} --from 11:00 --to 10:00")).starts_with("exit 2\nerror: --from"));
    assert!(
        call(folder(), &format!("methods {STORE} --device RTU-002")).starts_with("exit 2\nerror: device \"RTU-002\"")
    );
}
