//! The job's own tables: checkpoints, idle marks, controls and notices.

use std::path::Path;

use model::tables::TABLES;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Transaction, TransactionBehavior, params};

use super::{failure, schema};
use crate::{Checkpoint, Control, IdleMark, Notice, StoreError, checksum};

/// A part is stored in pieces of this size: a row is read and written whole.
const PIECE_BYTES: usize = 1 << 20;

fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

pub(super) fn write_checkpoint(
    connection: &mut Connection,
    path: &Path,
    checkpoint: &Checkpoint,
) -> Result<(), StoreError> {
    let fail = |cause| failure::of_sqlite("write a checkpoint to", path, cause);
    let id = i64::try_from(checkpoint.id).map_err(|_| StoreError::Schema {
        place: path.display().to_string(),
        problem: format!("can't hold a checkpoint with the number {}, which is beyond 2^63", checkpoint.id),
    })?;
    // The one fsync that makes this and all rows before safe from a power cut.
    connection.execute_batch("PRAGMA synchronous = FULL").map_err(fail)?;
    let written = insert_checkpoint(connection, id, checkpoint);
    connection.execute_batch("PRAGMA synchronous = NORMAL").map_err(fail)?;
    written.map_err(fail)?;
    remove_old(connection).map_err(|cause| failure::of_sqlite("remove old checkpoints of", path, cause))
}

fn insert_checkpoint(connection: &mut Connection, id: i64, checkpoint: &Checkpoint) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    transaction.execute("DELETE FROM checkpoints WHERE id >= ?", [id])?;
    transaction.execute("DELETE FROM checkpoint_parts WHERE id >= ?", [id])?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO checkpoint_parts VALUES (?, ?, ?, ?, ?)")?;
        for (part, (name, bytes)) in checkpoint.parts.iter().enumerate() {
            // An empty part has one empty piece, so that its name is kept.
            let pieces = bytes.chunks(PIECE_BYTES).chain(bytes.is_empty().then_some(&[][..]));
            for (piece, bytes) in pieces.enumerate() {
                insert.execute(params![id, part.cast_signed(), piece.cast_signed(), name, bytes])?;
            }
        }
    }
    let (length, checksum) = checksum::of_checkpoint(checkpoint);
    transaction.execute(
        "INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?)",
        params![
            id,
            checkpoint.manifest,
            checkpoint.parts.len().cast_signed(),
            length.cast_signed(),
            checksum.cast_signed()
        ],
    )?;
    transaction.commit()
}

/// Only after the new one is durable.
fn remove_old(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    let oldest_kept: Option<i64> = transaction
        .query_row("SELECT id FROM checkpoints ORDER BY id DESC LIMIT 1 OFFSET 1", [], |row| row.get(0))
        .optional()?;
    if let Some(id) = oldest_kept {
        transaction.execute("DELETE FROM checkpoints WHERE id < ?", [id])?;
        transaction.execute("DELETE FROM checkpoint_parts WHERE id < ?", [id])?;
    }
    transaction.commit()
}

pub(super) fn latest_checkpoint(connection: &Connection, path: &Path) -> Result<Option<Checkpoint>, StoreError> {
    let fail = |cause| failure::of_sqlite("read checkpoints of", path, cause);
    let mut ids = connection.prepare_cached("SELECT id FROM checkpoints ORDER BY id DESC").map_err(fail)?;
    let ids: Vec<i64> =
        ids.query_map([], |row| row.get(0)).and_then(Iterator::collect::<Result<_, _>>).map_err(fail)?;
    for id in ids {
        match read_checkpoint(connection, id) {
            Ok(Some(checkpoint)) => return Ok(Some(checkpoint)),
            Ok(None) => {
                tracing::warn!(store = %path.display(), id, "skipped a damaged checkpoint: its checksum is wrong");
            }
            Err(error) if is_damage(&error) => {
                tracing::warn!(store = %path.display(), id, %error, "skipped a damaged checkpoint");
            }
            Err(error) => return Err(fail(error)),
        }
    }
    Ok(None)
}

fn is_damage(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt)
        || matches!(error, rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..))
}

/// `None` if what is there is not what was written.
fn read_checkpoint(connection: &Connection, id: i64) -> rusqlite::Result<Option<Checkpoint>> {
    let (manifest, part_count, length, checksum): (Vec<u8>, i64, i64, i64) = connection.query_row(
        "SELECT manifest, parts, length, checksum FROM checkpoints WHERE id = ?",
        [id],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    )?;
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let mut statement = connection
        .prepare_cached("SELECT part, name, bytes FROM checkpoint_parts WHERE id = ? ORDER BY part, piece")?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let Ok(part) = usize::try_from(row.get::<_, i64>(0)?) else { return Ok(None) };
        let bytes = row.get_ref(2)?.as_blob()?;
        if part == parts.len() {
            parts.push((row.get(1)?, bytes.to_owned()));
        } else if part + 1 == parts.len()
            && let Some((_, whole)) = parts.last_mut()
        {
            whole.extend_from_slice(bytes);
        } else {
            return Ok(None);
        }
    }
    let checkpoint = Checkpoint { id: id.cast_unsigned(), manifest, parts };
    let whole = part_count.cast_unsigned() == checkpoint.parts.len() as u64
        && (length.cast_unsigned(), checksum.cast_unsigned()) == checksum::of_checkpoint(&checkpoint);
    Ok(whole.then_some(checkpoint))
}

pub(super) fn write_marks(connection: &mut Connection, marks: &[IdleMark]) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    {
        let mut insert = transaction.prepare_cached(
            "INSERT INTO idle_marks VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET watermark = excluded.watermark \
             WHERE excluded.watermark > idle_marks.watermark",
        )?;
        for mark in marks {
            insert.execute(params![mark.partition, mark.offset, mark.watermark_ms])?;
        }
    }
    transaction.commit()
}

pub(super) fn marks(connection: &Connection) -> rusqlite::Result<Vec<IdleMark>> {
    connection
        .prepare_cached("SELECT \"partition\", \"offset\", watermark FROM idle_marks ORDER BY 1, 2")?
        .query_map([], |row| Ok(IdleMark { partition: row.get(0)?, offset: row.get(1)?, watermark_ms: row.get(2)? }))?
        .collect()
}

pub(super) fn write_controls(connection: &mut Connection, controls: &[Control]) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    {
        let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO controls VALUES (?, ?, ?)")?;
        for control in controls {
            insert.execute(params![control.window_ms, control.id, control.body])?;
        }
    }
    transaction.commit()
}

pub(super) fn controls(connection: &Connection) -> rusqlite::Result<Vec<Control>> {
    connection
        .prepare_cached("SELECT \"window\", id, body FROM controls ORDER BY 1, 2")?
        .query_map([], |row| Ok(Control { window_ms: row.get(0)?, id: row.get(1)?, body: row.get(2)? }))?
        .collect()
}

pub(super) fn change_notices(connection: &mut Connection, kept: &[Notice], gone: &[String]) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    {
        let mut insert = transaction.prepare_cached("INSERT OR REPLACE INTO notices VALUES (?, ?)")?;
        for notice in kept {
            insert.execute(params![notice.id, notice.body])?;
        }
        let mut delete = transaction.prepare_cached("DELETE FROM notices WHERE id = ?")?;
        for id in gone {
            delete.execute([id])?;
        }
    }
    transaction.commit()
}

pub(super) fn notices(connection: &Connection) -> rusqlite::Result<Vec<Notice>> {
    connection
        .prepare_cached("SELECT id, body FROM notices ORDER BY 1")?
        .query_map([], |row| Ok(Notice { id: row.get(0)?, body: row.get(1)? }))?
        .collect()
}

/// Everything but the lease and some tables.
pub(super) fn clear(connection: &mut Connection, kept: &[&str]) -> rusqlite::Result<()> {
    let transaction = begin(connection)?;
    let tables = TABLES.iter().map(|table| table.name).chain(schema::BOOKKEEPING_TABLES);
    for table in tables.filter(|table| !kept.contains(table)) {
        transaction.execute(&format!("DELETE FROM \"{table}\""), [])?;
    }
    transaction.commit()
}
