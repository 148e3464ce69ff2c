//! The commands as people call them: one small fleet is run once, then each command reads its store.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use connectors::{FileSource, SqliteStore, Store as _};
use dataflow::config::Config;
use dataflow::faults::Faults;
use dataflow::job::JobConfig;
use dataflow::progress::Progress;
use dataflow::run::Workers;
use expect_test::{Expect, expect};
use model::Value;
use model::tables::TableId;
use serde_json::Value as Json;

/// A folder with `day.jsonl.zst`, its labels and `day.db`, made once for all tests.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let simulated = call(
            &folder,
            "simulate --to day.jsonl.zst --duration 14h --period 60s --devices RTU-001:rooftop_unit CH-001:chiller \
             --fault RTU-001/fan_failure/severe/9h/90min --fault CH-001/silent_device/severe/11h/30min \
             --malformed 0.001 --late 0.001 --duplicates 0.001 --fast-clock CH-001:5s",
        );
        expect![[r#"
            exit 0
            day.jsonl.zst: 2 devices every 1min, 2026-03-02 00:00 to 2026-03-02 14:00, 3 partitions, seed 1
                23,939  messages written
                24,360  readings taken
                    29  written a second time
                    29  beyond the lateness
                    19  not usable
                   450  not sent because of a fault
                     2  faults, labelled in day.labels.jsonl
        "#]]
        .assert_eq(&simulated);
        run_job(&folder);
        folder
    })
}

fn run_job(folder: &Path) {
    let config = Config::default();
    let job = JobConfig {
        settings: config.job,
        monitor: config.detectors,
        source: Arc::new(FileSource::open(folder.join("day.jsonl.zst")).unwrap()),
        store_rows: true,
        embedder: Some(|| Box::new(connectors::Projection::new())),
        faults: Faults::default(),
        timed: true,
    };
    let store = Box::new(SqliteStore::open(folder.join("day.db")).unwrap());
    let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
    let outcome = dataflow::run::run(&job, &Workers::threads(2), Some(store), &stop, &progress).unwrap();
    assert!(outcome.manifest.unwrap().finished);
}

/// The program as a shell would call it; arguments are separated by blanks.
fn output(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dataflow"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Exit code, stdout and stderr as one text.
fn call(folder: &Path, arguments: &str) -> String {
    let output = output(folder, arguments);
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("exit {code}\n{}{}", text(output.stdout), text(output.stderr))
}

fn check(arguments: &str, expected: Expect) {
    expected.assert_eq(&call(folder(), arguments));
}

/// What a command prints with `--json`, which must leave nothing on stderr.
fn json(arguments: &str) -> Json {
    let output = output(folder(), arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const STORE: &str = "--store sqlite:day.db";

#[test]
fn incidents_are_listed_by_start() {
    check(
        &format!("incidents {STORE} --device CH-001 --from 10:30 --to 12:00"),
        expect![[r#"
            exit 0
             device  kind    severity  start (UTC)       end               lasted  furthest seen  methods     summary
             CH-001  silent  warning   2026-03-02 11:00  2026-03-02 11:30  30 min                 statistics  the device was silent from 2026-03-02T11:00:00Z to 2026-03-02T11:30:00Z
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

/// Redone from the dump with another way of reckoning.
#[test]
fn similar_states_are_the_nearest_of_all() {
    let found = json(&format!("similar {STORE} --device RTU-001 --at 13:07 --limit 5 --apart 20min --json"));
    let table = |name: &str| -> Vec<Json> {
        let output = output(folder(), &format!("store dump {STORE} --table {name}"));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut vectors: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for row in table("state_vectors") {
        let vector: Vec<f64> = serde_json::from_value(row["embedding"].clone()).unwrap();
        let norm = vector.iter().map(|part| part * part).sum::<f64>().sqrt();
        vectors.insert(row["vector_id"].as_i64().unwrap(), vector.into_iter().map(|part| part / norm).collect());
    }
    let occurrences: Vec<Json> =
        table("state_occurrences").into_iter().filter(|row| row["device_id"] == "RTU-001").collect();
    let vector = |row: &Json| &vectors[&row["vector_id"].as_i64().unwrap()];
    let time = |row: &Json| model::time::parse_rfc3339(row["snapshot_time"].as_str().unwrap()).unwrap();
    let here = occurrences.iter().find(|row| row["snapshot_time"] == "2026-03-02T13:07:00Z").unwrap();
    let mut cosines: Vec<f64> = occurrences
        .iter()
        .filter(|row| (time(row) - time(here)).abs() >= 20 * 60_000)
        .map(|row| vector(row).iter().zip(vector(here)).map(|(a, b)| a * b).sum())
        .collect();
    cosines.sort_by(|a, b| b.total_cmp(a));
    assert_eq!(found["states_compared"], cosines.len());
    let similar = found["similar"].as_array().unwrap();
    assert_eq!(similar.len(), 5);
    for (found, cosine) in similar.iter().zip(cosines) {
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

             reason    messages
             not_json         3
        "#]],
    );
    assert_eq!(json(&format!("dead-letters list {STORE} --json")).as_array().unwrap().len(), 19);
    check(
        &format!("dead-letters {STORE} --reason odd"),
        expect![[r#"
            exit 2
            error: reason "odd" is none of not_json, missing_field, wrong_type, not_finite, bad_timestamp, too_far_in_future, too_old, too_large, unknown_unit, too_many_devices, too_many_metrics
        "#]],
    );
}

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
    check(&format!("store dump {STORE} --table idle_marks --table controls"), expect!["exit 0\n"]);
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

#[test]
fn tables_of_others_become_messages() {
    let folder = folder();
    let map = "device_id = \"AHU-1\"\ndevice_type = \"ahu\"\nskip = [\"Truth\"]\n\
               time = { column = \"At\", format = \"%m/%d/%Y %H:%M\", zone = \"-06:00\" }\n\
               [[metric]]\ncolumn = \"Supply\"\nname = \"supply_air_temp\"\nunit = \"°F\"\n";
    fs::write(folder.join("map.toml"), map).unwrap();
    fs::write(
        folder.join("table.csv"),
        "At,Supply,Truth\n3/2/2026 10:00,55.1,0\n3/2/2026 10:01,,0\n3/2/2026 10:02,bad,0\nnever,55,0\n",
    )
    .unwrap();
    check(
        "convert csv --map map.toml table.csv table.jsonl.zst",
        expect![[r#"
            exit 1
             4  rows
             2  messages
             1  empty cells, not sent
             1  cells that are no number, sent as they are: dead letters of the job
                  1 in column "Supply"
                  1 are "bad"
             1  rows left out
                  line 5: column "At" holds "never", which is no time of format "%m/%d/%Y %H:%M"
        "#]],
    );
    assert_eq!(FileSource::open(folder.join("table.jsonl.zst")).unwrap().messages_by_partition(), [(0, 2)]);
    fs::write(folder.join("other.csv"), "At,Truth\n").unwrap();
    check(
        "convert csv --map map.toml other.csv other.jsonl",
        expect![[r#"
            exit 2
            error: table's header has no column "Supply"; it has ["At", "Truth"]
        "#]],
    );
    assert!(!folder.join("other.jsonl").exists() && !folder.join("other.jsonl.part").exists());
}

#[test]
fn a_slice_of_a_recording_becomes_a_case() {
    let folder = folder();
    check(
        "record fan-stops --source file:day.jsonl.zst --from 2026-03-02T09:00:00Z --to 2026-03-02T09:05:00Z --folder cases",
        expect![[r#"
            exit 0
            cases/fan-stops: 146 messages of 2 partitions, 2026-03-02 09:00:00.027 to 2026-03-02 09:04:00.095
            Next: write its title and what must come of it into case.toml, then `dataflow replay fan-stops --bless`
        "#]],
    );
    let cases = folder.join("cases");
    let refused = scenarios::case::load(&cases, "fan-stops").unwrap_err().to_string();
    assert_eq!(refused, "case \"fan-stops\" has an empty title, so nobody will know what it is for");
    let toml = fs::read_to_string(cases.join("fan-stops/case.toml")).unwrap();
    let toml = toml.replace("title = \"\"", "title = \"The fan stops.\"").replace("must = []", "must = [\"fates *\"]");
    fs::write(cases.join("fan-stops/case.toml"), toml).unwrap();
    let lines = scenarios::case::load(&cases, "fan-stops").unwrap().recording().unwrap();
    assert_eq!(lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count(), 146);
    check(
        "record fan-stops --source file:day.jsonl.zst --folder cases",
        expect![[r#"
            exit 2
            error: case "fan-stops" is already in cases
        "#]],
    );
    check(
        "record later --source file:day.jsonl.zst --from 2027-01-01 --folder cases",
        expect![[r#"
            exit 1
            error: source "file:day.jsonl.zst" has no message in that time
        "#]],
    );
    check(
        "record Later --source file:day.jsonl.zst",
        expect![[r#"
            exit 2
            error: case name "Later" may have small letters, digits and hyphens between them
        "#]],
    );
}

#[test]
fn what_can_not_be_simulated_is_said() {
    check(
        "simulate --to kafka://localhost:9092",
        expect![[r#"
            exit 2
            error: source "kafka://localhost:9092" names no topic; sources are file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC
        "#]],
    );
    check(
        "simulate --devices A:chiller --fault B/low_flow",
        expect![[r#"
            exit 2
            error: fault B/low_flow: field "device_id": "B" is not of the fleet; allowed: the fleet's devices: A
        "#]],
    );
    check(
        "simulate --late 2",
        expect![[r#"
            exit 2
            error: option "late_rate": 2 is out of range; allowed: 0 to 1
        "#]],
    );
    check(
        "simulate --fast-clock CT-001",
        expect![[r#"
            exit 2
            error: flag --fast-clock: "CT-001" is not ID:AHEAD, such as CT-001:2min
        "#]],
    );
}

#[test]
fn a_simulation_can_go_to_stdout_at_a_pace_and_is_the_same() {
    let folder = folder();
    let began = std::time::Instant::now();
    let streamed = output(folder, "simulate --to - --devices A:chiller --duration 1min --rate 300 --json");
    assert!(streamed.status.success());
    assert!(began.elapsed() >= std::time::Duration::from_millis(200), "90 messages at 300 a second");
    let summary: Json = serde_json::from_slice(&streamed.stderr).unwrap();
    assert_eq!((&summary["messages"], &summary["labels_file"]), (&90.into(), &Json::Null));
    let to_file = call(folder, "simulate --to same.jsonl --devices A:chiller --duration 1min");
    assert!(to_file.starts_with("exit 0\n"), "{to_file}");
    assert_eq!(fs::read(folder.join("same.jsonl")).unwrap(), streamed.stdout);
    assert_eq!(fs::read_to_string(folder.join("same.labels.jsonl")).unwrap(), "");
}

#[test]
fn the_originals_fleet_file_is_read() {
    let folder = folder();
    let fleet = r#"{"devices": [{"device_id": "RTU-7", "device_type": "rooftop_unit", "location": "roof",
        "building_id": "b", "inject_anomalies": true}]}"#;
    fs::write(folder.join("fleet_config.json"), fleet).unwrap();
    let to =
        "simulate --to seven.jsonl --fleet fleet_config.json --duration 20min --original --spelling original --json";
    assert!(json(to)["faults"].as_u64().unwrap() > 0);
    let text = fs::read_to_string(folder.join("seven.jsonl")).unwrap();
    assert!(text.contains("\"device_type\":\"rooftopunit\"") && text.contains("\"location\":\"roof\""));
    assert_eq!(json(&format!("{to} --no-anomalies"))["faults"], 0);
}

#[test]
fn settings_are_printed_and_checked() {
    let printed = output(folder(), "config print --set window=30s --set detectors.warm_up_windows=120");
    let table: toml::Table = String::from_utf8(printed.stdout).unwrap().parse().unwrap();
    assert_eq!(
        (table["window"].as_str(), table["detectors"]["warm_up_windows"].as_integer()),
        (Some("30s"), Some(120))
    );
    fs::write(folder().join("right.toml"), toml::to_string(&table).unwrap()).unwrap();
    check("config validate --config right.toml", expect!["exit 0\nconfiguration is valid\n"]);
    check(
        "config validate --set windw=30s",
        expect![[r#"
            exit 1
            error: flag --windw: unknown setting "windw"; did you mean "window"?
        "#]],
    );
    check(
        "config validate --set embedder=gpt",
        expect![[r#"
            exit 1
            error: embedder "gpt" is none of projection, none
        "#]],
    );
    check(
        "config print --set windw=30s",
        expect![[r#"
            exit 2
            error: flag --windw: unknown setting "windw"; did you mean "window"?
        "#]],
    );
}

#[test]
fn every_command_has_help_with_an_example_and_completions() {
    for command in [
        "simulate",
        "convert",
        "convert csv",
        "record",
        "store",
        "store dump",
        "store schema",
        "store clear",
        "store verify",
        "incidents",
        "explain",
        "profiles",
        "similar",
        "dead-letters",
        "config",
        "config print",
        "config validate",
        "completions",
    ] {
        let help = call(folder(), &format!("{command} --help"));
        assert!(help.starts_with("exit 0\n") && help.contains("Example"), "{command}: {help}");
        assert!(help.contains("  dataflow "), "{command}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = call(folder(), &format!("completions {shell}"));
        assert!(script.starts_with("exit 0\n") && script.contains("dead-letters"), "{shell}");
    }
    assert!(call(folder(), "completions cobol").starts_with("exit 2\n"));
}
