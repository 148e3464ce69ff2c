//! The job's own tables: checkpoints, idle marks, controls and notices.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::batch::BatchValues;
use scylla::statement::Statement;
use scylla::statement::batch::{Batch, BatchType};
use scylla::value::{CqlTimestamp, CqlValue};
use std::time::{SystemTime, UNIX_EPOCH};

use super::failure::{failed, unreadable};
use super::lease;
use super::link::Link;
use crate::{Checkpoint, Control, IdleMark, Notice, StoreError, checksum};

/// The partition of all that a job keeps: a keyspace belongs to one.
pub(super) const JOB: &str = "plenum";
/// A part is stored in pieces of this size, for a row is read and written whole.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces under way at once, and of one page.
const PIECES_IN_FLIGHT: usize = 8;
const PIECES_A_PAGE: i32 = 8;

/// What stands in the table of checkpoints.
struct Head {
    id: i64,
    attempt: i64,
    parts: i32,
    manifest: Vec<u8>,
    length: i64,
    checksum: i64,
}

/// All of them, newest first. A row that is not whole was not written by this program, and is none.
async fn heads(link: &Link, action: &str) -> Result<Vec<Head>, StoreError> {
    type Columns = (Option<i64>, Option<i64>, Option<i32>, Option<Vec<u8>>, Option<i64>, Option<i64>);
    let text = format!(
        "SELECT id, attempt, parts, manifest, length, checksum FROM {} WHERE job = ? ORDER BY id DESC",
        link.table("checkpoints")
    );
    let rows = link.rows(action, text, (JOB,)).await?;
    let mut heads = Vec::new();
    for row in rows.rows::<Columns>().map_err(|error| unreadable(action, &link.place(), error))? {
        let (id, attempt, parts, manifest, length, checksum) =
            row.map_err(|error| unreadable(action, &link.place(), error))?;
        // Without an id it is the lease alone. The protocol may give an empty blob as none.
        if let (Some(id), Some(attempt), Some(parts), Some(length), Some(checksum)) =
            (id, attempt, parts, length, checksum)
        {
            heads.push(Head { id, attempt, parts, manifest: manifest.unwrap_or_default(), length, checksum });
        }
    }
    Ok(heads)
}

/// Whether a conditional write was applied.
pub(super) fn was_applied(rows: &QueryRowsResult) -> bool {
    // The first column says so; how many follow depends on the outcome.
    let first = rows.rows::<scylla::value::Row>().ok().and_then(|mut rows| rows.next()).and_then(Result::ok);
    matches!(first.as_ref().and_then(|row| row.columns.first()), Some(Some(CqlValue::Boolean(true))))
}

/// Sends a conditional batch; whether its conditions held.
pub(super) async fn applied(
    link: &Link,
    action: &str,
    batch: &Batch,
    values: impl BatchValues,
) -> Result<bool, StoreError> {
    let result = link.session.get_session().batch(batch, values).await;
    let result = result.map_err(|error| failed(action, &link.place(), error))?;
    let rows = result.into_rows_result().map_err(|error| unreadable(action, &link.place(), error))?;
    Ok(was_applied(&rows))
}

/// `epoch` is that of this handle's lease. Gives up the parts of checkpoints that are gone.
pub(super) async fn write_checkpoint(
    link: &Link,
    epoch: Option<i64>,
    checkpoint: &Checkpoint,
) -> Result<(), StoreError> {
    const ACTION: &str = "write a checkpoint to";
    let too_large = |_| StoreError::Schema {
        place: link.place(),
        problem: format!("can't hold checkpoint {}: its number or the number of its parts is too large", checkpoint.id),
    };
    let id = i64::try_from(checkpoint.id).map_err(too_large)?;
    let parts = i32::try_from(checkpoint.parts.len()).map_err(too_large)?;
    let (length, checksum) = checksum::of_checkpoint(checkpoint);
    // Tells apart the parts of this attempt and of one that was broken off; nothing else depends on it.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let attempt = i64::try_from(now.as_nanos()).unwrap_or(i64::MAX);
    write_parts(link, id, attempt, checkpoint).await?;

    let before = heads(link, ACTION).await?;
    // The last one below stays beside the new one; those above were damaged, or the job would have resumed from them.
    let kept = before.iter().find(|head| head.id < id).map(|head| head.id);
    let gone: Vec<&Head> = before.iter().filter(|head| Some(head.id) != kept).collect();
    let table = link.table("checkpoints");
    let insert = format!(
        "UPDATE {table} SET manifest = ?, parts = ?, length = ?, checksum = ?, attempt = ? WHERE job = ? AND id = ? \
         IF epoch = ?"
    );
    let delete = format!("DELETE FROM {table} WHERE job = ? AND id = ? IF epoch = ?");
    let insert = link.prepare(ACTION, &Statement::new(insert)).await?;
    let delete = link.prepare(ACTION, &Statement::new(delete)).await?;
    let epoch = match epoch {
        Some(epoch) => Some(epoch),
        None => lease::standing(link).await?.epoch,
    };
    let blob = CqlValue::Blob(checkpoint.manifest.clone());
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.append_statement(insert);
    let number = |number: i64| Some(CqlValue::BigInt(number));
    let job = || Some(CqlValue::Text(JOB.to_owned()));
    let epoch_value = epoch.map(CqlValue::BigInt);
    let mut values = vec![vec![
        Some(blob),
        Some(CqlValue::Int(parts)),
        number(length.cast_signed()),
        number(checksum.cast_signed()),
        number(attempt),
        job(),
        number(id),
        epoch_value.clone(),
    ]];
    for head in gone.iter().filter(|head| head.id != id) {
        batch.append_statement(delete.clone());
        values.push(vec![job(), number(head.id), epoch_value.clone()]);
    }
    if !applied(link, ACTION, &batch, values).await? {
        return Err(lease::lost(link).await);
    }
    for head in gone {
        remove_parts(link, head.id, head.attempt, head.parts).await?;
    }
    Ok(())
}

async fn write_parts(link: &Link, id: i64, attempt: i64, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO {} (id, attempt, part, piece, name, bytes) VALUES (?, ?, ?, ?, ?, ?)",
        link.table("checkpoint_parts")
    );
    let pieces = (0..).zip(&checkpoint.parts).flat_map(|(part, (name, bytes))| {
        // An empty part has one empty piece, so that its name is kept.
        let pieces = bytes.chunks(PIECE_BYTES).chain(bytes.is_empty().then_some(&[][..]));
        (0..).zip(pieces).map(move |(piece, bytes): (i32, &[u8])| (part, piece, name, bytes))
    });
    let sent = pieces.map(|(part, piece, name, bytes): (i32, i32, &String, &[u8])| {
        link.run("write a checkpoint to", text.as_str(), (id, attempt, part, piece, name, bytes))
    });
    stream::iter(sent).buffer_unordered(PIECES_IN_FLIGHT).try_collect::<()>().await
}

async fn remove_parts(link: &Link, id: i64, attempt: i64, parts: i32) -> Result<(), StoreError> {
    let table = link.table("checkpoint_parts");
    let text = format!("DELETE FROM {table} WHERE id = ? AND attempt = ? AND part = ?");
    let sent = (0..parts).map(|part| link.run("remove old checkpoints of", text.as_str(), (id, attempt, part)));
    stream::iter(sent).buffer_unordered(PIECES_IN_FLIGHT).try_collect::<()>().await
}

/// Removes the parts of attempts that were broken off before their checkpoint stood.
pub(super) async fn remove_orphans(link: &Link) -> Result<(), StoreError> {
    const ACTION: &str = "remove broken-off checkpoints of";
    let text = format!("SELECT DISTINCT id, attempt, part FROM {}", link.table("checkpoint_parts"));
    let found = link.rows(ACTION, text, ()).await?;
    let known = heads(link, ACTION).await?;
    for row in found.rows::<(i64, i64, i32)>().map_err(|error| unreadable(ACTION, &link.place(), error))? {
        let (id, attempt, part) = row.map_err(|error| unreadable(ACTION, &link.place(), error))?;
        if !known.iter().any(|head| (head.id, head.attempt) == (id, attempt)) {
            let table = link.table("checkpoint_parts");
            let text = format!("DELETE FROM {table} WHERE id = ? AND attempt = ? AND part = ?");
            link.run(ACTION, text, (id, attempt, part)).await?;
        }
    }
    Ok(())
}

pub(super) async fn latest_checkpoint(link: &Link) -> Result<Option<Checkpoint>, StoreError> {
    for head in heads(link, "read checkpoints of").await? {
        let id = head.id;
        match read_checkpoint(link, head).await? {
            Some(checkpoint) => return Ok(Some(checkpoint)),
            None => tracing::warn!(store = link.place(), id, "skipped a damaged checkpoint: its checksum is wrong"),
        }
    }
    Ok(None)
}

/// `None` if what is there is not what was written.
async fn read_checkpoint(link: &Link, head: Head) -> Result<Option<Checkpoint>, StoreError> {
    const ACTION: &str = "read checkpoints of";
    let text =
        format!("SELECT name, bytes FROM {} WHERE id = ? AND attempt = ? AND part = ?", link.table("checkpoint_parts"));
    let mut statement = Statement::new(text).with_page_size(PIECES_A_PAGE);
    statement.set_is_idempotent(true);
    let statement = link.prepare(ACTION, &statement).await?;
    let mut parts = Vec::new();
    for part in 0..head.parts {
        let mut whole: Option<(String, Vec<u8>)> = None;
        let mut from = Some(PagingState::start());
        while let Some(state) = from.take() {
            let (page, next) = link.page(ACTION, &statement, (head.id, head.attempt, part), state).await?;
            let rows = page.rows::<(Option<String>, Option<Vec<u8>>)>();
            for row in rows.map_err(|error| unreadable(ACTION, &link.place(), error))? {
                let (name, bytes) = row.map_err(|error| unreadable(ACTION, &link.place(), error))?;
                let (_, all) = whole.get_or_insert_with(|| (name.unwrap_or_default(), Vec::new()));
                all.extend(bytes.unwrap_or_default());
            }
            from = next;
        }
        let Some(whole) = whole else { return Ok(None) };
        parts.push(whole);
    }
    let checkpoint = Checkpoint { id: head.id.cast_unsigned(), manifest: head.manifest, parts };
    let whole = (head.length.cast_unsigned(), head.checksum.cast_unsigned()) == checksum::of_checkpoint(&checkpoint);
    Ok(whole.then_some(checkpoint))
}

/// The watermark is the time of writing too, so the higher one wins.
pub(super) async fn write_marks(link: &Link, marks: &[IdleMark]) -> Result<(), StoreError> {
    let text = format!(
        "INSERT INTO {} (job, \"partition\", \"offset\", watermark) VALUES (?, ?, ?, ?) USING TIMESTAMP ?",
        link.table("idle_marks")
    );
    let sent = marks.iter().map(|mark| {
        let written_us = model::Version::window(mark.watermark_ms).us();
        let values = (JOB, mark.partition.cast_signed(), mark.offset, mark.watermark_ms, written_us);
        link.run("write idle marks to", text.as_str(), values)
    });
    stream::iter(sent).buffer_unordered(PIECES_IN_FLIGHT).try_collect::<()>().await
}

pub(super) async fn marks(link: &Link) -> Result<Vec<IdleMark>, StoreError> {
    let text = format!("SELECT \"partition\", \"offset\", watermark FROM {} WHERE job = ?", link.table("idle_marks"));
    let mut marks = Vec::new();
    each(link, "read idle marks of", text, |(partition, offset, watermark_ms): (i32, i64, i64)| {
        marks.push(IdleMark { partition: partition.cast_unsigned(), offset, watermark_ms });
    })
    .await?;
    marks.sort();
    Ok(marks)
}

pub(super) async fn write_controls(link: &Link, controls: &[Control]) -> Result<(), StoreError> {
    let text = format!("INSERT INTO {} (job, \"window\", id, body) VALUES (?, ?, ?, ?)", link.table("controls"));
    for control in controls {
        let values = (JOB, CqlTimestamp(control.window_ms), &control.id, &control.body);
        link.run("write controls to", text.as_str(), values).await?;
    }
    Ok(())
}

pub(super) async fn controls(link: &Link) -> Result<Vec<Control>, StoreError> {
    let text = format!("SELECT \"window\", id, body FROM {} WHERE job = ?", link.table("controls"));
    let mut controls = Vec::new();
    each(link, "read controls of", text, |(window, id, body): (CqlTimestamp, String, Option<Vec<u8>>)| {
        controls.push(Control { window_ms: window.0, id, body: body.unwrap_or_default() });
    })
    .await?;
    Ok(controls)
}

/// One batch within one partition: the servers do all of it or nothing.
pub(super) async fn change_notices(link: &Link, kept: &[Notice], gone: &[String]) -> Result<(), StoreError> {
    const ACTION: &str = "write notices to";
    let table = link.table("notices");
    let insert = Statement::new(format!("INSERT INTO {table} (job, id, body) VALUES (?, ?, ?)"));
    let insert = link.prepare(ACTION, &insert).await?;
    let delete = link.prepare(ACTION, &Statement::new(format!("DELETE FROM {table} WHERE job = ? AND id = ?"))).await?;
    let mut batch = Batch::new(BatchType::Unlogged);
    batch.set_is_idempotent(true);
    let text = |text: &str| Some(CqlValue::Text(text.to_owned()));
    let mut values = Vec::new();
    for notice in kept {
        batch.append_statement(insert.clone());
        values.push(vec![text(JOB), text(&notice.id), Some(CqlValue::Blob(notice.body.clone()))]);
    }
    for id in gone {
        batch.append_statement(delete.clone());
        values.push(vec![text(JOB), text(id)]);
    }
    if values.is_empty() {
        return Ok(());
    }
    let result = link.session.get_session().batch(&batch, values).await;
    result.map(drop).map_err(|error| failed(ACTION, &link.place(), error))
}

pub(super) async fn notices(link: &Link) -> Result<Vec<Notice>, StoreError> {
    let text = format!("SELECT id, body FROM {} WHERE job = ?", link.table("notices"));
    let mut notices = Vec::new();
    each(link, "read notices of", text, |(id, body): (String, Option<Vec<u8>>)| {
        notices.push(Notice { id, body: body.unwrap_or_default() });
    })
    .await?;
    Ok(notices)
}

/// Reads the job's partition of a table by the page.
async fn each<R>(link: &Link, action: &str, text: String, mut each: impl FnMut(R)) -> Result<(), StoreError>
where
    R: for<'a> scylla::deserialize::row::DeserializeRow<'a, 'a>,
{
    let mut statement = Statement::new(text).with_page_size(1_000);
    statement.set_is_idempotent(true);
    let statement = link.prepare(action, &statement).await?;
    let mut from = Some(PagingState::start());
    while let Some(state) = from.take() {
        let (page, next) = link.page(action, &statement, (JOB,), state).await?;
        for row in page.rows::<R>().map_err(|error| unreadable(action, &link.place(), error))? {
            each(row.map_err(|error| unreadable(action, &link.place(), error))?);
        }
        from = next;
    }
    Ok(())
}

/// Removes all of them; the lease stays.
pub(super) async fn clear(link: &Link, epoch: i64) -> Result<(), StoreError> {
    const ACTION: &str = "clear";
    let text = format!("DELETE FROM {} WHERE job = ? AND id = ? IF epoch = ?", link.table("checkpoints"));
    for head in heads(link, ACTION).await? {
        if !was_applied(&link.rows(ACTION, text.as_str(), (JOB, head.id, epoch)).await?) {
            return Err(lease::lost(link).await);
        }
    }
    Ok(())
}
