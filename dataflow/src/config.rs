//! Configuration: built-in defaults, then a file, then the environment, then flags.

mod keys;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::detectors::Detectors;
use crate::settings::{EmbeddingSettings, JobSettings, WebhookSettings};
pub(crate) use keys::nearest;
use keys::{check_keys, flat, name_keys};

/// Everything that can be set for a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// `scenario:NAME`, `file:PATH` or `kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC`.
    pub source: String,
    /// `sqlite:PATH` or `null`.
    pub store: String,
    /// `projection`, `ollama://HOST[:PORT]/MODEL` or `none`.
    pub embedder: String,
    /// Consumer group that is told how far the job is, for tools that show the lag; empty: none is told.
    pub group: String,
    /// Topic for messages that can't be used, by name or as `kafka://HOST[:PORT]/TOPIC`; empty: only the store keeps them.
    pub dead_letter_topic: String,
    /// Topic for the transitions of incidents, by name or as `kafka://HOST[:PORT]/TOPIC`; empty: only the store keeps them.
    pub anomaly_topic: String,
    /// Where pages and figures are served, as `HOST:PORT`; empty: nowhere.
    pub http: String,
    /// What lets others than the own pages write over HTTP; empty: nobody.
    pub http_token: Secret,
    /// Time, bounds, checkpoints.
    #[serde(flatten)]
    pub job: JobSettings,
    /// Properties of librdkafka, such as `"security.protocol" = "SASL_PLAINTEXT"`.
    pub kafka: Properties,
    /// Where alerts go.
    pub webhook: WebhookSettings,
    /// How states get vectors of texts.
    pub embedding: EmbeddingSettings,
    /// Thresholds of the detectors.
    pub detectors: Detectors,
}

/// A text that is not shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "***" })
    }
}

/// Names and values that are passed on as they are. Values may be secrets, so that they are not shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, String>);

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Config {
    /// What Kafka clients need to know.
    pub fn kafka(&self) -> connectors::KafkaSettings {
        connectors::KafkaSettings {
            properties: self.kafka.0.clone(),
            group: self.group.clone(),
            refresh_ms: self.job.partition_refresh_ms.unsigned_abs(),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            source: "scenario:fleet-day".to_owned(),
            store: "sqlite:plenum-data/plenum.db".to_owned(),
            embedder: "projection".to_owned(),
            group: "plenum".to_owned(),
            dead_letter_topic: String::new(),
            anomaly_topic: String::new(),
            http: String::new(),
            http_token: Secret::default(),
            kafka: Properties::default(),
            job: JobSettings::default(),
            webhook: WebhookSettings::default(),
            embedding: EmbeddingSettings::default(),
            detectors: Detectors::default(),
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

/// Joins the layers: `file` if given, the environment, and `flags` as dotted keys with their values. `${NAME}` inside a text
/// is taken from the environment.
///
/// # Errors
/// Names the layer, the key and what it may be; an unknown key with the nearest known one.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> anyhow::Result<Config> {
    Ok(load_as_written(file, environment, flags)?.0)
}

/// The same, and all settings as they were written, `${NAME}` included: what may be shown.
///
/// # Errors
/// As [`load`].
pub fn load_as_written(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
) -> anyhow::Result<(Config, Table)> {
    let mut layers = Vec::new();
    layers.extend(file.map(read_file).transpose()?);
    let environment: BTreeMap<String, String> = environment.collect();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let key = name[PREFIX.len()..].to_lowercase().replace("__", ".");
        layers.push(Layer { table: one(&key, text), name: format!("environment variable {name}") });
    }
    for (key, text) in flags {
        // Settings of a section have no flag of their own.
        let name =
            if key.contains('.') { format!("flag --set {key}") } else { format!("flag --{}", key.replace('_', "-")) };
        layers.push(Layer { table: one(key, text), name });
    }
    join(layers, &environment)
}

/// A configuration from a table alone, as scenarios have it.
///
/// # Errors
/// As [`load`].
pub fn from_table(name: &str, table: Table) -> anyhow::Result<Config> {
    Ok(join(vec![Layer { name: name.to_owned(), table }], &BTreeMap::new())?.0)
}

/// The same with flags over it, as dotted keys with their values.
///
/// # Errors
/// As [`load`].
pub fn from_table_and_flags(name: &str, table: Table, flags: &[(String, String)]) -> anyhow::Result<Config> {
    let mut layers = vec![Layer { name: name.to_owned(), table }];
    layers.extend(flags.iter().map(|(key, text)| Layer { name: format!("flag --set {key}"), table: one(key, text) }));
    Ok(join(layers, &BTreeMap::new())?.0)
}

/// What says where the job runs and not what it makes of its messages.
const OF_THE_PLACE: [&str; 11] = [
    "source",
    "store",
    "embedder",
    "group",
    "dead_letter_topic",
    "anomaly_topic",
    "http",
    "http_token",
    "kafka",
    "webhook",
    "embedding",
];

/// The settings that a backtest compares: `base` (a name and its table), then a file, then flags, all without the environment
/// and without what says where a job runs: its passwords need not be at hand.
///
/// # Errors
/// As [`load`].
pub fn for_backtest(
    base: Option<(String, Table)>,
    file: Option<&Path>,
    flags: &[(String, String)],
) -> anyhow::Result<Config> {
    let mut layers: Vec<Layer> = base.into_iter().map(|(name, table)| Layer { name, table }).collect();
    layers.extend(file.map(read_file).transpose()?);
    layers.extend(flags.iter().map(|(key, text)| Layer { name: format!("flag --set {key}"), table: one(key, text) }));
    for key in OF_THE_PLACE {
        layers.iter_mut().for_each(|layer| drop(layer.table.remove(key)));
    }
    Ok(join(layers, &BTreeMap::new())?.0)
}

/// All settings that a backtest compares, as dotted keys with their values.
pub fn compared(config: &Config) -> BTreeMap<String, String> {
    let mut table = Table::try_from(config).expect("settings can be written as TOML");
    for key in OF_THE_PLACE {
        table.remove(key);
    }
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    flat(&table, "").into_iter().map(|(key, value)| (key, text(value))).collect()
}

fn read_file(path: &Path) -> anyhow::Result<Layer> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("could not read configuration {}", path.display()))?;
    let table = text.parse().with_context(|| format!("configuration {} is no TOML", path.display()))?;
    Ok(Layer { name: format!("configuration {}", path.display()), table })
}

fn join(layers: Vec<Layer>, environment: &BTreeMap<String, String>) -> anyhow::Result<(Config, Table)> {
    let defaults = defaults();
    let (mut joined, mut written) = (defaults.clone(), defaults.clone());
    for mut layer in layers {
        let named = name_keys(&mut layer.table).and_then(|()| check_keys(&layer.table, &defaults));
        named.map_err(|error| anyhow!("{}: {error}", layer.name))?;
        merge(&mut written, layer.table.clone());
        let secrets = expand(&mut layer.table, "", environment).map_err(|error| anyhow!("{}: {error}", layer.name))?;
        merge(&mut joined, layer.table);
        // Checked layer by layer, so that the message can say whose value it is.
        let check = || -> Result<(), String> {
            let config = Config::deserialize(Value::Table(joined.clone())).map_err(|error| error.to_string())?;
            config.job.check()?;
            config.detectors.resolve().map(drop)
        };
        if let Err(mut problem) = check() {
            for (variable, value) in secrets.iter().filter(|(_, value)| !value.is_empty()) {
                problem = problem.replace(value, &format!("${{{variable}}}"));
            }
            // Where it is stands in lines of their own.
            let lines: Vec<&str> = problem.lines().filter(|line| !line.is_empty()).collect();
            bail!("{}: {}", layer.name, lines.join(" "));
        }
    }
    Ok((Config::deserialize(Value::Table(joined))?, written))
}

/// Replaces `${NAME}` in all texts by the environment's value, and gives what was replaced.
fn expand(
    table: &mut Table,
    prefix: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, String> {
    let mut used = Vec::new();
    for (key, value) in table.iter_mut() {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        expand_value(value, &dotted, environment, &mut used)?;
    }
    Ok(used)
}

fn expand_value(
    value: &mut Value,
    key: &str,
    environment: &BTreeMap<String, String>,
    used: &mut Vec<(String, String)>,
) -> Result<(), String> {
    match value {
        Value::Table(inner) => used.extend(expand(inner, key, environment)?),
        Value::Array(list) => {
            for value in list {
                expand_value(value, key, environment, used)?;
            }
        }
        Value::String(text) => {
            let mut expanded = String::new();
            let mut rest = text.as_str();
            while let Some((before, behind)) = rest.split_once("${") {
                expanded += before;
                let Some((name, after)) = behind.split_once('}') else {
                    return Err(format!("setting {key:?} has a \"${{\" without its \"}}\""));
                };
                let value = environment.get(name).ok_or_else(|| {
                    format!("setting {key:?} needs the environment variable {name:?}, which is not set")
                })?;
                used.push((name.to_owned(), value.clone()));
                expanded += value;
                rest = after;
            }
            expanded += rest;
            *text = expanded;
        }
        _ => {}
    }
    Ok(())
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

/// Lays a table over another.
pub(crate) fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(inner)), Value::Table(more)) => merge(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
