//! Other people's tables as recordings: a map says which column is what, every cell becomes one message.
//!
//! ```toml
//! device_id = "AHU-1"                    # or { column = "unit" }
//! device_type = "air_handling_unit"
//! location = "lab"                       # may be absent, as may building_id
//! time = { column = "Datetime", format = "%m/%d/%Y %H:%M", zone = "-06:00" }
//! delimiter = ","                        # the default
//! skip = ["Ground Truth"]                # columns that are not sent; any other column without a metric is an error
//!
//! [[metric]]
//! column = "Supply Air Temperature"
//! name = "supply_air_temp"
//! unit = "°F"
//! ```
//! `format` is `rfc3339`, `epoch_ms`, `epoch_s` or a strptime pattern; a pattern without a zone takes `zone`, which is `UTC`
//! or a fixed offset, for in the hour that comes twice a local time says nothing. A table in local time with a clock change can't be told from
//! one without: convert its parts with two maps.

mod table;
mod zone;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use model::recording::write_message;
use model::time::format_ms;
use serde::{Deserialize, Serialize};
use table::Table;
use zone::Zone;

/// Most bad rows that are kept with their reason; the rest is only counted.
const MOST_BAD_ROWS: usize = 100;

/// What the columns of a table mean.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// One device for the whole table, or the column that names it.
    pub device_id: Named,
    /// Type of the device or devices.
    pub device_type: String,
    /// Where it stands.
    pub location: Option<String>,
    /// Which building.
    pub building_id: Option<String>,
    /// The event time.
    pub time: Time,
    /// Between two cells.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// The columns that are sent.
    #[serde(rename = "metric")]
    pub metrics: Vec<Metric>,
    /// Columns that are known and not sent.
    #[serde(default)]
    pub skip: Vec<String>,
    /// Whether columns that are neither sent nor skipped are allowed.
    #[serde(default)]
    pub ignore_unmapped: bool,
}

/// A constant, or the value of a column.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Named {
    /// The same for every row.
    Constant(String),
    /// As the row says.
    Column {
        /// The column.
        column: String,
    },
}

/// Where and how the event time stands.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Time {
    /// The column.
    pub column: String,
    /// `rfc3339`, `epoch_ms`, `epoch_s` or a strptime pattern.
    pub format: String,
    /// `UTC` or a fixed offset such as `-06:00`, for patterns without a zone.
    #[serde(default = "utc")]
    pub zone: String,
}

/// One metric of the table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The column, without blanks at its ends.
    pub column: String,
    /// The metric's name in messages.
    pub name: String,
    /// The unit in messages.
    pub unit: Option<String>,
}

fn comma() -> char {
    ','
}

fn utc() -> String {
    "UTC".to_owned()
}

/// What a table became.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Rows under the header.
    pub rows: u64,
    /// Messages written.
    pub messages: u64,
    /// Cells with nothing in them; no message was written.
    pub empty_cells: u64,
    /// Cells that are no number, by what they hold; sent as text, so that the job keeps them as dead letters.
    pub text_cells: BTreeMap<String, u64>,
    /// The same cells by their column.
    pub text_columns: BTreeMap<String, u64>,
    /// Rows of which nothing was sent.
    pub bad_rows: u64,
    /// The first of them: line number from 1, and why.
    pub first_bad_rows: Vec<(u64, String)>,
}

/// Why a table can't be converted at all.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// The map can't be read.
    #[error("could not read the map: {0}")]
    Map(#[from] Box<toml::de::Error>),
    /// The map can't be right for any table.
    #[error("map setting {0}")]
    Setting(String),
    /// The map and the table's header don't fit.
    #[error("table's header {0}")]
    Header(String),
    /// The table can't be read.
    #[error("could not read table line {line}: {source}")]
    Read {
        /// Line number from 1.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// The recording can't be written.
    #[error("could not write the recording: {0}")]
    Write(#[source] io::Error),
}

impl Map {
    /// Reads a map.
    ///
    /// # Errors
    /// Not such a map; an unknown key is named.
    pub fn parse(text: &str) -> Result<Map, CsvError> {
        toml::from_str(text).map_err(|error| CsvError::Map(Box::new(error)))
    }
}

/// The contract's message, in its order of fields.
#[derive(Serialize)]
struct Message<'a> {
    device_id: &'a str,
    device_type: &'a str,
    timestamp: &'a str,
    metric_name: &'a str,
    metric_value: serde_json::Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    building_id: Option<&'a str>,
}

/// Converts a whole table, row by row and in each row by the map's order of metrics, all on partition 0. The broker's time is
/// the event time, so that a replay judges lateness by the rows' own order.
///
/// # Errors
/// The map doesn't fit the header, or a file can't be read or written. Bad rows are no error: the report names them.
pub fn convert(map: &Map, input: impl BufRead, mut out: impl Write) -> Result<Report, CsvError> {
    let zone = Zone::parse(&map.time.zone)?;
    let mut table = Table::new(input, map.delimiter)?;
    let mut report = Report::default();
    let header = table.next_row()?.ok_or_else(|| CsvError::Header("is missing: the table is empty".to_owned()))?;
    let header = header.1.map_err(|why| CsvError::Header(format!("is broken: {why}")))?;
    let columns = Columns::find(map, &header)?;
    let mut offset = 0;
    let mut buffer = Vec::new();
    while let Some((line, cells)) = table.next_row()? {
        report.rows += 1;
        let row = cells.and_then(|cells| columns.read(map, &zone, cells));
        let (cells, device_id, at_ms) = match row {
            Ok(row) => row,
            Err(why) => {
                report.bad_rows += 1;
                if report.first_bad_rows.len() < MOST_BAD_ROWS {
                    report.first_bad_rows.push((line, why));
                }
                continue;
            }
        };
        let timestamp = format_ms(at_ms);
        for (metric, column) in map.metrics.iter().zip(&columns.metrics) {
            let cell = cells[*column].trim();
            let metric_value = match cell {
                "" => {
                    report.empty_cells += 1;
                    continue;
                }
                "true" | "TRUE" | "True" => true.into(),
                "false" | "FALSE" | "False" => false.into(),
                cell => match cell.parse::<f64>().ok().and_then(serde_json::Number::from_f64) {
                    Some(number) => serde_json::Value::Number(number),
                    None => {
                        *report.text_cells.entry(cell.to_owned()).or_default() += 1;
                        *report.text_columns.entry(metric.column.clone()).or_default() += 1;
                        cell.into()
                    }
                },
            };
            let message = Message {
                device_id: &device_id,
                device_type: &map.device_type,
                timestamp: &timestamp,
                metric_name: &metric.name,
                metric_value,
                unit: metric.unit.as_deref(),
                location: map.location.as_deref(),
                building_id: map.building_id.as_deref(),
            };
            let bytes = serde_json::to_vec(&message).map_err(|error| CsvError::Write(error.into()))?;
            write_message(&mut buffer, 0, offset, at_ms, Some(&bytes));
            offset += 1;
        }
        out.write_all(&buffer).map_err(CsvError::Write)?;
        buffer.clear();
    }
    report.messages = offset.cast_unsigned();
    out.flush().map_err(CsvError::Write)?;
    Ok(report)
}

/// Where in a row everything stands.
struct Columns {
    width: usize,
    device: Option<usize>,
    time: usize,
    metrics: Vec<usize>,
}

impl Columns {
    fn find(map: &Map, header: &[String]) -> Result<Columns, CsvError> {
        let names: Vec<&str> = header.iter().map(|name| name.trim_start_matches('\u{feff}').trim()).collect();
        let mut used = vec![false; names.len()];
        let mut find = |wanted: &str| {
            let mut places = (0..names.len()).filter(|at| names[*at] == wanted.trim());
            match (places.next(), places.next()) {
                (Some(at), None) => {
                    used[at] = true;
                    Ok(at)
                }
                (Some(_), Some(_)) => Err(CsvError::Header(format!("has the column {wanted:?} twice"))),
                (None, _) => Err(CsvError::Header(format!("has no column {wanted:?}; it has {names:?}"))),
            }
        };
        let device = match &map.device_id {
            Named::Constant(_) => None,
            Named::Column { column } => Some(find(column)?),
        };
        let time = find(&map.time.column)?;
        let metrics = map.metrics.iter().map(|metric| find(&metric.column)).collect::<Result<_, _>>()?;
        for column in &map.skip {
            find(column)?;
        }
        let unmapped: Vec<&str> = names.iter().zip(&used).filter(|(_, used)| !**used).map(|(name, _)| *name).collect();
        if !unmapped.is_empty() && !map.ignore_unmapped {
            let hint = "give each a [[metric]], name it in skip, or set ignore_unmapped = true";
            return Err(CsvError::Header(format!("has columns that the map lacks: {unmapped:?}; {hint}")));
        }
        Ok(Columns { width: names.len(), device, time, metrics })
    }

    /// A row's cells, device and event time.
    fn read(&self, map: &Map, zone: &Zone, cells: Vec<String>) -> Result<(Vec<String>, String, i64), String> {
        if cells.len() != self.width {
            return Err(format!("row has {} cells, the header has {}", cells.len(), self.width));
        }
        let device_id = match (&map.device_id, self.device) {
            (Named::Constant(name), _) => name.clone(),
            (Named::Column { column }, at) => {
                let name = at.map_or("", |at| cells[at].trim());
                if name.is_empty() {
                    return Err(format!("column {column:?} names no device"));
                }
                name.to_owned()
            }
        };
        let text = cells[self.time].trim();
        let at_ms = zone.time_of(&map.time.format, text).ok_or_else(|| {
            format!("column {:?} holds {text:?}, which is no time of format {:?}", map.time.column, map.time.format)
        })?;
        Ok((cells, device_id, at_ms))
    }
}

#[cfg(test)]
mod tests;
