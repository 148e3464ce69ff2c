//! Commands about a store as a whole.

use super::*;

#[test]
fn a_dump_has_every_row_once_in_key_order() {
    let dump = output(folder(), &format!("store dump {STORE}"));
    assert!(dump.status.success() && dump.stderr.is_empty());
    let dump = String::from_utf8(dump.stdout).unwrap();
    expect![[r#"{"table":"device_metrics_raw","device_id":"CH-001","date":"2026-03-02","timestamp":"2026-03-02T00:00:05Z","metric_name":"alarm_status","metric_value":0.0,"unit":"0/1","device_type":"chiller","location":"building-A","building_id":"bldg-001","is_late":false}"#]]
    .assert_eq(dump.lines().next().unwrap());
    let keys = |table: &str| -> Vec<String> {
        let known = model::tables::TableId::by_name(table).unwrap().table();
        let lines = dump.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        lines
            .filter(|line| line["table"] == table)
            .map(|line| {
                let key = known.columns[..known.key_columns].iter().map(|column| match &line[column.name] {
                    Json::String(text) => text.clone(),
                    number => format!("{:020}", number.as_i64().unwrap()),
                });
                key.collect::<Vec<_>>().join("\n")
            })
            .collect()
    };
    for table in ["device_metrics_raw", "device_state_snapshots", "late_metrics", "dead_letters"] {
        let keys = keys(table);
        assert!(!keys.is_empty() && keys.is_sorted_by(|a, b| a < b), "{table}");
    }
    assert!(!dump.contains("\"table\":\"checkpoints\""));

    let checkpoint = json(&format!("store dump {STORE} --table checkpoints"));
    assert_eq!((&checkpoint["boundary"], &checkpoint["finished"]), (&"2026-03-02T14:00:00Z".into(), &true.into()));
    assert_eq!(checkpoint["received"], 23_939);
    check(
        &format!("store dump {STORE} --table idle_marks --table controls"),
        expect![[r#"
        exit 0
        {"offset":0,"partition":2147483647,"table":"idle_marks","watermark":null}
    "#]],
    );
    assert!(
        call(folder(), &format!("store dump {STORE} --table nothing")).starts_with("exit 2\nerror: table \"nothing\"")
    );
}

#[test]
fn a_sound_store_is_verified_and_an_unsound_one_is_not() {
    let sound = json(&format!("store verify {STORE} --json"));
    assert_eq!(sound["problems"], serde_json::json!([]));
    assert_eq!(sound["rows"]["device_state_snapshots"], serde_json::json!({"2026-03-02": 1650}));
    assert_eq!(
        sound["gaps"],
        serde_json::json!([{
            "device_id": "CH-001", "from": "2026-03-02T11:00:00Z", "to": "2026-03-02T11:30:00Z", "windows": 30
        }])
    );
    // A reading without a state, and a state without its vector, in a copy.
    fs::copy(folder().join("day.db"), folder().join("lossy.db")).unwrap();
    let mut store = SqliteStore::open(folder().join("lossy.db")).unwrap();
    let at_ms = model::time::parse_rfc3339("2026-03-02T11:10:00Z").unwrap();
    let rows = [TableId::DeviceMetricsRaw, TableId::StateOccurrences].map(|table| model::Row {
        table,
        version: model::Version::window(at_ms),
        values: table
            .table()
            .columns
            .iter()
            .map(|column| match column.name {
                "device_id" => Value::Text("CH-001".to_owned()),
                "date" => Value::Text("2026-03-02".to_owned()),
                "timestamp" | "snapshot_time" => Value::Int(at_ms),
                "metric_name" => Value::Text("cop".to_owned()),
                "embedding_method" => Value::Text("projection-1".to_owned()),
                "vector_id" => Value::Int(7),
                _ => Value::Null,
            })
            .collect(),
    });
    store.write(&rows).unwrap();
    drop(store);
    let lossy = call(folder(), "store verify --store sqlite:lossy.db");
    let problems =
        lossy.split_once("\nProblems\n").unwrap().1.lines().map(str::trim_start).collect::<Vec<_>>().join("\n");
    expect![[r#"
        a reading that came in time is in no state (1 times)
        device_metrics_raw: CH-001, 2026-03-02, 2026-03-02T11:10:00Z, cop
        a state's vector is not in table "state_vectors" (1 times)
        state_occurrences: CH-001, 2026-03-02T11:10:00Z, projection-1"#]]
    .assert_eq(&problems);
    // A state of a device with a hostile name, of no window and of another day.
    let path = folder().join("unsound.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let state = model::Row {
        table: TableId::DeviceStateSnapshots,
        version: model::Version::window(0),
        values: TableId::DeviceStateSnapshots
            .table()
            .columns
            .iter()
            .map(|column| match column.name {
                "device_id" => Value::Text("X\u{1b}[2J".to_owned()),
                "date" => Value::Text("2026-03-02".to_owned()),
                "snapshot_time" => Value::Int(1),
                _ => Value::Null,
            })
            .collect(),
    };
    store.write(&[state]).unwrap();
    drop(store);
    check(
        "store verify --store sqlite:unsound.db",
        expect![[r#"
            exit 1
             table                   day         rows
             device_metrics_raw                     0
             device_state_snapshots  1970-01-01     1
             device_profiles                        0
             anomaly_events                         0
             device_statistics                      0
             dead_letters                           0
             late_metrics                           0
             state_vectors                          0
             state_occurrences                      0
             pending_states                         0

            Gaps      none: each device has a state in every window from its first to its last

            Problems
              a row's date is not the day of its time (1 times)
                device_state_snapshots: X\u{1b}[2J, 2026-03-02, 1970-01-01T00:00:00.001Z
              a state does not begin with a window (1 times)
                device_state_snapshots: X\u{1b}[2J, 2026-03-02, 1970-01-01T00:00:00.001Z
              a state's verdicts can't be read (1 times)
                device_state_snapshots: X\u{1b}[2J, 2026-03-02, 1970-01-01T00:00:00.001Z
        "#]],
    );
}

#[test]
fn a_store_is_cleared_only_when_that_is_meant() {
    let folder = folder();
    fs::copy(folder.join("day.db"), folder.join("clear.db")).unwrap();
    let asked = call(folder, "store clear --store sqlite:clear.db");
    assert!(asked.starts_with("exit 2\nerror: store sqlite:clear.db holds "), "{asked}");
    assert!(asked.ends_with("nobody can be asked here; add --yes to clear it\n"), "{asked}");
    assert!(
        call(folder, "store verify --store sqlite:clear.db").contains("device_state_snapshots  2026-03-02   1,650")
    );
    let cleared = call(folder, "store clear --store sqlite:clear.db --yes");
    assert!(cleared.starts_with("exit 0\nremoved "), "{cleared}");
    check("store dump --store sqlite:clear.db", expect!["exit 0\n"]);

    // A job that works on it keeps it.
    let mut held = SqliteStore::open(folder.join("clear.db")).unwrap();
    held.acquire_lease(&connectors::LeaseOwner::this_process(0)).unwrap();
    let refused = call(folder, "store clear --store sqlite:clear.db --yes");
    assert!(refused.starts_with("exit 1\n") && refused.contains("is held by process"), "{refused}");
    held.release_lease().unwrap();
}

#[test]
fn a_store_that_is_not_there_is_an_error() {
    check(
        "incidents --store sqlite:nowhere/plenum.db",
        expect![[r#"
            exit 2
            error: store "sqlite:nowhere/plenum.db" does not exist; `dataflow run --store sqlite:nowhere/plenum.db` makes it
        "#]],
    );
    assert!(!folder().join("nowhere").exists());
    check(
        "store dump --store null",
        expect![[r#"
            exit 2
            error: store "null" keeps nothing; name the store of a run, such as sqlite:day.db
        "#]],
    );
    let unknown = call(folder(), "store verify --store postgres://x");
    assert!(unknown.starts_with("exit 2\nerror: store \"postgres://x\" has no known scheme"), "{unknown}");
}

#[test]
fn a_table_of_the_schema_names_its_key() {
    let schema = json(&format!("store schema {STORE} --json"));
    assert_eq!(schema.as_array().unwrap().len(), model::tables::TABLES.len());
    assert_eq!(schema[0]["columns"][1], serde_json::json!({"name": "date", "type": "text", "key": "partition"}));
    assert_eq!(schema[0]["columns"][2]["key"], "clustering");
}

/// The hourly row of a device is replaced by what the checkpoint knows; doing it again changes nothing.
#[test]
fn profiles_are_rebuilt_from_the_checkpoint() {
    let folder = folder();
    fs::copy(folder.join("day.db"), folder.join("profiles.db")).unwrap();
    let store = "--store sqlite:profiles.db";
    let dump = || call(folder, &format!("store dump {store} --table device_profiles"));
    let rebuild = || call(folder, &format!("store rebuild-profiles {store}"));
    let hourly = dump();
    expect![[r#"
        exit 0
        2 profiles are those of the checkpoint at 2026-03-02 14:00
    "#]]
    .assert_eq(&rebuild());
    let rebuilt = dump();
    let updated = |dump: &str| dump.matches("\"profile_updated_at\":\"2026-03-02T14:00:00Z\"").count();
    assert_eq!((updated(&hourly), updated(&rebuilt)), (0, 2));
    assert!(
        rebuilt.contains("\"profile_embedding\":[") && !rebuilt.contains("\"profile_embedding\":null"),
        "{rebuilt}"
    );
    rebuild();
    assert_eq!(dump(), rebuilt);
}
