//! The browser tests of the dashboard (`dashboard/tests/browser/`): Node drives Debian's Chromium against the real program. The
//! two packages they need are installed under `target/tools/browser`, in the exact versions that their `package.json` names.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::steps::{self, Step};

/// Where the tests lie, from the workspace's root.
const TESTS: &str = "dashboard/tests/browser";
/// The oldest Node that has the test runner's options.
const NODE: u32 = 20;
const WHAT_HELPS: &str = "--no-browser leaves the browser tests out";

/// The tests as steps: packages that are missing, then the tests. What they need is looked for at once, not after an hour.
///
/// # Errors
/// Node, npm or Chromium is missing; the message says what to install.
pub fn steps() -> Result<Vec<Step>> {
    node_version().and_then(|version| {
        if version < NODE {
            bail!("node {version} is too old: the browser tests need {NODE} or newer; {WHAT_HELPS}");
        }
        Ok(())
    })?;
    let chromium = std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    if !chromium.is_file() {
        bail!(
            "there is no Chromium at {}: `apt-get install chromium`, or set CHROMIUM to one; {WHAT_HELPS}",
            chromium.display()
        );
    }
    let target = steps::workspace_root()
        .join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from));
    let tools = steps::workspace_root().join("target/tools/browser");
    let mut all = Vec::new();
    if !are_installed(&tools)? {
        all.push(install(&tools)?);
    }
    let mut tests = Command::new("node");
    tests.current_dir(steps::workspace_root()).arg("--test").args(files()?);
    tests.env("PLENUM_DATAFLOW", target.join("release/dataflow")).env("PLENUM_BROWSER_TOOLS", &tools);
    tests.env("CHROMIUM", chromium);
    all.push(Step::from_command("browser", tests));
    Ok(all)
}

fn node_version() -> Result<u32> {
    let said = Command::new("node").arg("--version").stderr(Stdio::null()).output();
    let said =
        said.with_context(|| format!("could not start node: install Node.js {NODE} or newer with npm; {WHAT_HELPS}"))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let major = text.trim().trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    major.with_context(|| format!("node --version says {text:?}, which is no version"))
}

/// Whether the packages lie there as the tests' `package.json` has them now.
fn are_installed(tools: &Path) -> Result<bool> {
    let wanted = std::fs::read(package()).with_context(|| format!("could not read {}", package().display()))?;
    let there = std::fs::read(tools.join("package.json")).is_ok_and(|there| there == wanted);
    Ok(there && tools.join("node_modules/playwright-core").is_dir() && tools.join("node_modules/axe-core").is_dir())
}

/// No scripts of packages are run and no browser is downloaded.
fn install(tools: &Path) -> Result<Step> {
    std::fs::create_dir_all(tools).with_context(|| format!("could not make folder {}", tools.display()))?;
    std::fs::copy(package(), tools.join("package.json"))
        .with_context(|| format!("could not write into {}", tools.display()))?;
    let mut npm = Command::new("npm");
    npm.current_dir(tools).args(["install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]);
    Ok(Step::from_command("packages of the browser tests", npm))
}

fn package() -> PathBuf {
    steps::workspace_root().join(TESTS).join("package.json")
}

/// By name: Node's own search for tests differs from version to version.
fn files() -> Result<Vec<PathBuf>> {
    let folder = Path::new(TESTS);
    let mut files = Vec::new();
    let entries =
        std::fs::read_dir(steps::workspace_root().join(folder)).context("could not list the browser tests")?;
    for entry in entries {
        let name = entry.context("could not list the browser tests")?.file_name();
        if name.to_string_lossy().ends_with(".test.mjs") {
            files.push(folder.join(name));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_file_is_found() {
        let names = files().expect("they can be listed");
        assert!(names.contains(&Path::new(TESTS).join("views.test.mjs")), "{names:?}");
        assert!(names.iter().all(|name| !name.ends_with("tools.mjs")), "{names:?}");
    }

    #[test]
    fn packages_of_other_versions_are_not_taken() {
        let tools = std::env::temp_dir().join(format!("plenum-xtask-{}", std::process::id()));
        for package in ["playwright-core", "axe-core"] {
            std::fs::create_dir_all(tools.join("node_modules").join(package)).expect("it can be made");
        }
        assert!(!are_installed(&tools).expect("it can be read"), "nothing says what they are");
        std::fs::copy(package(), tools.join("package.json")).expect("it can be written");
        assert!(are_installed(&tools).expect("it can be read"));
        std::fs::write(tools.join("package.json"), "{}").expect("it can be written");
        assert!(!are_installed(&tools).expect("it can be read"));
        std::fs::remove_dir_all(&tools).expect("it can be removed");
    }
}
