//! ScyllaDB and Apache Cassandra.
//!
//! Sent: rows as prepared inserts, one unlogged batch a partition, with the row's version as the time of writing: the
//! servers themselves let the higher version win, so calls may be repeated and reordered. The schema is `cql/schema.rs`;
//! what differs between the two kinds of servers is `cql/dialect.rs`. Tried with Apache Cassandra 5.0.9.
//!
//! What is different from other stores: device type, location and building are kept once a device and day in
//! `device_metrics_raw` and `device_state_snapshots`, so all rows of that day show the newest. A row of a table whose rows
//! are written once does not take back a value that an earlier row of its key had and it lacks.
//!
//! Durability: as the keyspace's replication and the servers' commit log have it, at consistency `LOCAL_QUORUM` unless the
//! address says otherwise.
//!
//! Not supported: counters, user-defined types, and sharing a keyspace between two jobs.

mod address;
mod bind;
mod bookkeeping;
pub(crate) mod check;
mod dialect;
mod failure;
mod keyspace;
mod lease;
mod link;
mod nearest;
mod scan;
mod schema;
mod tls;
mod write;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use model::tables::{Kind, TABLES, TableId};
use model::{Row, Value};
use tokio::runtime::Runtime;

use crate::fit::{check_prefix, check_row};
use crate::{Checkpoint, Control, IdleMark, LeaseOwner, Notice, Store, StoreError};
use address::Address;
use lease::Lease;
use link::Link;
use write::Writer;

/// Components of every vector; the servers take no other number.
const VECTOR_LENGTH: usize = 384;

/// A store in a keyspace. Calls wait on the calling thread; the connections are served by a thread of the store's own.
pub struct CqlStore {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    link: Arc<Link>,
    /// Made with the first write, for a reader prepares no inserts; away while it works.
    writer: Option<Writer>,
    lease: Option<Lease>,
    /// Whether what broken-off checkpoints left was looked for.
    is_tidy: bool,
}

impl CqlStore {
    /// Opens `scylla://[USER[:PASSWORD]@]HOST[:PORT][,HOST2...]/KEYSPACE[?OPTION=VALUE&...]` and makes what is missing
    /// there: the keyspace, tables and columns. Options of the address hold for what is made.
    ///
    /// # Errors
    /// If the address is wrong, the servers can't be reached, or the tables are not what the job writes.
    pub fn open(url: &str) -> Result<Self, StoreError> {
        let store = Self::connect(url)?;
        let made = store.wait(keyspace::create(&store.link))?;
        if !made.is_empty() {
            tracing::info!(store = store.link.place(), "made {}", made.join(", "));
        }
        Ok(store)
    }

    /// Opens a store that has to be there.
    ///
    /// # Errors
    /// As [`CqlStore::open`], and if something is missing.
    pub fn open_existing(url: &str) -> Result<Self, StoreError> {
        let store = Self::connect(url)?;
        store.wait(keyspace::check(&store.link))?;
        Ok(store)
    }

    /// Whether an address can be one; nothing is asked of the servers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_address(url: &str) -> Result<(), StoreError> {
        Address::parse(url).map(drop)
    }

    fn connect(url: &str) -> Result<Self, StoreError> {
        let address = Address::parse(url)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("cql")
            .enable_all()
            .build()
            .map_err(|cause| failure::unreadable("start a thread for", &address.to_string(), cause))?;
        let link = Arc::new(runtime.block_on(Link::connect(address))?);
        Ok(CqlStore { runtime: Some(runtime), link, writer: None, lease: None, is_tidy: false })
    }

    /// What is missing or different in the keyspace, in words; nothing if all is as it should be.
    ///
    /// # Errors
    /// As [`CqlStore::open`], but for what is missing or different.
    pub fn check_schema(url: &str) -> Result<Vec<String>, StoreError> {
        let store = Self::connect(url)?;
        let differences = store.wait(keyspace::differences(&store.link))?;
        Ok(match differences {
            Some(differences) => differences.words(),
            None => vec![format!("keyspace {:?} is missing", store.link.address.keyspace)],
        })
    }

    /// The statements that make the keyspace, in order, for those who make it themselves.
    ///
    /// # Errors
    /// If the address is wrong or the servers, whose kind it depends on, can't be reached.
    pub fn schema(url: &str) -> Result<Vec<String>, StoreError> {
        let store = Self::connect(url)?;
        let statements = store.wait(keyspace::statements(&store.link))?;
        Ok(statements.into_iter().map(|statement| statement.text).collect())
    }

    /// Makes what is missing, and says what it made.
    ///
    /// # Errors
    /// As [`CqlStore::open`].
    pub fn create_schema(url: &str) -> Result<Vec<String>, StoreError> {
        let store = Self::connect(url)?;
        store.wait(keyspace::create(&store.link))
    }

    /// Removes the keyspace with everything in it; whether there was one.
    ///
    /// # Errors
    /// [`StoreError::Held`] while a live job holds the store; otherwise if the servers refuse.
    pub fn drop_schema(url: &str) -> Result<bool, StoreError> {
        let store = Self::connect(url)?;
        store.wait(async {
            let whole = keyspace::differences(&store.link).await?.is_some_and(|found| found.words().is_empty());
            if whole
                && let Some(owner) = lease::standing(&store.link).await?.holder
                && !owner.is_dead_here()
            {
                return Err(StoreError::Held { place: store.link.place(), owner });
            }
            keyspace::drop_all(&store.link).await
        })
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("a store that is in use has its threads").block_on(work)
    }

    fn take_writer(&mut self) -> Result<Writer, StoreError> {
        match self.writer.take() {
            Some(writer) => Ok(writer),
            None => self.wait(Writer::prepare(&self.link)),
        }
    }

    async fn clear_all(link: &Link, epoch: i64, kept: &[&str]) -> Result<(), StoreError> {
        bookkeeping::clear(link, epoch).await?;
        let data = TABLES.iter().map(|table| table.name);
        let tables = data.chain(["checkpoint_parts", "idle_marks", "controls", "notices"]);
        for table in tables.filter(|table| !kept.contains(table)) {
            let table = link.table(table);
            // To truncate costs the servers some hundred milliseconds, whatever there is, and seconds when they are busy.
            if link.rows("clear", format!("SELECT * FROM {table} LIMIT 1"), ()).await?.rows_num() > 0 {
                keyspace::change(link, "clear", &format!("TRUNCATE {table}")).await?;
            }
        }
        Ok(())
    }
}

impl Drop for CqlStore {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A request that hangs must not hold up whoever lets go of the store.
            runtime.shutdown_background();
        }
    }
}

fn check(row: &Row) -> Result<(), StoreError> {
    check_row(row)?;
    let table = row.table();
    for (column, value) in table.columns.iter().zip(&row.values) {
        if let (Kind::Vector, Value::Vector(vector)) = (column.kind, value)
            && vector.len() != VECTOR_LENGTH
        {
            let problem = format!("the vector has {} components and the column {VECTOR_LENGTH}", vector.len());
            return Err(StoreError::Row { table: table.name, column: column.name, problem });
        }
    }
    Ok(())
}

impl Store for CqlStore {
    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        rows.iter().try_for_each(check)?;
        let mut writer = self.take_writer()?;
        let written = self.wait(async {
            if let Some(lease) = &self.lease {
                lease.check(&self.link).await?;
            }
            writer.write(&self.link, rows).await
        });
        self.writer = Some(writer);
        written
    }

    fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let epoch = self.lease.as_ref().map(|lease| lease.epoch);
        self.wait(bookkeeping::write_checkpoint(&self.link, epoch, checkpoint))?;
        if self.lease.is_some() && !self.is_tidy {
            self.wait(bookkeeping::remove_orphans(&self.link))?;
            self.is_tidy = true;
        }
        Ok(())
    }

    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        self.wait(bookkeeping::latest_checkpoint(&self.link))
    }

    fn write_marks(&mut self, marks: &[IdleMark]) -> Result<(), StoreError> {
        self.wait(bookkeeping::write_marks(&self.link, marks))
    }

    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError> {
        self.wait(bookkeeping::marks(&self.link))
    }

    fn write_controls(&mut self, controls: &[Control]) -> Result<(), StoreError> {
        self.wait(bookkeeping::write_controls(&self.link, controls))
    }

    fn controls(&mut self) -> Result<Vec<Control>, StoreError> {
        self.wait(bookkeeping::controls(&self.link))
    }

    fn change_notices(&mut self, kept: &[Notice], gone: &[String]) -> Result<(), StoreError> {
        self.wait(bookkeeping::change_notices(&self.link, kept, gone))
    }

    fn notices(&mut self) -> Result<Vec<Notice>, StoreError> {
        self.wait(bookkeeping::notices(&self.link))
    }

    fn acquire_lease(&mut self, owner: &LeaseOwner) -> Result<(), StoreError> {
        if self.lease.is_none() {
            self.lease = Some(self.wait(lease::acquire(&self.link, owner))?);
        }
        Ok(())
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        match self.lease.take() {
            Some(lease) => self.wait(lease.release(&self.link)),
            None => Ok(()),
        }
    }

    fn remove(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        rows.iter().try_for_each(check)?;
        let mut writer = self.take_writer()?;
        let removed = self.wait(writer.remove(&self.link, rows));
        self.writer = Some(writer);
        removed
    }

    fn scan(
        &mut self,
        table: TableId,
        prefix: &[Value],
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        check_prefix(table.table(), prefix)?;
        self.wait(scan::scan(&self.link, table, prefix, each))
    }

    fn scan_range(
        &mut self,
        table: TableId,
        prefix: &[Value],
        range: Range<i64>,
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        crate::range::check(table.table(), prefix)?;
        if prefix.len() < table.table().partition_columns {
            return crate::range::scan(self, table, prefix, range, each);
        }
        self.wait(scan::scan_range(&self.link, table, prefix, range, each))
    }

    fn find(&mut self, table: TableId, keys: &[Vec<Value>]) -> Result<Vec<Row>, StoreError> {
        keys.iter().try_for_each(|key| check_prefix(table.table(), key))?;
        self.wait(scan::find(&self.link, table, keys))
    }

    fn nearest(&mut self, method: &str, vector: &[f32], limit: usize) -> Result<Vec<(i64, f64)>, StoreError> {
        match self.wait(nearest::nearest(&self.link, method, vector, limit)) {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the servers can't search by vector here: all distinct states are read instead");
            }
        }
        crate::nearest::scan(self, method, vector, limit)
    }

    fn count(&mut self, table: TableId) -> Result<u64, StoreError> {
        self.wait(scan::count(&self.link, table))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.clear_but(&[])
    }

    fn clear_results(&mut self) -> Result<(), StoreError> {
        self.clear_but(&["controls"])
    }
}

impl CqlStore {
    fn clear_but(&mut self, kept: &[&str]) -> Result<(), StoreError> {
        // It remembers what is about to go.
        self.writer = None;
        if let Some(lease) = &self.lease {
            return self.wait(Self::clear_all(&self.link, lease.epoch, kept));
        }
        // Held for the time of clearing, so that no job starts on half a store.
        let owner = LeaseOwner::this_process(0);
        self.wait(async {
            let lease = lease::acquire(&self.link, &owner).await?;
            let cleared = Self::clear_all(&self.link, lease.epoch, kept).await;
            lease.release(&self.link).await.and(cleared)
        })
    }
}
