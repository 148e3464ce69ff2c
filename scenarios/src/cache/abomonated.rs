//! The cache in abomonation's layout, to be compared with rkyv's: a `Vec` of records as it lies in memory, its own header
//! included, decoded in place.
//!
//! Abomonation is unsound with strings and with buffers that are not aligned, and believes what it reads
//! (RUSTSEC-2021-0120). So nothing but fixed-layout numbers goes through it, in an aligned buffer, and the caller has
//! verified that this very build wrote these very bytes. They hold addresses of the process that wrote them and are no
//! business of anybody else's.
#![allow(unsafe_code, reason = "abomonation's functions are unsafe; this module keeps what they ask for")]

use std::io;

use abomonation::Abomonation;
use rkyv::util::AlignedVec;

use super::{Miss, RECORD_BYTES, Record};

/// Numbers only, so there is nothing behind a record that would have to be written or repaired.
impl Abomonation for Record {}

const LIST_BYTES: usize = size_of::<Vec<Record>>();
const _: () =
    assert!(LIST_BYTES.is_multiple_of(align_of::<Record>()), "the records behind the list's header stay aligned");

/// The payload of a cache.
pub(super) fn encode(records: &[Record]) -> io::Result<Vec<u8>> {
    let records = records.to_vec();
    let mut bytes = Vec::with_capacity(LIST_BYTES + records.len() * RECORD_BYTES);
    // SAFETY: the bytes of a list's header and of `Record` are all initialised: three words, and a `repr(C)` struct of 40
    // bytes without padding, which an assertion beside it holds to.
    unsafe { abomonation::encode(&records, &mut bytes) }?;
    Ok(bytes)
}

/// A payload whose checksum and version were verified.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: AlignedVec,
    count: usize,
}

impl Buffer {
    /// Checks what can be checked from outside: length and alignment.
    pub(super) fn open(bytes: AlignedVec, count: usize) -> Result<Self, Miss> {
        let wanted = count.checked_mul(RECORD_BYTES).and_then(|bytes| bytes.checked_add(LIST_BYTES));
        if wanted != Some(bytes.len()) {
            return Err(Miss::Other("length"));
        }
        if !bytes.as_ptr().addr().is_multiple_of(align_of::<Record>()) {
            return Err(Miss::Payload("its buffer is not aligned".to_owned()));
        }
        let mut buffer = Buffer { bytes, count };
        buffer.records()?;
        Ok(buffer)
    }

    /// The records, decoded in place; again and again gives the same.
    pub(super) fn records(&mut self) -> Result<&[Record], Miss> {
        let count = self.count;
        // SAFETY: the buffer is aligned and long enough (see `open`), and its bytes are those that `encode` of this build
        // wrote, by the checksum and version that were verified before. `Record` is valid for all bytes.
        match unsafe { abomonation::decode::<Vec<Record>>(&mut self.bytes) } {
            Some((records, rest)) if records.len() == count && rest.is_empty() => Ok(records),
            _ => Err(Miss::Payload("its list has another length".to_owned())),
        }
    }
}
