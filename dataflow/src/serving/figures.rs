//! The job's counters in the text format of Prometheus.

use std::fmt::{Display, Write as _};

use crate::progress::Progress;

/// All figures.
pub(super) fn text(progress: Option<&Progress>, ready: bool) -> String {
    let mut text = String::new();
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    figure(&mut text, "plenum_build_info", "gauge", "The program that serves this.", &version, 1);
    figure(&mut text, "plenum_ready", "gauge", "1 while the job does its work.", &[], u8::from(ready));
    let Some(progress) = progress else { return text };
    for (name, help, value) in [
        ("plenum_records_read_total", "Records read by this process.", progress.records()),
        ("plenum_states_total", "States closed by this process.", progress.states()),
        ("plenum_incidents_opened_total", "Incidents opened by this process.", progress.incidents()),
        ("plenum_rows_written_total", "Rows that are durable.", progress.rows_written()),
        ("plenum_store_waits_total", "How often reading had to wait for the store.", progress.waits()),
    ] {
        figure(&mut text, name, "counter", help, &[], value);
    }
    let under_way = progress.rows_under_way();
    figure(&mut text, "plenum_rows_under_way", "gauge", "Rows between reading and the store.", &[], under_way);
    text
}

fn figure(text: &mut String, name: &str, kind: &str, help: &str, labels: &[(&str, &str)], value: impl Display) {
    let escape = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}"); // a text takes all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let mut text = String::new();
        figure(&mut text, "plenum_x", "gauge", "What it is.", &[("a", "say \"hi\"\n\\")], 7);
        expect_test::expect![[r#"
            # HELP plenum_x What it is.
            # TYPE plenum_x gauge
            plenum_x{a="say \"hi\"\n\\"} 7
        "#]]
        .assert_eq(&text);
    }
}
