//! What is exported, and that what people look at is exported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use dashboard::wire::{Checkpoint, Embedding, JobView, Partition};

use super::*;

/// Everything that a job with a live source, an embedder of texts and a webhook can tell.
fn full() -> String {
    let view = JobView {
        partitions: vec![Partition {
            partition: 3,
            next_offset: 7,
            end_offset: Some(9),
            lag: Some(2),
            watermark_ms: Some(1_772_445_600_500),
            idle: true,
            behind_ms: Some(1_500),
        }],
        checkpoint: Some(Checkpoint {
            id: 4,
            age_ms: Some(20_000),
            window_ms: Some(0),
            bytes: Some(4_096),
            took_ms: Some(12),
        }),
        embedding: Some(Embedding { computed: 5, cached: 6 }),
        ..JobView::default()
    };
    let progress = Progress::default();
    let totals = Totals { windowed: 90, late: 1, states: 30, anomalous_states: 2, ..Totals::default() };
    let job = JobFigures { progress: &progress, view: &view, totals, waiting_texts: Some(8) };
    render(true, 1_772_445_600_000, Some(&job))
}

/// Names with their types.
fn families(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    lines.filter_map(|line| line.split_once(' ')).map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn figures_have_a_help_text_and_a_unit_in_their_name() {
    const UNITS: [&str; 10] =
        ["seconds", "bytes", "records", "rows", "incidents", "alerts", "texts", "items", "info", "total"];
    // Yes or no has no unit.
    const FLAGS: [&str; 2] = ["plenum_ready", "plenum_partition_idle"];
    let text = full();
    let families = families(&text);
    assert!(families.len() > 30, "{families:?}");
    for (name, kind) in &families {
        assert!(name.starts_with("plenum_"), "{name}");
        let help = text.lines().find_map(|line| line.strip_prefix(&format!("# HELP {name} "))).unwrap_or_default();
        assert!(help.len() > 10, "{name} has no help");
        let unit = name.rsplit('_').next().unwrap_or_default();
        assert!(UNITS.contains(&unit) || FLAGS.contains(&name.as_str()), "{name} tells no unit");
        assert_eq!(kind == "counter", unit == "total", "{name} is a {kind}");
    }
}

#[test]
fn figures_are_what_was_counted() {
    let text = full();
    for line in [
        "plenum_ready 1",
        "plenum_records_total{fate=\"windowed\"} 90",
        "plenum_records_total{fate=\"dead_lettered\"} 0",
        "plenum_states_total 30",
        "plenum_open_incidents{severity=\"critical\"} 0",
        "plenum_partition_lag_records{partition=\"3\"} 2",
        "plenum_partition_behind_seconds{partition=\"3\"} 1.5",
        "plenum_partition_idle{partition=\"3\"} 1",
        "plenum_checkpoint_size_bytes 4096",
        "plenum_embeddings_total{source=\"cached\"} 6",
        "plenum_embedding_waiting_texts 8",
        "plenum_window_close_delay_seconds_bucket{le=\"+Inf\"} 0",
        "plenum_service_request_duration_seconds_count{service=\"webhook\"}",
        "plenum_alerts_total{result=\"given_up\"} 0",
    ] {
        assert!(text.lines().any(|shown| shown.starts_with(line)), "no {line} in\n{text}");
    }
}

/// The names `plenum_*` of a text, histograms by their family.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let names = text.match_indices("plenum_").map(|(at, _)| {
        let rest = &text[at..];
        rest[..rest.find(|c| !word(c)).unwrap_or(rest.len())].to_owned()
    });
    names.collect()
}

/// A rule or a panel about a figure that does not exist says nothing, for ever.
#[test]
fn what_the_dashboard_and_the_rules_use_is_exported() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let known = families(&full());
    let is_known = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
        known.contains_key(name)
            || of_histogram.is_some_and(|family| known.get(family).is_some_and(|kind| kind == "histogram"))
    };
    for file in ["monitoring/rules.yml", "monitoring/grafana/dashboards/plenum.json", "docs/alerts-of-the-pipeline.md"]
    {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        let used = names(&text);
        assert!(used.len() >= 5, "{file}: {used:?}");
        for name in used {
            assert!(is_known(&name), "{file} uses {name}, which nobody exports");
        }
    }
    let dashboard = std::fs::read_to_string(root.join("monitoring/grafana/dashboards/plenum.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let shown = names(&dashboard.to_string());
    let is_shown = |name: &&String| shown.iter().any(|shown| shown.starts_with(name.as_str()));
    let left_out: Vec<&String> = known.keys().filter(|name| !is_shown(name)).collect();
    assert_eq!(left_out, ["plenum_process_start_time_seconds"], "exported, and on no panel");
}

/// Each rule has its section in the docs, under the name that its link has.
#[test]
fn each_rule_is_explained() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rules = std::fs::read_to_string(root.join("monitoring/rules.yml")).unwrap();
    let docs = std::fs::read_to_string(root.join("docs/alerts-of-the-pipeline.md")).unwrap();
    let named: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    let explained: Vec<&str> = docs.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(named, explained);
    for name in named {
        assert!(
            rules.contains(&format!("runbook: docs/alerts-of-the-pipeline.md#{}\n", name.to_lowercase())),
            "{name}"
        );
    }
}
