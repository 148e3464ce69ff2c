//! What the tests share.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use connectors::{Event, PartitionReader, Poll, Store};
use model::tables::TableId;
use model::{Row, Value, Version};

/// A folder that goes when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("connectors-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// A message with the folder's changing name taken out.
    pub fn plain(&self, message: impl std::fmt::Display) -> String {
        message.to_string().replace(&self.0.display().to_string(), "FOLDER")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An event that outlives its callback.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    Message(i64, i64, Option<String>),
    Mark(i64, i64),
}

impl Seen {
    pub fn offset(&self) -> i64 {
        match self {
            Seen::Message(offset, ..) | Seen::Mark(offset, _) => *offset,
        }
    }
}

/// Reads a finite partition to its end with polls of this size.
pub fn read_all(reader: &mut dyn PartitionReader, max: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    loop {
        let before = seen.len();
        let poll = reader.poll(max, &mut |event| seen.push(see(event))).unwrap();
        match poll {
            Poll::Finished => {
                assert_eq!(seen.len(), before);
                return seen;
            }
            Poll::Ready(count) => assert!(count <= max && seen.len() == before + count),
            other => panic!("a finite source says {other:?}"),
        }
    }
}

pub fn see(event: Event<'_>) -> Seen {
    match event {
        Event::Message(message) => {
            let bytes = message.bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            Seen::Message(message.offset, message.broker_ms, bytes)
        }
        Event::Mark { offset, watermark_ms } => Seen::Mark(offset, watermark_ms),
    }
}

/// A late reading: its key has texts, a timestamp, an int and a bigint.
pub fn late(device: &str, time_ms: i64, metric: &str, partition: i64, offset: i64, value: f64) -> Row {
    let values = vec![
        Value::Text(device.to_owned()),
        Value::Text("2026-03-02".to_owned()),
        Value::Int(time_ms),
        Value::Text(metric.to_owned()),
        Value::Int(partition),
        Value::Int(offset),
        Value::Double(value),
        Value::Null,
        Value::Int(17),
        Value::Int(time_ms),
    ];
    Row { table: TableId::LateMetrics, version: Version::window(time_ms), values }
}

/// A row of `state_occurrences` with a version of its own.
pub fn occurrence(device: &str, time_ms: i64, vector_id: i64, version: Version) -> Row {
    let values = vec![
        Value::Text(device.to_owned()),
        Value::Int(time_ms),
        Value::Text("projection-1".to_owned()),
        Value::Int(vector_id),
        Value::Bool(vector_id % 2 == 0),
    ];
    Row { table: TableId::StateOccurrences, version, values }
}

pub fn scan(store: &mut dyn Store, table: TableId, prefix: &[Value]) -> Vec<Row> {
    let mut rows = Vec::new();
    store
        .scan(table, prefix, &mut |row| {
            rows.push(row);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    rows
}
