//! Time and fate by a plain reading of the rules: slow, obvious, and without a line of the job's code.
//!
//! It takes a whole log at once, asks every question record by record, and looks everything up by going through lists.

use std::collections::{BTreeMap, BTreeSet};

use connectors::memory::Recorded;
use dataflow::settings::{Aggregation, JobSettings, Late};
use serde_json::Value as Json;

use crate::world::World;

/// A usable message.
#[derive(Clone, Debug)]
struct Reading {
    device: String,
    device_type: String,
    metric: String,
    event_ms: i64,
    sent: f64,
    value: f64,
    unit: Option<String>,
    location: Option<String>,
    partition: u32,
    offset: i64,
    broker_ms: i64,
}

/// What became of a record.
enum Fate {
    DeadLetter(&'static str),
    Skipped,
    Late { by_ms: i64, reading: Reading },
    OnTime(Reading),
}

/// Lines about everything that time and fate decide, in no particular order.
pub fn expected(world: &World) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut on_time: Vec<Reading> = Vec::new();
    let mut corrections: Vec<Reading> = Vec::new();
    let mut raw: Vec<(bool, Reading)> = Vec::new();
    let (mut received, mut late, mut dead, mut skipped) = (0, 0, 0, 0);
    for (&partition, log) in &world.partitions {
        for (offset, fate) in fates(&world.settings, partition, log) {
            received += 1;
            match fate {
                Fate::DeadLetter(reason) => {
                    dead += 1;
                    lines.insert(format!("dead_letter {partition} {offset} {reason}"));
                }
                Fate::Skipped => skipped += 1,
                Fate::Late { by_ms, reading } => {
                    late += 1;
                    lines.insert(format!(
                        "late {} {} {} {partition} {offset} {:?} {:?} by {by_ms}",
                        reading.device, reading.event_ms, reading.metric, reading.sent, reading.unit
                    ));
                    if world.settings.late == Late::Correct && by_ms <= world.settings.correct_within_ms {
                        corrections.push(reading.clone());
                    }
                    raw.push((true, reading));
                }
                Fate::OnTime(reading) => {
                    raw.push((false, reading.clone()));
                    on_time.push(reading);
                }
            }
        }
    }
    raw_lines(&raw, &mut lines);
    let (windowed, states) = states(&world.settings, &on_time, &corrections, &mut lines);
    let duplicate = on_time.len() - windowed;
    lines.insert(format!(
        "totals received {received} windowed {windowed} late {late} dead {dead} duplicate {duplicate} skipped {skipped} states {states}"
    ));
    lines
}

/// What the devices of a type show of a metric in a window: the means of their states, in order.
pub type Means = BTreeMap<(i64, String, String), Vec<f64>>;

/// The means of all devices by window, type and metric. A late reading has no part in them.
pub fn means(world: &World) -> Means {
    let mut on_time: Vec<Reading> = Vec::new();
    for (&partition, log) in &world.partitions {
        for (_, fate) in fates(&world.settings, partition, log) {
            if let Fate::OnTime(reading) = fate {
                on_time.push(reading);
            }
        }
    }
    let window = |reading: &Reading| start_of(reading.event_ms, world.settings.window_ms);
    let all: BTreeSet<(&str, i64)> = on_time.iter().map(|reading| (reading.device.as_str(), window(reading))).collect();
    let mut means = Means::new();
    for &(device, window_ms) in &all {
        let belongs = |reading: &&Reading| reading.device == device && window(reading) == window_ms;
        let inside: Vec<&Reading> = on_time.iter().filter(belongs).collect();
        let newest = inside.iter().max_by_key(|reading| (reading.event_ms, reading.partition, reading.offset));
        let device_type = &newest.expect("a state has a reading").device_type;
        let metrics: BTreeSet<&str> = inside.iter().map(|reading| reading.metric.as_str()).collect();
        for metric in metrics {
            let samples = that_count(&inside, metric);
            let mean = samples.iter().fold(0.0, |sum, reading| sum + reading.value) / samples.len() as f64;
            means.entry((window_ms, device_type.clone(), metric.to_owned())).or_default().push(mean);
        }
    }
    means.values_mut().for_each(|means| means.sort_by(f64::total_cmp));
    means
}

/// One partition, record by record.
fn fates(settings: &JobSettings, partition: u32, log: &[(u64, Recorded)]) -> Vec<(i64, Fate)> {
    let mut fates = Vec::new();
    let mut newest_ms: Option<i64> = None;
    let mut devices: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, event) in log {
        let Recorded::Message { offset, broker_ms, bytes } = event else { panic!("a world has no marks") };
        let Some(bytes) = bytes else {
            fates.push((*offset, Fate::Skipped));
            continue;
        };
        let reading = match usable(settings, &mut devices, bytes, partition, *offset, *broker_ms) {
            Ok(reading) => reading,
            Err(reason) => {
                fates.push((*offset, Fate::DeadLetter(reason)));
                continue;
            }
        };
        let watermark_ms = newest_ms.map(|newest_ms| newest_ms - settings.lateness_ms);
        let window_ends_ms = start_of(reading.event_ms, settings.window_ms) + settings.window_ms;
        newest_ms = newest_ms.max(Some(reading.event_ms.min(*broker_ms)));
        let fate = match watermark_ms {
            Some(watermark_ms) if window_ends_ms <= watermark_ms => {
                Fate::Late { by_ms: watermark_ms - window_ends_ms, reading }
            }
            _ => Fate::OnTime(reading),
        };
        fates.push((*offset, fate));
    }
    fates
}

/// The multiple of the width that lies at or below a time.
fn start_of(time_ms: i64, width_ms: i64) -> i64 {
    let mut start_ms = time_ms / width_ms * width_ms;
    while start_ms > time_ms {
        start_ms -= width_ms;
    }
    start_ms
}

fn usable(
    settings: &JobSettings,
    devices: &mut BTreeMap<String, BTreeSet<String>>,
    bytes: &[u8],
    partition: u32,
    offset: i64,
    broker_ms: i64,
) -> Result<Reading, &'static str> {
    if bytes.len() > settings.max_message_bytes {
        return Err("too_large");
    }
    // The one number that JSON can write and a double can't hold; this reader would call the whole text broken.
    // The same goes for words that are no JSON at all, but say so.
    if ["1e999", ":NaN"].iter().any(|word| String::from_utf8_lossy(bytes).contains(word)) {
        return Err("not_finite");
    }
    let json: Json = serde_json::from_slice(bytes).map_err(|_| "not_json")?;
    let text = |name: &str| json.get(name).map(|value| value.as_str().map(str::to_owned).ok_or("wrong_type"));
    let needed = |name: &str| text(name).unwrap_or(Err("missing_field"));
    let device = needed("device_id")?;
    let sent_type = needed("device_type")?;
    let metric = needed("metric_name")?;
    let event_ms = match json.get("timestamp").ok_or("missing_field")? {
        Json::Number(number) => number.as_i64().ok_or("bad_timestamp")?,
        Json::String(text) => text.parse::<jiff::Timestamp>().map_err(|_| "bad_timestamp")?.as_millisecond(),
        _ => return Err("wrong_type"),
    };
    let sent = match json.get("metric_value").ok_or("missing_field")? {
        // Not every reader of JSON rounds as it should, but the standard library's does.
        Json::Number(_) => {
            let text = String::from_utf8_lossy(bytes);
            let (_, number) = text.rsplit_once("\"metric_value\":").expect("it was just found");
            let number = number.split([',', '}']).next().expect("a split has a first part");
            number.trim().parse().expect("the standard library reads every number of JSON")
        }
        Json::Bool(value) => f64::from(u8::from(*value)),
        _ => return Err("wrong_type"),
    };
    // No number keeps the sign of a zero.
    let sent = sent + 0.0;
    if event_ms - broker_ms > settings.max_future_ms {
        return Err("too_far_in_future");
    }
    if settings.max_age_ms.is_some_and(|max_age_ms| broker_ms - event_ms > max_age_ms) {
        return Err("too_old");
    }
    let unit = text("unit").transpose()?;
    // Of the metrics of a world only this one is in the catalogue, for this type, in degrees Fahrenheit.
    let value = match unit.as_deref() {
        Some("degC") if sent_type == "rooftop_unit" && metric == "supply_air_temp" => sent * 1.8 + 32.0,
        Some("parsec") if sent_type == "rooftop_unit" && metric == "supply_air_temp" => return Err("unknown_unit"),
        _ => sent,
    };
    match devices.get(&device) {
        None if devices.len() >= settings.max_devices => return Err("too_many_devices"),
        Some(metrics) if metrics.len() >= settings.max_metrics && !metrics.contains(&metric) => {
            return Err("too_many_metrics");
        }
        _ => {}
    }
    devices.entry(device.clone()).or_default().insert(metric.clone());
    let location = text("location").transpose()?;
    let device_type = sent_type;
    Ok(Reading { device, device_type, metric, event_ms, sent, value, unit, location, partition, offset, broker_ms })
}

/// Of several readings with one key the raw table keeps one: that of the newest 2^24 µs by the broker, in them a late one
/// before others, then the last of the log.
fn raw_lines(raw: &[(bool, Reading)], lines: &mut BTreeSet<String>) {
    for (late, reading) in raw {
        let key = |reading: &Reading| (reading.device.clone(), reading.event_ms, reading.metric.clone());
        let block = |reading: &Reading| (reading.broker_ms * 1_000).div_euclid(16_777_216);
        let rank = |late: bool, reading: &Reading| (block(reading), late, reading.offset, reading.partition);
        let beaten = raw
            .iter()
            .any(|(other_late, other)| key(other) == key(reading) && rank(*other_late, other) > rank(*late, reading));
        if !beaten {
            lines.insert(format!(
                "raw {} {} {} {:?} {:?} {} {:?} late {late}",
                reading.device,
                reading.event_ms,
                reading.metric,
                reading.sent,
                reading.unit,
                reading.device_type,
                reading.location
            ));
        }
    }
}

/// Of the readings of one metric in a window those that count, by time: of two with one time the last of the log.
fn that_count<'a>(inside: &[&'a Reading], metric: &str) -> Vec<&'a Reading> {
    let mut samples: Vec<&Reading> = inside
        .iter()
        .copied()
        .filter(|reading| reading.metric == metric)
        .filter(|reading| {
            !inside.iter().any(|other| {
                other.metric == metric
                    && other.event_ms == reading.event_ms
                    && (other.partition, other.offset) > (reading.partition, reading.offset)
            })
        })
        .collect();
    samples.sort_by_key(|reading| reading.event_ms);
    samples
}

/// States and totals of the devices; returns how many readings count and how many states there are. Only a reading that
/// came in time makes a state; corrections are late ones that then belong to its metrics.
fn states(
    settings: &JobSettings,
    on_time: &[Reading],
    corrections: &[Reading],
    lines: &mut BTreeSet<String>,
) -> (usize, usize) {
    let window = |reading: &Reading| start_of(reading.event_ms, settings.window_ms);
    let all: BTreeSet<(&str, i64)> = on_time.iter().map(|reading| (reading.device.as_str(), window(reading))).collect();
    let mut windowed_of: BTreeMap<&str, (usize, usize, usize, i64)> = BTreeMap::new();
    let mut windowed = 0;
    for &(device, window_ms) in &all {
        let belongs = |reading: &&Reading| reading.device == device && window(reading) == window_ms;
        let inside: Vec<&Reading> = on_time.iter().filter(belongs).collect();
        let corrected: Vec<&Reading> = on_time.iter().chain(corrections).filter(belongs).collect();
        let newest = inside
            .iter()
            .max_by_key(|reading| (reading.event_ms, reading.partition, reading.offset))
            .expect("a state has a reading");
        let metrics: BTreeSet<&str> = corrected.iter().map(|reading| reading.metric.as_str()).collect();
        let mut parts = Vec::new();
        let (mut readings, mut counted, mut is_corrected) = (0, 0, false);
        for metric in metrics {
            counted += that_count(&inside, metric).len();
            let samples = that_count(&corrected, metric);
            let at = |reading: &Reading| (reading.partition, reading.offset);
            is_corrected |= samples.iter().any(|sample| corrections.iter().any(|late| at(late) == at(sample)));
            let sum = samples.iter().fold(0.0, |sum, reading| sum + reading.value);
            let min = samples
                .iter()
                .fold(f64::INFINITY, |min, reading| if reading.value < min { reading.value } else { min });
            let max = samples
                .iter()
                .fold(f64::NEG_INFINITY, |max, reading| if reading.value > max { reading.value } else { max });
            let last = samples.last().expect("a metric of a state has a reading").value;
            let mean = sum / samples.len() as f64;
            let shown = if settings.aggregate == Aggregation::Last { last } else { mean };
            parts.push(format!("{metric}={shown:?} last {last:?} min {min:?} max {max:?} n {}", samples.len()));
            readings += samples.len();
        }
        windowed += counted;
        let of = windowed_of.entry(device).or_insert((0, 0, 0, i64::MIN));
        *of = (of.0 + 1, of.1 + counted, of.2 + inside.len() - counted, of.3.max(newest.event_ms));
        lines.insert(format!(
            "state {device} {window_ms} {} {:?} readings {readings} corrected {is_corrected} {}",
            newest.device_type,
            newest.location,
            parts.join(", ")
        ));
    }
    for (device, (snapshots, windowed, duplicate, last_ms)) in windowed_of {
        lines.insert(format!(
            "statistics {device} snapshots {snapshots} windowed {windowed} duplicate {duplicate} last {last_ms}"
        ));
    }
    (windowed, all.len())
}
