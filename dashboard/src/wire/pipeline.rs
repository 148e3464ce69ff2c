//! How the job is doing.

use serde::Serialize;
use utoipa::ToSchema;

use super::{OpenCounts, ReasonCount};

/// How the job is doing, or what its store tells of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Pipeline {
    /// A running job says so; else the store does.
    pub live: bool,
    /// Where messages come from, without secrets; empty where only the store is known.
    pub source: String,
    /// Where results go, without secrets.
    pub store: String,
    /// When this was put together.
    pub as_of_ms: i64,
    /// What only the job knows.
    #[serde(flatten)]
    pub view: JobView,
    /// Messages that could not be used, as counted in the store a little while ago.
    pub dead_letters: Vec<ReasonCount>,
    /// Open incidents.
    pub open_incidents: OpenCounts,
}

/// What only the job knows.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct JobView {
    /// The job; none where only a store is looked at.
    pub job: Option<Job>,
    /// By number.
    pub partitions: Vec<Partition>,
    /// What became of every record.
    pub fates: Fates,
    /// How late results are; live sources only.
    pub delays: Vec<Delay>,
    /// The newest one.
    pub checkpoint: Option<Checkpoint>,
    /// Of the store.
    pub rows: Rows,
    /// Of an embedder of texts.
    pub embedding: Option<Embedding>,
    /// What is read is a recording: its newest time is not meant to be the present.
    pub recording: bool,
    /// For so long a window is kept open for what comes late.
    pub lateness_ms: i64,
}

/// The job.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Job {
    /// When this process began.
    pub started_ms: i64,
    /// Of the program.
    pub version: String,
    /// Worker threads a process.
    pub workers: usize,
    /// Processes.
    pub processes: usize,
    /// What it is at.
    pub state: JobState,
    /// Whether it does its work.
    pub readiness: Readiness,
}

/// What a job is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It reads.
    Running,
    /// All that there is has been read, and more may come.
    Waiting,
    /// It was asked to stop.
    Stopping,
    /// A finite source came to its end.
    Finished,
}

/// Whether something does its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Readiness {
    /// It does.
    pub ready: bool,
    /// Why not; empty where it does.
    pub why: String,
}

/// Where a partition stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Partition {
    /// Which.
    pub partition: u32,
    /// The next offset to read.
    pub next_offset: i64,
    /// The offset behind its newest message.
    pub end_offset: Option<i64>,
    /// Messages between the two.
    pub lag: Option<i64>,
    /// Up to here it is taken to be complete; none before its first reading.
    pub watermark_ms: Option<i64>,
    /// It has been quiet for so long that it holds nobody up.
    pub idle: bool,
    /// How far the watermark is behind the clock, for a recording behind the furthest partition.
    pub behind_ms: Option<i64>,
}

/// What became of every record; the five behind the first sum to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fates {
    /// All.
    pub received: u64,
    /// In states.
    pub windowed: u64,
    /// Their window was closed.
    pub late: u64,
    /// Came twice.
    pub duplicate: u64,
    /// Tombstones.
    pub skipped: u64,
    /// Could not be used.
    pub dead_lettered: u64,
}

/// How late something is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Delay {
    /// What is measured, for a person.
    pub what: String,
    /// Half are not later.
    pub p50_ms: u64,
    /// Nine of ten are not later.
    pub p90_ms: u64,
    /// 99 of 100 are not later.
    pub p99_ms: u64,
    /// The latest.
    pub max_ms: u64,
    /// How many were measured.
    pub count: u64,
}

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Checkpoint {
    /// Rises from one to the next.
    pub id: u64,
    /// How long ago it became durable; none where it was made by an earlier run.
    pub age_ms: Option<i64>,
    /// Everything stamped below this window is in it.
    pub window_ms: Option<i64>,
    /// Its size.
    pub bytes: Option<u64>,
    /// How long writing took.
    pub took_ms: Option<i64>,
}

/// Rows on their way to the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rows {
    /// Durable, in this run.
    pub written: u64,
    /// Between reading and the store.
    pub under_way: u64,
    /// That its servers would not have.
    pub refused: u64,
}

/// Vectors from an embedder of texts, in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Embedding {
    /// Texts that the service computed.
    pub computed: u64,
    /// States whose text was known.
    pub cached: u64,
}
