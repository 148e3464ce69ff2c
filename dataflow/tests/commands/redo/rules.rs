//! The rules of a device from its first state on, window by window.

use std::collections::BTreeMap;

use model::Catalogue;

use super::expression::evaluate;
use super::rows::State;

/// A rule that is broken in a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    pub id: String,
    /// The metric that it shows, and its value.
    pub shown: (String, f64),
    /// The two sides of its first comparison.
    pub sides: (f64, f64),
    /// Windows for which it is breached.
    pub windows: u32,
}

#[derive(Clone, Copy, Default)]
struct Run {
    guarded: u32,
    breached: u32,
}

/// The rules that are broken in the last of these states of a device; windows are minutes.
pub fn broken<'a>(states: impl Iterator<Item = &'a State>) -> Vec<Broken> {
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut broken = Vec::new();
    for state in states {
        broken.clear();
        for rule in &Catalogue::builtin().types[&state.device_type].rules {
            let run = runs.entry(rule.id.clone()).or_default();
            let when = evaluate(&rule.when, &state.values);
            let guard = rule.guard.as_ref().map_or(Some((1.0, None)), |guard| evaluate(guard, &state.values));
            let (Some((when, sides)), Some((guard, _))) = (when, guard) else { continue };
            if guard != 1.0 {
                *run = Run::default();
                continue;
            }
            run.guarded += 1;
            if run.guarded <= rule.settle_minutes || when != 1.0 {
                run.breached = 0;
                continue;
            }
            run.breached += 1;
            if run.breached >= rule.confirm_minutes.max(1) {
                let shown = (rule.metrics[0].clone(), state.values.get(&rule.metrics[0]).copied().unwrap_or(f64::NAN));
                broken.push(Broken { id: rule.id.clone(), shown, sides: sides.unwrap(), windows: run.breached });
            }
        }
    }
    broken
}
