//! What `doctor` says of services that are files.

use super::*;

/// The findings without the time that each took.
fn doctor(arguments: &str) -> String {
    let text = call(folder(), &format!("doctor {arguments}"));
    let line = |line: &str| match line.rsplit_once(" (") {
        Some((seen, took)) if took.ends_with(" ms)") => seen.to_owned(),
        _ => line.to_owned(),
    };
    text.lines().map(|text| line(text) + "\n").collect()
}

fn files() -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    // Other tests come and go; these are what this one could leave.
    names.retain(|name| name.contains("doctor") || name.starts_with("new") || name == "plenum-data");
    names
}

#[test]
fn a_recording_and_its_store_are_fine() {
    fs::copy(folder().join("day.db"), folder().join("looked-at.db")).unwrap();
    let dump = call(folder(), "store dump --store sqlite:looked-at.db");
    let said = doctor("--source file:day.jsonl.zst --store sqlite:looked-at.db");
    let mib = fs::metadata(folder().join("looked-at.db")).unwrap().len() >> 20;
    let version = said.split_once("SQLite ").unwrap().1.split(',').next().unwrap();
    let said = said.replace(&format!("{mib} MiB"), "N MiB").replace(version, "VERSION");
    expect![[r#"
        exit 0
        source    file:day.jsonl.zst
          fine    open        23939 messages in 2 partitions
          fine    readings    100 of partition 1 can be used, the last one is return_air_temp of "RTU-001"

        store     sqlite:looked-at.db
          fine    open        schema is this version's, SQLite VERSION, N MiB
          fine    job         no job holds it
          fine    write       a row was written, read and rolled back
          fine    checkpoint  number 1 is whole: the job goes on from there

        embedder  projection
          fine    vector      384 components, made by this program itself

        7 fine, 0 with advice, 0 failed
    "#]]
    .assert_eq(&said);
    assert!(dump == call(folder(), "store dump --store sqlite:looked-at.db"), "the doctor changed the store");
}

#[test]
fn what_is_not_there_yet_is_not_made() {
    let before = files();
    expect![[r#"
        exit 0
        source    scenario:fleet-day
          fine    open        plenum-data/fleet-day.jsonl.zst is made at the first start

        store     sqlite:new/deep/plenum.db
          fine    place       no store yet; one can be made in folder "."

        embedder  none
          fine    vector      states get no vectors, `similar` finds nothing

        3 fine, 0 with advice, 0 failed
    "#]]
    .assert_eq(&doctor("--store sqlite:new/deep/plenum.db --embedder none"));
    assert_eq!(files(), before);
}

#[test]
fn what_fails_is_told_with_what_helps() {
    fs::write(folder().join("none.db"), "x".repeat(5_000)).unwrap();
    expect![[r#"
        exit 1
        source    file:none.jsonl
          FAILED  open        could not open source "file:none.jsonl": could not open "none.jsonl": No such file or directory (os error 2); check the path

        store     sqlite:none.db
          FAILED  open        could not open store "none.db": file is not a database; the file is no SQLite database: name another one

        embedder  word2vec
          FAILED  vector      embedder "word2vec" is none of projection, ollama://HOST[:PORT]/MODEL, none

        0 fine, 0 with advice, 3 failed
    "#]].assert_eq(&doctor("--source file:none.jsonl --store sqlite:none.db --embedder word2vec"));
    let place = doctor("--source file:day.jsonl.zst --store sqlite:day.db/deep/plenum.db");
    assert!(place.contains("FAILED  place") && place.contains("a part of its path is a file"), "{place}");
    let anomalies = doctor("--source file:day.jsonl.zst --store null --set anomaly_topic=alarms");
    assert!(
        anomalies.starts_with("exit 1\n") && anomalies.contains("topic \"alarms\" needs its brokers"),
        "{anomalies}"
    );
    check(
        "doctor --set windw=1s",
        expect![[r#"
        exit 2
        error: flag --windw: unknown setting "windw"; did you mean "window"?
    "#]],
    );
}

#[test]
fn a_store_at_work_is_no_failure() {
    fs::copy(folder().join("day.db"), folder().join("held-by.db")).unwrap();
    let mut held = SqliteStore::open(folder().join("held-by.db")).unwrap();
    held.acquire_lease(&connectors::LeaseOwner::this_process(0)).unwrap();
    let found = json("doctor --source file:day.jsonl.zst --store sqlite:held-by.db --json");
    assert_eq!(found["verdict"], "advice");
    let findings = found["services"][1]["findings"].as_array().unwrap();
    let job = findings.iter().find(|finding| finding["check"] == "job").unwrap();
    assert_eq!(job["verdict"], "advice");
    let seen = job["seen"].as_str().unwrap();
    assert!(seen.contains(&format!("is held by process {}", std::process::id())), "{seen}");
    held.release_lease().unwrap();
}

#[test]
fn brokers_that_are_away_are_named_with_the_cause() {
    let said = doctor("--source kafka://127.0.0.1:1/iot-metrics --store null --write");
    assert!(said.starts_with("exit 1\n"), "{said}");
    let line = said.lines().find(|line| line.contains("FAILED")).unwrap();
    assert!(line.contains("no broker answers at 127.0.0.1:1: ") && line.contains("Connection refused"), "{line}");
    assert!(said.contains("check that Kafka runs at this address"), "{said}");
    let ollama = doctor("--source file:day.jsonl.zst --store null --embedder ollama://127.0.0.1:1/all-minilm");
    assert!(ollama.starts_with("exit 1\n") && ollama.contains("see whether Ollama runs there"), "{ollama}");
}

#[test]
fn a_recording_of_something_else_is_noticed() {
    let mut lines = Vec::new();
    for offset in 0..9 {
        let bytes = format!("{{\"temperature\":{offset}}}");
        model::recording::write_message(&mut lines, 0, offset, 1_772_445_000_000, Some(bytes.as_bytes()));
    }
    fs::write(folder().join("unrelated.jsonl"), lines).unwrap();
    let found = json("doctor --source file:unrelated.jsonl --store null --json");
    let readings = &found["services"][0]["findings"][1];
    assert_eq!((&readings["check"], &readings["verdict"]), (&"readings".into(), &"advice".into()));
    let seen = readings["seen"].as_str().unwrap();
    assert!(seen.starts_with("9 of 9 of partition 0 can't be used, such as missing_field"), "{seen}");
}
