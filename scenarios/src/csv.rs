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
//! or a fixed offset, for no time zone database is compiled in. A table in local time with a clock change can't be told from
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
mod tests {
    use super::*;
    use expect_test::expect;

    const MAP: &str = r#"
        device_id = "AHU-1"
        device_type = "air_handling_unit"
        location = "lab"
        time = { column = "Datetime", format = "%m/%d/%Y %H:%M", zone = "-06:00" }
        skip = ["Truth"]
        [[metric]]
        column = "Supply"
        name = "supply_air_temp"
        unit = "°F"
        [[metric]]
        column = "Fan"
        name = "fan_status"
    "#;

    fn run(map: &str, table: &str) -> Result<(String, Report), String> {
        let mut out = Vec::new();
        let report = Map::parse(map)
            .and_then(|map| convert(&map, table.as_bytes(), &mut out))
            .map_err(|error| error.to_string())?;
        crate::case::check_recording("converted", &out).map_err(|error| error.to_string())?;
        Ok((String::from_utf8(out).expect("a recording is text"), report))
    }

    #[test]
    fn every_cell_becomes_a_message_in_row_order() {
        let table = "Datetime,Supply ,Fan,Truth\r\n3/15/2017 20:50,65.45,1,0\r\n\r\n3/15/2017 20:51,#VALUE!,,0\r\n3/15/2017 20:52,\"1e2\",TRUE,0";
        let (recording, report) = run(MAP, table).expect("the table fits the map");
        expect![[r##"
            {"partition":0,"offset":0,"broker_time":1489632600000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:50:00Z","metric_name":"supply_air_temp","metric_value":65.45,"unit":"°F","location":"lab"}}
            {"partition":0,"offset":1,"broker_time":1489632600000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:50:00Z","metric_name":"fan_status","metric_value":1.0,"location":"lab"}}
            {"partition":0,"offset":2,"broker_time":1489632660000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:51:00Z","metric_name":"supply_air_temp","metric_value":"#VALUE!","unit":"°F","location":"lab"}}
            {"partition":0,"offset":3,"broker_time":1489632720000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:52:00Z","metric_name":"supply_air_temp","metric_value":100.0,"unit":"°F","location":"lab"}}
            {"partition":0,"offset":4,"broker_time":1489632720000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:52:00Z","metric_name":"fan_status","metric_value":true,"location":"lab"}}
        "##]]
        .assert_eq(&recording);
        let wanted = Report {
            rows: 3,
            messages: 5,
            empty_cells: 1,
            text_cells: BTreeMap::from([("#VALUE!".to_owned(), 1)]),
            text_columns: BTreeMap::from([("Supply".to_owned(), 1)]),
            ..Report::default()
        };
        assert_eq!(report, wanted);
    }

    #[test]
    fn a_bad_row_is_named_by_its_line_and_costs_only_itself() {
        let table = "Datetime,Supply,Fan,Truth\nyesterday,1,1,0\n3/15/2017 20:50,1\n3/15/2017 20:50,\"1,1,0\n3/15/2017 20:51,2,0,0\n";
        let (recording, report) = run(MAP, table).expect("a bad row is no error");
        // The quote that is never closed takes the rest of the table, as RFC 4180 has it.
        assert_eq!((recording.as_str(), report.rows, report.bad_rows), ("", 3, 3));
        expect![[r#"
            line 2: column "Datetime" holds "yesterday", which is no time of format "%m/%d/%Y %H:%M"
            line 3: row has 2 cells, the header has 4
            line 4: row has a quote that is never closed"#]]
        .assert_eq(
            &report
                .first_bad_rows
                .iter()
                .map(|(line, why)| format!("line {line}: {why}"))
                .collect::<Vec<_>>()
                .join("\n"),
        );
    }

    #[test]
    fn a_map_that_does_not_fit_says_what_is_missing() {
        let errors = [
            run(MAP, "Datetime,Supply,Fan,Truth,Return\n"),
            run(MAP, "Datetime,Supply,Truth\n"),
            run(MAP, "Datetime,Supply,Supply,Fan,Truth\n"),
            run(MAP, ""),
            run(&MAP.replace("-06:00", "America/Chicago"), "Datetime,Supply,Fan,Truth\n"),
            run(&MAP.replace("location", "delimiter = \"é\"\nlocation"), "Datetime,Supply,Fan,Truth\n"),
        ]
        .map(|result| result.expect_err("the map doesn't fit"));
        expect![[r#"
            table's header has columns that the map lacks: ["Return"]; give each a [[metric]], name it in skip, or set ignore_unmapped = true
            table's header has no column "Fan"; it has ["Datetime", "Supply", "Truth"]
            table's header has the column "Supply" twice
            table's header is missing: the table is empty
            map setting "zone" is "America/Chicago"; no time zone database is compiled in, so write "UTC" or an offset such as "-06:00"
            map setting "delimiter" is 'é', which can't stand between cells"#]]
        .assert_eq(&errors.join("\n"));
    }

    #[test]
    fn times_come_in_several_forms() {
        let at = |zone: &str, format: &str, text: &str| Zone::parse(zone).expect("a zone").time_of(format, text);
        assert_eq!(at("UTC", "epoch_s", "1489632600.25"), Some(1_489_632_600_250));
        assert_eq!(at("UTC", "epoch_s", "-1.9999"), Some(-2_000));
        assert_eq!(at("UTC", "epoch_s", "-0.5"), Some(-500));
        assert_eq!(at("UTC", "epoch_s", "1."), None);
        assert_eq!(at("UTC", "epoch_ms", "-5"), Some(-5));
        assert_eq!(at("+01:00", "rfc3339", "2017-03-16T02:50:00Z"), Some(1_489_632_600_000), "it has its own zone");
        assert_eq!(at("+01:00", "%Y-%m-%d %H:%M:%S %z", "2017-03-16 02:50:00 +0000"), Some(1_489_632_600_000));
        assert_eq!(at("+01:30", "%Y-%m-%d %H:%M:%S", "2017-03-16 04:20:00"), Some(1_489_632_600_000));
        assert_eq!(at("UTC", "%Y-%m-%d %H:%M:%S", "2017-02-30 04:20:00"), None);
    }

    #[test]
    fn devices_may_stand_in_a_column_and_cells_may_hold_delimiters() {
        let map = r#"
            device_id = { column = "unit" }
            device_type = "chiller"
            time = { column = "t", format = "epoch_ms" }
            delimiter = ";"
            ignore_unmapped = true
            [[metric]]
            column = "x;y"
            name = "x"
        "#;
        let (recording, report) =
            run(map, "\u{feff}unit;t;\"x;y\";z\n\"d \"\"1\"\"\";5;2;9\n;6;3;9\n").expect("the table fits");
        assert!(recording.contains(r#""device_id":"d \"1\"""#) && recording.lines().count() == 1, "{recording}");
        assert_eq!(report.first_bad_rows, [(3, "column \"unit\" names no device".to_owned())]);
    }

    /// The maps that come with the source can be read, and their names are each used once.
    #[test]
    fn bundled_maps_are_sound() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("maps");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).expect("the maps are there") {
            let path = entry.expect("the folder can be read").path();
            let map = Map::parse(&std::fs::read_to_string(&path).expect("a text")).expect("a map");
            let names: std::collections::BTreeSet<&str> =
                map.metrics.iter().map(|metric| metric.name.as_str()).collect();
            assert_eq!(names.len(), map.metrics.len(), "{path:?}");
            count += 1;
        }
        assert_eq!(count, 3);
    }
}
