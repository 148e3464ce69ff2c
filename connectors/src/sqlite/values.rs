//! Values as SQLite columns, both ways. Maps and lists are JSON text with keys in order and the shortest digits that read
//! back as the same double; vectors are little-endian floats.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use std::path::Path;

use model::tables::{Kind, TableId};
use model::{Row, Value, Version};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Statement};

use super::failure;
use super::schema::TableSql;
use crate::StoreError;

/// Table, then key.
pub(super) fn row_order(a: &Row, b: &Row) -> Ordering {
    a.table.cmp(&b.table).then_with(|| {
        let keys = a.key().iter().zip(b.key());
        keys.map(|(a, b)| a.key_order(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    })
}

/// Binds a row that [`crate::fit::check_row`] found good.
pub(super) fn bind_row(statement: &mut Statement<'_>, row: &Row) -> rusqlite::Result<()> {
    for (at, value) in row.values.iter().enumerate() {
        bind(statement, at + 1, value)?;
    }
    statement.raw_bind_parameter(row.values.len() + 1, row.version.us())
}

/// Binds a row's key and version.
pub(super) fn bind_key(statement: &mut Statement<'_>, row: &Row) -> rusqlite::Result<()> {
    for (at, value) in row.key().iter().enumerate() {
        bind(statement, at + 1, value)?;
    }
    statement.raw_bind_parameter(row.key().len() + 1, row.version.us())
}

fn bind(statement: &mut Statement<'_>, at: usize, value: &Value) -> rusqlite::Result<()> {
    match value {
        Value::Null => statement.raw_bind_parameter(at, rusqlite::types::Null),
        Value::Text(text) => statement.raw_bind_parameter(at, text.as_str()),
        Value::Int(number) => statement.raw_bind_parameter(at, number),
        Value::Double(number) => statement.raw_bind_parameter(at, number),
        Value::Bool(flag) => statement.raw_bind_parameter(at, flag),
        Value::Blob(bytes) => statement.raw_bind_parameter(at, bytes.as_slice()),
        Value::Map(map) => statement.raw_bind_parameter(at, json(map)?),
        Value::Stats(map) => statement.raw_bind_parameter(at, json(map)?),
        Value::Texts(texts) => statement.raw_bind_parameter(at, json(texts)?),
        Value::Doubles(numbers) => statement.raw_bind_parameter(at, json(numbers)?),
        Value::Vector(numbers) => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            statement.raw_bind_parameter(at, bytes)
        }
        Value::Uuid(bytes) => statement.raw_bind_parameter(at, &bytes[..]),
    }
}

fn json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Why a page could not be read.
pub(super) enum PageError {
    Sqlite(rusqlite::Error),
    Column { column: &'static str, problem: Cow<'static, str> },
}

impl From<rusqlite::Error> for PageError {
    fn from(error: rusqlite::Error) -> Self {
        PageError::Sqlite(error)
    }
}

impl PageError {
    pub(super) fn into_store_error(self, path: &Path, table: TableId) -> StoreError {
        let action = format!("read table {:?} of", table.table().name);
        match self {
            PageError::Sqlite(cause) => failure::of_sqlite(&action, path, cause),
            PageError::Column { column, problem } => {
                failure::damaged(&action, path, format!("column {column:?} {problem}"))
            }
        }
    }
}

/// Which rows of a table.
pub(super) struct Part<'a> {
    /// Values of the leading key columns.
    pub(super) prefix: &'a [Value],
    /// What the next one may be.
    pub(super) range: Option<&'a Range<i64>>,
    /// Key values behind the prefix of the last row that is known.
    pub(super) after: Option<&'a [Value]>,
}

/// Reads the next rows.
pub(super) fn read_page(
    connection: &Connection,
    sql: &TableSql,
    part: &Part<'_>,
    limit: usize,
) -> Result<Vec<Row>, PageError> {
    let Part { prefix, range, after } = part;
    let mut statement = connection.prepare_cached(&sql.page(prefix.len(), range.is_some(), after.is_some(), limit))?;
    let ends: Vec<Value> = range.iter().flat_map(|range| [Value::Int(range.start), Value::Int(range.end)]).collect();
    for (at, value) in prefix.iter().chain(&ends).chain(after.unwrap_or_default()).enumerate() {
        bind(&mut statement, at + 1, value)?;
    }
    let columns = sql.id.table().columns;
    let mut page = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let mut values = Vec::with_capacity(columns.len());
        for (at, column) in columns.iter().enumerate() {
            let value = read(column.kind, row.get_ref(at)?);
            values.push(value.map_err(|problem| PageError::Column { column: column.name, problem })?);
        }
        let version = match row.get_ref(columns.len())? {
            ValueRef::Integer(us) => Version::from_us(us),
            _ => return Err(PageError::Column { column: "version", problem: "is no version of a row".into() }),
        };
        page.push(Row { table: sql.id, version, values });
    }
    Ok(page)
}

fn read(kind: Kind, value: ValueRef<'_>) -> Result<Value, Cow<'static, str>> {
    let bad_json = |error: serde_json::Error| Cow::Owned(format!("holds bad JSON: {error}"));
    Ok(match (kind, value) {
        (_, ValueRef::Null) => Value::Null,
        (Kind::Text, ValueRef::Text(bytes)) => Value::Text(text(bytes)?.to_owned()),
        (Kind::Bigint | Kind::Int | Kind::Timestamp, ValueRef::Integer(number)) => Value::Int(number),
        (Kind::Boolean, ValueRef::Integer(number @ (0 | 1))) => Value::Bool(number == 1),
        (Kind::Double, ValueRef::Real(number)) => Value::Double(number),
        (Kind::Blob, ValueRef::Blob(bytes)) => Value::Blob(bytes.to_owned()),
        (Kind::Map, ValueRef::Text(bytes)) => Value::Map(serde_json::from_slice(bytes).map_err(bad_json)?),
        (Kind::Stats, ValueRef::Text(bytes)) => Value::Stats(serde_json::from_slice(bytes).map_err(bad_json)?),
        (Kind::Texts, ValueRef::Text(bytes)) => Value::Texts(serde_json::from_slice(bytes).map_err(bad_json)?),
        (Kind::Doubles, ValueRef::Text(bytes)) => Value::Doubles(serde_json::from_slice(bytes).map_err(bad_json)?),
        (Kind::Vector, ValueRef::Blob(bytes)) if bytes.len() % 4 == 0 => {
            let floats = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("four bytes")));
            Value::Vector(floats.collect())
        }
        (Kind::Timeuuid, ValueRef::Blob(bytes)) => {
            Value::Uuid(bytes.try_into().map_err(|_| Cow::Owned(format!("holds a uuid of {} bytes", bytes.len())))?)
        }
        (kind, value) => {
            return Err(format!("holds {} instead of a value of kind {kind:?}", value.data_type()).into());
        }
    })
}

fn text(bytes: &[u8]) -> Result<&str, Cow<'static, str>> {
    std::str::from_utf8(bytes).map_err(|error| Cow::Owned(format!("holds text that is not UTF-8: {error}")))
}
