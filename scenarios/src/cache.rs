//! A decoded recording on disk, so that a benchmark replays it at memory speed.
//!
//! The file is a header and one payload of fixed-layout numeric records. Everything in the header (magic, layout, record
//! size, version, source, length, checksum) is verified before a byte of the payload is used, and any mismatch only means
//! that the recording is decoded again. Made on this machine and read on it; never bytes from outside, never checkpoints.
//!
//! Two layouts: rkyv, validated and portable, is the one to use. Abomonation (feature `abomonation`) is there to be compared
//! with it.

#[cfg(feature = "abomonation")]
mod abomonated;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use model::hash::hash_bytes;
use rkyv::rancor;
use rkyv::util::AlignedVec;

/// One decoded reading.
#[derive(Clone, Copy, Debug, PartialEq, rkyv::Archive, rkyv::Serialize)]
#[repr(C)]
pub struct Record {
    /// Stable hash of device and metric.
    pub series: u64,
    /// Event time, milliseconds since the epoch.
    pub ts: i64,
    /// The value.
    pub value: f64,
    /// Offset in its partition.
    pub offset: i64,
    /// Partition of the topic.
    pub partition: u32,
    /// Where the exchange sends it: from the stable hash of its device.
    pub route: u32,
}

const RECORD_BYTES: usize = size_of::<Record>();
const _: () = assert!(RECORD_BYTES == 40 && align_of::<Record>() == 8, "the record has no padding");

/// How the payload is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// rkyv's archive of a list.
    Rkyv,
    /// Abomonation's copy of a `Vec`: only for the build that wrote it.
    #[cfg(feature = "abomonation")]
    Abomonation,
}

impl Layout {
    fn number(self) -> u32 {
        match self {
            Layout::Rkyv => 1,
            #[cfg(feature = "abomonation")]
            Layout::Abomonation => 2,
        }
    }

    /// What must be the same for a file to be understood. The portable layout asks for the crate alone.
    fn version(self) -> String {
        let own = concat!("scenarios ", env!("CARGO_PKG_VERSION"), ", cache 1");
        match self {
            Layout::Rkyv => own.to_owned(),
            #[cfg(feature = "abomonation")]
            Layout::Abomonation => format!("{own}, {}, {}", env!("PLENUM_RUSTC"), env!("PLENUM_TARGET")),
        }
    }
}

/// Which recording a cache was made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its length in bytes.
    pub bytes: u64,
    /// The xxh3 hash of its bytes.
    pub hash: u64,
}

impl Source {
    /// Of a recording in memory.
    pub fn of(recording: &[u8]) -> Self {
        Source { bytes: recording.len() as u64, hash: hash_bytes(recording) }
    }
}

/// Why a cache was not used.
#[derive(Debug, thiserror::Error)]
pub enum Miss {
    /// There is none, or it can't be read.
    #[error("could not read the cache: {0}")]
    File(#[from] io::Error),
    /// It is not for this use.
    #[error("cache has another {0}")]
    Other(&'static str),
    /// Its payload is none.
    #[error("cache can't be decoded: {0}")]
    Payload(String),
}

/// The records of a recording, in its order.
#[derive(Debug)]
pub struct Records(Held);

#[derive(Debug)]
enum Held {
    Decoded(Vec<Record>),
    Archived(AlignedVec),
    #[cfg(feature = "abomonation")]
    Abomonated(abomonated::Buffer),
}

/// Records in place, wherever they lie.
#[derive(Clone, Copy)]
pub enum View<'a> {
    /// As decoded.
    Plain(&'a [Record]),
    /// As archived; on a little-endian machine reading one costs nothing.
    Archived(&'a [ArchivedRecord]),
}

impl View<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            View::Plain(records) => records.len(),
            View::Archived(records) => records.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of them.
    ///
    /// # Panics
    /// Beyond the end.
    #[inline]
    pub fn get(&self, at: usize) -> Record {
        match self {
            View::Plain(records) => records[at],
            View::Archived(records) => {
                let record = &records[at];
                Record {
                    series: record.series.to_native(),
                    ts: record.ts.to_native(),
                    value: record.value.to_native(),
                    offset: record.offset.to_native(),
                    partition: record.partition.to_native(),
                    route: record.route.to_native(),
                }
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = Record> {
        (0..self.len()).map(|at| self.get(at))
    }
}

impl Records {
    /// The records in place. It validates what was loaded once more, so keep the view, not the call, in a loop.
    ///
    /// # Panics
    /// Never: what is loaded was validated then.
    pub fn view(&mut self) -> View<'_> {
        match &mut self.0 {
            Held::Decoded(records) => View::Plain(records),
            Held::Archived(bytes) => View::Archived(archived(bytes).expect("it was validated when it was loaded")),
            #[cfg(feature = "abomonation")]
            Held::Abomonated(buffer) => View::Plain(buffer.records().expect("it was validated when it was loaded")),
        }
    }
}

fn archived(bytes: &[u8]) -> Result<&[ArchivedRecord], Miss> {
    rkyv::access::<rkyv::Archived<Vec<Record>>, rancor::Error>(bytes)
        .map(|records| records.as_slice())
        .map_err(|error| Miss::Payload(error.to_string()))
}

const MAGIC: [u8; 8] = *b"PLENUMRC";
const HEADER_BYTES: usize = 192;
/// Where the version begins; it ends where the header's own checksum stands.
const VERSION_AT: usize = 56;
const CHECKSUM_AT: usize = HEADER_BYTES - 8;

fn header(layout: Layout, source: Source, records: usize, payload: &[u8]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &MAGIC);
    put(8, &layout.number().to_le_bytes());
    put(12, &(RECORD_BYTES as u32).to_le_bytes());
    put(16, &source.bytes.to_le_bytes());
    put(24, &source.hash.to_le_bytes());
    put(32, &(records as u64).to_le_bytes());
    put(40, &(payload.len() as u64).to_le_bytes());
    put(48, &hash_bytes(payload).to_le_bytes());
    let version = layout.version();
    put(VERSION_AT, &version.as_bytes()[..version.len().min(CHECKSUM_AT - VERSION_AT)]);
    let checksum = hash_bytes(&header[..CHECKSUM_AT]);
    header[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// Writes a cache beside itself first, so that a crash leaves the old one or none.
///
/// # Errors
/// The file can't be written.
pub fn store(path: &Path, layout: Layout, source: Source, records: &[Record]) -> io::Result<()> {
    let write = |payload: &[u8]| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = PathBuf::from(name);
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(&header(layout, source, records.len(), payload))?;
            file.write_all(payload)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            // The first error is the one to tell; a file that can't be removed either is only litter.
            let _ = fs::remove_file(&temporary);
        })
    };
    match layout {
        Layout::Rkyv => {
            let records = records.to_vec();
            write(&rkyv::to_bytes::<rancor::Error>(&records).map_err(io::Error::other)?)
        }
        #[cfg(feature = "abomonation")]
        Layout::Abomonation => write(&abomonated::encode(records)?),
    }
}

/// Reads a cache of exactly this recording, written in this layout by this version.
///
/// # Errors
/// Whatever speaks against it; the recording is then to be decoded.
pub fn load(path: &Path, layout: Layout, source: Source) -> Result<Records, Miss> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    read(file, length, layout, source)
}

fn read(mut file: impl io::Read, length: u64, layout: Layout, source: Source) -> Result<Records, Miss> {
    let mut seen = [0; HEADER_BYTES];
    file.read_exact(&mut seen)?;
    let number = |at: usize| u64::from_le_bytes(seen[at..at + 8].try_into().expect("eight bytes"));
    if seen[..8] != MAGIC {
        return Err(Miss::Other("magic"));
    }
    if number(CHECKSUM_AT) != hash_bytes(&seen[..CHECKSUM_AT]) {
        return Err(Miss::Other("checksum of its header"));
    }
    let (records, payload_bytes) = (number(32), number(40));
    if length != HEADER_BYTES as u64 + payload_bytes {
        return Err(Miss::Other("length"));
    }
    let count = usize::try_from(records).map_err(|_| Miss::Other("length"))?;
    let mut payload = AlignedVec::with_capacity(usize::try_from(payload_bytes).map_err(|_| Miss::Other("length"))?);
    payload.extend_from_reader(&mut file)?;
    // Whatever is in the header now has to be what would be written over this payload: one comparison for all fields.
    let wanted = header(layout, source, count, &payload);
    for (what, range) in
        [("layout", 8..12), ("record size", 12..16), ("source", 16..32), ("version", VERSION_AT..CHECKSUM_AT)]
    {
        if seen[range.clone()] != wanted[range] {
            return Err(Miss::Other(what));
        }
    }
    if seen != wanted {
        return Err(Miss::Other("checksum"));
    }
    let mut loaded = match layout {
        Layout::Rkyv => {
            archived(&payload)?;
            Records(Held::Archived(payload))
        }
        #[cfg(feature = "abomonation")]
        Layout::Abomonation => Records(Held::Abomonated(abomonated::Buffer::open(payload, count)?)),
    };
    if loaded.view().len() != count {
        return Err(Miss::Other("count of records"));
    }
    Ok(loaded)
}

/// Loads a cache, or decodes the recording and writes the cache for the next time; says why it had to.
///
/// # Errors
/// The recording can't be decoded, or the cache can't be written.
pub fn load_or_decode<E: From<io::Error>>(
    path: &Path,
    layout: Layout,
    source: Source,
    decode: impl FnOnce() -> Result<Vec<Record>, E>,
) -> Result<(Records, Option<Miss>), E> {
    match load(path, layout, source) {
        Ok(records) => Ok((records, None)),
        Err(miss) => {
            let records = decode()?;
            store(path, layout, source, &records)?;
            Ok((Records(Held::Decoded(records)), Some(miss)))
        }
    }
}

#[cfg(test)]
mod tests;
