//! The tables as CQL: what is made, what is found, and where the two differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::Version;
use model::tables::{Column, TABLES, Table, TableId};

use super::address::{Address, VectorIndex};
use super::dialect::Dialect;

/// The job's own tables: name, columns, key. The lease lies in the partition of the checkpoints, so that one conditional
/// write covers both. Attempts tell apart the parts of two checkpoints with one number.
pub(super) const BOOKKEEPING: [(&str, &str, &str); 5] = [
    (
        "checkpoints",
        "job text, id bigint, epoch bigint static, host text static, pid bigint static, instance text static, \
         started timestamp static, manifest blob, parts int, length bigint, checksum bigint, attempt bigint",
        "(job), id",
    ),
    (
        "checkpoint_parts",
        "id bigint, attempt bigint, part int, piece int, name text, bytes blob",
        "(id, attempt, part), piece",
    ),
    ("idle_marks", "job text, partition int, offset bigint, watermark bigint", "(job), partition, offset"),
    ("controls", "job text, window timestamp, id text, body blob", "(job), window, id"),
    ("notices", "job text, id text, body blob", "(job), id"),
];

/// The materialised view of the system that this one succeeds.
const VIEW: &str = "recent_device_states";

/// What CQL needs to know of a table beside its columns.
pub(super) struct Layout {
    /// Names of the columns that a partition has once.
    statics: &'static [&'static str],
    /// Whether the first clustering column falls.
    pub(super) newest_first: bool,
    /// A column that every row of the job has; the time of writing is read from it.
    pub(super) version_column: &'static str,
    /// Which of the two times to live.
    life: Life,
    /// Whether a row is written again and again, or removed.
    rewritten: bool,
    /// Secondary indexes: name and column.
    indexes: &'static [(&'static str, &'static str)],
}

enum Life {
    Readings,
    States,
    ForEver,
}

const PLACE: &[&str] = &["device_type", "location", "building_id"];

pub(super) fn layout(table: TableId) -> Layout {
    let (statics, newest_first, version_column, life, rewritten, indexes): (_, _, _, _, _, &[_]) = match table {
        TableId::DeviceMetricsRaw => {
            (PLACE, true, "metric_value", Life::Readings, false, &[("device_type_idx", "device_type")])
        }
        TableId::DeviceStateSnapshots => (PLACE, true, "readings", Life::States, false, &[]),
        TableId::DeviceProfiles => (&[][..], false, "device_type", Life::ForEver, true, &[]),
        TableId::AnomalyEvents => (
            &[][..],
            true,
            "detected_at",
            Life::States,
            true,
            &[("anomaly_device_idx", "device_id"), ("anomaly_detected_idx", "detected_at")],
        ),
        TableId::DeviceStatistics => (&[][..], false, "total_snapshots", Life::ForEver, true, &[]),
        TableId::DeadLetters => (&[][..], false, "reason", Life::Readings, false, &[]),
        TableId::LateMetrics => (&[][..], false, "metric_value", Life::Readings, false, &[]),
        TableId::StateVectors => (&[][..], false, "embedding", Life::ForEver, false, &[]),
        TableId::StateOccurrences => (&[][..], false, "vector_id", Life::States, false, &[]),
        TableId::PendingStates => (&[][..], false, "reason", Life::States, true, &[]),
    };
    Layout { statics, newest_first, version_column, life, rewritten, indexes }
}

impl Layout {
    pub(super) fn is_static(&self, column: &Column) -> bool {
        self.statics.contains(&column.name)
    }

    /// Whether what a row lacks is written as a null, which takes back what an earlier row of its key had. Only where that
    /// happens, and never in static columns, for a null is a tombstone that every later read has to step over: in tables whose rows are rewritten, and
    /// in the later steps of a window, which complete a state.
    pub(super) fn takes_back(&self, version: Version) -> bool {
        self.rewritten || version.us().rem_euclid(1_000) != 0 && !matches!(self.life, Life::Readings)
    }

    /// Positions of the columns that a partition has once.
    pub(super) fn static_columns(&self, table: &'static Table) -> impl Iterator<Item = usize> {
        (0..table.columns.len()).filter(|at| self.statics.contains(&table.columns[*at].name))
    }
}

/// The columns' names in quotes, for CQL keeps some of them for itself.
pub(super) fn names<'a>(columns: impl IntoIterator<Item = &'a Column>) -> String {
    let names: Vec<String> = columns.into_iter().map(|column| format!("\"{}\"", column.name)).collect();
    names.join(", ")
}

/// All statements that make the keyspace what the address says; each may be repeated.
pub(super) fn statements(address: &Address, dialect: Dialect, datacenter: &str) -> Vec<Statement> {
    let mut all = vec![Statement::needed(dialect.keyspace(&address.keyspace, datacenter, address.replication))];
    all.extend(TABLES.iter().map(|table| Statement::needed(create_table(address, dialect, table))));
    all.extend(BOOKKEEPING.map(|(name, columns, key)| {
        let options = dialect.table_options(0, true);
        Statement::needed(format!(
            "CREATE TABLE IF NOT EXISTS \"{}\".{name} ({columns}, PRIMARY KEY ({key})) WITH default_time_to_live = 0 \
             AND gc_grace_seconds = 86400{options}",
            address.keyspace
        ))
    }));
    for table in TABLES {
        for (index, column) in layout(table.id).indexes {
            let statement =
                format!("CREATE INDEX IF NOT EXISTS {index} ON \"{}\".{} ({column})", address.keyspace, table.name);
            all.push(Statement::needed(statement));
        }
    }
    let on_states = ("state_vectors_embedding_idx", TableId::StateVectors);
    let on_snapshots = ("device_state_embedding_idx", TableId::DeviceStateSnapshots);
    let vectors: &[_] = match address.vector_index {
        VectorIndex::StateVectors => &[on_states],
        VectorIndex::Snapshots => &[on_states, on_snapshots],
        VectorIndex::None => &[],
    };
    for (name, table) in vectors {
        let text = dialect.vector_index(name, *table, &address.keyspace, "embedding");
        all.push(Statement { text, optional: dialect.may_lack_vector_index() });
    }
    if address.with_view {
        all.push(Statement::needed(format!(
            "CREATE MATERIALIZED VIEW IF NOT EXISTS \"{keyspace}\".{VIEW} AS SELECT device_id, snapshot_time, metrics, \
             anomaly_score, is_anomalous, date FROM \"{keyspace}\".device_state_snapshots WHERE date IS NOT NULL AND \
             snapshot_time IS NOT NULL AND device_id IS NOT NULL PRIMARY KEY (date, snapshot_time, device_id) \
             WITH CLUSTERING ORDER BY (snapshot_time DESC, device_id ASC)",
            keyspace = address.keyspace
        )));
    }
    all
}

/// A statement of the schema.
pub(super) struct Statement {
    pub(super) text: String,
    /// The store is usable without.
    pub(super) optional: bool,
}

impl Statement {
    fn needed(text: String) -> Self {
        Statement { text, optional: false }
    }
}

/// For how many seconds what is removed is remembered, so that a node that was away does not bring it back. Pending states come and
/// go, and one that comes back is completed once more with the same outcome. Cassandra refuses to read a partition with 100,000
/// that are gone and remembered, which a day of a hundred devices has.
fn grace_s(table: TableId) -> u32 {
    if table == TableId::PendingStates { 0 } else { 86_400 }
}

fn create_table(address: &Address, dialect: Dialect, table: &Table) -> String {
    let layout = layout(table.id);
    let mut sql = format!("CREATE TABLE IF NOT EXISTS \"{}\".{} (", address.keyspace, table.name);
    for column in table.columns {
        let role = if layout.is_static(column) { " static" } else { "" };
        let _ = write!(sql, "\"{}\" {}{role}, ", column.name, column.kind.cql());
    }
    let (partition, clustering) = table.columns[..table.key_columns].split_at(table.partition_columns);
    let _ = write!(sql, "PRIMARY KEY (({})", names(partition));
    if !clustering.is_empty() {
        let _ = write!(sql, ", {}", names(clustering));
    }
    sql += ")) WITH ";
    if let Some((first, rest)) = clustering.split_first() {
        let order = if layout.newest_first { "DESC" } else { "ASC" };
        let _ = write!(sql, "CLUSTERING ORDER BY (\"{}\" {order}", first.name);
        for column in rest {
            let _ = write!(sql, ", \"{}\" ASC", column.name);
        }
        sql += ") AND ";
    }
    let days = match layout.life {
        Life::Readings => address.raw_days,
        Life::States => address.state_days,
        Life::ForEver => 0,
    };
    let options = dialect.table_options(days, layout.rewritten);
    let _ = write!(
        sql,
        "default_time_to_live = {} AND gc_grace_seconds = {}{options}",
        u64::from(days) * 24 * 3600,
        grace_s(table.id)
    );
    sql
}

/// A column as the servers describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// `partition_key`, `clustering`, `static` or `regular`.
    pub(super) role: String,
    /// Place in the partition key or among the clustering columns, otherwise -1.
    pub(super) position: i32,
    /// `asc`, `desc` or `none`.
    pub(super) order: String,
    /// The type's name.
    pub(super) kind: String,
}

/// Columns by table and name.
pub(super) type Columns = BTreeMap<String, BTreeMap<String, Found>>;

/// Where the tables are not what they should be.
#[derive(Default)]
pub(super) struct Differences {
    pub(super) missing_tables: Vec<String>,
    /// Table, column, and the statement's end that adds it.
    pub(super) missing_columns: Vec<(String, String, String)>,
    /// In words.
    pub(super) wrong: Vec<String>,
}

impl Differences {
    pub(super) fn words(&self) -> Vec<String> {
        let tables = self.missing_tables.iter().map(|table| format!("table {table:?} is missing"));
        let columns = self.missing_columns.iter();
        let columns = columns.map(|(table, column, _)| format!("table {table:?} has no column {column:?}"));
        tables.chain(columns).chain(self.wrong.iter().cloned()).collect()
    }
}

/// Compares what is there with what the job writes. Columns of others are nobody's business.
pub(super) fn differences(found: &Columns) -> Differences {
    let mut differences = Differences::default();
    for (table, wanted) in wanted() {
        let Some(columns) = found.get(&table) else {
            differences.missing_tables.push(table);
            continue;
        };
        for (column, wanted) in wanted {
            match columns.get(&column) {
                None if wanted.position < 0 => {
                    let role = if wanted.role == "static" { " static" } else { "" };
                    differences.missing_columns.push((table.clone(), column, format!("{}{role}", wanted.kind)));
                }
                None => differences.wrong.push(format!("table {table:?} has no key column {column:?}")),
                Some(found) if *found == wanted => {}
                Some(found) => differences.wrong.push(format!(
                    "table {table:?} has column {column:?} as {} and the job writes {}",
                    described(found),
                    described(&wanted)
                )),
            }
        }
    }
    differences
}

fn described(column: &Found) -> String {
    match column.role.as_str() {
        "regular" => column.kind.clone(),
        "static" => format!("static {}", column.kind),
        "clustering" => {
            format!("{} {} in place {} of the clustering key", column.kind, column.order, column.position + 1)
        }
        _ => format!("{} in place {} of the partition key", column.kind, column.position + 1),
    }
}

fn wanted() -> Vec<(String, BTreeMap<String, Found>)> {
    let data = TABLES.iter().map(|table| {
        let layout = layout(table.id);
        let columns = table.columns.iter().enumerate().map(|(at, column)| {
            let clustering_at = at.wrapping_sub(table.partition_columns);
            let (role, position, order) = if at < table.partition_columns {
                ("partition_key", at as i32, "none")
            } else if at < table.key_columns {
                (
                    "clustering",
                    clustering_at as i32,
                    if layout.newest_first && clustering_at == 0 { "desc" } else { "asc" },
                )
            } else if layout.is_static(column) {
                ("static", -1, "none")
            } else {
                ("regular", -1, "none")
            };
            (column.name.to_owned(), found(role, position, order, column.kind.cql()))
        });
        (table.name.to_owned(), columns.collect())
    });
    data.chain(BOOKKEEPING.map(|(name, columns, key)| (name.to_owned(), bookkeeping_columns(columns, key)))).collect()
}

fn bookkeeping_columns(columns: &str, key: &str) -> BTreeMap<String, Found> {
    let (partition, clustering) = key.split_once(')').expect("a key has its partition columns in brackets");
    let place = |list: &str, name: &str| {
        list.split(['(', ',', ' ']).filter(|part| !part.is_empty()).position(|part| part == name)
    };
    let column = |text: &str| {
        let mut words = text.split_whitespace();
        let (name, kind) = (words.next().expect("a name"), words.next().expect("a type"));
        let (role, position, order) = match (place(partition, name), place(clustering, name), words.next()) {
            (Some(at), _, _) => ("partition_key", at as i32, "none"),
            (None, Some(at), _) => ("clustering", at as i32, "asc"),
            (None, None, Some(_)) => ("static", -1, "none"),
            (None, None, None) => ("regular", -1, "none"),
        };
        (name.to_owned(), found(role, position, order, kind))
    };
    columns.split(',').map(column).collect()
}

fn found(role: &str, position: i32, order: &str, kind: &str) -> Found {
    Found { role: role.to_owned(), position, order: order.to_owned(), kind: kind.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(dialect: Dialect) -> String {
        let url = "scylla://h/space?replication=3&vector_index=snapshots&with_view";
        let address = Address::parse(url).unwrap();
        let statements = statements(&address, dialect, "dc'1");
        statements.iter().map(|statement| format!("{};\n", statement.text)).collect()
    }

    #[test]
    fn the_schema_is_pinned() {
        expect_test::expect_file!["cassandra.cql"].assert_eq(&text(Dialect::Cassandra));
    }

    #[test]
    fn scylladb_differs_in_few_places() {
        let (scylla, cassandra) = (text(Dialect::ScyllaDb), text(Dialect::Cassandra));
        let differs: String = scylla
            .lines()
            .zip(cassandra.lines())
            .filter(|(scylla, cassandra)| scylla != cassandra && !scylla.contains("CREATE TABLE"))
            .map(|(scylla, _)| format!("{scylla}\n"))
            .collect();
        expect_test::expect![[r#"
            CREATE KEYSPACE IF NOT EXISTS "space" WITH replication = {'class': 'NetworkTopologyStrategy', 'dc''1': 3} AND tablets = {'enabled': false};
            CREATE CUSTOM INDEX IF NOT EXISTS state_vectors_embedding_idx ON "space".state_vectors (embedding) USING 'vector_index' WITH OPTIONS = {'similarity_function': 'COSINE'};
            CREATE CUSTOM INDEX IF NOT EXISTS device_state_embedding_idx ON "space".device_state_snapshots (embedding) USING 'vector_index' WITH OPTIONS = {'similarity_function': 'COSINE'};
        "#]].assert_eq(&differs);
        let raw = scylla.lines().find(|line| line.contains(".device_metrics_raw (")).unwrap();
        let options = &raw[raw.find(" AND default_time_to_live").unwrap()..];
        expect_test::expect![" AND default_time_to_live = 2592000 AND gc_grace_seconds = 86400 AND compression = {'sstable_compression': 'LZ4Compressor'} AND compaction = {'class': 'IncrementalCompactionStrategy'};"].assert_eq(options);
    }

    #[test]
    fn differences_are_named() {
        let mut columns: Columns = wanted().into_iter().collect();
        assert_eq!(differences(&columns).words(), [""; 0]);
        columns.remove("late_metrics");
        let statistics = columns.get_mut("device_statistics").unwrap();
        statistics.get_mut("total_snapshots").unwrap().kind = "counter".to_owned();
        statistics.remove("last_seen");
        let raw = columns.get_mut("device_metrics_raw").unwrap();
        raw.insert("added_by_others".to_owned(), found("regular", -1, "none", "text"));
        raw.get_mut("timestamp").unwrap().order = "asc".to_owned();
        raw.get_mut("location").unwrap().role = "regular".to_owned();
        columns.get_mut("checkpoint_parts").unwrap().remove("piece");
        expect_test::expect![[r#"
            table "late_metrics" is missing
            table "device_statistics" has no column "last_seen"
            table "device_metrics_raw" has column "location" as text and the job writes static text
            table "device_metrics_raw" has column "timestamp" as timestamp asc in place 1 of the clustering key and the job writes timestamp desc in place 1 of the clustering key
            table "device_statistics" has column "total_snapshots" as counter and the job writes bigint
            table "checkpoint_parts" has no key column "piece""#]].assert_eq(&differences(&columns).words().join("\n"));
    }
}
