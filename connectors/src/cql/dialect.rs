//! Everything in which ScyllaDB and Apache Cassandra differ, and nothing else.

use std::fmt::Write as _;

use model::tables::TableId;

/// Whose servers they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    ScyllaDb,
    Cassandra,
}

impl Dialect {
    /// Gives a row where the servers are ScyllaDB's: only those have this table.
    pub(super) const DETECT: &'static str = "SELECT table_name FROM system_schema.tables \
        WHERE keyspace_name = 'system' AND table_name = 'scylla_local'";

    /// Where a server tells its settings, by name.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Dialect::ScyllaDb => "SELECT value FROM system.config WHERE name = ?",
            Dialect::Cassandra => "SELECT value FROM system_views.settings WHERE name = ?",
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Dialect::ScyllaDb => "ScyllaDB",
            Dialect::Cassandra => "Apache Cassandra",
        }
    }

    /// ScyllaDB spreads a keyspace by tablets unless told otherwise, and those have neither views nor conditional updates
    /// in every version that is in use.
    pub(super) fn keyspace(self, keyspace: &str, datacenter: &str, replication: u32) -> String {
        let datacenter = datacenter.replace('\'', "''");
        let mut statement = format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" WITH replication = \
             {{'class': 'NetworkTopologyStrategy', '{datacenter}': {replication}}}"
        );
        if self == Dialect::ScyllaDb {
            statement += " AND tablets = {'enabled': false}";
        }
        statement
    }

    /// How a table's files are joined and packed. Rows of a time that go together are in files that go together: ScyllaDB's
    /// incremental strategy needs no windows for that, Cassandra's time windows cut the time to live into 30.
    pub(super) fn table_options(self, ttl_days: u32, rewritten: bool) -> String {
        let mut options = match self {
            Dialect::ScyllaDb => " AND compression = {'sstable_compression': 'LZ4Compressor'} \
                AND compaction = {'class': 'IncrementalCompactionStrategy'}"
                .to_owned(),
            Dialect::Cassandra => " AND compression = {'class': 'LZ4Compressor'}".to_owned(),
        };
        if self == Dialect::Cassandra && ttl_days > 0 && !rewritten {
            let _ = write!(
                options,
                " AND compaction = {{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'DAYS', \
                 'compaction_window_size': {}}}",
                ttl_days.div_ceil(30)
            );
        }
        options
    }

    /// Approximate search by cosine. On ScyllaDB it needs the vector search service beside the database.
    pub(super) fn vector_index(self, name: &str, table: TableId, keyspace: &str, column: &str) -> String {
        let (class, function) = match self {
            Dialect::ScyllaDb => ("vector_index", "COSINE"),
            Dialect::Cassandra => ("StorageAttachedIndex", "cosine"),
        };
        format!(
            "CREATE CUSTOM INDEX IF NOT EXISTS {name} ON \"{keyspace}\".{} ({column}) USING '{class}' \
             WITH OPTIONS = {{'similarity_function': '{function}'}}",
            table.table().name
        )
    }

    /// Whether the store is whole without its vector index: plain ScyllaDB images have no vector search, and all but
    /// the search over the whole fleet works without.
    pub(super) fn may_lack_vector_index(self) -> bool {
        self == Dialect::ScyllaDb
    }
}
