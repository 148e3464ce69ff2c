//! Mutations: one rule of the job broken at a time. Cases and walks must notice each; one that survives is a hole in them.

use std::collections::BTreeMap;

use dataflow::faults::Faults;
use dataflow::replay::show;
use scenarios::case::{Case, Input};

use crate::fates::on_stage;
use crate::scenarios::{Staged, cases};
use crate::script::{Tally, undisturbed};
use crate::stage::ScriptStore;
use crate::walk::walk;
use crate::{Checks, Seeds};

/// Steps after which a mutant counts as stuck; a sound job needs a fraction of them.
const STUCK_STEPS: u64 = 12_000;

/// Crashes that each case goes through.
const CRASHES: u64 = 3;

/// Topics whose fates are compared with the plain reading.
const FATES: u64 = 40;

/// A rule with the fault that breaks it.
type Rule = (&'static str, fn(&mut Faults) -> &mut bool);

const RULES: &[Rule] = &[
    ("lateness counts from the window's end", |faults| &mut faults.late_below_start),
    ("the watermark follows the lower of both clocks", |faults| &mut faults.trust_device_clock),
    ("a restart begins at the smallest offset needed", |faults| &mut faults.resume_at_read_position),
    ("a position holds the watermark in front of it", |faults| &mut faults.forget_watermark),
    ("a position holds the devices and metrics shown before it", |faults| &mut faults.forget_known),
    ("what is covered is not applied again", |faults| &mut faults.apply_covered),
    ("a checkpoint keeps the readings of recent states", |faults| &mut faults.forget_recent),
    ("what can't be used does not move the watermark", |faults| &mut faults.poison_moves_watermark),
    ("idle marks are applied in a replay", |faults| &mut faults.forget_marks),
    ("an idle mark is durable before it is used", |faults| &mut faults.use_marks_early),
    ("a partition that is gained begins with a mark", |faults| &mut faults.open_without_mark),
    ("a partition found later begins behind what may be judged", |faults| &mut faults.close_unannounced),
    ("of duplicates the higher position wins", |faults| &mut faults.lower_duplicate_wins),
    ("windows are half-open", |faults| &mut faults.closed_windows),
    ("a window is added up in a fixed order", |faults| &mut faults.arrival_order),
    ("a late reading has the watermark's stamp", |faults| &mut faults.late_at_own_window),
    ("state is saved as of T", |faults| &mut faults.save_state_now),
    ("totals are saved as of T", |faults| &mut faults.count_now),
    ("the manifest is written last", |faults| &mut faults.manifest_first),
    ("the higher version wins", |faults| &mut faults.ignore_versions),
    ("windows wait for the control stream", |faults| &mut faults.ungated),
    ("peers are those of the window before", |faults| &mut faults.peers_of_same_window),
    ("a checkpoint keeps what the peers showed before it", |faults| &mut faults.forget_peers),
    ("the end closes what has readings and no more", |faults| &mut faults.silent_for_ever),
    ("what people ask is durable before its window", |faults| &mut faults.place_early),
    ("people's words come behind the rows they are about", |faults| &mut faults.settle_early),
    ("a checkpoint waits for people's words", |faults| &mut faults.cut_unsettled),
    ("frontier passed means durable", |faults| &mut faults.drop_capability_early),
];

/// What turned red: after how many tries, and how.
struct Red {
    by: String,
    after: u64,
}

/// Every rule broken alone; the seeds are the walks tried at most.
pub fn mutate(seeds: Seeds) -> Checks {
    // Mutants panic, which is one way to be found; their noise would bury the table.
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let short: Vec<Case> = cases().into_iter().filter(|case| matches!(case.input, Input::Recording(_))).collect();
    let staged: Vec<(Case, Staged)> = short.into_iter().map(|case| (case.clone(), Staged::new(&case))).collect();
    let mut checks = Checks::default();
    let sound = Faults::default();
    checks.check("the sound job on the cases", red_case(&staged, &sound).map_or(Ok(()), |red| Err(red.by)));
    let sound_walks = Seeds { count: seeds.count.min(60), ..seeds };
    checks.check("the sound job on walks", red_walk(sound_walks, &sound).map_or(Ok(()), |red| Err(red.by)));
    let mut table = BTreeMap::new();
    for (at, (rule, fault)) in RULES.iter().enumerate() {
        let mut faults = Faults::default();
        *fault(&mut faults) = true;
        let case = red_case(&staged, &faults);
        let walk = red_walk(seeds, &faults);
        let fates = red_seed(Seeds { count: FATES, ..seeds }, |seed| on_stage(seed, &faults, STUCK_STEPS));
        if case.is_none() && walk.is_none() && fates.is_none() {
            checks.check(rule, Err("broken, and nothing turned red".to_owned()));
        } else {
            checks.check(rule, Ok(()));
        }
        table.insert(at, (rule, case, walk, fates));
    }
    std::panic::set_hook(loud);
    println!(
        "{:<57} {:<38} {:>5}  {:>6} {:>5}  {:>6} {:>5}",
        "broken rule", "red case", "tries", "walk", "tries", "fates", "tries"
    );
    for (rule, case, walk, fates) in table.into_values() {
        let cell = |red: &Option<Red>| match red {
            Some(red) => (red.by.lines().next().unwrap_or_default().to_owned(), red.after.to_string()),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let [(case, in_cases), (walk, in_walks), (fates, in_fates)] = [cell(&case), cell(&walk), cell(&fates)];
        println!("{rule:<57} {case:<38} {in_cases:>5}  {walk:>6} {in_walks:>5}  {fates:>6} {in_fates:>5}");
    }
    checks
}

/// The first case that a mutant gets wrong: undisturbed on three workers, then through crashes.
fn red_case(staged: &[(Case, Staged)], faults: &Faults) -> Option<Red> {
    let mut after = 0;
    for round in 0..=CRASHES {
        for (case, staged) in staged {
            after += 1;
            let result = if round == 0 {
                let store = ScriptStore::new(faults.ignore_versions);
                undisturbed(&staged.job(0, faults), 3, &store, STUCK_STEPS).map(|manifest| (store.stored(), manifest))
            } else {
                staged.crash(round, faults, STUCK_STEPS)
            };
            let text = result
                .and_then(|(mut store, manifest)| show(case, &manifest, &mut store).map_err(|error| error.to_string()));
            let golden = case.golden().unwrap_or_else(|error| panic!("{error}"));
            if text.ok() != golden {
                let how = if round == 0 { String::new() } else { format!(" (crash seed {round})") };
                return Some(Red { by: format!("{}{how}", case.name), after });
            }
        }
    }
    None
}

/// The first walk that a mutant gets wrong.
fn red_walk(seeds: Seeds, faults: &Faults) -> Option<Red> {
    red_seed(seeds, |seed| walk(seed, faults, STUCK_STEPS, &mut Tally::default()))
}

fn red_seed(seeds: Seeds, check: impl Fn(u64) -> Result<(), String>) -> Option<Red> {
    (seeds.from..seeds.from + seeds.count)
        .find(|&seed| check(seed).is_err())
        .map(|seed| Red { by: seed.to_string(), after: seed - seeds.from + 1 })
}
