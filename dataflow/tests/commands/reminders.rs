//! What is still open is told again on a live source, until somebody takes it into his hands.

use std::sync::atomic::AtomicBool;

use connectors::MemoryStore;
use dataflow::alerts::sender;
use dataflow::outlets::Outlet as _;
use dataflow::settings::{JobSettings, WebhookSettings};
use model::{Row, Version};

use crate::receiver::{Receiver, SECRET};

use super::*;

const AT_MS: i64 = 1_772_445_600_000;

/// The row of a silent device after the window at `at_ms`.
fn row(at_ms: i64, status: &str, transition: i64, resolution: &str) -> Row {
    let columns = TableId::AnomalyEvents.table().columns;
    let values = columns.iter().map(|_| Value::Null).collect();
    let mut row = Row { table: TableId::AnomalyEvents, version: Version::window(at_ms), values };
    for (column, text) in [
        ("device_id", "D-1"),
        ("date", "2026-03-02"),
        ("device_type", "widget"),
        ("building_id", "north"),
        ("anomaly_type", "silent"),
        ("severity", "warning"),
        ("contributions", "[]"),
        ("status", status),
        ("resolution_status", resolution),
    ] {
        row.set(column, Value::Text(text.to_owned()));
    }
    row.set("anomaly_id", Value::Uuid([7; 16]));
    row.set("started_at", Value::Int(AT_MS));
    row.set("transition", Value::Int(transition));
    row
}

#[test]
fn what_is_open_is_told_again_until_somebody_takes_it() {
    let receiver = Receiver::willing();
    let settings = WebhookSettings {
        url: receiver.url.clone(),
        secret: SECRET.to_owned(),
        repeat_interval_ms: 500,
        ..WebhookSettings::default()
    };
    let mut store = MemoryStore::new();
    let progress = Arc::new(Progress::default());
    let own = Box::new(store.clone());
    let (mut outlet, sender) = sender::start(&settings, &JobSettings::default(), true, own, &progress).unwrap();
    let mut write = |row: Row| {
        let at_ms = row.version.us() / 1_000;
        outlet.note(std::slice::from_ref(&row));
        store.write(&[row]).unwrap();
        outlet.keep(&mut store).unwrap();
        outlet.tell().unwrap();
        progress.set_durable_ms(at_ms + 60_000);
    };
    write(row(AT_MS, "open", 1, "open"));
    receiver.wait(3);
    let came: Vec<Json> = receiver.came().iter().map(|one| one.json()).collect();
    assert_eq!((&came[0]["status"], &came[0]["device_id"]), (&Json::from("open"), &Json::from("D-1")));
    for again in &came[1..3] {
        assert_eq!((&again["what"], &again["update_of"]), (&Json::from("repeated"), &came[0]["id"]));
        assert_eq!(again["incidents"][0]["id"], came[0]["id"]);
    }
    assert_ne!(came[1]["id"], came[2]["id"], "two reminders are two alerts");
    // In maintenance it is open still, and nobody needs to be told.
    write(row(AT_MS + 60_000, "open", 1, "maintenance"));
    std::thread::sleep(Duration::from_millis(1_000));
    let reminded = receiver.came().len();
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(receiver.came().len(), reminded);
    // Its end is told all the same.
    write(row(AT_MS + 600_000, "closed", 2, "maintenance"));
    receiver.wait(reminded + 1);
    let last = receiver.came().pop().unwrap().json();
    assert_eq!((&last["status"], &last["transition"]), (&Json::from("closed"), &Json::from(2)));
    sender.finish(true, false, &AtomicBool::new(false));
}
