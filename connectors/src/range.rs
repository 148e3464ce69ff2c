//! Rows of a table whose next key column lies in a range, for stores that can't ask for that themselves.

use std::ops::{ControlFlow, Range};

use model::tables::{Kind, Table, TableId};
use model::{Row, Value};

use crate::fit::check_prefix;
use crate::{Store, StoreError};

/// Whether a prefix fits the table, and whether the column behind it is a number or a time.
pub(crate) fn check(table: &'static Table, prefix: &[Value]) -> Result<(), StoreError> {
    check_prefix(table, prefix)?;
    let refuse =
        |column, problem: &str| Err(StoreError::Row { table: table.name, column, problem: problem.to_owned() });
    match table.columns[..table.key_columns].get(prefix.len()) {
        Some(column) if matches!(column.kind, Kind::Bigint | Kind::Int | Kind::Timestamp) => Ok(()),
        Some(column) => refuse(column.name, "a range needs a number or a time"),
        None => refuse("*", "no key column is left for a range"),
    }
}

/// All rows below the prefix are looked at, from the first on: they come in key order.
pub(crate) fn scan<S: Store + ?Sized>(
    store: &mut S,
    table: TableId,
    prefix: &[Value],
    range: Range<i64>,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    check(table.table(), prefix)?;
    let at = prefix.len();
    store.scan(table, prefix, &mut |row| match row.values[at].as_int() {
        Some(number) if number >= range.end => ControlFlow::Break(()),
        Some(number) if number >= range.start => each(row),
        _ => ControlFlow::Continue(()),
    })
}
