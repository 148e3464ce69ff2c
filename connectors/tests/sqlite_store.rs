//! What only the SQLite store can do or say.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::process::{Command, Stdio};

use common::{Folder, late, scan};
use connectors::{LeaseOwner, SqliteStore, Store, open_store};
use model::tables::TableId;
use model::{Row, Value, Version};

const CHILD: &str = "CONNECTORS_TEST_STORE";

/// Not a test by itself: the process that the next test kills.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let mut store = SqliteStore::open(path).unwrap();
    store.acquire_lease(&LeaseOwner::this_process(0)).unwrap();
    for batch in 0i64.. {
        let rows: Vec<_> = (0..500).map(|n| late("RTU-1", batch, "m", 0, n, 1.0)).collect();
        store.write(&rows).unwrap();
        println!("written {batch}");
    }
}

#[test]
fn what_was_written_survives_kill_9_and_the_lease_does_not() {
    let folder = Folder::new();
    let path = folder.path().join("store.db");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, &path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let number = |line: &str| line.strip_prefix("written ").and_then(|number| number.parse::<i64>().ok());
    let mut acknowledged = None;
    while acknowledged.is_none_or(|last| last < 30) {
        let line = lines.next().expect("the child writes").unwrap();
        acknowledged = number(&line).or(acknowledged);
    }
    let owner = LeaseOwner { host: "plant-1".into(), pid: 1, instance: "parent".into(), started_ms: 0 };
    let mut store = SqliteStore::open(&path).unwrap();
    let held = store.acquire_lease(&owner).unwrap_err().to_string();
    let host = LeaseOwner::this_process(0).host;
    assert!(held.contains(&format!("is held by process {} on host {host:?}", child.id())), "{held}");
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines {
        acknowledged = number(&line.unwrap()).or(acknowledged);
    }
    store.acquire_lease(&owner).unwrap();
    let rows = scan(&mut store, TableId::LateMetrics, &[]).len() as i64;
    assert!(rows >= (acknowledged.unwrap() + 1) * 500, "{rows} rows after batch {acknowledged:?}");
    assert_eq!(rows % 500, 0, "a batch is there as a whole or not at all");
}

#[test]
fn errors_say_what_where_and_what_helps() {
    let folder = Folder::new();
    let message = |url: String| match open_store(&url) {
        Ok(_) => "opened".to_owned(),
        Err(error) => folder.plain(error),
    };
    let at = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    let text = folder.file("notes.txt", "These are no tables, however long the text is. ".repeat(100).as_bytes());
    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    drop(open_store(&at("newer.db")).unwrap());
    let newer = rusqlite::Connection::open(folder.path().join("newer.db")).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let seen = [
        message("postgres://localhost".into()),
        message("plenum.db".into()),
        message("sqlite:".into()),
        message("scylla://localhost:9042/iot_monitoring".into()),
        message(format!("sqlite:{}", text.display())),
        message(format!("sqlite:{}/below/store.db", text.display())),
        message(format!("sqlite:{}", folder.path().display())),
        message(at("foreign.db")),
        message(at("newer.db")),
        message(at("new/store.db")),
        message(at("new/store.db")),
        message("null".into()),
    ];
    expect_test::expect![[r#"
        store "postgres://localhost" has no known scheme; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
        store "plenum.db" has no known scheme; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
        store "sqlite:" needs a path; stores are sqlite:PATH, scylla://[USER[:PASSWORD]@]HOST[:PORT]/KEYSPACE (also cassandra://...) and null
        could not connect to store "scylla://localhost:9042/iot_monitoring": Failed to perform initial cluster metadata fetch: Control connection pool error: The pool is broken; Last connection failed with: Connection refused (os error 111); check that the servers run and can be reached from here; it is safe to try again
        could not open store "FOLDER/notes.txt": file is not a database; the file is no SQLite database: name another one
        could not make the folder of store "FOLDER/notes.txt/below/store.db": Not a directory (os error 20); a part of its path is a file and no folder: name another one
        could not open store "FOLDER": unable to open database file: FOLDER; check that it is a file in a folder that this user may write
        store "FOLDER/foreign.db" is an SQLite database of another program; name another file
        store "FOLDER/newer.db" has schema version 99 and this program writes version 6; use the program that made it, or name another file and replay
        opened
        opened
        opened
    "#]].assert_eq(&(seen.join("\n") + "\n"));
}

#[test]
fn a_page_that_was_overwritten_is_named_as_damage() {
    let folder = Folder::new();
    let path = folder.path().join("store.db");
    let mut store = SqliteStore::open(&path).unwrap();
    let rows: Vec<_> = (0..20_000).map(|n| late("RTU-1", n, "fan_speed", 0, n, 1.0)).collect();
    store.write(&rows).unwrap();
    drop(store);
    let mut bytes = std::fs::read(&path).unwrap();
    let half = bytes.len() / 2;
    bytes[half..].fill(0xa5);
    std::fs::write(&path, bytes).unwrap();
    let mut store = SqliteStore::open(&path).unwrap();
    let error = store.scan(TableId::LateMetrics, &[], &mut |_| std::ops::ControlFlow::Continue(())).unwrap_err();
    assert!(!error.is_passing());
    expect_test::expect![[r#"could not read table "late_metrics" of store "FOLDER/store.db": database disk image is malformed; the file is damaged: move it away together with its -wal and -shm files and replay, or restore a copy"#]].assert_eq(&folder.plain(error));
}

#[test]
fn a_full_disk_may_pass_and_loses_nothing() {
    let folder = Folder::new();
    let path = folder.path().join("store.db");
    let mut store = SqliteStore::open(&path).unwrap();
    store.write(&[late("RTU-1", 0, "fan_speed", 0, 0, 1.0)]).unwrap();
    store.limit_pages(40).unwrap();
    let rows: Vec<_> = (0..20_000).map(|n| late("RTU-1", n, "fan_speed", 0, n, 1.0)).collect();
    let error = store.write(&rows).unwrap_err();
    assert!(error.is_passing());
    expect_test::expect![[r#"could not write rows to store "FOLDER/store.db": database or disk is full; free space on its disk: what was written before is safe"#]].assert_eq(&folder.plain(error));
    assert_eq!(store.count(TableId::LateMetrics).unwrap(), 1);
    store.limit_pages(1 << 20).unwrap();
    store.write(&rows).unwrap();
    assert_eq!(store.count(TableId::LateMetrics).unwrap(), 20_000);
}

#[test]
fn columns_can_be_read_by_other_programs() {
    let folder = Folder::new();
    let path = folder.path().join("store.db");
    SqliteStore::open(&path).unwrap().write(&[late("RTU-1", -5, "é", 0, 3, 0.1)]).unwrap();
    let connection = rusqlite::Connection::open(&path).unwrap();
    let sql =
        "SELECT json_array(device_id, \"timestamp\", metric_name, \"offset\", metric_value, unit) FROM late_metrics";
    let row: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    expect_test::expect![[r#"["RTU-1",-5,"é",3,0.1,null]"#]].assert_eq(&row);
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

/// A changed schema shows here; its number has to rise then.
#[test]
fn the_schema_is_pinned() {
    let folder = Folder::new();
    let path = folder.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut statement =
        connection.prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").unwrap();
    let tables: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    expect_test::expect_file!["sqlite_schema.sql"]
        .assert_eq(&format!("-- version {version}\n{};\n", tables.join(";\n")));
}

/// Stores of the versions before notices, and before what is expected of a state, go on being used with all that they hold.
#[test]
fn an_older_store_gets_what_it_lacks() {
    let map = |name: &str, value: f64| Value::Map(BTreeMap::from([(name.to_owned(), value)]));
    let state = |minute: i64, expected: Option<f64>| {
        let table = TableId::DeviceStateSnapshots;
        let start_ms = minute * 60_000;
        let value = |column: &str| match (column, expected) {
            ("device_id" | "date", _) => Value::Text("D".to_owned()),
            ("snapshot_time", _) => Value::Int(start_ms),
            ("metrics", _) => map("power", 1.5),
            ("metrics_expected", Some(value)) => map("power", value),
            ("metrics_band", Some(value)) => map("power", value / 10.0),
            _ => Value::Null,
        };
        let values = table.table().columns.iter().map(|column| value(column.name)).collect();
        Row { table, version: Version::window(start_ms), values }
    };
    let expected = "ALTER TABLE device_state_snapshots DROP COLUMN metrics_expected; \
                    ALTER TABLE device_state_snapshots DROP COLUMN metrics_band; ";
    for older in [
        format!("{expected} PRAGMA user_version = 5"),
        format!("{expected} DROP TABLE notices; PRAGMA user_version = 4"),
    ] {
        let folder = Folder::new();
        let path = folder.path().join("store.db");
        let mut store = SqliteStore::open(&path).unwrap();
        store.write(&[state(1, None), late("RTU-1", 5, "fan_speed", 0, 1, 1.5)]).unwrap();
        drop(store);
        rusqlite::Connection::open(&path).unwrap().execute_batch(&older).unwrap();
        for written in 0..2 {
            let mut store = SqliteStore::open(&path).unwrap();
            assert_eq!((store.count(TableId::LateMetrics).unwrap(), store.notices().unwrap()), (1, vec![]));
            store.write(&[state(2, Some(0.1 + 0.2))]).unwrap();
            let mut found = Vec::new();
            let take = &mut |row: Row| {
                found.push(row);
                ControlFlow::Continue(())
            };
            store.scan(TableId::DeviceStateSnapshots, &[], take).unwrap();
            assert_eq!(found, [state(1, None), state(2, Some(0.1 + 0.2))], "{older}, opened {written} times before");
        }
    }
}
