//! `config`: all settings as they hold, and whether they can.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use connectors::mask_address;
use serde_json::json;
use toml::{Table, Value};

use crate::commands::WrongUse;
use crate::commands::common::{ConfigLayers, json_pretty};
use crate::config::Config;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow config print > plenum.toml
  dataflow config validate --config plenum.toml";

/// Arguments of `config`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ConfigArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Print all settings as TOML: defaults, file, environment and flags joined; secrets are masked
    #[command(
        after_help = "Example:\n  dataflow config print --config plenum.toml --set detectors.warm_up_windows=120"
    )]
    Print {
        #[command(flatten)]
        layers: ConfigLayers,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check all settings; exit code 1 where something is wrong
    #[command(after_help = "Example:\n  dataflow config validate --config plenum.toml")]
    Validate {
        #[command(flatten)]
        layers: ConfigLayers,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Prints or checks settings.
///
/// # Errors
/// [`WrongUse`] where `print` can't read them.
pub fn run(arguments: &ConfigArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Print { layers, json } => {
            let (_, mut table) = layers.load_as_written()?;
            mask(&mut table);
            if *json {
                println!("{}", json_pretty(&serde_json::to_value(table)?));
            } else {
                print!("{}", toml::to_string(&table)?);
            }
            Ok(ExitCode::SUCCESS)
        }
        Action::Validate { layers, json } => {
            let problem = layers.load().and_then(|config| check(&config)).err().map(|error| format!("{error:#}"));
            match (&problem, json) {
                (_, true) => println!("{}", json_pretty(&json!({"valid": problem.is_none(), "problem": problem}))),
                (None, false) => println!("configuration is valid"),
                (Some(problem), false) => eprintln!("error: {problem}"),
            }
            Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
    }
}

/// What the settings alone can't know: whether their names mean anything to this build.
fn check(config: &Config) -> anyhow::Result<()> {
    crate::commands::run::embedder(&config.embedder)?;
    let wrong = |what, url: &String, known| WrongUse(format!("{what} {url:?} is none of {known}"));
    match config.source.split_once(':') {
        Some(("kafka", _)) => drop(connectors::kafka::KafkaAddress::parse(&config.source)?),
        Some(("scenario" | "file", rest)) if !rest.is_empty() => {}
        _ => return Err(wrong("source", &config.source, "scenario:NAME, file:PATH, kafka://HOST/TOPIC").into()),
    }
    config.kafka().check()?;
    crate::commands::run::outlet_urls(config)?;
    if !config.http.is_empty() {
        crate::commands::run::parse_address(&config.http)?;
    }
    crate::commands::run::check_webhook(config)?;
    match config.store.split_once(':') {
        Some(("scylla" | "cassandra", _)) => connectors::CqlStore::check_address(&config.store)?,
        Some(("sqlite", path)) if !path.is_empty() => {}
        _ if config.store == "null" => {}
        _ => return Err(wrong("store", &config.store, "sqlite:PATH, scylla://HOST/KEYSPACE, null").into()),
    }
    Ok(udfs::check_catalogue(model::Catalogue::builtin())?)
}

/// Settings as TOML, with secrets masked.
pub fn masked(mut table: Table) -> String {
    mask(&mut table);
    toml::to_string(&table).unwrap_or_else(|error| format!("# could not be written: {error}\n"))
}

/// What stands for a secret.
const MASK: &str = "***";

/// Replaces secrets: by their key, by being taken from the environment, or as the password inside an address.
fn mask(table: &mut Table) {
    for (key, value) in table.iter_mut() {
        let key = key.to_lowercase();
        let secret = ["password", "secret", "token", "key.pem", "jaas", "oauthbearer.config"]
            .iter()
            .any(|word| key.contains(word));
        match value {
            Value::Table(headers) if key == "headers" => {
                headers.iter_mut().for_each(|(_, value)| mask_value(value, true))
            }
            value => mask_value(value, secret),
        }
    }
}

fn mask_value(value: &mut Value, secret: bool) {
    match value {
        Value::Table(inner) if !secret => mask(inner),
        Value::Array(list) if !secret => list.iter_mut().for_each(|value| mask_value(value, false)),
        // That none is set is no secret.
        Value::String(text) if text.is_empty() => {}
        Value::String(text) if secret || text.contains("${") => MASK.clone_into(text),
        Value::String(text) => *text = mask_address(text),
        _ if secret => *value = Value::String(MASK.to_owned()),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut table: Table = r#"
            store = "scylla://me:hunter2@db:9042/space"
            window = "60s"
            [kafka]
            sasl_password = "hunter2"
            topic = "${TOPIC}"
            [[webhooks]]
            url = "https://a.example/b@c"
            api_token = 7
            no_token = ""
            [webhook.headers]
            X-Any = "hunter2"
        "#
        .parse()
        .unwrap();
        mask(&mut table);
        expect_test::expect![[r#"
            store = "scylla://me:***@db:9042/space"
            window = "60s"

            [kafka]
            sasl_password = "***"
            topic = "***"

            [webhook.headers]
            X-Any = "***"

            [[webhooks]]
            api_token = "***"
            no_token = ""
            url = "https://a.example/b@c"
        "#]]
        .assert_eq(&toml::to_string(&table).unwrap());
    }
}
