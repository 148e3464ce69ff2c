//! A simulation written as a recording, and its labels beside it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::error::SimulatorError;
use super::stream::{SimulatedMessage, Simulator, Tally};

/// Bytes that are gathered before they are written.
const CHUNK_BYTES: usize = 1 << 20;
/// Recordings are written once and read often; above this level zstd gains little on them.
const ZSTD_LEVEL: i32 = 3;

/// How far writing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What was made so far.
    pub tally: Tally,
    /// Time up to which everything has been made.
    pub until_ms: i64,
}

impl Simulator {
    /// Writes the rest of the stream as a recording; compressed where the path ends in `.zst`. `progress` is called about
    /// once a megabyte and answers whether to go on.
    pub fn write_recording(
        &mut self,
        path: &Path,
        progress: impl FnMut(Progress) -> bool,
    ) -> Result<Tally, SimulatorError> {
        let failed = |doing| move |cause| SimulatorError::File { doing, path: path.to_owned(), cause };
        let mut file = File::create(path).map_err(failed("create"))?;
        let written = if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::Encoder::new(&mut file, ZSTD_LEVEL).and_then(|mut encoder| {
                let tally = self.write_lines(&mut encoder, progress)?;
                encoder.finish()?;
                Ok(tally)
            })
        } else {
            self.write_lines(&mut file, progress)
        };
        written.map_err(failed("write"))
    }

    /// Writes the rest of the stream as lines of a recording.
    pub fn write_lines(
        &mut self,
        writer: &mut impl Write,
        mut progress: impl FnMut(Progress) -> bool,
    ) -> std::io::Result<Tally> {
        let mut messages: Vec<SimulatedMessage> = Vec::new();
        let mut lines = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 4);
        while self.next_batch(&mut messages) {
            for message in &messages {
                let bytes = message.bytes.as_deref();
                model::recording::write_message(
                    &mut lines,
                    message.partition,
                    message.offset,
                    message.broker_ms,
                    bytes,
                );
            }
            if lines.len() >= CHUNK_BYTES {
                writer.write_all(&lines)?;
                lines.clear();
                if !progress(Progress { tally: self.tally(), until_ms: self.simulated_until_ms() }) {
                    break;
                }
            }
        }
        writer.write_all(&lines)?;
        writer.flush()?;
        progress(Progress { tally: self.tally(), until_ms: self.simulated_until_ms() });
        Ok(self.tally())
    }

    /// Writes the labels of the faults that have begun, one JSON object a line.
    pub fn write_labels(&self, path: &Path) -> Result<usize, SimulatorError> {
        let failed = |doing| move |cause| SimulatorError::File { doing, path: path.to_owned(), cause };
        let mut file = BufWriter::new(File::create(path).map_err(failed("create"))?);
        let labels = self.labels();
        for label in &labels {
            serde_json::to_writer(&mut file, label).map_err(|error| failed("write")(error.into()))?;
            file.write_all(b"\n").map_err(failed("write"))?;
        }
        file.flush().map_err(failed("write"))?;
        Ok(labels.len())
    }
}
