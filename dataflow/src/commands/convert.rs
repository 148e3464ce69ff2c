//! `convert`: other people's tables as a recording.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use scenarios::csv::{CsvError, Map, Report};

use crate::commands::WrongUse;
use crate::commands::common::{json_pretty, printable, table, table_text, thousands, write_whole};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Example:
  dataflow convert csv --map map.toml readings.csv readings.jsonl.zst

A map says which column is what:
  device_id = \"AHU-1\"                       # or { column = \"unit\" }
  device_type = \"air_handling_unit\"
  time = { column = \"Datetime\", format = \"%m/%d/%Y %H:%M\", zone = \"-06:00\" }
  skip = [\"Ground Truth\"]                   # columns that are not sent
  [[metric]]
  column = \"Supply Air Temperature\"
  name = \"supply_air_temp\"
  unit = \"°F\"";

/// Arguments of `convert`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ConvertArguments {
    #[command(subcommand)]
    format: Format,
}

#[derive(Subcommand, Clone, Debug)]
enum Format {
    /// A table with a header, one row a time; exit code 1 where rows had to be left out
    #[command(after_help = EXAMPLES)]
    Csv(CsvArguments),
}

#[derive(Args, Clone, Debug)]
struct CsvArguments {
    /// What the columns mean (TOML)
    #[arg(long, value_name = "FILE")]
    map: PathBuf,
    /// The table; - for stdin
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The recording, compressed if it ends in .zst; - for stdout
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// The report as JSON
    #[arg(long)]
    json: bool,
}

/// Converts.
///
/// # Errors
/// Wrong use, or a file that can't be read or written.
pub fn run(arguments: &ConvertArguments) -> anyhow::Result<ExitCode> {
    let Format::Csv(arguments) = &arguments.format;
    if let (Ok(input), Ok(output)) = (arguments.input.canonicalize(), arguments.output.canonicalize())
        && input == output
    {
        let path = arguments.input.display();
        return Err(WrongUse(format!("table {path} is also where the recording would go; name another file")).into());
    }
    let text = std::fs::read_to_string(&arguments.map)
        .with_context(|| format!("could not read map {}", arguments.map.display()))
        .map_err(|error| WrongUse(format!("{error:#}")))?;
    let map = Map::parse(&text).map_err(|error| WrongUse(format!("map {}: {error}", arguments.map.display())))?;
    let input: Box<dyn Read> = if is_dash(&arguments.input) {
        Box::new(std::io::stdin().lock())
    } else {
        let path = arguments.input.display();
        let opened =
            File::open(&arguments.input).map_err(|error| WrongUse(format!("could not open table {path}: {error}")));
        Box::new(opened?)
    };
    let report = convert(&map, input, &arguments.output)?;
    let text = match arguments.json {
        true => json_pretty(&serde_json::to_value(&report)?) + "\n",
        false => to_text(&report),
    };
    // Where the messages have stdout for themselves, people read on stderr.
    if is_dash(&arguments.output) {
        std::io::stderr().write_all(text.as_bytes()).context("could not write to stderr")?;
    } else {
        std::io::stdout().write_all(text.as_bytes()).context("could not write to stdout")?;
    }
    Ok(if report.bad_rows == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn convert(map: &Map, input: Box<dyn Read>, output: &Path) -> anyhow::Result<Report> {
    let input = BufReader::with_capacity(1 << 18, input);
    if is_dash(output) {
        return scenarios::csv::convert(map, input, BufWriter::new(std::io::stdout().lock())).map_err(wrong);
    }
    let packed = output.extension().is_some_and(|extension| extension == "zst");
    write_whole(output, |file| {
        let file = BufWriter::with_capacity(1 << 18, file);
        if !packed {
            return scenarios::csv::convert(map, input, file).map_err(wrong);
        }
        let failed = || format!("could not write {}", output.display());
        let mut encoder = zstd::Encoder::new(file, 3).with_context(failed)?;
        let report = scenarios::csv::convert(map, input, &mut encoder).map_err(wrong)?;
        encoder.finish().and_then(|mut file| file.flush()).with_context(failed)?;
        Ok(report)
    })
}

/// A map that fits no table, or not this one, is the user's to change.
fn wrong(error: CsvError) -> anyhow::Error {
    match error {
        CsvError::Map(_) | CsvError::Setting(_) | CsvError::Header(_) => WrongUse(error.to_string()).into(),
        CsvError::Read { .. } | CsvError::Write(_) => error.into(),
    }
}

/// Kinds of text cells that are shown; the rest is counted.
const SHOWN: usize = 10;

fn to_text(report: &Report) -> String {
    let mut shown = table(&["", ""], &[0]);
    shown.add_row([thousands(report.rows), "rows".to_owned()]);
    shown.add_row([thousands(report.messages), "messages".to_owned()]);
    shown.add_row([thousands(report.empty_cells), "empty cells, not sent".to_owned()]);
    let texts: u64 = report.text_cells.values().sum();
    shown.add_row([thousands(texts), "cells that are no number, sent as they are: dead letters of the job".to_owned()]);
    for (column, count) in &report.text_columns {
        shown.add_row([String::new(), format!("  {} in column {:?}", thousands(*count), printable(column))]);
    }
    let mut cells: Vec<(&String, &u64)> = report.text_cells.iter().collect();
    cells.sort_by_key(|(text, count)| (std::cmp::Reverse(**count), text.as_str()));
    for (text, count) in cells.iter().take(SHOWN) {
        shown.add_row([String::new(), format!("  {} are {:?}", thousands(**count), printable(text))]);
    }
    if cells.len() > SHOWN {
        shown.add_row([String::new(), format!("  and {} other texts", cells.len() - SHOWN)]);
    }
    shown.add_row([thousands(report.bad_rows), "rows left out".to_owned()]);
    for (line, why) in report.first_bad_rows.iter().take(SHOWN) {
        shown.add_row([String::new(), format!("  line {line}: {}", printable(why))]);
    }
    if report.first_bad_rows.len() > SHOWN {
        shown.add_row([String::new(), "  ...".to_owned()]);
    }
    table_text(&shown).trim_start_matches('\n').to_owned()
}
