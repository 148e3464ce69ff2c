//! What of the known faults was found.

use std::fmt;

use super::Report;
use super::words::{minutes, short};
use crate::commands::common::{printable, table, table_text};
use crate::commands::incidents::Told as _;

impl Report {
    pub(super) fn write_labels(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows =
            table(&["", "labelled fault", "device", "from", "lasted", "found after", "first metric"], &[4, 5]);
        let mut hits = 0;
        for label in &self.labels {
            // The earliest incident that belongs to it; where several do, the one that a technician sees first.
            let first =
                self.incidents.iter().filter(|found| found.belongs_to(label)).min_by_key(|found| found.detected_ms);
            hits += usize::from(first.is_some());
            rows.add_row(vec![
                String::new(),
                format!("{} ({})", label.fault, label.severity),
                printable(&label.device_id),
                short(label.start_ms),
                minutes(label.end_ms - label.start_ms),
                match first {
                    Some(found) => minutes((found.detected_ms - label.start_ms).max(0)),
                    None if label.start_ms >= self.reached_ms => "not reached".to_owned(),
                    None => "missed".to_owned(),
                },
                first
                    .and_then(|found| found.contributions.first())
                    .map_or(String::new(), |part| printable(&part.metric)),
            ]);
        }
        writeln!(
            f,
            "\nAgainst the labels: {hits} of {} faults found; incidents without a fault: {}\n{}",
            self.labels.len(),
            self.false_alarms().count(),
            table_text(&rows).trim_end()
        )
    }
}
