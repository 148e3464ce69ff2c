//! Tells a whole checkpoint from a damaged one.

use xxhash_rust::xxh3::Xxh3;

use crate::Checkpoint;

/// Length and hash of everything in a checkpoint; moving bytes from one part to another changes it too.
pub(crate) fn of_checkpoint(checkpoint: &Checkpoint) -> (u64, u64) {
    let mut hash = Xxh3::new();
    let mut bytes_total = 0;
    let mut add = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
        bytes_total += bytes.len() as u64;
    };
    add(&checkpoint.id.to_le_bytes());
    add(&checkpoint.manifest);
    for (name, bytes) in &checkpoint.parts {
        add(name.as_bytes());
        add(bytes);
    }
    (bytes_total, hash.digest())
}
