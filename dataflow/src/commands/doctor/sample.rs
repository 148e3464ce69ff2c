//! Whether what a source delivers are readings.

use std::time::{Duration, Instant};

use connectors::check::Answer;
use connectors::{Event, Poll, Source, SourceError};
use model::message::decode;

use crate::settings::JobSettings;

/// Messages that are looked at.
const MESSAGES: usize = 100;
const WITHIN: Duration = Duration::from_secs(15);

/// Reads some messages of one partition as the job would: the newest ones of a topic, the first ones of a recording.
///
/// # Errors
/// If they can't be read.
pub fn look(source: &dyn Source, settings: &JobSettings) -> Result<Answer, SourceError> {
    let (partition, from, end) = match source.live() {
        Some(live) => {
            let extents = live.extents()?;
            let Some(fullest) = extents.iter().max_by_key(|extent| extent.end_offset - extent.first_offset) else {
                return Ok(Answer::fine("no partition to look into"));
            };
            let from = fullest.first_offset.max(fullest.end_offset - MESSAGES as i64);
            (fullest.partition, from, fullest.end_offset)
        }
        None => (source.partitions().first().copied().unwrap_or(0), i64::MIN, i64::MAX),
    };
    let (mut usable, mut tombstones, mut newest, mut refused) = (0, 0, None, Vec::new());
    let mut reader = source.open(partition, from)?;
    let (began, mut next) = (Instant::now(), from);
    while next < end && usable + tombstones + refused.len() < MESSAGES && began.elapsed() < WITHIN {
        let left = MESSAGES - usable - tombstones - refused.len();
        let poll = reader.poll(left, &mut |event| {
            let Event::Message(message) = event else { return };
            next = message.offset + 1;
            match message.bytes.map(|bytes| decode(bytes, settings.max_message_bytes)) {
                None => tombstones += 1,
                Some(Ok(reading)) => {
                    usable += 1;
                    newest = Some(format!("{} of {:?}", reading.metric_name, reading.device_id));
                }
                Some(Err(rejected)) => refused.push(format!("{}: {}", rejected.reason.name(), rejected.detail)),
            }
        })?;
        match poll {
            Poll::EndReached | Poll::Finished => break,
            Poll::Empty => std::thread::sleep(Duration::from_millis(5)),
            Poll::Ready(_) => {}
        }
    }
    let messages = usable + refused.len();
    let Some(why) = refused.first() else {
        return Ok(Answer::fine(match newest {
            Some(newest) => format!("{usable} of partition {partition} can be used, the last one is {newest}"),
            None => "nothing to look at yet".to_owned(),
        }));
    };
    let seen = format!("{} of {messages} of partition {partition} can't be used, such as {why}", refused.len());
    Ok(if usable > refused.len() {
        Answer::fine(format!("{seen}; they become dead letters"))
    } else {
        Answer::advice(seen, "are these messages of devices? README shows what one looks like")
    })
}
