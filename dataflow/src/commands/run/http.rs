//! `--http`: pages, figures and `/api/v1` beside the running job.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::bail;
use dashboard::{Board, Feed, Options, Server};

use super::Opened;
use crate::checkpoint::Manifest;
use crate::commands::WrongUse;
use crate::commands::config::masked;
use crate::config::Config;
use crate::embeddings::Embeddings;
use crate::outlets::Outlet;
use crate::progress::Progress;
use crate::run::Workers;
use crate::serving::{BoardOutlet, Desk, Watched};

/// Where is served if nothing else is said: this machine alone.
pub const DEFAULT: &str = "127.0.0.1:8050";

/// Reads `HOST:PORT`.
///
/// # Errors
/// [`WrongUse`] if it is none.
pub fn parse_address(text: &str) -> anyhow::Result<SocketAddr> {
    let found = text.to_socket_addrs().ok().and_then(|mut addresses| addresses.next());
    found.ok_or_else(|| {
        WrongUse(format!("setting \"http\": address {text:?} is none; write it HOST:PORT, such as {DEFAULT}")).into()
    })
}

/// What is served beside a job.
pub(super) struct Served {
    server: Server,
    board: Arc<Board>,
    desk: Arc<Desk>,
}

/// Starts to serve where the settings say so.
///
/// # Errors
/// [`WrongUse`] for an address that is none, or without a store; otherwise if the address is taken.
pub(super) fn start(
    config: &Config,
    written: toml::Table,
    source: &Opened,
    workers: &Workers,
    progress: &Arc<Progress>,
    stop: &Arc<AtomicBool>,
    texts: Option<Arc<Embeddings>>,
) -> anyhow::Result<Option<Served>> {
    if config.http.is_empty() {
        return Ok(None);
    }
    let address = parse_address(&config.http)?;
    if config.store == "null" {
        bail!(WrongUse("setting \"http\" needs a store: what is shown is read from there".to_owned()));
    }
    let watched =
        Watched::new(Arc::clone(progress), Arc::clone(&source.source), workers.clone(), Arc::clone(stop), texts);
    let desk = Arc::new(Desk::of_job(config, masked(written), watched));
    let board = Board::new();
    let server = dashboard::start(Options {
        address,
        token: Some(config.http_token.0.clone()).filter(|token| !token.is_empty()),
        store_url: config.store.clone(),
        live: true,
        board: Arc::clone(&board),
        program: Arc::clone(&desk) as Arc<dyn dashboard::Program>,
    })?;
    tracing::info!(address = format!("http://{}", server.address()), "serving");
    Ok(Some(Served { server, board, desk }))
}

impl Served {
    /// What feeds the board.
    pub(super) fn outlet(&self) -> Box<dyn Outlet> {
        Box::new(BoardOutlet(Feed::new(Arc::clone(&self.board))))
    }

    /// The job has come to its end. `stay`: goes on serving until somebody asks to stop.
    pub(super) fn finish(self, manifest: Option<&Manifest>, stay: bool, stop: &AtomicBool) {
        self.desk.finished(manifest);
        if stay && !stop.load(Ordering::SeqCst) {
            eprintln!("Serving http://{} until ctrl-c", self.server.address());
            wait(stop);
        }
    }
}

/// Waits until somebody asks to stop.
pub fn wait(stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        std::thread::sleep(Duration::from_millis(50));
    }
}
