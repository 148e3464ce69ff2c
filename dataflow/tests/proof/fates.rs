//! Property test of time, fate and peers: small topics through the job on threads, against a plain reading of the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use connectors::Store;
use connectors::memory::MemoryStore;
use dataflow::checkpoint::Manifest;
use dataflow::faults::Faults;
use dataflow::job::JobConfig;
use dataflow::progress::Progress;
use dataflow::run::{Workers, run};
use model::tables::TableId;
use model::{Row, Value};

use crate::peers;
use crate::plain::expected;
use crate::script::undisturbed;
use crate::stage::ScriptStore;
use crate::world::{World, world};
use crate::{Checks, Seeds};

/// Each seed is a topic; it runs on one to four workers.
pub fn fates(seeds: Seeds) -> Checks {
    let mut checks = Checks::default();
    let mut compared = 0;
    for seed in seeds.from..seeds.from + seeds.count {
        let found = one(seed).map(|more| compared += more);
        checks.check(&format!("fates of seed {seed}"), found);
    }
    println!("fates: {compared} metrics compared with peers");
    checks
}

fn one(seed: u64) -> Result<u64, String> {
    let world = world(seed);
    // Without texts: no thread of an embedder answers here, and vectors are no matter of fates.
    let config = world.config(Arc::new(world.finite()), &Faults::default(), false);
    let job = JobConfig { timed: true, texts: None, ..config };
    let store = MemoryStore::new();
    let handle: Box<dyn Store> = Box::new(store.clone());
    let workers = Workers::threads(1 + seed as usize % 4);
    let outcome = run(&job, &workers, Some(handle), &Arc::new(AtomicBool::new(false)), &Arc::new(Progress::default()))
        .map_err(|error| format!("{error:#}"))?;
    let manifest = outcome.manifest.ok_or("finished without a manifest")?;
    agree(&world, &store, &manifest)?;
    peers::agree(&world, &store)
}

/// The same on the stage, for a job that may be broken.
pub fn on_stage(seed: u64, faults: &Faults, stuck_steps: u64) -> Result<(), String> {
    let world = world(seed);
    let store = ScriptStore::new(faults.ignore_versions);
    let job = world.config(Arc::new(world.finite()), faults, false);
    let manifest = undisturbed(&job, 1 + seed as usize % 4, &store, stuck_steps)?;
    agree(&world, &store.stored(), &manifest)?;
    peers::agree(&world, &store.stored()).map(drop)
}

fn agree(world: &World, store: &MemoryStore, manifest: &Manifest) -> Result<(), String> {
    let (seen, wanted) = (seen(store, manifest), expected(world));
    let missing: Vec<&String> = wanted.difference(&seen).collect();
    let more: Vec<&String> = seen.difference(&wanted).collect();
    match (missing.first(), more.first()) {
        (None, None) => Ok(()),
        (missing_one, more_one) => Err(format!(
            "{} lines are missing, {} are too many\n  missing:  {}\n  too many: {}",
            missing.len(),
            more.len(),
            missing_one.map_or("-", |line| line.as_str()),
            more_one.map_or("-", |line| line.as_str())
        )),
    }
}

/// A row's columns by name.
struct Columns<'a>(&'a Row);

impl Columns<'_> {
    fn value(&self, column: &str) -> &Value {
        let at = self.0.table().columns.iter().position(|known| known.name == column);
        &self.0.values[at.unwrap_or_else(|| panic!("no column {column:?}"))]
    }

    fn text(&self, column: &str) -> &str {
        self.maybe(column).unwrap_or_else(|| panic!("column {column:?} is empty"))
    }

    fn maybe(&self, column: &str) -> Option<&str> {
        match self.value(column) {
            Value::Text(text) => Some(text),
            Value::Null => None,
            other => panic!("column {column:?} holds {other:?}"),
        }
    }

    fn int(&self, column: &str) -> i64 {
        match self.value(column) {
            Value::Int(number) => *number,
            other => panic!("column {column:?} holds {other:?}"),
        }
    }

    fn double(&self, column: &str) -> f64 {
        match self.value(column) {
            Value::Double(number) => *number,
            other => panic!("column {column:?} holds {other:?}"),
        }
    }

    fn map(&self, column: &str) -> &BTreeMap<String, f64> {
        match self.value(column) {
            Value::Map(map) => map,
            other => panic!("column {column:?} holds {other:?}"),
        }
    }
}

/// How a row of a table is written down.
type Line = fn(&Columns<'_>) -> String;

/// The store's content in the words of the plain reading.
fn seen(store: &MemoryStore, manifest: &Manifest) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let tables: [(TableId, Line); 5] = [
        (TableId::DeadLetters, dead_letter),
        (TableId::LateMetrics, late),
        (TableId::DeviceMetricsRaw, raw),
        (TableId::DeviceStateSnapshots, state),
        (TableId::DeviceStatistics, statistics),
    ];
    for (table, write) in tables {
        store
            .clone()
            .scan(table, &[], &mut |row| {
                lines.insert(write(&Columns(&row)));
                ControlFlow::Continue(())
            })
            .expect("memory does not fail");
    }
    let totals = &manifest.totals;
    lines.insert(format!(
        "totals received {} windowed {} late {} dead {} duplicate {} skipped {} states {}",
        totals.received(),
        totals.windowed,
        totals.late,
        totals.dead_lettered,
        totals.duplicate,
        totals.skipped,
        totals.states
    ));
    lines
}

fn dead_letter(row: &Columns<'_>) -> String {
    format!("dead_letter {} {} {}", row.int("partition"), row.int("offset"), row.text("reason"))
}

fn late(row: &Columns<'_>) -> String {
    format!(
        "late {} {} {} {} {} {:?} {:?} by {}",
        row.text("device_id"),
        row.int("timestamp"),
        row.text("metric_name"),
        row.int("partition"),
        row.int("offset"),
        row.double("metric_value"),
        row.maybe("unit"),
        row.int("late_by_ms")
    )
}

fn raw(row: &Columns<'_>) -> String {
    format!(
        "raw {} {} {} {:?} {:?} {} {:?} late {}",
        row.text("device_id"),
        row.int("timestamp"),
        row.text("metric_name"),
        row.double("metric_value"),
        row.maybe("unit"),
        row.text("device_type"),
        row.maybe("location"),
        *row.value("is_late") == Value::Bool(true)
    )
}

fn state(row: &Columns<'_>) -> String {
    let (last, min) = (row.map("metrics_last"), row.map("metrics_min"));
    let (max, count) = (row.map("metrics_max"), row.map("metrics_count"));
    let parts: Vec<String> = row
        .map("metrics")
        .iter()
        .map(|(metric, shown)| {
            format!(
                "{metric}={shown:?} last {:?} min {:?} max {:?} n {}",
                last[metric], min[metric], max[metric], count[metric]
            )
        })
        .collect();
    format!(
        "state {} {} {} {:?} readings {} corrected {} {}",
        row.text("device_id"),
        row.int("snapshot_time"),
        row.text("device_type"),
        row.maybe("location"),
        row.int("readings"),
        *row.value("corrected") == Value::Bool(true),
        parts.join(", ")
    )
}

fn statistics(row: &Columns<'_>) -> String {
    format!(
        "statistics {} snapshots {} windowed {} duplicate {} last {}",
        row.text("device_id"),
        row.int("total_snapshots"),
        row.int("records_windowed"),
        row.int("records_duplicate"),
        row.int("last_seen")
    )
}
