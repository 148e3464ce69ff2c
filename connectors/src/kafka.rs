//! Kafka: topics as a live source, and producers for what the job and the simulator send. Tried on Kafka 4.4 (KRaft).
//!
//! One librdkafka client a process with a queue a partition, so that each reader takes its own messages at once. Partitions
//! are assigned by hand with offsets from the job's checkpoint: the consumer group is only told how far the job is (for lag
//! tools) and never decides who reads what.
//!
//! Not supported: topics whose messages have no timestamp, Kerberos, and TLS in a build without the feature `tls`.

mod admin;
mod check;
mod client;
mod keeper;
mod producer;
mod reader;
mod settings;
mod source;

pub use check::{check, check_outlet};
pub use producer::{Headers, KafkaProducer};
pub use settings::{KafkaAddress, KafkaSettings};
pub use source::KafkaSource;
