//! `incidents`: what was found, by start; `resolve` says what it was.

pub mod resolve;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use connectors::Store;
use model::recording::Label;
use model::tables::TableId;
use model::{Severity, Value};

use crate::commands::WrongUse;
use crate::commands::common::{
    JsonList, StoreArgument, key, last_seen_ms, newest_ms, number, parse_time, printable, scan, short_duration,
    short_time, table, table_text,
};
use crate::controls::{self, Ask, Resolution};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow incidents --store sqlite:day.db --severity critical
  dataflow incidents --device RTU-002 --from 09:00 --to 12:00 --json
  dataflow incidents resolve 16064452 --as false-positive --note \"the fan was off for a test\"";

/// Arguments of `incidents`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct IncidentsArguments {
    /// What to do: list them, or resolve: say what one of them was
    #[arg(value_name = "ACTION", value_parser = ["list", "resolve"], default_value = "list")]
    action: String,
    /// resolve: the incident's id, or its last digits as they are listed
    #[arg(value_name = "ID")]
    id: Option<String>,
    /// resolve: what it was. A false positive raises the device's bar for such an incident, a fault takes that back
    #[arg(long = "as", value_name = "WHAT", value_enum)]
    resolution: Option<Resolution>,
    /// resolve: in a few words
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    store: StoreArgument,
    /// Only of this device
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Only of at least this severity
    #[arg(long, value_enum)]
    severity: Option<Least>,
    /// Only those that last into this time or later (RFC 3339, or HH:MM on the newest day)
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only those that start before this time
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Only those that are not closed
    #[arg(long)]
    open: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// A lowest severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Least {
    /// All.
    Info,
    /// Without those that one method alone found.
    Warning,
    /// The worst alone.
    Critical,
}

pub use model::StoredIncident as Stored;

/// How long after its end a fault may still be what an incident is about: the equipment has to recover.
pub const RECOVERY_MS: i64 = 3_600_000;

/// Whether an incident, by its device, start and end, and when it was known, is about a labelled fault. One that was known before
/// the fault began is about something else.
pub fn is_about(label: &Label, device_id: &str, (start_ms, end_ms): (i64, i64), detected_ms: i64) -> bool {
    device_id == label.device_id
        && end_ms > label.start_ms
        && detected_ms >= label.start_ms
        && start_ms < label.end_ms + RECOVERY_MS
}

/// What the commands make of an incident of the store.
pub trait Told {
    /// Whether it is about a labelled fault.
    fn belongs_to(&self, label: &Label) -> bool;
    /// The strongest metric with what was seen and expected.
    fn reason(&self) -> String;
    /// What people made of it, empty where nobody said.
    fn said(&self) -> String;
}

impl Told for Stored {
    fn belongs_to(&self, label: &Label) -> bool {
        is_about(label, &self.device_id, (self.start_ms, self.end_ms), self.detected_ms)
    }

    fn reason(&self) -> String {
        let Some(part) = self.contributions.first() else { return String::new() };
        let expected = part.expected.map(|expected| format!(", expected {}", number(expected))).unwrap_or_default();
        let unit = if part.unit.is_empty() { String::new() } else { format!(" {}", printable(&part.unit)) };
        format!("{} {}{unit}{expected}", printable(&part.metric), number(part.observed))
    }

    fn said(&self) -> String {
        if self.resolution == "open" || self.resolution.is_empty() {
            return String::new();
        }
        let note = self.note.as_deref().map(|note| format!(": {}", printable(note))).unwrap_or_default();
        format!("{}{}{note}", printable(&self.resolution), if self.asked { " (asked for)" } else { "" })
    }
}

/// All incidents, or those of one device, by start.
///
/// # Errors
/// If the store fails or holds something that is no incident.
pub fn read(store: &mut dyn Store, device: Option<&str>) -> anyhow::Result<Vec<Stored>> {
    let prefix: Vec<Value> = device.map(key).into_iter().collect();
    let mut incidents = Vec::new();
    scan(store, TableId::AnomalyEvents, &prefix, |row| {
        let Some(incident) = Stored::of_row(row) else {
            bail!("table \"anomaly_events\" holds a row that is no incident: {:?}", row.key());
        };
        incidents.push(incident);
        Ok(ControlFlow::Continue(()))
    })?;
    for asked in controls::read(store)?.asked {
        let Ask::Resolve(resolve) = asked.ask else { continue };
        if let Some(incident) = incidents.iter_mut().find(|incident| incident.id == resolve.anomaly_id) {
            incident.resolution = resolve.resolution.status().to_owned();
            (incident.note, incident.asked) = (resolve.note, true);
        }
    }
    incidents.sort_by(|a, b| (a.start_ms, &a.device_id, &a.kind).cmp(&(b.start_ms, &b.device_id, &b.kind)));
    Ok(incidents)
}

/// Lists incidents.
///
/// # Errors
/// Wrong use, or a store that fails.
pub fn run(arguments: &IncidentsArguments) -> anyhow::Result<ExitCode> {
    let mut store = arguments.store.open()?;
    match (arguments.action.as_str(), &arguments.id, arguments.resolution) {
        ("resolve", Some(id), Some(resolution)) => {
            return resolve::run(store.as_mut(), id, resolution, arguments.note.as_deref(), arguments.json);
        }
        ("resolve", ..) => bail!(WrongUse(
            "incidents resolve needs the incident's ID and --as false-positive, fault or maintenance".to_owned()
        )),
        (_, None, None) if arguments.note.is_none() => {}
        _ => bail!(WrongUse("an ID, --as and --note belong to `incidents resolve`".to_owned())),
    }
    let now_ms = newest_ms(store.as_mut())?;
    let newest_ms = match &arguments.device {
        Some(device) => Some(last_seen_ms(store.as_mut(), device)?),
        None => now_ms,
    };
    // What is open lasts until the newest time of any device: a silent one has none of its own.
    let now_ms = now_ms.unwrap_or(i64::MIN);
    let time = |text: &Option<String>| text.as_deref().map(|text| parse_time(text, newest_ms)).transpose();
    let (from_ms, to_ms) = (time(&arguments.from)?, time(&arguments.to)?);
    let least = match arguments.severity {
        None | Some(Least::Info) => Severity::Info,
        Some(Least::Warning) => Severity::Warning,
        Some(Least::Critical) => Severity::Critical,
    };
    let mut incidents = read(store.as_mut(), arguments.device.as_deref())?;
    incidents.retain(|incident| {
        incident.severity >= least
            && (incident.open || !arguments.open)
            && from_ms.is_none_or(|from_ms| incident.lasts_into(from_ms))
            && to_ms.is_none_or(|to_ms| incident.start_ms < to_ms)
    });
    if arguments.json {
        let mut list = JsonList::new(std::io::stdout().lock()).context("could not write to stdout")?;
        incidents
            .iter()
            .try_for_each(|incident| list.push(&incident.to_json(now_ms)))
            .context("could not write to stdout")?;
        list.finish().context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = if incidents.is_empty() { "No incidents.\n".to_owned() } else { to_text(&incidents, now_ms) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

/// As much of an id's end as tells incidents apart; it begins with the time.
const SHORT_ID: usize = 8;

fn to_text(incidents: &[Stored], now_ms: i64) -> String {
    let header =
        ["id", "device", "kind", "severity", "start (UTC)", "end", "lasted", "furthest seen", "methods", "summary"];
    let mut shown = table(&header, &[6]);
    for incident in incidents {
        let end = if incident.open { "open".to_owned() } else { short_time(incident.end_ms) };
        let said = incident.said();
        let said = if said.is_empty() { said } else { format!("; {said}") };
        shown.add_row([
            incident.id[incident.id.len() - SHORT_ID..].to_owned(),
            printable(&incident.device_id),
            printable(&incident.kind),
            incident.severity.name().to_owned(),
            short_time(incident.start_ms),
            end,
            short_duration(incident.until_ms(now_ms) - incident.start_ms),
            incident.reason(),
            incident.method_names(),
            printable(&incident.summary) + &said,
        ]);
    }
    table_text(&shown)
}
