//! Commands that make recordings, and what all commands share.

use super::*;

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
            Next: write its title and what must come of it into case.toml, then `dataflow replay fan-stops --folder cases --bless`
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
            error: embedder "gpt" is none of projection, ollama://HOST[:PORT]/MODEL, none
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
        "backtest",
        "simulate",
        "convert",
        "convert csv",
        "record",
        "store",
        "store dump",
        "store schema",
        "store schema create",
        "store schema check",
        "store schema print",
        "store schema drop",
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
