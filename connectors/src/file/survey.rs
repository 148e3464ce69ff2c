//! The counting pass: is every line good, what is there, where is it.

use std::collections::BTreeMap;
use std::path::Path;

use model::recording::{self, Line};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::lines::{self, Lines, Position};
use super::{Extent, Landmark, Survey};
use crate::SourceError;

/// A landmark a partition and so many bytes of content: some hundred for a gigabyte.
const LANDMARK_BYTES: u64 = 4 << 20;

/// What order a partition's lines have to keep.
#[derive(Default)]
struct Order {
    last_message: Option<i64>,
    last_mark: Option<i64>,
}

pub(super) fn survey(path: &Path, max_line_bytes: usize) -> Result<Survey, SourceError> {
    let bare = find_form(path, max_line_bytes)?;
    let file = lines::open(path)?;
    let stamp = lines::stamp(path, &file)?;
    let mut lines = Lines::new(path, file, max_line_bytes)?;
    let mut hash = Xxh3::new();
    let mut first_line = None;
    let mut highest_ms = 0;
    let mut orders: BTreeMap<u32, Order> = BTreeMap::new();
    let mut partitions: BTreeMap<u32, Extent> = BTreeMap::new();
    let mut messages = 0;
    while let Some((position, line)) = lines.next()? {
        hash.update(line);
        hash.update(b"\n");
        if line.trim_ascii().is_empty() || (first_line.is_none() && line.starts_with(b"#")) {
            continue;
        }
        let fail =
            |problem: String| SourceError::Line { place: path.display().to_string(), line: position.line, problem };
        first_line.get_or_insert(position.line);
        let before_ms = highest_ms;
        let (partition, offset, is_message) = if bare {
            check_bare(line, position).map_err(fail)?;
            highest_ms = event_ms(line).map_or(highest_ms, |ms| ms.max(highest_ms));
            (0, bare_offset(position), true)
        } else {
            let (partition, offset, is_message) = check_line(line, position).map_err(fail)?;
            orders.entry(partition).or_default().check(partition, offset, is_message).map_err(fail)?;
            (partition, offset, is_message)
        };
        messages += u64::from(is_message);
        let extent = partitions.entry(partition).or_default();
        extent.messages += u64::from(is_message);
        extent.last_line = position.line;
        if extent.landmarks.last().is_none_or(|last| position.byte >= last.byte + LANDMARK_BYTES) {
            let Position { byte, line, .. } = position;
            extent.landmarks.push(Landmark { offset, byte, line, highest_ms: before_ms });
        }
    }
    if partitions.is_empty() {
        let problem = "has no messages".to_owned();
        return Err(SourceError::Recording { place: path.display().to_string(), problem });
    }
    let (content_bytes, content_hash) = (lines.byte(), hash.digest());
    Ok(Survey {
        bare,
        first_line: first_line.unwrap_or(0),
        messages,
        content_bytes,
        content_hash,
        partitions,
        stamp,
        max_line_bytes,
    })
}

/// Offset of a bare message: index of its line.
pub(super) fn bare_offset(position: Position) -> i64 {
    (position.line - 1).cast_signed()
}

/// Event time of a bare message, if it can be used.
pub(super) fn event_ms(line: &[u8]) -> Option<i64> {
    model::message::decode(line, usize::MAX).ok().map(|message| message.timestamp_ms)
}

/// Lines that may say nothing before the file is taken for something else than a recording.
const MOST_UNCLEAR_LINES: u64 = 100;

/// Whether the lines are bare messages, by the first line that is an object: a bad message may stand in front, too.
fn find_form(path: &Path, max_line_bytes: usize) -> Result<bool, SourceError> {
    let mut lines = Lines::new(path, lines::open(path)?, max_line_bytes)?;
    let mut unclear: Option<(u64, String)> = None;
    while let Some((position, line)) = lines.next()? {
        if line.trim_ascii().is_empty() || (unclear.is_none() && line.starts_with(b"#")) {
            continue;
        }
        match is_bare(line) {
            Ok(bare) => return Ok(bare),
            Err(problem) => unclear.get_or_insert((position.line, problem)),
        };
        if position.line >= MOST_UNCLEAR_LINES {
            break;
        }
    }
    let place = path.display().to_string();
    Err(match unclear {
        None => SourceError::Recording { place, problem: "has no messages".to_owned() },
        Some((line, problem)) => {
            let problem = format!("{problem}, nor is any of the first {MOST_UNCLEAR_LINES} lines");
            SourceError::Line { place, line, problem }
        }
    })
}

/// What a line says about all of them.
fn is_bare(line: &[u8]) -> Result<bool, String> {
    if recording::parse_line(line).is_ok() {
        return Ok(false);
    }
    let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(line)
        .map_err(|error| format!("it is neither a recording's line nor a message: {error}"))?;
    // Half an envelope is a broken one.
    Ok(!fields.contains_key("partition") && !fields.contains_key("offset"))
}

/// A bare line may be anything, for a bad message is a dead letter; only an envelope is sure to be a mistake.
fn check_bare(line: &[u8], position: Position) -> Result<(), String> {
    if recording::partition_of(line).is_some() && recording::parse_line(line).is_ok() {
        return Err("it has an envelope and the first line has none".to_owned());
    }
    if !position.ended && serde_json::from_slice::<&RawValue>(line).is_err() {
        return Err(CUT_OFF.to_owned());
    }
    Ok(())
}

const CUT_OFF: &str = "the last line is cut off: copy the file again, or remove that line";

/// Partition, offset, and whether it is a message.
fn check_line(line: &[u8], position: Position) -> Result<(u32, i64, bool), String> {
    // The fast reader of envelopes doesn't look into the message, so that it can't see what a cut last line lacks.
    if !position.ended && serde_json::from_slice::<&RawValue>(line).is_err() {
        return Err(CUT_OFF.to_owned());
    }
    match recording::parse_line(line) {
        Ok(Line::Message { partition, offset, .. }) => Ok((partition, offset, true)),
        Ok(Line::Mark { partition, offset, .. }) => Ok((partition, offset, false)),
        Err(error) => match is_bare(line) {
            Ok(true) => Err("it has no envelope and the first line has one".to_owned()),
            _ => Err(error.to_string()),
        },
    }
}

impl Order {
    fn check(&mut self, partition: u32, offset: i64, is_message: bool) -> Result<(), String> {
        if let Some(last) = self.last_message.filter(|last| offset <= *last) {
            return Err(format!("offset {offset} of partition {partition} comes after {last}"));
        }
        if let Some(last) = self.last_mark.filter(|last| offset < *last) {
            return Err(format!("offset {offset} of partition {partition} comes after the idle mark before {last}"));
        }
        *(if is_message { &mut self.last_message } else { &mut self.last_mark }) = Some(offset);
        Ok(())
    }
}
