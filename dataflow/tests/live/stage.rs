//! What the tests of the job on Kafka share: a topic and a folder of their own, simulated messages, and the program's calls.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectors::{KafkaProducer, KafkaSettings};
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use scenarios::simulator::{Delivery, Fleet, Options, SimulatedMessage, Simulator};
use serde_json::Value;

use crate::services::address;

/// No test waits longer for anything.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A topic and a folder of this test's own.
pub struct Stage {
    pub topic: String,
    pub broker: String,
    pub folder: PathBuf,
    pub producer: KafkaProducer,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder); // what stays is only in the way
    }
}

impl Stage {
    pub fn new(what: &str, partitions: u32) -> Stage {
        Stage::at(&address("PLENUM_TEST_KAFKA"), what, partitions)
    }

    /// On a broker of the test's own.
    pub fn at(broker: &str, what: &str, partitions: u32) -> Stage {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let topic = format!("job-{what}-{since}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&topic);
        std::fs::create_dir_all(&folder).unwrap();
        let broker = broker.to_owned();
        let producer = KafkaProducer::open(&format!("kafka://{broker}/{topic}"), &KafkaSettings::default()).unwrap();
        // The broker's time is the recording's, so that topic and recording are the same messages.
        // These times are long past: retention would take the messages while a test reads them.
        let properties = [("message.timestamp.type", "CreateTime"), ("retention.ms", "-1")];
        producer.make_topic(partitions, &properties).unwrap();
        Stage { topic, broker, folder, producer }
    }

    pub fn send(&self, messages: &[SimulatedMessage]) {
        for message in messages {
            let (partition, time_ms) = (Some(message.partition), Some(message.broker_ms));
            self.producer.send(None, message.bytes.as_deref(), &[], partition, time_ms).unwrap();
        }
        self.producer.flush().unwrap();
    }

    /// Writes the messages as a recording of the topic's name, which is part of a dead letter's key.
    pub fn record(&self, messages: &[SimulatedMessage]) -> String {
        let mut lines = Vec::new();
        for SimulatedMessage { partition, offset, broker_ms, bytes, .. } in messages {
            model::recording::write_message(&mut lines, *partition, *offset, *broker_ms, bytes.as_deref());
        }
        std::fs::write(self.folder.join(format!("{}.jsonl", self.topic)), lines).unwrap();
        format!("file:{}.jsonl", self.topic)
    }

    pub fn command(&self, store: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        command.current_dir(&self.folder).args(["--store", &format!("sqlite:{store}")]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The job on the topic until it has been idle for a moment.
    pub fn on_topic(&self, store: &str, arguments: &[&str]) -> Command {
        let mut command =
            self.command(store, &["--source", &format!("kafka://{}/{}", self.broker, self.topic), "--json"]);
        // Flags win over the environment.
        command.env("PLENUM__UNTIL_IDLE", "0s").env("PLENUM__IDLE", "1500ms").env("PLENUM__PARTITION_REFRESH", "200ms");
        command.args(arguments);
        command
    }

    pub fn dump(&self, store: &str) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        command.current_dir(&self.folder).args(["store", "dump", "--store", &format!("sqlite:{store}")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        output.stdout
    }

    pub fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.broker).create().unwrap()
    }
}

pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What a run that ended well says.
pub fn report(mut command: Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

pub fn received(report: &Value) -> u64 {
    report["records"]["received"].as_u64().unwrap()
}

pub fn wait<T>(work: impl std::future::Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

pub fn simulate(partitions: u32, minutes: i64, delivery: Delivery) -> Vec<SimulatedMessage> {
    run_simulator(Options { partitions, duration_ms: Some(minutes * 60_000), delivery, ..Options::default() })
}

pub fn run_simulator(options: Options) -> Vec<SimulatedMessage> {
    let mut simulator = Simulator::new(&Fleet::default_eleven(), &options).unwrap();
    let (mut all, mut batch) = (Vec::new(), Vec::new());
    while simulator.next_batch(&mut batch) {
        all.append(&mut batch);
    }
    all
}

/// Late, repeated, overtaken and unusable messages, and tombstones.
pub fn disturbed() -> Delivery {
    Delivery {
        duplicate_rate: 0.01,
        out_of_order_rate: 0.01,
        late_rate: 0.01,
        malformed_rate: 0.01,
        tombstone_rate: 0.01,
        ..Delivery::default()
    }
}
