//! From the thread of a job's store to the board: rows are noted before they are written, and shown once they are durable.

use std::collections::HashMap;
use std::sync::Arc;

use model::Row;
use model::tables::TableId;

use crate::board::Board;

/// Keeps of what is under way the newest row of each key that the board shows: a replay at full speed has many windows of a
/// device in one transaction, of which one is read.
pub struct Feed {
    board: Arc<Board>,
    noted: HashMap<(TableId, String, String), Row>,
}

impl Feed {
    /// For a board.
    pub fn new(board: Arc<Board>) -> Feed {
        Feed { board, noted: HashMap::new() }
    }

    /// Rows that are about to be written.
    pub fn note(&mut self, rows: &[Row]) {
        for row in rows {
            let incident = match row.table {
                TableId::DeviceStateSnapshots | TableId::DeviceStatistics => String::new(),
                TableId::AnomalyEvents => format!("{:?}", row.value("anomaly_id")),
                _ => continue,
            };
            let Some(device) = row.value("device_id").as_text() else { continue };
            let order = |row: &Row| (time_of(row), row.version);
            let key = (row.table, device.to_owned(), incident);
            match self.noted.get_mut(&key) {
                Some(known) if order(known) > order(row) => {}
                Some(known) => known.clone_from(row),
                None => drop(self.noted.insert(key, row.clone())),
            }
        }
    }

    /// What was noted is durable.
    pub fn tell(&mut self) {
        self.board.apply(self.noted.values());
        self.noted.clear();
    }
}

/// A state's time decides before its version: a corrected one of an hour ago has a version of now.
fn time_of(row: &Row) -> i64 {
    match row.table {
        TableId::DeviceStateSnapshots => row.value("snapshot_time").as_int().unwrap_or(i64::MIN),
        _ => 0,
    }
}
