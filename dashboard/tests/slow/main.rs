//! A reader that does not read, in a process of its own: memory is measured.

#[path = "../http/reader.rs"]
mod reader;
#[allow(dead_code, reason = "shared with the other tests, which use all of it")]
#[path = "../http/stage.rs"]
mod stage;

use std::time::Duration;

use dashboard::Feed;

use reader::Reader;
use stage::{Stage, state};

#[test]
fn a_slow_reader_is_told_to_load_again_and_costs_little() {
    let stage = Stage::set(true);
    let mut slow = Reader::open(&stage, "");
    slow.next("pipeline");
    let mut feed = Feed::new(std::sync::Arc::clone(&stage.board));
    // Each minute is some 8 MB of events, which the slow reader does not take.
    let devices: Vec<String> = (0..10_000).map(|number| format!("device-{number:05}")).collect();
    let mut minutes = |minutes: std::ops::Range<i64>| {
        for minute in minutes {
            let rows: Vec<_> = devices.iter().map(|device| state(device, "b9", minute, 0.5)).collect();
            feed.note(&rows);
            feed.tell();
            std::thread::sleep(Duration::from_millis(550));
        }
        resident_bytes()
    };
    // The fleet is there, and the ring is full.
    let before = minutes(30..40);
    let grown = minutes(40..60).saturating_sub(before);
    println!("{} MB with the fleet, grown by {} MB in 160 MB of events", before >> 20, grown >> 20);
    assert!(grown < 60 << 20, "grown by {grown} bytes");
    let (_, _) = slow.next("resync");
    // Others go on meanwhile.
    assert_eq!(stage.json("/api/v1/fleet?building=b9&limit=1")["total"], 10_000);
}

/// Memory of this process, the server's included.
fn resident_bytes() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4_096
}
