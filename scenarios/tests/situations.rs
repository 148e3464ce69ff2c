//! Every rule of the catalogue stands in a case with its ten situations, and what the goldens of these cases say of it is what
//! was written down before.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use model::Catalogue;
use model::time::parse_rfc3339;
use scenarios::case::{self, Input};
use scenarios::situations::{FAULT_MS, Situation, Situations, written_verdicts};

/// A golden and a table of `verdicts.txt`, by device.
struct Told {
    name: String,
    situations: Situations,
    golden: String,
    /// `since:first-last/states` or `-`, by device.
    written: BTreeMap<String, String>,
}

fn told() -> Vec<Told> {
    let folder = case::bundled_folder();
    let names = case::list(&folder).expect("the cases are there");
    let cases = names.iter().map(|name| case::load(&folder, name).unwrap_or_else(|error| panic!("{error}")));
    let told = cases.filter_map(|case| {
        let Input::Situations(situations) = &case.input else { return None };
        let verdicts = fs::read_to_string(case.folder.join("verdicts.txt")).expect("the case has its verdicts.txt");
        let golden = case.golden().expect("it can be read").unwrap_or_default();
        Some(Told {
            written: written_verdicts(&verdicts).unwrap_or_else(|error| panic!("case {:?}: {error}", case.name)),
            situations: situations.clone(),
            golden,
            name: case.name,
        })
    });
    told.collect()
}

/// Minutes after 10:00.
fn minute(time: &str) -> i64 {
    (parse_rfc3339(time).expect("a golden has RFC 3339 times") - FAULT_MS).div_euclid(60_000)
}

#[test]
fn every_rule_has_its_ten_situations() {
    let told = told();
    for (name, device_type) in &Catalogue::builtin().types {
        let Some(of_type) = told.iter().find(|told| told.situations.device_type == *name) else {
            assert!(device_type.rules.is_empty(), "device type {name:?} has rules and no case with [situations]");
            continue;
        };
        let ids: BTreeSet<&str> = of_type.situations.rules.iter().map(|rule| rule.id.as_str()).collect();
        for rule in &device_type.rules {
            assert!(ids.contains(rule.id.as_str()), "case {:?} lacks the rule {:?}", of_type.name, rule.id);
        }
        for points in &of_type.situations.rules {
            let Some(rule) = device_type.rules.iter().find(|rule| rule.id == points.id) else {
                panic!("case {:?} has the rule {:?}, which its type lacks", of_type.name, points.id);
            };
            let times = (rule.confirm_minutes, rule.settle_minutes, rule.guard.is_some());
            let written = (points.confirm_minutes, points.settle_minutes, points.guarded);
            assert_eq!(times, written, "confirm, settle and guard of {name} {}", rule.id);
            for situation in Situation::ALL {
                let device = points.device(situation);
                assert!(of_type.written.contains_key(&device), "verdicts.txt of {:?} lacks {device}", of_type.name);
            }
        }
        assert_eq!(of_type.written.len(), 10 * ids.len(), "verdicts.txt of {:?} has no others", of_type.name);
    }
}

#[test]
fn the_goldens_say_what_was_written_down() {
    let mut wrong = Vec::new();
    for Told { name, situations, golden, written } in told() {
        for (rule, situation) in
            situations.rules.iter().flat_map(|rule| Situation::ALL.map(|situation| (rule, situation)))
        {
            let device = rule.device(situation);
            let seen = seen(&golden, &device, &rule.id);
            // Where another rule is broken, too, the incident's start is not this one's alone.
            let is_same = match seen.strip_prefix("?:") {
                Some(seen) => written[&device].split_once(':').is_some_and(|(_, written)| written == seen),
                None => seen == written[&device],
            };
            if !is_same {
                wrong.push(format!("case {name:?} {device}: written {} seen {seen}", written[&device]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a golden says of a rule of a device, as a cell of the table; `?` for its start where another rule is broken, too.
fn seen(golden: &str, device: &str, rule: &str) -> String {
    let lines = |word: &str| {
        let words = golden.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        words
            .filter(|words| words[0] == word && words[1] == device)
            .map(|words| words[2..].to_vec())
            .collect::<Vec<_>>()
    };
    let (broken, incidents) = (lines("rule"), lines("incident"));
    let alone = broken.iter().all(|words| words[0] == rule);
    let span = |times: &str| {
        let (first, last) = times.split_once("..").expect("a golden has spans");
        (minute(first), minute(last))
    };
    let spans: Vec<(i64, i64)> = incidents.iter().map(|words| span(words[1])).collect();
    let Some(words) = broken.iter().find(|words| words[0] == rule) else {
        return if alone && !spans.is_empty() {
            format!("no verdict, but incidents {spans:?}")
        } else {
            "-".to_owned()
        };
    };
    let (first, last) = span(words[1]);
    let states = words[2].trim_start_matches("states=");
    match spans.as_slice() {
        [_, ..] if !alone => format!("?:{first}-{last}/{states}"),
        [(since, end)] if *end == last + 1 => format!("{since}:{first}-{last}/{states}"),
        _ => format!("{first}-{last}/{states}, but incidents {spans:?}"),
    }
}
