//! `dashboard` and `run --http`: the program serves what the store and the job hold.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use super::*;

/// A served program; killed when the test ends.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    /// Starts the program and waits until it says where it serves.
    fn start(folder: &Path, arguments: &str) -> Served {
        let mut child = Command::new(env!("CARGO_BIN_EXE_dataflow"))
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let address = loop {
            let Some(line) = lines.next() else { panic!("it ended: {said:?}") };
            let line = line.unwrap();
            if let Some((_, behind)) = line.split_once("http://") {
                break behind.split([' ', '"', '\x1b']).next().unwrap().to_owned();
            }
            said.push(line);
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let served = Served { child, address };
        served.wait(|| served.get("/readyz").0 == 200);
        served
    }

    fn wait(&self, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "it never became so");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Status and body.
    fn send(&self, head: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let host = if head.to_lowercase().contains("\r\nhost:") {
            String::new()
        } else {
            format!("\r\nHost: {}", self.address)
        };
        let length = if body.is_empty() { String::new() } else { format!("\r\nContent-Length: {}", body.len()) };
        write!(stream, "{head}{host}\r\nConnection: close{length}\r\n\r\n{body}").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.send(&format!("GET {path} HTTP/1.1"), "")
    }

    fn json(&self, path: &str) -> Json {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    fn post(&self, path: &str, body: &Json) -> (u16, Json) {
        let head = format!("POST {path} HTTP/1.1\r\nContent-Type: application/json");
        let (status, body) = self.send(&head, &body.to_string());
        (status, serde_json::from_str(&body).unwrap())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A copy of the day's store, for a test that writes into it.
fn copy_of_day(name: &str) {
    let folder = folder();
    fs::copy(folder.join("day.db"), folder.join(name)).unwrap();
}

#[test]
fn a_store_is_served_as_the_commands_tell_it() {
    let served = Served::start(folder(), &format!("dashboard {STORE} --http 127.0.0.1:0"));
    let fleet = served.json("/api/v1/fleet");
    let told = json(&format!("profiles {STORE} --json"));
    assert_eq!(fleet["total"], 2);
    assert_eq!(fleet["live"], false);
    // Its newest time is not meant to be the present, which the store's manifest tells.
    assert_eq!((&fleet["recording"], &fleet["stale_after_ms"]), (&true.into(), &210_000.into()));
    for device in told.as_array().unwrap() {
        let id = device["device_id"].as_str().unwrap();
        let shown = served.json(&format!("/api/v1/devices/{id}"));
        assert_eq!(shown["totals"]["states"], device["states"]);
        assert_eq!(shown["totals"]["readings"], device["readings"]);
        assert_eq!(shown["totals"]["incidents"], device["incidents"]);
        assert_eq!(shown["profile"]["normal_states"], device["normal_states"]);
        let metrics = shown["metrics"].as_array().unwrap();
        assert_eq!(shown["metric_count"], metrics.len());
        let banded = metrics.iter().filter(|metric| metric["low"].is_number()).count();
        assert!(banded > 2, "{shown}");
        for metric in metrics.iter().filter(|metric| metric["low"].is_number()) {
            assert!(metric["low"].as_f64() <= metric["high"].as_f64(), "{metric}");
        }
    }
    // The same incidents, with the same words.
    let incidents = served.json("/api/v1/incidents");
    let told = json(&format!("incidents {STORE} --json"));
    let ids = |list: &Json| {
        let mut ids: Vec<String> =
            list.as_array().unwrap().iter().map(|one| format!("{} {}", one["id"], one["summary"])).collect();
        ids.sort();
        ids
    };
    assert_eq!(ids(&incidents["incidents"]), ids(&told));
    assert_eq!(incidents["total"], told.as_array().unwrap().len());
    let fan = incidents["incidents"].as_array().unwrap().iter().find(|one| one["device_id"] == "RTU-001").unwrap();
    let whole = served.json(&format!("/api/v1/incidents/{}", fan["id"].as_str().unwrap()));
    let contributions = whole["contributions"].as_array().unwrap();
    assert!(
        contributions.iter().any(|part| part["metric"] == "supply_air_flow" || part["metric"] == "fan_speed"),
        "{whole}"
    );
    let timeline = whole["timeline"].as_array().unwrap();
    assert!(timeline.windows(2).all(|two| two[0]["at_ms"].as_i64() <= two[1]["at_ms"].as_i64()), "{whole}");
    for what in ["it started", "it was detected", "it was closed"] {
        assert!(timeline.iter().any(|moment| moment["what"] == what), "{what}: {whole}");
    }
    // A state and the words for it.
    let peak_ms = fan["peak_at_ms"].as_i64().unwrap();
    let explained = served.json(&format!("/api/v1/devices/RTU-001/explain?at_ms={peak_ms}"));
    let at = model::time::format_ms(peak_ms);
    assert_eq!(explained, json(&format!("explain {STORE} --device RTU-001 --at {at} --json")));
    let similar = served.json(&format!("/api/v1/devices/RTU-001/similar?at_ms={peak_ms}&limit=5"));
    assert!(!similar["states"].as_array().unwrap().is_empty(), "{similar}");
    for state in similar["states"].as_array().unwrap() {
        assert!(state["at_ms"].as_i64().unwrap() < peak_ms && state["metrics"]["fan_speed"].is_number(), "{state}");
        assert!(!state["became"]["text"].as_str().unwrap().is_empty());
    }
    let letters = served.json("/api/v1/dead-letters?limit=5");
    let told = json(&format!("dead-letters {STORE} --json --limit 1000"));
    assert_eq!(letters["total"], told.as_array().unwrap().len());
    assert_eq!(letters["letters"].as_array().unwrap().len(), 5);
    let late = served.json("/api/v1/late");
    assert!(late["devices"][0]["late"].as_u64().unwrap() > 0, "{late}");
    let pipeline = served.json("/api/v1/pipeline");
    assert_eq!(pipeline["job"], Json::Null);
    assert!(pipeline["partitions"].as_array().unwrap().len() >= 2, "{pipeline}");
    assert_eq!(pipeline["fates"]["received"], 23_939);
    assert!(served.get("/config").1.contains("\nwindow = \"1min\"\n"));
    assert!(served.get("/metrics").1.contains("plenum_build_info{version="));
    let (status, openapi) = served.get("/api/v1/openapi.json");
    assert!(status == 200 && openapi.contains("/api/v1/devices/{id}/series"));
}

/// A series is what the states hold, whatever its steps.
#[test]
fn a_series_has_the_states_of_the_store() {
    let served = Served::start(folder(), &format!("dashboard {STORE} --http 127.0.0.1:0"));
    let from_ms = 1_772_409_600_000_i64; // 2026-03-02T00:00:00Z
    let to_ms = from_ms + 14 * 3_600_000;
    let span = format!("from_ms={from_ms}&to_ms={to_ms}&metric=fan_speed&metric=nothing");
    let minutes = served.json(&format!("/api/v1/devices/RTU-001/series?{span}&points=10000"));
    assert_eq!((minutes["step_ms"].as_i64(), minutes["window_ms"].as_i64()), (Some(60_000), Some(60_000)));
    let times = minutes["times_ms"].as_array().unwrap();
    assert_eq!(times.len(), 14 * 60);
    let mut store = SqliteStore::open(folder().join("day.db")).unwrap();
    let mut means: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    let prefix = [Value::Text("RTU-001".to_owned()), Value::Text("2026-03-02".to_owned())];
    store
        .scan(TableId::DeviceStateSnapshots, &prefix, &mut |row| {
            let map = |column| match row.value(column) {
                Value::Map(map) => map.get("fan_speed").copied(),
                _ => None,
            };
            if let (Some(mean), Some(count)) = (map("metrics"), map("metrics_count")) {
                means.insert(row.value("snapshot_time").as_int().unwrap(), (mean, count));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    let fan = &minutes["metrics"][0];
    assert_eq!((fan["name"].as_str(), fan["unit"].as_str()), (Some("fan_speed"), Some("RPM")));
    for (at, time) in times.iter().enumerate() {
        let mean = means.get(&time.as_i64().unwrap()).map(|(mean, _)| *mean);
        assert_eq!(fan["mean"][at].as_f64(), mean, "{time}");
        assert_eq!(minutes["methods"]["consensus"][at].is_number(), mean.is_some());
        assert!(minutes["metrics"][1]["mean"][at].is_null());
    }
    let hours = served.json(&format!("/api/v1/devices/RTU-001/series?{span}&points=14"));
    assert_eq!(hours["step_ms"], 3_600_000);
    for at in 0..14_i64 {
        let hour = means.range(from_ms + at * 3_600_000..from_ms + (at + 1) * 3_600_000);
        let (sum, count) = hour.fold((0.0, 0.0), |(sum, all), (_, (mean, count))| (sum + mean * count, all + count));
        let shown = hours["metrics"][0]["mean"][usize::try_from(at).unwrap()].as_f64().unwrap();
        assert!((shown - sum / count).abs() < 1e-9, "{shown} {}", sum / count);
    }
    let severe = hours["severity"].as_array().unwrap().iter().filter(|one| !one.is_null()).count();
    assert!(severe >= 2, "{hours}");
    assert!(!hours["incidents"].as_array().unwrap().is_empty());
}

#[test]
fn what_people_say_over_http_is_what_the_commands_hear() {
    copy_of_day("said.db");
    let served = Served::start(folder(), "dashboard --store sqlite:said.db --http 127.0.0.1:0");
    let id = served.json("/api/v1/incidents")["incidents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/incidents/{id}/resolution");
    let said = serde_json::json!({"as": "false-positive", "note": "a <b>test</b>"});
    let (status, accepted) = served.post(&path, &said);
    assert_eq!(status, 202, "{accepted}");
    let shown = served.json(&format!("/api/v1/incidents/{id}"));
    assert_eq!((shown["resolution"].as_str(), shown["note"].as_str()), (Some("false_positive"), Some("a <b>test</b>")));
    let told = json("incidents --store sqlite:said.db --json");
    let told = told.as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap().clone();
    assert_eq!((told["resolution"].as_str(), told["note"].as_str()), (Some("false_positive"), Some("a <b>test</b>")));
    // Work that lies behind all windows changes nothing, work to come is announced.
    let past = serde_json::json!({"device_id": "RTU-001", "from_ms": 0, "to_ms": 60_000, "note": ""});
    let (status, problem) = served.post("/api/v1/maintenance", &past);
    assert_eq!(status, 409, "{problem}");
    let from_ms = served.json("/api/v1/fleet")["as_of_ms"].as_i64().unwrap() + 3_600_000;
    let work = serde_json::json!({"device_id": "RTU-001", "from_ms": from_ms, "to_ms": from_ms + 60_000, "note": "x"});
    assert_eq!(served.post("/api/v1/maintenance", &work).0, 202);
    let windows = served.json("/api/v1/maintenance");
    assert_eq!(windows["windows"][0]["from_ms"], from_ms);
    let told = json("maintenance list --store sqlite:said.db --json");
    assert_eq!(told[0]["id"], windows["windows"][0]["id"]);
    // Nothing can be sent where the source is no topic.
    let letter = served.json("/api/v1/dead-letters?limit=1")["letters"][0].clone();
    let key =
        serde_json::json!({"topic": letter["topic"], "partition": letter["partition"], "offset": letter["offset"]});
    let (status, problem) = served.post("/api/v1/dead-letters/replay", &serde_json::json!({"letters": [key]}));
    assert_eq!(status, 409, "{problem}");
}

/// How many states the day has.
fn pipeline_states() -> f64 {
    let devices = json(&format!("profiles {STORE} --json"));
    devices.as_array().unwrap().iter().map(|device| device["states"].as_f64().unwrap()).sum()
}

#[test]
fn a_finished_replay_is_served_until_it_is_stopped() {
    let source = "run --source file:day.jsonl.zst --store sqlite:served.db --fresh --yes -w 2";
    let served = Served::start(folder(), &format!("{source} --http 127.0.0.1:0"));
    served.wait(|| served.json("/api/v1/pipeline")["job"]["state"] == "finished");
    let pipeline = served.json("/api/v1/pipeline");
    assert_eq!(pipeline["fates"]["received"], 23_939, "{pipeline}");
    assert_eq!((pipeline["live"].as_bool(), pipeline["rows"]["under_way"].as_u64()), (Some(true), Some(0)));
    // Each record and each incident is counted once, and the store was asked.
    let figures = served.get("/metrics").1;
    let sum = |name: &str| -> f64 {
        let lines = figures.lines().filter(|line| line.split(['{', ' ']).next() == Some(name));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(sum("plenum_records_total"), 23_939.0, "{figures}");
    assert_eq!(sum("plenum_states_total"), pipeline_states(), "{figures}");
    assert_eq!((sum("plenum_incidents_opened_total"), sum("plenum_open_incidents")), (2.0, 0.0), "{figures}");
    assert!(sum("plenum_rows_written_total") > 23_000.0 && sum("plenum_checkpoints_total") >= 1.0, "{figures}");
    assert!(sum("plenum_process_cpu_seconds_total") > 0.0 && sum("plenum_process_resident_memory_bytes") > 1e6);
    assert!(
        figures.contains("plenum_service_request_duration_seconds_bucket{service=\"store\",le=\"+Inf\"}"),
        "{figures}"
    );
    // What the job fed the board with is what the store holds.
    let alone = Served::start(folder(), &format!("dashboard {STORE} --http 127.0.0.1:0"));
    for path in ["/api/v1/fleet", "/api/v1/devices/RTU-001", "/api/v1/devices/CH-001", "/api/v1/incidents"] {
        let (mut one, mut other) = (served.json(path), alone.json(path));
        for shown in [&mut one, &mut other] {
            shown.as_object_mut().unwrap().remove("live");
        }
        assert_eq!(one, other, "{path}");
    }
}

#[test]
fn addresses_that_are_none_or_taken_are_said() {
    check(
        &format!("dashboard {STORE} --http nowhere"),
        expect![[r#"
            exit 2
            error: setting "http": address "nowhere" is none; write it HOST:PORT, such as 127.0.0.1:8050
        "#]],
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let said = call(folder(), &format!("dashboard {STORE} --http {}", taken.local_addr().unwrap()));
    assert!(said.starts_with("exit 1\nerror: could not listen on 127.0.0.1:"), "{said}");
    assert!(said.contains("is another server there?"), "{said}");
    let said = call(folder(), "run --source file:day.jsonl.zst --store null --http 127.0.0.1:0");
    assert!(said.starts_with("exit 2") && said.contains("setting \"http\" needs a store"), "{said}");
    let said = call(folder(), "dashboard --store sqlite:nowhere.db --http 127.0.0.1:0");
    assert!(said.starts_with("exit 2") && said.contains("does not exist"), "{said}");
    let help = call(folder(), "dashboard --help");
    assert!(help.contains("dataflow dashboard --store sqlite:day.db") && help.contains("--http <HOST:PORT>"), "{help}");
}
