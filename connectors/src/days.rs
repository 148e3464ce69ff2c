//! A device's rows from one time to another: tables keep them by the UTC day, whatever the store.

use std::ops::{ControlFlow, Range};

use model::tables::TableId;
use model::time::{date_of, window_start};
use model::{Row, Value};

use crate::{Store, StoreError};

const DAY_MS: i64 = 86_400_000;

/// Hands over the rows of a table whose key begins with device, date and a time, by time, until `each` breaks.
///
/// # Errors
/// As [`Store::scan_range`].
pub fn scan_days(
    store: &mut dyn Store,
    table: TableId,
    device: &str,
    range: Range<i64>,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut day_ms = window_start(range.start, DAY_MS);
    let mut broke = false;
    while day_ms < range.end && !broke {
        let prefix = [Value::Text(device.to_owned()), Value::Text(date_of(day_ms))];
        store.scan_range(table, &prefix, range.clone(), &mut |row| {
            let flow = each(row);
            broke |= flow.is_break();
            flow
        })?;
        let Some(next_ms) = day_ms.checked_add(DAY_MS) else { break };
        day_ms = next_ms;
    }
    Ok(())
}

/// The device's state in whose window `at_ms` lies, where windows are `width_ms` wide.
///
/// # Errors
/// As [`Store::scan_range`].
pub fn state_row_at(store: &mut dyn Store, device: &str, at_ms: i64, width_ms: i64) -> Result<Option<Row>, StoreError> {
    let mut found = None;
    let range = at_ms.saturating_sub(width_ms.saturating_sub(1))..at_ms.saturating_add(1);
    scan_days(store, TableId::DeviceStateSnapshots, device, range, &mut |row| {
        found = Some(row);
        ControlFlow::Continue(())
    })?;
    Ok(found)
}
