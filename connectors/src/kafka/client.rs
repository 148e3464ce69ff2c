//! What a librdkafka client tells us beside messages: errors, its log, statistics, the fate of commits.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Statistics, TopicPartitionList};

use crate::SourceError;

/// A warning at most so often: librdkafka tells the same failure every few milliseconds.
const QUIET: Duration = Duration::from_secs(10);

/// Hears what a client tells.
#[derive(Default)]
pub(super) struct Context {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    /// The newest failure, until something succeeded.
    failure: Option<String>,
    warned: Option<Instant>,
    /// By partition the end up to which the client has fetched everything.
    fetched_to: BTreeMap<i32, i64>,
    /// The first failure since something succeeded.
    failing_since: Option<Instant>,
}

impl Context {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest failure, for the message of an error that it explains.
    pub(super) fn failure(&self) -> Option<String> {
        self.told().failure.clone()
    }

    /// Notes a failure that passes by itself, and warns unless it did so a moment ago.
    pub(super) fn failed(&self, reason: &str) {
        let mut told = self.told();
        if told.warned.is_none_or(|warned| warned.elapsed() >= QUIET) {
            told.warned = Some(Instant::now());
            tracing::warn!(reason, "kafka is asked again");
        }
        told.failing_since.get_or_insert_with(Instant::now);
        told.failure = Some(reason.to_owned());
    }

    /// What has kept failing for longer than this, if something has. A client whose brokers were all away for a while may never
    /// find them again (librdkafka issue 5301), and only a new one helps.
    pub(super) fn failing_longer_than(&self, patience: Duration) -> Option<String> {
        let told = self.told();
        let is_longer = told.failing_since.is_some_and(|since| since.elapsed() >= patience);
        told.failure.clone().filter(|_| is_longer)
    }

    /// Something succeeded.
    pub(super) fn succeeded(&self) {
        let mut told = self.told();
        told.failing_since = None;
        if told.failure.take().is_some() && told.warned.take().is_some() {
            tracing::info!("kafka answers again");
        }
    }

    /// The end of a partition up to which everything has been fetched and stands in its queue.
    pub(super) fn fetched_to(&self, partition: i32) -> Option<i64> {
        self.told().fetched_to.get(&partition).copied()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // A property that the client does not know what to do with. Failures come as errors, too.
            RDKafkaLogLevel::Warning if facility == "CONFWARN" => tracing::debug!("{message}"),
            _ => tracing::debug!(facility, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return; // no error: its reader sees it, too
        }
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) && self.failure().is_some() {
            return; // what each broker said tells more
        }
        let code = error.rdkafka_error_code().map_or_else(String::new, |code| format!("{code}: "));
        self.failed(&format!("{code}{reason}"));
    }

    fn stats(&self, statistics: Statistics) {
        let mut told = self.told();
        for partition in statistics.topics.values().flat_map(|topic| topic.partitions.values()) {
            told.fetched_to.insert(partition.partition, partition.eof_offset);
        }
    }
}

impl ConsumerContext for Context {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            // Only tools that show the lag read what is committed; the next checkpoint commits again.
            tracing::warn!(%error, "the consumer group was not told how far the job is");
        }
    }
}

pub(super) type Consumer = BaseConsumer<Context>;

/// A client's configuration was refused. The text of librdkafka may hold the value, which may be a secret.
pub(super) fn refused(error: &KafkaError, topic: &str, brokers: &str) -> SourceError {
    match error {
        KafkaError::ClientConfig(_, text, name, value) => {
            let problem = if value.is_empty() || !text.contains(value.as_str()) {
                format!("can't be used: {text}")
            } else {
                "has a value that can't be used".to_owned()
            };
            SourceError::Setting { name: format!("kafka.{name}"), problem }
        }
        error => failed("start a client for", topic, brokers, error.to_string(), "correct the section [kafka]"),
    }
}

/// Something went wrong for good.
pub(super) fn failed(
    action: &'static str,
    topic: &str,
    brokers: &str,
    cause: String,
    help: &'static str,
) -> SourceError {
    SourceError::Kafka { action, topic: topic.to_owned(), brokers: brokers.to_owned(), cause, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An outage counts from its first failure, whatever is told meanwhile, and is over with the first answer.
    #[test]
    fn what_keeps_failing_is_known_until_something_succeeds() {
        let context = Context::default();
        assert_eq!(context.failing_longer_than(Duration::ZERO), None);
        context.failed("timed out");
        context.failed("all brokers are down");
        assert_eq!(context.failing_longer_than(Duration::ZERO).as_deref(), Some("all brokers are down"));
        assert_eq!(context.failing_longer_than(Duration::from_secs(3_600)), None);
        context.succeeded();
        assert_eq!(context.failing_longer_than(Duration::ZERO), None);
    }
}
