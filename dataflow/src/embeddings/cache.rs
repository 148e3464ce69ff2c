//! Vectors by the id of their text, the least recently used half forgotten when there are too many.

use std::collections::HashMap;

use super::Reply;

/// Texts whose vectors are kept: 25 MB of them.
pub(super) const CACHED_TEXTS: usize = 16_384;

/// In two halves: what is used moves to the young one; when that is full, it becomes the old one, whose rest is forgotten.
#[derive(Default)]
pub(super) struct Cache {
    young: HashMap<i64, Reply>,
    old: HashMap<i64, Reply>,
}

impl Cache {
    pub(super) fn get(&mut self, id: i64) -> Option<Reply> {
        if let Some(reply) = self.young.get(&id) {
            return Some(reply.clone());
        }
        let reply = self.old.remove(&id)?;
        self.put(id, reply.clone());
        Some(reply)
    }

    pub(super) fn put(&mut self, id: i64, reply: Reply) {
        if self.young.len() >= CACHED_TEXTS / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, reply);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_memory_is_bounded() {
        let mut cache = Cache::default();
        for id in 0..100_000 {
            cache.put(id, Err("refused".into()));
            assert!(cache.get(0).is_some(), "used all the time, forgotten after {id}");
            assert!(cache.young.len() + cache.old.len() <= CACHED_TEXTS);
        }
        assert!(cache.get(1).is_none());
    }
}
