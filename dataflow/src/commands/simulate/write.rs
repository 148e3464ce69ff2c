//! Writes a simulation at a given pace. A file appears under its name when it is whole.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, IsTerminal as _, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use scenarios::simulator::{Options, SimulatedMessage, Simulator, Tally};

use crate::commands::common::write_whole;

/// As the recordings that come with the source are packed.
const ZSTD_LEVEL: i32 = 3;
/// Bytes that are gathered before they are written, unless the pace asks for less.
const CHUNK_BYTES: usize = 1 << 20;
/// Messages that are due within this time go out together.
const TICK: Duration = Duration::from_millis(20);

/// How fast, and whether a person watches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Messages a second.
    pub rate: Option<f64>,
    /// Show progress on a terminal.
    pub show: bool,
}

/// Writes to stdout; `None`: its reader went away.
pub(super) fn to_stdout(simulator: &mut Simulator, options: &Options, pace: Pace) -> anyhow::Result<Option<Tally>> {
    match write(simulator, options, &mut std::io::stdout().lock(), pace) {
        Ok(tally) => Ok(Some(tally)),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(None),
        Err(error) => Err(error).context("could not write to stdout"),
    }
}

/// Writes to a file, compressed where its name ends in `.zst`.
pub(super) fn to_file(simulator: &mut Simulator, options: &Options, path: &Path, pace: Pace) -> anyhow::Result<Tally> {
    let packed = path.extension().is_some_and(|extension| extension == "zst");
    write_whole(path, |file| {
        write_packed(simulator, options, file, packed, pace)
            .with_context(|| format!("could not write {}", path.display()))
    })
}

fn write_packed(
    simulator: &mut Simulator,
    options: &Options,
    mut file: File,
    packed: bool,
    pace: Pace,
) -> std::io::Result<Tally> {
    if !packed {
        return write(simulator, options, &mut file, pace);
    }
    let mut encoder = zstd::Encoder::new(BufWriter::new(file), ZSTD_LEVEL)?;
    let tally = write(simulator, options, &mut encoder, pace)?;
    encoder.finish()?.flush()?;
    Ok(tally)
}

fn write(simulator: &mut Simulator, options: &Options, out: &mut impl Write, pace: Pace) -> std::io::Result<Tally> {
    let began = Instant::now();
    let bar = bar(options, pace.show);
    let mut messages: Vec<SimulatedMessage> = Vec::new();
    let mut lines = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
    let mut sent = 0u64;
    while simulator.next_batch(&mut messages) {
        for message in &messages {
            if let Some(rate) = pace.rate {
                #[expect(clippy::cast_precision_loss, reason = "only a pace")]
                let due = Duration::try_from_secs_f64(sent as f64 / rate).unwrap_or(Duration::MAX);
                let ahead = due.saturating_sub(began.elapsed());
                if ahead > TICK {
                    out.write_all(&lines)?;
                    out.flush()?;
                    lines.clear();
                    std::thread::sleep(ahead);
                }
            }
            let bytes = message.bytes.as_deref();
            model::recording::write_message(&mut lines, message.partition, message.offset, message.broker_ms, bytes);
            sent += 1;
        }
        if lines.len() >= CHUNK_BYTES {
            out.write_all(&lines)?;
            lines.clear();
            let done_ms = simulator.simulated_until_ms() - options.start_ms;
            bar.set_position(u64::try_from(done_ms / 1_000).unwrap_or(0));
            bar.set_message(format!("{sent} messages"));
        }
    }
    out.write_all(&lines)?;
    out.flush()?;
    bar.finish_and_clear();
    Ok(simulator.tally())
}

/// Progress by simulated time, on a terminal only.
pub(super) fn bar(options: &Options, show: bool) -> ProgressBar {
    let seconds = u64::try_from(options.duration_ms.unwrap_or_default() / 1_000).unwrap_or(0);
    if !show || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(seconds);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent}% of the time, {msg}, {eta} left") {
        bar.set_style(style);
    }
    bar
}
