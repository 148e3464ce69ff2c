//! A store in memory, and one that only counts.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use model::tables::{TABLES, TableId};
use model::{Row, Value};

use crate::fit::{check_prefix, check_row};
use crate::{Checkpoint, Control, IdleMark, LeaseOwner, Notice, Store, StoreError, checksum};

/// A key in key order.
#[derive(Clone, Debug)]
struct Key(Vec<Value>);

impl Ord for Key {
    /// A shorter key comes before the longer ones that begin with it.
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        let different = pairs.map(|(a, b)| a.key_order(b)).find(|order| order.is_ne());
        different.unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

/// A checkpoint with the length and hash that it was written with.
struct Kept {
    checkpoint: Checkpoint,
    checksum: (u64, u64),
}

#[derive(Default)]
struct Content {
    /// By [`TableId`].
    tables: Vec<BTreeMap<Key, Row>>,
    checkpoints: BTreeMap<u64, Kept>,
    marks: BTreeMap<(u32, i64), i64>,
    controls: BTreeMap<(i64, String), Vec<u8>>,
    notices: BTreeMap<String, Vec<u8>>,
    lease: Option<(LeaseOwner, Weak<()>)>,
}

/// A store in memory. Clones are further handles of the same store; dropping the handle that holds the lease is the death
/// of its owner.
pub struct MemoryStore {
    content: Arc<Mutex<Content>>,
    /// Lives as long as this handle.
    life: Arc<()>,
    /// Rows of these tables are kept; `None`: of all.
    kept: Option<Arc<[TableId]>>,
}

impl Clone for MemoryStore {
    fn clone(&self) -> Self {
        MemoryStore { content: Arc::clone(&self.content), life: Arc::new(()), kept: self.kept.clone() }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        let content = Content { tables: TABLES.iter().map(|_| BTreeMap::new()).collect(), ..Content::default() };
        MemoryStore { content: Arc::new(Mutex::new(content)), life: Arc::new(()), kept: None }
    }

    /// An empty store that keeps the rows of these tables only and lets go of all others: for those who ask a long run for little.
    pub fn keeping(tables: &[TableId]) -> Self {
        MemoryStore { kept: Some(tables.into()), ..Self::new() }
    }

    /// Turns a bit of the newest checkpoint, for tests of what a job makes of that. Whether there was one.
    pub fn damage_newest_checkpoint(&self) -> bool {
        let mut content = self.content();
        let newest = content.checkpoints.values_mut().next_back();
        newest.map(|kept| kept.checksum.1 ^= 1).is_some()
    }

    /// No method leaves the content half changed, so a thread that died elsewhere with the lock spoils nothing.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error if another handle holds the lease and lives.
    fn refuse_if_held(&self, content: &Content) -> Result<(), StoreError> {
        match &content.lease {
            Some((owner, life)) if life.upgrade().is_some_and(|life| !Arc::ptr_eq(&life, &self.life)) => {
                Err(StoreError::Held { place: "memory".to_owned(), owner: owner.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// The row as every store keeps it: SQLite forgets the sign of a double column's zero, so all do.
fn kept(row: &Row) -> Row {
    let mut row = row.clone();
    for value in &mut row.values {
        if let Value::Double(number) = value {
            *number += 0.0;
        }
    }
    row
}

impl Store for MemoryStore {
    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        rows.iter().try_for_each(check_row)?;
        let mut content = self.content();
        let is_kept = |row: &&Row| self.kept.as_ref().is_none_or(|kept| kept.contains(&row.table));
        for row in rows.iter().filter(is_kept) {
            let table = &mut content.tables[row.table as usize];
            match table.get_mut(&Key(row.key().to_vec())) {
                Some(old) if row.version < old.version => {}
                Some(old) => *old = kept(row),
                None => drop(table.insert(Key(row.key().to_vec()), kept(row))),
            }
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let kept = Kept { checkpoint: checkpoint.clone(), checksum: checksum::of_checkpoint(checkpoint) };
        let mut content = self.content();
        content.checkpoints.retain(|id, _| *id < checkpoint.id);
        content.checkpoints.insert(checkpoint.id, kept);
        while content.checkpoints.len() > 2 {
            content.checkpoints.pop_first();
        }
        Ok(())
    }

    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        let content = self.content();
        for (id, kept) in content.checkpoints.iter().rev() {
            if checksum::of_checkpoint(&kept.checkpoint) == kept.checksum {
                return Ok(Some(kept.checkpoint.clone()));
            }
            tracing::warn!(store = "memory", id, "skipped a damaged checkpoint: its checksum is wrong");
        }
        Ok(None)
    }

    fn write_marks(&mut self, marks: &[IdleMark]) -> Result<(), StoreError> {
        let mut content = self.content();
        for mark in marks {
            let watermark = content.marks.entry((mark.partition, mark.offset)).or_insert(mark.watermark_ms);
            *watermark = mark.watermark_ms.max(*watermark);
        }
        Ok(())
    }

    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError> {
        let content = self.content();
        let marks = content.marks.iter();
        let mark = |(&(partition, offset), &watermark_ms)| IdleMark { partition, offset, watermark_ms };
        Ok(marks.map(mark).collect())
    }

    fn write_controls(&mut self, controls: &[Control]) -> Result<(), StoreError> {
        let mut content = self.content();
        for control in controls {
            content.controls.insert((control.window_ms, control.id.clone()), control.body.clone());
        }
        Ok(())
    }

    fn controls(&mut self) -> Result<Vec<Control>, StoreError> {
        let content = self.content();
        let controls = content.controls.iter();
        Ok(controls
            .map(|((window_ms, id), body)| Control { window_ms: *window_ms, id: id.clone(), body: body.clone() })
            .collect())
    }

    fn change_notices(&mut self, kept: &[Notice], gone: &[String]) -> Result<(), StoreError> {
        let mut content = self.content();
        content.notices.extend(kept.iter().map(|notice| (notice.id.clone(), notice.body.clone())));
        gone.iter().for_each(|id| drop(content.notices.remove(id)));
        Ok(())
    }

    fn notices(&mut self) -> Result<Vec<Notice>, StoreError> {
        let notice = |(id, body): (&String, &Vec<u8>)| Notice { id: id.clone(), body: body.clone() };
        Ok(self.content().notices.iter().map(notice).collect())
    }

    fn acquire_lease(&mut self, owner: &LeaseOwner) -> Result<(), StoreError> {
        let mut content = self.content();
        self.refuse_if_held(&content)?;
        content.lease = Some((owner.clone(), Arc::downgrade(&self.life)));
        Ok(())
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        let mut content = self.content();
        if self.refuse_if_held(&content).is_ok() {
            content.lease = None;
        }
        Ok(())
    }

    fn remove(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        let mut content = self.content();
        for row in rows {
            let table = &mut content.tables[row.table as usize];
            let key = Key(row.key().to_vec());
            if table.get(&key).is_some_and(|stored| stored.version <= row.version) {
                table.remove(&key);
            }
        }
        Ok(())
    }

    fn scan(
        &mut self,
        table: TableId,
        prefix: &[Value],
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        check_prefix(table.table(), prefix)?;
        let content = self.content();
        let from = (Bound::Included(Key(prefix.to_vec())), Bound::Unbounded);
        for (key, row) in content.tables[table as usize].range(from) {
            let begins = key.0.iter().zip(prefix).all(|(a, b)| a.key_order(b).is_eq());
            if !begins || each(row.clone()).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn count(&mut self, table: TableId) -> Result<u64, StoreError> {
        Ok(self.content().tables[table as usize].len() as u64)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.clear_results()?;
        self.content().controls.clear();
        Ok(())
    }

    fn clear_results(&mut self) -> Result<(), StoreError> {
        let mut content = self.content();
        self.refuse_if_held(&content)?;
        content.tables.iter_mut().for_each(BTreeMap::clear);
        content.checkpoints.clear();
        content.marks.clear();
        content.notices.clear();
        Ok(())
    }
}

/// Takes everything, keeps nothing, and counts the rows that were written: what a benchmark of all before it needs.
#[derive(Debug, Default)]
pub struct NullStore {
    rows: BTreeMap<TableId, u64>,
}

impl Store for NullStore {
    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        rows.iter().try_for_each(check_row)?;
        for row in rows {
            *self.rows.entry(row.table).or_default() += 1;
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, _: &Checkpoint) -> Result<(), StoreError> {
        Ok(())
    }

    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    fn write_marks(&mut self, _: &[IdleMark]) -> Result<(), StoreError> {
        Ok(())
    }

    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError> {
        Ok(Vec::new())
    }

    fn write_controls(&mut self, _: &[Control]) -> Result<(), StoreError> {
        Ok(())
    }

    fn controls(&mut self) -> Result<Vec<Control>, StoreError> {
        Ok(Vec::new())
    }

    fn change_notices(&mut self, _: &[Notice], _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    fn notices(&mut self) -> Result<Vec<Notice>, StoreError> {
        Ok(Vec::new())
    }

    fn acquire_lease(&mut self, _: &LeaseOwner) -> Result<(), StoreError> {
        Ok(())
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove(&mut self, _: &[Row]) -> Result<(), StoreError> {
        Ok(())
    }

    fn scan(&mut self, _: TableId, _: &[Value], _: &mut dyn FnMut(Row) -> ControlFlow<()>) -> Result<(), StoreError> {
        Ok(())
    }

    /// Rows written, the repeated ones too.
    fn count(&mut self, table: TableId) -> Result<u64, StoreError> {
        Ok(self.rows.get(&table).copied().unwrap_or(0))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.rows.clear();
        Ok(())
    }

    fn clear_results(&mut self) -> Result<(), StoreError> {
        self.clear()
    }
}
