//! The fleet, devices and incidents: order, filters, pages, names that do harm.

use expect_test::expect;

use super::stage::{DAY_MS, HOSTILE, MINUTE_MS, Stage, encoded, ids};

#[test]
fn the_fleet_is_sorted_by_trouble_and_counted() {
    let stage = Stage::set(false);
    let fleet = stage.json("/api/v1/fleet");
    assert_eq!(ids(&fleet), ["A", "C", "B", HOSTILE]);
    let mut head = fleet.clone();
    let cards = head.as_object_mut().unwrap().remove("devices").unwrap();
    expect![[r#"{"as_of_ms":1772410200000,"buildings":[{"devices":2,"id":"b1","in_incident":1},{"devices":2,"id":"b2","in_incident":1}],"counts":{"devices":4,"open":{"critical":1,"info":1,"warning":0},"silent":1,"states_per_minute":4.0},"live":false,"recording":false,"stale_after_ms":180000,"total":4,"types":[{"devices":4,"in_incident":2,"label":"Rooftop unit","name":"rooftop_unit"}]}"#]]
    .assert_eq(&head.to_string());
    expect![[r#"{"building_id":"b1","device_id":"A","device_type":"rooftop_unit","incident":{"id":"745d1e00-15cb-11f1-a560-9d460e64c946","kind":"anomaly","severity":"critical","started_at_ms":1772409720000,"summary":"power 9 kW, expected 5"},"last_seen_ms":1772410170000,"location":"roof","metric_count":7,"metrics":[{"label":"Power","name":"power","unit":"","value":0.1},{"label":"Z","name":"z","unit":"","value":0.1},{"label":"A metric","name":"a_metric","unit":"","value":0.1},{"label":"Fan speed","name":"fan_speed","unit":"RPM","value":0.1},{"label":"Q","name":"q","unit":"","value":0.1},{"label":"R","name":"r","unit":"","value":0.1}],"open_incidents":1,"score":0.1,"severity":"critical","silent":false,"type_label":"Rooftop unit","warm_up":0.25}"#]]
    .assert_eq(&cards[0].to_string());
}

#[test]
fn filters_sorts_and_pages() {
    let stage = Stage::set(false);
    for (query, expected) in [
        ("building=b2", vec!["C", HOSTILE]),
        ("type=rooftop_unit&severity=none", vec!["B", HOSTILE]),
        ("type=chiller", vec![]),
        ("severity=critical,silent", vec!["A", "C"]),
        ("severity=info", vec!["C"]),
        ("text=ONERROR", vec![HOSTILE]),
        ("text=rooftop%20unit&limit=1&offset=1", vec!["C"]),
        ("sort=device", vec![HOSTILE, "A", "B", "C"]),
        ("sort=building", vec!["A", "B", HOSTILE, "C"]),
        ("offset=9", vec![]),
        ("building=&severity=&text=&limit=2", vec!["A", "C"]),
    ] {
        let fleet = stage.json(&format!("/api/v1/fleet?{query}"));
        assert_eq!(ids(&fleet), expected, "{query}");
    }
    assert_eq!(stage.json("/api/v1/fleet?building=b2&limit=1")["total"], 2);
    for (query, expected) in [
        ("status=open", 2),
        ("status=closed", 2),
        ("severity=warning,critical", 2),
        ("device=A", 2),
        ("kind=missing", 1),
        ("kind=missing%3Apower", 1),
        ("kind=power", 0),
        ("text=expected", 4),
        ("building=b1&type=rooftop_unit", 4),
        // Those that are open last, whatever window confirmed them last.
        (&format!("from_ms={}", DAY_MS + 9 * MINUTE_MS), 2),
        (&format!("from_ms={}&status=closed", DAY_MS + 5 * MINUTE_MS), 1),
        (&format!("to_ms={}", DAY_MS + 2 * MINUTE_MS), 2),
        ("from_ms=253402300799999", 2),
    ] {
        assert_eq!(stage.json(&format!("/api/v1/incidents?{query}"))["total"], expected, "{query}");
    }
    let all = stage.json("/api/v1/incidents");
    let minutes = |at: usize, name: &str| all["incidents"][at][name].as_i64().unwrap() / MINUTE_MS;
    assert_eq!(
        (minutes(0, "duration_ms"), minutes(2, "duration_ms")),
        (7, 5),
        "an open one lasts until the newest time"
    );
    let order: Vec<(&str, i64)> = all["incidents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["status"].as_str().unwrap(), (one["started_at_ms"].as_i64().unwrap() - DAY_MS) / MINUTE_MS))
        .collect();
    assert_eq!(order, [("open", 3), ("open", 2), ("closed", 1), ("closed", 0)]);
}

#[test]
fn a_device_whose_name_does_harm_is_found_and_told_as_it_is() {
    let stage = Stage::set(false);
    let device = stage.json(&format!("/api/v1/devices/{}", encoded(HOSTILE)));
    assert_eq!(device["device_id"], HOSTILE);
    assert_eq!(device["incidents"][0]["kind"], "missing:power");
    assert_eq!(device["metrics"].as_array().unwrap().len(), 7);
    let series = stage.json(&format!("/api/v1/devices/{}/series?points=5", encoded(HOSTILE)));
    assert_eq!(series["metrics"].as_array().unwrap().len(), 7);
    // The page of any device is the same shell, with nothing of its name in it.
    let (status, head, body) = stage.send(&format!("GET /devices/{} HTTP/1.1", encoded(HOSTILE)), b"");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'self'; "), "{head}");
    assert_eq!(body, stage.send("GET / HTTP/1.1", b"").2);
    assert!(!stage.problem("/api/v1/devices/%3Cb%3E", 404).is_empty());
}

/// What is expected of a device is what its states say, and nothing else: neither its profile nor a finding's expectation.
#[test]
fn a_metric_is_expected_where_its_state_says_so() {
    let stage = Stage::set(false);
    let device = stage.json("/api/v1/devices/A");
    let now = |name: &str| {
        let metric = device["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == name).unwrap();
        let number = |key: &str| metric[key].as_f64();
        let (value, expected) = (number("value").unwrap(), number("expected"));
        (expected.map(|expected| expected - value), number("low").zip(number("high")).map(|(low, high)| high - low))
    };
    let near = |(expected, width): (Option<f64>, Option<f64>)| {
        expected.is_some_and(|apart| (apart - 1.0).abs() < 1e-9)
            && width.is_some_and(|width| (width - 6.0).abs() < 1e-9)
    };
    assert!(near(now("power")), "{device}");
    assert_eq!((now("z"), now("fan_speed")), ((None, None), (None, None)), "z has a finding that expects something");
    let series = stage.json("/api/v1/devices/A/series");
    for metric in series["metrics"].as_array().unwrap() {
        let count = |key: &str| metric[key].as_array().unwrap().iter().filter(|value| value.is_number()).count();
        let told = if metric["name"] == "power" { 10 } else { 0 };
        assert_eq!([count("expected"), count("low"), count("high")], [told; 3], "{metric}");
    }
}

#[test]
fn six_hours_are_shown_where_nothing_is_said() {
    let stage = Stage::set(false);
    let series = stage.json("/api/v1/devices/A/series?metric=power");
    let to_ms = DAY_MS + 10 * MINUTE_MS;
    assert_eq!((series["to_ms"].as_i64(), series["from_ms"].as_i64()), (Some(to_ms), Some(to_ms - 6 * 3_600_000)));
    let means = series["metrics"][0]["mean"].as_array().unwrap();
    assert_eq!((means.len(), means.iter().filter(|mean| mean.is_number()).count()), (360, 10));
    assert_eq!(series["incidents"].as_array().unwrap().len(), 2);
}

#[test]
fn a_store_whose_file_is_removed_or_replaced_is_noticed() {
    use connectors::{SqliteStore, Store as _};
    let stage = Stage::set(false);
    let beside = |ending: &str| std::path::PathBuf::from(format!("{}{ending}", stage.path.display()));
    let remove = || ["", "-wal", "-shm"].map(|ending| drop(std::fs::remove_file(beside(ending))));
    remove();
    stage.wait(|| stage.get("/readyz").0 == 503);
    assert!(stage.get("/readyz").1.contains("does not exist"));
    for path in ["/api/v1/fleet", "/api/v1/incidents", "/api/v1/devices/A", "/api/v1/devices/A/series"] {
        assert!(stage.problem(path, 503).contains("does not exist"), "{path}");
    }
    // Another store comes into its place, and then one in the place of that.
    let fill = |path: &std::path::Path, device: &str| {
        let mut store = SqliteStore::open(path).unwrap();
        store.write(&[super::stage::totals(device, 9), super::stage::state(device, "b9", 9, 0.1)]).unwrap();
    };
    fill(&stage.path, "NEW");
    stage.wait(|| stage.get("/readyz").0 == 200 && stage.json("/api/v1/fleet")["total"] == 1);
    assert_eq!(ids(&stage.json("/api/v1/fleet")), ["NEW"]);
    assert_eq!(stage.json("/api/v1/devices/NEW/series")["metrics"].as_array().unwrap().len(), 7);
    fill(&beside("-next"), "NEXT");
    remove();
    std::fs::rename(beside("-next"), &stage.path).unwrap();
    stage.wait(|| stage.get("/api/v1/devices/NEXT").0 == 200);
    assert_eq!(ids(&stage.json("/api/v1/fleet")), ["NEXT"]);
    assert_eq!(stage.json("/api/v1/devices/NEXT/series")["metrics"].as_array().unwrap().len(), 7);
}

/// A month of one device is read in one pass; the steps bound the answer.
#[test]
fn a_month_is_answered_in_bounded_steps() {
    let mut stage = Stage::set(false);
    use connectors::Store as _;
    let minutes: Vec<i64> = (10..30 * 1_440).collect();
    for some in minutes.chunks(5_000) {
        let rows: Vec<_> = some.iter().map(|minute| super::stage::state("B", "b1", *minute, 0.5)).collect();
        stage.store.write(&rows).unwrap();
    }
    let to_ms = DAY_MS + 30 * 1_440 * MINUTE_MS;
    let began = std::time::Instant::now();
    let series = stage.json(&format!("/api/v1/devices/B/series?from_ms={DAY_MS}&to_ms={to_ms}"));
    println!("30 days in {} ms", began.elapsed().as_millis());
    assert_eq!(series["step_ms"], 44 * MINUTE_MS);
    let times = series["times_ms"].as_array().unwrap();
    assert_eq!(times.len(), 982);
    for metric in series["metrics"].as_array().unwrap() {
        let means = metric["mean"].as_array().unwrap();
        assert!(means.iter().skip(1).all(|mean| (mean.as_f64().unwrap() - 0.5).abs() < 1e-9));
    }
}
