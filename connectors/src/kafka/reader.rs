//! Reads one partition from its own queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message as _, Offset, Timestamp};

use super::client::{Context, failed};
use super::keeper::{Keeper, Reading, Shared};
use crate::{Event, PartitionReader, Poll, SourceError, SourceMessage};

/// How old the answer about the log's end may be that proves that all has been read.
const PROOF_HOLDS: Duration = Duration::from_secs(5);

/// How long a topic may be unknown to its brokers, as it is while they start, before that is believed; and how long they may
/// not answer at all. The job's store is given as long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) struct KafkaReader {
    queue: PartitionQueue<Context>,
    shared: Arc<Shared>,
    /// Keeps the thread alive without which no end is ever known.
    _keeper: Arc<Keeper>,
    partition: i32,
    next_offset: Arc<AtomicI64>,
    /// The client said that it reached the end; before that its statistics may be of an earlier reader.
    end_seen: bool,
    /// Since when the topic has been unknown.
    unknown_since: Option<Instant>,
}

impl KafkaReader {
    pub(super) fn open(
        shared: &Arc<Shared>,
        keeper: &Arc<Keeper>,
        partition: i32,
        offset: i64,
    ) -> Result<KafkaReader, SourceError> {
        let next_offset = Arc::new(AtomicI64::new(offset));
        {
            let mut reading = shared.reading();
            if reading.contains_key(&partition) {
                let cause = format!("partition {partition} is being read already");
                return Err(failed("read", &shared.topic, &shared.brokers, cause, "open a partition once"));
            }
            reading.insert(partition, Reading { next_offset: Arc::clone(&next_offset), end: None });
        }
        // The queue first: what is fetched before it exists would go to the client's common queue.
        let queue = shared.consumer.split_partition_queue(&shared.topic, partition);
        let assign = shared.list([partition], Offset::Offset(offset));
        let assigned = shared.consumer.incremental_assign(&assign).map_err(|error| error.to_string());
        match (queue, assigned) {
            (Some(queue), Ok(())) => Ok(KafkaReader {
                queue,
                shared: Arc::clone(shared),
                _keeper: Arc::clone(keeper),
                partition,
                next_offset,
                end_seen: false,
                unknown_since: None,
            }),
            (queue, assigned) => {
                shared.reading().remove(&partition);
                let cause = assigned.err().filter(|_| queue.is_some());
                let cause = cause.unwrap_or_else(|| format!("partition {partition} has no queue"));
                Err(failed("read", &shared.topic, &shared.brokers, cause, "this is a fault of the program"))
            }
        }
    }

    /// Whether all that the log held a moment ago lies before this offset, or before what the queue has delivered: behind
    /// the last message there may be offsets without one (of a transaction, or removed by compaction).
    fn is_at_end(&self, next_offset: i64) -> bool {
        let end = self.shared.reading().get(&self.partition).and_then(|reading| reading.end);
        let Some((end, _)) = end.filter(|(_, asked)| asked.elapsed() < PROOF_HOLDS) else { return false };
        next_offset >= end
            || (self.end_seen
                && self.shared.consumer.context().fetched_to(self.partition).is_some_and(|fetched| fetched >= end))
    }

    fn error(&mut self, error: &KafkaError) -> Result<(), SourceError> {
        let code = error.rdkafka_error_code();
        let fatal = |cause: String, help| {
            Err(failed(
                "read",
                &self.shared.topic,
                &self.shared.brokers,
                format!("partition {}: {cause}", self.partition),
                help,
            ))
        };
        let next_offset = self.next_offset.load(Ordering::Relaxed);
        match (error, code) {
            (KafkaError::MessageConsumptionFatal(_), _) => fatal(error.to_string(), "start the job again"),
            (_, Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)) => fatal(
                format!("offset {next_offset} is not in the log: removed by retention, or the topic was made anew"),
                "start the job again: it says how much is gone and how to go on",
            ),
            (_, Some(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                fatal(error.to_string(), "give the user the right to read the topic")
            }
            (
                _,
                Some(
                    RDKafkaErrorCode::BadMessage | RDKafkaErrorCode::BadCompression | RDKafkaErrorCode::NotImplemented,
                ),
            ) => fatal(error.to_string(), "the log is damaged, or packed in a way that this build can't unpack"),
            (
                _,
                Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::UnknownPartition,
                ),
            ) if self.unknown_since.get_or_insert_with(Instant::now).elapsed() > PATIENCE => {
                fatal(error.to_string(), "make the topic, or correct its name")
            }
            // The client tries again by itself, and the context has heard why.
            _ => Ok(()),
        }
    }
}

impl PartitionReader for KafkaReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        let began = Instant::now();
        let mut count = 0;
        let mut proven = false;
        while count < max {
            let error = match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let broker_ms = match message.timestamp() {
                        Timestamp::LogAppendTime(ms) => ms,
                        Timestamp::CreateTime(ms) => {
                            if !self.shared.told_create_time.swap(true, Ordering::Relaxed) {
                                tracing::warn!(
                                    topic = self.shared.topic,
                                    "the topic's timestamps are the senders' clocks: a device whose clock is ahead can close \
                                     other devices' windows; set message.timestamp.type=LogAppendTime on the topic"
                                );
                            }
                            ms
                        }
                        Timestamp::NotAvailable => {
                            let cause = format!("the message at offset {} has no timestamp", message.offset());
                            let help = "the topic needs message format 1 or newer";
                            return Err(failed("read", &self.shared.topic, &self.shared.brokers, cause, help));
                        }
                    };
                    each(Event::Message(SourceMessage {
                        offset: message.offset(),
                        broker_ms,
                        bytes: message.payload(),
                    }));
                    self.next_offset.store(message.offset() + 1, Ordering::Relaxed);
                    self.unknown_since = None;
                    count += 1;
                    continue;
                }
                Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.end_seen = true;
                    self.unknown_since = None;
                    continue;
                }
                Some(Err(error)) => error,
                // What was known before the queue was seen empty is what an empty queue proves.
                None if count == 0 && !proven && self.is_at_end(self.next_offset.load(Ordering::Relaxed)) => {
                    proven = true;
                    continue;
                }
                None if count > 0 => break,
                None if proven => return Ok(Poll::EndReached),
                None => {
                    return match self.shared.consumer.context().failing_longer_than(PATIENCE) {
                        None => Ok(Poll::Empty),
                        Some(cause) => {
                            let cause = format!("no answer for {} s: {cause}", PATIENCE.as_secs());
                            let help = "start the job again: it goes on where it was";
                            Err(failed("read", &self.shared.topic, &self.shared.brokers, cause, help))
                        }
                    };
                }
            };
            self.error(&error)?;
            crate::counts::KAFKA_READ.retried();
            if count == 0 {
                return Ok(Poll::Empty);
            }
            break;
        }
        crate::counts::KAFKA_READ.asked(count, began.elapsed());
        Ok(Poll::Ready(count))
    }
}

impl Drop for KafkaReader {
    fn drop(&mut self) {
        let list = self.shared.list([self.partition], Offset::Invalid);
        if let Err(error) = self.shared.consumer.incremental_unassign(&list) {
            tracing::debug!(%error, partition = self.partition, "the client keeps a partition that nobody reads");
        }
        self.shared.reading().remove(&self.partition);
    }
}
