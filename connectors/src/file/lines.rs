//! Lines of a file, plain or zstd, by the chunk and with bounded memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Stamp;
use crate::SourceError;

/// Bytes that are read at once; large enough that a system call costs nothing by the line.
const CHUNK_BYTES: usize = 256 << 10;

enum Input {
    Plain(File),
    Zstd(Box<zstd::stream::read::Decoder<'static, std::io::BufReader<File>>>),
}

/// A cursor over lines.
pub(super) struct Lines {
    path: PathBuf,
    input: Input,
    buffer: Vec<u8>,
    /// What of the buffer is read and not yet handed out.
    start: usize,
    end: usize,
    at_end: bool,
    /// Position of `start` in the unpacked content.
    byte: u64,
    /// Number of the line handed out last, from 1.
    line: u64,
    max_line_bytes: usize,
}

/// Where the line that was just handed out is.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) byte: u64,
    pub(super) line: u64,
    /// Whether its line end is there; only the last line may lack it.
    pub(super) ended: bool,
}

/// The state of the file now.
pub(super) fn stamp(path: &Path, file: &File) -> Result<Stamp, SourceError> {
    let metadata = file.metadata().map_err(|cause| io("look at", path, cause))?;
    Ok(Stamp { length: metadata.len(), modified: metadata.modified().ok() })
}

pub(super) fn open(path: &Path) -> Result<File, SourceError> {
    let file = File::open(path).map_err(|cause| io("open", path, cause))?;
    let metadata = file.metadata().map_err(|cause| io("look at", path, cause))?;
    if !metadata.is_file() {
        let problem = "is no file".to_owned();
        return Err(SourceError::Recording { place: path.display().to_string(), problem });
    }
    Ok(file)
}

pub(super) fn io(action: &'static str, path: &Path, cause: std::io::Error) -> SourceError {
    let help = match cause.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "check that this user may read it",
        _ => "check the disk",
    };
    SourceError::Io { action, place: path.display().to_string(), help, cause }
}

/// zstd's frames, and the frames that it skips.
fn is_zstd(head: &[u8]) -> bool {
    head == [0x28, 0xb5, 0x2f, 0xfd] || (head.len() == 4 && head[0] & 0xf0 == 0x50 && head[1..] == [0x2a, 0x4d, 0x18])
}

impl Lines {
    /// From the start of the file.
    pub(super) fn new(path: &Path, mut file: File, max_line_bytes: usize) -> Result<Self, SourceError> {
        let mut head = Vec::with_capacity(4);
        file.by_ref().take(4).read_to_end(&mut head).map_err(|cause| io("read", path, cause))?;
        file.rewind().map_err(|cause| io("read", path, cause))?;
        let input = if is_zstd(&head) {
            let decoder = zstd::stream::read::Decoder::new(file).map_err(|cause| io("unpack", path, cause))?;
            Input::Zstd(Box::new(decoder))
        } else {
            Input::Plain(file)
        };
        Ok(Lines {
            path: path.to_owned(),
            input,
            buffer: vec![0; CHUNK_BYTES],
            start: 0,
            end: 0,
            at_end: false,
            byte: 0,
            line: 0,
            max_line_bytes,
        })
    }

    /// Whether [`Lines::go_to`] can be used.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self.input, Input::Plain(_))
    }

    /// Goes to a line that was seen before; only in a plain file and before anything was read.
    pub(super) fn go_to(&mut self, byte: u64, line: u64) -> Result<(), SourceError> {
        if let Input::Plain(file) = &mut self.input {
            file.seek(SeekFrom::Start(byte)).map_err(|cause| io("read", &self.path, cause))?;
            self.byte = byte;
            self.line = line - 1;
        }
        Ok(())
    }

    /// Position of the next line in the unpacked content.
    pub(super) fn byte(&self) -> u64 {
        self.byte
    }

    /// The next line without its end; `None` behind the last.
    pub(super) fn next(&mut self) -> Result<Option<(Position, &[u8])>, SourceError> {
        let mut searched = self.start;
        let (length, ended) = loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..self.end]) {
                break (searched + at - self.start, true);
            }
            searched = self.end;
            if self.end - self.start > self.max_line_bytes {
                return Err(self.too_long());
            }
            if self.at_end {
                break (self.end - self.start, false);
            }
            searched -= self.fill()?;
        };
        if !ended && length == 0 {
            return Ok(None);
        }
        if length > self.max_line_bytes {
            return Err(self.too_long());
        }
        let line = &self.buffer[self.start..self.start + length];
        let position = Position { byte: self.byte, line: self.line + 1, ended };
        self.start += length + usize::from(ended);
        self.byte += (length + usize::from(ended)) as u64;
        self.line += 1;
        Ok(Some((position, line.strip_suffix(b"\r").unwrap_or(line))))
    }

    fn too_long(&self) -> SourceError {
        SourceError::Line {
            place: self.path.display().to_string(),
            line: self.line + 1,
            problem: format!("it is longer than {} bytes", self.max_line_bytes),
        }
    }

    /// Reads more behind what is there; says by how much that was moved to the front.
    fn fill(&mut self) -> Result<usize, SourceError> {
        let moved = self.start;
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if self.end == self.buffer.len() {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        let free = &mut self.buffer[self.end..];
        let count = loop {
            let read = match &mut self.input {
                Input::Plain(file) => file.read(free),
                Input::Zstd(decoder) => decoder.read(free),
            };
            match read {
                Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
                other => break other.map_err(|cause| self.read_error(cause))?,
            }
        };
        self.end += count;
        self.at_end = count == 0;
        Ok(moved)
    }

    fn read_error(&self, cause: std::io::Error) -> SourceError {
        let problem = match (&self.input, cause.kind()) {
            (Input::Plain(_), _) => return io("read", &self.path, cause),
            (Input::Zstd(_), ErrorKind::UnexpectedEof) => {
                format!("is cut off inside a zstd frame behind line {}: copy it again", self.line)
            }
            (Input::Zstd(_), _) => format!("can't be unpacked behind line {}: {cause}", self.line),
        };
        SourceError::Recording { place: self.path.display().to_string(), problem }
    }
}
