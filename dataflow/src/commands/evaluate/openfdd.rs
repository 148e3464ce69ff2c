//! Rule cases of open-fdd: rows of one piece of equipment, the name of the rule that they are about, and whether it has to find a
//! fault in them. A case is right where the catalogue's rule for it says the same.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use model::Catalogue;
use model::time::parse_rfc3339;
use serde::Deserialize;
use serde_json::json;

use super::graph::{Recording, judge};
use super::input::lacks;
use super::{Part, Report};
use crate::config::Config;

/// The file of a folder.
const CASES: &str = "oracle_cases.jsonl";

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    rule: String,
    scenario: String,
    roles: BTreeMap<String, String>,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    expected: Expected,
}

#[derive(Deserialize)]
struct Expected {
    any_fault: Option<bool>,
}

/// The collection's rules: the catalogue's type and rule for each, where it has one.
const RULES: [(&str, &str, &str); 10] = [
    ("AHU-DUCTHI", "air_handling_unit", "duct_pressure_high"),
    ("CHW-1", "chiller", "delta_t_narrow"),
    ("CHW-NOLOAD-1", "chiller", "runs_without_load"),
    ("ECON-1", "air_handling_unit", "economizer_closed"),
    ("FC1", "air_handling_unit", "duct_pressure_low"),
    ("VAV-1", "vav_box", "zone_uncomfortable"),
    ("VAV-2", "vav_box", "conditioned_while_empty"),
    ("VAV-4", "vav_box", "starved"),
    ("VAV-6", "vav_box", "reheat_while_free_cooling"),
    ("VAV-7", "vav_box", "flow_below_minimum"),
];

/// The collection's roles as metrics; a share's unit follows from its values.
const ROLES: [(&str, &str, &str); 22] = [
    ("duct-static-pressure", "static_pressure", "inH2O"),
    ("duct-static-pressure-sp", "static_pressure_setpoint", "inH2O"),
    ("fan-status", "supply_fan_status", "0/1"),
    ("fan-cmd", "supply_fan_speed", SHARE),
    ("discharge-air-temp-sp", "supply_air_temp_setpoint", "°F"),
    ("outside-air-temp", "outdoor_air_temp", "°F"),
    ("outside-air-damper", "outdoor_air_damper", SHARE),
    ("chilled-water-supply-temp", "chilled_water_supply_temp", "°F"),
    ("chilled-water-return-temp", "chilled_water_return_temp", "°F"),
    ("chiller-status", "compressor_status", "0/1"),
    ("chiller-current", "compressor_current", "Amps"),
    ("chiller-power", "power_consumption", "kW"),
    ("chw-pump-cmd", "chilled_water_pump_command", SHARE),
    ("building-zone-load-satisfied", "building_load_satisfied", "0/1"),
    ("zone-air-temp", "zone_air_temp", "°F"),
    ("zone-airflow", "zone_air_flow", "CFM"),
    ("min-flow-sp", "minimum_flow_setpoint", "CFM"),
    ("occupied", "occupancy_status", "0/1"),
    ("damper", "damper_position", SHARE),
    ("reheat-valve", "reheat_valve", SHARE),
    ("cooling-available", "cooling_available", "0/1"),
    ("sat", "supply_air_temp", "°F"),
];

/// Stands for `ratio` where no value is above 1, else for `%`.
const SHARE: &str = "";

/// What became of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As the label says.
    Right,
    /// A fault that is none, or none where one is.
    Wrong,
    /// The catalogue has no such rule, or the case lacks a metric that it needs.
    NotApplicable,
    /// The case has no label.
    Unlabelled,
}

impl Answer {
    fn word(self) -> &'static str {
        match self {
            Answer::Right => "right",
            Answer::Wrong => "wrong",
            Answer::NotApplicable => "not applicable",
            Answer::Unlabelled => "unlabelled",
        }
    }
}

/// A case, judged.
pub struct Case {
    /// The collection's rule.
    pub rule: String,
    /// `fault`, `normal`, `equipment_off` ...
    pub scenario: String,
    /// The catalogue's rule.
    pub own: Option<&'static str>,
    /// What the label says.
    pub expected: Option<bool>,
    /// What the rule said; `None` where it could not speak.
    pub found: Option<bool>,
}

impl Case {
    /// What became of it.
    pub fn answer(&self) -> Answer {
        match (self.found, self.expected) {
            (None, _) => Answer::NotApplicable,
            (Some(_), None) => Answer::Unlabelled,
            (Some(found), Some(expected)) if found == expected => Answer::Right,
            _ => Answer::Wrong,
        }
    }
}

/// Judges all cases of a folder.
///
/// # Errors
/// Wrong use for a folder without them; a line that is none; a job that failed.
pub fn cases(folder: &Path, config: &Config) -> anyhow::Result<Vec<Case>> {
    let path = folder.join(CASES);
    if !path.is_file() {
        return Err(lacks(folder, CASES));
    }
    let text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    let mut cases = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = || format!("{}, line {}", path.display(), at + 1);
        let line: Line = serde_json::from_str(line).with_context(place)?;
        cases.push(line.judge(config).with_context(place)?);
    }
    Ok(cases)
}

/// All cases of a folder as they are printed.
///
/// # Errors
/// As [`cases`].
pub fn report(folder: &Path, config: &Config) -> anyhow::Result<Report> {
    const ANSWERS: [Answer; 4] = [Answer::Right, Answer::Wrong, Answer::NotApplicable, Answer::Unlabelled];
    let cases = cases(folder, config)?;
    let mut by_rule: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
    for case in &cases {
        by_rule.entry(&case.rule).or_default().push(case);
    }
    let counts = |cases: &[&Case]| ANSWERS.map(|answer| cases.iter().filter(|case| case.answer() == answer).count());
    let cells = |cases: &[&Case]| counts(cases).map(|count| count.to_string()).to_vec();
    let own = |cases: &[&Case]| cases.first().and_then(|case| case.own).unwrap_or("none");
    let mut rows: Vec<_> = by_rule.iter().map(|(rule, cases)| ((*rule).to_owned(), cells(cases), own(cases))).collect();
    let all: Vec<&Case> = cases.iter().collect();
    rows.push(("all".to_owned(), cells(&all), ""));
    let word = |said: Option<bool>| said.map_or("-", |fault| if fault { "fault" } else { "none" }).to_owned();
    let part = |case: &Case| Part {
        name: format!("{} {}", case.rule, case.scenario),
        cells: vec![word(case.expected), word(case.found), case.answer().word().to_owned()],
    };
    let [right, wrong, not_applicable, unlabelled] = counts(&all);
    Ok(Report {
        header: &["rule", "right", "wrong", "not applicable", "unlabelled", "own rule"],
        known: &[],
        rows,
        part_header: &["case", "label", "found", "answer"],
        parts: cases.iter().map(part).collect(),
        notes: vec![
            "not applicable: the catalogue has no such rule, or the case lacks a metric that it needs".to_owned(),
        ],
        json: json!({"openfdd": {
            "right": right, "wrong": wrong, "not_applicable": not_applicable, "unlabelled": unlabelled,
        }}),
    })
}

impl Line {
    fn judge(self, config: &Config) -> anyhow::Result<Case> {
        let known = RULES.iter().find(|(rule, ..)| *rule == self.rule);
        let found = match known {
            Some((_, device_type, rule)) => self.found(device_type, rule, config)?,
            None => None,
        };
        let own = known.map(|(.., rule)| *rule);
        Ok(Case { rule: self.rule, scenario: self.scenario, own, expected: self.expected.any_fault, found })
    }

    /// Whether the rule was ever broken; `None` where it lacks a metric.
    fn found(&self, device_type: &'static str, rule: &str, config: &Config) -> anyhow::Result<Option<bool>> {
        let (recording, sent) = self.recording(device_type)?;
        let outcome = judge(&recording, config)?;
        let states = outcome.states.values();
        let is_broken = states.flat_map(|state| &state.verdicts).flat_map(|verdict| &verdict.findings);
        let broken = is_broken.into_iter().any(|finding| finding.kind == rule);
        let known = Catalogue::builtin().types.get(device_type).expect("the rules above are of known types");
        let has_all =
            udfs::rule_inputs(known, rule).is_some_and(|inputs| inputs.iter().all(|name| sent.contains(name)));
        Ok(has_all.then_some(broken))
    }

    /// The rows as a device sends them, and the names of the metrics.
    fn recording(&self, device_type: &'static str) -> anyhow::Result<(Recording, Vec<String>)> {
        let (mut metrics, mut columns) = (Vec::new(), Vec::new());
        for (at, name) in self.header.iter().enumerate().skip(1) {
            let role = self.roles.get(name).ok_or_else(|| anyhow!("column {name:?} has no role"))?;
            let Some((_, metric, unit)) = ROLES.iter().find(|(known, ..)| known == role) else {
                return Err(anyhow!("role {role:?} is not known"));
            };
            let highest = self.rows.iter().filter_map(|row| row.get(at)?.parse::<f64>().ok()).fold(0.0, f64::max);
            let unit = match *unit {
                SHARE if highest > 1.0 => "%",
                SHARE => "ratio",
                unit => unit,
            };
            metrics.push(((*metric).to_owned(), unit));
            columns.push(at);
        }
        let mut rows = Vec::with_capacity(self.rows.len());
        for row in &self.rows {
            let time = row.first().ok_or_else(|| anyhow!("a row is empty"))?;
            let time_ms = parse_rfc3339(time).with_context(|| format!("{time:?} is no time"))?;
            let cell =
                |at: &usize| row.get(*at).map(|cell| plain(cell)).ok_or_else(|| anyhow!("the row of {time} is short"));
            rows.push((time_ms, columns.iter().map(cell).collect::<anyhow::Result<_>>()?));
        }
        let sent = metrics.iter().map(|(metric, _)| metric.clone()).collect();
        let device_id = format!("{} {}", self.rule, self.scenario);
        Ok((Recording { device_id, device_type, metrics, rows }, sent))
    }
}

/// A cell as a number: the collection writes an occupancy as a word.
fn plain(cell: &str) -> String {
    match cell {
        "occupied" => "1".to_owned(),
        "unoccupied" => "0".to_owned(),
        other => other.to_owned(),
    }
}
