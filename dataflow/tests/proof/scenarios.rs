//! Every case on every number of workers, as two processes, and through crashes, against its one golden.
//!
//! The whole tables must be equal between all of these, not only the lines that the golden shows.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use connectors::memory::{MemorySource, MemoryStore, Recorded, Steps};
use connectors::{Source, Store};
use dataflow::faults::Faults;
use dataflow::job::JobConfig;
use dataflow::progress::Progress;
use dataflow::replay::{job_of, replay_job, show};
use dataflow::run::{Workers, run};
use model::recording::{Line, parse_line};
use scenarios::case::{self, Case, Input};
use scenarios::compare::judge;

use crate::content::{Content, compare, content};
use crate::random::Random;
use crate::script::{Script, Tally, Topic, disturbed};
use crate::stage::ScriptStore;
use crate::{Checks, Seeds};

/// Steps after which a case on the stage counts as stuck.
const STUCK_STEPS: u64 = 100_000;

/// All bundled cases.
pub fn cases() -> Vec<Case> {
    let folder = case::bundled_folder();
    let names = case::list(&folder).expect("the cases are there");
    names.iter().map(|name| case::load(&folder, name).unwrap_or_else(|error| panic!("{error}"))).collect()
}

/// A case as the stage needs it.
pub struct Staged {
    job: JobConfig,
    name: String,
    partitions: BTreeMap<u32, Vec<(u64, Recorded)>>,
    lines: u64,
}

impl Staged {
    /// Its messages arrive in the order of the recording, so many lines a step.
    pub fn new(case: &Case) -> Staged {
        let job = job_of(case).unwrap_or_else(|error| panic!("{error:#}"));
        let recording = case.recording().unwrap_or_else(|error| panic!("{error}"));
        let lines: Vec<&[u8]> = recording.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let a_step = 1 + lines.len() as u64 / 200;
        let mut partitions: BTreeMap<u32, Vec<(u64, Recorded)>> = BTreeMap::new();
        for (at, line) in lines.iter().enumerate() {
            let (partition, event) = match parse_line(line).expect("the case was checked") {
                Line::Message { partition, offset, broker_ms, bytes } => {
                    let bytes = bytes.map(std::borrow::Cow::into_owned);
                    (partition, Recorded::Message { offset, broker_ms, bytes })
                }
                Line::Mark { partition, offset, watermark_ms } => (partition, Recorded::Mark { offset, watermark_ms }),
            };
            partitions.entry(partition).or_default().push((at as u64 / a_step, event));
        }
        Staged { job, name: case.name.clone(), partitions, lines: lines.len() as u64 }
    }

    /// The job on the stage: no clock, small bounds, many checkpoints, and no idle marks beside those of the recording.
    pub fn job(&self, seed: u64, faults: &Faults) -> JobConfig {
        let mut random = Random::new(seed ^ 0xca5e);
        let mut job = self.job.clone();
        job.timed = false;
        job.faults = faults.clone();
        job.settings.idle_ms = i64::MAX / 4;
        job.settings.checkpoint_interval_ms = random.between(5, 60);
        job.settings.ahead_windows = random.between(2, 8) as usize * if self.is_long() { 8 } else { 1 };
        job.settings.ahead_rows = random.between(10, 400) as usize * if self.is_long() { 16 } else { 1 };
        job
    }

    fn is_long(&self) -> bool {
        self.lines > 2_000
    }

    /// Through crashes and restarts.
    pub fn crash(
        &self,
        seed: u64,
        faults: &Faults,
        stuck_steps: u64,
    ) -> Result<(MemoryStore, dataflow::checkpoint::Manifest), String> {
        let mut random = Random::new(seed ^ 0x0c4a_54e5);
        let store = ScriptStore::new(faults.ignore_versions);
        let script = Script {
            lives: random.between(1, 4),
            life_steps: if self.is_long() { (100, 1_500) } else { (5, 150 + 3 * self.lines as i64) },
            live: random.chance(0.7),
            stuck_steps,
            sip: if self.is_long() { 100 } else { random.between(1, 4) as usize },
            people: 0.0,
        };
        let topic = Crashing { staged: self, job: self.job(seed, faults) };
        let manifest = disturbed(&topic, &script, &mut random, &store, &mut Tally::default())?;
        Ok((store.stored(), manifest))
    }
}

struct Crashing<'a> {
    staged: &'a Staged,
    job: JobConfig,
}

impl Topic for Crashing<'_> {
    fn finite(&self) -> Arc<dyn Source> {
        Arc::clone(&self.staged.job.source)
    }

    fn live(&self, steps: &Steps) -> Arc<dyn Source> {
        Arc::new(MemorySource::live(&self.staged.name, self.staged.partitions.clone(), steps.clone()))
    }

    fn job(&self, source: Arc<dyn Source>) -> JobConfig {
        JobConfig { source, ..self.job.clone() }
    }
}

/// The text of a result, and all of it.
type Seen = (String, Content);

fn on_threads(case: &Case, job: &JobConfig, threads: usize) -> Result<Seen, String> {
    let replayed = replay_job(case, job, threads).map_err(|error| format!("{error:#}"))?;
    let all = content(&replayed.store, &replayed.manifest);
    Ok((replayed.text, all))
}

/// Addresses that nobody listens at.
fn free_addresses(count: usize) -> Vec<String> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("loopback has a free port")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("it is bound").to_string()).collect()
}

/// Two processes with so many threads each, speaking over loopback as two processes do; only their memory is shared.
fn as_processes(case: &Case, job: &JobConfig, threads: usize) -> Result<Seen, String> {
    let addresses = free_addresses(2);
    let store = MemoryStore::new();
    let outcome = std::thread::scope(|scope| {
        let first = Workers { threads, processes: 2, process: 0, addresses: addresses.clone() };
        let second = Workers { process: 1, ..first.clone() };
        let start = |workers: Workers, handle: Option<Box<dyn Store>>| {
            let job = job.clone();
            move || run(&job, &workers, handle, &Arc::new(AtomicBool::new(false)), &Arc::new(Progress::default()))
        };
        let handle: Box<dyn Store> = Box::new(store.clone());
        let lead = scope.spawn(start(first, Some(handle)));
        // The first one listens by then; otherwise the second one would wait for a second before it tries again.
        std::thread::sleep(Duration::from_millis(20));
        let other = scope.spawn(start(second, None));
        let other = other.join().map_err(|_| "the second process panicked".to_owned())?;
        let lead = lead.join().map_err(|_| "the first process panicked".to_owned())?;
        other.map_err(|error| format!("the second process: {error:#}"))?;
        lead.map_err(|error| format!("the first process: {error:#}"))
    })?;
    let manifest = outcome.manifest.ok_or("finished without a manifest")?;
    let text = show(case, &manifest, &mut store.clone()).map_err(|error| format!("{error:#}"))?;
    Ok((text, content(&store, &manifest)))
}

fn through_crashes(case: &Case, staged: &Staged, seed: u64) -> Result<Seen, String> {
    let (store, manifest) = staged.crash(seed, &Faults::default(), STUCK_STEPS)?;
    let text = show(case, &manifest, &mut store.clone()).map_err(|error| format!("{error:#}"))?;
    Ok((text, content(&store, &manifest)))
}

/// All cases; the seeds are those of the crashes.
///
/// Processes that look for each other sleep for a second, so those runs go on beside all others.
pub fn scenarios(seeds: Seeds) -> Checks {
    let mut checks = Checks::default();
    let cases = cases();
    let (result, processes) = std::sync::mpsc::sync_channel::<Result<Seen, String>>(1);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let result = result;
            for case in &cases {
                let seen =
                    job_of(case).map_err(|error| format!("{error:#}")).and_then(|job| as_processes(case, &job, 2));
                if result.send(seen).is_err() {
                    break;
                }
            }
        });
        for case in &cases {
            let began = Instant::now();
            one(case, seeds, &processes, &mut checks);
            if began.elapsed() > Duration::from_secs(5) {
                println!("  case {:?} took {:.1} s", case.name, began.elapsed().as_secs_f64());
            }
        }
    });
    checks
}

fn one(case: &Case, seeds: Seeds, processes: &Receiver<Result<Seen, String>>, checks: &mut Checks) {
    let staged = Staged::new(case);
    let long = !matches!(case.input, Input::Recording(_));
    let name = |variant: &str| format!("case {:?} with {variant}", case.name);
    let base = on_threads(case, &staged.job, 1);
    let two_processes = processes.recv().unwrap_or_else(|_| Err("panicked".to_owned()));
    let base = match base {
        Ok(base) => base,
        Err(error) => return checks.check(&name("1 worker"), Err(error)),
    };
    let judged = judge(case, &base.0).unwrap_or_else(|error| panic!("{error}"));
    checks.check(&name("1 worker"), judged.map_err(|failure| failure.to_string()));
    let mut same = |variant: &str, seen: Result<Seen, String>| {
        let result = seen.and_then(|seen| {
            compare(&seen.1, &base.1)?;
            if seen.0 == base.0 { Ok(()) } else { Err("the text differs, but no table does".to_owned()) }
        });
        checks.check(&name(variant), result);
    };
    for threads in [2, 4, 8].into_iter().filter(|&threads| threads < 8 || !long) {
        same(&format!("{threads} workers"), on_threads(case, &staged.job, threads));
    }
    same("2 processes", two_processes);
    let crashes = if long { seeds.count.div_ceil(3) } else { seeds.count };
    for seed in seeds.from..seeds.from + crashes {
        same(&format!("crash seed {seed}"), through_crashes(case, &staged, seed));
    }
}
