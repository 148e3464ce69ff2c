//! What `dataflow doctor` asks of a topic: who answers, what the topic is like, and, only where that is wished, whether a
//! message comes back from a topic of its own that is made for it and removed again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::Offset;
use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::Metadata;

use super::admin::Admin;
use super::client::failed;
use super::keeper::{Keeper, Shared};
use super::source::connect;
use super::{KafkaAddress, KafkaProducer, KafkaSettings, KafkaSource};
use crate::check::{Answer, Checkup};
use crate::{Event, Poll, Source as _, SourceError};

/// How long brokers may take for one answer: somebody waits for it.
const WITHIN: Duration = Duration::from_secs(5);
/// How long a message may take to come back.
const BACK_WITHIN: Duration = Duration::from_secs(20);
/// A broker's clock that differs by more makes readings late or too far in the future.
const CLOCKS_DIFFER_MS: i64 = 5_000;
/// Brokers that are named; more are counted.
const NAMED: usize = 3;

const REACH: &str = "check that Kafka runs at this address and that a firewall lets it through; `security.protocol` in [kafka] \
                     has to be what the brokers speak";

/// A connection that the questions share.
struct Client {
    shared: Arc<Shared>,
    /// Serves the client's events, without which no cause is ever known.
    _keeper: Keeper,
}

impl Client {
    fn open(url: &str, settings: &KafkaSettings) -> Result<Client, SourceError> {
        let (shared, keeper) = connect(url, settings)?;
        Ok(Client { shared, _keeper: keeper })
    }

    fn metadata(&self) -> Result<Metadata, Answer> {
        let Shared { consumer, topic, brokers, .. } = &*self.shared;
        consumer.fetch_metadata(Some(topic), WITHIN).map_err(|error| {
            let cause = consumer.context().failure().unwrap_or_else(|| error.to_string());
            Answer::failed(format!("no broker answers at {brokers}: {cause}"), REACH)
        })
    }
}

/// Tries out the topic of `kafka://HOST[:PORT]/TOPIC`; `write`: a topic of the check's own, too.
pub fn check(url: &str, settings: &KafkaSettings, write: bool, checkup: &mut Checkup) {
    let client = checkup.ask("settings", || {
        settings.check()?;
        let client = Client::open(url, settings)?;
        let seen = match settings.properties.len() {
            0 => "without properties of your own: no TLS, no password".to_owned(),
            _ => format!("with {}", settings.properties.keys().map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        Ok((client, Answer::fine(seen)))
    });
    let Some(client) = client else { return };
    let metadata = checkup.ask("brokers", || {
        let metadata = client.metadata()?;
        let answer = Answer::fine(brokers(&metadata));
        Ok((metadata, answer))
    });
    let Some(metadata) = metadata else { return };
    if let Some(partitions) = checkup.ask("topic", || topic(&client.shared, &metadata)) {
        checkup.ask("messages", || messages(&client.shared, partitions));
        let admin = || Admin::new(settings, &client.shared.brokers, &client.shared.topic);
        let topic_settings = checkup.ask("clock", || {
            let found = admin().and_then(|admin| admin.settings());
            let found = found.map_err(|error| Answer::advice(error.to_string(), ""))?;
            let answer = clock(&client.shared.topic, found.get("message.timestamp.type").map(String::as_str));
            Ok((found, answer))
        });
        if let Some(found) = topic_settings {
            checkup.ask("retention", || Ok(((), retention(&client.shared.topic, &found))));
        }
    }
    if write {
        checkup.ask("write", || round_trip(&client.shared.brokers, settings).map(|answer| ((), answer)));
    }
}

/// Tries out a topic that the job sends to, and makes at its start where there is none.
pub fn check_outlet(url: &str, settings: &KafkaSettings, checkup: &mut Checkup) {
    checkup.ask("topic", || {
        let client = Client::open(url, settings)?;
        let metadata = client.metadata()?;
        let found = metadata.topics().iter().find(|topic| topic.name() == client.shared.topic);
        let missing = found.is_none_or(|topic| topic.error().is_some() || topic.partitions().is_empty());
        let seen = match found {
            Some(topic) if !missing => format!("{} partitions", topic.partitions().len()),
            _ => "there is none yet: the job makes it when it starts".to_owned(),
        };
        Ok(((), Answer::fine(seen)))
    });
}

fn brokers(metadata: &Metadata) -> String {
    let mut names: Vec<String> = metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
    names.sort();
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

/// The number of partitions, each of which needs a leader.
fn topic(shared: &Shared, metadata: &Metadata) -> Result<(i32, Answer), Answer> {
    let topic = metadata.topics().iter().find(|topic| topic.name() == shared.topic);
    let partitions = topic.map_or(&[][..], |topic| topic.partitions());
    if partitions.is_empty() {
        let code = topic.and_then(|topic| topic.error()).map(rdkafka::types::RDKafkaErrorCode::from);
        let cause = code.map_or_else(|| "the brokers do not know it".to_owned(), |code| code.to_string());
        let help = "make it, or correct its name; `dataflow simulate --to kafka://...` makes and fills one to try with";
        return Err(Answer::failed(format!("topic {:?} can't be read: {cause}", shared.topic), help));
    }
    let orphans: Vec<String> = partitions.iter().filter(|p| p.leader() < 0).map(|p| p.id().to_string()).collect();
    let seen = format!("{} partitions", partitions.len());
    if orphans.is_empty() {
        let count = i32::try_from(partitions.len()).expect("Kafka counts partitions as i32");
        return Ok((count, Answer::fine(seen)));
    }
    let seen = format!("{seen}, of which {} have no leader", orphans.join(", "));
    Err(Answer::failed(seen, "bring the brokers back that hold them: the job would wait for these partitions"))
}

/// How much the log holds; each partition's leader answers for its own.
fn messages(shared: &Shared, partitions: i32) -> Result<((), Answer), Answer> {
    let ask = |what| {
        let known = |(number, offset)| match offset {
            Offset::Offset(offset) => (number, offset),
            _ => (number, 0),
        };
        shared
            .ask((0..partitions).collect(), what)
            .map(|all| all.into_iter().map(known).collect::<BTreeMap<i32, i64>>())
    };
    let unreachable = |cause: String| {
        let help = "the brokers name the addresses above as theirs, and those have to be reachable from here: correct \
                    advertised.listeners on the brokers";
        Answer::failed(format!("the leaders of the partitions do not answer: {cause}"), help)
    };
    let firsts = ask(Offset::Beginning).map_err(unreachable)?;
    let ends = ask(Offset::End).map_err(unreachable)?;
    let held: i64 = ends.iter().map(|(number, end)| end - firsts.get(number).copied().unwrap_or(*end)).sum();
    let gone = firsts.values().any(|first| *first > 0);
    let empty = ends.iter().filter(|(number, end)| firsts.get(number) == Some(end)).count();
    let mut seen = format!("up to {held} in the log");
    if gone {
        seen += ", older ones are gone already";
    }
    if held > 0 && empty > 0 {
        seen += &format!(", {empty} partitions are empty");
    }
    Ok(((), Answer::fine(seen)))
}

/// Whose clock the messages' time is from.
fn clock(topic: &str, setting: Option<&str>) -> Answer {
    match setting {
        Some("LogAppendTime") => Answer::fine("message.timestamp.type is LogAppendTime: the broker's clock"),
        Some(other) => Answer::advice(
            format!(
                "message.timestamp.type is {other}: a device whose clock is ahead can close other devices' windows"
            ),
            format!(
                "kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name {topic} \
                 --add-config message.timestamp.type=LogAppendTime"
            ),
        ),
        None => {
            Answer::advice("the brokers do not tell message.timestamp.type", "set it to LogAppendTime on the topic")
        }
    }
}

/// What the brokers throw away.
fn retention(topic: &str, settings: &BTreeMap<String, String>) -> Answer {
    let policy = settings.get("cleanup.policy").map_or("", String::as_str);
    if policy.split(',').any(|policy| policy.trim() == "compact") {
        return Answer::advice(
            format!("cleanup.policy is {policy}: of each device only the newest message stays, other metrics are lost"),
            format!(
                "kafka-configs.sh --bootstrap-server ... --alter --entity-type topics --entity-name {topic} \
                 --add-config cleanup.policy=delete"
            ),
        );
    }
    let kept = match settings.get("retention.ms").and_then(|ms| ms.parse::<i64>().ok()) {
        Some(ms) if ms >= 0 => format!("messages are kept for {}", model::time::format_duration(ms)),
        _ => "messages are kept without a limit of time".to_owned(),
    };
    match settings.get("retention.bytes").and_then(|bytes| bytes.parse::<i64>().ok()) {
        Some(bytes) if bytes >= 0 => Answer::fine(format!("{kept}, up to {} MiB a partition", bytes >> 20)),
        _ => Answer::fine(kept),
    }
}

/// A message to a topic of its own and back.
fn round_trip(brokers: &str, settings: &KafkaSettings) -> Result<Answer, Answer> {
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis() as i64);
    let topic = format!("plenum-doctor-{}-{}", std::process::id(), now_ms());
    let url = format!("kafka://{brokers}/{topic}");
    debug_assert!(KafkaAddress::parse(&url).is_ok());
    let producer = KafkaProducer::open(&url, settings)?;
    producer.make_topic(1, &[("message.timestamp.type", "LogAppendTime")])?;
    let sent_ms = now_ms();
    let came = send_and_read(&producer, &url, settings);
    // Whatever came of it, the topic goes.
    producer.remove_topic()?;
    let ahead_ms = came? - sent_ms;
    let seen = format!("topic {topic:?} was made, a message came back, the topic was removed");
    if ahead_ms.abs() < CLOCKS_DIFFER_MS {
        return Ok(Answer::fine(seen));
    }
    let (by, side) = (model::time::format_duration(ahead_ms.abs()), if ahead_ms > 0 { "ahead" } else { "behind" });
    Ok(Answer::advice(
        format!("{seen}; the broker's clock is {by} {side} of this machine's"),
        "set both clocks by a time server: readings are judged late by the broker's clock",
    ))
}

/// The broker's time of the message.
fn send_and_read(producer: &KafkaProducer, url: &str, settings: &KafkaSettings) -> Result<i64, SourceError> {
    const TEXT: &[u8] = b"plenum doctor";
    producer.send(Some(b"doctor"), Some(TEXT), &[], None, None)?;
    producer.flush()?;
    let source = KafkaSource::open(url, settings)?;
    let mut reader = source.open(0, 0)?;
    let began = Instant::now();
    while began.elapsed() < BACK_WITHIN {
        let mut came = None;
        let poll = reader.poll(1, &mut |event| {
            if let Event::Message(message) = event
                && message.bytes == Some(TEXT)
            {
                came = Some(message.broker_ms);
            }
        })?;
        if let Some(broker_ms) = came {
            return Ok(broker_ms);
        }
        if poll == Poll::Empty {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let cause = format!("what was sent did not come back within {} s", BACK_WITHIN.as_secs());
    Err(failed("read", source.topic(), &producer.brokers, cause, "see the brokers' log"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn the_senders_clocks_and_compaction_are_advised_against() {
        let settings = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        assert_eq!(clock("t", Some("LogAppendTime")).verdict, Verdict::Fine);
        let answer = clock("iot-metrics", Some("CreateTime"));
        assert_eq!(answer.verdict, Verdict::Advice);
        assert!(answer.help.contains("--entity-name iot-metrics --add-config message.timestamp.type=LogAppendTime"));
        assert_eq!(clock("t", None).verdict, Verdict::Advice);
        let kept = |pairs: &[(&str, &str)]| retention("t", &settings(pairs));
        for policy in ["compact", "compact,delete", "delete, compact"] {
            assert_eq!(kept(&[("cleanup.policy", policy)]).verdict, Verdict::Advice, "{policy}");
        }
        let week = [("cleanup.policy", "delete"), ("retention.ms", "604800000"), ("retention.bytes", "-1")];
        assert_eq!(kept(&week), Answer::fine("messages are kept for 7d"));
        let bytes = [("retention.ms", "-1"), ("retention.bytes", "1073741824")];
        assert_eq!(kept(&bytes), Answer::fine("messages are kept without a limit of time, up to 1024 MiB a partition"));
    }
}
