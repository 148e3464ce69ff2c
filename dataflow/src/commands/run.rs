//! `run`: the job itself, with progress while it works and a summary when it is done.

mod arguments;
mod embedding;
pub mod http;
mod outlets;
mod processes;
mod source;
mod summary;
mod usage;
mod watcher;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use connectors::{LeaseOwner, Source, Store, mask_address};
use model::tables::TableId;

use crate::clock;
use crate::commands::WrongUse;
use crate::commands::common::{ask, thousands};
use crate::delays::DelayMeter;
use crate::faults::Faults;
use crate::job::{JobConfig, Status};
use crate::outlets::Outlet;
use crate::progress::Progress;
use crate::run::Outcome;
use crate::telemetry::Tally;

pub use arguments::RunArguments;
pub use embedding::{Embedder, embedder};
pub use http::parse_address;
pub use outlets::{check_webhook, outlet_urls};
pub use source::{labels_of, open as open_source, topic_url};
pub use usage::{cpu_seconds, peak_rss_bytes, resident_bytes};
pub use watcher::Watcher;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow -w 8                                   replay the bundled recording into ./plenum-data
  dataflow -w 4 --source file:day.jsonl.zst --store sqlite:day.db
  dataflow -n 2 -w 2 --fresh                      two processes with two workers each
  dataflow -w 4 --source kafka://localhost:9092/iot-metrics --from latest
  dataflow -w 4 --embedder ollama://localhost:11434/all-minilm:l6-v2";

/// Beyond this a typing error is more likely than a machine with so many cores.
const MOST_WORKERS: usize = 256;

/// Runs the job and prints how it went.
///
/// # Errors
/// Wrong use, a held or unusable store, or a source or store that failed for good.
pub fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    start_logging(&arguments.log_format);
    if arguments.workers == 0 || arguments.processes == 0 {
        bail!(WrongUse("a job needs at least one worker and one process".to_owned()));
    }
    if arguments.workers > MOST_WORKERS {
        bail!(WrongUse(format!("-w {} is more than {MOST_WORKERS} workers", arguments.workers)));
    }
    let (config, written) = arguments.load_as_written()?;
    if arguments.fresh && arguments.process.unwrap_or(0) == 0 && !may_forget(&config.store, arguments.yes)? {
        return Ok(ExitCode::FAILURE);
    }
    let show = !arguments.json && arguments.process.unwrap_or(0) == 0;
    // Opened before the other processes start: they find the bundled recording made.
    let source = source::open(&config.source, &config.kafka(), show)?;
    let mut children = None;
    let workers = processes::plan(arguments, &mut children)?;
    udfs::check_catalogue(model::Catalogue::builtin()).context("could not use the device catalogue")?;
    let store = if workers.process == 0 { Some(open_store(&config.store, arguments.fresh)?) } else { None };
    let embedding = embedding::start(&config, workers.process == 0)?;
    let job = JobConfig {
        settings: config.job.clone(),
        monitor: config.detectors.clone(),
        source: Arc::clone(&source.source),
        store_rows: config.store != "null",
        raw_rows: true,
        embedder: embedding.vectors,
        texts: embedding.texts.clone(),
        faults: Faults::default(),
        timed: true,
    };
    let mut outlets = if workers.process == 0 { outlets::open(&config)? } else { Vec::new() };
    let stop = stop_on_signals()?;
    let progress = Arc::new(Progress::default());
    if store.is_some() && source.source.live().is_some() {
        let delays = Arc::clone(&progress.delays);
        outlets.push(Box::new(DelayMeter::new(delays, config.job.window_ms, config.job.lateness_ms)));
    }
    // Before anything is read: a port that is taken is said at once.
    let served = match workers.process {
        0 => http::start(&config, written, &source, &workers, &progress, &stop, embedding.texts.clone())?,
        _ => None,
    };
    outlets.extend(served.iter().map(http::Served::outlet));
    outlets.extend(served.iter().map(|_| Box::new(Tally::new(Arc::clone(&progress))) as Box<dyn Outlet>));
    let is_live = source.source.live().is_some();
    let alerts = outlets::start_alerts(&config, store.is_some(), is_live, &progress, &mut outlets)?;
    let watcher = show.then(|| Watcher::start(Arc::clone(&progress), Arc::clone(&source.source)));
    let cpu_before = cpu_seconds();
    let result = crate::run::run_telling(&job, &workers, store, outlets, &stop, &progress);
    if let Some(watcher) = watcher {
        watcher.finish();
    }
    if let Some(alerts) = alerts {
        let is_complete = result.as_ref().is_ok_and(|outcome| reached_end(&outcome.status));
        alerts.finish(is_complete, result.is_err() || stop.load(Ordering::SeqCst), &stop);
    }
    if let Some(service) = embedding.service {
        // Only the first process has a store to complete states in.
        let waits = result.is_ok() && workers.process == 0;
        let most_ms = if waits { config.embedding.end_wait_ms.unsigned_abs() } else { 0 };
        service.finish(Duration::from_millis(most_ms), &stop);
    }
    if let Some(children) = children {
        children.join(result.is_ok())?;
    }
    let mut outcome = result?;
    if workers.process != 0 {
        return Ok(ExitCode::SUCCESS);
    }
    let report =
        summary::Report::gather(&config, &source, &mut outcome, &progress, cpu_before, embedding.texts.as_deref())?;
    if arguments.json {
        println!("{}", report.to_json());
    } else {
        print!("{report}");
    }
    release(&mut outcome)?;
    if let Some(served) = served {
        served.finish(outcome.manifest.as_ref(), arguments.http.is_some(), &stop);
    }
    Ok(if report.is_consistent() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn release(outcome: &mut Outcome) -> anyhow::Result<()> {
    if let Some(store) = &mut outcome.store {
        store.release_lease().context("could not give the store back")?;
    }
    Ok(())
}

/// This process as the owner of a store.
pub fn this_process() -> LeaseOwner {
    LeaseOwner::this_process(clock::now_ms())
}

/// Says what `--fresh` forgets and, where somebody can answer, asks first.
fn may_forget(url: &str, yes: bool) -> anyhow::Result<bool> {
    let shown = mask_address(url);
    let mut store = connectors::open_store(url).with_context(|| format!("could not open store {shown:?}"))?;
    let mut count = |table| store.count(table).with_context(|| format!("could not count the rows of store {shown:?}"));
    let (states, incidents) = (count(TableId::DeviceStateSnapshots)?, count(TableId::AnomalyEvents)?);
    if states == 0 && incidents == 0 {
        return Ok(true);
    }
    let held = format!("store {shown} holds {} states and {} incidents", thousands(states), thousands(incidents));
    if yes {
        eprintln!("{held}; --fresh forgets them");
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(WrongUse(format!("{held}; --fresh forgets them, and nobody can be asked here: add --yes")).into());
    }
    ask(&format!("{held}. Forget them?"))
}

fn open_store(url: &str, fresh: bool) -> anyhow::Result<Box<dyn Store>> {
    let shown = mask_address(url);
    let mut store = connectors::open_store(url).with_context(|| format!("could not open store {shown:?}"))?;
    store.acquire_lease(&this_process()).with_context(|| format!("could not take store {shown:?}"))?;
    if fresh {
        // What people asked for takes effect again where it did.
        store.clear_results().with_context(|| format!("could not clear store {shown:?}"))?;
    }
    Ok(store)
}

/// The first signal asks for an orderly end, the second ends at once; nothing is lost either way.
pub(super) fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // Registered first, so that it sees the flag as the first signal left it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&stop)))
            .context("could not watch for signals")?;
    }
    Ok(stop)
}

pub(super) fn start_logging(format: &str) {
    // Of each answer the driver passes on the server's remarks, such as how many tombstones a page held.
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| "info,scylla=warn,scylla::network::connection=error".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second call in the same process (tests) keeps the first one's format.
    let _ = if format == "json" {
        builder.json().try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
}

/// Whether a status says that the source's end was reached.
pub fn reached_end(status: &Status) -> bool {
    *status == Status::Finished
}

/// What was opened, and what is known of it beside the messages.
pub struct Opened {
    /// The messages.
    pub source: Arc<dyn Source>,
    /// Known faults, where the recording has a labels file.
    pub labels: Vec<model::recording::Label>,
    /// For people.
    pub description: String,
}

/// A folder for what the job makes by itself.
pub fn data_folder() -> &'static Path {
    Path::new("plenum-data")
}
