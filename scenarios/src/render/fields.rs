//! Columns of a row by name and kind, and names as goldens write them.

use std::collections::BTreeMap;

use model::time::format_ms;
use model::{Row, Value};

use super::RenderError;

/// A name as it is, in quotes where it would blur the line.
pub(super) fn name(name: &str) -> String {
    let plain =
        !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || "=()\"[]".contains(c));
    if plain { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}

/// A column by its name; the names above are the tables' own, which a test walks through.
pub(super) fn value<'a>(row: &'a Row, column: &str) -> &'a Value {
    let at = row.table().columns.iter().position(|known| known.name == column);
    let at = at.unwrap_or_else(|| panic!("table {:?} has a column {column:?}", row.table().name));
    row.values.get(at).unwrap_or(&Value::Null)
}

fn wrong(row: &Row, column: &'static str) -> RenderError {
    RenderError::Column { table: row.table().name, column, value: value(row, column).clone() }
}

pub(super) fn text<'a>(row: &'a Row, column: &'static str) -> Result<&'a str, RenderError> {
    if let Value::Text(text) = value(row, column) { Ok(text) } else { Err(wrong(row, column)) }
}

pub(super) fn int(row: &Row, column: &'static str) -> Result<i64, RenderError> {
    if let Value::Int(number) = value(row, column) { Ok(*number) } else { Err(wrong(row, column)) }
}

pub(super) fn time(row: &Row, column: &'static str) -> Result<String, RenderError> {
    int(row, column).map(format_ms)
}

pub(super) fn double(row: &Row, column: &'static str) -> Result<f64, RenderError> {
    if let Value::Double(number) = value(row, column) { Ok(*number) } else { Err(wrong(row, column)) }
}

pub(super) fn map<'a>(row: &'a Row, column: &'static str) -> Result<&'a BTreeMap<String, f64>, RenderError> {
    if let Value::Map(map) = value(row, column) { Ok(map) } else { Err(wrong(row, column)) }
}
