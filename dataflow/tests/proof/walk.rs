//! Seeded walks: a run with crashes between any two steps, lost acknowledgements, half-applied, reordered and belated writes,
//! idle partitions, restarts at another worker count, against an undisturbed run of one worker. Every table must be equal to
//! the last bit, and so must the totals.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use connectors::memory::{MemorySource, Recorded, Steps};
use connectors::{Source, Store as _};
use dataflow::checkpoint::Manifest;
use dataflow::faults::Faults;
use dataflow::job::{JobConfig, Status};
use dataflow::settings::JobSettings;
use model::tables::TABLES;

use crate::random::Random;
use crate::stage::{Fate, ScriptStore, Stage};

/// What a seed makes.
struct World {
    settings: JobSettings,
    /// (arrival step, event) by partition.
    partitions: BTreeMap<u32, Vec<(u64, Recorded)>>,
    last_step: u64,
}

const START_MS: i64 = 1_772_445_600_000;
const TYPES: [&str; 3] = ["rooftop_unit", "chiller", "pump"];

/// A small topic: several devices over some partitions, with all that the field has: disorder, late readings, duplicates,
/// tombstones, broken messages, quiet spells of a partition, changes of unit, place and metric.
fn world(seed: u64) -> World {
    let mut random = Random::new(seed);
    let partitions = random.between(2, 4);
    let devices = random.between(2, 5);
    let lateness_ms = *random.pick(&[0, 5_000, 15_000, 25_000]);
    let window_ms = *random.pick(&[10_000, 10_000, 60_000]);
    let quiet = random.chance(0.6);
    let mut topic: BTreeMap<u32, Vec<(u64, Recorded)>> = (0..partitions).map(|at| (at as u32, Vec::new())).collect();
    let homes: Vec<Vec<i64>> = (0..devices)
        .map(|device| {
            if random.chance(0.7) {
                vec![device % partitions]
            } else {
                vec![device % partitions, (device + 1) % partitions]
            }
        })
        .collect();
    let spells: Vec<Option<(i64, i64)>> = (0..partitions)
        .map(|_| (quiet && random.chance(0.6)).then(|| (random.between(20, 60), random.between(60, 130))))
        .collect();
    let records = random.between(80, 220);
    let (mut time_ms, mut step) = (START_MS, 0);
    let mut history: Vec<(i64, i64, &str)> = Vec::new();
    for at in 0..records {
        time_ms += if random.chance(0.96) { random.between(0, 4_000) } else { random.between(20_000, 90_000) };
        step += random.between(0, 3) as u64;
        let mut device = random.between(0, devices - 1);
        let mut partition = *random.pick(&homes[device as usize]);
        let mut event_ms = time_ms;
        let kind = random.unit();
        if kind < 0.15 {
            event_ms -= random.between(1_000, 12_000);
        } else if kind < 0.25 {
            event_ms -= random.between(15_000, 90_000);
        } else if kind < 0.28 {
            event_ms += random.between(1_000, 200_000);
        }
        let mut metric = *random.pick(&["supply_air_temp", "fan_speed", "x"]);
        let burst = random.chance(0.12) || (at / 25 % 3 == 2 && device == 0);
        let value = 50.0 + device as f64 + random.unit() + if burst { 25.0 } else { 0.0 };
        if random.chance(0.08) && !history.is_empty() {
            let recent = history.len().min(12);
            (device, event_ms, metric) = history[history.len() - 1 - random.below(recent)];
            partition = *random.pick(&homes[device as usize]);
        }
        if spells[partition as usize].is_some_and(|(from, to)| (from..to).contains(&at)) {
            continue;
        }
        history.push((device, event_ms, metric));
        let unit = match metric {
            "supply_air_temp" if random.chance(0.2) => ",\"unit\":\"degC\"",
            "supply_air_temp" if random.chance(0.05) => ",\"unit\":\"parsec\"",
            _ => "",
        };
        let place = if random.chance(0.1) { ",\"location\":\"roof\"" } else { "" };
        let text = format!(
            "{{\"device_id\":\"d{device}\",\"device_type\":\"{}\",\"timestamp\":{event_ms},\"metric_name\":\"{metric}\",\"metric_value\":{value}{unit}{place}}}",
            TYPES[device as usize % TYPES.len()]
        );
        let bytes = match random.unit() {
            broken if broken < 0.04 => Some(text[..text.len() - 9].as_bytes().to_vec()),
            gone if gone < 0.07 => None,
            _ => Some(text.into_bytes()),
        };
        let log = topic.get_mut(&(partition as u32)).expect("all partitions exist");
        let offset = log.len() as i64 + i64::from(partition == 1) * 100;
        log.push((step, Recorded::Message { offset, broker_ms: time_ms + random.between(0, 500), bytes }));
    }
    let settings = JobSettings {
        window_ms,
        lateness_ms,
        max_future_ms: 100_000,
        max_devices: if random.chance(0.1) { 2 } else { 1_000 },
        max_metrics: if random.chance(0.1) { 2 } else { 200 },
        idle_ms: 6,
        checkpoint_interval_ms: random.between(5, 60),
        ahead_windows: random.between(2, 8) as usize,
        ahead_rows: random.between(10, 400) as usize,
        ..JobSettings::default()
    };
    World { settings, partitions: topic, last_step: step }
}

impl World {
    fn finite(&self) -> MemorySource {
        let events = |log: &Vec<(u64, Recorded)>| log.iter().map(|(_, event)| event.clone()).collect();
        MemorySource::finite("walk", self.partitions.iter().map(|(number, log)| (*number, events(log))).collect())
    }

    fn live(&self, steps: &Steps) -> MemorySource {
        MemorySource::live("walk", self.partitions.clone(), steps.clone())
    }

    fn config(&self, source: Arc<dyn Source>, faults: &Faults) -> JobConfig {
        JobConfig {
            settings: self.settings.clone(),
            monitor: crate::quick_monitor(),
            source,
            store_rows: true,
            embedder: Some(|| Box::new(connectors::projection::Projection::new())),
            faults: faults.clone(),
            timed: false,
        }
    }
}

/// Everything a run leaves behind.
#[derive(PartialEq)]
pub struct Result_ {
    pub lines: Vec<String>,
    pub totals: String,
}

/// All rows with their versions, and the totals.
pub fn content(store: &ScriptStore, manifest: &Manifest) -> Result_ {
    let mut lines = Vec::new();
    let mut stored = store.stored();
    for table in TABLES {
        stored
            .scan(table.id, &[], &mut |row| {
                lines.push(format!("{} {:?} {:?}", table.name, row.values, row.version));
                ControlFlow::Continue(())
            })
            .expect("memory does not fail");
    }
    Result_ { lines, totals: format!("{:?}", manifest.totals) }
}

/// What happened on the way, for the report.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    pub crashes: u64,
    pub stops: u64,
    pub marks: u64,
    pub records: u64,
    pub incidents: u64,
    pub late: u64,
}

/// Steps after which a run counts as stuck.
const STUCK_STEPS: u64 = 60_000;

/// One seed: the first difference, if any.
pub fn walk(seed: u64, faults: &Faults, tally: &mut Tally) -> Result<(), String> {
    let world = world(seed);
    let mut random = Random::new(seed ^ 0x5eed);
    let store = ScriptStore::new(faults.ignore_versions);
    let disturbed = disturbed(&world, &mut random, &store, faults, tally)?;
    // The undisturbed run gets the same idle marks: they are decisions, made once and kept.
    let calm = ScriptStore::new(false);
    let marks = store.stored().marks().expect("memory does not fail");
    tally.marks += marks.len() as u64;
    calm.stored().write_marks(&marks).expect("memory does not fail");
    let undisturbed = undisturbed(&world, &calm)?;
    let (got, want) = (content(&store, &disturbed), content(&calm, &undisturbed));
    let totals = disturbed.totals;
    tally.records += totals.received();
    tally.late += totals.late;
    tally.incidents += totals.incidents.iter().sum::<u64>();
    let all: usize = world.partitions.values().map(Vec::len).sum();
    if undisturbed.totals.received() != all as u64 {
        return Err(format!("undisturbed run: {} fates for {all} records", undisturbed.totals.received()));
    }
    compare(&got, &want)
}

/// The first line that differs.
pub fn compare(got: &Result_, want: &Result_) -> Result<(), String> {
    if got.totals != want.totals {
        return Err(format!("totals differ\n  disturbed   {}\n  undisturbed {}", got.totals, want.totals));
    }
    for (got, want) in got.lines.iter().zip(&want.lines) {
        if got != want {
            return Err(format!("rows differ\n  disturbed   {got}\n  undisturbed {want}"));
        }
    }
    if got.lines.len() != want.lines.len() {
        return Err(format!("{} rows instead of {}", got.lines.len(), want.lines.len()));
    }
    Ok(())
}

/// One worker, everything there from the start, every write acknowledged at once.
fn undisturbed(world: &World, store: &ScriptStore) -> Result<Manifest, String> {
    let config = world.config(Arc::new(world.finite()), &Faults::default());
    let stage = Stage::open(&config, 1, store);
    for step in 0..STUCK_STEPS {
        let answer = stage.step(0, step as i64, false)?;
        while store.pending() > 0 {
            store.complete(0, true);
        }
        if answer.status? == Status::Finished {
            stage.die();
            return answer.manifest.ok_or_else(|| "finished without a manifest".to_owned());
        }
    }
    let stand = stage.step(0, -1, false)?.describe.unwrap_or_default();
    Err(format!("undisturbed run is stuck, {} works on the wire\n  {stand}", store.pending()))
}

fn disturbed(
    world: &World,
    random: &mut Random,
    store: &ScriptStore,
    faults: &Faults,
    tally: &mut Tally,
) -> Result<Manifest, String> {
    let mut lives = random.between(1, 5);
    let steps = Steps::new();
    let mut now = 0;
    let live_leg = random.chance(0.6);
    loop {
        let workers = *random.pick(&[1, 2, 2, 3, 4]);
        // The last life reads the whole topic to its end; earlier ones see it arrive.
        let live = live_leg && (lives > 0 || steps.now() < world.last_step);
        let source: Arc<dyn Source> = if live { Arc::new(world.live(&steps)) } else { Arc::new(world.finite()) };
        let config = world.config(source, faults);
        let stage = Stage::open(&config, workers, store);
        let mut life_steps = if lives > 0 { random.between(30, 900) as u64 } else { STUCK_STEPS };
        let mut stop = false;
        loop {
            now += 1;
            if now % 3 == 0 {
                steps.advance_to(steps.now() + 1);
            }
            disturb(store, random);
            let worker = random.below(workers);
            let answer = stage.step(worker, now, stop)?;
            match answer.status? {
                Status::Finished if worker == 0 => {
                    while store.belated() > 0 {
                        store.arrive(random.below(store.belated()));
                    }
                    stage.die();
                    return answer.manifest.ok_or_else(|| "finished without a manifest".to_owned());
                }
                Status::Stopped if worker == 0 => break,
                // Workers go on until worker 0 is done: others may still wait for what they hand on.
                _ => {}
            }
            life_steps -= 1;
            if life_steps == 0 {
                if lives == 0 {
                    let stand = |worker| stage.step(worker, -now, stop).ok().and_then(|answer| answer.describe);
                    let stands: Vec<String> = (0..workers).filter_map(stand).collect();
                    return Err(format!(
                        "stuck after {STUCK_STEPS} steps, {} works on the wire\n  {}",
                        store.pending(),
                        stands.join("\n  ")
                    ));
                }
                if live && lives == 1 && steps.now() < world.last_step {
                    steps.advance_to(world.last_step);
                }
                if random.chance(0.3) && !stop {
                    // An orderly stop instead of a crash; it may still be cut short.
                    stop = true;
                    tally.stops += 1;
                    life_steps = random.between(50, 2_000) as u64;
                } else {
                    break;
                }
            }
        }
        tally.crashes += u64::from(!stop);
        lives -= 1;
        lives = lives.max(0);
        stage.die();
        store.crash(|| match random.unit() {
            applied if applied < 0.4 => Fate::Applied,
            belated if belated < 0.6 => Fate::Belated,
            _ => Fate::Lost,
        });
    }
}

/// Something happens on the wire.
fn disturb(store: &ScriptStore, random: &mut Random) {
    if store.belated() > 0 && random.chance(0.05) {
        store.arrive(random.below(store.belated()));
    }
    if store.pending() == 0 || random.chance(0.6) {
        return;
    }
    let at = random.below(store.pending());
    match random.unit() {
        lost if lost < 0.12 => store.complete(at, false),
        part if part < 0.2 => {
            let mut coin = Random::new(random.next());
            store.complete_in_part(at, || coin.chance(0.5));
        }
        _ => store.complete(at, true),
    }
}
