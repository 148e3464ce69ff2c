//! A finite source through the job, from its beginning to its end, into a store of the caller's: what replays, evaluations and
//! backtests have in common.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::bail;
use connectors::{Source, Store};

use crate::checkpoint::Manifest;
use crate::config::Config;
use crate::faults::Faults;
use crate::job::JobConfig;
use crate::progress::Progress;
use crate::run::{Workers, run};

/// The job of a configuration over a source, without vectors of states.
pub fn job_of(config: &Config, source: Arc<dyn Source>) -> JobConfig {
    JobConfig {
        settings: config.job.clone(),
        monitor: config.detectors.clone(),
        source,
        store_rows: true,
        raw_rows: true,
        embedder: None,
        texts: None,
        faults: Faults::default(),
        timed: true,
    }
}

/// Runs a job on so many worker threads; gives its last manifest and the wall time. The caller keeps a handle of the store,
/// which has held no run yet.
///
/// # Errors
/// When the job fails, or came to no checkpoint at its end.
pub fn run_whole(
    job: &JobConfig,
    threads: usize,
    store: Box<dyn Store>,
    progress: &Arc<Progress>,
) -> anyhow::Result<(Manifest, Duration)> {
    let stop = Arc::new(AtomicBool::new(false));
    let outcome = run(job, &Workers::threads(threads), Some(store), &stop, progress)?;
    match outcome.manifest {
        Some(manifest) if manifest.finished => Ok((manifest, outcome.wall)),
        _ => bail!("the job came to no checkpoint at its end"),
    }
}
