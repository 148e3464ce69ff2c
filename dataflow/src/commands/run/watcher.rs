//! Shows how far a running job is: a bar on a terminal, a line every ten seconds elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use connectors::Source;
use indicatif::{ProgressBar, ProgressStyle};

use crate::commands::common::thousands;
use crate::progress::Progress;

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A thread that watches; it steers nothing.
pub struct Watcher {
    done: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watcher {
    /// Starts it.
    pub fn start(progress: Arc<Progress>, source: Arc<dyn Source>) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&done);
        let thread = std::thread::spawn(move || watch(&progress, source.as_ref(), &ends));
        Watcher { done, thread }
    }

    /// Ends it and takes the bar away.
    pub fn finish(self) {
        self.done.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        let _ = self.thread.join(); // it only shows; a panic of it ends the process by the hook
    }
}

fn watch(progress: &Progress, source: &dyn Source, ends: &AtomicBool) {
    let terminal = std::io::stderr().is_terminal();
    let bar = match (terminal, source.messages_total()) {
        (true, Some(total)) => ProgressBar::new(total),
        (true, None) => ProgressBar::new_spinner(),
        (false, _) => ProgressBar::hidden(),
    };
    let template = match source.messages_total() {
        None => "{spinner} {human_pos} messages, {per_sec}; {msg}",
        Some(_) => "{bar:30} {human_pos}/{human_len} messages, {per_sec}, {eta} left; {msg}",
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    let began = Instant::now();
    let (mut told, mut told_records) = (Instant::now(), 0);
    while !ends.load(Ordering::SeqCst) {
        std::thread::park_timeout(Duration::from_millis(100));
        tracing::debug!(records = progress.records(), states = progress.states(), "progress");
        let mut text = format!("{} states, {} incidents", progress.states(), progress.incidents());
        if let Some(behind) = source.live().and_then(connectors::Live::behind) {
            text = format!("{} behind, {text}", thousands(behind));
        }
        bar.set_position(progress.records());
        bar.set_message(text.clone());
        if !terminal && told.elapsed() >= LINE_EVERY {
            let records = progress.records();
            #[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
            let rate = (records - told_records) as f64 / told.elapsed().as_secs_f64();
            eprintln!("{records} messages after {} s, {rate:.0}/s, {text}", began.elapsed().as_secs());
            (told, told_records) = (Instant::now(), records);
        }
    }
    bar.finish_and_clear();
}
