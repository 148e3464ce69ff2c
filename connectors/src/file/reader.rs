//! A cursor over one partition's lines.

use std::path::{Path, PathBuf};

use model::recording::{self, Line};

use super::lines::{self, Lines};
use super::survey::{bare_offset, event_ms};
use super::{Extent, Survey};
use crate::{Event, PartitionReader, Poll, SourceError, SourceMessage};

/// A poll looks through at most so many bytes of other partitions, some milliseconds, before it comes back.
const LOOK_BYTES: u64 = 4 << 20;

pub(super) struct FileReader {
    path: PathBuf,
    lines: Lines,
    partition: u32,
    /// First offset wanted.
    from: i64,
    first_line: u64,
    last_line: u64,
    bare: bool,
    /// Highest event time so far, for bare messages.
    highest_ms: i64,
    finished: bool,
}

impl FileReader {
    pub(super) fn open(
        path: &Path,
        survey: &Survey,
        partition: u32,
        extent: &Extent,
        from: i64,
    ) -> Result<Self, SourceError> {
        let file = lines::open(path)?;
        if lines::stamp(path, &file)? != survey.stamp {
            return Err(changed(path));
        }
        let mut lines = Lines::new(path, file, survey.max_line_bytes)?;
        let mut highest_ms = 0;
        // Strictly before `from`: an idle mark and the message behind it have the same offset.
        let before = extent.landmarks.partition_point(|landmark| landmark.offset < from);
        if let Some(landmark) = before.checked_sub(1).map(|at| extent.landmarks[at]).filter(|_| lines.is_plain()) {
            lines.go_to(landmark.byte, landmark.line)?;
            highest_ms = landmark.highest_ms;
        }
        Ok(FileReader {
            path: path.to_owned(),
            lines,
            partition,
            from,
            first_line: survey.first_line,
            last_line: extent.last_line,
            bare: survey.bare,
            highest_ms,
            finished: false,
        })
    }
}

/// The survey saw this line, so that it is not what the survey saw.
fn changed(path: &Path) -> SourceError {
    let problem = "has changed since it was opened: leave it alone while it is read".to_owned();
    SourceError::Recording { place: path.display().to_string(), problem }
}

impl PartitionReader for FileReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        let mut count = 0;
        let look_until = self.lines.byte() + LOOK_BYTES;
        while count < max && !self.finished && self.lines.byte() <= look_until {
            let Some((position, line)) = self.lines.next()? else { return Err(changed(&self.path)) };
            self.finished = position.line >= self.last_line;
            if position.line < self.first_line || line.trim_ascii().is_empty() {
                continue;
            }
            if self.bare {
                self.highest_ms = event_ms(line).map_or(self.highest_ms, |ms| ms.max(self.highest_ms));
                let offset = bare_offset(position);
                if offset >= self.from {
                    each(Event::Message(SourceMessage { offset, broker_ms: self.highest_ms, bytes: Some(line) }));
                    count += 1;
                }
                continue;
            }
            // Most lines belong to other partitions, and need no more than a look at their first bytes.
            if recording::partition_of(line).is_some_and(|partition| partition != self.partition) {
                continue;
            }
            match recording::parse_line(line) {
                Ok(Line::Message { partition, offset, broker_ms, bytes })
                    if partition == self.partition && offset >= self.from =>
                {
                    each(Event::Message(SourceMessage { offset, broker_ms, bytes: bytes.as_deref() }));
                    count += 1;
                }
                Ok(Line::Mark { partition, offset, watermark_ms })
                    if partition == self.partition && offset >= self.from =>
                {
                    each(Event::Mark { offset, watermark_ms });
                    count += 1;
                }
                Ok(_) => {}
                Err(_) => return Err(changed(&self.path)),
            }
        }
        Ok(if count == 0 && self.finished { Poll::Finished } else { Poll::Ready(count) })
    }
}
