//! A recording as a finite source: JSON lines as [`model::recording`] describes them, plain or zstd (told by the first
//! bytes, not by the name).
//!
//! Opening reads the file once: every line is checked, messages are counted, the content is hashed. After that each
//! partition is a cursor of its own with its own file handle, so readers share nothing and need bounded memory, however
//! large the file is.
//!
//! A file of bare messages, one JSON object a line, is taken too: one partition, the line's index as offset, and the highest
//! event time so far as broker time. Lines at the head that begin with `#` are comments, and blank lines count for nothing.
//!
//! Not supported: a file that changes while it is read; that is noticed and is an error.

mod lines;
mod reader;
mod survey;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{PartitionReader, Source, SourceError};
use reader::FileReader;

/// A recording of a topic.
pub struct FileSource {
    path: PathBuf,
    topic: String,
    survey: Survey,
}

/// What the counting pass found.
struct Survey {
    /// Messages that need no envelope.
    bare: bool,
    /// Number of the first line that is no comment.
    first_line: u64,
    messages: u64,
    /// Length and hash of the content, unpacked: the same recording packed and plain is the same recording.
    content_bytes: u64,
    content_hash: u64,
    partitions: BTreeMap<u32, Extent>,
    /// The file as it was when it was read.
    stamp: Stamp,
    max_line_bytes: usize,
}

/// Where a partition's lines are.
#[derive(Default)]
struct Extent {
    messages: u64,
    /// Number of the last line, so that a reader doesn't look through the rest of the file.
    last_line: u64,
    /// Some of its lines, rising, so that a reader of a plain file can start near its offset.
    landmarks: Vec<Landmark>,
}

/// A line that reading may start with.
#[derive(Clone, Copy)]
struct Landmark {
    offset: i64,
    byte: u64,
    line: u64,
    /// Highest event time before it, for bare messages.
    highest_ms: i64,
}

/// Tells a changed file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

/// How a recording is read.
#[derive(Clone, Debug)]
pub struct FileOptions {
    /// Longest line in bytes; a longer one is an error. It also bounds a reader's memory.
    pub max_line_bytes: usize,
    /// The topic's name; otherwise the file's name without its endings.
    pub topic: Option<String>,
}

impl Default for FileOptions {
    fn default() -> Self {
        FileOptions { max_line_bytes: 16 << 20, topic: None }
    }
}

impl FileSource {
    /// Opens a recording and checks all of it.
    ///
    /// # Errors
    /// If the file can't be read, or some line of it is not a recording's.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, SourceError> {
        Self::open_with(path, FileOptions::default())
    }

    /// Opens a recording with options.
    ///
    /// # Errors
    /// As [`FileSource::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: FileOptions) -> Result<Self, SourceError> {
        let path = path.into();
        let survey = survey::survey(&path, options.max_line_bytes)?;
        let topic = options.topic.unwrap_or_else(|| topic_of(&path));
        Ok(FileSource { path, topic, survey })
    }

    /// Messages of each partition.
    pub fn messages_by_partition(&self) -> Vec<(u32, u64)> {
        self.survey.partitions.iter().map(|(partition, extent)| (*partition, extent.messages)).collect()
    }
}

/// `fleet.jsonl.zst` is topic `fleet`.
fn topic_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.split_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name,
    }
}

impl Source for FileSource {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn identity(&self) -> String {
        format!("recording:{:016x}:{}", self.survey.content_hash, self.survey.content_bytes)
    }

    fn partitions(&self) -> Vec<u32> {
        self.survey.partitions.keys().copied().collect()
    }

    fn messages_total(&self) -> Option<u64> {
        Some(self.survey.messages)
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let extent = self
            .survey
            .partitions
            .get(&partition)
            .ok_or_else(|| SourceError::Partition { topic: self.topic.clone(), partition })?;
        Ok(Box::new(FileReader::open(&self.path, &self.survey, partition, extent, offset)?))
    }
}
