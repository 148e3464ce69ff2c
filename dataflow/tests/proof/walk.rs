//! Seeded walks: a run with crashes between any two steps, lost acknowledgements, half-applied, reordered and belated writes,
//! idle partitions, restarts at another worker count, against an undisturbed run of one worker. Every table must be equal to
//! the last bit, and so must the totals.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use connectors::memory::{MemoryEmbedder, MemoryStore, Steps};
use connectors::{Source, Store as _};
use dataflow::controls::ASKED_MS;
use dataflow::embeddings::Embeddings;
use dataflow::embeddings::backfill::Backfill;
use dataflow::faults::Faults;
use dataflow::job::JobConfig;
use model::tables::TableId;

use crate::content::{compare, content};
use crate::random::Random;
use crate::script::{Script, Tally, Topic, disturbed, undisturbed};
use crate::stage::ScriptStore;
use crate::world::{World, world};

/// Steps after which a run counts as stuck.
pub const STUCK_STEPS: u64 = 60_000;

struct Walked<'a> {
    world: &'a World,
    faults: &'a Faults,
    /// Every state waits for its vector.
    patient: bool,
}

impl Topic for Walked<'_> {
    fn finite(&self) -> Arc<dyn Source> {
        Arc::new(self.world.finite())
    }

    fn gained(&self) -> BTreeMap<u32, u64> {
        self.world.births.clone()
    }

    fn live(&self, steps: &Steps) -> Arc<dyn Source> {
        Arc::new(self.world.live(steps))
    }

    fn job(&self, source: Arc<dyn Source>) -> JobConfig {
        self.world.config(source, self.faults, self.patient)
    }
}

/// One seed: the first difference, if any.
pub fn walk(seed: u64, faults: &Faults, stuck_steps: u64, tally: &mut Tally) -> Result<(), String> {
    let world = world(seed);
    let mut random = Random::new(seed ^ 0x5eed);
    let store = ScriptStore::new(faults.ignore_versions);
    let script = Script {
        lives: random.between(2, 6),
        life_steps: (30, *random.pick(&[300, 900])),
        live: random.chance(0.7),
        stuck_steps,
        sip: random.between(1, 12) as usize,
        people: *random.pick(&[0.0, 0.003, 0.02]),
    };
    let got = disturbed(&Walked { world: &world, faults, patient: false }, &script, &mut random, &store, tally)?;
    // The undisturbed run gets the same idle marks: they are decisions, made once and kept.
    let calm = ScriptStore::new(false);
    let marks = store.stored().marks().expect("memory does not fail");
    tally.marks += marks.len() as u64;
    calm.stored().write_marks(&marks).expect("memory does not fail");
    // And what people asked for, where the job placed it.
    let mut controls = store.stored().controls().expect("memory does not fail");
    controls.retain(|control| control.window_ms != ASKED_MS);
    tally.asked += controls.len() as u64;
    calm.stored().write_controls(&controls).expect("memory does not fail");
    let sound = Walked { world: &world, faults: &Faults::default(), patient: true };
    let want = undisturbed(&sound.job(sound.finite()), 1, &calm, STUCK_STEPS)
        .map_err(|error| format!("the undisturbed run: {error}"))?;
    let totals = got.totals;
    tally.records += totals.received();
    tally.late += totals.late;
    tally.incidents += totals.incidents.iter().fold(0, |sum: u64, count| sum.wrapping_add(*count));
    let all: usize = world.partitions.values().map(Vec::len).sum();
    if want.totals.received() != all as u64 {
        return Err(format!("undisturbed run: {} fates for {all} records", want.totals.received()));
    }
    if let Some(embeddings) = sound.job(sound.finite()).texts {
        tally.pending += complete(&mut store.stored(), &embeddings)?;
        if calm.stored().count(TableId::PendingStates).expect("memory does not fail") > 0 {
            return Err("undisturbed run: a state was not waited for".to_owned());
        }
    }
    let (got, want) = (content(&store.stored(), &got), content(&calm.stored(), &want));
    let is_resolved =
        |line: &&String| line.starts_with("anomaly_events") && !line.contains("Text(\"open\"), Null, Bool");
    tally.resolved += got.lines.iter().filter(is_resolved).count() as u64;
    compare(&got, &want)
}

/// Completes what is pending, as if the embedder had failed and a writer died after it had written and before it removed
/// anything. How many states were pending.
fn complete(store: &mut MemoryStore, embeddings: &Embeddings) -> Result<u64, String> {
    let mut pending = Vec::new();
    let keep = &mut |row| {
        pending.push(row);
        ControlFlow::Continue(())
    };
    store.scan(TableId::PendingStates, &[], keep).expect("memory does not fail");
    let mut embedder = MemoryEmbedder::new();
    embedder.fail(1);
    for repeated in [false, true] {
        if repeated {
            store.write(&pending).expect("memory takes what it gave");
        }
        let mut round = Backfill::default();
        let mut tries = 0;
        loop {
            match round.step(store, embeddings, &mut embedder) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) if tries == 0 => tries += 1,
                Err(error) => return Err(format!("{error:#}")),
            }
        }
        if round.completed != pending.len() as u64 || round.left() > 0 {
            return Err(format!("{} of {} pending states were completed", round.completed, pending.len()));
        }
    }
    Ok(pending.len() as u64)
}
