//! Proofs that take a while: fates against a slow model, every scenario on every number of workers and through crashes,
//! walks over crashes, and mutations.
//!
//! `cargo test --release -p dataflow --test proof -- [fates|scenarios|walk|mutate] [--seeds N] [--from S]`

mod content;
mod fates;
mod mutate;
mod peers;
mod people;
mod plain;
mod random;
mod scenarios;
mod script;
mod stage;
mod walk;
mod world;

use std::process::ExitCode;
use std::time::Instant;

use dataflow::faults::Faults;

/// Detectors that warm up within a walk's few windows.
fn quick_monitor() -> udfs::MonitorConfig {
    udfs::MonitorConfig {
        warm_up_windows: 9,
        refit_until_windows: 40,
        regime_windows: 2,
        relearn_windows: 12,
        confirm_windows: 1,
        info_confirm_windows: 2,
        clear_windows: 2,
        silent_after_windows: 3,
        missing_after_windows: 2,
        stuck_after_windows: 4,
        rarity_decades: 1.5,
        fingerprint_decades: 1.5,
        similar_decades: 1.5,
        similar_memory: 8,
        peers: udfs::PeersConfig {
            min_devices: 2,
            every_windows: 2,
            decades: 1.5,
            after_windows: 20,
            lambda: 0.5,
            ..udfs::PeersConfig::default()
        },
        ..udfs::MonitorConfig::default()
    }
}

/// Numbers of checks.
#[derive(Clone, Copy, Default)]
pub struct Checks {
    /// As they should be.
    pub passed: u64,
    /// Not so.
    pub failed: u64,
}

impl Checks {
    /// Counts one, and says what is wrong with it.
    pub fn check(&mut self, name: &str, result: Result<(), String>) {
        match result {
            Ok(()) => self.passed += 1,
            Err(difference) => {
                self.failed += 1;
                println!("FAILED {name}: {difference}");
            }
        }
    }
}

/// Seeds of a section.
#[derive(Clone, Copy)]
pub struct Seeds {
    /// The first.
    pub from: u64,
    /// How many.
    pub count: u64,
}

fn walks(seeds: Seeds) -> Checks {
    let mut tally = script::Tally::default();
    let mut checks = Checks::default();
    for seed in seeds.from..seeds.from + seeds.count {
        let walked = walk::walk(seed, &Faults::default(), walk::STUCK_STEPS, &mut tally);
        let again = format!("walk seed {seed} (again: cargo xtask walk --from {seed} --seeds 1)");
        checks.check(&again, walked);
    }
    println!(
        "walk: {} seeds from {}, {} differ; {} crashes, {} stops, {} resumes from a checkpoint, {} idle marks, {} records, {} late, {} incidents, {} states pending at the end, {} times people asked, {} incidents have their word",
        seeds.count,
        seeds.from,
        checks.failed,
        tally.crashes,
        tally.stops,
        tally.resumes,
        tally.marks,
        tally.records,
        tally.late,
        tally.incidents,
        tally.pending,
        tally.asked,
        tally.resolved
    );
    checks
}

/// A section with the seeds it takes when nothing is said.
type Section = (&'static str, fn(Seeds) -> Checks, u64);

const SECTIONS: [Section; 4] = [
    ("fates", fates::fates, 300),
    ("scenarios", scenarios::scenarios, 6),
    ("walk", walks, 200),
    ("mutate", mutate::mutate, 400),
];

fn number(arguments: &[String], name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1)?.parse().ok()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &str| arguments.iter().any(|argument| argument == name);
    let chosen = SECTIONS.iter().filter(|(name, ..)| named(name)).count();
    // Arguments that are meant for the other test binaries of a workspace run, such as a filter, choose nothing here.
    let first = arguments.first().filter(|first| !first.starts_with('-'));
    if let (0, Some(filter)) = (chosen, first) {
        println!("proof: no section {filter:?}; there are fates, scenarios, walk, mutate");
        return ExitCode::SUCCESS;
    }
    let mut all = Checks::default();
    for (name, section, usual) in SECTIONS {
        if chosen > 0 && !named(name) {
            continue;
        }
        let seeds = Seeds {
            from: number(&arguments, "--from").unwrap_or(0),
            count: number(&arguments, "--seeds").unwrap_or(usual),
        };
        let began = Instant::now();
        let checks = section(seeds);
        println!("{name}: {} passed, {} failed, {:.1} s", checks.passed, checks.failed, began.elapsed().as_secs_f64());
        all.passed += checks.passed;
        all.failed += checks.failed;
    }
    println!("{} passed, {} failed", all.passed, all.failed);
    ExitCode::from(u8::from(all.failed > 0))
}
