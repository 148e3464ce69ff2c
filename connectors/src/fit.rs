//! Whether a row fits its table. Asked by every store before it writes anything, so that all refuse the same rows.

use model::tables::{Column, Kind};
use model::{Row, Value};

use crate::StoreError;

/// Checks number, kinds and finiteness of a row's values.
pub(crate) fn check_row(row: &Row) -> Result<(), StoreError> {
    let table = row.table();
    if row.values.len() != table.columns.len() {
        let problem = format!("the row has {} values and the table {} columns", row.values.len(), table.columns.len());
        return Err(StoreError::Row { table: table.name, column: "*", problem });
    }
    for (at, (column, value)) in table.columns.iter().zip(&row.values).enumerate() {
        if *value == Value::Null && at >= table.key_columns {
            continue;
        }
        check_value(table.name, column, value)?;
    }
    Ok(())
}

/// Checks the leading key values of a scan.
pub(crate) fn check_prefix(table: &model::tables::Table, prefix: &[Value]) -> Result<(), StoreError> {
    if prefix.len() > table.key_columns {
        let problem = format!("{} key values were given and the key has {} columns", prefix.len(), table.key_columns);
        return Err(StoreError::Row { table: table.name, column: "*", problem });
    }
    table.columns.iter().zip(prefix).try_for_each(|(column, value)| check_value(table.name, column, value))
}

fn check_value(table: &'static str, column: &Column, value: &Value) -> Result<(), StoreError> {
    let problem = match (column.kind, value) {
        (_, Value::Null) => "a key has no empty values".to_owned(),
        (Kind::Text, Value::Text(_))
        | (Kind::Bigint | Kind::Timestamp, Value::Int(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Blob, Value::Blob(_))
        | (Kind::Texts, Value::Texts(_))
        | (Kind::Timeuuid, Value::Uuid(_)) => return Ok(()),
        (Kind::Int, Value::Int(number)) if i32::try_from(*number).is_ok() => return Ok(()),
        (Kind::Int, Value::Int(number)) => format!("{number} is out of range"),
        (Kind::Double, Value::Double(number)) if number.is_finite() => return Ok(()),
        (Kind::Map, Value::Map(map)) if map.values().all(|number| number.is_finite()) => return Ok(()),
        (Kind::Stats, Value::Stats(map)) if map.values().flat_map(|inner| inner.values()).all(|n| n.is_finite()) => {
            return Ok(());
        }
        (Kind::Doubles, Value::Doubles(numbers)) if numbers.iter().all(|number| number.is_finite()) => return Ok(()),
        (Kind::Vector, Value::Vector(numbers))
            if numbers.iter().all(|number| number.is_finite()) && numbers.iter().any(|number| *number != 0.0) =>
        {
            return Ok(());
        }
        (Kind::Vector, Value::Vector(_)) => "the vector is zero or not finite".to_owned(),
        (Kind::Double, Value::Double(_))
        | (Kind::Map, Value::Map(_))
        | (Kind::Stats, Value::Stats(_))
        | (Kind::Doubles, Value::Doubles(_)) => "a number is not finite".to_owned(),
        (kind, value) => format!("the column is {kind:?} and the value {}", kind_of(value)),
    };
    Err(StoreError::Row { table, column: column.name, problem })
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Text(_) => "text",
        Value::Int(_) => "an integer",
        Value::Double(_) => "a double",
        Value::Bool(_) => "a boolean",
        Value::Blob(_) => "a blob",
        Value::Map(_) => "a map",
        Value::Stats(_) => "a map of maps",
        Value::Texts(_) => "a list of texts",
        Value::Doubles(_) => "a list of doubles",
        Value::Vector(_) => "a vector",
        Value::Uuid(_) => "a uuid",
    }
}
