//! One verb, one file.

pub mod detect;
pub mod embed;
pub mod peers;
pub mod read;
pub mod window;
pub mod write;

use serde::{Deserialize, Serialize};

use crate::controls::Placed;

/// A usable, on-time reading on its way to its device's worker.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// Hash of the names (see [`crate::directory::Introduction`]).
    pub series: u64,
    /// Event time in milliseconds.
    pub timestamp_ms: i64,
    /// In the metric's canonical unit.
    pub value: f64,
    /// Offset in its partition.
    pub offset: i64,
    /// Partition.
    pub partition: u32,
    /// Low half of the device's hash.
    pub route: u32,
}

/// What each reader tells all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tick {
    /// A stamp that occurs somewhere, told once.
    Stamp {
        /// A window start, or `i64::MIN` in front of a partition's first reading.
        stamp_ms: i64,
        /// An on-time reading has it; otherwise only late ones, dead letters or tombstones.
        has_reading: bool,
    },
    /// A device of a type, before or with its first reading: until there are enough of the type to be peers.
    Member(Member),
}

/// A device of a type, by the hashes of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Device.
    pub device: u64,
    /// Canonical device type.
    pub device_type: u64,
}

/// What worker 0 announces on the control stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Announced {
    /// Everything stamped below the boundary becomes a checkpoint.
    Cut {
        /// T.
        boundary_ms: i64,
        /// Nothing comes after it: the source ended, or the job is asked to stop.
        last: bool,
    },
    /// What people asked for, durable already.
    Control(Box<Placed>),
}

/// What worker 0 tells all others, outside of event time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// The last checkpoint of a job that was asked to stop is durable: drop what is left.
    Done,
    /// The topic has a new partition: its worker opens it.
    Open {
        /// Which.
        partition: u32,
    },
    /// A frozen partition may be read again.
    Thaw {
        /// Which.
        partition: u32,
        /// Its idle mark (next offset, watermark), durable already.
        mark: Option<(i64, i64)>,
    },
}
