//! The workspace's chores: `cargo xtask test` is every test, `cargo xtask ci` is what the CI server runs.
//!
//! **Live tests** speak to the real Kafka, Cassandra and Ollama. They lie in `connectors/tests/live/` and
//! `dataflow/tests/live/`, one file a service or story, each a module of `main.rs` there. The target `live` has
//! `test = false`, so a plain `cargo test` leaves them alone; `cargo xtask test` starts the services, gives the tests their addresses in
//! `PLENUM_TEST_KAFKA`, `PLENUM_TEST_CASSANDRA` and `PLENUM_TEST_OLLAMA` (HOST:PORT), and stops the services after. A live
//! test without its variable fails. Tests run side by side on one server: each has topics, a group, a keyspace of its own.
//! For rounds on one of them: `services/services up kafka`, `eval "$(services/services env)"`, `cargo test -p connectors --test live`.
//!
//! **Browser tests** (`dashboard/tests/browser/`, module `browser`) drive the dashboard's pages in Chromium. For rounds on one of
//! them: `PLENUM_DATAFLOW=target/release/dataflow PLENUM_BROWSER_TOOLS=target/tools/browser node --test FILE`; with `PLENUM_PICTURES=FOLDER`
//! they leave screenshots.
//!
//! **Fuzzing** (`dashboard/tests/fuzz/`, module `fuzz`) asks the HTTP interface of the real program whatever its description allows
//! and forbids. `cargo xtask fuzz` is that alone, on the program that `cargo build --release --workspace` has built.

mod browser;
mod compose;
mod fuzz;
mod live;
mod steps;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use steps::Step;

#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", about = "Chores of the workspace")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Every test: unit, property, scenario, walk and mutation tests, the pages in a browser, the HTTP interface under fuzzing, then the live ones on real services
    #[command(
        after_help = "Example: cargo xtask test --no-live -- late_readings   (what follows -- goes to the test binaries; the browser tests and the fuzzing are left out then)"
    )]
    Test(TestArgs),
    /// Format, lints, documentation, compose file, licences, then every test
    #[command(after_help = "Example: cargo xtask ci")]
    Ci(LiveArgs),
    /// Asks the HTTP interface of the program that is built whatever its description allows and forbids
    #[command(after_help = "Example: cargo xtask fuzz")]
    Fuzz,
    /// Checks docker-compose.yml with Docker Compose, without a daemon
    #[command(after_help = "Example: cargo xtask compose")]
    Compose,
    /// Seeded walks of crashes and reorderings through the job
    #[command(after_help = "Example: cargo xtask walk --seeds 200 --from 17")]
    Walk(WalkArgs),
    /// Breaks one rule of the job at a time; each must turn a scenario red
    #[command(after_help = "Example: cargo xtask mutate")]
    Mutate,
}

#[derive(Args, Clone, Copy)]
struct LiveArgs {
    /// Leave out the live tests and start no services, for quick rounds
    #[arg(long)]
    no_live: bool,
    /// Leave out the tests of the dashboard's pages, which need Node.js and Chromium
    #[arg(long)]
    no_browser: bool,
    /// Leave out the fuzzing of the HTTP interface, which needs Python 3 with venv
    #[arg(long)]
    no_fuzz: bool,
}

#[derive(Args)]
struct TestArgs {
    #[command(flatten)]
    live: LiveArgs,
    /// Passed on to the test binaries
    #[arg(last = true)]
    rest: Vec<String>,
}

#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
struct WalkArgs {
    /// How many seeds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 1)]
    from: u64,
}

fn main() -> ExitCode {
    let result = match Cli::parse().task {
        Task::Test(args) => test(args.live, Vec::new(), &args.rest),
        Task::Ci(args) => ci(args),
        Task::Fuzz => fuzz::run(),
        Task::Compose => compose::check(),
        Task::Walk(args) => steps::run(vec![walk_step(args)]),
        Task::Mutate => steps::run(vec![mutate_step()]),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// All tests behind `before`; the services start first, for they take longest.
fn test(args: LiveArgs, before: Vec<Step>, rest: &[String]) -> Result<()> {
    let mut all = before;
    let mut pages = if args.no_browser || !rest.is_empty() { Vec::new() } else { browser::steps()? };
    if !args.no_fuzz && rest.is_empty() {
        pages.push(fuzz::step()?);
    }
    if args.no_live {
        all.extend(test_steps(rest));
        all.extend(pages);
        return steps::run(all);
    }
    let services = live::Services::start()?;
    // Compiled ahead of the other tests, so that the wait for the services falls into one long build, not two.
    all.push(Step::cargo("build of the live tests", &[&LIVE[..], &["--no-run"]].concat()));
    all.extend(test_steps(rest));
    all.extend(pages);
    all.push(services.wait());
    let folder = services.folder().to_path_buf();
    all.push(Step::cargo("live tests", &with_rest(&LIVE, rest)).env_from(move || live::addresses(&folder)));
    steps::run(all)
}

/// One invocation for all crates, so that every crate is compiled once and with the same features.
fn test_steps(rest: &[String]) -> Vec<Step> {
    // The feature is for one module, so only that module's tests are built with it.
    let second_layout = ["test", "--release", "-p", "scenarios", "--lib", "--features", "abomonation", "cache"];
    vec![
        Step::cargo("tests", &with_rest(&["test", "--release", "--workspace"], rest)),
        Step::cargo("tests of the cache's second layout", &second_layout),
    ]
}

/// For all crates too, though few have the target: what is built for it has the same features as in the other tests.
const LIVE: [&str; 5] = ["test", "--release", "--workspace", "--test", "live"];

/// With arguments for the test binaries, where there are any.
fn with_rest<'a>(args: &[&'a str], rest: &'a [String]) -> Vec<&'a str> {
    let separator = (!rest.is_empty()).then_some("--");
    args.iter().copied().chain(separator).chain(rest.iter().map(String::as_str)).collect()
}

/// With the optional module too, for its lints would be seen by nobody else.
const CLIPPY: [&str; 9] = [
    "clippy",
    "--release",
    "--workspace",
    "--all-targets",
    "--features",
    "scenarios/abomonation",
    "--",
    "-D",
    "warnings",
];

/// A target with `test = false` is not among `--all-targets`.
const CLIPPY_LIVE: [&str; 8] = ["clippy", "--release", "--workspace", "--test", "live", "--", "-D", "warnings"];

fn ci(args: LiveArgs) -> Result<()> {
    steps::need_subcommand(
        "deny",
        "`.ci/run` installs it under target/tools, `cargo install --locked cargo-deny` builds it",
    )?;
    let mut all = vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("clippy", &CLIPPY),
        Step::cargo("clippy of the live tests", &CLIPPY_LIVE),
        Step::cargo("documentation", &["doc", "--release", "--workspace", "--no-deps"])
            .env("RUSTDOCFLAGS", "-D warnings"),
        Step::cargo("compose file", &["xtask", "compose"]),
        Step::cargo("licences", &["deny", "check", "licenses", "bans", "sources"]),
    ];
    match advisory_database() {
        Some(_) => all.push(Step::cargo("advisories", &["deny", "check", "--disable-fetch", "advisories"])),
        None => eprintln!("note: advisories are not checked, for no advisory database is on this machine"),
    }
    test(args, all, &[])
}

/// Where cargo-deny keeps the advisories that it fetched; `None` where it never did.
fn advisory_database() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    Some(home.join("advisory-dbs")).filter(|folder| folder.is_dir())
}

/// Sections of the proof, a test binary that runs all of them where nothing is said.
fn proof_step(name: String, args: &[&str]) -> Step {
    Step::cargo(name, &[&["test", "--release", "-p", "dataflow", "--test", "proof", "--"], args].concat())
}

fn walk_step(args: WalkArgs) -> Step {
    let (seeds, from) = (args.seeds.to_string(), args.from.to_string());
    let name = format!("walk, seeds {} to {}", args.from, args.from.saturating_add(args.seeds - 1));
    proof_step(name, &["walk", "--seeds", &seeds, "--from", &from])
}

fn mutate_step() -> Step {
    proof_step("mutations".to_owned(), &["mutate"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn walks_take_a_count_and_a_first_seed() {
        let walk = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.task) {
            Ok(Task::Walk(args)) => Some(args),
            _ => None,
        };
        assert_eq!(walk(&["xtask", "walk"]), Some(WalkArgs { seeds: 100, from: 1 }));
        assert_eq!(walk(&["xtask", "walk", "--seeds", "7", "--from", "9"]), Some(WalkArgs { seeds: 7, from: 9 }));
        assert_eq!(walk(&["xtask", "walk", "--seeds", "0"]), None);
    }
}
