//! The bundled cases are sound: they load, their messages are recordings, and what was written by hand as their result agrees
//! with a plain, unhurried reading of the rules of time and fate, which shares no code with the job.

use std::collections::{BTreeMap, BTreeSet};

use model::message::{Rejected, decode};
use model::recording::{Line, parse_line};
use model::tables::TableId;
use model::time::{date_of, parse_duration_ms, window_start};
use model::{Catalogue, DeadLetterReason, Message, Row, Value, Version};
use scenarios::case::{self, Case, Input};
use scenarios::compare::broken_expectations;
use scenarios::render::{Part, Show, Totals, render};

fn cases() -> Vec<Case> {
    let folder = case::bundled_folder();
    let names = case::list(&folder).expect("the cases are there");
    assert!(names.len() > 40, "only {} cases", names.len());
    names.iter().map(|name| case::load(&folder, name).unwrap_or_else(|error| panic!("{error}"))).collect()
}

#[test]
fn every_case_has_messages_and_expects_as_many() {
    for case in cases() {
        let recording = case.recording().unwrap_or_else(|error| panic!("{error}"));
        let lines = recording.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let messages = lines.filter(|line| matches!(parse_line(line), Ok(Line::Message { .. }))).count();
        let fates = case.must.iter().find_map(|line| line.strip_prefix("fates received="));
        let received = fates.and_then(|rest| rest.split(' ').next()).expect("every case says what it receives");
        assert_eq!(received.parse::<usize>().ok(), Some(messages), "case {:?}", case.name);
    }
}

#[test]
fn every_expectation_begins_like_a_line_of_a_result() {
    let words = [
        "fates ",
        "states ",
        "reasons ",
        "dead_letter ",
        "late ",
        "state ",
        "peers ",
        "raw ",
        "rule ",
        "incident ",
        "statistics ",
        "table ",
    ];
    for case in cases() {
        for pattern in case.must.iter().chain(&case.must_not) {
            let known = words.iter().any(|word| pattern.starts_with(word) || *word == format!("{pattern} "));
            assert!(known, "case {:?} expects {pattern:?}", case.name);
        }
    }
}

#[test]
fn every_setting_is_one_that_the_reference_knows() {
    for case in cases() {
        Settings::of(&case);
    }
}

/// Lines about incidents, anomalies, peers and whole tables are the detectors' and are left to the job.
fn is_about_time_and_fate(pattern: &str) -> bool {
    !pattern.starts_with("incident ")
        && !pattern.starts_with("rule ")
        && !pattern.starts_with("peers ")
        && !pattern.starts_with("table ")
        && !pattern.contains('[')
        && !pattern.contains("anomalous")
}

#[test]
fn hand_written_results_agree_with_the_rules() {
    for case in cases() {
        if !matches!(case.input, Input::Recording(_)) {
            continue;
        }
        let seen = reference(&case);
        let must: Vec<String> = case.must.iter().filter(|line| is_about_time_and_fate(line)).cloned().collect();
        let must_not: Vec<String> = case.must_not.iter().filter(|line| is_about_time_and_fate(line)).cloned().collect();
        let broken = broken_expectations(&must, &must_not, &seen);
        assert!(broken.is_empty(), "case {:?} {}\n\n{seen}", case.name, broken.join("\n"));
    }
}

/// The settings of the job that decide about time and fate.
struct Settings {
    window_ms: i64,
    lateness_ms: i64,
    max_future_ms: i64,
    max_age_ms: Option<i64>,
    max_message_bytes: usize,
    max_devices: usize,
    max_metrics: usize,
    corrects: bool,
    correct_within_ms: i64,
}

impl Settings {
    fn of(case: &Case) -> Self {
        let mut settings = Settings {
            window_ms: 60_000,
            lateness_ms: 30_000,
            max_future_ms: 300_000,
            max_age_ms: None,
            max_message_bytes: 65_536,
            max_devices: 1_000_000,
            max_metrics: 200,
            corrects: false,
            correct_within_ms: 3_600_000,
        };
        for (key, value) in &case.job {
            let duration = || parse_duration_ms(value.as_str().expect("a duration is a text")).expect("a duration");
            let count = || usize::try_from(value.as_integer().expect("a bound is an integer")).expect("not negative");
            match key.as_str() {
                "window" => settings.window_ms = duration(),
                "lateness" => settings.lateness_ms = duration(),
                "max_future" => settings.max_future_ms = duration(),
                "max_age" => settings.max_age_ms = Some(duration()),
                "max_message_bytes" => settings.max_message_bytes = count(),
                "max_devices" => settings.max_devices = count(),
                "max_metrics" => settings.max_metrics = count(),
                "late" => settings.corrects = value.as_str() == Some("correct"),
                "correct_within" => settings.correct_within_ms = duration(),
                // Judging is no matter of the reference.
                "detectors" => {}
                other => panic!("case {:?} has the setting {other:?}, which the reference doesn't know", case.name),
            }
        }
        settings
    }
}

/// What one partition has shown.
#[derive(Default)]
struct Partition {
    watermark_ms: Option<i64>,
    known: BTreeMap<String, Vec<String>>,
}

/// A reading that counts: (partition, offset) and the value in the metric's unit.
type Sample = ((u32, i64), f64);

/// A device's open or closed window: readings by metric and time.
type Window = BTreeMap<String, BTreeMap<i64, Sample>>;

#[derive(Default)]
struct Reference {
    partitions: BTreeMap<u32, Partition>,
    windows: BTreeMap<(String, i64), Window>,
    duplicates: BTreeMap<String, i64>,
    /// Late readings that correct a state, if there is one: device and window, metric, time, sample.
    corrections: Vec<((String, i64), String, i64, Sample)>,
    raw: BTreeMap<(String, i64, String), (Version, Row)>,
    rows: Vec<Row>,
    totals: Totals,
}

/// The result by the rules of DESIGN.md parts 3 and 4, record by record.
fn reference(case: &Case) -> String {
    let settings = Settings::of(case);
    let recording = case.recording().expect("the recording was checked");
    let mut reference = Reference::default();
    for line in recording.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        match parse_line(line).expect("the recording was checked") {
            Line::Mark { partition, watermark_ms, .. } => {
                raise(reference.partitions.entry(partition).or_default(), watermark_ms)
            }
            Line::Message { partition, offset, broker_ms, bytes } => {
                reference.totals.received += 1;
                match bytes {
                    None => reference.totals.skipped += 1,
                    Some(bytes) => reference.take(&settings, (partition, offset, broker_ms), &bytes),
                }
            }
        }
    }
    let all = [Part::DeadLetters, Part::Late, Part::States, Part::Raw, Part::Statistics];
    let (totals, rows) = reference.close();
    render(&Show::only(&all), &totals, rows).expect("the rows are right")
}

fn raise(partition: &mut Partition, watermark_ms: i64) {
    partition.watermark_ms = Some(partition.watermark_ms.map_or(watermark_ms, |before| before.max(watermark_ms)));
}

impl Reference {
    fn take(&mut self, settings: &Settings, (number, offset, broker_ms): (u32, i64, i64), bytes: &[u8]) {
        let partition = self.partitions.entry(number).or_default();
        let accepted = decode(bytes, settings.max_message_bytes)
            .and_then(|message| Ok((accept(partition, settings, broker_ms, &message)?, message)));
        let (value, message) = match accepted {
            Ok(accepted) => accepted,
            Err(rejected) => {
                self.totals.dead_lettered += 1;
                self.rows.push(dead_letter(number, offset, &rejected));
                return;
            }
        };
        let sample = ((number, offset), value);
        let window_ms = window_start(message.timestamp_ms, settings.window_ms);
        let end_ms = window_ms + settings.window_ms;
        let before_ms = partition.watermark_ms;
        raise(partition, message.timestamp_ms.min(broker_ms) - settings.lateness_ms);
        let late_by_ms = before_ms.map(|watermark_ms| watermark_ms - end_ms).filter(|by| *by >= 0);
        let is_late = late_by_ms.is_some();
        let version = Version::raw(is_late, broker_ms, number, offset);
        let key = (message.device_id.to_string(), message.timestamp_ms, message.metric_name.to_string());
        let raw = (version, raw(&message, version, is_late));
        let kept = self.raw.entry(key).or_insert_with(|| raw.clone());
        if kept.0 < raw.0 {
            *kept = raw;
        }
        if let Some(by_ms) = late_by_ms {
            self.totals.late += 1;
            self.rows.push(late(&message, version, (number, offset), by_ms));
            if settings.corrects && by_ms <= settings.correct_within_ms {
                let state = (message.device_id.to_string(), window_ms);
                self.corrections.push((state, message.metric_name.to_string(), message.timestamp_ms, sample));
            }
            return;
        }
        let window = self.windows.entry((message.device_id.to_string(), window_ms)).or_default();
        let metric = window.entry(message.metric_name.to_string()).or_default();
        if let Some(other) = metric.insert(message.timestamp_ms, sample) {
            self.totals.duplicate += 1;
            *self.duplicates.entry(message.device_id.to_string()).or_default() += 1;
            if other.0 > sample.0 {
                metric.insert(message.timestamp_ms, other);
            }
        }
    }

    fn close(mut self) -> (Totals, Vec<Row>) {
        let mut devices: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for ((device_id, _), window) in &self.windows {
            let readings: usize = window.values().map(BTreeMap::len).sum();
            self.totals.windowed += readings as u64;
            self.totals.states += 1;
            let device = devices.entry(device_id.clone()).or_default();
            *device = (device.0 + 1, device.1 + readings as i64);
        }
        let mut corrected: BTreeSet<(String, i64)> = BTreeSet::new();
        for (key, metric, time_ms, sample) in self.corrections {
            let Some(window) = self.windows.get_mut(&key) else { continue };
            let metric = window.entry(metric).or_default();
            if metric.get(&time_ms).is_none_or(|other| other.0 < sample.0) {
                metric.insert(time_ms, sample);
                corrected.insert(key);
            }
        }
        for (key, window) in &self.windows {
            self.rows.push(state(key, window, corrected.contains(key)));
        }
        for (device_id, (snapshots, windowed)) in devices {
            let duplicate = self.duplicates.get(&device_id).copied().unwrap_or(0);
            self.rows.push(row(
                TableId::DeviceStatistics,
                Version::window(0),
                &[
                    ("device_id", Value::Text(device_id)),
                    ("total_snapshots", Value::Int(snapshots)),
                    ("anomaly_count", Value::Int(0)),
                    ("records_windowed", Value::Int(windowed)),
                    ("records_duplicate", Value::Int(duplicate)),
                    ("incidents", Value::Int(0)),
                ],
            ));
        }
        self.rows.extend(self.raw.into_values().map(|(_, row)| row));
        (self.totals, self.rows)
    }
}

/// The value in the metric's unit, if the reading is plausible, known and not one too many.
fn accept(
    partition: &mut Partition,
    settings: &Settings,
    broker_ms: i64,
    message: &Message<'_>,
) -> Result<f64, Rejected> {
    let refused = |reason| Err(Rejected::new(reason, "by the reference"));
    let ahead_ms = message.timestamp_ms.saturating_sub(broker_ms);
    if ahead_ms > settings.max_future_ms {
        return refused(DeadLetterReason::TooFarInFuture);
    }
    if settings.max_age_ms.is_some_and(|max_age_ms| ahead_ms < -max_age_ms) {
        return refused(DeadLetterReason::TooOld);
    }
    let catalogue = Catalogue::builtin();
    let device_type = catalogue.normalise_type(&message.device_type);
    let Some(conversion) = catalogue.conversion(&device_type, &message.metric_name, message.unit.as_deref()) else {
        return refused(DeadLetterReason::UnknownUnit);
    };
    let value = message.metric_value * conversion.scale + conversion.offset;
    if !value.is_finite() {
        return refused(DeadLetterReason::NotFinite);
    }
    let devices = partition.known.len();
    match partition.known.get_mut(message.device_id.as_ref()) {
        None if devices >= settings.max_devices => return refused(DeadLetterReason::TooManyDevices),
        None => {
            partition.known.insert(message.device_id.to_string(), vec![message.metric_name.to_string()]);
        }
        Some(metrics) if metrics.iter().any(|known| *known == message.metric_name) => {}
        Some(metrics) if metrics.len() >= settings.max_metrics => return refused(DeadLetterReason::TooManyMetrics),
        Some(metrics) => metrics.push(message.metric_name.to_string()),
    }
    Ok(value)
}

fn row(table: TableId, version: Version, columns: &[(&str, Value)]) -> Row {
    let mut values = vec![Value::Null; table.table().columns.len()];
    for (name, value) in columns {
        let at = table.table().columns.iter().position(|column| column.name == *name).expect("a column of the table");
        values[at] = value.clone();
    }
    Row { table, version, values }
}

fn dead_letter(partition: u32, offset: i64, rejected: &Rejected) -> Row {
    row(
        TableId::DeadLetters,
        Version::window(0),
        &[
            ("topic", Value::Text("reference".to_owned())),
            ("partition", Value::Int(i64::from(partition))),
            ("offset", Value::Int(offset)),
            ("reason", Value::Text(rejected.reason.name().to_owned())),
            ("detail", Value::Text(rejected.detail.clone())),
        ],
    )
}

fn reading(message: &Message<'_>) -> Vec<(&'static str, Value)> {
    vec![
        ("device_id", Value::Text(message.device_id.to_string())),
        ("date", Value::Text(date_of(message.timestamp_ms))),
        ("timestamp", Value::Int(message.timestamp_ms)),
        ("metric_name", Value::Text(message.metric_name.to_string())),
        ("metric_value", Value::Double(message.metric_value)),
        ("unit", message.unit.as_ref().map_or(Value::Null, |unit| Value::Text(unit.to_string()))),
    ]
}

fn raw(message: &Message<'_>, version: Version, is_late: bool) -> Row {
    let mut columns = reading(message);
    columns.push(("is_late", Value::Bool(is_late)));
    row(TableId::DeviceMetricsRaw, version, &columns)
}

fn late(message: &Message<'_>, version: Version, (partition, offset): (u32, i64), by_ms: i64) -> Row {
    let mut columns = reading(message);
    columns.push(("partition", Value::Int(i64::from(partition))));
    columns.push(("offset", Value::Int(offset)));
    columns.push(("late_by_ms", Value::Int(by_ms)));
    row(TableId::LateMetrics, version, &columns)
}

fn state((device_id, start_ms): &(String, i64), window: &Window, corrected: bool) -> Row {
    let map = |of: &dyn Fn(&[f64]) -> f64| {
        let values = window.iter().map(|(metric, samples)| {
            let values: Vec<f64> = samples.values().map(|(_, value)| *value).collect();
            (metric.clone(), of(&values))
        });
        Value::Map(values.collect())
    };
    row(
        TableId::DeviceStateSnapshots,
        Version::window(*start_ms),
        &[
            ("device_id", Value::Text(device_id.to_owned())),
            ("date", Value::Text(date_of(*start_ms))),
            ("snapshot_time", Value::Int(*start_ms)),
            ("metrics", map(&|values| values.iter().fold(0.0, |sum, value| sum + value) / values.len() as f64)),
            ("metrics_last", map(&|values| values[values.len() - 1])),
            ("metrics_min", map(&|values| values.iter().copied().fold(f64::INFINITY, f64::min))),
            ("metrics_max", map(&|values| values.iter().copied().fold(f64::NEG_INFINITY, f64::max))),
            ("metrics_count", map(&|values| values.len() as f64)),
            ("corrected", Value::Bool(corrected)),
        ],
    )
}
