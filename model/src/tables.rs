//! The store's tables: names, columns and keys. One description serves every store.
//!
//! Compatible with the system that this one succeeds: its tables and columns keep their names; new columns stand behind.

use serde::{Deserialize, Serialize};

/// What a column holds. Names are CQL's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `text`
    Text,
    /// `bigint`
    Bigint,
    /// `int`
    Int,
    /// `double`
    Double,
    /// `boolean`
    Boolean,
    /// `timestamp`, milliseconds since the epoch
    Timestamp,
    /// `blob`
    Blob,
    /// `frozen<map<text, double>>`
    Map,
    /// `frozen<map<text, frozen<map<text, double>>>>`
    Stats,
    /// `frozen<list<text>>`
    Texts,
    /// `frozen<list<double>>`
    Doubles,
    /// `vector<float, 384>`
    Vector,
    /// `timeuuid`
    Timeuuid,
}

impl Kind {
    /// The type's name in CQL, as its own schema tables spell it. Collections are frozen: one cell with one time of
    /// writing, so that a list that is written twice is not two lists, and an empty map is not the same as none.
    pub const fn cql(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Bigint => "bigint",
            Kind::Int => "int",
            Kind::Double => "double",
            Kind::Boolean => "boolean",
            Kind::Timestamp => "timestamp",
            Kind::Blob => "blob",
            Kind::Map => "frozen<map<text, double>>",
            Kind::Stats => "frozen<map<text, frozen<map<text, double>>>>",
            Kind::Texts => "frozen<list<text>>",
            Kind::Doubles => "frozen<list<double>>",
            Kind::Vector => "vector<float, 384>",
            Kind::Timeuuid => "timeuuid",
        }
    }
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Name in CQL and SQLite.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
}

/// A table.
#[derive(Debug)]
pub struct Table {
    /// Which one.
    pub id: TableId,
    /// Name in CQL and SQLite.
    pub name: &'static str,
    /// How many of the first columns make the primary key.
    pub key_columns: usize,
    /// How many of the key columns make the partition key.
    pub partition_columns: usize,
    /// All columns, key columns first.
    pub columns: &'static [Column],
}

/// Names a table in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TableId {
    /// Every usable reading, as it was sent.
    DeviceMetricsRaw,
    /// One state a device and window.
    DeviceStateSnapshots,
    /// What is normal for a device.
    DeviceProfiles,
    /// Incidents.
    AnomalyEvents,
    /// Totals a device.
    DeviceStatistics,
    /// Messages that could not be used.
    DeadLetters,
    /// Readings whose window was closed.
    LateMetrics,
    /// Distinct states as vectors.
    StateVectors,
    /// When a distinct state occurred.
    StateOccurrences,
    /// States that still wait for their vector.
    PendingStates,
}

impl TableId {
    /// The description.
    pub fn table(self) -> &'static Table {
        let table = &TABLES[self as usize];
        debug_assert_eq!(table.id, self);
        table
    }

    /// A table by its name.
    pub fn by_name(name: &str) -> Option<TableId> {
        TABLES.iter().find(|table| table.name == name).map(|table| table.id)
    }
}

const fn c(name: &'static str, kind: Kind) -> Column {
    Column { name, kind }
}

use Kind::{Bigint, Blob, Boolean, Double, Doubles, Int, Map, Stats, Text, Texts, Timestamp, Timeuuid, Vector};

/// All data tables, in the order of [`TableId`] and of `store dump`.
pub static TABLES: &[Table] = &[
    Table {
        id: TableId::DeviceMetricsRaw,
        name: "device_metrics_raw",
        key_columns: 4,
        partition_columns: 2,
        columns: &[
            c("device_id", Text),
            c("date", Text),
            c("timestamp", Timestamp),
            c("metric_name", Text),
            c("metric_value", Double),
            c("unit", Text),
            c("device_type", Text),
            c("location", Text),
            c("building_id", Text),
            c("is_late", Boolean),
        ],
    },
    Table {
        id: TableId::DeviceStateSnapshots,
        name: "device_state_snapshots",
        key_columns: 3,
        partition_columns: 2,
        columns: &[
            c("device_id", Text),
            c("date", Text),
            c("snapshot_time", Timestamp),
            c("device_type", Text),
            c("location", Text),
            c("building_id", Text),
            c("metrics", Map),
            c("embedding", Vector),
            c("embedding_method", Text),
            c("anomaly_score", Double),
            c("is_anomalous", Boolean),
            c("severity", Text),
            c("readings", Int),
            c("metrics_last", Map),
            c("metrics_min", Map),
            c("metrics_max", Map),
            c("metrics_count", Map),
            c("verdicts", Text),
            c("embedding_pending", Text),
            c("corrected", Boolean),
            c("metrics_expected", Map),
            c("metrics_band", Map),
        ],
    },
    Table {
        id: TableId::DeviceProfiles,
        name: "device_profiles",
        key_columns: 1,
        partition_columns: 1,
        columns: &[
            c("device_id", Text),
            c("device_type", Text),
            c("location", Text),
            c("building_id", Text),
            c("profile_embedding", Vector),
            c("profile_created_at", Timestamp),
            c("profile_updated_at", Timestamp),
            c("last_seen", Timestamp),
            c("metric_stats", Stats),
            c("normal_states", Bigint),
        ],
    },
    Table {
        id: TableId::AnomalyEvents,
        name: "anomaly_events",
        key_columns: 3,
        partition_columns: 2,
        columns: &[
            c("device_id", Text),
            c("date", Text),
            c("anomaly_id", Timeuuid),
            c("device_type", Text),
            c("detected_at", Timestamp),
            c("snapshot_time", Timestamp),
            c("anomaly_score", Double),
            c("anomaly_type", Text),
            c("metrics_snapshot", Map),
            c("similar_device_ids", Texts),
            c("similar_scores", Doubles),
            c("resolution_status", Text),
            c("notes", Text),
            c("path1_rules_triggered", Boolean),
            c("path2_fingerprint_triggered", Boolean),
            c("path3_vector_triggered", Boolean),
            c("detection_details", Text),
            c("statistics_triggered", Boolean),
            c("severity", Text),
            c("status", Text),
            c("started_at", Timestamp),
            c("ended_at", Timestamp),
            c("transition", Int),
            c("location", Text),
            c("building_id", Text),
            c("contributions", Text),
            c("similar_times", Texts),
        ],
    },
    Table {
        id: TableId::DeviceStatistics,
        name: "device_statistics",
        key_columns: 1,
        partition_columns: 1,
        columns: &[
            c("device_id", Text),
            c("total_snapshots", Bigint),
            c("anomaly_count", Bigint),
            c("records_windowed", Bigint),
            c("records_duplicate", Bigint),
            c("incidents", Bigint),
            c("last_seen", Timestamp),
        ],
    },
    Table {
        id: TableId::DeadLetters,
        name: "dead_letters",
        key_columns: 3,
        partition_columns: 2,
        columns: &[
            c("topic", Text),
            c("partition", Int),
            c("offset", Bigint),
            c("reason", Text),
            c("detail", Text),
            c("bytes", Blob),
            c("broker_time", Timestamp),
        ],
    },
    Table {
        id: TableId::LateMetrics,
        name: "late_metrics",
        key_columns: 6,
        partition_columns: 2,
        columns: &[
            c("device_id", Text),
            c("date", Text),
            c("timestamp", Timestamp),
            c("metric_name", Text),
            c("partition", Int),
            c("offset", Bigint),
            c("metric_value", Double),
            c("unit", Text),
            c("late_by_ms", Bigint),
            c("broker_time", Timestamp),
        ],
    },
    Table {
        id: TableId::StateVectors,
        name: "state_vectors",
        key_columns: 2,
        partition_columns: 2,
        columns: &[c("embedding_method", Text), c("vector_id", Bigint), c("embedding", Vector), c("text", Text)],
    },
    Table {
        id: TableId::StateOccurrences,
        name: "state_occurrences",
        key_columns: 3,
        partition_columns: 1,
        columns: &[
            c("device_id", Text),
            c("snapshot_time", Timestamp),
            c("embedding_method", Text),
            c("vector_id", Bigint),
            c("is_anomalous", Boolean),
        ],
    },
    Table {
        id: TableId::PendingStates,
        name: "pending_states",
        key_columns: 4,
        partition_columns: 2,
        columns: &[
            c("embedding_method", Text),
            c("date", Text),
            c("snapshot_time", Timestamp),
            c("device_id", Text),
            c("vector_id", Bigint),
            c("text", Text),
            c("is_anomalous", Boolean),
            c("reason", Text),
        ],
    },
];
