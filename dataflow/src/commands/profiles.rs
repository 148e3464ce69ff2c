//! `profiles`: the devices of a store, and what is normal for each.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use connectors::Store;
use model::tables::TableId;
use model::time::format_ms;
use model::{Row, Value};
use serde_json::{Value as Json, json};

use crate::commands::common::{
    JsonList, StoreArgument, key, last_seen_ms, number, printable, row_of, scan, short_time, table, table_text,
    thousands, unit_of,
};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow profiles --store sqlite:day.db
  dataflow profiles --device RTU-001";

/// Arguments of `profiles`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ProfilesArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Only this device, with what is normal for each of its metrics
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Lists devices, or shows one.
///
/// # Errors
/// Wrong use, or a store that fails.
pub fn run(arguments: &ProfilesArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    if let Some(device) = &arguments.device {
        last_seen_ms(store.as_mut(), device)?;
    }
    let prefix: Vec<Value> = arguments.device.as_deref().map(key).into_iter().collect();
    let mut profiles: BTreeMap<String, Row> = BTreeMap::new();
    scan(store.as_mut(), TableId::DeviceProfiles, &prefix, |row| {
        if let Some(device) = row.value("device_id").as_text() {
            profiles.insert(device.to_owned(), row.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut totals = Vec::new();
    scan(store.as_mut(), TableId::DeviceStatistics, &prefix, |row| {
        totals.push(row.clone());
        Ok(ControlFlow::Continue(()))
    })?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        let mut list = JsonList::new(&mut out).context("could not write to stdout")?;
        for total in &totals {
            let device = total.value("device_id").as_text().unwrap_or_default();
            list.push(&to_json(total, profiles.get(device))).context("could not write to stdout")?;
        }
        list.finish().context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut text = overview(&totals, &profiles);
    if let Some(profile) = arguments.device.as_ref().and_then(|device| profiles.get(device)) {
        text += &format!("\n{}", one(profile));
    }
    out.write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn integer(row: &Row, column: &str) -> i64 {
    row.value(column).as_int().unwrap_or_default()
}

fn to_json(total: &Row, profile: Option<&Row>) -> Json {
    let text = |column| profile.map_or(Json::Null, |profile| json!(profile.value(column).as_text()));
    let time = |column| {
        profile.and_then(|profile| profile.value(column).as_int()).map_or(Json::Null, |ms| Json::from(format_ms(ms)))
    };
    json!({
        "device_id": total.value("device_id").as_text(),
        "device_type": text("device_type"),
        "location": text("location"),
        "building_id": text("building_id"),
        "states": integer(total, "total_snapshots"),
        "anomalous_states": integer(total, "anomaly_count"),
        "readings": integer(total, "records_windowed"),
        "duplicates": integer(total, "records_duplicate"),
        "incidents": integer(total, "incidents"),
        "last_seen": format_ms(integer(total, "last_seen")),
        "profile_created_at": time("profile_created_at"),
        "profile_updated_at": time("profile_updated_at"),
        "normal_states": profile.map(|profile| integer(profile, "normal_states")),
        "metrics": match profile.map(|profile| profile.value("metric_stats")) {
            Some(Value::Stats(stats)) => json!(stats),
            _ => Json::Null,
        },
    })
}

fn overview(totals: &[Row], profiles: &BTreeMap<String, Row>) -> String {
    let header =
        ["device", "type", "building", "states", "unusual", "incidents", "normal states", "profile of", "last seen"];
    let mut shown = table(&header, &[3, 4, 5, 6]);
    for total in totals {
        let device = total.value("device_id").as_text().unwrap_or_default();
        let profile = profiles.get(device);
        let text = |column| profile.and_then(|row| row.value(column).as_text()).map(printable).unwrap_or_default();
        let count = |column| thousands(integer(total, column).max(0).cast_unsigned());
        shown.add_row([
            printable(device),
            text("device_type"),
            text("building_id"),
            count("total_snapshots"),
            count("anomaly_count"),
            count("incidents"),
            profile.map_or(String::new(), |row| thousands(integer(row, "normal_states").max(0).cast_unsigned())),
            profile.map_or(String::new(), |row| short_time(integer(row, "profile_updated_at"))),
            short_time(integer(total, "last_seen")),
        ]);
    }
    table_text(&shown)
}

/// What is normal for a device's metrics.
fn one(profile: &Row) -> String {
    let device_type = profile.value("device_type").as_text().unwrap_or_default();
    let mut shown = table(&["metric", "unit", "mean", "s.d.", "lowest", "highest"], &[2, 3, 4, 5]);
    if let Value::Stats(stats) = profile.value("metric_stats") {
        for (metric, parts) in stats {
            let part = |name: &str| parts.get(name).map_or(String::new(), |value| number(*value));
            shown.add_row([
                printable(metric),
                unit_of(device_type, metric).to_owned(),
                part("mean"),
                part("std"),
                part("min"),
                part("max"),
            ]);
        }
    }
    table_text(&shown) + "Of a counter (what never falls and often rises, such as a meter), the increase per window.\n"
}

/// Standard deviations of a device's metrics while normal; empty where it has no profile yet.
///
/// # Errors
/// If the store fails.
pub fn deviations(store: &mut dyn Store, device: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    let row = row_of(store, TableId::DeviceProfiles, &[key(device)])?;
    Ok(match row.as_ref().map(|row| row.value("metric_stats")) {
        Some(Value::Stats(stats)) => {
            stats.iter().filter_map(|(metric, parts)| Some((metric.clone(), *parts.get("std")?))).collect()
        }
        _ => BTreeMap::new(),
    })
}
