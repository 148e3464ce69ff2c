//! Repeatable stand-ins: a source, a store and an embedder in memory, for walks over crashes, tests and benchmarks, and a store that
//! only counts. They keep the same contracts as the real ones.

mod embedder;
mod source;
mod store;

pub use embedder::MemoryEmbedder;
pub use source::{MemorySource, Recorded, Steps};
pub use store::{MemoryStore, NullStore};
