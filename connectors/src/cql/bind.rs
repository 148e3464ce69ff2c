//! Values as CQL, both ways, in the bytes of the native protocol. Rows were checked against their table before, and the
//! table against the keyspace when the store was opened, so no type is asked again here.

use std::collections::BTreeMap;

use model::tables::{Column, Kind, TableId};
use model::{Row, Value, Version};
use scylla::deserialize::row::{ColumnIterator, DeserializeRow};
use scylla::deserialize::{DeserializationError, TypeCheckError};
use scylla::frame::response::result::ColumnSpec;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::{CellWriter, RowWriter};

use super::schema::Layout;

/// Some columns of a row, and its version as the time of writing.
pub(super) struct Cells<'a> {
    pub(super) row: &'a Row,
    /// Positions of the statement's columns in the table.
    pub(super) columns: &'a [usize],
    pub(super) layout: &'a Layout,
}

impl SerializeRow for Cells<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Result<(), SerializationError> {
        let columns = self.row.table().columns;
        let takes_back = self.layout.takes_back(self.row.version);
        for &at in self.columns {
            let cell = writer.make_cell_writer();
            match &self.row.values[at] {
                Value::Null if takes_back && !self.layout.is_static(&columns[at]) => drop(cell.set_null()),
                Value::Null => drop(cell.set_unset()),
                value => write(cell, value, columns[at].kind)?,
            }
        }
        put(writer.make_cell_writer(), &self.row.version.us().to_be_bytes())
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// The version of a row, then its key.
pub(super) struct Removal<'a>(pub(super) &'a Row);

impl SerializeRow for Removal<'_> {
    fn serialize(
        &self,
        context: &RowSerializationContext<'_>,
        writer: &mut RowWriter<'_>,
    ) -> Result<(), SerializationError> {
        put(writer.make_cell_writer(), &self.0.version.us().to_be_bytes())?;
        Keys { columns: self.0.table().columns, values: self.0.key() }.serialize(context, writer)
    }

    fn is_empty(&self) -> bool {
        false
    }
}

/// Key values of a statement.
pub(super) struct Keys<'a> {
    pub(super) columns: &'a [Column],
    pub(super) values: &'a [Value],
}

impl SerializeRow for Keys<'_> {
    fn serialize(&self, _: &RowSerializationContext<'_>, writer: &mut RowWriter<'_>) -> Result<(), SerializationError> {
        let mut pairs = self.columns.iter().zip(self.values);
        pairs.try_for_each(|(column, value)| write(writer.make_cell_writer(), value, column.kind))
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn put(cell: CellWriter<'_>, bytes: &[u8]) -> Result<(), SerializationError> {
    cell.set_value(bytes).map(drop).map_err(SerializationError::new)
}

fn write(cell: CellWriter<'_>, value: &Value, kind: Kind) -> Result<(), SerializationError> {
    match value {
        Value::Null => {
            cell.set_null();
            Ok(())
        }
        Value::Text(text) => put(cell, text.as_bytes()),
        Value::Int(number) if kind == Kind::Int => {
            put(cell, &i32::try_from(*number).map_err(SerializationError::new)?.to_be_bytes())
        }
        Value::Int(number) => put(cell, &number.to_be_bytes()),
        // As every store keeps it, the zero of a double column has no sign.
        Value::Double(number) => put(cell, &(number + 0.0).to_be_bytes()),
        Value::Bool(flag) => put(cell, &[u8::from(*flag)]),
        Value::Blob(bytes) => put(cell, bytes),
        Value::Uuid(bytes) => put(cell, bytes),
        Value::Vector(numbers) => {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            put(cell, &bytes)
        }
        Value::Map(map) => put(cell, &map_bytes(map)?),
        Value::Stats(stats) => {
            let mut bytes = count(stats.len())?.to_vec();
            for (key, map) in stats {
                element(&mut bytes, key.as_bytes())?;
                element(&mut bytes, &map_bytes(map)?)?;
            }
            put(cell, &bytes)
        }
        Value::Texts(texts) => {
            let mut bytes = count(texts.len())?.to_vec();
            texts.iter().try_for_each(|text| element(&mut bytes, text.as_bytes()))?;
            put(cell, &bytes)
        }
        Value::Doubles(numbers) => {
            let mut bytes = count(numbers.len())?.to_vec();
            numbers.iter().try_for_each(|number| element(&mut bytes, &number.to_be_bytes()))?;
            put(cell, &bytes)
        }
    }
}

fn map_bytes(map: &BTreeMap<String, f64>) -> Result<Vec<u8>, SerializationError> {
    let mut bytes = count(map.len())?.to_vec();
    for (key, number) in map {
        element(&mut bytes, key.as_bytes())?;
        element(&mut bytes, &number.to_be_bytes())?;
    }
    Ok(bytes)
}

fn count(number: usize) -> Result<[u8; 4], SerializationError> {
    i32::try_from(number).map(i32::to_be_bytes).map_err(SerializationError::new)
}

fn element(bytes: &mut Vec<u8>, content: &[u8]) -> Result<(), SerializationError> {
    bytes.extend_from_slice(&count(content.len())?);
    bytes.extend_from_slice(content);
    Ok(())
}

/// A row as it came: the bytes of each column.
pub(super) struct Raw<'frame>(Vec<Option<&'frame [u8]>>);

impl<'frame> DeserializeRow<'frame, '_> for Raw<'frame> {
    fn type_check(_: &[ColumnSpec<'_>]) -> Result<(), TypeCheckError> {
        Ok(())
    }

    fn deserialize(row: ColumnIterator<'frame, '_>) -> Result<Self, DeserializationError> {
        let cells = row.map(|column| Ok(column?.slice.map(|slice| slice.as_slice())));
        Ok(Raw(cells.collect::<Result<_, DeserializationError>>()?))
    }
}

/// What is wrong with a value, with its column.
pub(super) type Problem = (&'static str, String);

impl Raw<'_> {
    /// The first columns as values; `None` for the row of a partition that has static columns alone.
    pub(super) fn values(&self, columns: &[Column], key_columns: usize) -> Result<Option<Vec<Value>>, Problem> {
        if self.0[..key_columns.min(self.0.len())].iter().any(Option::is_none) {
            return Ok(None);
        }
        let read = columns
            .iter()
            .zip(&self.0)
            .map(|(column, bytes)| read(column.kind, *bytes).map_err(|problem| (column.name, problem)));
        read.collect::<Result<Vec<Value>, Problem>>().map(Some)
    }

    /// A row of a table, with the time of writing behind its columns.
    pub(super) fn row(&self, table: TableId) -> Result<Option<Row>, Problem> {
        let description = table.table();
        let Some(values) = self.values(description.columns, description.key_columns)? else { return Ok(None) };
        let written = self.0.get(values.len()).copied().flatten();
        let us = match written {
            Some(bytes) => i64::from_be_bytes(exactly(bytes).map_err(|problem| ("writetime", problem))?),
            // Rows of others may lack the column that the time is read from.
            None => i64::MIN,
        };
        Ok(Some(Row { table, version: Version::from_us(us), values }))
    }
}

fn exactly<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("holds {} bytes instead of {N}", bytes.len()))
}

fn read(kind: Kind, bytes: Option<&[u8]>) -> Result<Value, String> {
    let Some(bytes) = bytes else { return Ok(Value::Null) };
    Ok(match kind {
        Kind::Text => Value::Text(text(bytes)?),
        Kind::Bigint | Kind::Timestamp => Value::Int(i64::from_be_bytes(exactly(bytes)?)),
        Kind::Int => Value::Int(i64::from(i32::from_be_bytes(exactly(bytes)?))),
        Kind::Double => Value::Double(f64::from_be_bytes(exactly(bytes)?)),
        Kind::Boolean => Value::Bool(exactly::<1>(bytes)? != [0]),
        Kind::Blob => Value::Blob(bytes.to_owned()),
        Kind::Timeuuid => Value::Uuid(exactly(bytes)?),
        Kind::Vector if bytes.len() % 4 == 0 => {
            let floats = bytes.chunks_exact(4).map(|four| f32::from_be_bytes(four.try_into().expect("four bytes")));
            Value::Vector(floats.collect())
        }
        Kind::Vector => return Err(format!("holds {} bytes, which are no whole floats", bytes.len())),
        Kind::Map => Value::Map(map(bytes)?),
        Kind::Stats => {
            let mut elements = Elements(bytes);
            let pairs = (0..elements.count()?).map(|_| Ok((text(elements.next()?)?, map(elements.next()?)?)));
            Value::Stats(pairs.collect::<Result<_, String>>()?)
        }
        Kind::Texts => {
            let mut elements = Elements(bytes);
            Value::Texts((0..elements.count()?).map(|_| text(elements.next()?)).collect::<Result<_, String>>()?)
        }
        Kind::Doubles => {
            let mut elements = Elements(bytes);
            Value::Doubles((0..elements.count()?).map(|_| double(elements.next()?)).collect::<Result<_, String>>()?)
        }
    })
}

fn text(bytes: &[u8]) -> Result<String, String> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| format!("holds text that is not UTF-8: {error}"))
}

fn double(bytes: &[u8]) -> Result<f64, String> {
    exactly(bytes).map(f64::from_be_bytes)
}

fn map(bytes: &[u8]) -> Result<BTreeMap<String, f64>, String> {
    let mut elements = Elements(bytes);
    (0..elements.count()?).map(|_| Ok((text(elements.next()?)?, double(elements.next()?)?))).collect()
}

/// The elements of a collection that are still to be read.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    fn count(&mut self) -> Result<usize, String> {
        let (count, rest) = self.0.split_first_chunk().ok_or("holds a collection that is cut off")?;
        self.0 = rest;
        usize::try_from(i32::from_be_bytes(*count)).map_err(|_| "holds a collection of negative length".to_owned())
    }

    fn next(&mut self) -> Result<&'a [u8], String> {
        let length = self.count()?;
        let (content, rest) = self.0.split_at_checked(length).ok_or("holds a collection that is cut off")?;
        self.0 = rest;
        Ok(content)
    }
}
