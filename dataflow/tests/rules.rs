//! Every rule in its ten situations, by its monitor alone: the verdicts that were written down, and no change of a rule that
//! none of its situations shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use model::device::RuleSpec;
use model::message::decode;
use model::recording::{Line, parse_line};
use model::time::window_start;
use model::{Aggregate, Catalogue, DeviceType, Method, StateView};
use scenarios::case::{self, Input};
use scenarios::situations::{FAULT_MS, RulePoints, Situation, Situations, WARM_UP_MINUTES, written_verdicts};
use udfs::{Monitor, MonitorConfig};

const MINUTE_MS: i64 = 60_000;

/// Readings by device, window, metric and time.
type Readings = BTreeMap<String, BTreeMap<i64, BTreeMap<String, BTreeMap<i64, f64>>>>;

struct Case {
    situations: Situations,
    readings: Readings,
    written: BTreeMap<String, String>,
}

impl Case {
    fn device_type(&self) -> &'static DeviceType {
        &Catalogue::builtin().types[&self.situations.device_type]
    }

    fn rules(&self) -> impl Iterator<Item = (&RulePoints, &'static RuleSpec)> {
        let rules = &self.device_type().rules;
        self.situations.rules.iter().map(|points| {
            (points, rules.iter().find(|rule| rule.id == points.id).expect("the case's rules are the catalogue's"))
        })
    }
}

fn cases() -> Vec<Case> {
    let folder = case::bundled_folder();
    let names = case::list(&folder).expect("the cases are there");
    let cases = names.iter().map(|name| case::load(&folder, name).unwrap_or_else(|error| panic!("{error}")));
    let cases = cases.filter_map(|case| {
        let Input::Situations(situations) = &case.input else { return None };
        let verdicts = fs::read_to_string(case.folder.join("verdicts.txt")).expect("the case has its verdicts.txt");
        let written = written_verdicts(&verdicts).expect("it is a table");
        Some(Case { readings: readings(&situations.recording()), situations: situations.clone(), written })
    });
    cases.collect()
}

/// All readings of a recording. A device keeps to one partition, so of two with one time the later line holds.
fn readings(recording: &[u8]) -> Readings {
    let mut readings = Readings::new();
    for line in recording.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let Ok(Line::Message { bytes: Some(bytes), .. }) = parse_line(line) else { panic!("situations send messages") };
        let message = decode(&bytes, 65_536).expect("situations send what can be used");
        let device = readings.entry(message.device_id.to_string()).or_default();
        let window = device.entry(window_start(message.timestamp_ms, MINUTE_MS)).or_default();
        let metric = window.entry(message.metric_name.to_string()).or_default();
        metric.insert(message.timestamp_ms, message.metric_value);
    }
    readings
}

fn aggregate(readings: &BTreeMap<i64, f64>) -> Aggregate {
    let values: Vec<f64> = readings.values().copied().collect();
    let count = u32::try_from(values.len()).expect("a few readings a window");
    Aggregate {
        last: values[values.len() - 1],
        mean: values.iter().fold(0.0, |sum, value| sum + value) / f64::from(count),
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        count,
    }
}

/// What a monitor with this one rule says of a device, as a cell of `verdicts.txt`.
fn judged(device_type: &DeviceType, windows: &BTreeMap<i64, BTreeMap<String, BTreeMap<i64, f64>>>) -> String {
    let config = MonitorConfig {
        weights: [1.0, 0.0, 0.0, 0.0],
        warm_up_windows: WARM_UP_MINUTES,
        confirm_windows: 1,
        ..MonitorConfig::default()
    };
    let id = &device_type.rules[0].id;
    let mut monitor = Monitor::new("d");
    let mut names: Vec<String> = Vec::new();
    let (mut broken, mut since_ms) = (Vec::new(), None);
    for (&start_ms, readings) in windows {
        names.extend(readings.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        let metrics: Vec<Option<Aggregate>> = names.iter().map(|name| readings.get(name).map(aggregate)).collect();
        let judgement = monitor.observe(
            &config,
            &StateView {
                start_ms,
                width_ms: MINUTE_MS,
                device_type: Some(device_type),
                names: &names,
                metrics: &metrics,
                peers: &[],
                peers_ms: start_ms,
                offset_ms: 0,
            },
        );
        let rules = judgement.verdicts.iter().find(|verdict| verdict.method == Method::Rules);
        if rules.is_some_and(|rules| rules.findings.iter().any(|finding| finding.kind == *id)) {
            broken.push((start_ms - FAULT_MS) / MINUTE_MS);
        }
        since_ms = since_ms.or(judgement.incidents.first().map(|incident| incident.start_ms));
    }
    let Some(last) = broken.last() else { return "-".to_owned() };
    let since = since_ms.map_or("?".to_owned(), |since_ms: i64| ((since_ms - FAULT_MS) / MINUTE_MS).to_string());
    format!("{since}:{}-{last}/{}", broken[0], broken.len())
}

/// The type with this one rule.
fn alone(device_type: &DeviceType, rule: RuleSpec, content: u64) -> DeviceType {
    DeviceType { rules: vec![rule], content, ..device_type.clone() }
}

/// A number that no compiled rules have yet.
fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn each_rule_says_what_was_written_down() {
    let mut wrong = Vec::new();
    for case in cases() {
        for (points, rule) in case.rules() {
            let inputs: BTreeSet<String> =
                udfs::rule_inputs(case.device_type(), &rule.id).into_iter().flatten().collect();
            let sent: BTreeSet<String> = points.metrics.iter().cloned().collect();
            assert_eq!(inputs, sent, "the metrics that {} of {} needs", rule.id, case.situations.device_type);
            let device_type = alone(case.device_type(), rule.clone(), fresh());
            for situation in Situation::ALL {
                let device = points.device(situation);
                let seen = judged(&device_type, &case.readings[&device]);
                if seen != case.written[&device] {
                    let name = &case.situations.device_type;
                    wrong.push(format!("{name} {device}: written {} seen {seen}", case.written[&device]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_change_of_a_rule_goes_unnoticed() {
    let (mut tried, mut survived) = (0, Vec::new());
    for case in cases() {
        for (points, rule) in case.rules() {
            for (change, changed) in changes(rule) {
                tried += 1;
                let device_type = alone(case.device_type(), changed, fresh());
                let is_seen = Situation::ALL.iter().any(|situation| {
                    let device = points.device(*situation);
                    judged(&device_type, &case.readings[&device]) != case.written[&device]
                });
                if !is_seen {
                    survived.push(format!("{} {}: {change}", case.situations.device_type, rule.id));
                }
            }
        }
    }
    println!("{tried} changes tried");
    assert!(survived.is_empty(), "{} of {tried} go unnoticed:\n{}", survived.len(), survived.join("\n"));
}

/// The rule with one thing wrong at a time.
fn changes(rule: &RuleSpec) -> Vec<(String, RuleSpec)> {
    let mut changes = Vec::new();
    let mut add = |what: String, change: &dyn Fn(&mut RuleSpec)| {
        let mut changed = rule.clone();
        change(&mut changed);
        changes.push((what, changed));
    };
    for (what, when) in of_condition(&rule.when) {
        add(format!("condition {what}"), &|rule| rule.when = when.clone());
    }
    if let Some(guard) = &rule.guard {
        for (what, guard) in of_condition(guard) {
            add(format!("guard {what}"), &|rule| rule.guard = Some(guard.clone()));
        }
        add("guard dropped".to_owned(), &|rule| rule.guard = None);
    }
    let (confirm, settle) = (rule.confirm_minutes, rule.settle_minutes);
    for minutes in [0, confirm - 1, confirm + 1] {
        add(format!("confirmed after {minutes}"), &|rule| rule.confirm_minutes = minutes);
    }
    add(format!("settled after {}", settle + 1), &|rule| rule.settle_minutes = settle + 1);
    if settle > 0 {
        add("never settling".to_owned(), &|rule| rule.settle_minutes = 0);
        add(format!("settled after {}", settle - 1), &|rule| rule.settle_minutes = settle - 1);
    }
    changes
}

/// A condition with each comparison taking in its number, and with each of its parts dropped.
fn of_condition(condition: &str) -> Vec<(String, String)> {
    assert!(!condition.contains(['(', '?', '=']), "{condition}: plain comparisons, else this has to learn more");
    let mut changed = Vec::new();
    for (at, _) in condition.match_indices(['<', '>']) {
        let inclusive = format!("{}={}", &condition[..=at], &condition[at + 1..]);
        changed.push((inclusive.clone(), inclusive));
    }
    for joint in [" && ", " || "] {
        let parts: Vec<&str> = condition.split(joint).collect();
        for dropped in 0..if parts.len() > 1 { parts.len() } else { 0 } {
            let others: Vec<&str> =
                parts.iter().enumerate().filter(|(at, _)| *at != dropped).map(|(_, part)| *part).collect();
            let rest = others.join(joint);
            changed.push((rest.clone(), rest));
        }
    }
    changed
}
