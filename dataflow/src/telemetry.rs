//! All figures of a process, as `/metrics` shows them: names `plenum_*` with their unit, `_total` behind what only rises.
//!
//! What is counted is counted elsewhere, once a batch; here it is only read, when somebody asks. Labels are words of this program and
//! numbers of partitions, never what a device calls itself.

mod exposition;
mod tally;

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use connectors::counts::{self, Histogram};
use dashboard::wire::JobView;

use crate::commands::run::{cpu_seconds, resident_bytes};
use crate::delays::Delays;
use crate::ledger::Totals;
use crate::progress::Progress;
use exposition::{Families, Label, Value};
pub use tally::{Counted, Tally};

/// More partitions are not shown one by one.
const MOST_PARTITIONS: usize = 1_000;

/// The job, where this process has one.
pub struct JobFigures<'a> {
    /// Its counters.
    pub progress: &'a Progress,
    /// Where it stands.
    pub view: &'a JobView,
    /// All that was counted, earlier runs included.
    pub totals: Totals,
    /// Texts that wait for their vectors; `None`: no embedder of texts.
    pub waiting_texts: Option<usize>,
}

/// The text of `/metrics`.
pub fn render(is_ready: bool, started_ms: i64, job: Option<&JobFigures<'_>>) -> String {
    let mut families = Families::default();
    let version = vec![label("version", env!("CARGO_PKG_VERSION"))];
    families.add("plenum_build_info", "The program that serves this", [(version, Value::Gauge(1.0))]);
    families.gauge("plenum_ready", "1 while the job does its work", f64::from(u8::from(is_ready)));
    let cpu = cpu_seconds();
    let cpu = [(Vec::new(), Value::Counter(cpu))];
    families.add("plenum_process_cpu_seconds", "CPU time of this process, of all its threads", cpu);
    let resident = "Memory of this process that is in use";
    families.gauge("plenum_process_resident_memory_bytes", resident, resident_bytes() as f64);
    let began = "When this process began, seconds since the epoch";
    families.gauge("plenum_process_start_time_seconds", began, seconds(started_ms));
    if let Some(job) = job {
        records(&mut families, job);
        partitions(&mut families, job.view);
        services(&mut families);
        durable(&mut families, job);
        told(&mut families, job);
    }
    families.text()
}

fn label(name: &'static str, value: &str) -> Label {
    (name, value.to_owned())
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

fn counters<'a>(
    name: &'static str,
    values: impl IntoIterator<Item = (&'a str, u64)>,
) -> impl Iterator<Item = (Vec<Label>, Value)> {
    let one = move |(value, count): (&str, u64)| (vec![label(name, value)], Value::Count(count));
    values.into_iter().map(one).collect::<Vec<_>>().into_iter()
}

const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];

fn records(families: &mut Families, job: &JobFigures<'_>) {
    let (totals, progress) = (job.progress.tally.added(&job.totals), job.progress);
    let by_fate = [
        ("windowed", totals.windowed),
        ("late", totals.late),
        ("duplicate", totals.duplicate),
        ("skipped", totals.skipped),
        ("dead_lettered", totals.dead_lettered),
    ];
    families.add("plenum_records", "Records by what became of them; each has one fate", counters("fate", by_fate));
    families.counter("plenum_states", "Closed windows of a device", totals.states);
    families.counter("plenum_unusual_states", "States that were judged unusual", totals.anomalous_states);
    let opened = SEVERITIES.into_iter().zip(progress.tally.opened());
    let help = "Incidents that opened with a severity or rose to it";
    families.add("plenum_incidents_opened", help, counters("severity", opened));
    let open = SEVERITIES.into_iter().zip(progress.tally.open());
    let open = open.map(|(severity, count)| (vec![label("severity", severity)], Value::Gauge(count as f64)));
    families.add("plenum_open_incidents", "Incidents that are open, by severity", open);
}

fn partitions(families: &mut Families, view: &JobView) {
    let shown = || view.partitions.iter().take(MOST_PARTITIONS);
    let mut add = |name, help, value: &dyn Fn(&dashboard::wire::Partition) -> Option<f64>| {
        let figures = shown().filter_map(|partition| {
            Some((vec![label("partition", &partition.partition.to_string())], Value::Gauge(value(partition)?)))
        });
        families.add(name, help, figures);
    };
    let lag = "Messages between what was read and the partition's end";
    add("plenum_partition_lag_records", lag, &|one| one.lag.map(|lag| lag as f64));
    let behind = "How far the partition's watermark is behind the clock, in a recording behind the furthest partition";
    add("plenum_partition_behind_seconds", behind, &|one| one.behind_ms.map(seconds));
    let watermark = "The partition's watermark, seconds since the epoch";
    add("plenum_partition_watermark_timestamp_seconds", watermark, &|one| one.watermark_ms.map(seconds));
    let idle = "1 while no record of the partition has come for the idle timeout, so that it holds no window up";
    add("plenum_partition_idle", idle, &|one| Some(f64::from(u8::from(one.idle))));
}

fn services(families: &mut Families) {
    let each = |value: &dyn Fn(&counts::Counts) -> Value| {
        counts::ALL.map(|one| (vec![label("service", one.service())], value(one))).into_iter().collect::<Vec<_>>()
    };
    let times = each(&|one| Value::Histogram(one.times()));
    families.add("plenum_service_request_duration_seconds", "How long requests to a service took", times);
    let batches = each(&|one| Value::Histogram(one.batches()));
    families.add("plenum_service_batch_items", "Rows, messages, texts or alerts of a request to a service", batches);
    let retries = each(&|one| Value::Count(one.retries()));
    families.add("plenum_service_retries", "Requests to a service that failed and are repeated", retries);
}

fn durable(families: &mut Families, job: &JobFigures<'_>) {
    let progress = job.progress;
    families.counter("plenum_rows_written", "Rows that have become durable", progress.rows_written());
    families.counter("plenum_rows_refused", "Rows that the store refused for good", counts::ROWS_REFUSED.load(Relaxed));
    families.gauge("plenum_under_way_rows", "Rows between reading and the store", progress.rows_under_way() as f64);
    families.counter("plenum_store_waits", "How often reading had to wait for the store", progress.waits());
    let [readings, states] = delays(&progress.delays);
    let closing = "From when a window may close to its durable states, on live sources";
    families.add("plenum_window_close_delay_seconds", closing, [(Vec::new(), Value::Histogram(states))]);
    let writing = "From a reading's time to its durable row, on live sources";
    families.add("plenum_reading_write_delay_seconds", writing, [(Vec::new(), Value::Histogram(readings))]);
    families.counter("plenum_checkpoints", "Checkpoints that became durable in this run", progress.tally.checkpoints());
    let Some(checkpoint) = &job.view.checkpoint else { return };
    let gauges = [
        (
            "plenum_checkpoint_age_seconds",
            "How long ago the last checkpoint became durable",
            checkpoint.age_ms.map(seconds),
        ),
        (
            "plenum_checkpoint_duration_seconds",
            "How long writing the last checkpoint took",
            checkpoint.took_ms.map(seconds),
        ),
        ("plenum_checkpoint_size_bytes", "Size of the last checkpoint", checkpoint.bytes.map(|bytes| bytes as f64)),
    ];
    for (name, help, value) in gauges {
        families.add(name, help, value.map(|value| (Vec::new(), Value::Gauge(value))));
    }
}

fn told(families: &mut Families, job: &JobFigures<'_>) {
    if let Some(embedding) = &job.view.embedding {
        let by_source = [("computed", embedding.computed), ("cached", embedding.cached)];
        families.add("plenum_embeddings", "Vectors of texts by where they came from", counters("source", by_source));
    }
    if let Some(waiting) = job.waiting_texts {
        families.gauge("plenum_embedding_waiting_texts", "Texts that wait for their vectors", waiting as f64);
    }
    let alerts = &job.progress.alerts;
    let results = [("arrived", alerts.arrived.load(Relaxed)), ("given_up", alerts.given_up.load(Relaxed))];
    families.add("plenum_alerts", "Alerts to the webhook by how they ended", counters("result", results));
    let retries = alerts.retries.load(Relaxed);
    families.counter("plenum_alert_retries", "Attempts to tell the webhook that failed and are repeated", retries);
    families.gauge("plenum_waiting_alerts", "Alerts that wait for the webhook", alerts.waiting.load(Relaxed) as f64);
}

/// Upper ends of the buckets of delays, in milliseconds.
const DELAYS_MS: [u64; 14] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000, 900_000, 3_600_000];

/// Of readings and of states.
fn delays(delays: &Delays) -> [Histogram; 2] {
    delays.buckets(&DELAYS_MS).map(|(sum_ms, counts)| {
        let ends = DELAYS_MS.iter().map(|end_ms| Duration::from_millis(*end_ms).as_secs_f64()).chain([f64::INFINITY]);
        Histogram { sum: sum_ms / 1_000.0, buckets: ends.zip(counts).collect() }
    })
}

#[cfg(test)]
mod tests;
