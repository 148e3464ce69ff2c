//! What goes over the wire, as `/api/v1` names it. Times are milliseconds since the epoch.

mod device;
mod fleet;
mod incident;
mod letters;
mod people;
mod pipeline;
mod whole;

pub use device::{
    Became, Device, DeviceTotals, Likeness, Methods, MetricBand, MetricSeries, Profile, ProfileMetric, Series, Similar,
};
pub use fleet::{Brief, Building, Card, Counts, Face, Fleet, Grade, MetricNow, OpenCounts, TypeCount};
pub use incident::{Asked, Incident, IncidentCard, Incidents, Moment, Part, Peer, SimilarTime};
pub use letters::{Late, LateDevice, Letter, LetterKey, Letters, ReasonCount, Replay, Sent};
pub use people::{Accepted, Announce, As, MaintenanceWindow, MaintenanceWindows, Resolve};
pub use pipeline::{Checkpoint, Delay, Embedding, Fates, Job, JobState, JobView, Partition, Pipeline, Readiness, Rows};
