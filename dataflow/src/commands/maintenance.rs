//! `maintenance`: says when people work on devices, so that no incident opens meanwhile.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use connectors::Store;
use model::tables::TableId;
use model::time::format_ms;
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{
    JsonList, StoreArgument, last_seen_ms, newest_ms, parse_time, printable, scan, short_time, table, table_text,
};
use crate::controls::{Ask, Maintenance, Placed, read};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow maintenance add --device RTU-002 --from 09:00 --to 11:30 --note \"filter change\"
  dataflow maintenance add --building bldg-001 --from 2026-03-05 --to 2026-03-06
  dataflow maintenance list --json";

/// Arguments of `maintenance`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MaintenanceArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Announce work: states are judged, but no incident opens.
    Add(AddArguments),
    /// List what was announced.
    List(ListArguments),
}

#[derive(Args, Clone, Debug)]
struct AddArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// Work on this device
    #[arg(long, value_name = "ID", required_unless_present = "building", conflicts_with = "building")]
    device: Option<String>,
    /// Work on all devices of this building
    #[arg(long, value_name = "ID")]
    building: Option<String>,
    /// From this time on (RFC 3339, or HH:MM on the newest day)
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Until this time
    #[arg(long, value_name = "TIME")]
    to: String,
    /// What is done, in a few words
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct ListArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// [`WrongUse`] for what can't be meant, or a store that fails.
pub fn run(arguments: &MaintenanceArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Add(add) => announce(add),
        Action::List(list) => show(list),
    }
}

fn announce(arguments: &AddArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    let newest_ms = newest_ms(store.as_mut())?;
    // A store without devices is one whose job has not begun: nobody can be missed in it.
    if newest_ms.is_some() {
        match (&arguments.device, &arguments.building) {
            (Some(device), _) => drop(last_seen_ms(store.as_mut(), device)?),
            (None, Some(building)) => check_building(store.as_mut(), building)?,
            (None, None) => bail!(WrongUse("maintenance needs --device or --building".to_owned())),
        }
    }
    let (from_ms, to_ms) = (parse_time(&arguments.from, newest_ms)?, parse_time(&arguments.to, newest_ms)?);
    let maintenance = Maintenance {
        device_id: arguments.device.clone(),
        building_id: arguments.building.clone(),
        from_ms,
        to_ms,
        note: arguments.note.clone(),
    };
    let (asked, judged_ms) = say(store.as_mut(), &maintenance)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", to_json(&asked, &maintenance)).context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let whom = whom(&maintenance);
    let text = format!("maintenance of {whom} from {} to {}", format_ms(from_ms), format_ms(to_ms));
    let begins = if from_ms < judged_ms {
        format!("; windows before {} stand as they may be judged already", format_ms(judged_ms))
    } else {
        String::new()
    };
    writeln!(out, "{text}{begins}").context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// Announces work; gives the control, and up to where windows may be judged already.
///
/// # Errors
/// [`WrongUse`] for what can't be meant or would change nothing; otherwise if the store fails.
pub fn say(store: &mut dyn Store, maintenance: &Maintenance) -> anyhow::Result<(Placed, i64)> {
    let Maintenance { from_ms, to_ms, .. } = *maintenance;
    if to_ms <= from_ms {
        bail!(WrongUse(format!(
            "maintenance ends at {}, which is not after its beginning at {}",
            format_ms(to_ms),
            format_ms(from_ms)
        )));
    }
    let judged_ms = super::ask::judged_ms(store)?;
    if to_ms <= judged_ms {
        bail!(WrongUse(format!(
            "all windows up to {} may be judged already: maintenance until {} would change nothing; `dataflow incidents resolve` says what was maintenance",
            format_ms(judged_ms),
            format_ms(to_ms)
        )));
    }
    Ok((super::ask::ask(store, Ask::Maintenance(maintenance.clone()))?, judged_ms))
}

fn check_building(store: &mut dyn Store, building: &str) -> anyhow::Result<()> {
    let mut known = BTreeSet::new();
    scan(store, TableId::DeviceProfiles, &[], |row| {
        known.extend(row.value("building_id").as_text().map(printable));
        Ok(ControlFlow::Continue(()))
    })?;
    if known.contains(&printable(building)) {
        return Ok(());
    }
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "no device tells its building".to_owned() } else { format!("it has {known}") };
    bail!(WrongUse(format!("building {building:?} is not in the store; {known}")))
}

fn whom(maintenance: &Maintenance) -> String {
    match (&maintenance.device_id, &maintenance.building_id) {
        (Some(device), _) => format!("device {}", printable(device)),
        (None, building) => format!("building {}", printable(building.as_deref().unwrap_or_default())),
    }
}

fn to_json(placed: &Placed, maintenance: &Maintenance) -> serde_json::Value {
    json!({
        "id": placed.id,
        "device_id": maintenance.device_id,
        "building_id": maintenance.building_id,
        "from": format_ms(maintenance.from_ms),
        "to": format_ms(maintenance.to_ms),
        "note": maintenance.note,
        "effective_from": (placed.window_ms != crate::controls::ASKED_MS).then(|| format_ms(placed.window_ms)),
    })
}

/// All announced work by its beginning.
///
/// # Errors
/// If the store fails.
pub fn all(store: &mut dyn Store) -> anyhow::Result<Vec<(Placed, Maintenance)>> {
    let controls = read(store)?;
    let of = |placed: Placed| match placed.ask.clone() {
        Ask::Maintenance(maintenance) => Some((placed, maintenance)),
        Ask::Resolve(_) => None,
    };
    let mut all: Vec<_> = controls.placed.into_iter().chain(controls.asked).filter_map(of).collect();
    all.sort_by(|(one, a), (other, b)| (a.from_ms, &one.id).cmp(&(b.from_ms, &other.id)));
    Ok(all)
}

fn show(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    let all = all(store.as_mut())?;
    if arguments.json {
        let mut list = JsonList::new(std::io::stdout().lock()).context("could not write to stdout")?;
        all.iter()
            .try_for_each(|(placed, maintenance)| list.push(&to_json(placed, maintenance)))
            .context("could not write to stdout")?;
        list.finish().context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = table(&["of", "from (UTC)", "to", "in effect from", "note"], &[]);
    for (placed, maintenance) in &all {
        let effective = match placed.window_ms {
            crate::controls::ASKED_MS => "asked for".to_owned(),
            window_ms => short_time(window_ms),
        };
        shown.add_row([
            whom(maintenance),
            short_time(maintenance.from_ms),
            short_time(maintenance.to_ms),
            effective,
            printable(maintenance.note.as_deref().unwrap_or_default()),
        ]);
    }
    let text = if all.is_empty() { "No maintenance.\n".to_owned() } else { table_text(&shown) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
