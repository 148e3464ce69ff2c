//! Tables and statements, made from the model's description of the tables.

use std::fmt::Write as _;
use std::path::Path;

use model::tables::{Kind, TABLES, Table, TableId};
use rusqlite::Connection;

use super::failure;
use crate::StoreError;

/// Raised whenever [`ddl`] changes.
const SCHEMA_VERSION: i32 = 6;
/// A file of this version lacks what [`EXPECTED`] adds alone, and gets it.
const WITHOUT_EXPECTED: i32 = 5;
/// A file of this version lacks [`NOTICES`], too.
const WITHOUT_NOTICES: i32 = 4;
/// Marks the file as a store of this program: "PLNM".
const APPLICATION_ID: i32 = 0x504c_4e4d;

/// The job's own tables.
const BOOKKEEPING: &str = "\
CREATE TABLE \"checkpoints\" (\"id\" INTEGER PRIMARY KEY, \"manifest\" BLOB NOT NULL, \"parts\" INTEGER NOT NULL, \"length\" INTEGER NOT NULL, \"checksum\" INTEGER NOT NULL) STRICT;
CREATE TABLE \"checkpoint_parts\" (\"id\" INTEGER NOT NULL, \"part\" INTEGER NOT NULL, \"piece\" INTEGER NOT NULL, \"name\" TEXT NOT NULL, \"bytes\" BLOB NOT NULL, PRIMARY KEY (\"id\", \"part\", \"piece\")) STRICT;
CREATE TABLE \"idle_marks\" (\"partition\" INTEGER NOT NULL, \"offset\" INTEGER NOT NULL, \"watermark\" INTEGER NOT NULL, PRIMARY KEY (\"partition\", \"offset\")) STRICT, WITHOUT ROWID;
CREATE TABLE \"controls\" (\"window\" INTEGER NOT NULL, \"id\" TEXT NOT NULL, \"body\" BLOB NOT NULL, PRIMARY KEY (\"window\", \"id\")) STRICT;
CREATE TABLE \"lease\" (\"one\" INTEGER PRIMARY KEY CHECK (\"one\" = 1), \"host\" TEXT NOT NULL, \"pid\" INTEGER NOT NULL, \"instance\" TEXT NOT NULL, \"started\" INTEGER NOT NULL) STRICT;
";

/// The youngest of them.
const NOTICES: &str =
    "CREATE TABLE \"notices\" (\"id\" TEXT PRIMARY KEY, \"body\" BLOB NOT NULL) STRICT, WITHOUT ROWID;\n";

/// Adds the youngest columns; the rows that are there predicted nothing.
const EXPECTED: &str = "\
ALTER TABLE \"device_state_snapshots\" ADD COLUMN \"metrics_expected\" TEXT;
ALTER TABLE \"device_state_snapshots\" ADD COLUMN \"metrics_band\" TEXT;
";

/// Names of the job's own tables.
pub(super) const BOOKKEEPING_TABLES: [&str; 5] =
    ["checkpoints", "checkpoint_parts", "idle_marks", "controls", "notices"];

/// The statements of one table, made once.
pub(super) struct TableSql {
    pub(super) id: TableId,
    pub(super) upsert: String,
    pub(super) delete: String,
    columns: String,
}

impl TableSql {
    pub(super) fn new(table: &'static Table) -> Self {
        let columns = list(table.columns.iter().map(|column| column.name));
        let keys = list(table.columns[..table.key_columns].iter().map(|column| column.name));
        let places = vec!["?"; table.columns.len() + 1].join(", ");
        let sets: Vec<String> = table.columns[table.key_columns..]
            .iter()
            .map(|column| column.name)
            .chain(["version"])
            .map(|name| format!("\"{name}\" = excluded.\"{name}\""))
            .collect();
        let upsert = format!(
            "INSERT INTO \"{name}\" ({columns}, \"version\") VALUES ({places}) ON CONFLICT ({keys}) DO UPDATE SET {} \
             WHERE excluded.\"version\" >= \"{name}\".\"version\"",
            sets.join(", "),
            name = table.name,
        );
        let key: Vec<String> =
            table.columns[..table.key_columns].iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
        let delete = format!("DELETE FROM \"{}\" WHERE {} AND \"version\" <= ?", table.name, key.join(" AND "));
        TableSql { id: table.id, upsert, delete, columns }
    }

    /// One page in key order: parameters are the prefix, then the two ends if the column behind it has to lie in a range, then the
    /// rest of the last key if there was a page before.
    pub(super) fn page(&self, prefix: usize, ranged: bool, follows: bool, limit: usize) -> String {
        let table = self.id.table();
        let keys = &table.columns[..table.key_columns];
        let mut conditions: Vec<String> =
            keys[..prefix].iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
        let rest = &keys[prefix..];
        if let (true, Some(column)) = (ranged, rest.first()) {
            conditions.push(format!("\"{0}\" >= ? AND \"{0}\" < ?", column.name));
        }
        if follows && !rest.is_empty() {
            let names = list(rest.iter().map(|column| column.name));
            conditions.push(format!("({names}) > ({})", vec!["?"; rest.len()].join(", ")));
        }
        let mut sql = format!("SELECT {}, \"version\" FROM \"{}\"", self.columns, table.name);
        if !conditions.is_empty() {
            let _ = write!(sql, " WHERE {}", conditions.join(" AND "));
        }
        let _ = write!(sql, " ORDER BY {} LIMIT {limit}", list(keys.iter().map(|column| column.name)));
        sql
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
}

fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::Map | Kind::Stats | Kind::Texts | Kind::Doubles => "TEXT",
        Kind::Bigint | Kind::Int | Kind::Boolean | Kind::Timestamp => "INTEGER",
        Kind::Double => "REAL",
        Kind::Blob | Kind::Vector | Kind::Timeuuid => "BLOB",
    }
}

/// A table with small rows lives in its key's tree; one with vectors, maps or bytes would make that tree deep, so its rows
/// stand apart.
fn has_small_rows(table: &Table) -> bool {
    table.columns.iter().all(|column| {
        !matches!(column.kind, Kind::Blob | Kind::Vector | Kind::Map | Kind::Stats | Kind::Texts | Kind::Doubles)
    })
}

/// All tables.
pub(super) fn ddl() -> String {
    let mut sql = String::new();
    for table in TABLES {
        let _ = write!(sql, "CREATE TABLE \"{}\" (", table.name);
        for (at, column) in table.columns.iter().enumerate() {
            let not_null = if at < table.key_columns { " NOT NULL" } else { "" };
            let _ = write!(sql, "\"{}\" {}{not_null}, ", column.name, column_type(column.kind));
        }
        let keys = list(table.columns[..table.key_columns].iter().map(|column| column.name));
        let options = if has_small_rows(table) { "STRICT, WITHOUT ROWID" } else { "STRICT" };
        let _ = writeln!(sql, "\"version\" INTEGER NOT NULL, PRIMARY KEY ({keys})) {options};");
    }
    sql.push_str(BOOKKEEPING);
    sql.push_str(NOTICES);
    sql
}

/// Sets the connection up, and makes the tables in an empty file.
pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let fail = |cause| failure::of_sqlite("open", path, cause);
    if standing(connection, path)? == Standing::Ready {
        return set_up(connection, path);
    }
    set_up(connection, path)?;
    connection.execute_batch("BEGIN IMMEDIATE").map_err(fail)?;
    // Another process may have been faster.
    let make = |ddl: &str| {
        let versions = format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION}");
        connection.execute_batch(&format!("{ddl}{versions}")).map_err(fail)
    };
    let made = match standing(connection, path) {
        Ok(Standing::Ready) => Ok(()),
        Ok(Standing::WithoutExpected) => make(EXPECTED),
        Ok(Standing::WithoutNotices) => make(&format!("{NOTICES}{EXPECTED}")),
        Ok(Standing::Empty) => make(&ddl()),
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => connection.execute_batch("COMMIT").map_err(fail),
        Err(error) => {
            if let Err(second) = connection.execute_batch("ROLLBACK") {
                tracing::warn!(store = %path.display(), error = %second, "could not roll back");
            }
            Err(error)
        }
    }
}

fn set_up(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let fail = |cause| failure::of_sqlite("open", path, cause);
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(fail)?;
    if !mode.eq_ignore_ascii_case("wal") {
        let problem =
            format!("can't have a write-ahead log (journal mode stays {mode:?}); put it into a file on a local disk");
        return Err(StoreError::Schema { place: path.display().to_string(), problem });
    }
    // A batch touches the last page of each of its devices. A log of 64 MB holds such a page many times and the file gets it
    // once: 210,000 raw rows a CPU second instead of 165,000 with a quarter of it.
    connection
        .execute_batch(
            "PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768; PRAGMA wal_autocheckpoint = 16384; \
             PRAGMA journal_size_limit = 134217728",
        )
        .map_err(fail)
}

/// Which tables a file has.
#[derive(PartialEq, Eq)]
enum Standing {
    Ready,
    WithoutExpected,
    WithoutNotices,
    Empty,
}

/// An error if the file belongs to another program or version.
fn standing(connection: &Connection, path: &Path) -> Result<Standing, StoreError> {
    let fail = |cause| failure::of_sqlite("open", path, cause);
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0));
    let (application, version) = (pragma("application_id").map_err(fail)?, pragma("user_version").map_err(fail)?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).map_err(fail)?;
    let problem = match (application, version, tables) {
        (APPLICATION_ID, SCHEMA_VERSION, _) => return Ok(Standing::Ready),
        (APPLICATION_ID, WITHOUT_EXPECTED, _) => return Ok(Standing::WithoutExpected),
        (APPLICATION_ID, WITHOUT_NOTICES, _) => return Ok(Standing::WithoutNotices),
        (0, 0, 0) => return Ok(Standing::Empty),
        (APPLICATION_ID, version, _) => format!(
            "has schema version {version} and this program writes version {SCHEMA_VERSION}; use the program that made it, \
             or name another file and replay"
        ),
        _ => "is an SQLite database of another program; name another file".to_owned(),
    };
    Err(StoreError::Schema { place: path.display().to_string(), problem })
}
