//! What people say: words on incidents and maintenance, taken up by a job, repeated by a replay.

use connectors::SqliteStore;
use connectors::Store as _;

use super::*;

/// A copy of the day's store that a test may change.
fn copy(name: &str) -> String {
    fs::copy(folder().join("day.db"), folder().join(format!("{name}.db"))).unwrap();
    format!("--store sqlite:{name}.db")
}

fn incident_of(store: &str, device: &str) -> Json {
    let all = json(&format!("incidents list {store} --device {device} --json"));
    all.as_array().unwrap().iter().find(|one| one["kind"] == "anomaly").unwrap_or(&Json::Null).clone()
}

#[test]
fn a_word_on_an_incident_is_in_its_row_and_a_replay_says_the_same() {
    let store = copy("resolved");
    let before = incident_of(&store, "RTU-001");
    assert_eq!((&before["resolution"], &before["note"]), (&Json::from("open"), &Json::Null));
    let id = before["id"].as_str().unwrap();
    let said = call(folder(), &format!("incidents resolve {} --as false-positive --note test {store}", &id[28..]));
    assert!(said.starts_with("exit 0\nRTU-001, anomaly of "), "{said}");
    assert!(said.ends_with(": false_positive; in effect from 2026-03-02T14:00:00Z\n"), "{said}");
    let after = incident_of(&store, "RTU-001");
    assert_eq!((&after["resolution"], &after["note"]), (&Json::from("false_positive"), &Json::from("test")));
    assert_eq!((&after["start"], &after["summary"]), (&before["start"], &before["summary"]));
    // The last word counts, though both take effect at one window.
    let again = json(&format!("incidents resolve {id} --as fault {store} --json"));
    assert_eq!(again["effective_from"], "2026-03-02T14:00:00Z");
    let list = call(folder(), &format!("incidents {store} --device RTU-001"));
    assert!(list.contains("; resolved"), "{list}");
    let at = before["peak_at"].as_str().unwrap();
    let page = call(folder(), &format!("explain {store} --device RTU-001 --at {at}"));
    assert!(page.contains("  people say: resolved\n"), "{page}");

    let tables = "--table anomaly_events --table device_state_snapshots --table device_statistics";
    let dump = call(folder(), &format!("store dump {store} {tables}"));
    let name = folder().join("resolved.db");
    SqliteStore::open(name).unwrap().clear_results().unwrap();
    fs::copy(folder().join("day.jsonl.zst"), folder().join("resolved.jsonl.zst")).unwrap();
    run_job(folder(), "resolved");
    assert_eq!(incident_of(&store, "RTU-001")["resolution"], "resolved");
    assert!(call(folder(), &format!("store dump {store} {tables}")) == dump, "a replay gives other tables");
}

#[test]
fn in_maintenance_no_incident_opens_and_the_page_says_so() {
    drop(SqliteStore::open(folder().join("worked.db")).unwrap());
    let store = "--store sqlite:worked.db";
    let add = "maintenance add --device RTU-001 --from 2026-03-02T08:50:00Z --to 2026-03-02T10:40:00Z --note fan";
    let expected = "exit 0\nmaintenance of device RTU-001 from 2026-03-02T08:50:00Z to 2026-03-02T10:40:00Z\n";
    assert_eq!(call(folder(), &format!("{add} {store}")), expected);
    fs::copy(folder().join("day.jsonl.zst"), folder().join("worked.jsonl.zst")).unwrap();
    run_job(folder(), "worked");
    let usual = json(&format!("incidents {STORE} --device RTU-001 --from 08:50 --to 10:30 --json"));
    assert!(usual[0]["summary"].as_str().unwrap().contains("fan"), "{usual}");
    let during = json(&format!("incidents {store} --device RTU-001 --from 08:50 --to 10:30 --json"));
    assert_eq!(during, serde_json::json!([]));
    let listed = json(&format!("maintenance list {store} --json"));
    assert_eq!(listed[0]["effective_from"], "2026-03-02T08:50:00Z");
    assert_eq!((&listed[0]["device_id"], &listed[0]["note"]), (&Json::from("RTU-001"), &Json::from("fan")));
    let page = call(folder(), &format!("explain {store} --device RTU-001 --at 09:30"));
    assert!(page.contains("the device is in maintenance: no incident opens"), "{page}");
}

#[test]
fn what_cannot_be_meant_is_said() {
    let store = copy("asked");
    let refused = |arguments: &str| {
        let said = call(folder(), &format!("{arguments} {store}"));
        assert!(said.starts_with("exit 2\n"), "{said}");
        said.trim_start_matches("exit 2\n").to_owned()
    };
    let said = [
        refused("incidents resolve ffffffff --as fault"),
        refused("incidents resolve"),
        refused("incidents --as fault"),
        refused("maintenance add --device RTU-01 --from 09:00 --to 10:00"),
        refused("maintenance add --building nowhere --from 09:00 --to 10:00"),
        refused("maintenance add --device RTU-001 --from soon --to 10:00"),
        refused("maintenance add --device RTU-001 --from 10:00 --to 10:00"),
        refused("maintenance add --device RTU-001 --from 09:00 --to 10:00"),
    ];
    expect![[r#"
        error: incident "ffffffff" is not in the store; `dataflow incidents` lists them with their ids
        error: incidents resolve needs the incident's ID and --as false-positive, fault or maintenance
        error: an ID, --as and --note belong to `incidents resolve`
        error: device "RTU-01" is not in the store; did you mean "RTU-001"?
        error: building "nowhere" is not in the store; it has bldg-001
        error: time "soon" is none; write it such as 2026-03-02T09:30:00Z, "2026-03-02 09:30" or 09:30 (UTC, on the newest day)
        error: maintenance ends at 2026-03-02T10:00:00Z, which is not after its beginning at 2026-03-02T10:00:00Z
        error: all windows up to 2026-03-02T14:00:00Z may be judged already: maintenance until 2026-03-02T10:00:00Z would change nothing; `dataflow incidents resolve` says what was maintenance
    "#]].assert_eq(&said.concat());
    assert_eq!(call(folder(), &format!("maintenance list {store}")), "exit 0\nNo maintenance.\n");
}
