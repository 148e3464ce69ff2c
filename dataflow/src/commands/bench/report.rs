//! Measurements as a table, as JSON and as CSV.

use std::fmt::Write as _;

use serde_json::json;

use super::measure::Measured;
use super::prepare::Amount;
use super::{Case, Stage, value_name};

/// A case with all its measurements.
pub struct Entry {
    /// What was measured.
    pub case: Case,
    /// On how much.
    pub amount: Amount,
    /// In the order of their time.
    pub all: Vec<Measured>,
    /// What it found is what the other runs over the same messages found.
    pub agrees: bool,
}

impl Entry {
    /// With its measurements, at least one.
    pub fn new(case: Case, amount: Amount, all: Vec<Measured>) -> Self {
        Entry { case, amount, all, agrees: true }
    }

    /// The measurement in the middle, by messages a CPU-second.
    pub fn median(&self) -> &Measured {
        let mut order: Vec<&Measured> = self.all.iter().collect();
        order.sort_by(|a, b| a.per_cpu_s().total_cmp(&b.per_cpu_s()));
        order[order.len() / 2]
    }

    /// Every measurement counted what it should.
    pub fn is_correct(&self) -> bool {
        self.agrees && self.all.iter().all(|measured| measured.correct)
    }

    /// Messages a CPU-second over the bare loop's in the same process.
    pub fn ceiling_ratio(&self) -> f64 {
        ceiling_ratio(self.median())
    }
}

fn ceiling_ratio(measured: &Measured) -> f64 {
    measured.per_cpu_s() / measured.ceiling_per_cpu_s
}

/// Whatever the number of workers and the stage, the same messages have the same incidents; says where not.
pub fn compare(entries: &mut [Entry]) {
    let found = |measured: &Measured| (measured.totals.anomalous_states, measured.totals.incidents);
    let mut first: Vec<(super::Form, _)> = Vec::new();
    for entry in entries.iter_mut().filter(|entry| entry.case.stage >= Stage::Detectors) {
        for measured in &entry.all {
            match first.iter().find(|(source, _)| *source == entry.case.source) {
                Some((_, first)) => entry.agrees &= *first == found(measured),
                None => first.push((entry.case.source, found(measured))),
            }
        }
    }
}

/// The JSON list.
pub fn json(entries: &[Entry]) -> String {
    let list: Vec<_> = entries
        .iter()
        .map(|entry| {
            let median = entry.median();
            json!({
                "stage": value_name(entry.case.stage),
                "source": value_name(entry.case.source),
                "devices": entry.amount.devices,
                "workers": entry.case.workers,
                "processes": 1,
                "messages": median.messages,
                "messages_per_second": median.per_s().round(),
                "messages_per_cpu_second": median.has_cpu_rate().then(|| median.per_cpu_s().round()),
                "ceiling_ratio": median.has_cpu_rate().then(|| rounded(entry.ceiling_ratio())),
                "peak_rss_bytes": median.peak_rss_bytes,
                "correct": entry.is_correct(),
            })
        })
        .collect();
    serde_json::to_string_pretty(&list).expect("numbers and texts can be written as JSON")
}

fn rounded(ratio: f64) -> f64 {
    (ratio * 10_000.0).round() / 10_000.0
}

/// The table for people.
pub fn table(entries: &[Entry]) -> String {
    const HEAD: [&str; 9] =
        ["stage", "source", "devices", "workers", "messages", "per second", "per CPU-second", "of ceiling", "peak MiB"];
    let mut rows = vec![HEAD.map(str::to_owned).to_vec()];
    for entry in entries {
        let median = entry.median();
        let mut row = vec![
            value_name(entry.case.stage),
            value_name(entry.case.source),
            entry.amount.devices.to_string(),
            entry.case.workers.to_string(),
            grouped(median.messages),
            grouped_rate(median.per_s()),
            if median.has_cpu_rate() { grouped_rate(median.per_cpu_s()) } else { "too short".to_owned() },
            if median.has_cpu_rate() { format!("{:.1} %", entry.ceiling_ratio() * 100.0) } else { "-".to_owned() },
            grouped(median.peak_rss_bytes.div_ceil(1 << 20)),
        ];
        if !entry.is_correct() {
            row.push(if entry.agrees { "WRONG COUNTS" } else { "OTHER INCIDENTS THAN THE FIRST RUN" }.to_owned());
        }
        rows.push(row);
    }
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(String::len).max().unwrap_or(0);
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().enumerate().map(|(at, cell)| {
            let width = width(at);
            // Words to the left, numbers to the right.
            if at < 2 || at >= HEAD.len() { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and below 2^53")]
fn grouped_rate(rate: f64) -> String {
    grouped(rate.round() as u64)
}

/// A number with a blank before each three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Every single measurement.
pub fn csv(entries: &[Entry]) -> String {
    let mut text = String::from(
        "stage,source,devices,workers,run,messages,wall_s,cpu_s,messages_per_second,messages_per_cpu_second,\
         ceiling_per_cpu_second,ceiling_ratio,peak_rss_bytes,states,anomalous_states,incidents,correct\n",
    );
    for entry in entries {
        for (run, measured) in (1..).zip(&entry.all) {
            let _ = writeln!(
                text, // writing into a text can't fail
                "{},{},{},{},{run},{},{:.3},{:.2},{:.0},{:.0},{:.0},{:.4},{},{},{},{},{}",
                value_name(entry.case.stage),
                value_name(entry.case.source),
                entry.amount.devices,
                entry.case.workers,
                measured.messages,
                measured.wall_s,
                measured.cpu_s,
                measured.per_s(),
                measured.per_cpu_s(),
                measured.ceiling_per_cpu_s,
                ceiling_ratio(measured),
                measured.peak_rss_bytes,
                measured.totals.states,
                measured.totals.anomalous_states,
                measured.totals.incidents.iter().sum::<u64>(),
                measured.correct,
            );
        }
    }
    text
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::commands::bench::Form;
    use crate::ledger::Totals;

    /// An entry with one measurement a CPU time.
    pub fn entry(stage: Stage, workers: usize, cpu_s: &[f64]) -> Entry {
        let measured = |cpu_s: &f64| Measured {
            messages: 1_000_000,
            wall_s: 2.0,
            cpu_s: *cpu_s,
            ceiling_per_cpu_s: 5_000_000.0,
            peak_rss_bytes: 300 << 20,
            totals: Totals::default(),
            correct: true,
        };
        let amount = Amount { records: 1_000_000, devices: 11, period_ms: 10_000 };
        Entry::new(Case { stage, source: Form::Json, workers }, amount, cpu_s.iter().map(measured).collect())
    }

    #[test]
    fn the_table_lines_up_and_says_what_is_wrong() {
        let mut entries = vec![
            entry(Stage::Decode, 1, &[0.4, 0.25, 9.0]),
            entry(Stage::Detectors, 8, &[1.0]),
            entry(Stage::Store, 8, &[4.0]),
        ];
        entries[2].all[0].totals.incidents[1] = 1;
        compare(&mut entries);
        expect_test::expect![[r"
            stage      source  devices  workers   messages  per second  per CPU-second  of ceiling  peak MiB
            decode     json         11        1  1 000 000     500 000       2 500 000      50.0 %       300
            detectors  json         11        8  1 000 000     500 000       1 000 000      20.0 %       300
            store      json         11        8  1 000 000     500 000         250 000       5.0 %       300  OTHER INCIDENTS THAN THE FIRST RUN
        "]]
        .assert_eq(&table(&entries));
        assert_eq!(csv(&entries).lines().count(), 1 + 5);
    }
}
