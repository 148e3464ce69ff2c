//! The real services around the live tests: Kafka, Cassandra and Ollama on free loopback ports, in a folder of their own.
//!
//! They start while cargo compiles, for Ollama's first build takes minutes, and they are stopped when [`Services`] is
//! dropped: after success, failure, panic and Ctrl-C alike. What a killed run left behind is wiped by the next one.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::steps::{self, Step};

/// The services of one test run; dropping it stops them.
pub struct Services {
    folder: PathBuf,
    warm_up: Child,
    /// Held for as long as the run uses the folder.
    _lock: File,
}

impl Services {
    /// Begins to start all services and returns at once.
    ///
    /// # Errors
    /// The folder can't be made, another run in this tree uses it, or bash is missing.
    pub fn start() -> Result<Self> {
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
        let folder = steps::workspace_root().join(target).join("live");
        std::fs::create_dir_all(&folder).with_context(|| format!("could not make folder {}", folder.display()))?;
        let lock = File::create(folder.join(".run")).context("could not open the lock file of the live tests")?;
        if lock.try_lock().is_err() {
            bail!("another test run uses the services in {}: wait for it, or add --no-live", folder.display());
        }
        let wiped =
            script(&folder, "wipe").stdout(Stdio::null()).status().context("could not start services/services")?;
        if !wiped.success() {
            bail!("what an earlier run left in {} could not be wiped: {wiped}", folder.display());
        }
        // In a process group of its own, so that one signal ends a build in progress, and Ctrl-C is left to the steps.
        let warm_up = script(&folder, "up")
            .stdout(Stdio::from(std::io::stderr()))
            .process_group(0)
            .spawn()
            .context("could not start services/services")?;
        Ok(Services { folder, warm_up, _lock: lock })
    }

    /// The step that waits until every service gives a real answer. It starts what the warm-up could not, so the cause is told here.
    pub fn wait(&self) -> Step {
        Step::from_command("services", script(&self.folder, "up"))
    }

    /// The folder, for [`addresses`].
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        steps::signal_group(&self.warm_up, "TERM");
        if let Err(error) = self.warm_up.wait() {
            eprintln!("warning: the services' start could not be waited for: {error}");
        }
        // Nothing in them is needed any more, so a service that takes its time over a good end is killed.
        let stopped = script(&self.folder, "down").env("PLENUM_SERVICES_TIMEOUT", "5").stdout(Stdio::null()).status();
        if !stopped.is_ok_and(|status| status.success()) {
            eprintln!(
                "warning: services may still run; stop them: services/services down --dir {}",
                self.folder.display()
            );
        }
    }
}

/// `PLENUM_TEST_KAFKA`, `PLENUM_TEST_CASSANDRA` and `PLENUM_TEST_OLLAMA`, each with its HOST:PORT.
///
/// # Errors
/// The script fails or prints something else.
pub fn addresses(folder: &Path) -> Result<Vec<(String, String)>> {
    let output = script(folder, "env").output().context("could not start services/services")?;
    if !output.status.success() {
        bail!("services/services env failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    parse_addresses(&String::from_utf8_lossy(&output.stdout))
}

fn parse_addresses(text: &str) -> Result<Vec<(String, String)>> {
    let parse = |line: &str| {
        let (key, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((key.to_owned(), value.to_owned()))
    };
    text.lines()
        .map(|line| parse(line).with_context(|| format!("unexpected line of services/services env: {line:?}")))
        .collect()
}

fn script(folder: &Path, command: &str) -> Command {
    let mut script = Command::new("bash");
    script.args(["services/services", command, "all", "--free-ports", "--dir"]).arg(folder);
    script.current_dir(steps::workspace_root()).stdin(Stdio::null());
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_the_shell_lines() {
        let text = "export PLENUM_TEST_KAFKA=127.0.0.1:9092\nexport PLENUM_TEST_OLLAMA=127.0.0.1:11434\n";
        let wanted = [("PLENUM_TEST_KAFKA", "127.0.0.1:9092"), ("PLENUM_TEST_OLLAMA", "127.0.0.1:11434")];
        let got = parse_addresses(text).expect("both lines are well formed");
        assert!(got.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(wanted));
        assert!(parse_addresses("kafka: down\n").unwrap_err().to_string().contains("kafka: down"));
    }
}
