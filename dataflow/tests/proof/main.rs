//! Proofs that take a while: walks over crashes, every scenario on every number of workers, mutations.
//!
//! `cargo test --release -p dataflow --test proof -- [walk|scenarios|mutate] [--seeds N] [--from S]`

mod random;
mod stage;
mod walk;

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
        ..udfs::MonitorConfig::default()
    }
}

fn number(arguments: &[String], name: &str) -> Option<u64> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1)?.parse().ok()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seeds = number(&arguments, "--seeds").unwrap_or(100);
    let from = number(&arguments, "--from").unwrap_or(0);
    let mut tally = walk::Tally::default();
    let mut failed = Vec::new();
    for seed in from..from + seeds {
        if let Err(difference) = walk::walk(seed, &Faults::default(), &mut tally) {
            println!("seed {seed}: {difference}");
            failed.push(seed);
        }
    }
    println!(
        "walk: {seeds} seeds from {from}, {} differ; {} crashes, {} stops, {} idle marks, {} records, {} late, {} incidents",
        failed.len(),
        tally.crashes,
        tally.stops,
        tally.marks,
        tally.records,
        tally.late,
        tally.incidents
    );
    println!("{} passed, {} failed", seeds - failed.len() as u64, failed.len());
    if !failed.is_empty() {
        println!("again: cargo xtask walk --from {} --seeds 1", failed[0]);
        std::process::exit(1);
    }
}
