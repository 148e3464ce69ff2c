//! What a record is: messages, readings, states, verdicts, incidents, rows, and device types as data.
//!
//! This crate is arithmetic and names: no clock, no files, no network. Everything else in the workspace imports it and
//! it imports nothing of theirs.

pub mod device;
pub mod hash;
pub mod incident;
pub mod message;
pub mod peers;
pub mod recording;
pub mod row;
pub mod state;
pub mod stored;
pub mod tables;
pub mod time;
pub mod zone;

pub use device::{Catalogue, DerivedSpec, DeviceType, MetricKind, MetricSpec, RuleSpec};
pub use incident::{Contribution, Incident, IncidentStatus};
pub use message::{DeadLetterReason, Message};
pub use peers::{Compared, Peers};
pub use row::{Row, Value, Version};
pub use state::{Aggregate, Expected, Finding, Judgement, Method, Severity, StateView, Verdict};
pub use stored::{StoredIncident, StoredState, expected_of_row};
