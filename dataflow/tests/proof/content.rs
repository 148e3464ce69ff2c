//! What a run leaves behind, to be compared to the last bit.

use std::ops::ControlFlow;

use connectors::Store as _;
use connectors::memory::MemoryStore;
use dataflow::checkpoint::Manifest;
use model::tables::TABLES;

/// All rows with their versions, and the totals.
#[derive(Clone, PartialEq)]
pub struct Content {
    pub lines: Vec<String>,
    pub totals: String,
}

/// Reads it from a store and the last manifest.
pub fn content(store: &MemoryStore, manifest: &Manifest) -> Content {
    let mut lines = Vec::new();
    let mut stored = store.clone();
    for table in TABLES {
        stored
            .scan(table.id, &[], &mut |row| {
                lines.push(format!("{} {:?} {:?}", table.name, row.values, row.version));
                ControlFlow::Continue(())
            })
            .expect("memory does not fail");
    }
    Content { lines, totals: format!("{:?}", manifest.totals) }
}

/// The first line that differs.
pub fn compare(got: &Content, want: &Content) -> Result<(), String> {
    if got.totals != want.totals {
        return Err(format!("totals differ\n  seen     {}\n  expected {}", got.totals, want.totals));
    }
    for (got, want) in got.lines.iter().zip(&want.lines) {
        if got != want {
            return Err(format!("rows differ\n  seen     {got}\n  expected {want}"));
        }
    }
    if got.lines.len() != want.lines.len() {
        return Err(format!("{} rows instead of {}", got.lines.len(), want.lines.len()));
    }
    Ok(())
}
