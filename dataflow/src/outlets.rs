//! What is told to others once it is durable in the store: dead letters and the transitions of incidents, each to a topic.
//!
//! At least once: a row is written, then told, and only then does its stamp count as durable, so that a crash between the two
//! repeats the telling. A transition always has the same id and the same content.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use connectors::{Event, KafkaProducer, KafkaSettings, KafkaSource, Poll, Source as _, Store, StoreError};
use model::tables::TableId;
use model::{Row, Value};

use crate::alerts::transition::Transitions;
use crate::checkpoint::Start;

/// Hears of rows on the store's thread.
pub trait Outlet: Send {
    /// Where the run starts.
    fn begin(&mut self, start: &Start);

    /// Rows that are about to be written, in their order, every version of them.
    fn note(&mut self, rows: &[Row]);

    /// What was noted is durable in the store: keeps what has to outlast the process in the store's bookkeeping, before it is told.
    ///
    /// # Errors
    /// If the store fails; keeping it again is safe.
    fn keep(&mut self, _store: &mut dyn Store) -> Result<(), StoreError> {
        Ok(())
    }

    /// What was noted is durable in the store: tells it, and returns when it has arrived.
    ///
    /// # Errors
    /// It can't be told; the job ends, and the next one tells it.
    fn tell(&mut self) -> Result<(), String>;
}

/// Partitions of a topic that is made here.
const PARTITIONS: u32 = 3;

fn open_producer(url: &str, settings: &KafkaSettings) -> anyhow::Result<KafkaProducer> {
    let producer = KafkaProducer::open(url, settings)?;
    producer.make_topic(PARTITIONS, &[("message.timestamp.type", "LogAppendTime")])?;
    Ok(producer)
}

/// Messages that can't be used, as they came; why and where from stands in their headers.
pub struct DeadLetterTopic {
    producer: KafkaProducer,
    noted: Vec<Row>,
}

impl DeadLetterTopic {
    /// Connects, and makes the topic if there is none.
    ///
    /// # Errors
    /// Wrong settings, or brokers that refuse.
    pub fn open(url: &str, settings: &KafkaSettings) -> anyhow::Result<Self> {
        let producer = open_producer(url, settings).context("could not open the topic of dead letters")?;
        Ok(DeadLetterTopic { producer, noted: Vec::new() })
    }
}

impl Outlet for DeadLetterTopic {
    fn begin(&mut self, _start: &Start) {}

    fn note(&mut self, rows: &[Row]) {
        self.noted.extend(rows.iter().filter(|row| row.table == TableId::DeadLetters).cloned());
    }

    fn tell(&mut self) -> Result<(), String> {
        if self.noted.is_empty() {
            return Ok(());
        }
        for row in self.noted.drain(..) {
            let text = |column| row.value(column).as_text().unwrap_or_default();
            let number = |column| row.value(column).as_int().unwrap_or_default().to_string();
            let (partition, offset) = (number("partition"), number("offset"));
            let key = format!("{}/{partition}/{offset}", text("topic"));
            let headers = [
                ("reason", text("reason").as_bytes()),
                ("detail", text("detail").as_bytes()),
                ("topic", text("topic").as_bytes()),
                ("partition", partition.as_bytes()),
                ("offset", offset.as_bytes()),
            ];
            let bytes = if let Value::Blob(bytes) = row.value("bytes") { bytes.as_slice() } else { &[] };
            self.producer
                .send(Some(key.as_bytes()), Some(bytes), &headers, None, None)
                .map_err(|error| error.to_string())?;
        }
        self.producer.flush().map_err(|error| error.to_string())
    }
}

/// Openings, changes of severity and closings of incidents, one JSON object each, by device.
pub struct AnomalyTopic {
    producer: KafkaProducer,
    transitions: Transitions,
    /// Ids in the topic's tail: told by an earlier run.
    told: HashSet<String>,
    /// Device, id and text.
    noted: Vec<(String, String, String)>,
}

/// How many messages of each partition are looked through for ids: more than a run tells between two checkpoints.
const TAIL_MESSAGES: i64 = 10_000;

/// How long reading them may take.
const TAIL_WITHIN: Duration = Duration::from_secs(60);

impl AnomalyTopic {
    /// Connects, makes the topic if there is none, and reads which transitions its tail holds.
    ///
    /// # Errors
    /// Wrong settings, brokers that refuse, or a tail that can't be read in time.
    pub fn open(url: &str, settings: &KafkaSettings) -> anyhow::Result<Self> {
        let producer = open_producer(url, settings).context("could not open the topic of anomalies")?;
        let told = read_tail(url, settings).context("could not read what the topic of anomalies holds")?;
        Ok(AnomalyTopic { producer, transitions: Transitions::default(), told, noted: Vec::new() })
    }
}

impl Outlet for AnomalyTopic {
    fn begin(&mut self, start: &Start) {
        self.transitions.begin(start);
    }

    fn note(&mut self, rows: &[Row]) {
        for row in rows {
            let transition = self.transitions.of_row(row).filter(|transition| !self.told.contains(transition.id()));
            let noted = transition.map(|transition| {
                (transition.text("device_id").to_owned(), transition.id().to_owned(), transition.object.to_string())
            });
            self.noted.extend(noted);
        }
    }

    fn tell(&mut self) -> Result<(), String> {
        if self.noted.is_empty() {
            return Ok(());
        }
        for (device, _, text) in self.noted.drain(..) {
            self.producer
                .send(Some(device.as_bytes()), Some(text.as_bytes()), &[], None, None)
                .map_err(|error| error.to_string())?;
        }
        self.producer.flush().map_err(|error| error.to_string())
    }
}

/// The ids of a topic's newest messages. What is no transition there is somebody else's, and left alone.
fn read_tail(url: &str, settings: &KafkaSettings) -> anyhow::Result<HashSet<String>> {
    let source = KafkaSource::open(url, settings)?;
    let live = source.live().context("a topic is live")?;
    let mut ids = HashSet::new();
    let began = Instant::now();
    for extent in live.extents()? {
        if extent.first_offset == extent.end_offset {
            continue;
        }
        let from = extent.first_offset.max(extent.end_offset - TAIL_MESSAGES);
        let mut reader = source.open(extent.partition, from)?;
        let mut next = from;
        while next < extent.end_offset {
            let poll = reader.poll(1_000, &mut |event| {
                next = event.offset() + 1;
                let Event::Message(message) = event else { return };
                let object = message.bytes.and_then(|bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok());
                ids.extend(object.and_then(|object| object["id"].as_str().map(str::to_owned)));
            })?;
            match poll {
                Poll::EndReached | Poll::Finished => break,
                Poll::Ready(_) => {}
                Poll::Empty if began.elapsed() > TAIL_WITHIN => bail!("it did not answer for {TAIL_WITHIN:?}"),
                Poll::Empty => std::thread::sleep(Duration::from_millis(2)),
            }
        }
    }
    Ok(ids)
}
