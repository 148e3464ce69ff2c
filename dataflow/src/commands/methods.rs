//! `methods`: what each of the four methods said over a span, and how far they agree.

mod agreement;

use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::{Store, scan_days};
use model::tables::TableId;
use model::time::format_ms;
use model::{Method, Row, Verdict};
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    StoreArgument, bar, json_pretty, last_seen_ms, newest_ms, parse_time, printable, scan, short_time, table,
    table_text, thousands,
};
use agreement::{Agreement, METHODS};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow methods --store sqlite:day.db
  dataflow methods --device RTU-001 --from 2026-03-01 --to 2026-03-08
  dataflow methods --alone similar --limit 20      # states that only this method calls unusual";

const DAY_MS: i64 = 86_400_000;

/// Arguments of `methods`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MethodsArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Only this device; may be given more than once
    #[arg(long, value_name = "ID")]
    device: Vec<String>,
    /// Only states from then on [default: seven days before the newest]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only states before
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Also list the states that only this method calls unusual
    #[arg(long, value_name = "METHOD", value_parser = METHODS.map(Method::name))]
    alone: Option<String>,
    /// Most states to list
    #[arg(long, value_name = "N", default_value_t = 10, requires = "alone")]
    limit: usize,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A state that one method alone calls unusual.
struct Alone {
    device_id: String,
    start_ms: i64,
    score: f64,
    text: String,
}

/// Goes through the states of a span.
///
/// # Errors
/// Wrong use, or a store that fails.
pub fn run(arguments: &MethodsArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    let store = store.as_mut();
    let Some(newest_ms) = newest_ms(store)? else {
        bail!(WrongUse("the store has no devices".to_owned()));
    };
    let time = |text: &Option<String>| text.as_deref().map(|text| parse_time(text, Some(newest_ms))).transpose();
    // Up to the next full minute: times that people can read.
    let to_ms = time(&arguments.to)?.unwrap_or((newest_ms.div_euclid(60_000) + 1) * 60_000);
    let from_ms = time(&arguments.from)?.unwrap_or(to_ms - 7 * DAY_MS);
    if from_ms >= to_ms {
        bail!(WrongUse(format!("--from {} is not before --to {}", format_ms(from_ms), format_ms(to_ms))));
    }
    let devices = devices(store, &arguments.device)?;
    let alone = METHODS.iter().position(|method| Some(method.name()) == arguments.alone.as_deref());

    let (mut agreement, mut listed) = (Agreement::default(), Vec::new());
    let progress = bar(devices.len() as u64, "devices");
    for device in &devices {
        let mut failed = None;
        scan_days(store, TableId::DeviceStateSnapshots, device, from_ms..to_ms, &mut |row| match observe(
            &row,
            &mut agreement,
            alone,
        ) {
            Ok(found) => {
                if listed.len() < arguments.limit {
                    listed.extend(found);
                }
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
        .context("could not read table \"device_state_snapshots\"")?;
        failed.map_or(Ok(()), Err)?;
        progress.inc(1);
    }
    progress.finish_and_clear();

    if arguments.json {
        let span = json!({"from": format_ms(from_ms), "to": format_ms(to_ms), "devices": devices.len()});
        let listed: Vec<_> = listed.iter().map(alone_json).collect();
        println!("{}", json_pretty(&json!({"span": span, "agreement": agreement.to_json(), "alone": listed})));
    } else {
        let (states, many) = (thousands(agreement.judged()), thousands(devices.len() as u64));
        println!("{states} judged states of {many} devices, {} to {}\n", short_time(from_ms), short_time(to_ms));
        print!("{agreement}");
        if let Some(method) = &arguments.alone {
            println!("\nUnusual to {method} alone, the first {}", listed.len());
            print!("{}", alone_table(&listed));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The devices asked for, or all.
fn devices(store: &mut dyn Store, asked: &[String]) -> anyhow::Result<Vec<String>> {
    if !asked.is_empty() {
        for device in asked {
            last_seen_ms(store, device)?;
        }
        let mut asked = asked.to_vec();
        asked.sort_unstable();
        asked.dedup();
        return Ok(asked);
    }
    let mut all = Vec::new();
    scan(store, TableId::DeviceStatistics, &[], |row| {
        all.extend(row.value("device_id").as_text().map(str::to_owned));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(all)
}

/// Counts a state; a state that the method `alone` calls unusual and no other is given back.
fn observe(row: &Row, agreement: &mut Agreement, alone: Option<usize>) -> anyhow::Result<Option<Alone>> {
    let broken = || format!("table \"device_state_snapshots\" holds a row that is no state: {:?}", row.key());
    let verdicts = row.value("verdicts").as_text().with_context(broken)?;
    let verdicts: Vec<Verdict> = serde_json::from_str(verdicts).with_context(broken)?;
    let mut unusual = [false; 4];
    for verdict in &verdicts {
        let at = METHODS.iter().position(|method| *method == verdict.method).unwrap_or_default();
        unusual[at] = verdict.severity.is_some();
    }
    // While a method still learns it says nothing, which is no opinion.
    if verdicts.iter().any(|verdict| verdict.warm_up < 1.0) {
        agreement.learning(unusual);
        return Ok(None);
    }
    agreement.judge(unusual);
    let Some(alone) = alone.filter(|&alone| unusual[alone] && unusual.iter().filter(|&&said| said).count() == 1) else {
        return Ok(None);
    };
    let verdict = verdicts.iter().find(|verdict| verdict.method == METHODS[alone]);
    Ok(verdict.map(|verdict| Alone {
        device_id: row.value("device_id").as_text().unwrap_or_default().to_owned(),
        start_ms: row.value("snapshot_time").as_int().unwrap_or_default(),
        score: verdict.score,
        text: verdict.findings.first().map(|finding| finding.text.clone()).unwrap_or_default(),
    }))
}

fn alone_json(state: &Alone) -> serde_json::Value {
    json!({"device_id": state.device_id, "at": format_ms(state.start_ms), "score": state.score, "text": state.text})
}

fn alone_table(listed: &[Alone]) -> String {
    let mut shown = table(&["", "device", "at", "score", "why"], &[3]);
    for state in listed {
        let (device, at) = (printable(&state.device_id), short_time(state.start_ms));
        shown.add_row([String::new(), device, at, format!("{:.2}", state.score), printable(&state.text)]);
    }
    table_text(&shown)
}
