//! What every store keeps, run on SQLite and on memory alike.

mod common;
mod contract;

use std::time::Duration;

use common::{Folder, occurrence, scan};
use connectors::{MemoryStore, SqliteStore, Store as _};
use contract::Place;
use model::tables::TableId;
use model::{Row, Value, Version};
use proptest::prelude::*;

fn on_sqlite(contract: fn(&Place<'_>)) {
    let folder = Folder::new();
    let path = folder.path().join("deep/store.db");
    contract(&Place {
        open: &|| Box::new(SqliteStore::open(&path).unwrap()),
        damage_newest_checkpoint: &|| {
            let connection = rusqlite::Connection::open(&path).unwrap();
            let sql = "UPDATE checkpoint_parts SET bytes = zeroblob(length(bytes)) \
                       WHERE id = (SELECT max(id) FROM checkpoints)";
            assert!(connection.execute(sql, []).unwrap() > 0);
        },
        lease_life: Duration::ZERO,
        replaces: |_| true,
    });
}

fn on_memory(contract: fn(&Place<'_>)) {
    let store = MemoryStore::new();
    contract(&Place {
        open: &|| Box::new(store.clone()),
        damage_newest_checkpoint: &|| assert!(store.damage_newest_checkpoint()),
        lease_life: Duration::ZERO,
        replaces: |_| true,
    });
}

contracts!(sqlite, super::on_sqlite);
contracts!(memory, super::on_memory);

/// Not so in CQL, where the servers take the greater of two values with one time of writing.
#[test]
fn among_equal_versions_the_later_write_stays() {
    on_sqlite(later_write_stays);
    on_memory(later_write_stays);
}

fn later_write_stays(place: &Place<'_>) {
    let mut store = (place.open)();
    let row = |id| occurrence("RTU-1", 0, id, Version::window(60_000));
    store.write(&[row(1), occurrence("RTU-0", 0, 0, Version::window(0)), row(2)]).unwrap();
    assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[Value::Text("RTU-1".into())]), [row(2)]);
    store.write(&[row(3)]).unwrap();
    assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[Value::Text("RTU-1".into())]), [row(3)]);
}

fn any_row() -> impl Strategy<Value = Row> {
    let device = prop::sample::select(vec!["a", "b", "é", "", "a\u{0}"]);
    (device, -2i64..2, 0i64..4, -2i64..2)
        .prop_map(|(device, time_ms, id, us)| occurrence(device, time_ms, id, Version::from_us(us)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is written in whatever batches, both stores hold the same.
    #[test]
    fn sqlite_and_memory_hold_the_same(batches in prop::collection::vec(prop::collection::vec(any_row(), 0..20), 1..6)) {
        let folder = Folder::new();
        let mut sqlite = SqliteStore::open(folder.path().join("store.db")).unwrap();
        let mut memory = MemoryStore::new();
        for batch in &batches {
            sqlite.write(batch).unwrap();
            memory.write(batch).unwrap();
        }
        let held = scan(&mut memory, TableId::StateOccurrences, &[]);
        prop_assert_eq!(scan(&mut sqlite, TableId::StateOccurrences, &[]), held);
    }
}
