//! Repeatable stand-ins: a source and a store in memory, for walks over crashes, tests and benchmarks, and a store that
//! only counts. They keep the same contracts as the real ones.

mod source;
mod store;

pub use source::{MemorySource, Recorded, Steps};
pub use store::{MemoryStore, NullStore};
