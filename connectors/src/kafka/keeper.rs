//! The source's own thread: serves the client's events, asks where the partitions end, and looks for new partitions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Consumer;

/// How often the ends are asked for.
const ASK_EVERY: Duration = Duration::from_secs(1);

/// How long an answer may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long one turn waits for the client's events.
const TURN: Duration = Duration::from_millis(50);

/// What the readers and the keeper share.
pub(super) struct Shared {
    pub(super) consumer: Arc<Consumer>,
    pub(super) topic: String,
    pub(super) brokers: String,
    /// Partitions that the topic has; it only grows.
    pub(super) partitions: AtomicU32,
    /// By partition that is being read.
    reading: Mutex<BTreeMap<i32, Reading>>,
    /// The topic's timestamps are the senders'; said once.
    pub(super) told_create_time: AtomicBool,
    stop: AtomicBool,
}

/// A partition that is being read.
#[derive(Clone)]
pub(super) struct Reading {
    /// The reader's next offset.
    pub(super) next_offset: Arc<AtomicI64>,
    /// The log's end, and when it was asked for.
    pub(super) end: Option<(i64, Instant)>,
}

impl Shared {
    pub(super) fn new(consumer: Arc<Consumer>, topic: String, brokers: String, partitions: u32) -> Self {
        Shared {
            consumer,
            topic,
            brokers,
            partitions: AtomicU32::new(partitions),
            reading: Mutex::default(),
            told_create_time: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        }
    }

    pub(super) fn reading(&self) -> MutexGuard<'_, BTreeMap<i32, Reading>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The topic's partitions as a list for the client, each with this offset.
    pub(super) fn list(&self, partitions: impl IntoIterator<Item = i32>, offset: Offset) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition_offset(&self.topic, partition, offset).expect("any offset can be put into a list");
        }
        list
    }

    /// Asks the brokers how many partitions there are.
    pub(super) fn count_partitions(&self) -> Result<u32, String> {
        let explain = |error: &dyn std::fmt::Display| self.consumer.context().failure().unwrap_or(error.to_string());
        let metadata =
            self.consumer.fetch_metadata(Some(&self.topic), ANSWER_WITHIN).map_err(|error| explain(&error))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        let count = match topic {
            Some(topic) => match topic.error() {
                Some(error) => return Err(rdkafka::types::RDKafkaErrorCode::from(error).to_string()),
                None => topic.partitions().len(),
            },
            None => return Err("the brokers do not know it".to_owned()),
        };
        let count = u32::try_from(count).expect("fewer than 2^31 partitions");
        self.partitions.fetch_max(count, Ordering::SeqCst);
        Ok(count)
    }

    /// Asks for an offset of each partition: `Offset::Beginning` and `Offset::End` mean the log's, any other is a time in
    /// milliseconds.
    pub(super) fn ask(&self, partitions: Vec<i32>, what: Offset) -> Result<BTreeMap<i32, Offset>, String> {
        let explain = |error: &dyn std::fmt::Display| self.consumer.context().failure().unwrap_or(error.to_string());
        let answers = self
            .consumer
            .offsets_for_times(self.list(partitions, what), ANSWER_WITHIN)
            .map_err(|error| explain(&error))?;
        let mut offsets = BTreeMap::new();
        for answer in answers.elements() {
            answer.error().map_err(|error| format!("partition {}: {}", answer.partition(), explain(&error)))?;
            offsets.insert(answer.partition(), answer.offset());
        }
        Ok(offsets)
    }
}

/// The thread, ended when it is dropped.
pub(super) struct Keeper {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(shared: Arc<Shared>, refresh: Duration) -> std::io::Result<Keeper> {
        let kept = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("kafka".to_owned()).spawn(move || keep(&kept, refresh))?;
        Ok(Keeper { shared, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic of it was reported by the hook
        }
    }
}

fn keep(shared: &Shared, refresh: Duration) {
    let mut asked: Option<Instant> = None;
    let mut counted = Instant::now();
    while !shared.stop.load(Ordering::SeqCst) {
        // All messages have queues of their own; here come only events and errors, and the context has heard them already.
        let _ = shared.consumer.poll(TURN);
        if asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            ask_ends(shared);
            asked = Some(Instant::now());
        }
        if counted.elapsed() >= refresh {
            if let Err(reason) = shared.count_partitions() {
                shared.consumer.context().failed(&reason);
            }
            counted = Instant::now();
        }
    }
}

/// One question a second for all partitions: the log's end, so that "all has been read" is known and not guessed.
fn ask_ends(shared: &Shared) {
    let partitions: Vec<i32> = shared.reading().keys().copied().collect();
    if partitions.is_empty() {
        return;
    }
    let asked = Instant::now();
    match shared.ask(partitions, Offset::End) {
        Ok(ends) => {
            shared.consumer.context().succeeded();
            let mut reading = shared.reading();
            for (partition, end) in ends {
                if let (Some(reading), Offset::Offset(end)) = (reading.get_mut(&partition), end) {
                    reading.end = Some((end, asked));
                }
            }
        }
        Err(reason) => shared.consumer.context().failed(&reason),
    }
}
