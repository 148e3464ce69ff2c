//! Changes as they come: a new state, another incident, a slow reader.

use std::io::Read as _;

use connectors::Store as _;
use dashboard::Feed;
use serde_json::Value as Json;

use super::reader::Reader;
use super::stage::{Stage, incident, state, totals};

#[test]
fn what_a_job_writes_is_told() {
    let stage = Stage::set(true);
    let mut reader = Reader::open(&stage, "");
    // The pipeline is told by itself.
    let (first, pipeline) = reader.next("pipeline");
    assert_eq!(pipeline["dead_letters"][0]["count"], 3);
    let mut feed = Feed::new(std::sync::Arc::clone(&stage.board));
    feed.note(&[state("A", "b1", 10, 0.7), state("A", "b1", 11, 0.8), totals("A", 11)]);
    assert_eq!(stage.json("/api/v1/devices/A")["score"], 0.1, "it is not durable yet");
    feed.tell();
    let (second, states) = reader.next("states");
    assert_eq!(states[0]["device_id"], "A");
    assert_eq!(states[0]["score"], 0.8);
    assert!(second > first);
    // A belated row of an earlier window changes nothing.
    feed.note(&[state("A", "b1", 10, 0.9), incident("A", "anomaly", "critical", 2, false, 12)]);
    feed.tell();
    let (third, told) = reader.next("incident");
    assert_eq!((told["device_id"].as_str(), told["status"].as_str()), (Some("A"), Some("closed")));
    assert!(third > second);
    let device = stage.json("/api/v1/devices/A");
    assert_eq!((device["score"].as_f64(), device["open_incidents"].as_u64()), (Some(0.8), Some(0)));
    assert_eq!(device["severity"], Json::Null);
}

#[test]
fn what_changes_in_a_store_is_noticed_without_a_job() {
    let mut stage = Stage::set(false);
    let mut reader = Reader::open(&stage, "");
    stage
        .store
        .write(&[state("B", "b1", 20, 0.6), totals("B", 20), state("new", "b3", 20, 0.2), totals("new", 20)])
        .unwrap();
    // The first look at the store may be told, too.
    let states = loop {
        let (_, states) = reader.next("states");
        if states.as_array().unwrap().iter().any(|card| card["device_id"] == "new") {
            break states;
        }
    };
    assert_eq!(states.as_array().unwrap().len(), 2);
    assert_eq!(stage.json("/api/v1/fleet?building=b3")["total"], 1);
    // A silent device says nothing; its incident closes all the same.
    stage.store.write(&[incident("C", "silent", "warning", 3, false, 21)]).unwrap();
    let (_, told) = reader.next("incident");
    assert_eq!((told["device_id"].as_str(), told["status"].as_str()), (Some("C"), Some("closed")));
    // Another store in its place: everything is loaded again.
    stage.store.clear().unwrap();
    stage.store.write(&[state("B", "b1", 2, 0.5), totals("B", 2)]).unwrap();
    reader.next("resync");
    stage.wait(|| stage.json("/api/v1/fleet")["total"] == 1);
    assert_eq!(stage.json("/api/v1/devices/B")["score"], 0.5);
}

#[test]
fn who_comes_again_is_told_to_load() {
    let stage = Stage::set(true);
    let mut reader = Reader::open(&stage, "\r\nLast-Event-ID: 7");
    reader.next("resync");
}

#[test]
fn too_many_watchers_are_refused() {
    let stage = Stage::set(true);
    let mut watching: Vec<Reader> = (0..64).map(|_| Reader::open(&stage, "")).collect();
    let mut beyond = String::new();
    stage.open("GET /api/v1/events HTTP/1.1", b"").read_to_string(&mut beyond).unwrap();
    assert!(beyond.contains(" 429 ") && beyond.contains("application/problem+json"), "{beyond}");
    watching.clear();
    stage.wait(|| stage.open("GET /api/v1/events HTTP/1.1", b"").read(&mut [0; 12]).is_ok_and(|read| read == 12));
}
