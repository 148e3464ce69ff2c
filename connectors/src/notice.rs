//! What waits to be told to others.

/// Something that is to be told to others, kept by the store until it has arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Notice {
    /// Tells it apart from all others, and orders them.
    pub id: String,
    /// What is to be told; the store doesn't look into it.
    pub body: Vec<u8>,
}
