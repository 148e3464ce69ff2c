//! A topic as a live source.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer as _};

use super::client::{Consumer, Context, failed, refused};
use super::keeper::{Keeper, Shared};
use super::reader::KafkaReader;
use super::{KafkaAddress, KafkaSettings};
use crate::{Extent, Live, PartitionReader, Source, SourceError};

/// How long brokers that are away are waited for at a start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A live topic.
pub struct KafkaSource {
    shared: Arc<Shared>,
    keeper: Arc<Keeper>,
    group: String,
}

/// A client with its thread; nothing is asked yet.
pub(super) fn connect(url: &str, settings: &KafkaSettings) -> Result<(Arc<Shared>, Keeper), SourceError> {
    let KafkaAddress { brokers, topic } = KafkaAddress::parse(url)?;
    let consumer: Consumer = settings
        .consumer(&brokers)?
        .create_with_context(Context::default())
        .map_err(|error| refused(&error, &topic, &brokers))?;
    let shared = Arc::new(Shared::new(Arc::new(consumer), topic, brokers, 0));
    let keeper = Keeper::start(Arc::clone(&shared), Duration::from_millis(settings.refresh_ms.max(100)))
        .map_err(|error| failed("open", &shared.topic, &shared.brokers, error.to_string(), "free some threads"))?;
    Ok((shared, keeper))
}

impl KafkaSource {
    /// Connects, and learns which partitions there are. Brokers that are away are waited for a minute.
    ///
    /// # Errors
    /// If the address or a setting is wrong, no broker answers in time, or there is no such topic.
    pub fn open(url: &str, settings: &KafkaSettings) -> Result<KafkaSource, SourceError> {
        let (shared, keeper) = connect(url, settings)?;
        let began = Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            match shared.count_partitions() {
                Ok(_) => break,
                Err(cause) if began.elapsed() >= PATIENCE || cause.contains("Unknown topic") => {
                    let help = "check the address, that the brokers run and that the topic exists; \
                                `security.protocol` in [kafka] has to be what the brokers speak";
                    return Err(failed("open", &shared.topic, &shared.brokers, cause, help));
                }
                Err(cause) => {
                    shared.consumer.context().failed(&cause);
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
            }
        }
        shared.consumer.context().succeeded();
        Ok(KafkaSource { shared, keeper: Arc::new(keeper), group: settings.group.clone() })
    }

    /// The topic's partitions as the client counts them.
    fn numbers(&self) -> Vec<i32> {
        (0..self.shared.partitions.load(Ordering::SeqCst).cast_signed()).collect()
    }

    fn ask(&self, what: Offset) -> Result<Vec<(u32, Offset)>, SourceError> {
        let began = Instant::now();
        loop {
            match self.shared.ask(self.numbers(), what) {
                Ok(offsets) => {
                    return Ok(offsets.into_iter().map(|(number, offset)| (number.cast_unsigned(), offset)).collect());
                }
                Err(cause) if began.elapsed() >= PATIENCE => {
                    let help = "check that the brokers run";
                    return Err(failed("ask for offsets of", &self.shared.topic, &self.shared.brokers, cause, help));
                }
                Err(cause) => {
                    self.shared.consumer.context().failed(&cause);
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        }
    }

    fn known(&self, offsets: Vec<(u32, Offset)>) -> Result<Vec<(u32, i64)>, SourceError> {
        let known = |(number, offset)| match offset {
            Offset::Offset(offset) => Ok((number, offset)),
            other => {
                let cause = format!("partition {number} has {other:?} instead of an offset");
                Err(failed("ask for offsets of", &self.shared.topic, &self.shared.brokers, cause, "try again"))
            }
        };
        offsets.into_iter().map(known).collect()
    }
}

impl Source for KafkaSource {
    fn topic(&self) -> &str {
        &self.shared.topic
    }

    fn identity(&self) -> String {
        format!("kafka:{}", self.shared.topic)
    }

    fn partitions(&self) -> Vec<u32> {
        (0..self.shared.partitions.load(Ordering::SeqCst)).collect()
    }

    fn messages_total(&self) -> Option<u64> {
        None
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let missing = || SourceError::Partition { topic: self.shared.topic.clone(), partition };
        let number = i32::try_from(partition).map_err(|_| missing())?;
        if partition >= self.shared.partitions.load(Ordering::SeqCst)
            && self.shared.count_partitions().is_ok_and(|count| partition >= count)
        {
            return Err(missing());
        }
        let offset = if offset < 0 {
            let first = self.shared.ask(vec![number], Offset::Beginning);
            let first = first.ok().and_then(|offsets| offsets.get(&number).copied());
            if let Some(Offset::Offset(first)) = first { first } else { 0 }
        } else {
            offset
        };
        Ok(Box::new(KafkaReader::open(&self.shared, &self.keeper, number, offset)?))
    }

    fn live(&self) -> Option<&dyn Live> {
        Some(self)
    }
}

impl Live for KafkaSource {
    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        let firsts = self.known(self.ask(Offset::Beginning)?)?;
        let ends = self.known(self.ask(Offset::End)?)?;
        let extent = |((partition, first_offset), (_, end_offset))| Extent { partition, first_offset, end_offset };
        Ok(firsts.into_iter().zip(ends).map(extent).collect())
    }

    fn offsets_at(&self, time_ms: i64) -> Result<Vec<(u32, i64)>, SourceError> {
        let ends = self.known(self.ask(Offset::End)?)?;
        let found = self.ask(Offset::Offset(time_ms.max(0)))?;
        // Where nothing is as young the answer is "the end", which has to be a number before it moves on.
        let offset = |((number, found), (_, end))| match found {
            Offset::Offset(offset) => (number, offset),
            _ => (number, end),
        };
        Ok(found.into_iter().zip(ends).map(offset).collect())
    }

    fn commit(&self, positions: &[(u32, i64)]) {
        if self.group.is_empty() || positions.is_empty() {
            return;
        }
        let mut list = self.shared.list([], Offset::Invalid);
        for &(partition, offset) in positions {
            let number = i32::try_from(partition).expect("it was a partition of this topic");
            list.add_partition_offset(&self.shared.topic, number, Offset::Offset(offset))
                .expect("an offset can be listed");
        }
        if let Err(error) = self.shared.consumer.commit(&list, CommitMode::Async) {
            tracing::warn!(%error, "the consumer group could not be told how far the job is");
        }
    }

    fn behind(&self) -> Option<u64> {
        let reading = self.shared.reading();
        reading.values().try_fold(0, |sum, reading| {
            let (end, _) = reading.end?;
            Some(sum + end.saturating_sub(reading.next_offset.load(Ordering::Relaxed)).max(0).cast_unsigned())
        })
    }
}
