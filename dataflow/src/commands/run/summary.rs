//! What a person reads after a run, and what a machine does.

mod labels;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::Context as _;
use connectors::{Store, refused};
use model::Severity;
use model::recording::Label;
use model::tables::{TABLES, TableId};
use model::time::format_ms;
use serde_json::json;

use super::usage::{cpu_seconds, peak_rss_bytes};
use super::{Opened, reached_end};
use crate::commands::common::{self, printable, table, table_text};
use crate::commands::incidents::{self, Stored, Told as _};
use crate::config::Config;
use crate::delays::Quantiles;
use crate::embeddings::{Counts, Embeddings};
use crate::ledger::Totals;
use crate::progress::Progress;
use crate::run::Outcome;

use words::{delay, minutes, reason, short};

/// How a run went.
pub struct Report {
    source: String,
    store: String,
    totals: Totals,
    /// Of an embedder of texts, in this process.
    texts: Option<Counts>,
    embedder: String,
    /// States that wait for their vector.
    pending: u64,
    expected: Option<u64>,
    finished: bool,
    /// It has no end: the topic goes on.
    live: bool,
    lost: u64,
    was_finished: bool,
    resume_window_ms: Option<i64>,
    checkpoints: u64,
    /// Rows of the store by table; empty for a live source.
    rows: BTreeMap<&'static str, u64>,
    written: u64,
    incidents: Vec<Stored>,
    /// The newest event time: open incidents last until then.
    newest_ms: i64,
    labels: Vec<Label>,
    devices: u64,
    reasons: BTreeMap<String, u64>,
    /// Rows that the store's servers would not have.
    refused: u64,
    has_rows: bool,
    reached_ms: i64,
    wall_s: f64,
    cpu_s: f64,
    read_now: u64,
    /// Messages that were read behind the last checkpoint.
    behind: u64,
    peak_rss_bytes: u64,
    /// Alerts that wait for the webhook, and those that this run gave up.
    alerts: (u64, u64),
    /// Of readings and of states; measured on live sources only.
    delays: Option<(Quantiles, Quantiles)>,
}

impl Report {
    /// Reads from manifest and store what the report says.
    ///
    /// # Errors
    /// When the store can't be read.
    pub fn gather(
        config: &Config,
        opened: &Opened,
        outcome: &mut Outcome,
        progress: &Progress,
        cpu_before_s: f64,
        texts: Option<&Embeddings>,
    ) -> anyhow::Result<Report> {
        let live = opened.source.live().is_some();
        let totals = outcome.manifest.as_ref().map(|manifest| manifest.totals).unwrap_or_default();
        let (mut rows, mut incidents, mut reasons) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let (mut devices, mut refused, mut pending, mut newest_ms) = (0, 0, 0, i64::MIN);
        if let Some(store) = &mut outcome.store {
            // A topic that goes on fills a store that is too large to be counted.
            for table in TABLES.iter().filter(|_| !live) {
                rows.insert(
                    table.name,
                    store.count(table.id).with_context(|| format!("could not count table {:?}", table.name))?,
                );
            }
            incidents = incidents::read(store.as_mut(), None)?;
            newest_ms = common::newest_ms(store.as_mut())?.unwrap_or(newest_ms);
            if !live {
                reasons = count_reasons(store.as_mut())?;
            }
            pending = match rows.get(TableId::PendingStates.table().name) {
                Some(pending) => *pending,
                None if texts.is_some() => {
                    store.count(TableId::PendingStates).context("could not count the pending states")?
                }
                None => 0,
            };
            refused = refused::count(store.as_mut()).context("could not count the rows that were refused")?;
            devices = store.count(TableId::DeviceStatistics).context("could not count the devices")?;
        }
        Ok(Report {
            source: opened.description.clone(),
            store: connectors::mask_address(&config.store),
            totals,
            texts: texts.map(Embeddings::counts),
            embedder: config.embedder.clone(),
            pending,
            expected: opened.source.messages_total(),
            finished: reached_end(&outcome.status),
            live,
            lost: outcome.lost,
            was_finished: outcome.was_finished,
            reasons,
            refused,
            has_rows: config.store != "null",
            reached_ms: outcome.manifest.as_ref().map_or(i64::MIN, |manifest| manifest.boundary_ms),
            resume_window_ms: outcome.resume_window_ms,
            checkpoints: outcome.checkpoints,
            rows,
            incidents,
            newest_ms,
            labels: opened.labels.clone(),
            devices,
            wall_s: outcome.wall.as_secs_f64(),
            cpu_s: cpu_seconds() - cpu_before_s,
            read_now: progress.records(),
            behind: progress.behind_checkpoint(),
            written: progress.rows_written(),
            peak_rss_bytes: peak_rss_bytes(),
            alerts: (progress.alerts.waiting.load(Relaxed), progress.alerts.given_up.load(Relaxed)),
            delays: live.then(|| progress.delays.quantiles()),
        })
    }

    /// Whether every record of a finished recording has a fate.
    pub fn is_consistent(&self) -> bool {
        !self.finished || self.expected.is_none_or(|expected| expected == self.totals.received())
    }

    /// The one object of `run --json`.
    pub fn to_json(&self) -> serde_json::Value {
        let [info, warning, critical] = self.totals.incidents;
        json!({
            "records": {
                "received": self.totals.received(),
                "windowed": self.totals.windowed,
                "late": self.totals.late,
                "dead_lettered": self.totals.dead_lettered,
                "duplicate": self.totals.duplicate,
                "skipped": self.totals.skipped,
            },
            "states": self.totals.states,
            "incidents": {"info": info, "warning": warning, "critical": critical},
            "embeddings": self.embeddings(),
            "rows": self.rows,
            "rows_written": self.written,
            "rows_refused": self.refused,
            "seconds": {"wall": self.wall_s, "cpu": self.cpu_s},
            "peak_rss_bytes": self.peak_rss_bytes,
            "resume_window": self.resume_window_ms.map(format_ms),
            "records_read": self.read_now,
            "records_behind_checkpoint": self.behind,
            "checkpoints": self.checkpoints,
            "finished": self.finished,
            "lost": self.lost,
            "alerts": {"waiting": self.alerts.0, "given_up": self.alerts.1},
            "delays_ms": self.delays.map(|(readings, states)| {
                json!({"readings": readings.to_json(), "states": states.to_json()})
            }),
        })
    }

    /// The vectors of the states; of an embedder of texts, what this run and process did.
    fn embeddings(&self) -> serde_json::Value {
        let Counts { computed, cached } =
            self.texts.unwrap_or(Counts { computed: self.totals.embeddings_computed, cached: 0 });
        json!({"computed": computed, "cached": cached, "pending": self.pending})
    }

    fn false_alarms(&self) -> impl Iterator<Item = &Stored> {
        self.incidents.iter().filter(|found| !self.labels.iter().any(|label| found.belongs_to(label)))
    }
}

fn count_reasons(store: &mut dyn Store) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut reasons = BTreeMap::new();
    store
        .scan(TableId::DeadLetters, &[], &mut |row| {
            let reason = row.value("reason").as_text().unwrap_or("without a reason");
            if reason != refused::REASON {
                *reasons.entry(reason.to_owned()).or_default() += 1;
            }
            ControlFlow::Continue(())
        })
        .context("could not read table \"dead_letters\"")?;
    Ok(reasons)
}

/// Incidents shown; the rest is counted.
const SHOWN: usize = 25;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        if self.was_finished {
            writeln!(f, "Already finished; this is what the store holds (--fresh begins again).\n")?;
        } else if let Some(resume_window_ms) = self.resume_window_ms {
            writeln!(f, "Resumed at {} from the last checkpoint.\n", short(resume_window_ms))?;
        }
        if self.lost > 0 {
            writeln!(f, "LOST      up to {} messages were gone before this start (--accept-loss)\n", self.lost)?;
        }
        if self.live {
            writeln!(f, "Stopped; the same command goes on from here.\n")?;
        } else if !self.finished {
            writeln!(f, "Stopped before the end; the same command goes on from the last checkpoint.\n")?;
        }
        writeln!(f, "Source    {}", self.source)?;
        writeln!(
            f,
            "Read      {} messages{} in {:.1} s ({:.1} s of CPU)",
            totals.received(),
            if self.has_rows { format!(" of {} devices", self.devices) } else { String::new() },
            self.wall_s,
            self.cpu_s
        )?;
        writeln!(
            f,
            "          {} in windows, {} late, {} duplicate, {} skipped, {} dead letters",
            totals.windowed, totals.late, totals.duplicate, totals.skipped, totals.dead_lettered
        )?;
        if !self.reasons.is_empty() {
            let reasons: Vec<String> = self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            let held: u64 = self.reasons.values().sum();
            // Some were read behind the last checkpoint: the next start reads and counts them again.
            let more = if held == totals.dead_lettered {
                String::new()
            } else {
                format!(
                    " (the store holds {held}: {} stand behind the last checkpoint)",
                    held.abs_diff(totals.dead_lettered)
                )
            };
            writeln!(f, "          dead letters: {}{more}", reasons.join(", "))?;
        }
        if self.behind > 0 {
            writeln!(
                f,
                "          {} more in windows that are still open, stored already; the next start reads and counts them",
                self.behind
            )?;
        }
        if totals.late > totals.received() / 10 {
            writeln!(
                f,
                "NOTE      {} % of the messages came late and are in no state: is a device's clock ahead, or the recording out of order?",
                100 * totals.late / totals.received()
            )?;
        }
        if !self.is_consistent() {
            let expected = self.expected.unwrap_or(0);
            writeln!(
                f,
                "          WRONG: the recording has {expected} messages; please report this with the recording"
            )?;
        }
        if let Some((readings, states)) = self.delays.filter(|(readings, _)| readings.count > 0) {
            writeln!(
                f,
                "Delay     readings to row {} (99 %: {}), states after they may close {} (99 %: {})",
                delay(readings.p50_ms),
                delay(readings.p99_ms),
                delay(states.p50_ms),
                delay(states.p99_ms)
            )?;
        }
        if let Some(Counts { computed, cached }) = self.texts {
            let pending = self.pending;
            writeln!(f, "Vectors   {computed} texts computed, {cached} states with a known one, {pending} pending")?;
            if pending > 0 {
                let (program, store, embedder) = (program(), &self.store, &self.embedder);
                writeln!(f, "          {program} store backfill-embeddings --store {store} --embedder {embedder}")?;
            }
        }
        let [info, warning, critical] = totals.incidents;
        writeln!(f, "States    {}, {} of them unusual", totals.states, totals.anomalous_states)?;
        writeln!(f, "Incidents {critical} critical, {warning} warning, {info} info")?;
        if !self.incidents.is_empty() {
            let mut rows = table(&["", "device", "what", "severity", "from", "lasted", "why"], &[5]);
            for found in self.incidents.iter().take(SHOWN) {
                let lasted = minutes(found.until_ms(self.newest_ms) - found.start_ms);
                rows.add_row(vec![
                    String::new(),
                    printable(&found.device_id),
                    printable(&found.kind),
                    found.severity.name().to_owned(),
                    short(found.start_ms),
                    if found.open { format!("{lasted}, open") } else { lasted },
                    reason(found),
                ]);
            }
            writeln!(f, "\n{}", table_text(&rows).trim_end())?;
            if self.incidents.len() > SHOWN {
                writeln!(
                    f,
                    "  ... and {} more: dataflow incidents --store {}",
                    self.incidents.len() - SHOWN,
                    self.store
                )?;
            }
        }
        if !self.labels.is_empty() && self.has_rows {
            self.write_labels(f)?;
        }
        writeln!(f)?;
        if let Some(first) = self
            .incidents
            .iter()
            .max_by_key(|found| (found.severity == Severity::Critical, found.end_ms - found.start_ms))
        {
            let middle_ms = first.start_ms + (first.end_ms - first.start_ms) / 2;
            let at = format_ms(model::time::window_start(middle_ms, 60_000));
            writeln!(
                f,
                "Why?      {} explain --store {} --device {} --at {at}",
                program(),
                self.store,
                printable(&first.device_id)
            )?;
        }
        if !self.has_rows {
            return writeln!(f, "Results   none are kept (--store null)");
        }
        let rows = if self.live { self.written } else { self.rows.values().sum() };
        writeln!(f, "Results   {} ({rows} rows{})", self.store, if self.live { " written now" } else { "" })?;
        if self.refused > 0 {
            let (program, store, reason) = (program(), &self.store, refused::REASON);
            writeln!(f, "REFUSED   {} rows that the store's servers would not have, and why:", self.refused)?;
            writeln!(f, "          {program} dead-letters --store {store} --reason {reason}")?;
        }
        let (waiting, given_up) = self.alerts;
        if waiting > 0 {
            let (program, store) = (program(), &self.store);
            writeln!(f, "Alerts    {waiting} wait at the receiver: {program} alerts list --store {store}")?;
        }
        if given_up > 0 {
            let (program, store) = (program(), &self.store);
            writeln!(f, "Alerts    {given_up} given up: {program} alerts retry --config FILE --store {store}")?;
        }
        writeln!(
            f,
            "Next      {1} incidents --store {0}\n          {1} store dump --store {0}",
            self.store,
            program()
        )?;
        Ok(())
    }
}

/// How this program was called, so that what is printed can be typed.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "dataflow".to_owned())
}
