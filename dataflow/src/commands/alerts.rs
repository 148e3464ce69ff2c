//! `alerts`: what the webhook has not got, what was given up, and whether it would take anything at all.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use connectors::{Attempt, Store};
use model::time::format_ms;
use serde_json::json;

use crate::alerts::alert::Alert;
use crate::alerts::outbox::{Letter, Outbox, letter_id};
use crate::alerts::template::Template;
use crate::clock;
use crate::commands::WrongUse;
use crate::commands::common::{
    ConfigLayers, JsonList, StoreArgument, json_pretty, printable, short_time, table, table_text,
};
use crate::commands::run::check_webhook;
use crate::config::Config;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow alerts list --store sqlite:day.db
  dataflow alerts test --config plenum.toml --dry-run
  dataflow alerts test --config plenum.toml
  dataflow alerts retry --config plenum.toml --store sqlite:day.db";

/// Arguments of `alerts`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct AlertsArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Clone, Debug)]
enum Action {
    /// List alerts that wait for the webhook or were given up
    #[command(after_help = "Example:\n  dataflow alerts list --store sqlite:day.db --json")]
    List(ListArguments),
    /// Send one alert that is marked as a test; exit code 1 where it does not arrive
    #[command(after_help = "Example:\n  dataflow alerts test --config plenum.toml --dry-run")]
    Test(TestArguments),
    /// Send once more what was given up; what arrives is removed. Not what still waits: the job does that
    #[command(after_help = "Example:\n  dataflow alerts retry --config plenum.toml --store sqlite:day.db")]
    Retry(RetryArguments),
}

#[derive(Args, Clone, Debug)]
struct ListArguments {
    #[command(flatten)]
    store: StoreArgument,
    /// As JSON, with the bodies
    #[arg(long)]
    json: bool,
}

#[derive(Args, Clone, Debug)]
struct TestArguments {
    #[command(flatten)]
    layers: ConfigLayers,
    /// Print what would be sent, and send nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Args, Clone, Debug)]
struct RetryArguments {
    #[command(flatten)]
    layers: ConfigLayers,
    #[command(flatten)]
    store: StoreArgument,
    /// Only alerts whose ids begin so
    #[arg(value_name = "ID")]
    id: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// [`WrongUse`] for settings that can't be used, or a store that fails.
pub fn run(arguments: &AlertsArguments) -> anyhow::Result<ExitCode> {
    match &arguments.action {
        Action::List(list) => show(list),
        Action::Test(test) => try_out(test),
        Action::Retry(retry) => again(retry),
    }
}

fn show(arguments: &ListArguments) -> anyhow::Result<ExitCode> {
    let outbox = Outbox::load(arguments.store.open()?.as_mut())?;
    let letters: Vec<&Letter> = outbox.waiting.values().chain(outbox.failed.values()).collect();
    if arguments.json {
        let mut list = JsonList::new(std::io::stdout().lock()).context("could not write to stdout")?;
        letters.iter().try_for_each(|letter| list.push(&to_json(letter))).context("could not write to stdout")?;
        list.finish().context("could not write to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut shown = table(&["alert", "since (UTC)", "of", "what", "tries", "state", "why"], &[4]);
    for letter in &letters {
        shown.add_row([
            letter.alert.id.clone(),
            short_time(letter.made_ms),
            printable(letter.alert.group.split_once(':').map_or("", |(_, name)| name)),
            letter.alert.what.name().to_owned(),
            letter.tries.to_string(),
            state(letter).to_owned(),
            printable(letter.problem.as_deref().unwrap_or_default()),
        ]);
    }
    let text = if letters.is_empty() { "No alert waits.\n".to_owned() } else { table_text(&shown) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

fn state(letter: &Letter) -> &'static str {
    if letter.failed_ms.is_some() { "given up" } else { "waiting" }
}

fn to_json(letter: &Letter) -> serde_json::Value {
    let body = letter.body.as_deref().map(|body| serde_json::from_str::<serde_json::Value>(body).unwrap_or_default());
    json!({
        "id": letter.alert.id,
        "group": letter.alert.group,
        "what": letter.alert.what.name(),
        "state": state(letter),
        "made_at": format_ms(letter.made_ms),
        "given_up_at": letter.failed_ms.map(format_ms),
        "tries": letter.tries,
        "problem": letter.problem,
        "body": body,
    })
}

/// The settings, which must name a webhook.
fn with_webhook(config: Config) -> anyhow::Result<Config> {
    if !config.webhook.is_on() {
        bail!(WrongUse("there is no webhook: setting \"webhook.url\" is empty".to_owned()));
    }
    check_webhook(&config)?;
    Ok(config)
}

fn try_out(arguments: &TestArguments) -> anyhow::Result<ExitCode> {
    let config = with_webhook(arguments.layers.load()?)?;
    let alert = Alert::test(clock::now_ms());
    let body = Template::new(&config.webhook.template)?.body(&alert)?;
    if arguments.dry_run || config.webhook.dry_run {
        println!("{}", json_pretty(&serde_json::from_str(&body).context("the body is JSON")?));
        return Ok(ExitCode::SUCCESS);
    }
    let webhook = config.webhook.open()?;
    match webhook.send(&alert.id, &body, clock::now_ms().div_euclid(1_000)) {
        Attempt::Arrived => {
            println!("{} has taken the test alert {}", webhook.place(), alert.id);
            Ok(ExitCode::SUCCESS)
        }
        Attempt::Failed { why, .. } => {
            bail!("{} did not take the test alert: {why}; the job would try again", webhook.place())
        }
        Attempt::Refused { why } => bail!("{} refuses the test alert: {why}; the job would give up", webhook.place()),
    }
}

fn again(arguments: &RetryArguments) -> anyhow::Result<ExitCode> {
    let own = arguments.store.store.iter().map(|url| ("store".to_owned(), url.clone()));
    let config = with_webhook(arguments.layers.load_with(own)?)?;
    let mut store = StoreArgument { store: Some(config.store.clone()) }.open()?;
    let outbox = Outbox::load(store.as_mut())?;
    let (webhook, template) = (config.webhook.open()?, Template::new(&config.webhook.template)?);
    let is_meant = |letter: &&Letter| arguments.id.as_ref().is_none_or(|id| letter.alert.id.starts_with(id.as_str()));
    let letters: Vec<&Letter> = outbox.failed.values().filter(is_meant).collect();
    if let (Some(id), true) = (&arguments.id, letters.is_empty()) {
        bail!(WrongUse(format!("no alert that was given up begins with {id:?}; `dataflow alerts list` shows them")));
    }
    let (mut arrived, mut failed) = (0, 0);
    for letter in letters {
        // A body that was made once stays; one that the template could not make may be made now.
        let body = match &letter.body {
            Some(body) => body.clone(),
            None => template.body(&letter.alert)?,
        };
        match webhook.send(&letter.alert.id, &body, clock::now_ms().div_euclid(1_000)) {
            Attempt::Arrived => {
                forget(store.as_mut(), letter)?;
                arrived += 1;
            }
            Attempt::Failed { why, .. } | Attempt::Refused { why } => {
                eprintln!("{}: {}", letter.alert.id, printable(&why));
                failed += 1;
            }
        }
    }
    println!("{arrived} sent, {failed} not taken");
    if !outbox.waiting.is_empty() {
        println!("{} more wait, and are sent by the job when it runs: `dataflow alerts list`", outbox.waiting.len());
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn forget(store: &mut dyn Store, letter: &Letter) -> anyhow::Result<()> {
    let id = letter_id(letter.alert.number, true);
    store.change_notices(&[], &[id]).context("could not forget an alert that has arrived")
}
