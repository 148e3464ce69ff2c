//! Kafka as a source.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::{Extent, KafkaProducer, KafkaSettings, KafkaSource, PartitionReader, Poll, Source, SourceError};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::common::{Seen, see};
use crate::services::address;

fn broker() -> String {
    address("PLENUM_TEST_KAFKA")
}

/// A topic of this test's own.
struct Topic {
    name: String,
    broker: String,
    producer: KafkaProducer,
}

impl Topic {
    fn new(what: &str, partitions: u32, properties: &[(&str, &str)]) -> Topic {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let broker = broker();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let name = format!("test-{what}-{since}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let producer = KafkaProducer::open(&format!("kafka://{broker}/{name}"), &KafkaSettings::default()).unwrap();
        assert_eq!(producer.partitions().unwrap(), None);
        // Messages have times long past, which the brokers would remove at their next look.
        let properties = [properties, &[("retention.ms", "-1")]].concat();
        assert_eq!(producer.make_topic(partitions, &properties).unwrap(), partitions);
        Topic { name, broker, producer }
    }

    fn source(&self) -> KafkaSource {
        let settings =
            KafkaSettings { refresh_ms: 200, group: format!("group-of-{}", self.name), ..KafkaSettings::default() };
        KafkaSource::open(&format!("kafka://{}/{}", self.broker, self.name), &settings).unwrap()
    }

    fn send(&self, partition: u32, time_ms: i64, value: Option<&str>) {
        let value = value.map(str::as_bytes);
        self.producer.send(Some(b"device"), value, &[], Some(partition), Some(time_ms)).unwrap();
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.broker);
        config
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().unwrap()
    }

    /// Two committed and one aborted transaction, one message each: behind each stands a marker without a message.
    fn send_transactions(&self, partition: i32) {
        let producer: BaseProducer = self.client().set("transactional.id", &self.name).create().unwrap();
        producer.init_transactions(Duration::from_secs(30)).unwrap();
        for (value, commit) in [("one", true), ("two", true), ("never", false)] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::to(&self.name).partition(partition).key("k").payload(value)).unwrap();
            match commit {
                true => producer.commit_transaction(Duration::from_secs(30)).unwrap(),
                false => {
                    producer.flush(Duration::from_secs(30)).unwrap();
                    producer.abort_transaction(Duration::from_secs(30)).unwrap();
                }
            }
        }
    }
}

fn wait<T>(work: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

const LIMIT: Duration = Duration::from_secs(60);

/// Reads until the end of the log is proven.
fn read_to_end(reader: &mut dyn PartitionReader, max: usize) -> Vec<Seen> {
    let mut seen = Vec::new();
    let began = Instant::now();
    loop {
        let before = seen.len();
        match reader.poll(max, &mut |event| seen.push(see(event))).unwrap() {
            Poll::Ready(count) => assert!(count <= max && count > 0 && seen.len() == before + count),
            Poll::Empty => std::thread::sleep(Duration::from_millis(2)),
            Poll::EndReached => return seen,
            Poll::Finished => panic!("a live topic does not finish"),
        }
        assert!(began.elapsed() < LIMIT, "no end after {} events", seen.len());
    }
}

fn offsets(seen: &[Seen]) -> Vec<i64> {
    seen.iter().map(Seen::offset).collect()
}

#[test]
fn a_topic_is_read_in_order_from_anywhere_to_its_proven_end() {
    let topic = Topic::new("order", 3, &[("message.timestamp.type", "CreateTime")]);
    let now_ms = 1_772_445_000_000;
    for n in 0..3_000_i64 {
        let partition = u32::try_from(n % 3).unwrap();
        topic.send(partition, now_ms + n, (n % 11 != 4).then(|| format!("message {n}")).as_deref());
    }
    topic.producer.flush().unwrap();
    let source = topic.source();
    assert_eq!(
        (source.topic(), source.partitions(), source.messages_total()),
        (topic.name.as_str(), vec![0, 1, 2], None)
    );
    assert_eq!(source.identity(), format!("kafka:{}", topic.name));
    for (partition, from, max) in [(0, 0, 7), (1, 333, 1), (2, 999, 5_000), (0, 1_000, 1), (1, i64::MIN, 64)] {
        let mut reader = source.open(partition, from).unwrap();
        let seen = read_to_end(reader.as_mut(), max);
        let expected = |offset: i64| {
            let n = offset * 3 + i64::from(partition);
            Seen::Message(offset, now_ms + n, (n % 11 != 4).then(|| format!("message {n}")))
        };
        assert_eq!(seen, (from.max(0)..1_000).map(expected).collect::<Vec<_>>(), "partition {partition} from {from}");
    }
    // Again from the same client, and what comes later.
    let mut reader = source.open(2, 998).unwrap();
    assert_eq!(offsets(&read_to_end(reader.as_mut(), 10)), [998, 999]);
    topic.send(2, now_ms, Some("late comer"));
    topic.producer.flush().unwrap();
    let began = Instant::now();
    let mut seen = Vec::new();
    while seen.is_empty() {
        reader.poll(10, &mut |event| seen.push(see(event))).unwrap();
        assert!(began.elapsed() < LIMIT);
    }
    assert_eq!(seen, [Seen::Message(1_000, now_ms, Some("late comer".to_owned()))]);
    assert!(matches!(source.open(2, 0).err(), Some(SourceError::Kafka { .. })), "a partition is read once at a time");
    let said = source.open(3, 0).err().unwrap().to_string();
    assert_eq!(said, format!("topic {:?} has no partition 3", topic.name));
}

#[test]
fn the_end_is_proven_behind_markers_that_are_no_messages() {
    let topic = Topic::new("markers", 1, &[]);
    topic.send_transactions(0);
    let source = topic.source();
    let live = source.live().unwrap();
    assert_eq!(live.extents().unwrap(), [Extent { partition: 0, first_offset: 0, end_offset: 6 }]);
    let mut reader = source.open(0, 0).unwrap();
    assert_eq!(offsets(&read_to_end(reader.as_mut(), 10)), [0, 2]);
    // A reader that starts behind the last message.
    drop(reader);
    assert_eq!(offsets(&read_to_end(source.open(0, 3).unwrap().as_mut(), 10)), Vec::<i64>::new());
}

#[test]
fn a_compacted_topic_is_read_over_its_gaps_to_its_proven_end() {
    let properties = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "0"),
    ];
    let topic = Topic::new("compacted", 1, &properties);
    let source = topic.source();
    let began = Instant::now();
    let mut sent = 0;
    // A segment is closed by a later message, and cleaned some seconds after that.
    loop {
        for _ in 0..20 {
            topic.send(0, 0, Some(&format!("message {sent}")));
            sent += 1;
        }
        topic.producer.flush().unwrap();
        let seen = offsets(&read_to_end(source.open(0, 0).unwrap().as_mut(), 7));
        assert!(seen.is_sorted_by(|a, b| a < b) && seen.last() == Some(&(sent - 1)), "{seen:?} of {sent}");
        if (seen.len() as i64) < sent {
            let extents = source.live().unwrap().extents().unwrap();
            assert_eq!(extents, [Extent { partition: 0, first_offset: 0, end_offset: sent }]);
            // From within what was removed: the next message that there is. The cleaner goes on meanwhile.
            let from_gap = offsets(&read_to_end(source.open(0, seen[0] / 2).unwrap().as_mut(), 7));
            assert!(from_gap.iter().all(|offset| seen.contains(offset)) && from_gap.last() == seen.last());
            return;
        }
        assert!(began.elapsed() < 2 * LIMIT, "nothing was compacted of {sent} messages");
        std::thread::sleep(Duration::from_millis(500));
    }
}

#[test]
fn what_retention_removed_is_noticed() {
    let topic = Topic::new("retention", 1, &[]);
    for n in 0..10 {
        topic.send(0, n, Some("message"));
    }
    topic.producer.flush().unwrap();
    let mut remove = TopicPartitionList::new();
    remove.add_partition_offset(&topic.name, 0, Offset::Offset(4)).unwrap();
    wait(topic.admin().delete_records(&remove, &AdminOptions::new())).unwrap();
    let source = topic.source();
    assert_eq!(source.live().unwrap().extents().unwrap(), [Extent { partition: 0, first_offset: 4, end_offset: 10 }]);
    assert_eq!(offsets(&read_to_end(source.open(0, i64::MIN).unwrap().as_mut(), 3)), [4, 5, 6, 7, 8, 9]);
    let mut reader = source.open(0, 3).unwrap();
    let began = Instant::now();
    let error = loop {
        match reader.poll(10, &mut |event| panic!("nothing is skipped: {event:?}")) {
            Ok(poll) => assert_eq!(poll, Poll::Empty),
            Err(error) => break error.to_string(),
        }
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(error.contains("partition 0: offset 3 is not in the log"), "{error}");
}

#[test]
fn times_become_offsets() {
    let topic = Topic::new("times", 2, &[("message.timestamp.type", "CreateTime")]);
    for n in 0..10 {
        topic.send(0, 1_000_000 + n * 1_000, Some("message"));
    }
    topic.producer.flush().unwrap();
    let source = topic.source();
    let at = |time_ms| source.live().unwrap().offsets_at(time_ms).unwrap();
    assert_eq!(at(0), [(0, 0), (1, 0)]);
    assert_eq!(at(1_003_000), [(0, 3), (1, 0)]);
    assert_eq!(at(1_003_001), [(0, 4), (1, 0)]);
    assert_eq!(at(2_000_000), [(0, 10), (1, 0)]);
}

#[test]
fn new_partitions_are_noticed() {
    let topic = Topic::new("growing", 1, &[]);
    let source = topic.source();
    assert_eq!(source.partitions(), [0]);
    let made =
        wait(topic.admin().create_partitions(&[NewPartitions::new(&topic.name, 3)], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let began = Instant::now();
    while source.partitions() != [0, 1, 2] {
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    let url = format!("kafka://{}/{}", topic.broker, topic.name);
    let producer = KafkaProducer::open(&url, &KafkaSettings::default()).unwrap();
    producer.send(None, Some(b"message"), &[], Some(2), None).unwrap();
    producer.flush().unwrap();
    assert_eq!(offsets(&read_to_end(source.open(2, 0).unwrap().as_mut(), 10)), [0]);
}

#[test]
fn the_group_is_told_and_the_lag_is_known() {
    let topic = Topic::new("lag", 2, &[]);
    for n in 0..100 {
        topic.send(n % 2, 0, Some("message"));
    }
    topic.producer.flush().unwrap();
    let source = topic.source();
    let live = source.live().unwrap();
    let mut reader = source.open(0, 10).unwrap();
    let _other = source.open(1, 20).unwrap();
    let began = Instant::now();
    while live.behind() != Some(70) {
        assert!(began.elapsed() < LIMIT, "{:?} behind", live.behind());
        std::thread::sleep(Duration::from_millis(20));
    }
    read_to_end(reader.as_mut(), 100);
    assert_eq!(live.behind(), Some(30));
    live.commit(&[(0, 50), (1, 20)]);
    let group = format!("group-of-{}", topic.name);
    let tool: BaseConsumer = topic.client().set("group.id", &group).create().unwrap();
    loop {
        let list = Topic::list(&topic.name, 2);
        let told = tool.committed_offsets(list, Duration::from_secs(10));
        let told = told.map(|told| told.elements().iter().map(|element| element.offset()).collect::<Vec<_>>());
        if told.as_ref().is_ok_and(|told| *told == [Offset::Offset(50), Offset::Offset(20)]) {
            return;
        }
        assert!(began.elapsed() < LIMIT, "{told:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Topic {
    fn list(name: &str, partitions: i32) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(name, 0, partitions - 1);
        list
    }
}

/// Memory in bytes as the system counts it.
fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<usize>().unwrap() * 1024
}

#[test]
fn what_is_fetched_ahead_is_bounded() {
    let topic = Topic::new("bounded", 2, &[]);
    // Texts that compress as messages do, to about a sixth.
    let value = |n: u32| {
        (0..200).map(|k| format!("\"metric_{k}\":{},", (n + k).wrapping_mul(2_654_435_761) % 1_000)).collect::<String>()
    };
    for n in 0..100_000 {
        topic.send(n % 2, 0, Some(&value(n)));
    }
    topic.producer.flush().unwrap();
    let before = resident_bytes();
    let source = topic.source();
    let mut readers: Vec<_> = (0..2).map(|partition| source.open(partition, 0).unwrap()).collect();
    let began = Instant::now();
    let mut highest = 0;
    while began.elapsed() < Duration::from_secs(4) {
        highest = highest.max(resident_bytes());
        std::thread::sleep(Duration::from_millis(20));
    }
    let grown_mib = highest.saturating_sub(before) >> 20;
    assert!(grown_mib < 150, "{grown_mib} MiB for readers that nobody polls, of 400 MiB in the topic");
    let counts: Vec<usize> = readers.iter_mut().map(|reader| read_to_end(reader.as_mut(), 1_000).len()).collect();
    assert_eq!(counts, [50_000, 50_000]);
}

#[test]
fn a_topic_that_is_missing_is_said() {
    let broker = broker();
    let error = KafkaSource::open(&format!("kafka://{broker}/no-such-topic"), &KafkaSettings::default()).err().unwrap();
    let error = error.to_string().replace(&broker, "BROKER");
    assert!(error.starts_with("could not open topic \"no-such-topic\" at BROKER: "), "{error}");
    let producer = KafkaProducer::open(&format!("kafka://{broker}/no-such-topic"), &KafkaSettings::default()).unwrap();
    assert_eq!(producer.partitions().unwrap(), None);
}

#[test]
fn the_broker_lists_itself_under_the_address_it_was_asked_at() {
    let address = broker();
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &address).create().unwrap();
    let metadata = client.fetch_metadata(None, Duration::from_secs(10)).unwrap();
    let brokers: Vec<String> = metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
    assert_eq!(brokers, [address]);
}
