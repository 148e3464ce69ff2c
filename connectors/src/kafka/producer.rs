//! Sends messages: idempotent, to all replicas, lz4. A message counts when the broker has acknowledged it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};

use super::admin::Admin;
use super::client::{failed, refused};
use super::keeper::ANSWER_WITHIN;
use super::{KafkaAddress, KafkaSettings};
use crate::SourceError;

/// A message's headers by name.
pub type Headers<'a> = &'a [(&'a str, &'a [u8])];

/// How long a full queue is waited for. The client gives up on a message after two minutes, which makes room or an error.
const PATIENCE: Duration = Duration::from_secs(150);

/// Sends to one topic.
pub struct KafkaProducer {
    producer: ThreadedProducer<Deliveries>,
    settings: KafkaSettings,
    topic: String,
    pub(super) brokers: String,
}

/// Hears the fate of messages.
#[derive(Default)]
struct Deliveries {
    /// The first message that was given up, and the newest failure that may explain it.
    told: Mutex<(Option<String>, Option<String>)>,
}

impl Deliveries {
    fn told(&self) -> std::sync::MutexGuard<'_, (Option<String>, Option<String>)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Deliveries {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().map_or_else(String::new, |code| format!("{code}: "));
        tracing::debug!("{code}{reason}");
        self.told().1 = Some(format!("{code}{reason}"));
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let (lost, why) = &mut *self.told();
            let why = why.as_ref().map_or_else(String::new, |why| format!(" ({why})"));
            lost.get_or_insert_with(|| format!("a message was given up: {error}{why}"));
        }
    }
}

impl KafkaProducer {
    /// A producer for the topic of `kafka://HOST[:PORT]/TOPIC`, which has to exist when something is sent.
    ///
    /// # Errors
    /// If the address or a setting is wrong.
    pub fn open(url: &str, settings: &KafkaSettings) -> Result<KafkaProducer, SourceError> {
        let KafkaAddress { brokers, topic } = KafkaAddress::parse(url)?;
        let producer = settings
            .producer(&brokers)?
            .create_with_context(Deliveries::default())
            .map_err(|error| refused(&error, &topic, &brokers))?;
        Ok(KafkaProducer { producer, settings: settings.clone(), topic, brokers })
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    fn failed(&self, action: &'static str, cause: String) -> SourceError {
        let why = self.producer.context().told().1.clone();
        let cause = match why {
            Some(why) if !cause.contains(&why) => format!("{cause} ({why})"),
            _ => cause,
        };
        failed(action, &self.topic, &self.brokers, cause, "check the brokers, the topic and the section [kafka]")
    }

    /// How many partitions the topic has; `None`: there is no such topic.
    ///
    /// # Errors
    /// If no broker answers within ten seconds.
    pub fn partitions(&self) -> Result<Option<u32>, SourceError> {
        let metadata = self.producer.client().fetch_metadata(Some(&self.topic), ANSWER_WITHIN);
        let metadata = metadata.map_err(|error| self.failed("find", error.to_string()))?;
        let topic = metadata.topics().iter().find(|topic| topic.name() == self.topic);
        match topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from) {
            None => Ok(topic.map(|topic| u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX))),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(None),
            Some(error) => Err(self.failed("find", error.to_string())),
        }
    }

    /// Makes the topic if there is none, with these properties, and gives the number of its partitions.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub fn make_topic(&self, partitions: u32, properties: &[(&str, &str)]) -> Result<u32, SourceError> {
        if let Some(partitions) = self.partitions()? {
            return Ok(partitions);
        }
        Admin::new(&self.settings, &self.brokers, &self.topic)?.make(partitions, properties)?;
        // Made is not yet known everywhere.
        let began = Instant::now();
        loop {
            match self.partitions()? {
                Some(partitions) if partitions > 0 => return Ok(partitions),
                _ if began.elapsed() > ANSWER_WITHIN => {
                    return Err(self.failed("make", "the brokers made it and do not know it yet".to_owned()));
                }
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Removes the topic with all that is in it.
    ///
    /// # Errors
    /// If the brokers refuse.
    pub fn remove_topic(&self) -> Result<(), SourceError> {
        Admin::new(&self.settings, &self.brokers, &self.topic)?.remove()
    }

    /// Queues a message. `partition`: by the key, as other clients choose it, where absent; `time_ms`: the sender's time where
    /// the topic takes it. A full queue is waited for.
    ///
    /// # Errors
    /// If an earlier message was given up, or this one can't be taken.
    pub fn send(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Headers<'_>,
        partition: Option<u32>,
        time_ms: Option<i64>,
    ) -> Result<(), SourceError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topic);
        if let Some(key) = key {
            record = record.key(key);
        }
        if let Some(value) = value {
            record = record.payload(value);
        }
        if let Some(partition) = partition {
            record =
                record.partition(i32::try_from(partition).map_err(|error| self.failed("send to", error.to_string()))?);
        }
        if let Some(time_ms) = time_ms {
            record = record.timestamp(time_ms);
        }
        if !headers.is_empty() {
            let list = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |list, (key, value)| {
                list.insert(Header { key, value: Some(*value) })
            });
            record = record.headers(list);
        }
        let began = Instant::now();
        loop {
            self.check()?;
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if began.elapsed() < PATIENCE =>
                {
                    record = back;
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err((error, _)) => return Err(self.failed("send to", error.to_string())),
            }
        }
    }

    /// Waits until all that was sent is acknowledged.
    ///
    /// # Errors
    /// If a message was given up.
    pub fn flush(&self) -> Result<(), SourceError> {
        let (under_way, began) = (self.producer.in_flight_count(), Instant::now());
        self.producer.flush(PATIENCE).map_err(|error| self.failed("send to", error.to_string()))?;
        crate::counts::KAFKA_WRITE.asked(usize::try_from(under_way).unwrap_or(0), began.elapsed());
        self.check()
    }

    fn check(&self) -> Result<(), SourceError> {
        match &self.producer.context().told().0 {
            Some(lost) => {
                let help = "check the brokers, the topic and the section [kafka]";
                Err(failed("send to", &self.topic, &self.brokers, lost.clone(), help))
            }
            None => Ok(()),
        }
    }
}
