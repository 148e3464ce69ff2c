//! Sends dead letters again, after what refused them was changed, or the lines of a file that a person has repaired.

use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use connectors::{KafkaProducer, KafkaSettings, refused};
use model::Value;
use model::tables::TableId;
use serde_json::json;

use super::DeadLettersArguments;
use crate::commands::WrongUse;
use crate::commands::common::{json_text, scan, thousands};

pub(super) fn run(arguments: &DeadLettersArguments, to: &str) -> anyhow::Result<ExitCode> {
    let producer = open(to, &arguments.layers.load()?.kafka())?;
    let sent = match &arguments.edit {
        Some(path) => send_lines(&producer, path)?,
        None => send_stored(&producer, arguments)?,
    };
    producer.flush()?;
    match arguments.json {
        true => println!("{}", json_text(&json!({"to": to, "sent": sent}))),
        false => println!("{} messages sent to {to}", thousands(sent)),
    }
    Ok(ExitCode::SUCCESS)
}

fn open(to: &str, settings: &KafkaSettings) -> anyhow::Result<KafkaProducer> {
    let producer = KafkaProducer::open(to, settings).map_err(|error| WrongUse(error.to_string()))?;
    if producer.partitions()?.is_none() {
        bail!(WrongUse(format!("topic {:?} does not exist; nothing was sent", producer.topic())));
    }
    Ok(producer)
}

/// Sends messages to a topic, and returns when they have arrived.
///
/// # Errors
/// [`WrongUse`] if there is no such topic; otherwise if the brokers fail.
pub fn send_all(to: &str, settings: &KafkaSettings, messages: &[Vec<u8>]) -> anyhow::Result<u64> {
    let producer = open(to, settings)?;
    messages.iter().try_for_each(|bytes| send(&producer, bytes))?;
    producer.flush()?;
    Ok(messages.len() as u64)
}

fn send_stored(producer: &KafkaProducer, arguments: &DeadLettersArguments) -> anyhow::Result<u64> {
    let mut store = arguments.store.open()?;
    let mut sent = 0;
    scan(store.as_mut(), TableId::DeadLetters, &[], |row| {
        let reason = row.value("reason").as_text().unwrap_or_default();
        // A row that the store's servers refused is no message.
        if let Value::Blob(bytes) = row.value("bytes")
            && reason != refused::REASON
            && arguments.reason.as_deref().is_none_or(|wanted| wanted == reason)
        {
            send(producer, bytes)?;
            sent += 1;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(sent)
}

fn send_lines(producer: &KafkaProducer, path: &Path) -> anyhow::Result<u64> {
    let file =
        std::fs::File::open(path).map_err(|error| WrongUse(format!("could not open {}: {error}", path.display())))?;
    let mut sent = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.with_context(|| format!("could not read {}", path.display()))?;
        let line = line.trim_ascii();
        if !line.is_empty() {
            send(producer, line)?;
            sent += 1;
        }
    }
    Ok(sent)
}

/// With the device as key where the message names one, as the device itself would have sent it.
fn send(producer: &KafkaProducer, bytes: &[u8]) -> anyhow::Result<()> {
    let object = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let device = object.as_ref().and_then(|object| object["device_id"].as_str());
    Ok(producer.send(device.map(str::as_bytes), Some(bytes), &[], None, None)?)
}
