//! `store verify`: what is in the store, and what in it can't be right.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use connectors::Store;
use model::tables::{TABLES, TableId};
use model::time::{date_of, format_ms, window_start};
use model::{Row, Value};
use serde_json::json;

use crate::checkpoint::Start;
use crate::commands::common::{
    StoreArgument, json_pretty, printable, scan, short_duration, short_time, table, table_text, thousands, window_ms,
};
use crate::commands::run::this_process;

/// Problems of one kind that are kept in words; the rest is only counted.
const SHOWN: usize = 5;

/// Windows of a device without a state.
struct Gap {
    device: String,
    from_ms: i64,
    windows: i64,
}

/// What was found.
#[derive(Default)]
struct Findings {
    /// Rows by table and day; the empty day is that of tables without time.
    rows: BTreeMap<(&'static str, String), u64>,
    /// Start times of all states by device.
    states: BTreeMap<String, Vec<i64>>,
    gaps: Vec<Gap>,
    /// What is wrong, with the first examples and the count.
    problems: BTreeMap<String, (u64, Vec<String>)>,
}

impl Findings {
    fn problem(&mut self, what: &str, example: impl FnOnce() -> String) {
        let (count, examples) = self.problems.entry(what.to_owned()).or_default();
        *count += 1;
        if examples.len() < SHOWN {
            examples.push(example());
        }
    }
}

/// The column that says on which day a row belongs.
fn time_column(table: TableId) -> Option<&'static str> {
    match table {
        TableId::DeviceMetricsRaw | TableId::LateMetrics => Some("timestamp"),
        TableId::DeviceStateSnapshots | TableId::StateOccurrences | TableId::PendingStates => Some("snapshot_time"),
        TableId::AnomalyEvents => Some("started_at"),
        TableId::DeadLetters => Some("broker_time"),
        TableId::DeviceProfiles | TableId::DeviceStatistics | TableId::StateVectors => None,
    }
}

pub(super) fn run(argument: &StoreArgument, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut store = argument.open()?;
    // While a job writes, the tables change from one to the next: totals read last would not fit states read first.
    store
        .acquire_lease(&this_process())
        .context("could not verify the store: it has to be at rest, stop the job first (it goes on where it was)")?;
    let width_ms = window_ms(store.as_mut())?;
    let start = Start::decode(store.latest_checkpoint().context("could not read the newest checkpoint")?, Vec::new())?;
    let boundary_ms = start.boundary_ms();
    let mut findings = Findings::default();
    read(store.as_mut(), TableId::DeviceStateSnapshots, &mut findings, |row, findings| state(row, width_ms, findings));
    find_gaps(width_ms, &mut findings);
    read(store.as_mut(), TableId::DeviceMetricsRaw, &mut findings, |row, findings| {
        reading(row, width_ms, boundary_ms, findings);
    });
    let mut vectors: Vec<(String, i64)> = Vec::new();
    read(store.as_mut(), TableId::StateVectors, &mut findings, |row, _| vectors.extend(vector_key(row)));
    vectors.sort();
    read(store.as_mut(), TableId::StateOccurrences, &mut findings, |row, findings| {
        if vector_key(row).is_none_or(|key| vectors.binary_search(&key).is_err()) {
            findings.problem("a state's vector is not in table \"state_vectors\"", || described(row));
        }
    });
    read(store.as_mut(), TableId::AnomalyEvents, &mut findings, incident);
    read(store.as_mut(), TableId::DeviceStatistics, &mut findings, statistics);
    for table in [TableId::DeviceProfiles, TableId::DeadLetters, TableId::LateMetrics, TableId::PendingStates] {
        read(store.as_mut(), table, &mut findings, |_, _| {});
    }
    store.release_lease().context("could not give the store back")?;
    let code = if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if as_json {
        println!("{}", json_pretty(&to_json(&findings, width_ms)));
    } else {
        print!("{}", to_text(&findings, width_ms));
    }
    Ok(code)
}

/// Counts a table's rows by day and looks at each; a table that can't be read to its end is a finding, not the end.
fn read(store: &mut dyn Store, table: TableId, findings: &mut Findings, mut each: impl FnMut(&Row, &mut Findings)) {
    let name = table.table().name;
    let result = scan(store, table, &[], |row| {
        let time_ms = time_column(table).map(|column| row.value(column).as_int().unwrap_or_default());
        let day = time_ms.map(date_of).unwrap_or_default();
        let has_date = row.table().columns.iter().any(|column| column.name == "date");
        if has_date && row.value("date").as_text() != Some(&day) {
            findings.problem("a row's date is not the day of its time", || described(row));
        }
        *findings.rows.entry((name, day)).or_default() += 1;
        each(row, findings);
        Ok(ControlFlow::Continue(()))
    });
    if let Err(error) = result {
        findings.problem("a table can't be read to its end", || format!("{error:#}"));
    }
}

fn described(row: &Row) -> String {
    let key: Vec<String> = row
        .table()
        .columns
        .iter()
        .zip(row.key())
        .map(|(column, value)| match value.to_json(column.kind) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
        .collect();
    printable(&format!("{}: {}", row.table().name, key.join(", ")))
}

fn state(row: &Row, width_ms: i64, findings: &mut Findings) {
    let (Some(device), Some(start_ms)) = (row.value("device_id").as_text(), row.value("snapshot_time").as_int()) else {
        return;
    };
    match findings.states.get_mut(device) {
        Some(starts) => starts.push(start_ms),
        None => {
            findings.states.insert(device.to_owned(), vec![start_ms]);
        }
    }
    if window_start(start_ms, width_ms) != start_ms {
        findings.problem("a state does not begin with a window", || described(row));
    }
    let anomalous = *row.value("is_anomalous") == Value::Bool(true);
    if anomalous == (*row.value("severity") == Value::Null) {
        findings.problem("a state's severity and its mark as anomalous contradict", || described(row));
    }
    let names = |column| match row.value(column) {
        Value::Map(map) => map.keys().cloned().collect::<Vec<_>>(),
        _ => Vec::new(),
    };
    let means = names("metrics");
    if ["metrics_last", "metrics_min", "metrics_max", "metrics_count"].iter().any(|column| names(column) != means) {
        findings.problem("a state's maps name different metrics", || described(row));
    }
    if names("metrics_expected") != names("metrics_band") {
        findings.problem("a state expects metrics without a band, or has a band without what is expected", || {
            described(row)
        });
    }
    let verdicts = row.value("verdicts").as_text().map(serde_json::from_str::<Vec<model::Verdict>>);
    if !matches!(verdicts, Some(Ok(_))) {
        findings.problem("a state's verdicts can't be read", || described(row));
    }
}

fn find_gaps(width_ms: i64, findings: &mut Findings) {
    for (device, starts) in &findings.states {
        for pair in starts.windows(2) {
            let windows = (pair[1] - pair[0]) / width_ms - 1;
            if windows > 0 {
                findings.gaps.push(Gap { device: device.clone(), from_ms: pair[0] + width_ms, windows });
            }
        }
    }
}

/// A reading that came in time is part of the state of its window, once that is behind the checkpoint.
fn reading(row: &Row, width_ms: i64, boundary_ms: i64, findings: &mut Findings) {
    let (Some(device), Some(time_ms)) = (row.value("device_id").as_text(), row.value("timestamp").as_int()) else {
        return;
    };
    let start_ms = window_start(time_ms, width_ms);
    if *row.value("is_late") == Value::Bool(true) || start_ms >= boundary_ms {
        return;
    }
    let known = findings.states.get(device).is_some_and(|starts| starts.binary_search(&start_ms).is_ok());
    if !known {
        findings.problem("a reading that came in time is in no state", || described(row));
    }
}

fn vector_key(row: &Row) -> Option<(String, i64)> {
    Some((row.value("embedding_method").as_text()?.to_owned(), row.value("vector_id").as_int()?))
}

fn incident(row: &Row, findings: &mut Findings) {
    let (from, to) = (row.value("started_at").as_int(), row.value("ended_at").as_int());
    if from.is_none() || to.is_none() || from > to {
        findings.problem("an incident ends before it starts", || described(row));
    }
    let parts = row.value("contributions").as_text().map(serde_json::from_str::<Vec<model::Contribution>>);
    if !matches!(parts, Some(Ok(_))) {
        findings.problem("an incident's contributions can't be read", || described(row));
    }
}

fn statistics(row: &Row, findings: &mut Findings) {
    let counted = row.value("device_id").as_text().and_then(|device| findings.states.get(device)).map_or(0, Vec::len);
    let total = row.value("total_snapshots").as_int().unwrap_or_default();
    if i64::try_from(counted) != Ok(total) {
        findings.problem("a device's total of states is not the number of its states", || {
            format!("{}, {total} against {counted}", described(row))
        });
    }
}

fn to_json(findings: &Findings, width_ms: i64) -> serde_json::Value {
    let mut rows = serde_json::Map::new();
    for known in TABLES {
        let days: serde_json::Map<String, serde_json::Value> = findings
            .rows
            .iter()
            .filter(|((name, _), _)| *name == known.name)
            .map(|((_, day), count)| (if day.is_empty() { "all".to_owned() } else { day.clone() }, json!(count)))
            .collect();
        rows.insert(known.name.to_owned(), days.into());
    }
    json!({
        "rows": rows,
        "gaps": findings.gaps.iter().map(|gap| json!({
            "device_id": gap.device,
            "from": format_ms(gap.from_ms),
            "to": format_ms(gap.from_ms + gap.windows * width_ms),
            "windows": gap.windows,
        })).collect::<Vec<_>>(),
        "problems": findings.problems.iter().map(|(what, (count, examples))| {
            json!({"problem": what, "count": count, "examples": examples})
        }).collect::<Vec<_>>(),
    })
}

fn to_text(findings: &Findings, width_ms: i64) -> String {
    let mut shown = table(&["table", "day", "rows"], &[2]);
    for known in TABLES {
        let mut days = findings.rows.iter().filter(|((name, _), _)| *name == known.name).peekable();
        if days.peek().is_none() {
            shown.add_row([known.name, "", "0"]);
        }
        for ((name, day), count) in days {
            shown.add_row([(*name).to_owned(), printable(day), thousands(*count)]);
        }
    }
    let mut text = table_text(&shown);
    let gaps: i64 = findings.gaps.iter().map(|gap| gap.windows).sum();
    if gaps == 0 {
        text += "\nGaps      none: each device has a state in every window from its first to its last\n";
    } else {
        text += &format!(
            "\nGaps      {gaps} windows without a state between a device's first and last; where the device sent \
             nothing, nothing is wrong:\n"
        );
        let mut by_device: BTreeMap<&str, Vec<&Gap>> = BTreeMap::new();
        for gap in &findings.gaps {
            by_device.entry(&gap.device).or_default().push(gap);
        }
        let mut shown = table(&["", "device", "states", "missing", "gaps", "longest", "from"], &[2, 3, 4, 5]);
        for (device, gaps) in by_device {
            let longest = gaps.iter().max_by_key(|gap| (gap.windows, -gap.from_ms)).expect("a device with a gap");
            shown.add_row([
                String::new(),
                printable(device),
                thousands(findings.states[device].len() as u64),
                gaps.iter().map(|gap| gap.windows).sum::<i64>().to_string(),
                gaps.len().to_string(),
                short_duration(longest.windows * width_ms),
                short_time(longest.from_ms),
            ]);
        }
        text += &table_text(&shown);
    }
    if findings.problems.is_empty() {
        return text + "\nProblems  none\n";
    }
    text += "\nProblems\n";
    for (what, (count, examples)) in &findings.problems {
        text += &format!("  {what} ({count} times)\n");
        for example in examples {
            text += &format!("    {example}\n");
        }
    }
    text
}
