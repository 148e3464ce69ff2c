//! An incident is told from its opening to its closing, to a topic and to a webhook, by a job that dies in between.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::CqlStore;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::receiver::{Came, Receiver, SECRET};
use crate::services::address;
use crate::stage::{LIMIT, Stage, said};

const DEVICE: &str = "AHU-7";

/// What the receiver answers next; when nothing is left here, it takes everything.
type Answers = Arc<Mutex<VecDeque<Option<u16>>>>;

fn lock(answers: &Answers) -> MutexGuard<'_, VecDeque<Option<u16>>> {
    answers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A job with a keyspace and a topic for transitions, on the stage's topic.
struct Job<'a> {
    stage: &'a Stage,
    store: String,
    told: String,
    config: PathBuf,
}

impl<'a> Job<'a> {
    fn new(stage: &'a Stage, name: &str, url: &str) -> Job<'a> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let keyspace = format!("alerts_{name}_{since}");
        let store = format!("cassandra://{}/{keyspace}?vector_index=none", address("PLENUM_TEST_CASSANDRA"));
        let told = format!("{}-{name}", stage.topic);
        let config = stage.folder.join(format!("{name}.toml"));
        let text = format!(
            "source = \"kafka://{}/{}\"\nstore = \"{store}\"\nanomaly_topic = \"{told}\"\n\
             checkpoint_interval = \"200ms\"\nidle = \"1h\"\npartition_refresh = \"200ms\"\n\
             [webhook]\nurl = \"{url}\"\nsecret = \"{SECRET}\"\nmin_severity = \"info\"\ntimeout = \"60s\"\n\
             group_wait = \"0s\"\ngroup_interval = \"0s\"\n",
            stage.broker, stage.topic
        );
        std::fs::write(&config, text).unwrap();
        Job { stage, store, told, config }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        command.current_dir(&self.stage.folder).args(arguments).stdin(Stdio::null());
        command
    }

    /// A run that goes on until it is killed.
    fn start(&self) -> Running {
        let mut command = self.command(&["run", "-w", "2", "--json", "--config"]);
        let log = std::fs::File::options().create(true).append(true).open(self.config.with_extension("log")).unwrap();
        Running(command.arg(&self.config).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// What a command says of the store.
    fn output(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).args(["--store", &self.store]).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Alerts that the store still owes the webhook, or has given up.
    fn owed(&self) -> Vec<Value> {
        serde_json::from_str(&self.output(&["alerts", "list", "--json"])).unwrap()
    }

    /// The table of incidents.
    fn incidents(&self) -> String {
        self.output(&["store", "dump", "--table", "anomaly_events"])
    }

    fn wait_until_nothing_is_owed(&self, job: &mut Running) {
        let began = Instant::now();
        while !self.owed().is_empty() {
            job.check(self);
            assert!(began.elapsed() < LIMIT, "{:#?}", self.owed());
        }
    }

    /// All that is told on the topic, in its order: an incident stays in one partition, for the device is the key.
    fn told(&self) -> Vec<Came> {
        let reader: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.stage.broker)
            .set("group.id", &self.told)
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let topic = reader.fetch_metadata(Some(&self.told), LIMIT).unwrap();
        let mut all = Vec::new();
        for partition in topic.topics()[0].partitions() {
            let (low, high) = reader.fetch_watermarks(&self.told, partition.id(), LIMIT).unwrap();
            let mut from = TopicPartitionList::new();
            from.add_partition_offset(&self.told, partition.id(), Offset::Offset(low)).unwrap();
            reader.assign(&from).unwrap();
            let (mut next, began) = (low, Instant::now());
            while next < high {
                assert!(began.elapsed() < LIMIT, "{next} of {high}");
                let Some(message) = reader.poll(Duration::from_millis(200)) else { continue };
                let message = message.unwrap();
                let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
                assert_eq!(text(message.key()), DEVICE);
                let body = text(message.payload());
                let object: Value = serde_json::from_str(&body).unwrap();
                all.push(Came { id: object["id"].as_str().unwrap().to_owned(), body });
                next = message.offset() + 1;
            }
        }
        all
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        if let Err(error) = CqlStore::drop_schema(&self.store) {
            // The keyspace stays; a second panic would hide the first.
            eprintln!("{error}");
        }
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    /// SIGKILL.
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn check(&mut self, job: &Job) {
        let log = || std::fs::read_to_string(job.config.with_extension("log")).unwrap();
        assert_eq!(self.0.try_wait().unwrap(), None, "the job ended by itself: {}", log());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill(); // one that has ended is fine
        let _ = self.0.wait();
    }
}

/// Minutes of a healthy device, then of one whose level goes astray a little (from 480 on), all of it far (520 to 560), nothing.
fn send(stage: &Stage, minutes: std::ops::Range<i64>) {
    let from_ms = model::time::parse_rfc3339("2026-03-02T00:00:00Z").unwrap();
    for minute in minutes {
        let at_ms = from_ms + minute * 60_000;
        for (metric, step) in [("flow", 21), ("level", 28), ("load", 35)] {
            let astray = match minute {
                480..520 if metric == "level" => 0.9,
                520..560 => 30.0,
                _ => 0.0,
            };
            let message = json!({
                "device_id": DEVICE, "device_type": "widget", "building_id": "east", "metric_name": metric,
                "metric_value": 20.0 + (minute * step % 11) as f64 / 10.0 + astray, "timestamp": at_ms,
            });
            stage.producer.send(None, Some(message.to_string().as_bytes()), &[], Some(0), Some(at_ms)).unwrap();
        }
    }
    stage.producer.flush().unwrap();
}

/// What came, each id once, with how often it came; a repeat has the same bytes.
fn distinct(came: &[Came]) -> Vec<(Came, usize)> {
    let mut all: Vec<(Came, usize)> = Vec::new();
    for one in came {
        match all.iter_mut().find(|(known, _)| known.id == one.id) {
            Some((known, times)) => {
                assert_eq!(known.body, one.body, "two contents with one id");
                *times += 1;
            }
            None => all.push((one.clone(), 1)),
        }
    }
    all
}

/// Number of the transition, status and severity of the lone incident that an alert tells.
fn tells(one: &Came) -> (String, String, String) {
    let [(id, status, severity)] = one.transitions().try_into().unwrap();
    assert_eq!(id, one.id);
    (id.rsplit_once(':').unwrap().1.to_owned(), status, severity)
}

#[test]
fn a_fault_is_told_to_topic_and_webhook_through_kills() {
    let stage = Stage::new("alerts", 1);
    let answers = Answers::default();
    let next = Arc::clone(&answers);
    let answer = move |_, _: &Came| lock(&next).pop_front().unwrap_or(Some(200));
    let receiver = Receiver::start("127.0.0.1:0", Box::new(answer));
    let walk = Job::new(&stage, "walk", &receiver.url);

    // The opening: refused for now, then taken and never answered. The job dies with the request under way.
    lock(&answers).extend([Some(503), None]);
    send(&stage, 0..519);
    let mut job = walk.start();
    receiver.wait(2);
    job.check(&walk);
    job.kill();
    let owed = walk.owed();
    assert_eq!(owed.len(), 1, "{owed:#?}");
    assert_eq!((&owed[0]["state"], &owed[0]["what"]), (&json!("waiting"), &json!("opened")));
    assert_eq!(owed[0]["id"], receiver.came()[0].id.as_str());
    assert_eq!(owed[0]["body"], receiver.came()[0].json());
    assert!(owed[0]["problem"].as_str().unwrap().contains("503"), "{}", owed[0]);
    println!("killed while the opening had no answer: {} owed", owed.len());
    let mut job = walk.start();
    receiver.wait(3);
    walk.wait_until_nothing_is_owed(&mut job);

    // The escalation: taken, and in the next moment the job dies. Whether it knows that it was taken is left open.
    send(&stage, 519..550);
    receiver.wait(4);
    job.kill();
    println!("killed when the escalation was taken: {} owed", walk.owed().len());
    let mut job = walk.start();
    walk.wait_until_nothing_is_owed(&mut job);

    // The closing: the job dies with it under way, too.
    let before = receiver.came().len();
    lock(&answers).push_back(None);
    send(&stage, 550..660);
    receiver.wait(before + 1);
    job.kill();
    let owed = walk.owed();
    assert_eq!((owed.len(), &owed[0]["what"]), (1, &json!("closed")), "{owed:#?}");
    println!("killed while the closing had no answer: {} owed", owed.len());
    let mut job = walk.start();
    receiver.wait(before + 2);
    walk.wait_until_nothing_is_owed(&mut job);
    job.kill();

    // The same records at the same offsets, without a death.
    let willing = Receiver::willing();
    let straight = Job::new(&stage, "straight", &willing.url);
    let mut job = straight.start();
    willing.wait(3);
    straight.wait_until_nothing_is_owed(&mut job);
    job.kill();

    let (came, topic) = (distinct(&receiver.came()), distinct(&walk.told()));
    println!("{:<38} {:<6} {:<8} webhook topic", "id", "status", "severity");
    for (one, times) in &came {
        let (_, status, severity) = tells(one);
        let on_topic = topic.iter().find(|(told, _)| told.id == one.id).map_or(0, |(_, times)| *times);
        println!("{:<38} {status:<6} {severity:<8} {times:>7} {on_topic:>5}", one.id);
    }
    let wanted = [("1", "open", "info"), ("2", "open", "warning"), ("3", "closed", "warning")];
    let wanted = wanted.map(|(number, status, severity)| (number.to_owned(), status.to_owned(), severity.to_owned()));
    let [of_webhook, of_topic] = [came, topic].map(|all| all.into_iter().map(|(one, _)| one).collect::<Vec<Came>>());
    assert!(of_webhook.iter().map(tells).eq(wanted.clone()), "{of_webhook:#?}");
    assert!(of_topic.iter().map(tells).eq(wanted), "{of_topic:#?}");
    // A transition is the same on both ways, and in the straight run, which has told each once.
    for (one, other) in of_webhook.iter().zip(&of_topic) {
        assert_eq!((&one.id, one.json()), (&other.id, other.json()));
    }
    assert_eq!((willing.came(), straight.told()), (of_webhook, of_topic));
    // Nothing waits, nothing was given up, and the incident's row has the same bytes as without a death.
    assert_eq!((walk.owed(), straight.owed()), (Vec::new(), Vec::new()));
    let incidents = walk.incidents();
    assert_eq!(incidents.lines().count(), 1, "{incidents}");
    assert_eq!(incidents, straight.incidents());
}
