//! The job on topics of Kafka.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use connectors::{Event, KafkaProducer, KafkaSettings, KafkaSource, Poll, Source as _};
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use scenarios::simulator::{Delivery, FaultOptions, FaultRequest, Options, SimulatedMessage};
use serde_json::Value;

use crate::stage::{LIMIT, Stage, disturbed, received, report, run_simulator, said, simulate, wait};

/// Waits until the store of a running job holds something, then kills it.
fn kill_after_start(mut child: Child, store: &Path, delay: Duration) {
    let began = Instant::now();
    while !store.exists() {
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_topic_and_its_recording_give_the_same_tables_through_kills() {
    let messages = simulate(5, 120, disturbed());
    let stage = Stage::new("same", 5);
    stage.send(&messages);
    let recorded = report(stage.command("file.db", &["--source", &stage.record(&messages), "--json"]));
    let straight = report(stage.on_topic("topic.db", &["-w", "2"]));
    assert_eq!(received(&recorded), messages.len() as u64);
    assert_eq!((&straight["records"], &straight["incidents"]), (&recorded["records"], &recorded["incidents"]));
    let expected = stage.dump("file.db");
    assert!(expected == stage.dump("topic.db"), "the dumps differ");
    for (workers, delay_ms) in [("1", 700), ("4", 100), ("2", 1_200), ("8", 400)] {
        let child = stage.on_topic("killed.db", &["-w", workers, "--checkpoint-interval", "100ms"]).spawn().unwrap();
        kill_after_start(child, &stage.folder.join("killed.db"), Duration::from_millis(delay_ms));
    }
    let last = report(stage.on_topic("killed.db", &["-w", "3", "-n", "2"]));
    assert_eq!(last["records"], recorded["records"]);
    assert!(expected == stage.dump("killed.db"), "the dumps differ after kills");
}

#[test]
fn latest_is_decided_once() {
    let messages = simulate(3, 30, Delivery::default());
    let (before, after) = messages.split_at(messages.len() / 2);
    let stage = Stage::new("latest", 3);
    stage.send(before);
    // The first run writes down where it begins; it is killed before there is anything to read.
    let mut child = stage.on_topic("latest.db", &["--from", "latest", "--until-idle", "1h"]).spawn().unwrap();
    let began = Instant::now();
    while !checkpoint_is_there(&stage, "latest.db") {
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    stage.send(after);
    let report = report(stage.on_topic("latest.db", &["--from", "latest", "-w", "2"]));
    assert_eq!(received(&report), after.len() as u64);
}

/// A job that has caught up finds the end of every partition at every look; while records come none of them is idle.
#[test]
fn partitions_that_deliver_are_not_idle() {
    let messages = simulate(2, 30, Delivery::default());
    let stage = Stage::new("steady", 2);
    let mut job = stage.on_topic("steady.db", &["-w", "2", "--until-idle", "1s"]).spawn().unwrap();
    for part in messages.chunks(messages.len().div_ceil(50)) {
        stage.send(part);
        std::thread::sleep(Duration::from_millis(150));
    }
    assert!(job.try_wait().unwrap().is_none(), "the job took partitions that deliver for idle, and ended");
    let output = job.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((received(&report), &report["records"]["late"]), (messages.len() as u64, &0.into()), "{report}");
}

fn checkpoint_is_there(stage: &Stage, store: &str) -> bool {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    let url = format!("sqlite:{store}");
    command.current_dir(&stage.folder).args(["store", "dump", "--store", &url, "--table", "checkpoints"]);
    command.output().unwrap().stdout.contains(&b'{')
}

#[test]
fn what_retention_took_is_an_error_until_it_is_accepted() {
    let messages = simulate(2, 30, Delivery::default());
    let (before, after) = messages.split_at(messages.len() / 2);
    let stage = Stage::new("loss", 2);
    stage.send(before);
    assert_eq!(received(&report(stage.on_topic("loss.db", &[]))), before.len() as u64);
    stage.send(after);
    let ends = |part: &[SimulatedMessage]| part.iter().filter(|message| message.partition == 0).count() as i64;
    let first = ends(before) + 10;
    let mut remove = TopicPartitionList::new();
    remove.add_partition_offset(&stage.topic, 0, Offset::Offset(first)).unwrap();
    wait(stage.admin().delete_records(&remove, &AdminOptions::new())).unwrap();
    let refused = stage.on_topic("loss.db", &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = said(&refused);
    assert!(text.contains("partition 0 has lost up to ") && text.contains("--accept-loss"), "{text}");
    let accepted = report(stage.on_topic("loss.db", &["--accept-loss", "-w", "2"]));
    let lost = accepted["lost"].as_u64().unwrap();
    // Of the last run some windows had not been closed: those would have been read again.
    assert!(lost >= 10, "{accepted}");
    assert!(received(&accepted) + 10 <= messages.len() as u64);
}

#[test]
fn new_and_empty_partitions_hold_nobody_up() {
    let messages = simulate(2, 60, Delivery::default());
    let (before, after) = messages.split_at(messages.len() / 2);
    // Five of seven partitions have nothing, more than a turn has polls, and eight workers more than there are partitions.
    let stage = Stage::new("growing", 7);
    stage.send(before);
    let child = stage.on_topic("growing.db", &["-w", "8", "--until-idle", "6s"]).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let made = wait(stage.admin().create_partitions(&[NewPartitions::new(&stage.topic, 9)], &AdminOptions::new()));
    assert!(made.unwrap().iter().all(Result::is_ok));
    std::thread::sleep(Duration::from_secs(1));
    // The devices of partition 1 go on in a new one.
    let moved = |message: &SimulatedMessage| SimulatedMessage {
        partition: if message.partition == 1 { 8 } else { message.partition },
        ..message.clone()
    };
    let moved: Vec<SimulatedMessage> = after.iter().map(moved).collect();
    let settings = KafkaSettings::default();
    let producer = KafkaProducer::open(&format!("kafka://{}/{}", stage.broker, stage.topic), &settings).unwrap();
    for message in &moved {
        let (partition, time_ms) = (Some(message.partition), Some(message.broker_ms));
        producer.send(None, message.bytes.as_deref(), &[], partition, time_ms).unwrap();
    }
    producer.flush().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let live: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(received(&live), messages.len() as u64, "{live}");
    assert!(live["states"].as_u64().unwrap() > 0);
    // The same again from what is written down: another run has nothing left to do, and changes nothing.
    let dump = stage.dump("growing.db");
    let again = report(stage.on_topic("growing.db", &["-w", "3"]));
    assert_eq!(again["records"], live["records"]);
    assert!(dump == stage.dump("growing.db"), "a run without new messages changed the tables");
}

/// All values of a topic as text.
fn values(stage: &Stage, topic: &str) -> Vec<String> {
    let source = KafkaSource::open(&format!("kafka://{}/{topic}", stage.broker), &KafkaSettings::default()).unwrap();
    let mut values = Vec::new();
    for partition in source.partitions() {
        let mut reader = source.open(partition, 0).unwrap();
        let began = Instant::now();
        while reader
            .poll(100, &mut |event| {
                if let Event::Message(message) = event {
                    values.push(String::from_utf8_lossy(message.bytes.unwrap_or_default()).into_owned());
                }
            })
            .unwrap()
            != Poll::EndReached
        {
            assert!(began.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    values.sort();
    values
}

#[test]
fn what_is_told_is_told_once_through_kills() {
    let faults = ["CT-001/fan_failure/severe/150min/40min", "RTU-001/fan_failure/severe/200min/40min"];
    let requests = faults.iter().map(|fault| FaultRequest::parse(fault).unwrap()).collect();
    let messages = run_simulator(Options {
        partitions: 3,
        duration_ms: Some(300 * 60_000),
        period_ms: 30_000,
        delivery: Delivery { malformed_rate: 0.001, ..Delivery::default() },
        faults: FaultOptions { requests, ..FaultOptions::default() },
        ..Options::default()
    });
    let stage = Stage::new("told", 3);
    stage.send(&messages);
    let topics = |number: u32| [format!("{}-a{number}", stage.topic), format!("{}-d{number}", stage.topic)];
    let [anomalies, dead_letters] = topics(1);
    let flags = |[anomalies, dead_letters]: &[String; 2]| {
        ["--anomaly-topic", anomalies, "--dead-letter-topic", dead_letters].map(str::to_owned)
    };
    let command = |store: &str, number: u32, more: &[&str]| {
        let mut command = stage.on_topic(store, more);
        command.args(flags(&topics(number)));
        command
    };
    let straight = report(command("straight.db", 1, &["-w", "2"]));
    let told = values(&stage, &anomalies);
    let incidents: u64 = straight["incidents"].as_object().unwrap().values().filter_map(Value::as_u64).sum();
    assert!(incidents > 0 && told.len() as u64 > incidents, "{straight}, told {told:?}");
    for text in &told {
        let object: Value = serde_json::from_str(text).unwrap();
        let id = format!("{}:{}", object["anomaly_id"].as_str().unwrap(), object["transition"]);
        assert_eq!(object["id"], id);
    }
    for (workers, delay_ms) in [("1", 600), ("4", 900), ("2", 1_300), ("8", 700)] {
        let child = command("killed.db", 2, &["-w", workers, "--checkpoint-interval", "100ms"]).spawn().unwrap();
        kill_after_start(child, &stage.folder.join("killed.db"), Duration::from_millis(delay_ms));
    }
    let killed = report(command("killed.db", 2, &["-w", "3"]));
    assert_eq!(killed["records"], straight["records"]);
    assert_eq!(values(&stage, &topics(2)[0]), told);

    // Dead letters: each at least once, with its bytes and where it came from.
    let dead = straight["records"]["dead_lettered"].as_u64().unwrap();
    assert!(dead > 0);
    let reader: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &stage.broker)
        .set("group.id", &dead_letters)
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    reader.subscribe(&[&dead_letters]).unwrap();
    let began = Instant::now();
    let mut seen = 0;
    while seen < dead {
        assert!(began.elapsed() < LIMIT, "{seen} of {dead}");
        let Some(message) = reader.poll(Duration::from_millis(200)) else { continue };
        let message = message.unwrap();
        let headers = message.headers().unwrap();
        let header = |name: &str| {
            let found = headers.iter().find(|header| header.key == name).unwrap();
            String::from_utf8(found.value.unwrap().to_vec()).unwrap()
        };
        assert_eq!(header("topic"), stage.topic);
        let (partition, offset): (u32, i64) = (header("partition").parse().unwrap(), header("offset").parse().unwrap());
        let sent = messages.iter().find(|sent| (sent.partition, sent.offset) == (partition, offset)).unwrap();
        assert_eq!(message.payload(), sent.bytes.as_deref());
        assert!(!header("reason").is_empty() && !header("detail").is_empty());
        seen += 1;
    }
    assert_eq!(values(&stage, &dead_letters).len() as u64, dead);

    // And they can be sent again.
    let mut replay = Command::new(env!("CARGO_BIN_EXE_dataflow"));
    replay.current_dir(&stage.folder).args([
        "dead-letters",
        "replay",
        "--store",
        "sqlite:straight.db",
        "--json",
        "--to",
    ]);
    let replayed = report({
        replay.arg(format!("kafka://{}/{}", stage.broker, topics(2)[1]));
        replay
    });
    assert_eq!(replayed["sent"], dead);
}
