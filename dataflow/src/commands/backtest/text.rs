//! The report as a person reads it.

use std::fmt::Write as _;

use super::compare::{Change, Known, Outcome, SEVERITIES};
use super::report::{Difference, Report};
use crate::commands::common::{printable, short_duration, short_time, table, table_text, thousands};
use crate::commands::incidents::Told as _;

/// Lines of a table that are shown; the rest is counted.
const SHOWN: usize = 100;

impl Report<'_> {
    /// All of it.
    pub(super) fn text(&self) -> String {
        let mut text = self.head();
        text += &self.settings();
        text += &self.learning();
        text += &self.summary();
        for (heading, outcomes, last) in [
            ("Vanish", &[Outcome::Vanishes][..], "why"),
            ("Appear", &[Outcome::Appears], "why it is none before"),
            ("Split, joined", &[Outcome::Split, Outcome::Joined, Outcome::Regrouped], "before -> after"),
            ("Moved", &[Outcome::Moved], "what"),
        ] {
            text += &self.changes_text(heading, outcomes, last);
        }
        text += &self.months_text();
        if let Some(labelled) = &self.labelled {
            text += &labelled.text();
        }
        text + &self.next()
    }

    /// Where to look further: the state of the first incident that is gone, in the store that has it.
    fn next(&self) -> String {
        let gone = self.changes.iter().find(|change| change.outcome == Outcome::Vanishes);
        let (Some(gone), Some(place)) = (gone.map(|change| self.shown(change)), self.input.place()) else {
            return String::new();
        };
        let at = model::time::format_ms(gone.peak_ms);
        format!("\nWhy?      dataflow explain --store {place} --device {} --at {at}\n", printable(&gone.device_id))
    }

    fn head(&self) -> String {
        let mut text = format!("Compared  {}\n", printable(&self.input.description));
        if let Some(read) = self.input.read() {
            let (readings, late) = read.readings;
            let _ = writeln!(
                text,
                "Read      {} readings of {} devices, {} to {}; {} of them late for the store's own job",
                thousands(readings),
                read.devices,
                short_time(read.extent_ms.0),
                short_time(read.extent_ms.1),
                thousands(late)
            );
            let _ = writeln!(
                text,
                "Judged    from {} to {}; devices are learned from {} on",
                short_time(read.asked_ms[1]),
                short_time(read.asked_ms[2]),
                short_time(read.asked_ms[0])
            );
            if !self.input.controls.is_empty() {
                let _ = writeln!(
                    text,
                    "People    {} words and maintenances of the store take effect in both runs, where they did for its job",
                    self.input.controls.len()
                );
            }
        } else {
            let _ = writeln!(
                text,
                "Read      {} messages of {} devices",
                thousands(self.before.totals.received()),
                self.devices().len()
            );
        }
        for (name, run) in [("before", self.before), ("after", self.after)] {
            let totals = &run.totals;
            let _ = writeln!(
                text,
                "          {name}: {} states, {} of them unusual; {} late, {} dead letters",
                thousands(totals.states),
                thousands(totals.anomalous_states),
                thousands(totals.late),
                thousands(totals.dead_lettered)
            );
        }
        text
    }

    fn settings(&self) -> String {
        let [before, after] = self.names.map(printable);
        let mut text = format!("Settings  before: {before}; after: {after}\n");
        if self.differences.is_empty() {
            text += "          there is no difference between them\n";
        } else {
            let mut shown = table(&["", "setting", "before", "after"], &[]);
            for Difference { key, before, after } in &self.differences {
                shown.add_row([String::new(), printable(key), printable(before), printable(after)]);
            }
            text += &format!("\n{}\n", table_text(&shown));
            if self.same_meaning {
                text += "          none of these decides what is found: the second run is the first one\n";
            }
        }
        match self.as_written {
            Some(true) => text += "          the store's own job ran with the settings before\n",
            Some(false) => {
                text += "          the store's own job ran with other settings than those before: --against compares with its file\n";
            }
            None => {}
        }
        if let Some(Known { stored, again }) = &self.known {
            let _ = writeln!(
                text,
                "          of the {stored} incidents that the store has from that time, the run before finds {again} again",
            );
        }
        text
    }

    /// That the devices are learned anew, and what can't be compared for it.
    fn learning(&self) -> String {
        let (devices, unlearned, within) = (self.devices().len(), self.unlearned(), self.in_warm_up());
        let settings = self.before.detectors.all().chain(self.after.detectors.all());
        let windows = settings.map(|settings| settings.warm_up_windows).max().unwrap_or(0);
        let mut text =
            format!("Learned   each device anew from its first {windows} states, in which rules alone report: ");
        text += &match (self.learned_ms(), unlearned.is_empty()) {
            (Some(learned_ms), true) => format!("all {devices} are learned at {}\n", short_time(learned_ms)),
            (None, _) => "no device has so many\n".to_owned(),
            (Some(_), false) => {
                let names: Vec<String> = unlearned.iter().take(5).map(|device| printable(device)).collect();
                let more = if unlearned.len() > names.len() { ", ..." } else { "" };
                let when = if self.input.from_ms > i64::MIN { "where judging begins" } else { "at the end" };
                format!("{} of {devices} are not learned {when}: {}{more}\n", unlearned.len(), names.join(", "))
            }
        };
        if within > 0 {
            let _ = writeln!(
                text,
                "          {within} of the incidents below lie in a device's warm-up (*): what a job that has run for long makes of \
                 them is not known"
            );
        }
        text
    }

    fn summary(&self) -> String {
        let count = |outcome| thousands(self.counts.get(outcome));
        let mut text = format!(
            "Incidents {} same, {} moved, {} split, {} joined, {} appear, {} vanish\n",
            count(Outcome::Same),
            count(Outcome::Moved),
            count(Outcome::Split),
            thousands(self.counts.get(Outcome::Joined) + self.counts.get(Outcome::Regrouped)),
            count(Outcome::Appears),
            count(Outcome::Vanishes)
        );
        let (before, after) = (self.before.by_severity(), self.after.by_severity());
        let mut shown = table(&["", "incidents", "before", "after"], &[2, 3]);
        for severity in SEVERITIES {
            let [old, new] = [before, after].map(|counts| counts[severity as usize]);
            shown.add_row([String::new(), severity.name().to_owned(), thousands(old), thousands(new)]);
        }
        let [all_before, all_after] = [before, after].map(|counts| counts.iter().sum());
        shown.add_row([String::new(), "all".to_owned(), thousands(all_before), thousands(all_after)]);
        let [rate_before, rate_after] = self.rates().map(|rate| format!("{rate:.1}"));
        shown.add_row([String::new(), "a device and month of states".to_owned(), rate_before, rate_after]);
        text += &format!("\n{}", table_text(&shown));
        text
    }

    fn changes_text(&self, heading: &str, outcomes: &[Outcome], last: &str) -> String {
        let changes: Vec<&Change> = self.changes.iter().filter(|one| outcomes.contains(&one.outcome)).collect();
        if changes.is_empty() {
            return String::new();
        }
        let header = ["", "device", "kind", "severity", "from (UTC)", "lasted", "furthest seen", last];
        let mut shown = table(&header, &[5]);
        for change in changes.iter().take(SHOWN) {
            let one = self.shown(change);
            let said = one.said();
            let said = if said.is_empty() { said } else { format!("; people say: {said}") };
            shown.add_row([
                if change.in_warm_up { "*".to_owned() } else { String::new() },
                printable(&one.device_id),
                printable(&one.kind),
                one.severity.name().to_owned(),
                short_time(one.start_ms),
                short_duration(one.end_ms - one.start_ms),
                one.reason(),
                change.text(self.before, self.after) + &said,
            ]);
        }
        let mut text = format!("\n{heading}\n{}", table_text(&shown));
        if changes.len() > SHOWN {
            let _ = writeln!(text, "  ... and {} more; --json has all", changes.len() - SHOWN);
        }
        text
    }

    fn months_text(&self) -> String {
        if self.months.is_empty() {
            return String::new();
        }
        let mut rows: Vec<_> = self.months.iter().collect();
        if rows.len() > SHOWN {
            // Those that change come first.
            rows.sort_by_key(|(_, [before, after])| before == after);
        }
        let mut shown = table(&["", "device", "month", "before", "after"], &[3, 4]);
        for ((device, month), [before, after]) in rows.iter().take(SHOWN) {
            shown.add_row([String::new(), printable(device), month.clone(), thousands(*before), thousands(*after)]);
        }
        let mut text = format!("\nIncidents by device and month\n{}", table_text(&shown));
        if rows.len() > SHOWN {
            let _ = writeln!(text, "  ... and {} more; --json has all", rows.len() - SHOWN);
        }
        text
    }
}
