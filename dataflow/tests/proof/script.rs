//! Runs on the stage: one without any disturbance, and one through crashes, stops and a bad wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use connectors::memory::Steps;
use connectors::{Source, Store as _};
use dataflow::checkpoint::{Manifest, Position, Start};
use dataflow::job::{JobConfig, Status};

use crate::people;
use crate::random::Random;
use crate::stage::{Fate, ScriptStore, Sips, Stage};

/// A topic that can be read to its end, or seen to arrive.
pub trait Topic {
    /// All of it, with an end.
    fn finite(&self) -> Arc<dyn Source>;
    /// Partitions that it gains while it arrives, with the step.
    fn gained(&self) -> BTreeMap<u32, u64> {
        BTreeMap::new()
    }
    /// As it arrives, without an end.
    fn live(&self, steps: &Steps) -> Arc<dyn Source>;
    /// The job that reads a source.
    fn job(&self, source: Arc<dyn Source>) -> JobConfig;
}

/// How a disturbed run is disturbed.
pub struct Script {
    /// Crashes and stops at most.
    pub lives: i64,
    /// Fewest and most steps before one.
    pub life_steps: (i64, i64),
    /// The first lives see the topic arrive.
    pub live: bool,
    /// Steps after which a run counts as stuck.
    pub stuck_steps: u64,
    /// Records that a poll gives at most.
    pub sip: usize,
    /// How likely people ask for something at a step.
    pub people: f64,
}

/// What happened on the way, for the report.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    pub resumes: u64,
    pub crashes: u64,
    pub stops: u64,
    pub marks: u64,
    pub records: u64,
    pub incidents: u64,
    pub late: u64,
    pub pending: u64,
    pub asked: u64,
    pub resolved: u64,
}

/// Every write acknowledged at once, the workers in turn.
pub fn undisturbed(job: &JobConfig, workers: usize, store: &ScriptStore, stuck_steps: u64) -> Result<Manifest, String> {
    let mut stage = Stage::open(job, workers, store);
    for step in 0..stuck_steps {
        let worker = step as usize % workers;
        let answer = stage.step(worker, step as i64, false);
        stage.embed(true);
        while store.pending() > 0 {
            store.complete(0, true);
        }
        let ended = answer.and_then(|answer| Ok((answer.status? == Status::Finished, answer.manifest)));
        match ended {
            Ok((true, manifest)) if worker == 0 => {
                stage.die();
                return manifest.ok_or_else(|| "finished without a manifest".to_owned());
            }
            Ok(_) => {}
            Err(error) => {
                stage.die();
                return Err(error);
            }
        }
    }
    let stand = stage.step(0, -1, false).ok().and_then(|answer| answer.describe).unwrap_or_default();
    stage.die();
    Err(format!("stuck after {stuck_steps} steps, {} works on the wire\n  {stand}", store.pending()))
}

/// How fast the wire is in one life.
#[derive(Clone, Copy)]
struct Wire {
    /// How likely something happens on it at a step.
    pace: f64,
    /// Idle marks take much longer than rows and checkpoints.
    slow_marks: bool,
}

/// How one life of a disturbed run ended.
enum End {
    Finished(Option<Manifest>),
    Stopped,
    Crashed,
}

/// Through crashes between any two steps, at another number of workers each time, until the topic's end is durable.
pub fn disturbed(
    topic: &dyn Topic,
    script: &Script,
    random: &mut Random,
    store: &ScriptStore,
    tally: &mut Tally,
) -> Result<Manifest, String> {
    let gained = topic.gained();
    let mut lives = script.lives;
    let steps = Steps::new();
    let mut now = 0;
    loop {
        let workers = *random.pick(&[1, 2, 2, 3, 4]);
        // The last life reads the whole topic to its end; earlier ones see it arrive, with all of its partitions.
        let live = script.live && (lives > 0 || !all_begun(&gained, store));
        if lives < -MORE_LIVES {
            return Err("a partition that the topic gained was never begun".to_owned());
        }
        let source = if live { topic.live(&steps) } else { topic.finite() };
        let source = Arc::new(Sips { source, records: script.sip });
        let mut stage = Stage::open(&topic.job(source), workers, store);
        tally.resumes += u64::from(stage.resumed);
        let wire = Wire { pace: *random.pick(&[0.05, 0.4, 0.4, 0.9]), slow_marks: random.chance(0.5) };
        let last_life = lives <= 0 && !live;
        let wire = if last_life { Wire { pace: 0.4, slow_marks: false } } else { wire };
        let end = live_once(&mut stage, workers, script, (last_life, wire), &steps, &mut now, random, store, tally);
        stage.die();
        match end? {
            End::Finished(manifest) => {
                while store.belated() > 0 {
                    store.arrive(random.below(store.belated()));
                }
                return manifest.ok_or_else(|| "finished without a manifest".to_owned());
            }
            End::Crashed => tally.crashes += 1,
            End::Stopped => {}
        }
        lives -= 1;
        store.crash(|| match random.unit() {
            applied if applied < 0.4 => Fate::Applied,
            belated if belated < 0.6 => Fate::Belated,
            _ => Fate::Lost,
        });
    }
}

/// Lives beyond the script's that wait for a new partition to be begun.
const MORE_LIVES: i64 = 60;

/// Whether it is durable where each gained partition begins, or no run has begun at all.
fn all_begun(gained: &BTreeMap<u32, u64>, store: &ScriptStore) -> bool {
    let mut stored = store.stored();
    let checkpoint = stored.latest_checkpoint().expect("memory does not fail");
    let start = Start::decode(checkpoint, stored.marks().expect("memory does not fail"));
    let start = start.expect("what was written can be read");
    // A position in front of everything that has a watermark becomes a mark at the next start.
    let has_begun = |position: &Position| position.offset > 0 || position.watermark_ms == i64::MIN;
    let has_position = |partition: u32| match &start.manifest {
        Some((_, manifest)) => manifest.positions.iter().any(|at| at.partition == partition && has_begun(at)),
        None => true,
    };
    let has_mark = |partition: u32| start.marks.iter().any(|mark| mark.partition == partition);
    gained.keys().all(|&partition| has_position(partition) || has_mark(partition))
}

#[expect(clippy::too_many_arguments, reason = "the state of a walk, taken apart")]
fn live_once(
    stage: &mut Stage,
    workers: usize,
    script: &Script,
    (last_life, wire): (bool, Wire),
    steps: &Steps,
    now: &mut i64,
    random: &mut Random,
    store: &ScriptStore,
    tally: &mut Tally,
) -> Result<End, String> {
    let (fewest, most) = script.life_steps;
    let mut left = if last_life { script.stuck_steps } else { random.between(fewest, most) as u64 };
    let mut stop = false;
    loop {
        *now += 1;
        if *now % 3 == 0 {
            steps.advance_to(steps.now() + 1);
        }
        disturb(store, wire, random);
        if random.chance(script.people) {
            people::ask(&mut store.stored(), *now, random);
        }
        if stage.texts.is_some() {
            if random.chance(0.1) {
                stage.embed(random.chance(0.8));
            }
            if random.chance(0.01) {
                stage.complete(store);
            }
        }
        let worker = random.below(workers);
        let answer = stage.step(worker, *now, stop)?;
        match answer.status? {
            Status::Finished if worker == 0 => return Ok(End::Finished(answer.manifest)),
            Status::Stopped if worker == 0 => return Ok(End::Stopped),
            // Workers go on until worker 0 is done: others may still wait for what they hand on.
            _ => {}
        }
        left -= 1;
        if left > 0 {
            continue;
        }
        if last_life {
            let stand = |worker| stage.step(worker, -*now, stop).ok().and_then(|answer| answer.describe);
            let stands: Vec<String> = (0..workers).filter_map(stand).collect();
            return Err(format!(
                "stuck after {} steps, {} works on the wire\n  {}",
                script.stuck_steps,
                store.pending(),
                stands.join("\n  ")
            ));
        }
        if stop || !random.chance(0.3) {
            return Ok(End::Crashed);
        }
        // An orderly stop instead of a crash; it may still be cut short.
        stop = true;
        tally.stops += 1;
        left = random.between(50, 2_000) as u64;
    }
}

/// Something happens on the wire.
fn disturb(store: &ScriptStore, wire: Wire, random: &mut Random) {
    if store.belated() > 0 && random.chance(0.05) {
        store.arrive(random.below(store.belated()));
    }
    if store.pending() == 0 || !random.chance(wire.pace) {
        return;
    }
    let at = random.below(store.pending());
    if wire.slow_marks && store.is_marks(at) && random.chance(0.97) {
        return;
    }
    match random.unit() {
        lost if lost < 0.12 => store.complete(at, false),
        part if part < 0.2 => {
            let mut coin = Random::new(random.next());
            store.complete_in_part(at, || coin.chance(0.5));
        }
        _ => store.complete(at, true),
    }
}
