//! A topic of Kafka with the simulated messages, made for the measurements and removed again; and read as if it had an end.

use anyhow::Context as _;
use connectors::{Event, KafkaProducer, KafkaSettings, KafkaSource, PartitionReader, Poll, Source, SourceError};

use super::source::Held;

/// A topic that goes when this goes.
pub struct Filled {
    producer: KafkaProducer,
    /// Its address.
    pub url: String,
}

impl Filled {
    /// Makes a topic on these brokers and sends the messages, with their broker time.
    ///
    /// # Errors
    /// The brokers can't be reached or refuse.
    pub fn new(brokers: &str, held: &Held, settings: &KafkaSettings) -> anyhow::Result<Filled> {
        let url = format!("kafka://{brokers}/plenum-bench-{}", std::process::id());
        let producer = KafkaProducer::open(&url, settings)?;
        let partitions = u32::try_from(held.logs.len()).context("a bench has few partitions")?;
        // Messages keep their recorded times; retention would take them for old ones.
        producer.make_topic(partitions, &[("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")])?;
        let filled = Filled { producer, url };
        for (partition, log) in (0..).zip(&held.logs) {
            for message in log.messages() {
                filled.producer.send(None, message.bytes, &[], Some(partition), Some(message.broker_ms))?;
            }
        }
        filled.producer.flush()?;
        Ok(filled)
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if let Err(error) = self.producer.remove_topic() {
            eprintln!("warning: the topic of the measurements stays: {error}");
        }
    }
}

/// A topic up to where it ends now.
pub struct Ended {
    source: KafkaSource,
    /// By partition, from 0.
    ends: Vec<i64>,
}

impl Ended {
    /// Connects.
    ///
    /// # Errors
    /// The brokers can't be reached, or there is no such topic.
    pub fn open(url: &str, settings: &KafkaSettings) -> anyhow::Result<Ended> {
        let source = KafkaSource::open(url, settings)?;
        let extents = source.live().context("a topic is live")?.extents()?;
        Ok(Ended { source, ends: extents.iter().map(|extent| extent.end_offset).collect() })
    }

    /// The ceiling: every message fetched, checked, unpacked and handed over, and nothing done with it.
    ///
    /// # Errors
    /// If the topic can't be read.
    pub fn consume(&self) -> Result<u64, SourceError> {
        let mut readers = Vec::new();
        for partition in self.partitions() {
            readers.push(self.open(partition, 0)?);
        }
        let (mut messages, mut bytes) = (0, 0);
        while !readers.is_empty() {
            let before = messages;
            let mut failure = None;
            readers.retain_mut(|reader| {
                let poll = reader.poll(1024, &mut |event| {
                    if let Event::Message(message) = event {
                        messages += 1;
                        bytes += message.bytes.map_or(0, <[u8]>::len);
                    }
                });
                poll.map_err(|error| failure = Some(error)).is_ok_and(|poll| poll != Poll::Finished)
            });
            if let Some(error) = failure {
                return Err(error);
            }
            if messages == before {
                std::thread::sleep(std::time::Duration::from_micros(200));
            }
        }
        std::hint::black_box(bytes);
        Ok(messages)
    }
}

impl Source for Ended {
    fn topic(&self) -> &str {
        self.source.topic()
    }

    fn identity(&self) -> String {
        self.source.identity()
    }

    fn partitions(&self) -> Vec<u32> {
        self.source.partitions()
    }

    fn messages_total(&self) -> Option<u64> {
        Some(self.ends.iter().map(|end| end.unsigned_abs()).sum())
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let missing = || SourceError::Partition { topic: self.topic().to_owned(), partition };
        let end = *self.ends.get(partition as usize).ok_or_else(missing)?;
        Ok(Box::new(EndedReader { reader: self.source.open(partition, offset)?, next: offset.max(0), end }))
    }
}

struct EndedReader {
    reader: Box<dyn PartitionReader>,
    next: i64,
    end: i64,
}

impl PartitionReader for EndedReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        if self.next >= self.end {
            return Ok(Poll::Finished);
        }
        let next = &mut self.next;
        let poll = self.reader.poll(max, &mut |event| {
            *next = event.offset() + 1;
            each(event);
        })?;
        // Behind the last message nothing is waited for: the next poll says so.
        Ok(if poll == Poll::EndReached { Poll::Empty } else { poll })
    }
}
