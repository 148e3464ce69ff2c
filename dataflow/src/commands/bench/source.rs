//! A topic held in memory as one run of bytes a partition: reading it costs no allocation and no system call.

use std::sync::Arc;

use connectors::{Event, PartitionReader, Poll, Source, SourceError, SourceMessage};

/// Where a message ends, and when it was appended. Its offset is its index.
struct End {
    at: usize,
    broker_ms: i64,
    is_tombstone: bool,
}

/// A partition's messages one behind the other.
#[derive(Default)]
pub struct Log {
    bytes: Vec<u8>,
    ends: Vec<End>,
}

impl Log {
    /// Appends a message; `None` is a tombstone.
    pub fn push(&mut self, broker_ms: i64, bytes: Option<&[u8]>) {
        self.bytes.extend_from_slice(bytes.unwrap_or_default());
        self.ends.push(End { at: self.bytes.len(), broker_ms, is_tombstone: bytes.is_none() });
    }

    /// All messages.
    pub fn messages(&self) -> impl Iterator<Item = SourceMessage<'_>> {
        self.slice(0, self.ends.len())
    }

    fn slice(&self, from: usize, to: usize) -> impl Iterator<Item = SourceMessage<'_>> {
        let mut start = if from == 0 { 0 } else { self.ends[from - 1].at };
        self.ends[from..to].iter().zip(from..).map(move |(end, offset)| {
            let bytes = (!end.is_tombstone).then(|| &self.bytes[start..end.at]);
            start = end.at;
            let offset = i64::try_from(offset).expect("what fits into memory is fewer than 2^63 messages");
            SourceMessage { offset, broker_ms: end.broker_ms, bytes }
        })
    }
}

/// The partitions, numbered from 0.
pub struct Held {
    /// Names the options it was made with.
    pub identity: String,
    /// By partition.
    pub logs: Vec<Arc<Log>>,
}

impl Source for Held {
    fn topic(&self) -> &str {
        "bench"
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn partitions(&self) -> Vec<u32> {
        (0..).take(self.logs.len()).collect()
    }

    fn messages_total(&self) -> Option<u64> {
        Some(self.logs.iter().map(|log| log.ends.len() as u64).sum())
    }

    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError> {
        let log = self
            .logs
            .get(partition as usize)
            .ok_or_else(|| SourceError::Partition { topic: self.topic().to_owned(), partition })?;
        let next = usize::try_from(offset.max(0)).unwrap_or(usize::MAX).min(log.ends.len());
        Ok(Box::new(LogReader { log: Arc::clone(log), next }))
    }
}

struct LogReader {
    log: Arc<Log>,
    next: usize,
}

impl PartitionReader for LogReader {
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError> {
        let to = self.next.saturating_add(max).min(self.log.ends.len());
        if self.next == self.log.ends.len() {
            return Ok(Poll::Finished);
        }
        for message in self.log.slice(self.next, to) {
            each(Event::Message(message));
        }
        let count = to - self.next;
        self.next = to;
        Ok(Poll::Ready(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_put_in() {
        let mut log = Log::default();
        let put: [(i64, Option<&[u8]>); 4] = [(1, Some(b"one")), (2, None), (2, Some(b"")), (3, Some(b"three"))];
        for (broker_ms, bytes) in put {
            log.push(broker_ms, bytes);
        }
        let held = Held { identity: "four".to_owned(), logs: vec![Arc::new(log)] };
        assert_eq!(held.messages_total(), Some(4));
        for max in 1..6 {
            let mut reader = held.open(0, 1).unwrap();
            let mut seen = Vec::new();
            while let Poll::Ready(_) = reader
                .poll(max, &mut |event| match event {
                    Event::Message(message) => {
                        seen.push((message.offset, message.broker_ms, message.bytes.map(<[u8]>::to_vec)));
                    }
                    Event::Mark { .. } => panic!("a held topic has no marks"),
                })
                .unwrap()
            {}
            let wanted = [(1, 2, None), (2, 2, Some(b"".to_vec())), (3, 3, Some(b"three".to_vec()))];
            assert_eq!(seen, wanted);
        }
        assert!(held.open(1, 0).is_err());
    }
}
