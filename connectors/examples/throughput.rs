//! Measures what this crate can do on this machine: rows a second into a store, messages a second out of a recording.
//!
//! `cargo run --release -p connectors --example throughput [-- ROWS [BATCH [DEVICES [STORE]]]]`
//!
//! Without a store's address rows go into an SQLite file, and recordings are measured, too. A named store is cleared first.

use std::path::Path;
use std::time::Instant;

use connectors::{Embedder, FileSource, Poll, Projection, Source, SqliteStore, Store};
use model::tables::TableId;
use model::{Row, Value, Version};

const METRICS: [&str; 8] = [
    "supply_air_temp",
    "return_air_temp",
    "fan_speed",
    "damper_position",
    "compressor_current",
    "filter_pressure",
    "humidity",
    "power",
];
const START_MS: i64 = 1_772_445_600_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut numbers = std::env::args().skip(1).take(3).map(|number| number.parse::<usize>());
    let rows = numbers.next().transpose()?.unwrap_or(2_000_000);
    let batch = numbers.next().transpose()?.unwrap_or(4_000);
    let devices = numbers.next().transpose()?.unwrap_or(1_000);
    if let Some(url) = std::env::args().nth(4) {
        let mut store = connectors::open_store(&url)?;
        store.clear()?;
        measure_store(store.as_mut(), rows, batch, devices)?;
        return measure_states(store.as_mut(), rows / 20, batch, devices);
    }
    let folder = std::env::temp_dir().join(format!("connectors-throughput-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure_sqlite(&folder, rows, batch, devices).and_then(|()| measure_file(&folder, rows, devices));
    std::fs::remove_dir_all(&folder)?;
    measured?;
    measure_projection();
    Ok(())
}

/// A reading of the fleet in the order of time, as a topic has them.
fn reading(n: usize, devices: usize) -> (String, i64, &'static str, f64) {
    let (metric, device, step) = (n % 8, n / 8 % devices, n / 8 / devices);
    #[expect(clippy::cast_precision_loss, reason = "a made-up value")]
    let value = (n % 1_000) as f64 * 0.37;
    (format!("RTU-{device:05}"), START_MS + step as i64 * 10_000, METRICS[metric], value)
}

fn raw_row(n: usize, devices: usize) -> Row {
    let (device, time_ms, metric, value) = reading(n, devices);
    let text = |text: &str| Value::Text(text.to_owned());
    let values = vec![
        Value::Text(device),
        Value::Text(model::time::date_of(time_ms)),
        Value::Int(time_ms),
        text(metric),
        Value::Double(value),
        text("RPM"),
        text("rooftop_unit"),
        text("building-A"),
        text("bldg-001"),
        Value::Bool(false),
    ];
    let version = Version::raw(false, time_ms, 0, n as i64);
    Row { table: TableId::DeviceMetricsRaw, version, values }
}

/// Wall time and, on Linux, the time that this thread was on a CPU, which other processes don't change as much.
#[derive(Clone, Copy, Default)]
struct Spent {
    wall_s: f64,
    cpu_s: f64,
}

struct Clock(Instant, f64);

fn cpu_now_s() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).map_or(f64::NAN, |ns| ns / 1e9)
}

impl Clock {
    fn start() -> Self {
        Clock(Instant::now(), cpu_now_s())
    }

    fn add_to(&self, spent: &mut Spent) {
        spent.wall_s += self.0.elapsed().as_secs_f64();
        spent.cpu_s += cpu_now_s() - self.1;
    }

    fn report(&self, what: &str, count: usize) {
        let mut spent = Spent::default();
        self.add_to(&mut spent);
        report(what, count, spent);
    }
}

fn report(what: &str, count: usize, Spent { wall_s, cpu_s }: Spent) {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let count_f = count as f64;
    println!("{what}: {count} in {wall_s:.2} s, {:.0} a second, {:.0} a CPU second", count_f / wall_s, count_f / cpu_s);
}

fn measure_sqlite(folder: &Path, rows: usize, batch: usize, devices: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut store = SqliteStore::open(folder.join("store.db"))?;
    measure_store(&mut store, rows, batch, devices)?;
    let length = std::fs::metadata(folder.join("store.db"))?.len();
    println!("file: {} bytes a row", length / rows.max(1) as u64);
    measure_states(&mut store, rows / 20, batch, devices)
}

fn measure_store(
    store: &mut dyn Store,
    rows: usize,
    batch: usize,
    devices: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut spent = Spent::default();
    for from in (0..rows).step_by(batch) {
        let made: Vec<Row> = (from..rows.min(from + batch)).map(|n| raw_row(n, devices)).collect();
        let clock = Clock::start();
        store.write(&made)?;
        clock.add_to(&mut spent);
    }
    report(&format!("raw rows in, {batch} a batch, {devices} devices"), rows, spent);
    let clock = Clock::start();
    let held = store.count(TableId::DeviceMetricsRaw)?;
    assert_eq!(held, rows as u64, "every row is there");
    clock.report("raw rows counted", rows);
    let clock = Clock::start();
    let mut seen = 0;
    store.scan(TableId::DeviceMetricsRaw, &[], &mut |_| {
        seen += 1;
        std::ops::ControlFlow::Continue(())
    })?;
    clock.report("rows out in key order", seen);
    Ok(())
}

/// Distinct states that the made-up fleet has.
const DISTINCT: usize = 500;

/// The rows of a state: itself with a vector, that it occurred, and its distinct state.
fn state_rows(n: usize, devices: usize, names: &[String]) -> [Row; 3] {
    let text = |text: &str| Value::Text(text.to_owned());
    let device = format!("RTU-{:05}", n % devices);
    let time_ms = START_MS + (n / devices) as i64 * 60_000;
    let vector = |n: usize| -> Vec<f32> {
        let component = |at: usize| ((n * 31 + at * 17) % 101) as f32 / 101.0 - 0.5;
        (0..384).map(component).collect()
    };
    let map = Value::Map(names.iter().map(|name| (name.clone(), (n % 977) as f64 * 0.37)).collect());
    let version = Version::window(time_ms);
    let id = (n % DISTINCT) as i64;
    let snapshot = vec![
        Value::Text(device.clone()),
        Value::Text(model::time::date_of(time_ms)),
        Value::Int(time_ms),
        text("rooftop_unit"),
        text("building-A"),
        text("bldg-001"),
        map.clone(),
        Value::Vector(vector(n)),
        text("projection-1"),
        Value::Double(0.1),
        Value::Bool(false),
        Value::Null,
        Value::Int(48),
        map.clone(),
        map.clone(),
        map.clone(),
        map.clone(),
        text("[]"),
        Value::Null,
        Value::Bool(false),
        map.clone(),
        map,
    ];
    let occurrence =
        vec![Value::Text(device), Value::Int(time_ms), text("projection-1"), Value::Int(id), Value::Bool(false)];
    let distinct = vec![text("projection-1"), Value::Int(id), Value::Vector(vector(n % DISTINCT)), Value::Null];
    [
        Row { table: TableId::DeviceStateSnapshots, version, values: snapshot },
        Row { table: TableId::StateOccurrences, version, values: occurrence },
        Row { table: TableId::StateVectors, version: Version::window(0), values: distinct },
    ]
}

fn measure_states(
    store: &mut dyn Store,
    states: usize,
    batch: usize,
    devices: usize,
) -> Result<(), Box<dyn std::error::Error>> {
    let names: Vec<String> = METRICS.iter().map(|name| (*name).to_owned()).collect();
    let mut spent = Spent::default();
    for from in (0..states).step_by(batch) {
        let made: Vec<Row> = (from..states.min(from + batch)).flat_map(|n| state_rows(n, devices, &names)).collect();
        let clock = Clock::start();
        store.write(&made)?;
        clock.add_to(&mut spent);
    }
    report(&format!("states in, {batch} a batch, {devices} devices, {DISTINCT} distinct"), states, spent);
    assert_eq!(store.count(TableId::DeviceStateSnapshots)?, states as u64, "every state is there");
    Ok(())
}

fn measure_file(folder: &Path, messages: usize, devices: usize) -> Result<(), Box<dyn std::error::Error>> {
    let mut lines = Vec::new();
    for n in 0..messages {
        let (device, time_ms, metric, value) = reading(n, devices);
        let partition = u32::try_from(n / 8 % devices % 4)?;
        let time = model::time::format_ms(time_ms);
        let message = format!(
            "{{\"device_id\":\"{device}\",\"device_type\":\"rooftop_unit\",\"timestamp\":\"{time}\",\"metric_name\":\"{metric}\",\"metric_value\":{value},\"unit\":\"RPM\",\"location\":\"building-A\",\"building_id\":\"bldg-001\"}}"
        );
        model::recording::write_message(&mut lines, partition, n as i64, time_ms, Some(message.as_bytes()));
    }
    println!("recording: {} MB", lines.len() >> 20);
    let (plain, packed) = (folder.join("fleet.jsonl"), folder.join("fleet.jsonl.zst"));
    std::fs::write(&plain, &lines)?;
    std::fs::write(&packed, zstd::encode_all(&lines[..], 3)?)?;
    drop(lines);
    for (name, path) in [("plain", plain), ("zstd", packed)] {
        let clock = Clock::start();
        let source = FileSource::open(path)?;
        clock.report(&format!("{name}: messages checked and counted"), messages);
        let clock = Clock::start();
        let mut seen = 0;
        for partition in source.partitions() {
            let mut reader = source.open(partition, 0)?;
            while reader.poll(1_024, &mut |_| seen += 1)? != Poll::Finished {}
        }
        assert_eq!(seen, messages, "every message was read");
        clock.report(&format!("{name}: messages read, 4 partitions one after the other"), seen);
        let clock = Clock::start();
        let mut reader = source.open(1, 0)?;
        while reader.poll(1_024, &mut |_| ())? != Poll::Finished {}
        clock.report(&format!("{name}: messages passed by a reader of one of 4 partitions"), messages);
    }
    Ok(())
}

fn measure_projection() {
    let names: Vec<String> = METRICS.iter().map(|name| (*name).to_owned()).collect();
    let mut projection = Projection::new();
    let clock = Clock::start();
    let mut kept = 0;
    for n in 0..200_000u32 {
        let vector: Vec<f64> = (0..9).map(|slot| f64::from(n % (slot + 7)) - 3.0).collect();
        kept += usize::from(projection.embed(&vector, &names).is_some());
    }
    clock.report("vectors of 9 components projected", kept);
}
