//! The job on a CQL store: the same bytes as in SQLite, however often it is killed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connectors::CqlStore;
use scenarios::simulator::SimulatedMessage;

use crate::services::address;
use crate::stage::{LIMIT, disturbed, said, simulate};

/// A keyspace and a folder of this test's own.
struct Stage {
    store: String,
    folder: PathBuf,
}

impl Stage {
    fn new(options: &str) -> Stage {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let name = format!("job_{since}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        Stage { store: format!("cassandra://{}/{name}{options}", address("PLENUM_TEST_CASSANDRA")), folder }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        command.current_dir(&self.folder).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn output(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        output.stdout
    }

    /// As a recording `a.jsonl` of topic `a`.
    fn record(&self, messages: &[SimulatedMessage]) {
        let mut lines = Vec::new();
        for SimulatedMessage { partition, offset, broker_ms, bytes, .. } in messages {
            model::recording::write_message(&mut lines, *partition, *offset, *broker_ms, bytes.as_deref());
        }
        std::fs::write(self.folder.join("a.jsonl"), lines).unwrap();
    }

    /// A second job is told who has the store, while the first one lives.
    fn assert_held(&self, job: &mut Child) {
        let held = format!("is held by process {} on host", job.id());
        let began = Instant::now();
        loop {
            assert!(job.try_wait().unwrap().is_none() && began.elapsed() < LIMIT, "the job did not take the store");
            let doctor = self.command(&["doctor", "--json", "--store", &self.store]).output().unwrap();
            if said(&doctor).contains(&job.id().to_string()) {
                break;
            }
        }
        let second = self.command(&["--store", &self.store, "--json"]).output().unwrap();
        assert!(!second.status.success() && said(&second).contains(&held), "{}", said(&second));
    }

    /// Compares what both stores hold; the first line that differs says more than all of them.
    fn assert_same(&self, what: &str) {
        let [here, there] = ["sqlite:a.db", &self.store].map(|store| self.output(&["store", "dump", "--store", store]));
        let lines = here.split(|byte| *byte == b'\n').zip(there.split(|byte| *byte == b'\n'));
        for (here, there) in lines {
            let [here, there] = [here, there].map(String::from_utf8_lossy);
            assert_eq!(here, there, "{what}");
        }
        assert!(here == there && here.len() > 1_000, "{what}: {} and {} bytes", here.len(), there.len());
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = CqlStore::drop_schema(&self.store) {
            // The keyspace stays; a second panic would hide the first.
            eprintln!("{error}");
        }
        let _ = std::fs::remove_dir_all(&self.folder); // what stays is only in the way
    }
}

#[test]
fn scenarios_leave_the_same_tables_as_in_sqlite() {
    let stage = Stage::new("?vector_index=none");
    for name in ["poison", "duplicates", "late", "negative-time", "far-times", "huge-values"] {
        let source = format!("scenario:{name}");
        for store in ["sqlite:a.db", &stage.store] {
            stage.output(&["-w", "2", "--source", &source, "--store", store, "--fresh", "--yes", "--json"]);
        }
        stage.assert_same(name);
    }
}

/// A backtest reads a slice by the range of its partitions.
#[test]
fn a_slice_gives_the_same_backtest_as_of_sqlite() {
    let stage = Stage::new("?vector_index=none");
    let of_slice = |store: &str| -> serde_json::Value {
        stage.output(&["--source", "scenario:fault-rtu-dirty-filter", "--store", store, "--json"]);
        let setting = "detectors.confirm_windows=4";
        let slice = ["backtest", "--store", store, "--from", "2026-03-02", "--set", setting, "--json"];
        serde_json::from_slice(&stage.output(&slice)).unwrap()
    };
    let [here, there] = ["sqlite:a.db", &stage.store].map(of_slice);
    assert_eq!(here["incidents"].as_array().map(Vec::len), Some(1), "{here:#}");
    for part in ["slice", "before", "after", "counts", "incidents"] {
        assert_eq!(here[part], there[part], "{part}");
    }
}

#[test]
fn a_job_that_is_killed_again_and_again_leaves_the_same_tables() {
    let stage = Stage::new("?vector_index=none");
    stage.output(&["--store", "sqlite:a.db", "--json"]);
    stage.output(&["store", "schema", "create", "--store", &stage.store]);
    let mut killed = 0;
    let report = loop {
        let workers = (killed % 3 + 1).to_string();
        let arguments = ["-w", &workers, "--store", &stage.store, "--checkpoint-interval", "100ms", "--json"];
        let mut job = stage.command(&arguments).spawn().unwrap();
        if killed == 1 {
            stage.assert_held(&mut job);
        }
        std::thread::sleep(Duration::from_millis(1_000 + killed * 150));
        if killed == 6 || job.try_wait().unwrap().is_some() {
            let output = job.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
            break serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap();
        }
        job.kill().unwrap();
        job.wait().unwrap();
        killed += 1;
    };
    assert!(killed > 2, "the job was over before it was killed {killed} times");
    assert!(report["resume_window"].is_string() && report["rows_refused"] == 0, "{report:#}");
    stage.assert_same("after kills");
    // A dead job's lease is in nobody's way.
    let verified = stage.output(&["store", "verify", "--store", &stage.store]);
    assert!(String::from_utf8_lossy(&verified).contains("Problems  none"));
}

/// The row of a dead letter that is larger than a mutation may be.
#[test]
fn a_row_that_the_servers_refuse_is_kept_with_the_reason_and_the_job_goes_on() {
    let stage = Stage::new("?vector_index=none");
    let mut messages = simulate(2, 5, disturbed());
    // A line of a recording may be no longer.
    messages[40].bytes = Some(vec![b'x'; (16 << 20) - 80]);
    stage.record(&messages);
    let run = |store: &str| -> serde_json::Value {
        let output = stage.output(&["-w", "2", "--source", "file:a.jsonl", "--store", store, "--json"]);
        serde_json::from_slice(&output).unwrap()
    };
    let (there, here) = (run(&stage.store), run("sqlite:a.db"));
    assert_eq!((&there["rows_refused"], &here["rows_refused"]), (&1.into(), &0.into()));
    assert_eq!(there["records"], here["records"], "to be refused is no fate");
    let list = ["dead-letters", "--store", &stage.store, "--reason", "row_refused", "--json"];
    let letters: serde_json::Value = serde_json::from_slice(&stage.output(&list)).unwrap();
    let [letter] = letters.as_array().unwrap().as_slice() else { panic!("{letters:#}") };
    assert_eq!(letter["topic"], "store:dead_letters");
    let detail = letter["detail"].as_str().unwrap();
    assert!(detail.starts_with("topic = \"a\"") && detail.contains("oversized mutation"), "{detail}");
    // But for that row and its dead letter, all is the same.
    let lines = |store: &str| -> Vec<String> {
        let dump = String::from_utf8(stage.output(&["store", "dump", "--store", store])).unwrap();
        let keep = |line: &&str| !line.contains("row_refused") && line.len() < 1 << 20;
        dump.lines().filter(keep).map(str::to_owned).collect()
    };
    assert_eq!(lines(&stage.store), lines("sqlite:a.db"));
    assert_eq!(run(&stage.store)["rows_refused"], 1, "what the store holds is told again");
}
