//! Commands that read a topic for something else than the job.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::services::address;
use crate::stage::{Stage, disturbed, report, simulate};

#[test]
fn a_slice_of_a_topic_is_the_slice_of_its_recording() {
    let messages = simulate(3, 60, disturbed());
    let stage = Stage::new("slice", 3);
    stage.send(&messages);
    let record = |name: &str, source: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        let times = ["--from", "2026-03-02T00:20:00Z", "--to", "2026-03-02T00:30:00Z"];
        command.args(["record", name, "--json", "--folder", "cases", "--source", source]).args(times);
        command.current_dir(&stage.folder).stdin(Stdio::null());
        let summary = report(command);
        let folder = stage.folder.join("cases").join(name);
        let packed = std::fs::read(folder.join("input.jsonl.zst"));
        let lines = packed.map(|packed| zstd::decode_all(packed.as_slice()).unwrap());
        (summary["messages"].clone(), lines.unwrap_or_else(|_| std::fs::read(folder.join("input.jsonl")).unwrap()))
    };
    let from_topic = record("of-topic", &format!("kafka://{}/{}", stage.broker, stage.topic));
    let from_file = record("of-file", &stage.record(&messages));
    assert!(from_file.0.as_u64().unwrap() > 5_000, "{}", from_file.0);
    assert_eq!(from_topic.0, from_file.0);
    assert!(from_topic.1 == from_file.1, "the slices differ");
}

#[test]
fn a_measurement_from_a_topic_counts_what_one_from_memory_counts() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    let source = format!("json,kafka://{}", address("PLENUM_TEST_KAFKA"));
    command.args(["bench", "--json", "--records", "50000", "--repeat", "1", "-w", "2", "--stage", "windows,detectors"]);
    command.args(["--source", &source]).stdin(Stdio::null());
    let list = report_list(command);
    let of = |name: &str| list.iter().filter(|entry| entry["source"] == name).count();
    assert_eq!((of("json"), of("kafka"), list.len()), (2, 2, 4), "{list:?}");
    for entry in &list {
        assert_eq!((&entry["correct"], &entry["messages"]), (&true.into(), &50_000.into()), "{entry}");
        assert!(entry["messages_per_second"].as_f64().unwrap() > 0.0, "{entry}");
    }
}

/// The list that a command prints.
fn report_list(mut command: Command) -> Vec<Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", crate::stage::said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}
