//! Steps run one after another: each is one command with its name; the first failure ends the run, and a table says in the
//! end how long each took.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a step may take to end after a signal before it is killed.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// What is only known when a step's turn comes: variables for its environment.
type Late = Box<dyn FnOnce() -> Result<Vec<(String, String)>>>;

/// One command with the name it has in the table.
pub struct Step {
    name: String,
    command: Command,
    late: Option<Late>,
}

impl Step {
    /// Any command as it stands.
    pub fn from_command(name: impl Into<String>, command: Command) -> Self {
        Step { name: name.into(), command, late: None }
    }

    /// Any program, run in the workspace's root.
    pub fn program(name: impl Into<String>, program: impl AsRef<OsStr>, args: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(args).current_dir(workspace_root());
        Step::from_command(name, command)
    }

    /// A cargo command, with the cargo that runs this.
    pub fn cargo(name: impl Into<String>, args: &[&str]) -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Step::program(name, cargo, args)
    }

    /// The same step with one more variable in its environment.
    #[must_use]
    pub fn env(mut self, key: &str, value: &str) -> Self {
        self.command.env(key, value);
        self
    }

    /// The same step with variables that are asked for just before it starts.
    #[must_use]
    pub fn env_from(mut self, late: impl FnOnce() -> Result<Vec<(String, String)>> + 'static) -> Self {
        self.late = Some(Box::new(late));
        self
    }

    fn start(&mut self) -> Result<Child> {
        if let Some(late) = self.late.take() {
            self.command.envs(late()?);
        }
        // A group of its own: a signal then reaches what the command has started, too, test binaries of cargo above all.
        Ok(self.command.process_group(0).spawn()?)
    }

    /// The command as one would type it, for the reader of a log.
    fn line(&self) -> String {
        let program = Path::new(self.command.get_program());
        let mut line = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
        for arg in self.command.get_args() {
            line.push(' ');
            line.push_str(&arg.to_string_lossy());
        }
        line
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    NotRun,
}

/// Runs the steps in order, their output going where ours goes, and prints the table whatever happens.
///
/// SIGINT and SIGTERM end the step that runs; the caller's guards are dropped as after any failure.
///
/// # Errors
/// The first step that fails, is interrupted or can't be started; no step behind it is run.
pub fn run(steps: Vec<Step>) -> Result<()> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted)).context("could not watch for signals")?;
    }
    let mut rows = Vec::with_capacity(steps.len());
    let mut failure = None;
    for mut step in steps {
        if failure.is_some() {
            rows.push((step.name, Outcome::NotRun, Duration::ZERO));
            continue;
        }
        let line = step.line();
        eprintln!("==> {}: {line}", step.name);
        let started = Instant::now();
        let result = step
            .start()
            .and_then(|child| wait(child, &interrupted))
            .with_context(|| format!("could not run step {:?}: {line}", step.name));
        let took = started.elapsed();
        let outcome = match result {
            Ok(status) if status.success() => Outcome::Passed,
            Ok(status) => {
                failure = Some(anyhow::anyhow!("step {:?} failed with {status}: {line}", step.name));
                Outcome::Failed
            }
            Err(error) => {
                failure = Some(error);
                Outcome::Failed
            }
        };
        rows.push((step.name, outcome, took));
    }
    eprint!("{}", table(&rows));
    match failure {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Waits for the end of a child, which an interruption brings about.
fn wait(mut child: Child, interrupted: &AtomicBool) -> Result<ExitStatus> {
    let mut asked: Option<Instant> = None;
    loop {
        if let Some(status) = child.try_wait()? {
            return if asked.is_some() { bail!("interrupted") } else { Ok(status) };
        }
        match asked {
            None if interrupted.load(Ordering::Relaxed) => {
                signal_group(&child, "TERM");
                asked = Some(Instant::now());
            }
            Some(since) if since.elapsed() > GRACE => signal_group(&child, "KILL"),
            _ => {}
        }
        std::thread::sleep(POLL);
    }
}

/// Sends a signal to the process group that a child leads; one that has ended already is fine.
pub fn signal_group(leader: &Child, signal: &str) {
    let group = format!("-{}", leader.id());
    let sent = Command::new("kill").args(["-s", signal, "--", &group]).stderr(std::process::Stdio::null()).status();
    if let Err(error) = sent {
        eprintln!("warning: could not send SIG{signal} to process group {}: {error}", leader.id());
    }
}

fn table(rows: &[(String, Outcome, Duration)]) -> String {
    let width = rows.iter().map(|(name, ..)| name.len()).max().unwrap_or(0).max("total".len());
    let mut text = String::from("\n");
    for (name, outcome, took) in rows {
        let word = match outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::NotRun => "not run",
        };
        let _ = writeln!(text, "{name:<width$}  {:>8.1} s  {word}", took.as_secs_f64());
    }
    let total: Duration = rows.iter().map(|(.., took)| *took).sum();
    let _ = writeln!(text, "{:<width$}  {:>8.1} s", "total", total.as_secs_f64());
    text
}

/// The folder of the workspace's `Cargo.toml`: of the one that cargo runs this for, which need not be the one that it was
/// compiled in, where two clones share a target folder.
pub fn workspace_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&package).parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Whether `cargo NAME` is there, asked by running `cargo NAME --version`.
///
/// # Errors
/// It isn't; the message says how to get it.
pub fn need_subcommand(name: &str, how_to_get_it: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let found = Command::new(cargo).args([name, "--version"]).output().context("could not start cargo")?;
    if !found.status.success() {
        bail!("cargo subcommand {name:?} is not installed: {how_to_get_it}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_ends_the_run_and_is_named() {
        let steps = vec![
            Step::cargo("works", &["--version"]),
            Step::cargo("breaks", &["no-such-subcommand-of-cargo"]),
            Step::program("never", "no-such-program", &[]),
        ];
        let error = run(steps).expect_err("the second step fails").to_string();
        assert!(error.contains("\"breaks\"") && error.contains("no-such-subcommand-of-cargo"), "{error}");
    }

    #[test]
    fn a_program_that_is_not_there_is_a_failure_with_its_cause() {
        let error = run(vec![Step::program("gone", "no-such-program", &["-x"])]).expect_err("there is no such program");
        assert_eq!(error.to_string(), "could not run step \"gone\": no-such-program -x");
        assert!(error.source().is_some());
    }

    #[test]
    fn an_interruption_ends_the_step_and_all_it_started() {
        let mut step = Step::program("sleeps", "bash", &["-c", "sleep 600 & wait"]);
        let child = step.start().expect("bash starts");
        let group = format!("-{}", child.id());
        let error = wait(child, &AtomicBool::new(true)).expect_err("it was interrupted");
        assert_eq!(error.to_string(), "interrupted");
        let runs = || Command::new("kill").args(["-0", "--", &group]).output().expect("kill starts").status.success();
        // The sleeper has lost its parent: it stays in the group until the system has taken note of its end.
        let patience = Instant::now() + Duration::from_secs(30);
        while runs() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!runs(), "a process of the group still runs");
    }

    #[test]
    fn variables_known_late_reach_the_step() {
        let late = || Ok(vec![("ADDRESS".to_owned(), "127.0.0.1:1".to_owned())]);
        run(vec![Step::program("sees", "bash", &["-c", "test \"$ADDRESS\" = 127.0.0.1:1"]).env_from(late)]).unwrap();
        let fails = Step::program("never", "true", &[]).env_from(|| bail!("no address yet"));
        assert!(format!("{:#}", run(vec![fails]).unwrap_err()).contains("no address yet"));
    }

    #[test]
    fn the_table_shows_every_step_and_the_sum() {
        let rows = [
            ("format".to_owned(), Outcome::Passed, Duration::from_millis(900)),
            ("clippy".to_owned(), Outcome::Failed, Duration::from_millis(61_240)),
            ("tests".to_owned(), Outcome::NotRun, Duration::ZERO),
        ];
        let wanted = "
format       0.9 s  ok
clippy      61.2 s  FAILED
tests        0.0 s  not run
total       62.1 s
";
        assert_eq!(table(&rows), wanted);
    }
}
