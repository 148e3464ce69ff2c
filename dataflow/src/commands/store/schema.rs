//! `store schema`: the tables, and for servers that keep them apart from any job, how they are made and dropped.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use connectors::{CqlStore, StoreError, mask_address, open_existing_store, open_store};
use model::tables::{TABLES, Table};
use serde_json::json;

use super::count;
use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, ask, json_pretty, table, table_text, thousands};

/// Shown under `--help`.
pub(super) const EXAMPLES: &str = "Examples:
  dataflow store schema --store sqlite:day.db
  dataflow store schema create --store 'scylla://localhost:9042/iot_monitoring?replication=3'
  dataflow store schema print --store scylla://localhost:9042/iot_monitoring > schema.cql";

/// Arguments of `store schema`.
#[derive(Args, Clone, Debug)]
pub(super) struct SchemaArguments {
    #[command(subcommand)]
    action: Option<SchemaAction>,
    #[command(flatten)]
    store: StoreArgument,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand, Clone, Debug)]
enum SchemaAction {
    /// Make what is missing, and nothing else: the job does so at its start, too
    #[command(
        after_help = "Example:\n  dataflow store schema create --store 'scylla://db1,db2/iot_monitoring?replication=3'"
    )]
    Create(StoreArgument),
    /// Say what is missing or different; exit code 1 where something is
    #[command(after_help = "Example:\n  dataflow store schema check --store scylla://localhost/iot_monitoring")]
    Check(StoreArgument),
    /// Print the CQL that makes everything
    #[command(after_help = "Example:\n  dataflow store schema print --store scylla://localhost/iot_monitoring")]
    Print(StoreArgument),
    /// Remove the keyspace with everything in it
    #[command(after_help = "Example:\n  dataflow store schema drop --store scylla://localhost/iot_monitoring --yes")]
    Drop {
        #[command(flatten)]
        store: StoreArgument,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) fn run(arguments: &SchemaArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        None => show(&arguments.store, arguments.json),
        Some(SchemaAction::Create(store)) => create(&store.url()?),
        Some(SchemaAction::Check(store)) => check(&store.url()?),
        Some(SchemaAction::Print(store)) => {
            let statements = with_help(CqlStore::schema(&cql(store)?))?;
            statements.iter().for_each(|statement| println!("{statement};"));
            Ok(ExitCode::SUCCESS)
        }
        Some(SchemaAction::Drop { store, yes }) => drop_keyspace(&cql(store)?, *yes),
    }
}

fn is_cql(url: &str) -> bool {
    matches!(url.split_once(':'), Some(("scylla" | "cassandra", _)))
}

/// The address of a store whose tables are CQL.
fn cql(argument: &StoreArgument) -> anyhow::Result<String> {
    let url = argument.url()?;
    if is_cql(&url) {
        return Ok(url);
    }
    bail!(WrongUse(format!("store {url:?} has no CQL; name one such as scylla://localhost/iot_monitoring")))
}

/// A wrong address is wrong use.
fn with_help<T>(result: Result<T, StoreError>) -> anyhow::Result<T> {
    match result {
        Err(error @ StoreError::Url { .. }) => bail!(WrongUse(error.to_string())),
        other => Ok(other?),
    }
}

fn create(url: &str) -> anyhow::Result<ExitCode> {
    let shown = mask_address(url);
    if is_cql(url) {
        let made = with_help(CqlStore::create_schema(url))?;
        if made.is_empty() {
            println!("store {shown} has all tables");
        } else {
            println!("store {shown}: made {}", made.join(", "));
        }
    } else {
        with_help(open_store(url))?;
        println!("store {shown} is there");
    }
    Ok(ExitCode::SUCCESS)
}

fn check(url: &str) -> anyhow::Result<ExitCode> {
    let problems = if is_cql(url) {
        with_help(CqlStore::check_schema(url))?
    } else {
        match open_existing_store(url) {
            Ok(_) => Vec::new(),
            Err(error @ StoreError::Schema { .. }) => vec![error.to_string()],
            Err(error) => with_help(Err(error))?,
        }
    };
    problems.iter().for_each(|problem| println!("{problem}"));
    if problems.is_empty() {
        println!("store {} is as it should be", mask_address(url));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}

fn drop_keyspace(url: &str, yes: bool) -> anyhow::Result<ExitCode> {
    let shown = mask_address(url);
    let warning = format!("all that store {shown} holds is removed with its keyspace, for good");
    if !yes {
        if !std::io::stdin().is_terminal() {
            bail!(WrongUse(format!("{warning}; nobody can be asked here: add --yes to drop it")));
        }
        if !ask(&format!("{warning}. Drop it?"))? {
            return Ok(ExitCode::FAILURE);
        }
    }
    let existed = with_help(CqlStore::drop_schema(url)).with_context(|| format!("could not drop store {shown:?}"))?;
    println!("store {shown} {}", if existed { "is dropped" } else { "was not there" });
    Ok(ExitCode::SUCCESS)
}

fn key_role(table: &Table, at: usize) -> &'static str {
    if at < table.partition_columns {
        "partition"
    } else if at < table.key_columns {
        "clustering"
    } else {
        ""
    }
}

fn show(argument: &StoreArgument, as_json: bool) -> anyhow::Result<ExitCode> {
    let mut store = argument.open()?;
    let mut tables = Vec::new();
    let mut text = String::new();
    for known in TABLES {
        let rows = count(store.as_mut(), known)?;
        let columns = known.columns.iter().enumerate();
        tables.push(json!({
            "table": known.name,
            "rows": rows,
            "columns": columns.clone().map(|(at, column)| {
                json!({"name": column.name, "type": column.kind.cql(), "key": key_role(known, at)})
            }).collect::<Vec<_>>(),
        }));
        let mut shown = table(&["", "column", "type", "key"], &[]);
        for (at, column) in columns {
            shown.add_row(["", column.name, column.kind.cql(), key_role(known, at)]);
        }
        writeln!(text, "{} ({} rows)\n{}", known.name, thousands(rows), table_text(&shown))?;
    }
    if as_json {
        println!("{}", json_pretty(&json!(tables)));
    } else {
        print!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}
