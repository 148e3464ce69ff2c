//! States that get the vectors of their texts from Ollama.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::services::address;

struct Stage {
    folder: PathBuf,
    embedder: String,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder); // what stays is only in the way
    }
}

impl Stage {
    fn new() -> Stage {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("ollama-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Stage { folder, embedder: format!("ollama://{}/all-minilm:l6-v2", address("PLENUM_TEST_OLLAMA")) }
    }

    /// What the program prints.
    fn output(&self, arguments: &[&str]) -> Vec<u8> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dataflow"));
        let output = command.current_dir(&self.folder).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_slice(&self.output(arguments)).unwrap()
    }

    /// Readings of three devices, one a second, the newest at this time.
    fn recording(&self, newest_ms: i64, seconds: i64) {
        let mut lines = String::new();
        for at in 0..seconds {
            for device in 0..3 {
                let value = 20.0 + (at / 20) as f64 + f64::from(device);
                let reading = json!({
                    "device_id": format!("RTU-{device}"), "device_type": "rooftop_unit", "metric_name": "supply_air_temp",
                    "timestamp": newest_ms - (seconds - 1 - at) * 1_000, "metric_value": value,
                });
                lines += &format!("{reading}\n");
            }
        }
        std::fs::write(self.folder.join("readings.jsonl"), lines).unwrap();
    }

    fn run(&self, store: &str, workers: &str, settings: &[&str]) -> Value {
        let store = format!("sqlite:{store}");
        let mut arguments =
            vec!["run", "--json", "--source", "file:readings.jsonl", "--window", "1s", "--store", &store];
        arguments.extend(["--embedder", &self.embedder, "-w", workers, "--set", "embedding.text=values"]);
        arguments.extend_from_slice(settings);
        self.json(&arguments)
    }

    fn dump(&self, store: &str) -> Vec<u8> {
        self.output(&["store", "dump", "--store", &format!("sqlite:{store}")])
    }
}

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// What a replay leaves pending is completed afterwards, and is then what a live job wrote at once.
#[test]
fn live_states_wait_for_their_vector_and_replayed_ones_get_it_later() {
    let stage = Stage::new();
    stage.recording(now_ms(), 60);
    let live = stage.run("live.db", "2", &["--set", "embedding.max_wait=60s"]);
    assert_eq!(live["rows"]["state_occurrences"], 180, "{live}");
    assert_eq!(live["embeddings"]["pending"], 0, "{live}");
    // Nobody has time to wait.
    let hasty = ["--set", "embedding.max_wait=0s", "--set", "embedding.end_wait=0s"];
    let hasty = stage.run("hasty.db", "3", &hasty);
    let pending = hasty["embeddings"]["pending"].as_u64().unwrap();
    assert!(pending > 100, "{hasty}");
    let backfill =
        ["store", "backfill-embeddings", "--store", "sqlite:hasty.db", "--json", "--embedder", &stage.embedder];
    let done = stage.json(&backfill);
    assert_eq!(done["methods"][0]["completed"], pending, "{done}");
    assert_eq!(done["methods"][0]["embedding_method"], "ollama/all-minilm:l6-v2/values-1", "{done}");
    assert_eq!(stage.json(&backfill)["methods"], json!([]), "nothing is left");
    assert!(stage.dump("hasty.db") == stage.dump("live.db"), "a state that was completed later is the same state");
    // At its end a job has some time after all.
    let at_end = ["--set", "embedding.max_wait=0s", "--set", "embedding.end_wait=2min"];
    let at_end = stage.run("end.db", "1", &at_end);
    assert_eq!(at_end["embeddings"]["pending"], 0, "{at_end}");
    assert!(stage.dump("end.db") == stage.dump("live.db"), "a state that was completed at the end is the same state");
}

/// A recording of another day is read at full speed, whatever the service does.
#[test]
fn a_replay_does_not_wait() {
    let stage = Stage::new();
    stage.recording(1_772_445_600_000, 600);
    let began = std::time::Instant::now();
    let replayed = stage.run("day.db", "1", &["--set", "embedding.end_wait=0s"]);
    assert!(began.elapsed().as_secs() < 60, "texts of 1,800 states would take minutes");
    assert_eq!(replayed["states"], 1_800, "{replayed}");
    let vectors = replayed["rows"]["state_occurrences"].as_u64().unwrap();
    assert_eq!(vectors + replayed["embeddings"]["pending"].as_u64().unwrap(), 1_800, "{replayed}");
}
