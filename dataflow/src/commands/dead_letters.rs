//! `dead-letters`: messages that could not be used, with their reason; `replay` sends them again. Rows that the store's servers
//! refused are listed, too.

pub mod replay;

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::refused;
use model::Value;
use model::tables::TableId;
use model::time::format_ms;
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    ConfigLayers, JsonList, StoreArgument, printable, scan, short_time, table, table_text, thousands,
};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow dead-letters --store sqlite:day.db
  dataflow dead-letters list --reason not_json --show-bytes --limit 20
  dataflow dead-letters replay --reason too_many_devices --to kafka://localhost:9092/iot-metrics
  dataflow dead-letters replay --edit repaired.jsonl --to kafka://localhost:9092/iot-metrics";

/// Arguments of `dead-letters`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DeadLettersArguments {
    /// What to do: list them, or replay: send them again
    #[arg(value_name = "ACTION", value_parser = ["list", "replay"], default_value = "list")]
    action: String,
    /// replay: the topic to send to
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// replay: the lines of this file instead of what the store holds
    #[arg(long, value_name = "FILE", conflicts_with = "reason")]
    edit: Option<PathBuf>,
    #[command(flatten)]
    layers: ConfigLayers,
    #[command(flatten)]
    store: StoreArgument,
    /// Only of this reason, such as not_json
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Show the message's bytes, too; what is no text or steers a terminal is escaped
    #[arg(long)]
    show_bytes: bool,
    /// List at most so many; all are counted
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Lists dead letters, or sends them again.
///
/// # Errors
/// Wrong use, or a store that fails.
pub fn run(arguments: &DeadLettersArguments) -> anyhow::Result<ExitCode> {
    if let Some(reason) = &arguments.reason {
        let mut known = model::DeadLetterReason::ALL.map(model::DeadLetterReason::name).to_vec();
        known.push(refused::REASON);
        if !known.contains(&reason.as_str()) {
            bail!(WrongUse(format!("reason {reason:?} is none of {}", known.join(", "))));
        }
    }
    match (arguments.action.as_str(), &arguments.to) {
        ("replay", Some(to)) => return replay::run(arguments, to),
        ("replay", None) => bail!(WrongUse("flag --to: replay needs the topic to send to".to_owned())),
        (_, Some(_)) => bail!(WrongUse("flag --to: only replay sends anything".to_owned())),
        (_, None) if arguments.edit.is_some() => bail!(WrongUse("flag --edit: only replay sends anything".to_owned())),
        (_, None) => {}
    }
    let mut store = arguments.store.open()?;
    let mut header = vec!["topic", "partition", "offset", "arrived", "reason", "detail"];
    if arguments.show_bytes {
        header.push("message");
    }
    let mut shown = table(&header, &[1, 2]);
    let mut list = match arguments.json {
        true => Some(JsonList::new(BufWriter::new(std::io::stdout().lock())).context("could not write to stdout")?),
        false => None,
    };
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut listed = 0;
    scan(store.as_mut(), TableId::DeadLetters, &[], |row| {
        let text = |column| row.value(column).as_text().unwrap_or_default();
        let integer = |column| row.value(column).as_int().unwrap_or_default();
        if arguments.reason.as_deref().is_some_and(|reason| reason != text("reason")) {
            return Ok(ControlFlow::Continue(()));
        }
        *counts.entry(text("reason").to_owned()).or_default() += 1;
        if listed == arguments.limit {
            return Ok(ControlFlow::Continue(()));
        }
        listed += 1;
        let bytes = match row.value("bytes") {
            Value::Blob(bytes) => bytes.as_slice(),
            _ => &[],
        };
        let Some(list) = &mut list else {
            let mut cells = vec![
                printable(text("topic")),
                integer("partition").to_string(),
                integer("offset").to_string(),
                short_time(integer("broker_time")),
                text("reason").to_owned(),
                printable(text("detail")),
            ];
            if arguments.show_bytes {
                cells.push(show_bytes(bytes));
            }
            shown.add_row(cells);
            return Ok(ControlFlow::Continue(()));
        };
        let mut letter = json!({
            "topic": text("topic"),
            "partition": integer("partition"),
            "offset": integer("offset"),
            "broker_time": format_ms(integer("broker_time")),
            "reason": text("reason"),
            "detail": text("detail"),
        });
        if arguments.show_bytes {
            letter["message"] = show_bytes(bytes).into();
        }
        list.push(&letter).context("could not write to stdout")?;
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(list) = list {
        list.finish().context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let all: u64 = counts.values().sum();
    if all == 0 {
        println!("No dead letters.");
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = table_text(&shown);
    if all > listed as u64 {
        text += &format!("... and {} more; --limit shows them\n", thousands(all - listed as u64));
    }
    let mut reasons = table(&["reason", "dead letters"], &[1]);
    for (reason, count) in &counts {
        reasons.add_row([printable(reason), thousands(*count)]);
    }
    text += &format!("\n{}", table_text(&reasons));
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Bytes as text, with what is no text as `\xNN`.
fn show_bytes(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in bytes.utf8_chunks() {
        shown += &printable(chunk.valid());
        for byte in chunk.invalid() {
            shown += &format!("\\x{byte:02x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_without_steering() {
        assert_eq!(show_bytes(b"{\"a\":\x1b[31m\xff\xc3\xa9}\n"), "{\"a\":\\u{1b}[31m\\xffé}\\n");
    }
}
