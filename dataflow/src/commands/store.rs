//! `store`: what a store holds, as lines, as tables, checked, or removed.

mod backfill;
mod dump;
mod rebuild;
mod schema;
mod verify;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use connectors::{Store, mask_address};
use model::tables::{TABLES, Table};

use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, ask, table, table_text, thousands};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow store dump --store sqlite:day.db --table anomaly_events
  dataflow store schema
  dataflow store verify --store sqlite:day.db
  dataflow store clear --store sqlite:day.db --yes";

/// Arguments of `store`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct StoreArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// Print every row of every table as JSON lines in key order
    #[command(after_help = "Example:\n  dataflow store dump --store sqlite:day.db --table device_state_snapshots")]
    Dump {
        #[command(flatten)]
        store: StoreArgument,
        /// Only this table; checkpoints, idle_marks, controls and notices are printed only when named
        #[arg(long, value_name = "NAME")]
        table: Vec<String>,
    },
    /// Print the tables with their columns, keys and rows; or make, check or drop them
    #[command(args_conflicts_with_subcommands = true, after_help = schema::EXAMPLES)]
    Schema(schema::SchemaArguments),
    /// Remove everything: all rows, checkpoints and marks
    #[command(after_help = "Example:\n  dataflow store clear --store sqlite:day.db --yes")]
    Clear {
        #[command(flatten)]
        store: StoreArgument,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Give states that were stored without a vector theirs; a running job does the same when it is caught up
    #[command(
        after_help = "Example:\n  dataflow store backfill-embeddings --store sqlite:day.db --embedder ollama://localhost:11434/all-minilm:l6-v2"
    )]
    BackfillEmbeddings {
        #[command(flatten)]
        store: StoreArgument,
        /// The embedder of the run, ollama://HOST:PORT/MODEL
        #[arg(long, value_name = "URL")]
        embedder: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Write every device's profile once more, from what the newest checkpoint has learned; also beside a running job
    #[command(after_help = "Example:\n  dataflow store rebuild-profiles --store sqlite:day.db")]
    RebuildProfiles {
        #[command(flatten)]
        store: StoreArgument,
        /// The embedder of the run [default: projection]
        #[arg(long, value_name = "NAME")]
        embedder: Option<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Count rows by day, look for missing windows and for rows that do not fit; exit code 1 where something is wrong
    #[command(after_help = "Example:\n  dataflow store verify --store sqlite:day.db")]
    Verify {
        #[command(flatten)]
        store: StoreArgument,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
}

/// Does one of them.
///
/// # Errors
/// Wrong use, or a store that fails.
pub fn run(arguments: &StoreArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::Dump { store, table } => dump::run(store, table),
        Action::Schema(arguments) => schema::run(arguments),
        Action::Clear { store, yes } => clear(store, *yes),
        Action::BackfillEmbeddings { store, embedder, json } => backfill::run(store, embedder.as_deref(), *json),
        Action::RebuildProfiles { store, embedder, json } => rebuild::run(store, embedder.as_deref(), *json),
        Action::Verify { store, json } => verify::run(store, *json),
    }
}

fn count(store: &mut dyn Store, table: &'static Table) -> anyhow::Result<u64> {
    store.count(table.id).with_context(|| format!("could not count table {:?}", table.name))
}

fn clear(argument: &StoreArgument, yes: bool) -> anyhow::Result<ExitCode> {
    let url = mask_address(&argument.url()?);
    let mut store = argument.open()?;
    let mut shown = table(&["", "table", "rows"], &[2]);
    let mut rows = 0;
    for known in TABLES {
        let count = count(store.as_mut(), known)?;
        rows += count;
        shown.add_row([String::new(), known.name.to_owned(), thousands(count)]);
    }
    let warning = format!(
        "store {url} holds {} rows; clearing removes all of them with the checkpoints, for good:\n{}",
        thousands(rows),
        table_text(&shown)
    );
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!(WrongUse(format!("{warning}nobody can be asked here; add --yes to clear it")));
        }
        if !ask(&format!("{warning}Clear it?"))? {
            return Ok(ExitCode::FAILURE);
        }
    }
    store.clear().with_context(|| format!("could not clear store {url:?}"))?;
    println!("removed {} rows and the checkpoints of store {url}", thousands(rows));
    Ok(ExitCode::SUCCESS)
}
