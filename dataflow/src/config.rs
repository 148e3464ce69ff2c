//! Configuration: built-in defaults, then a file, then the environment, then flags.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};
use udfs::MonitorConfig;

use crate::settings::JobSettings;

/// Everything that can be set for a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `scenario:NAME` or `file:PATH`.
    pub source: String,
    /// `sqlite:PATH` or `null`.
    pub store: String,
    /// `projection` or `none`.
    pub embedder: String,
    /// Time, bounds, checkpoints.
    #[serde(flatten)]
    pub job: JobSettings,
    /// Thresholds of the detectors.
    pub detectors: MonitorConfig,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            source: "scenario:fleet-day".to_owned(),
            store: "sqlite:plenum-data/plenum.db".to_owned(),
            embedder: "projection".to_owned(),
            job: JobSettings::default(),
            detectors: MonitorConfig::default(),
        }
    }
}

/// Prefix of environment variables; two underscores stand between section and key.
const PREFIX: &str = "PLENUM__";

/// One source of settings, with its name for messages.
struct Layer {
    name: String,
    table: Table,
}

/// Joins the layers: `file` if given, the environment, and `flags` as dotted keys with their values.
///
/// # Errors
/// Names the layer, the key and what it may be; an unknown key with the nearest known one.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> anyhow::Result<Config> {
    let mut layers = Vec::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("could not read configuration {}", path.display()))?;
        let table = text.parse().with_context(|| format!("configuration {} is no TOML", path.display()))?;
        layers.push(Layer { name: format!("configuration {}", path.display()), table });
    }
    let mut variables: Vec<(String, String)> = environment.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    for (name, text) in variables {
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        layers.push(Layer { table: one(&key, &text), name: format!("environment variable {name}") });
    }
    for (key, text) in flags {
        layers.push(Layer { table: one(key, text), name: format!("flag --{}", key.replace('_', "-")) });
    }
    join(layers)
}

/// A configuration from a table alone, as scenarios have it.
///
/// # Errors
/// As [`load`].
pub fn from_table(name: &str, table: Table) -> anyhow::Result<Config> {
    join(vec![Layer { name: name.to_owned(), table }])
}

fn join(layers: Vec<Layer>) -> anyhow::Result<Config> {
    let defaults = defaults();
    let known: BTreeSet<String> = keys(&defaults, "").into_iter().chain(["max_age".to_owned()]).collect();
    let mut joined = defaults;
    for layer in layers {
        for key in keys(&layer.table, "") {
            if !known.contains(&key) {
                bail!("{}: unknown setting {key:?}{}", layer.name, nearest(&key, &known));
            }
        }
        merge(&mut joined, layer.table);
        // Checked layer by layer, so that the message can say whose value it is.
        Config::deserialize(Value::Table(joined.clone()))
            .map_err(|error| anyhow!("{}: {}", layer.name, error.to_string().trim_end()))?
            .job
            .check()
            .map_err(|error| anyhow!("{}: {error}", layer.name))?;
    }
    Ok(Config::deserialize(Value::Table(joined))?)
}

fn defaults() -> Table {
    Table::try_from(Config::default()).expect("the defaults can be written as TOML")
}

/// A table with one dotted key; the text is taken as what it looks like: number, boolean, or else text.
fn one(key: &str, text: &str) -> Table {
    let value = format!("x = {text}")
        .parse::<Table>()
        .ok()
        .and_then(|mut table| table.remove("x"))
        .filter(|value| !matches!(value, Value::Datetime(_)))
        .unwrap_or_else(|| Value::String(text.to_owned()));
    let mut parts = key.rsplit('.');
    let mut table = Table::new();
    table.insert(parts.next().unwrap_or_default().to_owned(), value);
    for part in parts {
        let mut outer = Table::new();
        outer.insert(part.to_owned(), Value::Table(table));
        table = outer;
    }
    table
}

fn keys(table: &Table, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => all.extend(keys(inner, &dotted)),
            _ => all.push(dotted),
        }
    }
    all
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn nearest(key: &str, known: &BTreeSet<String>) -> String {
    let likeness = |name: &&String| (strsim::jaro_winkler(key, name) * 1000.0) as i64;
    match known.iter().max_by_key(likeness).filter(|name| likeness(name) > 700) {
        Some(name) => format!("; did you mean {name:?}?"),
        None => "; `dataflow config print` shows all".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn later_layers_win_and_texts_become_what_they_look_like() {
        let environment = [("PLENUM__WINDOW", "30s"), ("PLENUM__DETECTORS__WARM_UP_WINDOWS", "90"), ("HOME", "x")];
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let config = load(None, environment, &flags(&[("window", "10s"), ("max_devices", "5"), ("max_age", "2d")]));
        let config = config.unwrap();
        assert_eq!(config.job.window_ms, 10_000);
        assert_eq!(config.job.max_devices, 5);
        assert_eq!(config.job.max_age_ms, Some(172_800_000));
        assert_eq!(config.detectors.warm_up_windows, 90);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |pairs: &[(&str, &str)]| load(None, std::iter::empty(), &flags(pairs)).unwrap_err().to_string();
        expect_test::expect![[r#"flag --latenes: unknown setting "latenes"; did you mean "lateness"?"#]]
            .assert_eq(&said(&[("latenes", "1s")]));
        expect_test::expect![[r#"flag --window: setting "window" is 0ms, which is not from 1ms to 1d"#]]
            .assert_eq(&said(&[("window", "0s")]));
        assert!(said(&[("window", "soon")]).contains("duration \"soon\" needs a number"));
        assert!(said(&[("detectors.warm_up_window", "1")]).contains("did you mean \"detectors.warm_up_windows\""));
    }

    #[test]
    fn what_is_printed_can_be_read_again() {
        let text = toml::to_string(&Config::default()).unwrap();
        assert_eq!(from_table("printed", text.parse().unwrap()).unwrap(), Config::default());
    }
}
