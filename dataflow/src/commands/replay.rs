//! `replay`: cases through the job, against what was written down for them. The regression check of a change.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use scenarios::case::{self, Case};
use scenarios::compare;
use serde_json::json;

use crate::commands::WrongUse;
use crate::replay::{Replayed, replay};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow replay late                  what comes of the case \"late\", as its golden holds it
  dataflow replay --check -w 4          every case against its golden and its hand-written lines
  dataflow replay fault-spike --bless   the result becomes the golden; its diff is the review";

/// Arguments of `replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ReplayArguments {
    /// Which cases; all of the folder with --check and --bless
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Compare with the goldens and the hand-written lines; exit 1 on a difference
    #[arg(long)]
    pub check: bool,
    /// Write the goldens anew
    #[arg(long, conflicts_with = "check")]
    pub bless: bool,
    /// Worker threads
    #[arg(short, long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: u16,
    /// Folder of the cases; the source's own where absent
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// One JSON object a case on stdout instead of text
    #[arg(long)]
    pub json: bool,
}

/// What became of a case.
struct Judged {
    name: String,
    replayed: Replayed,
    verdict: Verdict,
}

enum Verdict {
    /// Only shown.
    Shown,
    /// As written down.
    Same,
    /// The golden was written anew.
    Blessed,
    /// It differs; what a person reads of that.
    Differs(String),
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Verdict::Shown => "shown",
            Verdict::Same => "same",
            Verdict::Blessed => "blessed",
            Verdict::Differs(_) => "DIFFERS",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// [`WrongUse`] for a name that is no case; else when a case can't be read or run.
pub fn run(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let mut judged = Vec::new();
    for case in cases(arguments)? {
        let one = judge(arguments, &case)?;
        if arguments.json {
            println!("{}", to_json(&one));
        } else {
            match &one.verdict {
                Verdict::Shown => print!("{}", one.replayed.text),
                Verdict::Differs(failure) => println!("{failure}"),
                Verdict::Same | Verdict::Blessed => {}
            }
        }
        judged.push(one);
    }
    let differing = judged.iter().filter(|one| matches!(one.verdict, Verdict::Differs(_))).count();
    if !arguments.json && (arguments.check || arguments.bless) {
        println!("{}", table(&judged));
        println!("{} cases, {differing} differ", judged.len());
    }
    Ok(ExitCode::from(u8::from(differing > 0)))
}

fn cases(arguments: &ReplayArguments) -> anyhow::Result<Vec<Case>> {
    let folder = arguments.folder.clone().unwrap_or_else(case::bundled_folder);
    let mut names = arguments.names.clone();
    if names.is_empty() {
        names = case::list(&folder)?;
        if !arguments.check && !arguments.bless {
            bail!(WrongUse(format!(
                "name the case to be shown, or give --check for all; {} has {}",
                folder.display(),
                names.join(", ")
            )));
        }
    }
    names
        .iter()
        .map(|name| match case::load(&folder, name) {
            Err(error @ case::CaseError::Unknown { .. }) => bail!(WrongUse(error.to_string())),
            other => Ok(other?),
        })
        .collect()
}

fn judge(arguments: &ReplayArguments, case: &Case) -> anyhow::Result<Judged> {
    let replayed = replay(case, usize::from(arguments.workers))?;
    let verdict = if arguments.bless {
        match compare::bless(case, &replayed.text)? {
            Ok(true) => Verdict::Blessed,
            Ok(false) => Verdict::Same,
            Err(failure) => Verdict::Differs(failure.to_string()),
        }
    } else if arguments.check {
        match compare::judge(case, &replayed.text)? {
            Ok(()) => Verdict::Same,
            Err(failure) => Verdict::Differs(failure.to_string()),
        }
    } else {
        Verdict::Shown
    };
    Ok(Judged { name: case.name.clone(), replayed, verdict })
}

fn incidents(one: &Judged) -> u64 {
    one.replayed.manifest.totals.incidents.iter().fold(0, |sum, count| sum.wrapping_add(*count))
}

fn to_json(one: &Judged) -> serde_json::Value {
    let totals = &one.replayed.manifest.totals;
    let [info, warning, critical] = totals.incidents;
    let difference = match &one.verdict {
        Verdict::Differs(failure) => Some(failure),
        _ => None,
    };
    json!({
        "case": one.name,
        "verdict": one.verdict.word().to_lowercase(),
        "difference": difference,
        "records": totals.received(),
        "states": totals.states,
        "incidents": {"info": info, "warning": warning, "critical": critical},
        "seconds": one.replayed.wall.as_secs_f64(),
        "result": one.replayed.text,
    })
}

fn table(judged: &[Judged]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["case", "records", "states", "incidents", "seconds", "result"]);
    for one in judged {
        let totals = &one.replayed.manifest.totals;
        table.add_row([
            one.name.clone(),
            totals.received().to_string(),
            totals.states.to_string(),
            incidents(one).to_string(),
            format!("{:.2}", one.replayed.wall.as_secs_f64()),
            one.verdict.word().to_owned(),
        ]);
    }
    for column in 1..5 {
        table.column_mut(column).expect("it has six columns").set_cell_alignment(CellAlignment::Right);
    }
    table
}
