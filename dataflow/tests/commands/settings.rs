//! Settings of some devices through the whole job: clocks, and how much a device matters.

use std::collections::BTreeMap;

use super::*;

/// Runs the job over the day into a store of its own; the rows of a table by device.
fn rows(store: &str, table: &str, settings: &str) -> BTreeMap<String, Vec<Json>> {
    let run = format!("-w 1 --source file:day.jsonl.zst --store sqlite:{store} --embedder none --json {settings}");
    assert!(call(folder(), &run).starts_with("exit 0"), "{run}");
    let dumped = output(folder(), &format!("store dump --store sqlite:{store} --table {table}"));
    let mut by_device: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    for line in String::from_utf8(dumped.stdout).unwrap().lines() {
        let row: Json = serde_json::from_str(line).unwrap();
        by_device.entry(row["device_id"].as_str().unwrap().to_owned()).or_default().push(row);
    }
    by_device
}

#[test]
fn hours_go_by_the_clock_of_the_building() {
    let of = |store: &str, settings: &str| rows(store, "device_state_snapshots", settings);
    let usual = of("utc.db", "");
    let place = usual["RTU-001"][0]["building_id"].as_str().unwrap().to_owned();
    let there = of("there.db", "--time-zone Asia/Kathmandu");
    for device in ["RTU-001", "CH-001"] {
        assert_ne!(usual[device], there[device], "{device}: hours begin at a quarter past");
    }
    assert_eq!(there, of("building.db", &format!("--set time_zones.{place}=Asia/Kathmandu")));
    assert_eq!(usual, of("other.db", "--set time_zones.bldg-elsewhere=Asia/Kathmandu"));
    assert_eq!(usual, of("back.db", &format!("--time-zone Asia/Kathmandu --set time_zones.{place}=UTC")));
    // What was judged by one clock is not carried on by another.
    let again = output(
        folder(),
        "-w 1 --source file:day.jsonl.zst --store sqlite:utc.db --embedder none --time-zone Asia/Kathmandu",
    );
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(!again.status.success() && said.contains("(no time_zones in the store, time_zones="), "{said}");
}

#[test]
fn a_device_that_matters_has_graver_incidents_and_the_same_ones() {
    let incidents = |store: &str, settings: &str| rows(store, "anomaly_events", settings);
    let usual = incidents("normal.db", "");
    let shifted = incidents(
        "matters.db",
        "--set detectors.criticality.device.RTU-001=high --set detectors.criticality.type.CH=low",
    );
    let shape = |rows: &BTreeMap<String, Vec<Json>>, field: &str| -> Vec<String> {
        rows.iter().flat_map(|(device, rows)| rows.iter().map(move |row| format!("{device} {}", row[field]))).collect()
    };
    assert_eq!(shape(&usual, "anomaly_id"), shape(&shifted, "anomaly_id"));
    expect![[r#"
        CH-001 "warning"
        RTU-001 "warning"
    "#]]
    .assert_eq(&(shape(&usual, "severity").join("\n") + "\n"));
    expect![[r#"
        CH-001 "info"
        RTU-001 "critical"
    "#]]
    .assert_eq(&(shape(&shifted, "severity").join("\n") + "\n"));
}
