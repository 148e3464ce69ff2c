//! How much a device matters, and what that makes of an incident's severity.
//!
//! Alarm management (ISA-18.2, IEC 62682) takes an alarm's priority from two things: how bad it is if nobody does anything, and
//! how soon somebody has to. The methods see how sure and how grave a deviation is; that a chiller serves an operating theatre and a
//! fan coil a store room only people know. So severity is what the methods say, shifted by one step within info, warning, critical:
//! up where much hangs on the device, down where little does. A rule is the floor: it says what breaks if it goes on, on whichever
//! device, so a broken critical rule stays critical and a broken warning a warning.
//!
//! Nothing else changes: what opens an incident, and when, does not hang on how much its device matters, nor does what is learned.

use model::Severity;
use serde::{Deserialize, Serialize};

/// How much a device matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criticality {
    /// It can wait: one step less grave, but not below a broken rule.
    Low,
    /// As the methods say.
    #[default]
    Normal,
    /// Much hangs on it: one step graver.
    High,
}

impl Criticality {
    /// The name used in settings and reports.
    pub fn name(self) -> &'static str {
        match self {
            Criticality::Low => "low",
            Criticality::Normal => "normal",
            Criticality::High => "high",
        }
    }

    /// The severity that counts, from the one that the methods agreed on and that of the gravest broken rule.
    pub(crate) fn weigh(self, severity: Severity, rule: Option<Severity>) -> Severity {
        let shifted = match (self, severity) {
            (Criticality::Normal, severity) => severity,
            (Criticality::High, Severity::Info) => Severity::Warning,
            (Criticality::High, _) => Severity::Critical,
            (Criticality::Low, Severity::Critical) => Severity::Warning,
            (Criticality::Low, _) => Severity::Info,
        };
        rule.map_or(shifted, |rule| shifted.max(rule))
    }

    /// What an incident's summary says of it; nothing where it changes nothing.
    pub(crate) fn note(self) -> &'static str {
        match self {
            Criticality::Low => "; its severity takes into account that the device's criticality is low",
            Criticality::Normal => "",
            Criticality::High => "; its severity takes into account that the device's criticality is high",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn severity_moves_by_a_step_within_its_bounds_and_not_below_a_broken_rule() {
        let severities = [Severity::Info, Severity::Warning, Severity::Critical];
        let mut lines = Vec::new();
        for criticality in [Criticality::Low, Criticality::Normal, Criticality::High] {
            for rule in [None, Some(Severity::Warning), Some(Severity::Critical)] {
                // What the methods agree on is never below a broken rule.
                let possible = severities.into_iter().filter(|severity| rule.is_none_or(|rule| *severity >= rule));
                let moved = possible
                    .map(|severity| format!("{} -> {}", severity.name(), criticality.weigh(severity, rule).name()));
                let rule = rule.map_or("no", Severity::name);
                lines.push(format!("{}, {rule} rule: {}", criticality.name(), moved.collect::<Vec<_>>().join(", ")));
            }
        }
        expect![[r#"
            low, no rule: info -> info, warning -> info, critical -> warning
            low, warning rule: warning -> warning, critical -> warning
            low, critical rule: critical -> critical
            normal, no rule: info -> info, warning -> warning, critical -> critical
            normal, warning rule: warning -> warning, critical -> critical
            normal, critical rule: critical -> critical
            high, no rule: info -> warning, warning -> critical, critical -> critical
            high, warning rule: warning -> critical, critical -> critical
            high, critical rule: critical -> critical"#]]
        .assert_eq(&lines.join("\n"));
    }
}
