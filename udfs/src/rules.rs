//! Rules: conditions from the catalogue that a healthy device never meets.
//!
//! Score: 1 for a broken critical rule, 0.75 for a warning, 0.5 for an info. A metric that has no reading makes a rule not
//! applicable: neither broken nor kept. Beyond the written rules every metric with plausible limits must stay within them
//! (a tenth of their range is given on either side).

mod compile;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Catalogue, DeviceType, Finding, Method, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::{Broken, Detector, Evidence, Sample};
use compile::INPUTS;
pub(crate) use compile::{Condition, ExpressionError};

/// Why a type's rules can't be used.
#[derive(Debug, thiserror::Error)]
#[error("device type {device_type:?}: rule {rule:?}: {part} {source}")]
pub struct RuleError {
    /// The type.
    pub device_type: String,
    /// The rule, or the derived metric.
    pub rule: String,
    /// `when` or `guard` of a rule, `formula of a derived metric`.
    pub part: &'static str,
    /// What is wrong with it.
    pub source: ExpressionError,
}

/// Compiles every rule of a catalogue: what a job does before it starts and before it takes a changed one.
pub fn check_catalogue(catalogue: &Catalogue) -> Result<(), RuleError> {
    for (name, device_type) in &catalogue.types {
        RuleSet::compile(name, device_type)?;
        crate::derived::compile(device_type).map_err(|(rule, source)| RuleError {
            device_type: name.clone(),
            rule,
            part: "formula of a derived metric",
            source,
        })?;
    }
    Ok(())
}

/// The metrics that a rule of a type needs; `None` where the type has no such rule or it can't be used.
pub fn rule_inputs(device_type: &DeviceType, id: &str) -> Option<Vec<String>> {
    let rules = RuleSet::compile("", device_type).ok()?.rules;
    rules.into_iter().find(|rule| rule.id == id).map(|rule| rule.inputs)
}

/// The compiled rules of a type.
#[derive(Debug)]
struct RuleSet {
    rules: Vec<Rule>,
    limits: Vec<Limit>,
}

#[derive(Debug)]
struct Rule {
    id: String,
    description: String,
    severity: Severity,
    confirm_minutes: u32,
    settle_minutes: u32,
    when: Condition,
    guard: Option<Condition>,
    /// Metrics by the program's inputs.
    inputs: Vec<String>,
    shown: String,
    unit: String,
}

#[derive(Debug)]
struct Limit {
    metric: String,
    unit: String,
    lo: f64,
    hi: f64,
}

impl RuleSet {
    fn compile(name: &str, device_type: &DeviceType) -> Result<RuleSet, RuleError> {
        let metrics: Vec<&str> = device_type.metrics.keys().map(String::as_str).collect();
        let mut rules = Vec::with_capacity(device_type.rules.len());
        for spec in &device_type.rules {
            let wrong =
                |part| move |source| RuleError { device_type: name.to_owned(), rule: spec.id.clone(), part, source };
            let mut inputs = Vec::new();
            let when = Condition::compile(&spec.when, &metrics, &mut inputs).map_err(wrong("when"))?;
            let guard = match &spec.guard {
                Some(guard) => Some(Condition::compile(guard, &metrics, &mut inputs).map_err(wrong("guard"))?),
                None => None,
            };
            let shown = spec.metrics.first().cloned().unwrap_or_default();
            rules.push(Rule {
                id: spec.id.clone(),
                description: spec.description.clone(),
                severity: spec.severity,
                confirm_minutes: spec.confirm_minutes,
                settle_minutes: spec.settle_minutes,
                when,
                guard,
                inputs,
                unit: device_type.metrics.get(&shown).map(|metric| metric.unit.clone()).unwrap_or_default(),
                shown,
            });
        }
        let limits = device_type
            .metrics
            .iter()
            .filter_map(|(metric, spec)| {
                let (lo, hi) = (spec.lo?, spec.hi?);
                let give = (hi - lo) * 0.1;
                Some(Limit { metric: metric.clone(), unit: spec.unit.clone(), lo: lo - give, hi: hi + give })
            })
            .collect();
        Ok(RuleSet { rules, limits })
    }

    /// The compiled rules of a type, shared by all devices of it.
    fn of(device_type: &DeviceType) -> Arc<RuleSet> {
        static COMPILED: Mutex<BTreeMap<u64, Arc<RuleSet>>> = Mutex::new(BTreeMap::new());
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = compiled.entry(device_type.content).or_insert_with(|| {
            Arc::new(RuleSet::compile("", device_type).expect("rules were compiled by check_catalogue at start"))
        });
        Arc::clone(rules)
    }
}

/// The rules' state of one device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rules {
    /// Content hash of the type that `runs` belong to.
    content: u64,
    runs: Vec<Run>,
    #[serde(skip)]
    bound: Option<Bound>,
}

/// How far one rule is from being broken.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Run {
    /// Windows in a row that breached.
    breached: u32,
    /// Start of the first of them.
    since_ms: i64,
    /// Windows in a row with the guard true.
    guarded: u32,
}

/// The rules with their metrics' slots. Not part of the state: made again whenever slots or rules change.
#[derive(Clone, Debug)]
struct Bound {
    rules: Arc<RuleSet>,
    content: u64,
    slots: usize,
    /// By rule, by input; `None`: the device never had the metric.
    inputs: Vec<Option<Vec<usize>>>,
    limits: Vec<Option<usize>>,
}

impl Rules {
    fn bind(&mut self, device_type: &DeviceType, names: &[String]) {
        if let Some(bound) = &self.bound
            && bound.content == device_type.content
            && bound.slots == names.len()
        {
            return;
        }
        let rules = RuleSet::of(device_type);
        let slot = |metric: &String| names.iter().position(|name| name == metric);
        let inputs = rules.rules.iter().map(|rule| rule.inputs.iter().map(slot).collect()).collect();
        let limits = rules.limits.iter().map(|limit| slot(&limit.metric)).collect();
        if self.content != device_type.content || self.runs.len() != rules.rules.len() {
            self.content = device_type.content;
            self.runs = vec![Run::default(); rules.rules.len()];
        }
        self.bound = Some(Bound { rules, content: device_type.content, slots: names.len(), inputs, limits });
    }
}

impl Detector for Rules {
    fn judge(&mut self, sample: &Sample<'_>) -> Evidence {
        let mut verdict = Verdict {
            method: Method::Rules,
            score: 0.0,
            severity: None,
            warm_up: 1.0,
            findings: Vec::new(),
            compared: Vec::new(),
        };
        let Some(device_type) = sample.state.device_type else { return Evidence::of(verdict, sample) };
        self.bind(device_type, sample.state.names);
        let Some(bound) = &self.bound else { return Evidence::of(verdict, sample) };
        let mut values = [0.0; INPUTS];
        let (mut since_ms, mut pending_ms) = (None::<i64>, None::<i64>);
        let mut gravest: Option<Broken> = None;
        let mut note = |severity: Severity, metric: &str, text: &dyn Fn() -> String| {
            if gravest.as_ref().is_none_or(|known| known.severity < severity) {
                gravest = Some(Broken { severity, metric: metric.to_owned(), text: text() });
            }
        };
        let width_ms = u64::try_from(sample.state.width_ms).unwrap_or(0).max(1);
        let windows =
            |minutes: u32| u32::try_from((u64::from(minutes) * 60_000).div_ceil(width_ms)).unwrap_or(u32::MAX);
        for ((rule, places), run) in bound.rules.rules.iter().zip(&bound.inputs).zip(&mut self.runs) {
            let present = places.as_ref().is_some_and(|places| {
                places.iter().zip(&mut values).all(|(slot, value)| match &sample.state.metrics[*slot] {
                    Some(aggregate) => {
                        *value = aggregate.mean;
                        true
                    }
                    None => false,
                })
            });
            if !present {
                // No news is no good news: a breach that was going on is neither confirmed nor over.
                continue;
            }
            if !rule.guard.as_ref().is_none_or(|guard| guard.holds(&values)) {
                (run.breached, run.guarded) = (0, 0);
                continue;
            }
            run.guarded = run.guarded.saturating_add(1);
            if run.guarded <= windows(rule.settle_minutes) || !rule.when.holds(&values) {
                run.breached = 0;
                continue;
            }
            if run.breached == 0 {
                run.since_ms = sample.state.start_ms;
            }
            run.breached = run.breached.saturating_add(1);
            if rule.severity < Severity::Critical && !sample.warm {
                continue;
            }
            let earliest = |known: Option<i64>| Some(known.map_or(run.since_ms, |known_ms| known_ms.min(run.since_ms)));
            if run.breached < windows(rule.confirm_minutes).max(1) {
                pending_ms = earliest(pending_ms);
                continue;
            }
            since_ms = earliest(since_ms);
            let (score, limit) = rule.when.sides(&values).unwrap_or((1.0, 1.0));
            let observed = sample.state.metric(&rule.shown).map_or(score, |aggregate| aggregate.mean);
            raise(&mut verdict, rule.severity);
            note(rule.severity, &rule.shown, &|| rule.description.clone());
            verdict.findings.push(Finding {
                kind: rule.id.clone(),
                metric: Some(rule.shown.clone()),
                observed,
                expected: None,
                score,
                limit,
                unit: rule.unit.clone(),
                text: format!("{} ({score:.2} against {limit:.2}, for {} windows)", rule.description, run.breached),
                parts: BTreeMap::new(),
            });
        }
        if sample.warm {
            for (limit, slot) in bound.rules.limits.iter().zip(&bound.limits) {
                let Some(aggregate) = slot.and_then(|slot| sample.state.metrics[slot].as_ref()) else { continue };
                let value = aggregate.mean;
                if value >= limit.lo && value <= limit.hi {
                    continue;
                }
                let nearest = if value < limit.lo { limit.lo } else { limit.hi };
                raise(&mut verdict, Severity::Warning);
                since_ms = Some(since_ms.unwrap_or(sample.state.start_ms));
                note(Severity::Warning, &limit.metric, &|| {
                    format!("{} is beyond what any such device has", limit.metric)
                });
                verdict.findings.push(Finding {
                    kind: "implausible".to_owned(),
                    metric: Some(limit.metric.clone()),
                    observed: value,
                    expected: Some(nearest),
                    score: value,
                    limit: nearest,
                    unit: limit.unit.clone(),
                    text: format!("{} is {value:.2} {}, which no such device has", limit.metric, limit.unit),
                    parts: BTreeMap::new(),
                });
            }
        }
        Evidence { since_ms: since_ms.or(pending_ms), rule: gravest, ..Evidence::of(verdict, sample) }
    }
}

fn raise(verdict: &mut Verdict, severity: Severity) {
    verdict.severity = verdict.severity.max(Some(severity));
    verdict.score = verdict.score.max(match severity {
        Severity::Info => 0.5,
        Severity::Warning => 0.75,
        Severity::Critical => 1.0,
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_compile() {
        check_catalogue(Catalogue::builtin()).unwrap();
    }

    #[test]
    fn a_broken_rule_names_its_type_and_place() {
        let text = r#"
            [unit.kW]
            kind = "power"
            [device.pump.metric]
            power = { unit = "kW" }
            [[device.pump.rule]]
            id = "too_much"
            description = "draws too much"
            severity = "warning"
            when = "power > 5.0 && speed > 1.0"
            metrics = ["power"]"#;
        let error = check_catalogue(&Catalogue::parse(text).unwrap()).unwrap_err();
        expect_test::expect![[
            r#"device type "pump": rule "too_much": when names "speed" at character 16, which is no metric of the type"#
        ]]
        .assert_eq(&error.to_string());
    }

    #[test]
    fn a_rule_of_more_metrics_than_can_be_held_is_refused() {
        let metrics: Vec<String> = (0..=INPUTS).map(|number| format!("m{number}")).collect();
        let table: String = metrics.iter().map(|metric| format!("{metric} = {{ unit = \"kW\" }}\n")).collect();
        let check = |names: &[String]| {
            let when = format!("{} > 1.0", names.join(" + "));
            let text = format!(
                "[unit.kW]\nkind = \"power\"\n[device.pump.metric]\n{table}[[device.pump.rule]]\nid = \"sum\"\n\
                 description = \"sum\"\nseverity = \"info\"\nwhen = \"{when}\"\nmetrics = [\"m0\"]"
            );
            check_catalogue(&Catalogue::parse(&text).unwrap())
        };
        check(&metrics[..INPUTS]).unwrap();
        let error = check(&metrics).unwrap_err();
        let expected = r#"device type "pump": rule "sum": when names more than 16 metrics, guard included"#;
        assert_eq!(error.to_string(), expected);
    }
}
