//! Replays: a case through the job into a store in memory, and what came of it as the text of a golden.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use connectors::Store;
use connectors::memory::{MemorySource, MemoryStore};
use model::Row;
use model::tables::TABLES;
use scenarios::case::Case;
use scenarios::render::render;

use crate::checkpoint::Manifest;
use crate::config;
use crate::job::{JobConfig, MakeEmbedder};
use crate::progress::Progress;
use crate::whole;

/// What a replay left behind.
pub struct Replayed {
    /// The text that a golden holds.
    pub text: String,
    /// The last checkpoint: totals and positions.
    pub manifest: Manifest,
    /// All tables.
    pub store: MemoryStore,
    /// Wall time of the job.
    pub wall: Duration,
}

/// The job that a case asks for: defaults, then its own settings. The source is its recording.
///
/// # Errors
/// When its settings are none, or its messages can't be read.
pub fn job_of(case: &Case) -> anyhow::Result<JobConfig> {
    let config = config::from_table(&format!("case {:?}", case.name), case.job.clone())?;
    let recording = case.recording()?;
    let source = MemorySource::from_lines(&case.name, &recording)
        .with_context(|| format!("could not read the messages of case {:?}", case.name))?;
    let embedder: MakeEmbedder = || Box::new(connectors::projection::Projection::new());
    Ok(JobConfig { embedder: Some(embedder), ..whole::job_of(&config, Arc::new(source)) })
}

/// Runs a case on so many worker threads, from the beginning to its end.
///
/// # Errors
/// When the case can't be used, or the job fails.
pub fn replay(case: &Case, threads: usize) -> anyhow::Result<Replayed> {
    replay_job(case, &job_of(case)?, threads)
}

/// The same for a job that was made of the case before.
///
/// # Errors
/// When the job fails.
pub fn replay_job(case: &Case, job: &JobConfig, threads: usize) -> anyhow::Result<Replayed> {
    let store = MemoryStore::new();
    let handle: Box<dyn Store> = Box::new(store.clone());
    let (manifest, wall) = whole::run_whole(job, threads, handle, &Arc::new(Progress::default()))
        .with_context(|| format!("could not replay case {:?}", case.name))?;
    let text = show(case, &manifest, &mut store.clone())?;
    Ok(Replayed { text, manifest, store, wall })
}

/// A store's content as the case wants it shown.
///
/// # Errors
/// When the store can't be read, or a row has what its column can't hold.
pub fn show(case: &Case, manifest: &Manifest, store: &mut dyn Store) -> anyhow::Result<String> {
    let mut rows: Vec<Row> = Vec::new();
    for table in TABLES {
        store
            .scan(table.id, &[], &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .with_context(|| format!("could not read table {:?}", table.name))?;
    }
    let counted = &manifest.totals;
    let totals = scenarios::render::Totals {
        received: counted.received(),
        windowed: counted.windowed,
        late: counted.late,
        duplicate: counted.duplicate,
        skipped: counted.skipped,
        dead_lettered: counted.dead_lettered,
        states: counted.states,
    };
    render(&case.show, &totals, rows).with_context(|| format!("could not show the result of case {:?}", case.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use scenarios::case;

    #[test]
    fn a_case_gives_its_own_text_on_any_number_of_workers() {
        let case = case::load(&case::bundled_folder(), "late").unwrap();
        let one = replay(&case, 1).unwrap();
        let four = replay(&case, 4).unwrap();
        assert_eq!(one.text, four.text);
        assert_eq!(one.manifest.totals, four.manifest.totals);
        assert!(scenarios::compare::broken_expectations(&case.must, &case.must_not, &one.text).is_empty());
    }
}
