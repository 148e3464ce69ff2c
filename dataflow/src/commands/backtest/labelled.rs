//! Two runs against the labels of known faults.

use model::recording::Label;
use model::time::format_ms;
use serde_json::{Value as Json, json};

use super::compare::Run;
use crate::commands::common::{printable, short_duration, short_time, table, table_text};
use crate::commands::incidents::{Stored, Told as _};

/// A fault, and the incident of each run that a technician would have seen first.
struct Found<'a> {
    label: &'a Label,
    before: Option<&'a Stored>,
    after: Option<&'a Stored>,
}

/// What was found and missed.
pub struct Labelled<'a> {
    faults: Vec<Found<'a>>,
    /// Incidents that belong to no fault, before and after.
    without: [usize; 2],
}

impl<'a> Labelled<'a> {
    /// `None` without labels.
    pub fn new(labels: &'a [Label], before: &'a Run, after: &'a Run) -> Option<Labelled<'a>> {
        if labels.is_empty() {
            return None;
        }
        let first = |run: &'a Run, label: &Label| {
            run.incidents.iter().filter(|one| one.belongs_to(label)).min_by_key(|one| one.detected_ms)
        };
        let without =
            |run: &Run| run.incidents.iter().filter(|one| !labels.iter().any(|label| one.belongs_to(label))).count();
        Some(Labelled {
            faults: labels
                .iter()
                .map(|label| Found { label, before: first(before, label), after: first(after, label) })
                .collect(),
            without: [without(before), without(after)],
        })
    }

    fn found(&self, of: impl Fn(&Found<'_>) -> bool) -> usize {
        self.faults.iter().filter(|found| of(found)).count()
    }

    /// For a person.
    pub fn text(&self) -> String {
        let all = self.faults.len();
        let mut shown =
            table(&["", "labelled fault", "device", "from", "lasted", "found before", "found after", ""], &[4]);
        for found in &self.faults {
            let label = found.label;
            let when = |one: Option<&Stored>| match one {
                Some(one) => format!("after {}", short_duration((one.detected_ms - label.start_ms).max(0))),
                None => "missed".to_owned(),
            };
            shown.add_row([
                String::new(),
                printable(&format!("{} ({})", label.fault, label.severity)),
                printable(&label.device_id),
                short_time(label.start_ms),
                short_duration(label.end_ms - label.start_ms),
                when(found.before),
                when(found.after),
                found.change().to_uppercase(),
            ]);
        }
        format!(
            "\nAgainst the labels: {} of {all} faults found before, {} after; incidents without a fault: {} before, {} after\n{}",
            self.found(|found| found.before.is_some()),
            self.found(|found| found.after.is_some()),
            self.without[0],
            self.without[1],
            table_text(&shown)
        )
    }

    /// As people's programs read it.
    pub fn to_json(&self) -> Json {
        let side = |one: Option<&Stored>, label: &Label| {
            one.map(|one| {
                json!({"id": one.id, "detected_at": format_ms(one.detected_ms), "after_ms": (one.detected_ms - label.start_ms).max(0)})
            })
        };
        let fault = |found: &Found<'_>| {
            let label = found.label;
            json!({
                "device_id": label.device_id, "fault": label.fault, "severity": label.severity,
                "start": format_ms(label.start_ms), "end": format_ms(label.end_ms),
                "before": side(found.before, label), "after": side(found.after, label), "change": found.change(),
            })
        };
        json!({
            "faults": self.faults.iter().map(fault).collect::<Vec<_>>(),
            "found": {
                "before": self.found(|found| found.before.is_some()),
                "after": self.found(|found| found.after.is_some()),
            },
            "incidents_without_a_fault": {"before": self.without[0], "after": self.without[1]},
        })
    }
}

impl Found<'_> {
    fn change(&self) -> &'static str {
        match (self.before.is_some(), self.after.is_some()) {
            (true, false) => "lost",
            (false, true) => "gained",
            _ => "",
        }
    }
}
