//! `store dump`: every row as one line of JSON, in key order: what tests and people compare.

use std::io::{BufWriter, IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::bail;
use connectors::{Checkpoint, Store};
use model::tables::{Kind, TABLES, TableId};
use model::time::format_ms;
use model::{Row, Value};
use serde_json::{Value as Json, json};

use crate::checkpoint::Start;
use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, json_text, scan};

/// The job's own tables that can be asked for.
const BOOKKEEPING: [&str; 4] = ["checkpoints", "idle_marks", "controls", "notices"];

/// Exit code of a program whose reader went away, as shells expect it.
const READER_GONE: u8 = 141;

pub(super) fn run(argument: &StoreArgument, names: &[String]) -> anyhow::Result<ExitCode> {
    let known = |name: &str| TableId::by_name(name).is_some() || BOOKKEEPING.contains(&name);
    if let Some(name) = names.iter().find(|name| !known(name)) {
        let tables: Vec<&str> = TABLES.iter().map(|table| table.name).chain(BOOKKEEPING).collect();
        bail!(WrongUse(format!("table {name:?} is none of {}", tables.join(", "))));
    }
    let mut store = argument.open()?;
    let stdout = std::io::stdout();
    let careful = stdout.is_terminal();
    let mut out = BufWriter::with_capacity(1 << 18, stdout.lock());
    let all: Vec<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
    for name in if names.is_empty() { &all } else { names } {
        let written = match TableId::by_name(name) {
            Some(table) => rows(store.as_mut(), table, careful, &mut out)?,
            None => bookkeeping(store.as_mut(), name)?.iter().try_for_each(|line| writeln!(out, "{}", json_text(line))),
        };
        if let Some(code) = reader_gone(written)? {
            return Ok(code);
        }
    }
    Ok(reader_gone(out.flush())?.unwrap_or(ExitCode::SUCCESS))
}

fn reader_gone(written: std::io::Result<()>) -> anyhow::Result<Option<ExitCode>> {
    match written {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Some(ExitCode::from(READER_GONE))),
        Err(error) => Err(anyhow::Error::from(error).context("could not write to stdout")),
    }
}

/// Writes all rows of a table; the inner result is that of writing.
fn rows(
    store: &mut dyn Store,
    table: TableId,
    careful: bool,
    out: &mut impl Write,
) -> anyhow::Result<std::io::Result<()>> {
    let mut line = Vec::new();
    let mut written = Ok(());
    scan(store, table, &[], |row| {
        line.clear();
        write_row(&mut line, row)?;
        if careful {
            // Read again only where a terminal shows it: JSON lets some control characters through.
            line = json_text(&serde_json::from_slice::<Json>(&line)?).into_bytes();
        }
        line.push(b'\n');
        written = out.write_all(&line);
        Ok(if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    Ok(written)
}

/// One row as JSON in the order of its columns.
fn write_row(line: &mut Vec<u8>, row: &Row) -> serde_json::Result<()> {
    let table = row.table();
    line.extend_from_slice(b"{\"table\":\"");
    line.extend_from_slice(table.name.as_bytes());
    line.push(b'"');
    for (column, value) in table.columns.iter().zip(&row.values) {
        line.extend_from_slice(b",\"");
        line.extend_from_slice(column.name.as_bytes());
        line.extend_from_slice(b"\":");
        write_value(line, value, column.kind)?;
    }
    line.push(b'}');
    Ok(())
}

/// As [`Value::to_json`] has it, without the detour for what most columns hold.
fn write_value(line: &mut Vec<u8>, value: &Value, kind: Kind) -> serde_json::Result<()> {
    match value {
        Value::Text(text) => serde_json::to_writer(line, text),
        Value::Double(number) => serde_json::to_writer(line, number),
        Value::Map(map) => serde_json::to_writer(line, map),
        Value::Vector(vector) => {
            line.push(b'[');
            for (at, component) in vector.iter().enumerate() {
                if at > 0 {
                    line.push(b',');
                }
                serde_json::to_writer(&mut *line, &f64::from(*component))?;
            }
            line.push(b']');
            Ok(())
        }
        other => serde_json::to_writer(line, &other.to_json(kind)),
    }
}

fn bookkeeping(store: &mut dyn Store, name: &str) -> anyhow::Result<Vec<Json>> {
    match name {
        "checkpoints" => store.latest_checkpoint()?.map(checkpoint).into_iter().collect(),
        "idle_marks" => Ok(store
            .marks()?
            .into_iter()
            .map(|mark| {
                json!({
                    "table": name, "partition": mark.partition, "offset": mark.offset, "watermark": time(mark.watermark_ms)
                })
            })
            .collect()),
        "notices" => Ok(store
            .notices()?
            .into_iter()
            .map(|notice| {
                let body = serde_json::from_slice::<Json>(&notice.body)
                    .unwrap_or_else(|_| Value::Blob(notice.body).to_json(Kind::Blob));
                json!({"table": name, "id": notice.id, "body": body})
            })
            .collect()),
        _ => Ok(store
            .controls()?
            .into_iter()
            .map(|control| {
                let body = serde_json::from_slice::<Json>(&control.body)
                    .unwrap_or_else(|_| Value::Blob(control.body).to_json(Kind::Blob));
                json!({"table": name, "window": time(control.window_ms), "id": control.id, "body": body})
            })
            .collect()),
    }
}

/// A checkpoint with its manifest decoded; what the devices' detectors know is only counted.
fn checkpoint(checkpoint: Checkpoint) -> anyhow::Result<Json> {
    let parts = checkpoint.parts.len();
    let bytes: usize = checkpoint.parts.iter().map(|(_, bytes)| bytes.len()).sum();
    let start = Start::decode(Some(checkpoint), Vec::new())?;
    let devices = start.devices.len();
    let Some((id, manifest)) = start.manifest else { bail!("checkpoint has no manifest") };
    let positions: Vec<Json> = manifest
        .positions
        .iter()
        .map(|position| {
            json!({
                "partition": position.partition,
                "offset": position.offset,
                "watermark": time(position.watermark_ms),
                "known_metrics": position.known.len(),
            })
        })
        .collect();
    Ok(json!({
        "table": "checkpoints",
        "id": id,
        "layout": manifest.layout,
        "boundary": time(manifest.boundary_ms),
        "finished": manifest.finished,
        "positions": positions,
        "totals": manifest.totals,
        "received": manifest.totals.received(),
        "devices": devices,
        "parts": parts,
        "bytes": bytes,
        "source": manifest.source,
        "settings": manifest.settings,
    }))
}

/// A time, or null for the one before all times.
fn time(ms: i64) -> Json {
    if ms == i64::MIN { Json::Null } else { Json::from(format_ms(ms)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Version;

    /// The quick way writes what the model's own way does.
    #[test]
    fn a_row_is_written_as_the_model_has_it() {
        let vector: Vec<f32> = (0..384u16).map(|at| f32::from(at) / 7.0).collect();
        let values = vec![Value::Text("a\"\u{1}".to_owned()), Value::Int(-1), Value::Vector(vector), Value::Null];
        let row = Row { table: TableId::StateVectors, version: Version::window(0), values };
        let mut line = Vec::new();
        write_row(&mut line, &row).unwrap();
        let read: Json = serde_json::from_slice(&line).unwrap();
        for (column, value) in row.table().columns.iter().zip(&row.values) {
            assert_eq!(read[column.name], value.to_json(column.kind), "{}", column.name);
        }
        assert_eq!(read["table"], "state_vectors");
    }
}
