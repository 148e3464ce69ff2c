//! Seeded walks: a run with crashes between any two steps, lost acknowledgements, half-applied, reordered and belated writes,
//! idle partitions, restarts at another worker count, against an undisturbed run of one worker. Every table must be equal to
//! the last bit, and so must the totals.

use std::sync::Arc;

use connectors::memory::Steps;
use connectors::{Source, Store as _};
use dataflow::faults::Faults;
use dataflow::job::JobConfig;

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
}

impl Topic for Walked<'_> {
    fn finite(&self) -> Arc<dyn Source> {
        Arc::new(self.world.finite())
    }

    fn live(&self, steps: &Steps) -> Arc<dyn Source> {
        Arc::new(self.world.live(steps))
    }

    fn job(&self, source: Arc<dyn Source>) -> JobConfig {
        self.world.config(source, self.faults)
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
    };
    let got = disturbed(&Walked { world: &world, faults }, &script, &mut random, &store, tally)?;
    // The undisturbed run gets the same idle marks: they are decisions, made once and kept.
    let calm = ScriptStore::new(false);
    let marks = store.stored().marks().expect("memory does not fail");
    tally.marks += marks.len() as u64;
    calm.stored().write_marks(&marks).expect("memory does not fail");
    let sound = Walked { world: &world, faults: &Faults::default() };
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
    compare(&content(&store.stored(), &got), &content(&calm.stored(), &want))
}
