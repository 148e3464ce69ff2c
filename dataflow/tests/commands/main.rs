//! The commands as people call them: one small fleet is run once, then each command reads its store.

mod alerts;
mod backtest;
mod compose;
mod doctor;
mod evaluating;
mod making;
mod people;
mod reading;
mod receiver;
mod redo;
mod reminders;
mod serving;
mod settings;
mod store;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use connectors::{Embedder, FileSource, Projection, SqliteStore, Store as _};
use dataflow::config::Config;
use dataflow::job::JobConfig;
use dataflow::progress::Progress;
use dataflow::whole::{job_of, run_whole};
use expect_test::{Expect, expect};
use model::Value;
use model::tables::TableId;
use serde_json::Value as Json;

/// A folder with `day.jsonl.zst`, its labels and `day.db`, made once for all tests.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("commands");
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        fs::create_dir_all(&folder).unwrap();
        let simulated = call(
            &folder,
            "simulate --to day.jsonl.zst --duration 14h --period 60s --devices RTU-001:rooftop_unit CH-001:chiller \
             --fault RTU-001/fan_failure/severe/9h/90min --fault CH-001/silent_device/severe/11h/30min \
             --malformed 0.001 --late 0.001 --duplicates 0.001 --fast-clock CH-001:5s",
        );
        expect![[r#"
            exit 0
            day.jsonl.zst: 2 devices every 1min, 2026-03-02 00:00 to 2026-03-02 14:00, 3 partitions, seed 1
                23,939  messages written
                24,360  readings taken
                    29  written a second time
                    29  beyond the lateness
                    19  not usable
                   450  not sent because of a fault
                     2  faults, labelled in day.labels.jsonl
        "#]]
        .assert_eq(&simulated);
        run_job(&folder, "day");
        folder
    })
}

/// Runs the job over `NAME.jsonl.zst`, into `NAME.db`.
fn run_job(folder: &Path, name: &str) {
    let recording = folder.join(format!("{name}.jsonl.zst"));
    run_job_with(&Config::default(), &recording, &folder.join(format!("{name}.db")));
}

/// Runs a configuration's job over a recording, into an SQLite file.
fn run_job_with(config: &Config, recording: &Path, store: &Path) {
    let source = Arc::new(FileSource::open(recording).unwrap());
    let embedder: fn() -> Box<dyn Embedder> = || Box::new(Projection::new());
    let job = JobConfig { embedder: Some(embedder), ..job_of(config, source) };
    let store = Box::new(SqliteStore::open(store).unwrap());
    run_whole(&job, 2, store, &Arc::new(Progress::default())).unwrap();
}

/// The program as a shell would call it; arguments are separated by blanks.
fn output(folder: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dataflow"))
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Exit code, stdout and stderr as one text.
fn call(folder: &Path, arguments: &str) -> String {
    let output = output(folder, arguments);
    let code = output.status.code().map_or("none".to_owned(), |code| code.to_string());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    format!("exit {code}\n{}{}", text(output.stdout), text(output.stderr))
}

fn check(arguments: &str, expected: Expect) {
    expected.assert_eq(&call(folder(), arguments));
}

/// What a command prints with `--json`, which must leave nothing on stderr.
fn json(arguments: &str) -> Json {
    let output = output(folder(), arguments);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

const STORE: &str = "--store sqlite:day.db";
