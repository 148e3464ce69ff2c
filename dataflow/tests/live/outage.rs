//! The broker dies under a running job and comes back.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::stage::{LIMIT, Stage, disturbed, received, report, said, simulate};

/// A broker of this test's own, for others would miss theirs.
struct Broker {
    folder: PathBuf,
}

impl Broker {
    fn start() -> Broker {
        let broker = Broker { folder: std::env::temp_dir().join(format!("plenum-outage-{}", std::process::id())) };
        broker.call(&["up", "kafka"]);
        broker
    }

    fn call(&self, arguments: &[&str]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../services/services");
        let mut command = Command::new("bash");
        command.arg(script).args(arguments).args(["--free-ports", "--dir"]).arg(&self.folder).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn address(&self) -> String {
        let variables = self.call(&["env"]);
        let line = variables.lines().find_map(|line| line.strip_prefix("export PLENUM_TEST_KAFKA="));
        line.expect("the script tells where Kafka is").to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.call(&["wipe", "kafka"]);
        let _ = std::fs::remove_dir_all(&self.folder); // what stays is only in the way
    }
}

#[test]
fn a_job_waits_for_a_broker_that_died_and_goes_on_without_loss() {
    let broker = Broker::start();
    let messages = simulate(5, 600, disturbed());
    let stage = Stage::at(&broker.address(), "outage", 5);
    stage.send(&messages);
    let recorded = report(stage.command("file.db", &["--source", &stage.record(&messages), "--json"]));
    // One worker and a store that is written to: fetched ahead is far less than all.
    let flags = ["--until-idle", "1s", "--checkpoint-interval", "100ms", "--anomaly-topic", "outage-told"];
    let mut child = stage.on_topic("live.db", &flags).spawn().unwrap();
    let began = Instant::now();
    while !stage.folder.join("live.db").exists() {
        assert!(began.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(400));
    broker.call(&["kill", "-9", "kafka"]);
    // Longer than it takes to be idle and to end: what can't be asked is not at its end.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!(child.try_wait().unwrap(), None, "the job took an outage for the end of the topic");
    broker.call(&["up", "kafka"]);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("kafka answers again"), "the outage came too late to be noticed: {}", said(&output));
    let live: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((received(&live), &live["records"]), (messages.len() as u64, &recorded["records"]));
    assert!(stage.dump("file.db") == stage.dump("live.db"), "the dumps differ after the outage");
}
