//! A row of the store: values in the order of its table's columns, and the version that decides which write wins.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tables::{Kind, Table, TableId};

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// Absent.
    Null,
    /// Text.
    Text(String),
    /// 64-bit integer; also the milliseconds of a timestamp.
    Int(i64),
    /// Double; always finite.
    Double(f64),
    /// True or false.
    Bool(bool),
    /// Bytes.
    Blob(Vec<u8>),
    /// `map<text, double>`.
    Map(BTreeMap<String, f64>),
    /// `map<text, frozen<map<text, double>>>`.
    Stats(BTreeMap<String, BTreeMap<String, f64>>),
    /// `list<text>`.
    Texts(Vec<String>),
    /// `list<double>`.
    Doubles(Vec<f64>),
    /// `vector<float, n>`; finite and not all zero.
    Vector(Vec<f32>),
    /// `timeuuid`.
    Uuid([u8; 16]),
}

/// Which of two writes to the same key wins: the higher one. A pure function of the records, so that belated and
/// repeated writes can't win over newer ones. Derived rows carry their window, raw rows (late, broker time, partition, offset).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version {
    /// 1 for a late reading, otherwise 0.
    pub late: u8,
    /// Window start or broker time in milliseconds.
    pub time_ms: i64,
    /// Partition of a raw row, otherwise 0.
    pub partition: u32,
    /// Offset of a raw row, otherwise 0.
    pub offset: i64,
}

impl Version {
    /// The version of a row derived from a window.
    pub fn window(start_ms: i64) -> Self {
        Version { late: 0, time_ms: start_ms, partition: 0, offset: 0 }
    }

    /// 21 bytes whose byte order is the version's order.
    pub fn to_bytes(self) -> [u8; 21] {
        let mut bytes = [0; 21];
        bytes[0] = self.late;
        bytes[1..9].copy_from_slice(&sortable(self.time_ms));
        bytes[9..13].copy_from_slice(&self.partition.to_be_bytes());
        bytes[13..21].copy_from_slice(&sortable(self.offset));
        bytes
    }
}

/// Big-endian with the sign bit turned: byte order is number order.
fn sortable(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// A row to be written. Writing it twice is the same as once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Which table.
    pub table: TableId,
    /// Decides between two writes of the same key.
    pub version: Version,
    /// One value a column of the table, in order; key columns first.
    pub values: Vec<Value>,
}

impl Row {
    /// The table's description.
    pub fn table(&self) -> &'static Table {
        self.table.table()
    }

    /// The key columns' values.
    pub fn key(&self) -> &[Value] {
        &self.values[..self.table().key_columns]
    }

    /// The value of a column by its name.
    ///
    /// # Panics
    /// When the table has no such column: a misspelling in the program, not in data.
    pub fn value(&self, column: &str) -> &Value {
        let at = self.table().columns.iter().position(|known| known.name == column);
        &self.values[at.unwrap_or_else(|| panic!("table {} has no column {column:?}", self.table().name))]
    }

    /// Rough size in memory and on the wire, for bounds on what is in flight.
    pub fn size_bytes(&self) -> usize {
        48 + self.values.iter().map(Value::size_bytes).sum::<usize>()
    }
}

impl Value {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The integer or the milliseconds of a timestamp, if it is one.
    pub fn as_int(&self) -> Option<i64> {
        if let Value::Int(number) = self { Some(*number) } else { None }
    }

    /// The double, if it is one.
    pub fn as_double(&self) -> Option<f64> {
        if let Value::Double(number) = self { Some(*number) } else { None }
    }

    fn size_bytes(&self) -> usize {
        32 + match self {
            Value::Text(text) => text.len(),
            Value::Blob(bytes) => bytes.len(),
            Value::Map(map) => map.keys().map(|key| key.len() + 40).sum(),
            Value::Stats(map) => map.iter().map(|(key, inner)| key.len() + 48 * (inner.len() + 1)).sum(),
            Value::Texts(texts) => texts.iter().map(|text| text.len() + 24).sum(),
            Value::Doubles(doubles) => doubles.len() * 8,
            Value::Vector(vector) => vector.len() * 4,
            _ => 0,
        }
    }

    /// The order of keys in `store dump` and in scans. Only kinds that keys have are ordered among themselves.
    pub fn key_order(&self, other: &Value) -> std::cmp::Ordering {
        match (self, other) {
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Value::Uuid(a), Value::Uuid(b)) => a.cmp(b),
            _ => std::cmp::Ordering::Equal,
        }
    }

    /// As JSON for `store dump`: timestamps as RFC 3339, blobs and vectors as text that loses no bit.
    pub fn to_json(&self, kind: Kind) -> serde_json::Value {
        use base64::Engine as _;
        use serde_json::Value as Json;
        let base64 = base64::engine::general_purpose::STANDARD;
        match self {
            Value::Null => Json::Null,
            Value::Text(text) => Json::from(text.as_str()),
            Value::Int(number) if kind == Kind::Timestamp => Json::from(crate::time::format_ms(*number)),
            Value::Int(number) => Json::from(*number),
            Value::Double(number) => Json::from(*number),
            Value::Bool(flag) => Json::from(*flag),
            Value::Blob(bytes) => Json::from(base64.encode(bytes)),
            Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), Json::from(*value))).collect(),
            Value::Stats(map) => map
                .iter()
                .map(|(key, inner)| {
                    let inner: Json = inner.iter().map(|(key, value)| (key.clone(), Json::from(*value))).collect();
                    (key.clone(), inner)
                })
                .collect(),
            Value::Texts(texts) => Json::from(texts.clone()),
            Value::Doubles(doubles) => Json::from(doubles.clone()),
            Value::Vector(vector) => Json::from(vector.iter().map(|number| f64::from(*number)).collect::<Vec<_>>()),
            Value::Uuid(bytes) => Json::from(uuid::Uuid::from_bytes(*bytes).to_string()),
        }
    }
}
