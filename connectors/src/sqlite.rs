//! The embedded store: one SQLite file.
//!
//! Sent: rows as upserts, one transaction a call, in key order. A key's row is replaced only by one whose version is at
//! least as high, so calls may be repeated and reordered.
//!
//! Durability: write-ahead log with `synchronous = NORMAL`. A committed transaction is in the log file, that is in the
//! kernel's hands, so the death of the process (`kill -9` included) loses nothing. A power cut may lose the newest
//! transactions, but the log is read up to the first torn frame, so what stays is a state that the store had: rows and
//! checkpoint fit together and the job re-reads from that older checkpoint. Checkpoints themselves are written with
//! `synchronous = FULL`, one fsync each, which covers all rows before. Always `FULL` would cost an fsync a batch of rows
//! for no gain in what can be recovered.
//!
//! Not supported: a file on a network file system, for the log needs shared memory and the lease needs file locks.

mod bookkeeping;
pub(crate) mod check;
mod failure;
mod lease;
mod schema;
mod values;

use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::tables::{TABLES, TableId};
use model::{Row, Value};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::fit::{check_prefix, check_row};
use crate::{Checkpoint, Control, IdleMark, LeaseOwner, Notice, Store, StoreError, range};
use lease::FileLock;
use schema::TableSql;

/// How long a call waits for another connection's transaction; SQLite itself backs off meanwhile.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Rows that a scan fetches at once; with a vector each some 2 MB.
const PAGE_ROWS: usize = 512;

/// A store in one SQLite file.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    /// Device and inode of the file that was opened.
    file: Option<(u64, u64)>,
    tables: Vec<TableSql>,
    lease: Option<FileLock>,
    /// Positions of the rows of a call in the order of writing; kept for its memory.
    order: Vec<u32>,
}

impl SqliteStore {
    /// Opens the store, and makes it and its folder if there is none.
    ///
    /// # Errors
    /// If the file can't be opened, is no store of this program, or is of another version.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|cause| failure::of_system("make the folder of", &path, cause))?;
        }
        let fail = |cause| failure::of_sqlite("open", &path, cause);
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).map_err(fail)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(fail)?;
        schema::prepare(&connection, &path)?;
        connection.set_prepared_statement_cache_capacity(64);
        let tables = TABLES.iter().map(TableSql::new).collect();
        let file = file_at(&path);
        Ok(SqliteStore { connection, path, file, tables, lease: None, order: Vec::new() })
    }

    /// Where the store is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the file have at most so many pages of 4 KiB, beyond which a write fails like on a full disk.
    ///
    /// # Errors
    /// If the store fails.
    pub fn limit_pages(&mut self, pages: u32) -> Result<(), StoreError> {
        self.connection
            .query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))
            .map_err(|cause| failure::of_sqlite("limit the size of", &self.path, cause))
    }

    fn write_rows(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut at = 0;
        while at < self.order.len() {
            let table = rows[self.order[at] as usize].table;
            let mut statement = transaction.prepare_cached(&self.tables[table as usize].upsert)?;
            while let Some(row) = self.order.get(at).map(|index| &rows[*index as usize]).filter(|r| r.table == table) {
                values::bind_row(&mut statement, row)?;
                statement.raw_execute()?;
                at += 1;
            }
        }
        transaction.commit()
    }

    /// Hands over the rows below a prefix page by page; with a range only those whose next key column lies in it.
    fn scan_pages(
        &self,
        table: TableId,
        prefix: &[Value],
        range: Option<Range<i64>>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let sql = &self.tables[table as usize];
        let mut after: Option<Vec<Value>> = None;
        loop {
            let part = values::Part { prefix, range: range.as_ref(), after: after.as_deref() };
            let page = values::read_page(&self.connection, sql, &part, PAGE_ROWS)
                .map_err(|error| error.into_store_error(&self.path, table))?;
            let whole = page.len() == PAGE_ROWS;
            after = page.last().map(|row| row.key()[prefix.len()..].to_vec());
            for row in page {
                if each(row).is_break() {
                    return Ok(());
                }
            }
            if !whole || prefix.len() == table.table().key_columns {
                return Ok(());
            }
        }
    }

    fn remove_rows(&mut self, rows: &[Row]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for row in rows {
            let mut statement = transaction.prepare_cached(&self.tables[row.table as usize].delete)?;
            values::bind_key(&mut statement, row)?;
            statement.raw_execute()?;
        }
        transaction.commit()
    }
}

/// Device and inode of the file at a path; `None`: there is none.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Store for SqliteStore {
    fn is_in_place(&self) -> bool {
        self.file == file_at(&self.path)
    }

    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        rows.iter().try_for_each(check_row)?;
        // Neighbours in the tree are written one after the other: it is faster, and it is stable, so that of two writes to
        // one key the later one comes later.
        self.order.clear();
        self.order.extend(0..u32::try_from(rows.len()).expect("a batch has fewer than 2^32 rows"));
        self.order.sort_by(|a, b| values::row_order(&rows[*a as usize], &rows[*b as usize]));
        self.write_rows(rows).map_err(|cause| failure::of_sqlite("write rows to", &self.path, cause))
    }

    fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        bookkeeping::write_checkpoint(&mut self.connection, &self.path, checkpoint)
    }

    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        bookkeeping::latest_checkpoint(&self.connection, &self.path)
    }

    fn write_marks(&mut self, marks: &[IdleMark]) -> Result<(), StoreError> {
        bookkeeping::write_marks(&mut self.connection, marks)
            .map_err(|cause| failure::of_sqlite("write idle marks to", &self.path, cause))
    }

    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError> {
        bookkeeping::marks(&self.connection)
            .map_err(|cause| failure::of_sqlite("read idle marks of", &self.path, cause))
    }

    fn write_controls(&mut self, controls: &[Control]) -> Result<(), StoreError> {
        bookkeeping::write_controls(&mut self.connection, controls)
            .map_err(|cause| failure::of_sqlite("write controls to", &self.path, cause))
    }

    fn controls(&mut self) -> Result<Vec<Control>, StoreError> {
        bookkeeping::controls(&self.connection)
            .map_err(|cause| failure::of_sqlite("read controls of", &self.path, cause))
    }

    fn change_notices(&mut self, kept: &[Notice], gone: &[String]) -> Result<(), StoreError> {
        bookkeeping::change_notices(&mut self.connection, kept, gone)
            .map_err(|cause| failure::of_sqlite("write notices to", &self.path, cause))
    }

    fn notices(&mut self) -> Result<Vec<Notice>, StoreError> {
        bookkeeping::notices(&self.connection).map_err(|cause| failure::of_sqlite("read notices of", &self.path, cause))
    }

    fn acquire_lease(&mut self, owner: &LeaseOwner) -> Result<(), StoreError> {
        if self.lease.is_none() {
            self.lease = Some(lease::acquire(&self.connection, &self.path, owner)?);
        }
        Ok(())
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        match self.lease.take() {
            Some(lock) => lease::release(&self.connection, &self.path, lock),
            None => Ok(()),
        }
    }

    fn remove(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        rows.iter().try_for_each(check_row)?;
        self.remove_rows(rows).map_err(|cause| failure::of_sqlite("remove rows of", &self.path, cause))
    }

    fn scan(
        &mut self,
        table: TableId,
        prefix: &[Value],
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        check_prefix(table.table(), prefix)?;
        self.scan_pages(table, prefix, None, each)
    }

    fn scan_range(
        &mut self,
        table: TableId,
        prefix: &[Value],
        range: Range<i64>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        range::check(table.table(), prefix)?;
        self.scan_pages(table, prefix, Some(range), each)
    }

    fn count(&mut self, table: TableId) -> Result<u64, StoreError> {
        let sql = format!("SELECT count(*) FROM \"{}\"", table.table().name);
        self.connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0))
            .map(i64::cast_unsigned)
            .map_err(|cause| failure::of_sqlite("count rows of", &self.path, cause))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.clear_but(&[])
    }

    fn clear_results(&mut self) -> Result<(), StoreError> {
        self.clear_but(&["controls"])
    }
}

impl SqliteStore {
    fn clear_but(&mut self, kept: &[&str]) -> Result<(), StoreError> {
        // Held for the time of clearing, so that no job starts on half a store; a lease of our own stays.
        let _lock = match self.lease {
            Some(_) => None,
            None => Some(lease::lock(&self.connection, &self.path)?),
        };
        bookkeeping::clear(&mut self.connection, kept)
            .map_err(|cause| failure::of_sqlite("clear", &self.path, cause))?;
        if let Err(error) = self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)") {
            // The rows are gone; only the file keeps its size.
            tracing::warn!(store = %self.path.display(), %error, "could not shrink the cleared store");
        }
        Ok(())
    }
}
