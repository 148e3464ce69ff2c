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

/// Which of two writes to the same key wins: the higher one. Microseconds since the epoch, a pure function of the records,
/// so that belated and repeated writes can't win over newer ones; a CQL store takes it as the write timestamp, SQLite as a
/// column. Never `i64::MIN`, which Cassandra keeps for "no timestamp", and never in the future where broker times are not.
///
/// Two writes with equal versions have equal content, but for what [`Version::raw`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Version(i64);

/// Bits below a block of a raw row's version.
const BLOCK_BITS: u32 = 24;
/// Bits of the offset and of the partition in them; the bit above is the late one.
const OFFSET_BITS: u32 = 20;
const PARTITION_BITS: u32 = 3;

impl Version {
    /// So many microseconds since the epoch.
    pub const fn from_us(us: i64) -> Self {
        Version(if us == i64::MIN { i64::MIN + 1 } else { us })
    }

    /// The next higher one: of a row that is completed later than it was written first.
    #[must_use]
    pub const fn next(self) -> Self {
        Version(self.0.saturating_add(1))
    }

    /// Microseconds since the epoch.
    pub const fn us(self) -> i64 {
        self.0
    }

    /// The version of a row derived from a window.
    pub const fn window(start_ms: i64) -> Self {
        Self::from_us(start_ms.saturating_mul(1_000))
    }

    /// The version of a row derived from a window that is completed in steps: 0 waits for its vector, 1 has it.
    ///
    /// # Panics
    /// When there are a thousand steps or more: they would run into the next millisecond.
    pub const fn window_step(start_ms: i64, step: u16) -> Self {
        assert!(step < 1_000, "a window has fewer than a thousand steps");
        Self::from_us(start_ms.saturating_mul(1_000).saturating_add(step as i64))
    }

    /// The version of what was made of one record: ordered by the broker's time in blocks of 2^24 µs (16.8 s), then late
    /// after on time, then by offset and partition.
    ///
    /// Blocks, because two duplicates of one reading mostly lie in one appended batch with one broker time, where the
    /// offset has to decide, as it does by the rule for duplicates (partition, offset); and no more than that, because
    /// time-window compaction gathers rows by their write timestamp, so that it has to be a time. The number lies one block
    /// before the broker's time and so never in the future.
    ///
    /// What is left: of the offset 20 bits count and of the partition 3. Within a block the order of two records of one key
    /// turns around where the offset wraps between them, and two partitions that differ by a multiple of 8 at equal offsets
    /// have equal versions; for one key, both are a matter of a device that does not keep to one partition or sends a
    /// reading again a million records later within seconds. The result stays a pure function of the records.
    pub fn raw(late: bool, broker_ms: i64, partition: u32, offset: i64) -> Self {
        let block = broker_ms.saturating_mul(1_000) >> BLOCK_BITS;
        let offset = offset & ((1 << OFFSET_BITS) - 1);
        let partition = i64::from(partition) & ((1 << PARTITION_BITS) - 1);
        let order = (i64::from(late) << (BLOCK_BITS - 1)) | (offset << PARTITION_BITS) | partition;
        // The first block has none before it: it keeps its place, where order within it still counts.
        Self::from_us((block - 1).max(i64::MIN >> BLOCK_BITS) << BLOCK_BITS | order)
    }
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

    /// Changes the value of a column.
    ///
    /// # Panics
    /// When the table has no such column, as [`Row::value`].
    pub fn set(&mut self, column: &str, value: Value) {
        let table = self.table();
        let at = table.columns.iter().position(|known| known.name == column);
        self.values[at.unwrap_or_else(|| panic!("table {} has no column {column:?}", table.name))] = value;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pinned() {
        let shown = [
            Version::window(1_772_445_600_000),
            Version::window_step(1_772_445_600_000, 1),
            Version::window(-60_000),
            Version::window(i64::MIN),
            Version::window(i64::MAX),
            Version::raw(false, 1_772_445_600_000, 2, 7),
            Version::raw(true, 1_772_445_600_000, 2, 7),
            Version::raw(false, i64::MIN, 0, 0),
            Version::raw(true, i64::MAX, u32::MAX, i64::MAX),
        ];
        expect_test::expect![[r#"
            1772445600000000
            1772445600000001
            -60000000
            -9223372036854775807
            9223372036854775807
            1772445576986682
            1772445585375290
            -9223372036854775807
            9223372036837998591
        "#]]
        .assert_eq(&shown.map(|version| format!("{}\n", version.us())).concat());
    }

    /// Each is above the one before it.
    #[test]
    fn a_records_versions_rise_by_block_lateness_offset_and_partition() {
        const BLOCK_MS: i64 = 16_777;
        let at = 1_000 * BLOCK_MS;
        let rising = [
            Version::raw(true, -(1 << 50), 7, -1),
            Version::raw(false, -1, 0, 0),
            Version::raw(false, 0, 0, 5),
            Version::raw(false, at, 9, 5),
            Version::raw(false, at + 20, 2, 5),
            Version::raw(false, at, 0, 6),
            Version::raw(true, at, 0, 1),
            Version::raw(false, at + 2 * BLOCK_MS, 0, 0),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b), "{rising:?}");
    }

    #[test]
    fn a_records_version_is_no_later_than_its_broker_time_and_no_more_than_two_blocks_before() {
        for broker_ms in [0, 1, -1, 1_772_445_600_000, -1_772_445_600_001, 1 << 50] {
            for late in [false, true] {
                let before_us = broker_ms * 1_000 - Version::raw(late, broker_ms, u32::MAX, -1).us();
                assert!((0..2 << 24).contains(&before_us), "{broker_ms}: {before_us} before");
            }
        }
    }
}
