use std::collections::BTreeMap;

use expect_test::expect;
use model::{Severity, Verdict};

use super::*;
use crate::detectors::Detectors;
use crate::ledger::Totals;

const MINUTE_MS: i64 = 60_000;

/// An incident of the device `D` over some minutes.
fn incident(kind: &str, minutes: std::ops::Range<i64>, methods: &[Method]) -> Stored {
    Stored {
        id: "an id".to_owned(),
        device_id: "D".to_owned(),
        device_type: "pump".to_owned(),
        location: None,
        building_id: None,
        kind: kind.to_owned(),
        severity: Severity::Info,
        open: false,
        start_ms: minutes.start * MINUTE_MS,
        end_ms: minutes.end * MINUTE_MS,
        detected_ms: (minutes.start + 3) * MINUTE_MS,
        peak_ms: minutes.start * MINUTE_MS,
        peak_score: 0.5,
        methods: methods.to_vec(),
        contributions: Vec::new(),
        similar: Vec::new(),
        summary: String::new(),
        resolution: "open".to_owned(),
        note: None,
        asked: false,
    }
}

fn finding(kind: &str, score: f64, limit: f64, text: &str) -> Finding {
    let metric = (!text.starts_with("no incident")).then(|| "flow".to_owned());
    Finding {
        parts: Default::default(),
        kind: kind.to_owned(),
        metric,
        observed: 1.0,
        expected: None,
        score,
        limit,
        unit: String::new(),
        text: text.to_owned(),
    }
}

/// A state in which statistics are so far, in multiples of their limit, with these findings beside their own.
fn state(ratio: f64, warm_up: f64, more: &[Finding]) -> Seen {
    let is_found = ratio >= 1.0;
    let found = is_found.then(|| finding("residual", ratio * 5.0, 5.0, "flow stays above"));
    let verdict = |method, score, severity, findings| Verdict {
        method,
        score,
        severity,
        warm_up,
        findings,
        compared: Vec::new(),
    };
    Seen::of(vec![
        verdict(Method::Rules, 0.0, None, vec![]),
        verdict(
            Method::Statistics,
            ratio * ratio / (1.0 + ratio * ratio),
            is_found.then_some(Severity::Info),
            found.into_iter().chain(more.iter().cloned()).collect(),
        ),
    ])
}

fn run(states: Vec<Seen>) -> Run {
    let states = states.into_iter().enumerate().map(|(at, seen)| (at as i64 * MINUTE_MS, seen)).collect();
    Run {
        incidents: Vec::new(),
        states: BTreeMap::from([("D".to_owned(), states)]),
        learned: BTreeMap::new(),
        totals: Totals::default(),
        detectors: Detectors::default().resolve().unwrap(),
        width_ms: MINUTE_MS,
    }
}

/// Each reason there can be, from the states of the run without the incident.
#[test]
fn the_reason_is_read_from_the_states() {
    let own = run((0..40).map(|_| state(2.0, 1.0, &[])).collect());
    let anomaly = incident("anomaly", 0..20, &[Method::Statistics]);
    let mut lines = Vec::new();
    let mut tell = |name: &str, incident: &Stored, other: &Run| {
        lines.push(format!("{name}: {}", Why::of(incident, &own, other).text()));
    };
    let quiet = |ratio| run((0..20).map(|_| state(ratio, 1.0, &[])).collect());
    tell("quiet", &anomaly, &quiet(0.7));
    tell("no states", &anomaly, &run(Vec::new()));
    // Two quiet states join, three part.
    let beats = [2.0, 2.0, 0.1, 0.1, 2.0, 0.1, 0.1, 0.1, 2.5, 2.0];
    tell("too few", &anomaly, &run(beats.iter().map(|ratio| state(*ratio, 1.0, &[])).collect()));
    tell("learned", &anomaly, &run((0..20).map(|at| state(0.0, f64::from(at) / 10.0, &[])).collect()));
    let held = finding("raised_bar", 1.2, 1.5, "no incident yet: the bar is 1.50 times the usual");
    tell("bar", &anomaly, &run((0..20).map(|_| state(1.2, 1.0, std::slice::from_ref(&held))).collect()));
    let point = finding("new_operating_point", 3.0, 60.0, "new operating point: valve is on, 3 of 60 windows learned");
    tell("operating point", &anomaly, &run((0..20).map(|_| state(0.0, 0.05, std::slice::from_ref(&point))).collect()));
    let work = finding("maintenance", 0.0, 0.0, "the device is in maintenance: no incident opens");
    tell("maintenance", &anomaly, &run((0..20).map(|_| state(0.3, 1.0, std::slice::from_ref(&work))).collect()));
    let mut off = quiet(0.0);
    off.detectors.usual.weights[1] = 0.0;
    tell("off", &anomaly, &off);
    tell("stuck", &incident("stuck:flow", 0..20, &[Method::Statistics]), &quiet(0.7));
    tell("unusually stuck", &incident("stuck:flow", 0..90, &[Method::Statistics]), &quiet(0.7));
    tell("silent", &incident("silent", 30..33, &[Method::Statistics]), &run(Vec::new()));
    tell("not silent", &incident("silent", 0..33, &[Method::Statistics]), &quiet(0.7));
    expect![[r#"
        quiet: none of 20 states anomalous: statistics at most 0.70 of its limit at 1970-01-01 00:00 (2.00 in the other run)
        no states: there are no states at that time: the readings are late, not usable or left out
        too few: 5 of 10 states anomalous, at most 3 together, none of them by two methods or a rule; asked are 3 such (confirm_windows) or 30 of any (info_confirm_windows); strongest: residual of flow, 12.50 at a limit of 5.00 (2.50 of it) at 1970-01-01 00:08
        learned: still in the warm-up in 10 of 20 states (0 % done at its start)
        bar: held back by a raised bar in 20 of 20 states (no incident yet: the bar is 1.50 times the usual); 20 of 20 states anomalous, at most 20 together, none of them by two methods or a rule; asked are 3 such (confirm_windows) or 30 of any (info_confirm_windows); strongest: residual of flow, 6.00 at a limit of 5.00 (1.20 of it) at 1970-01-01 00:00
        operating point: excused as a new operating point in 20 of 20 states (new operating point: valve is on, 3 of 60 windows learned)
        maintenance: in maintenance in 20 of 20 states (the device is in maintenance: no incident opens)
        off: none of 20 states anomalous: statistics is off (weight 0)
        stuck: it lasts 20 windows, stuck_after_windows asks for 60
        unusually stuck: it lasts 90 windows: more than stuck_after_windows (60), but not more than ten times its longest usual run
        silent: it lasts 3 windows, silent_after_windows asks for 5
        not silent: the device has 20 states at that time
    "#]].assert_eq(&(lines.join("\n") + "\n"));
}
