//! One stable hash for routing and identities: the same on every platform, process and release.

use xxhash_rust::xxh3::xxh3_64;

/// 64-bit hash of one text. Stable for ever: stored checkpoints and incident ids depend on it.
pub fn hash_text(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// 64-bit hash of several texts in order; `["a", "bc"]` and `["ab", "c"]` differ.
pub fn hash_texts(texts: &[&str]) -> u64 {
    let mut buffer = Vec::with_capacity(texts.iter().map(|text| text.len() + 4).sum());
    for text in texts {
        buffer.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
        buffer.extend_from_slice(text.as_bytes());
    }
    xxh3_64(&buffer)
}

/// 64-bit hash of bytes.
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}
