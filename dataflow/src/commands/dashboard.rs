//! `dashboard`: the pages beside a store alone, whether a job writes it or not.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use connectors::mask_address;
use dashboard::{Board, Options};

use crate::commands::WrongUse;
use crate::commands::common::{ConfigLayers, open_store};
use crate::commands::config::masked;
use crate::commands::run::{http, parse_address, start_logging, stop_on_signals};
use crate::serving::Desk;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow dashboard --store sqlite:day.db
  dataflow dashboard --store scylla://localhost/iot_monitoring --http 127.0.0.1:8051
  PLENUM__HTTP_TOKEN=... dataflow dashboard --store sqlite:live.db --http 0.0.0.0:8050";

/// Arguments of `dashboard`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct DashboardArguments {
    /// Store to show, such as sqlite:day.db [default: sqlite:plenum-data/plenum.db]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Where to listen; beyond this machine nobody can write without http_token
    #[arg(long, value_name = "HOST:PORT", default_value = http::DEFAULT)]
    http: String,
    #[command(flatten)]
    layers: ConfigLayers,
    /// How log lines on stderr look
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"], default_value = "text")]
    log_format: String,
}

/// Serves until ctrl-c.
///
/// # Errors
/// [`WrongUse`] for an address or a store that is none; otherwise if the address is taken.
pub fn run(arguments: &DashboardArguments) -> anyhow::Result<ExitCode> {
    start_logging(&arguments.log_format);
    let own = || {
        let store = arguments.store.iter().map(|url| ("store".to_owned(), url.clone()));
        store.chain([("http".to_owned(), arguments.http.clone())])
    };
    let (config, written) = arguments.layers.load_as_written_with(own())?;
    let address = parse_address(&config.http)?;
    if config.store == "null" {
        bail!(WrongUse("store \"null\" keeps nothing that could be shown".to_owned()));
    }
    // A mistyped name is said before anything is served.
    drop(open_store(&config.store)?);
    let stop = stop_on_signals()?;
    let server = dashboard::start(Options {
        address,
        token: Some(config.http_token.0.clone()).filter(|token| !token.is_empty()),
        store_url: config.store.clone(),
        live: false,
        board: Board::new(),
        program: Arc::new(Desk::of_store(&config, masked(written))),
    })?;
    eprintln!("Serving http://{} from {} until ctrl-c", server.address(), mask_address(&config.store));
    http::wait(&stop);
    Ok(ExitCode::SUCCESS)
}
