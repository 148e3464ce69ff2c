//! The HTTP interface under fuzzing: [schemathesis](https://schemathesis.readthedocs.io) reads `/api/v1/openapi.json` of the real
//! program, asks every route what the document allows and what it forbids, and compares the answers with the document. How it asks
//! stands in `dashboard/tests/fuzz/schemathesis.toml`; the seed is fixed, so that a finding comes again.
//!
//! The program serves a store of its own, filled from the simulated day that it brings along, on a free port of the loopback.
//! Schemathesis is installed under `target/tools/fuzz` in the versions of `requirements.txt` there. Every wait has a limit, and
//! what was started is ended by its process id, whatever happens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::steps::{self, Step};

/// What is asked and installed, from the workspace's root.
const TESTS: &str = "dashboard/tests/fuzz";
const WHAT_HELPS: &str = "--no-fuzz leaves the fuzzing of the HTTP interface out";
/// Lets write, as `http_token`.
const TOKEN: &str = "fuzzing";
/// For pip, which may have to fetch 15 MB.
const INSTALL_WITHIN: Duration = Duration::from_secs(300);
/// For a day of eleven devices into a store.
const FILL_WITHIN: Duration = Duration::from_secs(120);
/// For the program until it serves.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// For all that is asked.
const ASK_WITHIN: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(50);

/// The step for the test command; whether Python is there is looked at at once, not after an hour.
///
/// # Errors
/// Python or its module venv is missing; the message says what to install.
pub fn step() -> Result<Step> {
    if !is_installed(&tools())? {
        check_python()?;
    }
    Ok(Step::cargo("API under fuzzing", &["xtask", "fuzz"]))
}

/// Installs what is missing, fills a store, serves it, and has it asked.
///
/// # Errors
/// A tool or the program is missing, a wait was too long, or there are findings, which schemathesis prints.
pub fn run() -> Result<()> {
    let tools = tools();
    if !is_installed(&tools)? {
        check_python()?;
        install(&tools)?;
    }
    let folder = target().join("fuzz");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("could not empty folder {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("could not make folder {}", folder.display()))?;
    let program = target().join("release/dataflow");
    ensure!(
        program.is_file(),
        "program {} is not built: `cargo build --release --workspace` builds it",
        program.display()
    );
    let mut fill = Command::new(&program);
    fill.current_dir(&folder).args(["-w", "2", "--store", "sqlite:day.db", "--json"]).stdout(Stdio::null());
    let filled = finish(fill, FILL_WITHIN)?;
    ensure!(filled.success(), "the store to serve could not be filled: {filled}");
    let mut served = Served::start(&program, &folder)?;
    let settings_file = folder.join("schemathesis.toml");
    std::fs::write(&settings_file, settings(&served)?)
        .with_context(|| format!("could not write {}", settings_file.display()))?;
    let mut ask = Command::new(tools.join("bin/schemathesis"));
    ask.current_dir(&folder).arg("--config-file").arg(settings_file).arg("run");
    ask.arg("--header").arg(format!("Authorization: Bearer {TOKEN}"));
    ask.arg(format!("http://{}/api/v1/openapi.json", served.address));
    let asked = finish(ask, ASK_WITHIN)?;
    served.check()?;
    drop(served);
    ensure!(
        asked.success(),
        "the HTTP interface is not as it is described, or fails; see the findings above ({asked})"
    );
    std::fs::remove_dir_all(&folder).with_context(|| format!("could not remove folder {}", folder.display()))
}

/// The settings with dictionaries of names that exist, for many routes have nothing to say of others.
fn settings(served: &Served) -> Result<String> {
    let path = tests().join("schemathesis.toml");
    let mut text = std::fs::read_to_string(&path).with_context(|| format!("could not read {}", path.display()))?;
    // Of letters one alone: three fields that are chosen one by one have to be those of one letter.
    for (name, path, list, field) in [
        ("devices", "/api/v1/fleet", "devices", "device_id"),
        ("incidents", "/api/v1/incidents", "incidents", "id"),
        ("topics", "/api/v1/dead-letters?limit=1", "letters", "topic"),
        ("partitions", "/api/v1/dead-letters?limit=1", "letters", "partition"),
        ("offsets", "/api/v1/dead-letters?limit=1", "letters", "offset"),
    ] {
        let answer = served.get(path).with_context(|| format!("could not ask for {path}"))?;
        let answer: Value = serde_json::from_str(&answer).with_context(|| format!("{path} is no JSON"))?;
        let values: Vec<&Value> = answer[list].as_array().into_iter().flatten().map(|one| &one[field]).collect();
        ensure!(!values.is_empty(), "{path} has nothing: what is asked of it would prove nothing");
        let values = serde_json::to_string(&values).context("could not write a dictionary")?;
        text += &format!("\n[dictionaries.{name}]\nvalues = {values}\n");
    }
    Ok(text)
}

fn tests() -> PathBuf {
    steps::workspace_root().join(TESTS)
}

/// A virtual environment of its own: `.ci/run` has another one in the folder above.
fn tools() -> PathBuf {
    steps::workspace_root().join("target/tools/fuzz")
}

fn target() -> PathBuf {
    steps::workspace_root().join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

fn check_python() -> Result<()> {
    let python = Command::new("python3").args(["-c", "import venv, ensurepip"]).stderr(Stdio::null()).status();
    let python =
        python.with_context(|| format!("could not start python3: `apt-get install python3-venv`; {WHAT_HELPS}"))?;
    ensure!(python.success(), "python3 has no module venv or ensurepip: `apt-get install python3-venv`; {WHAT_HELPS}");
    Ok(())
}

/// Whether all is there as `requirements.txt` has it now; it is copied when all is.
fn is_installed(tools: &Path) -> Result<bool> {
    let wanted = requirements();
    let wanted = std::fs::read(&wanted).with_context(|| format!("could not read {}", wanted.display()))?;
    Ok(std::fs::read(tools.join("requirements.txt")).is_ok_and(|there| there == wanted))
}

fn requirements() -> PathBuf {
    tests().join("requirements.txt")
}

fn install(tools: &Path) -> Result<()> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(tools);
    let made = finish(make, INSTALL_WITHIN)?;
    ensure!(made.success(), "could not make a Python environment in {}: {made}; {WHAT_HELPS}", tools.display());
    let mut pip = Command::new(tools.join("bin/python"));
    pip.args(["-m", "pip", "install", "-q", "--disable-pip-version-check", "-r"]).arg(requirements());
    let installed = finish(pip, INSTALL_WITHIN)?;
    ensure!(installed.success(), "pip could not install schemathesis: {installed}; {WHAT_HELPS}");
    std::fs::copy(requirements(), tools.join("requirements.txt"))
        .with_context(|| format!("could not write into {}", tools.display()))?;
    Ok(())
}

/// Runs a command to its end, and ends it where it takes too long.
fn finish(mut command: Command, within: Duration) -> Result<ExitStatus> {
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.stdin(Stdio::null()).spawn().with_context(|| format!("could not start {name}"))?;
    let mut child = Ended(child);
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.0.try_wait().with_context(|| format!("could not wait for {name}"))? {
            return Ok(status);
        }
        if Instant::now() > until {
            bail!("{name} took more than {} s", within.as_secs());
        }
        std::thread::sleep(POLL);
    }
}

/// A process that ends with this.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended already is fine.
        let _ = self.0.kill();
        if let Err(error) = self.0.wait() {
            eprintln!("warning: process {} could not be waited for: {error}", self.0.id());
        }
    }
}

/// The program as a server.
struct Served {
    process: Ended,
    address: String,
}

impl Served {
    fn start(program: &Path, folder: &Path) -> Result<Served> {
        let mut command = Command::new(program);
        command.args(["dashboard", "--store", "sqlite:day.db", "--http", "127.0.0.1:0"]).current_dir(folder);
        command.env("PLENUM__HTTP_TOKEN", TOKEN).env_remove("RUST_LOG").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = Ended(command.spawn().with_context(|| format!("could not start {}", program.display()))?);
        let said = process.0.stderr.take().context("the program has no stderr")?;
        let (send, lines) = channel();
        // It goes on to the end, for what the program says must not fill the pipe.
        std::thread::spawn(move || {
            for line in BufReader::new(said).lines().map_while(std::io::Result::ok) {
                eprintln!("served: {line}");
                let _ = send.send(line); // after the address nobody listens any more
            }
        });
        let until = Instant::now() + READY_WITHIN;
        let address = loop {
            let line = lines.recv_timeout(until.saturating_duration_since(Instant::now()));
            let line = line.context("the program does not say where it serves")?;
            if let Some((_, behind)) = line.split_once("http://") {
                break behind.split([' ', '"']).next().unwrap_or_default().to_owned();
            }
        };
        let served = Served { process, address };
        while !served.is_ready() {
            ensure!(Instant::now() < until, "the program is not ready after {} s", READY_WITHIN.as_secs());
            std::thread::sleep(POLL);
        }
        Ok(served)
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").is_ok()
    }

    /// The body of a good answer.
    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(READY_WITHIN))?;
        // With 1.0 the body comes in one piece.
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
        let status = head.split(' ').nth(1).unwrap_or_default();
        ensure!(status == "200", "status {status}: {body}");
        Ok(body.to_owned())
    }

    /// It has outlived all that was asked.
    fn check(&mut self) -> Result<()> {
        if let Some(status) = self.process.0.try_wait().context("could not look at the program")? {
            bail!("the program ended while it was asked: {status}");
        }
        ensure!(self.is_ready(), "the program is not ready any more after all that was asked");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_is_ended() {
        let mut sleep = Command::new("sleep");
        sleep.arg("600");
        let began = Instant::now();
        let error = finish(sleep, Duration::from_millis(100)).expect_err("it sleeps longer");
        assert_eq!(error.to_string(), "sleep took more than 0 s");
        assert!(began.elapsed() < Duration::from_secs(60), "it was ended");
        assert!(finish(Command::new("true"), INSTALL_WITHIN).expect("it ends").success());
    }

    #[test]
    fn packages_of_other_versions_are_not_taken() {
        let tools = std::env::temp_dir().join(format!("plenum-xtask-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&tools).expect("it can be made");
        assert!(!is_installed(&tools).expect("it can be read"), "an installation that broke off is none");
        std::fs::copy(requirements(), tools.join("requirements.txt")).expect("it can be written");
        assert!(is_installed(&tools).expect("it can be read"));
        std::fs::write(tools.join("requirements.txt"), "schemathesis==1.0.0\n").expect("it can be written");
        assert!(!is_installed(&tools).expect("it can be read"));
        std::fs::remove_dir_all(&tools).expect("it can be removed");
    }
}
