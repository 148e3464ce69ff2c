//! The store, the program around the server, and a client that can also misbehave.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use connectors::{SqliteStore, Store};
use dashboard::wire::{Accepted, Announce, As, Became, JobView, MaintenanceWindow, Readiness, Similar};
use dashboard::{Board, Options, Program, Refusal, Server, Word};
use model::tables::TableId;
use model::time::date_of;
use model::{Row, StoredIncident, Value, Version};
use serde_json::{Value as Json, json};

pub const MINUTE_MS: i64 = 60_000;
/// 2026-03-02T00:00:00Z
pub const DAY_MS: i64 = 1_772_409_600_000;
/// A name that would do harm in a page.
pub const HOSTILE: &str = "<img src=x onerror=alert(1)>/../%2e%2e?a=b&c#d\"'\u{202e}é";

/// A program that knows nothing but its store: no job, no controls.
struct Alone;

fn alone<T>() -> Result<T, Refusal> {
    Err(Refusal::Conflict("there is no job here".to_owned()))
}

impl Program for Alone {
    fn window_ms(&self, _: &mut dyn Store) -> anyhow::Result<i64> {
        Ok(MINUTE_MS)
    }
    fn words(&self, _: &mut dyn Store) -> anyhow::Result<Vec<Word>> {
        Ok(Vec::new())
    }
    fn became(&self, _: &[StoredIncident], _: i64, _: bool) -> Became {
        Became { text: "nobody knows".to_owned(), incident_id: None }
    }
    fn explain(&self, _: &mut dyn Store, device: &str, at_ms: i64) -> Result<Json, Refusal> {
        Err(Refusal::Unknown(format!("{device} at {at_ms}")))
    }
    fn similar(&self, _: &mut dyn Store, device: &str, at_ms: i64, _: usize) -> Result<Similar, Refusal> {
        Err(Refusal::Unknown(format!("{device} at {at_ms}")))
    }
    fn resolve(&self, _: &mut dyn Store, _: &str, _: As, _: &str) -> Result<Accepted, Refusal> {
        alone()
    }
    fn maintenance(&self, _: &mut dyn Store) -> anyhow::Result<Vec<MaintenanceWindow>> {
        Ok(Vec::new())
    }
    fn announce(&self, _: &mut dyn Store, _: &Announce) -> Result<Accepted, Refusal> {
        alone()
    }
    fn send_again(&self, _: &[Vec<u8>]) -> Result<u64, Refusal> {
        alone()
    }
    fn job(&self, _: &mut dyn Store) -> anyhow::Result<JobView> {
        Ok(JobView::default())
    }
    fn readiness(&self) -> Readiness {
        Readiness { ready: true, why: String::new() }
    }
    fn source(&self) -> String {
        String::new()
    }
    fn config_text(&self) -> String {
        "window = \"60s\"\n".to_owned()
    }
    fn metrics_text(&self) -> String {
        "plenum_ready 1\n".to_owned()
    }
}

fn row(table: TableId, version: Version, known: &[(&str, Value)]) -> Row {
    let value = |name: &str| known.iter().find(|(known, _)| *known == name).map_or(Value::Null, |(_, v)| v.clone());
    Row { table, version, values: table.table().columns.iter().map(|column| value(column.name)).collect() }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A device's totals.
pub fn totals(device: &str, minute: i64) -> Row {
    let last_ms = DAY_MS + minute * MINUTE_MS + 30_000;
    let known = [
        ("device_id", text(device)),
        ("total_snapshots", Value::Int(minute + 1)),
        ("anomaly_count", Value::Int(0)),
        ("records_windowed", Value::Int(10 * minute)),
        ("records_duplicate", Value::Int(0)),
        ("incidents", Value::Int(1)),
        ("last_seen", Value::Int(last_ms)),
    ];
    row(TableId::DeviceStatistics, Version::window(DAY_MS + minute * MINUTE_MS), &known)
}

/// A device's state in a minute of the day.
pub fn state(device: &str, building: &str, minute: i64, score: f64) -> Row {
    let start_ms = DAY_MS + minute * MINUTE_MS;
    let map = |value: f64| {
        let names = ["a_metric", "fan_speed", "power", "q", "r", "supply_air_temp", "z"];
        Value::Map(BTreeMap::from(names.map(|name| (name.to_owned(), value))))
    };
    let verdicts = r#"[{"method":"rules","score":0.0,"severity":null,"warm_up":1.0,"findings":[]},
        {"method":"statistics","score":0.5,"severity":"info","warm_up":0.25,"findings":[{"kind":"residual","metric":"z",
        "observed":1.0,"expected":0.5,"score":9.0,"limit":6.0,"unit":"","text":"far"}]}]"#;
    let known = [
        ("device_id", text(device)),
        ("date", Value::Text(date_of(start_ms))),
        ("snapshot_time", Value::Int(start_ms)),
        ("device_type", text("rooftop_unit")),
        ("building_id", text(building)),
        ("location", text("roof")),
        ("metrics", map(score)),
        ("metrics_last", map(score)),
        ("metrics_min", map(score)),
        ("metrics_max", map(score)),
        ("metrics_count", map(2.0)),
        ("metrics_expected", Value::Map(BTreeMap::from([("power".to_owned(), score + 1.0)]))),
        ("metrics_band", Value::Map(BTreeMap::from([("power".to_owned(), 3.0)]))),
        ("anomaly_score", Value::Double(score)),
        ("is_anomalous", Value::Bool(false)),
        ("readings", Value::Int(14)),
        ("verdicts", text(verdicts)),
    ];
    row(TableId::DeviceStateSnapshots, Version::window(start_ms), &known)
}

/// An incident of a device, by the version of its row.
pub fn incident(device: &str, kind: &str, severity: &str, start: i64, open: bool, version: i64) -> Row {
    let start_ms = DAY_MS + start * MINUTE_MS;
    let incident = model::Incident {
        kind: kind.to_owned(),
        start_ms,
        end_ms: start_ms + 5 * MINUTE_MS,
        detected_ms: start_ms + 3 * MINUTE_MS,
        status: model::IncidentStatus::Open,
        transition: 1,
        severity: model::Severity::Info,
        peak_score: 0.9,
        peak_ms: start_ms + MINUTE_MS,
        methods: Vec::new(),
        contributions: Vec::new(),
        summary: String::new(),
        similar: Vec::new(),
    };
    let contributions =
        json!([{"metric": "power", "share": 1.0, "observed": 9.0, "expected": 5.0, "unit": "kW", "kind": "range"}]);
    let known = [
        ("device_id", text(device)),
        ("date", Value::Text(date_of(start_ms))),
        ("anomaly_id", Value::Uuid(incident.id(device).into_bytes())),
        ("device_type", text("rooftop_unit")),
        ("building_id", text("b1")),
        ("detected_at", Value::Int(incident.detected_ms)),
        ("snapshot_time", Value::Int(incident.peak_ms)),
        ("anomaly_score", Value::Double(0.9)),
        ("anomaly_type", text(kind)),
        ("resolution_status", text("open")),
        ("detection_details", text("power 9 kW, expected 5")),
        ("severity", text(severity)),
        ("status", text(if open { "open" } else { "closed" })),
        ("started_at", Value::Int(start_ms)),
        ("ended_at", Value::Int(incident.end_ms)),
        ("transition", Value::Int(1)),
        ("contributions", Value::Text(contributions.to_string())),
        ("path1_rules_triggered", Value::Bool(true)),
    ];
    row(TableId::AnomalyEvents, Version::window(DAY_MS + version * MINUTE_MS), &known)
}

/// A message that could not be used.
fn letter(offset: i64, bytes: &[u8]) -> Row {
    let known = [
        ("topic", text("iot-metrics")),
        ("partition", Value::Int(0)),
        ("offset", Value::Int(offset)),
        ("reason", text("not_json")),
        ("detail", text("expected value")),
        ("bytes", Value::Blob(bytes.to_vec())),
        ("broker_time", Value::Int(DAY_MS)),
    ];
    row(TableId::DeadLetters, Version::window(DAY_MS), &known)
}

/// A served store.
pub struct Stage {
    pub server: Server,
    pub board: Arc<Board>,
    pub store: SqliteStore,
    pub path: PathBuf,
}

impl Stage {
    /// Four devices: one critical, one silent, one at rest, one with a name that does harm.
    pub fn set(live: bool) -> Stage {
        Self::with(live, "127.0.0.1:0", None)
    }

    pub fn with(live: bool, address: &str, token: Option<&str>) -> Stage {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("stage-{}-{}.db", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_file(&path);
        let mut store = SqliteStore::open(&path).unwrap();
        let mut rows = Vec::new();
        for (device, building, score) in [("A", "b1", 0.1), ("B", "b1", 0.9), ("C", "b2", 0.2), (HOSTILE, "b2", 0.3)] {
            rows.extend((0..10).map(|minute| state(device, building, minute, score)));
            rows.push(totals(device, 9));
        }
        rows.push(incident("A", "anomaly", "critical", 2, true, 9));
        rows.push(incident("A", "anomaly", "info", 0, false, 8));
        rows.push(incident("C", "silent", "info", 3, true, 9));
        rows.push(incident(HOSTILE, "missing:power", "warning", 1, false, 7));
        rows.extend((0..3).map(|offset| letter(offset, b"\xff<script>")));
        store.write(&rows).unwrap();
        let board = Board::new();
        let server = dashboard::start(Options {
            address: address.parse().unwrap(),
            token: token.map(str::to_owned),
            store_url: format!("sqlite:{}", path.display()),
            live,
            board: Arc::clone(&board),
            program: Arc::new(Alone),
        })
        .unwrap();
        let stage = Stage { server, board, store, path };
        stage.wait(|| stage.get("/readyz").0 == 200);
        stage
    }

    pub fn wait(&self, mut is_so: impl FnMut() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(30), "it never became so");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// An open connection that has sent a request; `Host` is added where it has none.
    pub fn open(&self, head: &str, body: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.server.address().port())).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let lower = head.to_lowercase();
        let mut all = head.to_owned();
        if !lower.contains("\r\nhost:") {
            all += &format!("\r\nHost: localhost:{}", self.server.address().port());
        }
        if !body.is_empty() && !lower.contains("\r\ncontent-length:") {
            all += &format!("\r\nContent-Length: {}", body.len());
        }
        stream.write_all(all.as_bytes()).unwrap();
        stream.write_all(b"\r\nConnection: close\r\n\r\n").unwrap();
        // A server that has refused already may have closed its side.
        let _ = stream.write_all(body);
        stream
    }

    /// Status, head and body.
    pub fn send(&self, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = self.open(head, body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer); // a reset behind the answer is as good as its end
        let split = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(answer[..split].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head, answer[split + 4..].to_vec())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        let (status, _, body) = self.send(&format!("GET {path} HTTP/1.1"), b"");
        (status, String::from_utf8(body).unwrap())
    }

    pub fn json(&self, path: &str) -> Json {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// What a wrong request is told.
    pub fn problem(&self, path: &str, expected: u16) -> String {
        let (status, head, body) = self.send(&format!("GET {path} HTTP/1.1"), b"");
        assert_eq!(status, expected, "{path}");
        assert!(head.contains("content-type: application/problem+json"), "{path}: {head}");
        let problem: Json = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], expected);
        assert_eq!(problem["type"], "about:blank");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A name in a path.
pub fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// The ids of the devices of an answer.
pub fn ids(fleet: &Json) -> Vec<&str> {
    fleet["devices"].as_array().unwrap().iter().map(|device| device["device_id"].as_str().unwrap()).collect()
}
