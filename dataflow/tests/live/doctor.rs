//! `doctor` on real services.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use connectors::{KafkaProducer, KafkaSettings};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use serde_json::Value;

use crate::services::address;

/// Exit code and findings.
fn doctor(arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    command.args(["doctor", "--json", "--store", "null"]).args(arguments).stdin(Stdio::null());
    let output = command.output().unwrap();
    let found = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), found)
}

fn finding<'a>(found: &'a Value, service: usize, check: &str) -> &'a Value {
    let findings = found["services"][service]["findings"].as_array().unwrap();
    findings.iter().find(|finding| finding["check"] == check).unwrap_or_else(|| panic!("no {check} in {found}"))
}

fn verdict<'a>(found: &'a Value, service: usize, check: &str) -> &'a str {
    finding(found, service, check)["verdict"].as_str().unwrap()
}

/// A topic of this test's own, and its address.
fn topic(what: &str, properties: &[(&str, &str)]) -> (KafkaProducer, String) {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let url = format!("kafka://{}/doctor-{what}-{since}", address("PLENUM_TEST_KAFKA"));
    let producer = KafkaProducer::open(&url, &KafkaSettings::default()).unwrap();
    producer.make_topic(3, properties).unwrap();
    (producer, url)
}

fn topics() -> Vec<String> {
    let client: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", address("PLENUM_TEST_KAFKA")).create().unwrap();
    let metadata = client.fetch_metadata(None, std::time::Duration::from_secs(10)).unwrap();
    metadata.topics().iter().map(|topic| topic.name().to_owned()).collect()
}

#[test]
fn a_good_topic_is_fine_and_nothing_stays_behind() {
    let (producer, url) = topic("good", &[("message.timestamp.type", "LogAppendTime")]);
    let reading = r#"{"device_id":"RTU-001","device_type":"RTU","timestamp":"2026-03-02T09:50:00Z","metric_name":"fan_speed","metric_value":1500.0}"#;
    for _ in 0..7 {
        producer.send(Some(b"RTU-001"), Some(reading.as_bytes()), &[], Some(1), None).unwrap();
    }
    producer.flush().unwrap();
    let (code, found) = doctor(&["--source", &url, "--write"]);
    assert_eq!((code, &found["verdict"]), (Some(0), &"fine".into()), "{found:#}");
    assert_eq!(finding(&found, 0, "topic")["seen"], "3 partitions");
    assert_eq!(finding(&found, 0, "messages")["seen"], "up to 7 in the log, 2 partitions are empty");
    let seen = "7 of partition 1 can be used, the last one is fan_speed of \"RTU-001\"";
    assert_eq!(finding(&found, 0, "readings")["seen"], seen);
    let wrote = finding(&found, 0, "write")["seen"].as_str().unwrap();
    let made = wrote.split('"').nth(1).unwrap();
    assert!(made.starts_with("plenum-doctor-") && !topics().iter().any(|topic| topic == made), "{wrote}");
}

#[test]
fn what_could_go_wrong_with_a_topic_is_advised_against() {
    let properties = [("message.timestamp.type", "CreateTime"), ("cleanup.policy", "compact")];
    let (_producer, url) = topic("bad", &properties);
    let outlet = format!("anomaly_topic={}-none", url.rsplit('/').next().unwrap());
    let store = ["--store", "sqlite:plenum-doctor-test/none.db"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    command.args(["doctor", "--json", "--source", &url, "--set", &outlet]).args(store);
    let output = command.output().unwrap();
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((output.status.code(), &found["verdict"]), (Some(0), &"advice".into()), "{found:#}");
    assert_eq!((verdict(&found, 0, "clock"), verdict(&found, 0, "retention")), ("advice", "advice"));
    assert_eq!(finding(&found, 0, "readings")["seen"], "nothing to look at yet");
    assert_eq!(finding(&found, 3, "topic")["seen"], "there is none yet: the job makes it when it starts");
    assert!(!topics().iter().any(|topic| topic.ends_with("-none")), "looking at a topic made it");
}

#[test]
fn a_topic_that_is_missing_fails() {
    let (code, found) = doctor(&["--source", &format!("kafka://{}/doctor-of-nothing", address("PLENUM_TEST_KAFKA"))]);
    assert_eq!((code, verdict(&found, 0, "topic")), (Some(1), "failed"), "{found:#}");
    assert!(finding(&found, 0, "topic")["help"].as_str().unwrap().contains("dataflow simulate"));
    assert!(!topics().iter().any(|topic| topic == "doctor-of-nothing"), "looking at a topic made it");
}

#[test]
fn ollama_gives_the_vector_that_its_model_has() {
    let (_producer, topic) = topic("vectors", &[]);
    let url = |model: &str| format!("ollama://{}/{model}", address("PLENUM_TEST_OLLAMA"));
    let (code, found) = doctor(&["--source", &topic, "--embedder", &url("all-minilm:l6-v2")]);
    assert_eq!(code, Some(0), "{found:#}");
    let vector = finding(&found, 2, "vector");
    assert!(vector["seen"].as_str().unwrap().starts_with("as expected of all-minilm: cosine "), "{vector}");
    assert!(finding(&found, 2, "model")["seen"].as_str().unwrap().contains("384 components, norm 1"));
    let (code, found) = doctor(&["--source", &topic, "--embedder", &url("no-such-model")]);
    assert_eq!((code, verdict(&found, 2, "model")), (Some(1), "failed"), "{found:#}");
    assert!(finding(&found, 2, "model")["seen"].as_str().unwrap().contains("ollama pull no-such-model"));
}
