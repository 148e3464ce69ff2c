//! The check of `docker-compose.yml`: Compose itself reads it, no daemon is needed, and then the house's own rules hold.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::steps;

/// How the tool may be called; the first that answers is taken.
const TOOLS: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];

/// Reads the file with Compose and checks it.
///
/// # Errors
/// Compose is not there or refuses the file, or the file breaks a rule of the house.
pub fn check() -> Result<()> {
    let tool = TOOLS.into_iter().find(|tool| answers(tool));
    let tool = tool.context(
        "Docker Compose 2 is not installed: `.ci/run` installs it under target/tools; Docker's package docker-compose-plugin is it",
    )?;
    let output = call(tool, &["--profile", "*", "config", "--format", "json"]).output();
    let output = output.with_context(|| format!("could not start {}", tool.join(" ")))?;
    if !output.status.success() {
        bail!("docker-compose.yml is refused: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let file = serde_json::from_slice(&output.stdout).context("Compose did not print JSON")?;
    println!("docker-compose.yml: {} services are as they should be", rules(&file)?);
    Ok(())
}

/// Whether it is the second version, which knows profiles as a pattern and prints JSON.
fn answers(tool: &[&str]) -> bool {
    let version = call(tool, &["version", "--short"]).output();
    version.is_ok_and(|version| version.status.success() && !version.stdout.trim_ascii_start().starts_with(b"1."))
}

fn call(tool: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(tool[0]);
    command.args(&tool[1..]).args(arguments).current_dir(steps::workspace_root());
    command
}

/// Pinned images, ports on loopback only, and a health check where others wait for one. Gives the number of services.
fn rules(file: &Value) -> Result<usize> {
    let services = file["services"].as_object().context("there are no services")?;
    for (name, service) in services {
        let image = service["image"].as_str().unwrap_or_default();
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
        let is_pinned = !tag.is_empty() && tag != "latest";
        ensure!(
            is_pinned || service["build"].is_object(),
            "service {name:?} has an image without a version: {image:?}"
        );
        for port in service["ports"].as_array().into_iter().flatten() {
            let address = port["host_ip"].as_str().unwrap_or("every address");
            ensure!(address == "127.0.0.1", "service {name:?} publishes port {} on {address}", port["published"]);
        }
        for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
            if how["condition"] == "service_healthy" {
                let is_checked = services.get(other).is_some_and(|other| other["healthcheck"].is_object());
                ensure!(is_checked, "service {name:?} waits for the health of {other:?}, which nobody checks");
            }
        }
    }
    Ok(services.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_breaks_a_rule_is_named() {
        let said = |service: Value| match rules(&json!({"services": {"kafka": service, "other": {"image": "a:1"}}})) {
            Ok(count) => format!("{count} fine"),
            Err(error) => error.to_string(),
        };
        let port = |address: &str| json!({"image": "a:1", "ports": [{"host_ip": address, "published": "9092"}]});
        assert_eq!(said(port("127.0.0.1")), "2 fine");
        assert_eq!(said(port("0.0.0.0")), "service \"kafka\" publishes port \"9092\" on 0.0.0.0");
        assert!(said(json!({"image": "a:1", "ports": [{"published": "1"}]})).contains("on every address"));
        for image in ["a", "a:latest"] {
            assert!(said(json!({"image": image})).contains("without a version"), "{image}");
        }
        assert_eq!(said(json!({"image": "plenum", "build": {"context": "."}})), "2 fine");
        let waits = json!({"image": "a:1", "depends_on": {"other": {"condition": "service_healthy"}}});
        assert!(said(waits).contains("which nobody checks"));
    }
}
