//! Which transitions share an alert.

use expect_test::{Expect, expect};
use serde_json::json;

use super::*;
use crate::alerts::outbox::key;

const RULES: Rules = Rules { wait_ms: 30_000, interval_ms: 300_000 };
const MINUTE_MS: i64 = 60_000;

/// `MINUTE DEVICE@BUILDING SEVERITY NUMBER`, closing where a minus stands before the number.
fn transition(line: &str) -> Transition {
    let parts: Vec<&str> = line.split(' ').collect();
    let (device, building) = parts[1].split_once('@').unwrap();
    let at_ms = parts[0].parse::<i64>().unwrap() * MINUTE_MS;
    let number: i64 = parts[3].parse().unwrap();
    let object = json!({
        "id": format!("{device}:{}", number.abs()), "anomaly_id": device, "transition": number.abs(),
        "device_id": device, "device_type": "chiller", "kind": "silent", "severity": parts[2],
        "building_id": Some(building).filter(|building| !building.is_empty()),
        "status": if number < 0 { "closed" } else { "open" },
        "started_at": model::time::format_ms(at_ms), "detected_at": model::time::format_ms(at_ms),
    });
    Transition { at_ms, object }
}

/// All alerts of these transitions as event time comes to each of `minutes`, with what each holds.
fn alerts(lines: &[&str], minutes: &[i64]) -> String {
    let all: Vec<Transition> = lines.iter().map(|line| transition(line)).collect();
    let (mut groups, mut pending, mut text) = (Groups::default(), BTreeMap::new(), String::new());
    let mut known_ms = i64::MIN;
    for minute in minutes {
        let complete_ms = minute * MINUTE_MS;
        let new = all.iter().filter(|one| (known_ms..complete_ms).contains(&one.at_ms));
        pending.extend(new.map(|one| (key(one), one.clone())));
        known_ms = complete_ms;
        while let Some(sealed) = groups.seal(RULES, &pending, complete_ms, complete_ms, 0) {
            sealed.told.iter().for_each(|key| drop(pending.remove(key)));
            for alert in sealed.alerts {
                let update = alert.context["update_of"].as_str().map_or("", |_| ", an update");
                text += &format!("{}: {}{update}\n", alert.number, alert.context["summary"].as_str().unwrap());
            }
        }
    }
    assert!(pending.is_empty() || minutes.last() != Some(&1_000), "{pending:?}");
    text
}

fn check(lines: &[&str], expected: Expect) {
    let every: Vec<i64> = (0..=1_000).collect();
    let told = alerts(lines, &every);
    expected.assert_eq(&told);
    // However far event time comes at once, and whatever order they came in: the same transitions share the same alerts.
    let mut turned = lines.to_vec();
    turned.reverse();
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect();
        lines.sort();
        lines
    };
    for minutes in [vec![1_000], vec![2, 7, 7, 30, 1_000]] {
        assert_eq!(sorted(&alerts(&turned, &minutes)), sorted(&told), "{minutes:?}");
    }
}

#[test]
fn a_burst_is_one_alert_a_building() {
    check(
        &["1 A@x warning 1", "1 B@x warning 1", "1 C@y warning 1", "1 D@ warning 1", "1 E@ warning 1"],
        expect![[r#"
            0: 2 incidents opened on 2 devices of building x: A silent, B silent
            1: 1 incident opened on 1 device of building y: C silent
            2: 2 incidents opened on 2 devices of type chiller: D silent, E silent
        "#]],
    );
}

#[test]
fn later_ones_come_together_as_an_update_and_critical_ones_at_once() {
    check(
        &[
            "1 A@x warning 1",
            "2 B@x warning 1",
            "4 C@x warning 1",
            "8 D@x warning 1",
            "9 E@x critical 1",
            "10 A@x critical 2",
        ],
        expect![[r#"
            0: 1 incident opened on 1 device of building x: A silent
            1: 2 incidents opened on 2 devices of building x: B silent, C silent, an update
            2: 2 incidents opened on 2 devices of building x: D silent, E silent, an update
            3: 1 incident became graver on 1 device of building x: A silent
        "#]],
    );
}

#[test]
fn an_incident_opens_changes_and_closes_in_this_order_whatever_shares_its_alert() {
    check(
        &[
            "1 A@x warning 1",
            "2 B@x warning 1",
            "3 B@x warning 2",
            "4 A@x warning -2",
            "5 B@x warning -3",
            "9 C@x warning 1",
        ],
        expect![[r#"
            0: 1 incident opened on 1 device of building x: A silent
            1: 1 incident opened on 1 device of building x: B silent, an update
            2: 1 incident became graver on 1 device of building x: B silent
            3: 2 incidents closed on 2 devices of building x: A silent, B silent
            4: 1 incident opened on 1 device of building x: C silent
        "#]],
    );
}

#[test]
fn a_burst_beyond_all_bounds_goes_on_at_once() {
    let lines: Vec<String> = (0..250).map(|at| format!("1 D{at:03}@x warning 1")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    check(
        &lines,
        expect![[r#"
            0: 100 incidents opened on 100 devices of building x: D000 silent, D001 silent, D002 silent, D003 silent, D004 silent and 95 more
            1: 100 incidents opened on 100 devices of building x: D100 silent, D101 silent, D102 silent, D103 silent, D104 silent and 95 more, an update
            2: 50 incidents opened on 50 devices of building x: D200 silent, D201 silent, D202 silent, D203 silent, D204 silent and 45 more, an update
        "#]],
    );
}

/// Whoever reads the line alone, in a chat or on a phone, knows why.
#[test]
fn the_line_of_a_single_one_says_why_also_as_an_update() {
    let with_reason = |line: &str, reason: &str| {
        let mut one = transition(line);
        one.object["summary"] = json!(reason);
        one
    };
    let one = with_reason("1 A@x warning 1", "power 9 kW, expected 5");
    let other = with_reason("1 B@x warning 1", "the device is silent");
    let line = |update_of: Option<&str>, members: &[&Transition]| {
        let alert = Alert::of(7, "building:x", What::Opened, update_of.map(str::to_owned), members);
        assert_eq!(alert.context["summary"], alert.object["summary"]);
        alert.object["summary"].as_str().unwrap().to_owned()
    };
    assert_eq!(line(None, &[&one]), "power 9 kW, expected 5");
    expect!["1 incident opened on 1 device of building x: A silent: power 9 kW, expected 5"]
        .assert_eq(&line(Some("first"), &[&one]));
    expect!["2 incidents opened on 2 devices of building x: A silent, B silent"]
        .assert_eq(&line(None, &[&one, &other]));
}

/// A single transition is told as it is on Kafka; the id of several follows from what they are.
#[test]
fn ids_follow_from_content() {
    let of = |lines: &[&str]| {
        let members: Vec<Transition> = lines.iter().map(|line| transition(line)).collect();
        Alert::of(7, "building:x", What::Opened, None, &members.iter().collect::<Vec<_>>())
    };
    let lone = of(&["1 A@x warning 1"]);
    assert_eq!((lone.id.as_str(), &lone.object), ("A:1", &transition("1 A@x warning 1").object));
    assert_eq!((&lone.context["devices"], &lone.context["what"]), (&json!(["A"]), &json!("opened")));
    let both = of(&["1 A@x warning 1", "1 B@x critical 1"]);
    assert_eq!((both.id.as_str(), &both.object["severity"]), (both.object["id"].as_str().unwrap(), &json!("critical")));
    assert_eq!(both.object["incidents"][1]["id"], "B:1");
    assert_ne!(both.id, of(&["1 A@x warning 1", "1 B@x critical 2"]).id);
    assert_eq!(both.id, of(&["1 A@x warning 1", "1 B@x critical 1"]).id);
}

/// Where the log stands still, the wall clock ends the waiting of what is complete, and of nothing else.
#[test]
fn the_clock_stands_in_for_event_time() {
    let rules = Rules { wait_ms: 90_000, ..RULES };
    let all = ["1 A@x warning 1", "2 B@x warning 1"].map(transition);
    let pending: BTreeMap<String, Transition> = all.iter().map(|one| (key(one), one.clone())).collect();
    let mut groups = Groups::default();
    assert!(groups.seal(rules, &pending, 2 * MINUTE_MS, 2 * MINUTE_MS, 0).is_none());
    let sealed = groups.seal(rules, &pending, 2 * MINUTE_MS, 5 * MINUTE_MS, 0).unwrap();
    assert_eq!(sealed.told, [key(&all[0])]);
}

#[test]
fn what_is_open_is_repeated_and_what_is_over_is_not() {
    let all = ["1 A@x warning 1", "1 B@x warning 1"].map(transition);
    let pending: BTreeMap<String, Transition> = all.iter().map(|one| (key(one), one.clone())).collect();
    let mut groups = Groups::default();
    let first = groups.seal(RULES, &pending, 2 * MINUTE_MS, 2 * MINUTE_MS, 1_000).unwrap().alerts.remove(0);
    assert!(groups.to_repeat(500, 1_400).is_empty());
    let due = groups.to_repeat(500, 1_500);
    assert_eq!(due.len(), 1);
    let again = groups.repeat("building:x", &all[..1], &["B".to_owned()], 1_500).unwrap();
    assert_eq!((again.what, &again.object["update_of"]), (What::Repeated, &json!(first.id)));
    assert_eq!(again.object["devices"], json!(["A"]));
    assert!(groups.to_repeat(500, 1_600).is_empty());
    assert!(groups.repeat("building:x", &[], &["A".to_owned()], 2_000).is_none());
    assert!(groups.to_repeat(0, i64::MAX).is_empty(), "nothing is open any more");
}
