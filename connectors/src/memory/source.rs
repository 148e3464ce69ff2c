//! A topic in memory: finite, or live, where a counter that the test moves says what has arrived.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use model::recording::{self, Line};
use xxhash_rust::xxh3::Xxh3;

use crate::{Event, Extent, Live, PartitionReader, Poll, Source, SourceError, SourceMessage};

/// An event of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// A message.
    Message {
        /// Offset in the partition.
        offset: i64,
        /// The broker's time of appending, milliseconds since the epoch.
        broker_ms: i64,
        /// The bytes as sent; `None` is a tombstone.
        bytes: Option<Vec<u8>>,
    },
    /// An idle mark in front of `offset`.
    Mark {
        /// The next offset of the partition.
        offset: i64,
        /// Watermark in milliseconds.
        watermark_ms: i64,
    },
}

impl Recorded {
    fn as_event(&self) -> Event<'_> {
        match self {
            Recorded::Message { offset, broker_ms, bytes } => {
                Event::Message(SourceMessage { offset: *offset, broker_ms: *broker_ms, bytes: bytes.as_deref() })
            }
            Recorded::Mark { offset, watermark_ms } => Event::Mark { offset: *offset, watermark_ms: *watermark_ms },
        }
    }
}

/// How far a live source in memory is; all readers share it.
#[derive(Clone, Debug, Default)]
pub struct Steps(Arc<AtomicU64>);

impl Steps {
    /// At step 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everything arrive up to this step. It never goes back.
    pub fn advance_to(&self, step: u64) {
        self.0.fetch_max(step, Ordering::Release);
    }

    /// The step now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// An event and the step at which it arrives.
#[derive(Clone, Debug)]
struct Arrival {
    step: u64,
    event: Recorded,
}

/// A topic in memory. Clones share what is in it.
#[derive(Clone, Debug)]
pub struct MemorySource {
    topic: Arc<str>,
    partitions: Arc<BTreeMap<u32, Arc<Vec<Arrival>>>>,
    steps: Option<Steps>,
    /// When partitions come into being, where that matters.
    births: Option<Arc<BTreeMap<u32, u64>>>,
}

impl MemorySource {
    /// A finite topic.
    ///
    /// # Panics
    /// If the offsets of a partition do not rise.
    pub fn finite(topic: &str, partitions: BTreeMap<u32, Vec<Recorded>>) -> Self {
        let arrivals = |events: Vec<Recorded>| events.into_iter().map(|event| (0, event)).collect();
        Self::new(
            topic,
            partitions.into_iter().map(|(partition, events)| (partition, arrivals(events))).collect(),
            None,
        )
    }

    /// A live topic: each event arrives when `steps` reaches its number, and never before an earlier one of its partition.
    ///
    /// # Panics
    /// If the offsets of a partition do not rise.
    pub fn live(topic: &str, partitions: BTreeMap<u32, Vec<(u64, Recorded)>>, steps: Steps) -> Self {
        Self::new(topic, partitions, Some(steps))
    }

    /// The same, and partitions come into being at their step of `births`; the others are there from the beginning.
    ///
    /// # Panics
    /// If the offsets of a partition do not rise.
    pub fn growing(
        topic: &str,
        partitions: BTreeMap<u32, Vec<(u64, Recorded)>>,
        births: BTreeMap<u32, u64>,
        steps: Steps,
    ) -> Self {
        MemorySource { births: Some(Arc::new(births)), ..Self::new(topic, partitions, Some(steps)) }
    }

    /// A finite topic from the lines of a recording.
    ///
    /// # Errors
    /// With the line's number, if one is not a recording's.
    pub fn from_lines(topic: &str, lines: &[u8]) -> Result<Self, SourceError> {
        let mut partitions: BTreeMap<u32, Vec<Recorded>> = BTreeMap::new();
        for (index, line) in lines.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() || line.starts_with(b"#") {
                continue;
            }
            let fail = |problem| SourceError::Line { place: topic.to_owned(), line: index as u64 + 1, problem };
            let (partition, event) = match recording::parse_line(line).map_err(|error| fail(error.to_string()))? {
                Line::Message { partition, offset, broker_ms, bytes } => {
                    let bytes = bytes.map(std::borrow::Cow::into_owned);
                    (partition, Recorded::Message { offset, broker_ms, bytes })
                }
                Line::Mark { partition, offset, watermark_ms } => (partition, Recorded::Mark { offset, watermark_ms }),
            };
            let events = partitions.entry(partition).or_default();
            if !events.last().is_none_or(|last| follows(last, &event)) {
                let offset = event.as_event().offset();
                return Err(fail(format!("offset {offset} of partition {partition} does not rise")));
            }
            events.push(event);
        }
        Ok(Self::finite(topic, partitions))
    }

    fn new(topic: &str, partitions: BTreeMap<u32, Vec<(u64, Recorded)>>, steps: Option<Steps>) -> Self {
        let partitions = partitions.into_iter().map(|(partition, events)| {
            let rises = events.windows(2).all(|pair| follows(&pair[0].1, &pair[1].1));
            assert!(rises, "offsets of partition {partition} rise");
            let arrivals = events.into_iter().map(|(step, event)| Arrival { step, event }).collect();
            (partition, Arc::new(arrivals))
        });
        MemorySource { topic: topic.into(), partitions: Arc::new(partitions.collect()), steps, births: None }
    }

    fn now(&self) -> u64 {
        self.steps.as_ref().map_or(u64::MAX, Steps::now)
    }

    /// What has arrived in the partitions that there are.
    fn arrived(&self) -> impl Iterator<Item = (u32, &[Arrival])> {
        let now = self.now();
        let born = move |partition: &u32| {
            self.births.as_ref().and_then(|births| births.get(partition)).is_none_or(|birth| *birth <= now)
        };
        let arrived = move |arrivals: &'_ Arc<Vec<Arrival>>| arrivals.iter().take_while(|one| one.step <= now).count();
        self.partitions
            .iter()
            .filter(move |(partition, _)| born(partition))
            .map(move |(partition, arrivals)| (*partition, &arrivals[..arrived(arrivals)]))
    }
}

/// Whether an event may stand behind another: offsets rise, and a mark stands in front of its offset's message.
fn follows(before: &Recorded, event: &Recorded) -> bool {
    match before {
        Recorded::Message { offset, .. } => event.as_event().offset() > *offset,
        Recorded::Mark { offset, .. } => event.as_event().offset() >= *offset,
    }
}

impl Source for MemorySource {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn identity(&self) -> String {
        if self.steps.is_some() {
            return self.topic.to_string();
        }
        let mut hash = Xxh3::new();
        for (partition, arrivals) in self.partitions.iter() {
            let mut line = Vec::new();
            for Arrival { event, .. } in arrivals.iter() {
                line.clear();
                match event {
                    Recorded::Message { offset, broker_ms, bytes } => {
                        recording::write_message(&mut line, *partition, *offset, *broker_ms, bytes.as_deref());
                    }
                    Recorded::Mark { offset, watermark_ms } => {
                        recording::write_mark(&mut line, *partition, *offset, *watermark_ms);
                    }
                }
                hash.update(&line);
            }
        }
        format!("memory:{:016x}", hash.digest())
    }

    fn partitions(&self) -> Vec<u32> {
        self.arrived().map(|(partition, _)| partition).collect()
    }

    fn messages_total(&self) -> Option<u64> {
        let messages = |arrivals: &Arc<Vec<Arrival>>| {
            arrivals.iter().filter(|arrival| matches!(arrival.event, Recorded::Message { .. })).count() as u64
        };
        self.steps.is_none().then(|| self.partitions.values().map(messages).sum())
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let arrivals = self
            .partitions
            .get(&partition)
            .ok_or_else(|| SourceError::Partition { topic: self.topic.to_string(), partition })?;
        let next = arrivals.partition_point(|arrival| arrival.event.as_event().offset() < offset);
        Ok(Box::new(MemoryReader { arrivals: Arc::clone(arrivals), next, steps: self.steps.clone() }))
    }

    fn live(&self) -> Option<&dyn Live> {
        self.births.is_some().then_some(self as &dyn Live)
    }
}

impl Live for MemorySource {
    fn extents(&self) -> Result<Vec<Extent>, SourceError> {
        let end = |arrived: &[Arrival]| arrived.last().map_or(0, |last| last.event.as_event().offset() + 1);
        let extent = |(partition, arrived)| Extent { partition, first_offset: 0, end_offset: end(arrived) };
        Ok(self.arrived().map(extent).collect())
    }

    fn offsets_at(&self, time_ms: i64) -> Result<Vec<(u32, i64)>, SourceError> {
        let is_there = |arrival: &&Arrival| match &arrival.event {
            Recorded::Message { broker_ms, .. } => *broker_ms >= time_ms,
            Recorded::Mark { .. } => false,
        };
        let offset = |arrived: &[Arrival]| match (arrived.iter().find(is_there), arrived.last()) {
            (Some(found), _) => found.event.as_event().offset(),
            (None, last) => last.map_or(0, |last| last.event.as_event().offset() + 1),
        };
        Ok(self.arrived().map(|(partition, arrived)| (partition, offset(arrived))).collect())
    }

    fn commit(&self, _positions: &[(u32, i64)]) {}

    fn behind(&self) -> Option<u64> {
        None
    }
}

struct MemoryReader {
    arrivals: Arc<Vec<Arrival>>,
    next: usize,
    steps: Option<Steps>,
}

impl PartitionReader for MemoryReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        let now = self.steps.as_ref().map_or(u64::MAX, Steps::now);
        let rest = &self.arrivals[self.next..];
        let mut count = 0;
        for arrival in rest.iter().take(max).take_while(|arrival| arrival.step <= now) {
            each(arrival.event.as_event());
            count += 1;
        }
        self.next += count;
        Ok(match (count, &self.steps) {
            (0, None) if rest.is_empty() => Poll::Finished,
            // What has not arrived is not in the log yet, so that this is its end.
            (0, Some(_)) if max > 0 => Poll::EndReached,
            _ => Poll::Ready(count),
        })
    }
}
