//! Speaks to the outside: where messages come from, where rows go, what makes a vector of a state.
//!
//! It has never heard of windows, detectors or workers, so that it is tested with no dataflow running. Each service has a
//! file of its own; `memory` holds repeatable stand-ins that keep the same contracts (`tests/` holds all of them to it).

pub mod check;
mod checksum;
pub mod counts;
mod cql;
mod days;
mod error;
pub mod file;
mod fit;
pub mod kafka;
pub mod memory;
mod nearest;
mod notice;
mod ollama;
mod owner;
pub mod projection;
mod range;
pub mod refused;
pub mod sqlite;
mod url;
mod webhook;

pub use cql::CqlStore;
pub use days::{scan_days, state_row_at};
pub use error::{EmbedError, SourceError, StoreError};
pub use file::{FileOptions, FileSource};
pub use kafka::{KafkaProducer, KafkaSettings, KafkaSource};
pub use memory::{MemoryEmbedder, MemorySource, MemoryStore, NullStore};
pub use nearest::cosine;
pub use notice::Notice;
pub use ollama::Ollama;
pub use owner::LeaseOwner;
pub use projection::Projection;
pub use sqlite::SqliteStore;
pub use url::{
    check_embedder, check_store, mask_address, open_existing_store, open_source, open_store, open_text_embedder,
};
pub use webhook::{Attempt, Webhook, WebhookError, WebhookSettings};

use std::ops::{ControlFlow, Range};

use model::tables::TableId;

/// A message as a source delivers it; its bytes live until the callback returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceMessage<'a> {
    /// Offset in its partition.
    pub offset: i64,
    /// The broker's time of appending, milliseconds since the epoch.
    pub broker_ms: i64,
    /// The bytes as sent; `None` is a tombstone.
    pub bytes: Option<&'a [u8]>,
}

/// What a partition delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A message.
    Message(SourceMessage<'a>),
    /// A recorded idle mark: before `offset` is read, the partition's watermark is at least `watermark_ms`.
    Mark {
        /// The next offset of the partition.
        offset: i64,
        /// Watermark in milliseconds.
        watermark_ms: i64,
    },
}

impl Event<'_> {
    /// Offset of the message, or the one that the mark stands in front of.
    pub fn offset(&self) -> i64 {
        match self {
            Event::Message(message) => message.offset,
            Event::Mark { offset, .. } => *offset,
        }
    }
}

/// How a poll ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Poll {
    /// So many events were delivered, and there may be more at once. Zero: still looking through what belongs to other
    /// partitions; neither idle nor finished.
    Ready(usize),
    /// Nothing now; there may be something later.
    Empty,
    /// Nothing now, and everything that the log holds has been read; a live source may get more.
    EndReached,
    /// The finite source will never deliver anything more.
    Finished,
}

/// A topic, live or recorded.
pub trait Source: Send + Sync {
    /// The topic's name.
    fn topic(&self) -> &str;
    /// For a finite recording a fingerprint of what it holds, for a live topic its name. A checkpoint is only good for a
    /// source with the same identity.
    fn identity(&self) -> String;
    /// The partitions, rising.
    fn partitions(&self) -> Vec<u32>;
    /// How many messages there are, if that is known.
    fn messages_total(&self) -> Option<u64>;
    /// Starts reading a partition with the first event whose offset is at least `offset`.
    ///
    /// # Errors
    /// If the partition does not exist or its log can't be opened.
    fn open(&self, partition: u32, offset: i64) -> Result<Box<dyn PartitionReader>, SourceError>;
    /// What only a topic that goes on can do; `None` for recordings.
    fn live(&self) -> Option<&dyn Live> {
        None
    }
}

/// A topic that goes on: its log may lose its oldest messages and gain new ones, and new partitions.
pub trait Live {
    /// What the log of each partition holds now, by partition.
    ///
    /// # Errors
    /// If the topic can't be asked.
    fn extents(&self) -> Result<Vec<Extent>, SourceError>;

    /// For each partition the first offset whose broker time is at least `time_ms`, or its end where there is none.
    ///
    /// # Errors
    /// If the topic can't be asked.
    fn offsets_at(&self, time_ms: i64) -> Result<Vec<(u32, i64)>, SourceError>;

    /// Tells others how far the job is, by partition and next offset. Nothing depends on it, and failing is only logged.
    fn commit(&self, positions: &[(u32, i64)]);

    /// How many messages the open partitions of this process are behind their ends; `None` while that is not known.
    fn behind(&self) -> Option<u64>;
}

/// What a partition's log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The partition.
    pub partition: u32,
    /// Its oldest offset.
    pub first_offset: i64,
    /// The offset behind its newest message.
    pub end_offset: i64,
}

/// Reads one partition in offset order. Used on one thread only.
pub trait PartitionReader {
    /// Hands over at most `max` events and does not block for long.
    ///
    /// # Errors
    /// If the log can't be read any further; polling again after an error gives the same error or goes on behind what was
    /// delivered, never skips.
    fn poll(&mut self, max: usize, each: &mut dyn FnMut(Event<'_>)) -> Result<Poll, SourceError>;
}

/// A job's state at a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Rises from one checkpoint to the next.
    pub id: u64,
    /// What the parts are; the store doesn't look into it.
    pub manifest: Vec<u8>,
    /// Named parts; each may be many megabytes.
    pub parts: Vec<(String, Vec<u8>)>,
}

/// A partition's watermark was raised while the partition had nothing.
///
/// One mark stands for the partitions that a topic may gain ([`IdleMark::TO_COME`]): one that no run has begun begins there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IdleMark {
    /// The partition.
    pub partition: u32,
    /// Next offset of the partition.
    pub offset: i64,
    /// Watermark in milliseconds.
    pub watermark_ms: i64,
}

impl IdleMark {
    /// In place of a partition's number, the highest that the stores can hold: the partitions that nobody has begun.
    pub const TO_COME: u32 = i32::MAX.unsigned_abs();
}

/// What a person asked of the job, kept so that a replay repeats it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Control {
    /// Start of the window in which it takes effect.
    pub window_ms: i64,
    /// Tells apart the controls of one window and orders them.
    pub id: String,
    /// What was asked; the store doesn't look into it.
    pub body: Vec<u8>,
}

/// Where rows and the job's bookkeeping go. Whatever a method wrote is durable when it returns: it survives the death of
/// the process at any later moment.
pub trait Store: Send {
    /// Whether what was opened is still what stands at its address: a file may be removed, or another one put in its place, and an
    /// open handle goes on with the old one.
    fn is_in_place(&self) -> bool {
        true
    }

    /// Writes rows. Twice is the same as once: for one key the row with the higher version wins; rows with equal versions
    /// are taken to be equal. A double column's zero has no sign.
    ///
    /// A row that the store's servers refuse for good (too large, say) is no error: it is kept as a dead letter of the store
    /// with the reason, see [`refused`], and the others are written.
    ///
    /// # Errors
    /// If a row does not fit its table (nothing was written then) or the store fails; writing all rows again is safe.
    fn write(&mut self, rows: &[model::Row]) -> Result<(), StoreError>;

    /// Writes a checkpoint, which is durable only together with all earlier writes. Then all but the last two are removed;
    /// those with an id above it too, for they are damaged ones that the job did not resume from.
    ///
    /// # Errors
    /// If the store fails.
    fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError>;

    /// The newest checkpoint that is whole; damaged ones are skipped with a warning.
    ///
    /// # Errors
    /// If the store fails.
    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError>;

    /// Records idle marks; of two in front of the same offset the higher watermark stays.
    ///
    /// # Errors
    /// If the store fails.
    fn write_marks(&mut self, marks: &[IdleMark]) -> Result<(), StoreError>;

    /// All idle marks by partition and offset.
    ///
    /// # Errors
    /// If the store fails.
    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError>;

    /// Records what people asked for; the same window and id replaces.
    ///
    /// # Errors
    /// If the store fails.
    fn write_controls(&mut self, controls: &[Control]) -> Result<(), StoreError>;

    /// All controls by window and id.
    ///
    /// # Errors
    /// If the store fails.
    fn controls(&mut self) -> Result<Vec<Control>, StoreError>;

    /// Keeps notices, each in place of an earlier one with its id, and forgets those with the ids `gone`: all of it or nothing. No id
    /// may be in both.
    ///
    /// # Errors
    /// If the store fails; doing it again is safe.
    fn change_notices(&mut self, kept: &[Notice], gone: &[String]) -> Result<(), StoreError>;

    /// All notices by id.
    ///
    /// # Errors
    /// If the store fails.
    fn notices(&mut self) -> Result<Vec<Notice>, StoreError>;

    /// Takes the store for one job. A second call by the same handle changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Held`] while another live job holds it. A dead owner on the same host is taken over at once.
    fn acquire_lease(&mut self, owner: &LeaseOwner) -> Result<(), StoreError>;

    /// Gives the store back; nothing happens if this handle does not hold it.
    ///
    /// # Errors
    /// If the store fails.
    fn release_lease(&mut self) -> Result<(), StoreError>;

    /// Removes rows that [`Store::scan`] gave: of each the key and the version count, and what was written with a higher
    /// version meanwhile stays. It hides no later write with a higher version; a repeated write of the removed version may
    /// bring the row back or not, so that only rows are removed which nobody misses and which may be removed again.
    ///
    /// In CQL: `DELETE ... USING TIMESTAMP version` by the whole key.
    ///
    /// # Errors
    /// If the store fails; removing all of them again is safe.
    fn remove(&mut self, rows: &[model::Row]) -> Result<(), StoreError>;

    /// Hands over the rows of a table whose leading key columns equal `prefix`, in key order, until `each` breaks. Rows are
    /// fetched by the page, so rows written meanwhile may or may not be seen.
    ///
    /// # Errors
    /// If the store fails or holds something that is no row of this table.
    fn scan(
        &mut self,
        table: TableId,
        prefix: &[model::Value],
        each: &mut dyn FnMut(model::Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// As [`Store::scan`], but only the rows whose key column behind the prefix, a number or a time, lies in `range`. This
    /// implementation looks at all rows in front of it.
    ///
    /// # Errors
    /// As [`Store::scan`], and if that column is neither.
    fn scan_range(
        &mut self,
        table: TableId,
        prefix: &[model::Value],
        range: Range<i64>,
        each: &mut dyn FnMut(model::Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        range::scan(self, table, prefix, range, each)
    }

    /// The rows with these keys, each of all key columns, in the keys' order; a key without a row is left out. This implementation
    /// reads one after the other.
    ///
    /// # Errors
    /// As [`Store::scan`].
    fn find(&mut self, table: TableId, keys: &[Vec<model::Value>]) -> Result<Vec<model::Row>, StoreError> {
        let mut rows = Vec::new();
        for key in keys {
            self.scan(table, key, &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })?;
        }
        Ok(rows)
    }

    /// The distinct states of a method that are most like a vector, as ids of `state_vectors` with their cosines, the highest
    /// first and among equals the lowest id first; at most `limit`. This implementation looks at all of them.
    ///
    /// A store with an index of vectors answers by that, and may miss some.
    ///
    /// # Errors
    /// If the store fails or holds something that is no row of this table.
    fn nearest(&mut self, method: &str, vector: &[f32], limit: usize) -> Result<Vec<(i64, f64)>, StoreError> {
        nearest::scan(self, method, vector, limit)
    }

    /// How many rows a table has.
    ///
    /// # Errors
    /// If the store fails.
    fn count(&mut self, table: TableId) -> Result<u64, StoreError>;

    /// Removes everything, bookkeeping included, so that nothing hides a later replay. A lease of this handle stays.
    ///
    /// # Errors
    /// [`StoreError::Held`] while another live job holds the store; otherwise if the store fails.
    fn clear(&mut self) -> Result<(), StoreError>;

    /// Removes everything but the controls: what people asked for can't be made again from a source.
    ///
    /// # Errors
    /// As [`Store::clear`].
    fn clear_results(&mut self) -> Result<(), StoreError>;
}

/// Makes a vector of a state's metric vector.
pub trait Embedder: Send {
    /// Names what made a vector; vectors of different methods are never compared.
    fn method(&self) -> &str;
    /// The vector of norm 1, or `None` if these values have none. `names` belongs to the leading components; a further
    /// component is the constant one.
    fn embed(&mut self, vector: &[f64], names: &[String]) -> Option<Vec<f32>>;
}

/// What became of a text: its vector of norm 1, or why the service refuses it for good.
pub type Embedded = Result<Vec<f32>, String>;

/// Makes vectors of texts, with the help of a service. The same text always has the same vector.
pub trait TextEmbedder: Send {
    /// Names service and model; vectors of different ones are never compared.
    fn method(&self) -> &str;

    /// One answer a text, in their order. Blocks as long as the service takes, retries included, and no longer than a few
    /// times its time limit.
    ///
    /// # Errors
    /// If the service is away or its answer is of no use; none of the texts has an answer then.
    fn embed(&mut self, texts: &[&str]) -> Result<Vec<Embedded>, EmbedError>;
}
