//! What is told of a backtest, and how a program reads it.

use std::collections::{BTreeMap, BTreeSet};

use model::time::{date_of, format_ms};
use serde_json::{Value as Json, json};

use super::compare::{Change, Counts, Known, Outcome, Run, compare, known};
use super::input::Input;
use super::labelled::Labelled;
use super::{Configurations, differences};
use crate::commands::incidents::Stored;
use crate::job::meaning;

/// A setting that differs.
pub struct Difference {
    /// Its dotted key.
    pub key: String,
    /// Its value in the first configuration; `off` where there is none.
    pub before: String,
    /// In the second.
    pub after: String,
}

/// All of it.
pub struct Report<'a> {
    pub(super) input: &'a Input,
    pub(super) names: [&'a str; 2],
    pub(super) differences: Vec<Difference>,
    /// Nothing that decides results differs.
    pub(super) same_meaning: bool,
    pub(super) before: &'a Run,
    pub(super) after: &'a Run,
    pub(super) changes: Vec<Change>,
    pub(super) counts: Counts,
    pub(super) labelled: Option<Labelled<'a>>,
    pub(super) known: Option<Known>,
    /// Whether a store's own job ran with the settings that are compared with; `None`: it does not say, or there is no store.
    pub(super) as_written: Option<bool>,
    /// Incidents by device and month, before and after.
    pub(super) months: BTreeMap<(String, String), [u64; 2]>,
}

/// Milliseconds of a mean month.
const MONTH_MS: f64 = 30.436_875 * 86_400_000.0;

impl<'a> Report<'a> {
    /// Compares the runs.
    pub(super) fn new(input: &'a Input, configurations: &'a Configurations, before: &'a Run, after: &'a Run) -> Self {
        let Configurations { before: old, after: new, before_name, after_name } = configurations;
        let (old_meaning, new_meaning) = (meaning(&old.job, &old.detectors), meaning(&new.job, &new.detectors));
        let changes = compare(before, after);
        let mut months: BTreeMap<(String, String), [u64; 2]> = BTreeMap::new();
        for (side, run) in [before, after].into_iter().enumerate() {
            for one in &run.incidents {
                let month: String = date_of(one.start_ms).chars().take(7).collect();
                months.entry((one.device_id.clone(), month)).or_default()[side] += 1;
            }
        }
        Report {
            input,
            names: [before_name, after_name],
            differences: differences(old, new),
            same_meaning: old_meaning == new_meaning,
            before,
            after,
            counts: Counts::of(&changes),
            changes,
            labelled: Labelled::new(&input.labels, before, after),
            known: input.stored.as_ref().map(|stored| known(stored, before)),
            as_written: input.written_with.as_ref().map(|written| *written == old_meaning),
            months,
        }
    }

    /// Some incident is gone.
    pub(super) fn vanishes(&self) -> bool {
        self.counts.get(Outcome::Vanishes) > 0
    }

    /// Incidents a device and month of its states.
    pub(super) fn rates(&self) -> [f64; 2] {
        let rate = |run: &Run| {
            let states: usize = run.states.values().map(BTreeMap::len).sum();
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let (incidents, lasted_ms) = (run.incidents.len() as f64, states as f64 * run.width_ms as f64);
            if lasted_ms > 0.0 { incidents * MONTH_MS / lasted_ms } else { 0.0 }
        };
        [rate(self.before), rate(self.after)]
    }

    /// The devices that no run had learned where judging begins (of a recording: to its end).
    pub(super) fn unlearned(&self) -> BTreeSet<&str> {
        let from_ms = self.input.from_ms;
        let late = |run: &'a Run| {
            run.learned.iter().filter(move |(_, learned)| match learned.warm_ms {
                None => true,
                Some(warm_ms) => from_ms > i64::MIN && warm_ms > from_ms,
            })
        };
        late(self.before).chain(late(self.after)).map(|(device, _)| device.as_str()).collect()
    }

    /// All devices of both runs.
    pub(super) fn devices(&self) -> BTreeSet<&str> {
        self.before.learned.keys().chain(self.after.learned.keys()).map(String::as_str).collect()
    }

    /// When the last device that was learned at all was learned.
    pub(super) fn learned_ms(&self) -> Option<i64> {
        let runs = [self.before, self.after].into_iter();
        runs.flat_map(|run| run.learned.values()).filter_map(|learned| learned.warm_ms).max()
    }

    /// Groups with an incident in a device's warm-up.
    pub(super) fn in_warm_up(&self) -> usize {
        self.changes.iter().filter(|change| change.in_warm_up).count()
    }

    /// The incident that a group shows.
    pub(super) fn shown(&self, change: &Change) -> &Stored {
        change.shown(self.before, self.after)
    }

    /// As people's programs read it.
    pub(super) fn to_json(&self) -> Json {
        let severities = |run: &Run| {
            let [info, warning, critical] = run.by_severity();
            json!({"info": info, "warning": warning, "critical": critical})
        };
        let count = |outcome| self.counts.get(outcome);
        let run = |run: &Run| {
            let totals = &run.totals;
            json!({
                "received": totals.received(), "windowed": totals.windowed, "late": totals.late,
                "dead_lettered": totals.dead_lettered, "duplicate": totals.duplicate, "skipped": totals.skipped,
                "states": totals.states, "anomalous_states": totals.anomalous_states,
            })
        };
        let slice = self.input.read().map(|read| {
            json!({
                "readings": read.readings.0, "late": read.readings.1, "devices": read.devices,
                "first": format_ms(read.extent_ms.0), "last": format_ms(read.extent_ms.1),
                "read_from": format_ms(read.asked_ms[0]), "judged_from": format_ms(read.asked_ms[1]),
                "to": format_ms(read.asked_ms[2]), "controls": self.input.controls.len(),
                "stored_incidents": self.known.as_ref().map(|known| known.stored),
                "stored_incidents_found_again": self.known.as_ref().map(|known| known.again),
                "before_is_the_jobs_own": self.as_written,
            })
        });
        let differences = |one: &Difference| json!({"key": one.key, "before": one.before, "after": one.after});
        let changes: Vec<Json> = self.in_order().map(|change| change.to_json(self.before, self.after)).collect();
        let month = |((device, month), [before, after]): (&(String, String), &[u64; 2])| json!({"device_id": device, "month": month, "before": before, "after": after});
        let [rate_before, rate_after] = self.rates();
        json!({
            "input": self.input.description,
            "slice": slice,
            "before": {"configuration": self.names[0], "messages": run(self.before)},
            "after": {"configuration": self.names[1], "messages": run(self.after)},
            "differences": self.differences.iter().map(differences).collect::<Vec<_>>(),
            "same_meaning": self.same_meaning,
            "warm_up": {
                "devices": self.devices().len(),
                "not_learned": self.unlearned(),
                "learned_at": self.learned_ms().map(format_ms),
                "incidents_within": self.in_warm_up(),
            },
            "counts": {
                "same": count(Outcome::Same), "moved": count(Outcome::Moved), "split": count(Outcome::Split),
                "joined": count(Outcome::Joined), "regrouped": count(Outcome::Regrouped),
                "appears": count(Outcome::Appears), "vanishes": count(Outcome::Vanishes),
            },
            "severities": {"before": severities(self.before), "after": severities(self.after)},
            "incidents": changes,
            "by_device_and_month": self.months.iter().map(month).collect::<Vec<_>>(),
            "per_device_and_month_of_states": {"before": rate_before, "after": rate_after},
            "labels": self.labelled.as_ref().map(Labelled::to_json),
        })
    }

    /// Vanished first, the same last.
    fn in_order(&self) -> impl Iterator<Item = &Change> {
        let mut all: Vec<&Change> = self.changes.iter().collect();
        all.sort_by_key(|change| change.outcome);
        all.into_iter()
    }
}
