//! Rows in: one batch a partition, many at a time.

use std::collections::HashMap;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use model::tables::{TABLES, Table, TableId};
use model::{Row, Value, Version};
use scylla::errors::ExecutionError;
use scylla::statement::Statement;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;

use super::bind::{Cells, Removal};
use super::failure::{self, Meaning, failed};
use super::link::Link;
use super::schema::{self, Layout};
use super::{keyspace, scan};
use crate::{StoreError, refused};

/// Rows of one partition in a batch, and their size as the row counts it; the servers take some megabytes.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 128 << 10;
/// Batches under way at once.
const IN_FLIGHT: usize = 128;
/// Places and vectors that are remembered; when there are more, each is written once more.
const KEPT: usize = 200_000;
/// Rows that the servers may refuse in the life of a job; so many are no matter of single rows.
const MOST_REFUSED: u64 = 10_000;
/// Static columns are written again when a row is so much newer, in powers of two of a microsecond: 16.8 s.
const STATIC_BLOCK_BITS: u32 = 24;

/// Writes rows and remembers what need not be written again.
pub(super) struct Writer {
    /// By [`TableId`].
    tables: Vec<Inserts>,
    places: HashMap<(TableId, Vec<String>), Written>,
    /// Distinct states by method and number. A state that occurs again comes with its vector again, which is the same, and
    /// to put a vector into an index costs the servers some milliseconds.
    vectors: HashMap<(String, i64), Version>,
    /// Rows that the servers would not have.
    refused: u64,
}

/// A row that the servers refuse for good, with their words.
type Refused<'a> = (&'a Row, ExecutionError);

/// How a table's rows are written.
struct Inserts {
    table: &'static Table,
    layout: Layout,
    /// All columns.
    whole: Insert,
    /// Without the static ones; `None` where there are none.
    lean: Option<Insert>,
}

struct Insert {
    statement: PreparedStatement,
    columns: Vec<usize>,
}

impl Insert {
    fn cells<'a>(&'a self, row: &'a Row, layout: &'a Layout) -> Cells<'a> {
        Cells { row, columns: &self.columns, layout }
    }
}

/// The newest place of a device's day that is written: static columns hold the place of the highest version, and need no
/// write where that changes nothing.
#[derive(Clone)]
struct Written {
    block: i64,
    values: Vec<Value>,
}

impl Writer {
    pub(super) async fn prepare(link: &Link) -> Result<Self, StoreError> {
        let tables = stream::iter(TABLES).then(|table| inserts(link, table)).try_collect().await?;
        Ok(Writer { tables, places: HashMap::new(), vectors: HashMap::new(), refused: 0 })
    }

    /// Writes rows that were found good; all may be written again if one of them fails.
    pub(super) async fn write(&mut self, link: &Link, rows: &[Row]) -> Result<(), StoreError> {
        let mut order: Vec<&Row> = rows.iter().collect();
        order.sort_by(|a, b| scan::partition_order(a, b));
        let mut places = Vec::new();
        let mut vectors = Vec::new();
        let mut batches = Vec::new();
        for mut rows in order.chunk_by(|a, b| scan::partition_order(a, b).is_eq()) {
            if let Some(key) = vector_key(rows[0]) {
                // All of them have one key.
                let newest = (0..rows.len()).max_by_key(|at| rows[*at].version).unwrap_or(0);
                rows = &rows[newest..=newest];
                if self.vectors.get(&key).is_some_and(|written| rows[0].version <= *written) {
                    continue;
                }
                vectors.push((key, rows[0].version));
            }
            let inserts = &self.tables[rows[0].table as usize];
            let key = &rows[0].key()[..inserts.table.partition_columns];
            let mut place = inserts.lean.is_some().then(|| {
                let texts = key.iter().filter_map(Value::as_text).map(str::to_owned);
                let key = (rows[0].table, texts.collect());
                (self.places.get(&key).cloned(), key)
            });
            let mut batch = Vec::new();
            let mut bytes = 0;
            for row in rows {
                let whole = place.as_mut().is_none_or(|(written, _)| inserts.is_news(row, written));
                let insert = if whole { &inserts.whole } else { inserts.lean.as_ref().unwrap_or(&inserts.whole) };
                bytes += row.size_bytes();
                if !batch.is_empty() && (batch.len() == BATCH_ROWS || bytes > BATCH_BYTES) {
                    batches.push(std::mem::take(&mut batch));
                    bytes = row.size_bytes();
                }
                batch.push((insert, *row));
            }
            batches.push(batch);
            places.extend(place);
        }
        let sent = batches.into_iter().map(|batch| self.send(link, batch));
        let refused: Vec<Vec<Refused<'_>>> = stream::iter(sent).buffer_unordered(IN_FLIGHT).try_collect().await?;
        let refused: Vec<Refused<'_>> = refused.into_iter().flatten().collect();
        if !refused.is_empty() {
            // What is remembered as written would have to leave them out.
            return self.keep(link, &refused).await;
        }
        // Only now are they durable.
        if self.places.len() + places.len() > KEPT {
            self.places.clear();
        }
        if self.vectors.len() + vectors.len() > KEPT {
            self.vectors.clear();
        }
        self.places.extend(places.into_iter().filter_map(|(written, key)| Some((key, written?))));
        self.vectors.extend(vectors);
        Ok(())
    }

    /// Removes rows, but for what has a higher version.
    pub(super) async fn remove(&mut self, link: &Link, rows: &[Row]) -> Result<(), StoreError> {
        self.vectors.clear();
        let statements: Vec<String> = TABLES.iter().map(|table| removal(link, table)).collect();
        let sent = rows.iter().map(|row| {
            let statement = statements[row.table as usize].as_str();
            link.run("remove rows of", statement, Removal(row))
        });
        stream::iter(sent).buffer_unordered(IN_FLIGHT).try_collect().await
    }

    /// Rows of one partition; gives those back that the servers refuse.
    async fn send<'a>(&self, link: &Link, rows: Vec<(&Insert, &'a Row)>) -> Result<Vec<Refused<'a>>, StoreError> {
        let error = match self.try_send(link, &rows).await {
            Ok(()) => return Ok(Vec::new()),
            Err(error) if failure::of_execution(&error) == Meaning::Refused => error,
            Err(error) => return Err(failed(writing(rows[0].1), &link.place(), error)),
        };
        if let [(_, row)] = rows[..] {
            return Ok(vec![(row, error)]);
        }
        // One by one, each with the static columns, for one that had them may be refused.
        let mut refused = Vec::new();
        for (_, row) in rows {
            let whole = &self.tables[row.table as usize].whole;
            match self.try_send(link, &[(whole, row)]).await {
                Ok(()) => {}
                Err(error) if failure::of_execution(&error) == Meaning::Refused => refused.push((row, error)),
                Err(error) => return Err(failed(writing(row), &link.place(), error)),
            }
        }
        Ok(refused)
    }

    /// Keeps refused rows as dead letters of the store, if it is the rows that are refused and not the tables.
    async fn keep(&mut self, link: &Link, refused: &[Refused<'_>]) -> Result<(), StoreError> {
        keyspace::check(link).await?;
        let letters = &self.tables[TableId::DeadLetters as usize].whole;
        for (row, error) in refused {
            let letter = refused::letter(row, &error.to_string());
            let kept = match self.refused == MOST_REFUSED {
                true => Err(error.clone()),
                false => self.try_send(link, &[(letters, &letter)]).await,
            };
            kept.map_err(|error| {
                let (key, table, earlier) = (refused::key(row), row.table().name, self.refused);
                let action = format!("write the row with {key} to table {table:?}, after {earlier} refused rows, of");
                failed(action, &link.place(), error)
            })?;
            self.refused += 1;
            crate::counts::ROWS_REFUSED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (table, detail) = (row.table().name, letter.value("detail").as_text());
            tracing::warn!(table, detail, "the servers refuse a row; it is kept as a dead letter of the store");
        }
        Ok(())
    }

    async fn try_send(&self, link: &Link, rows: &[(&Insert, &Row)]) -> Result<(), ExecutionError> {
        let layout = &self.tables[rows[0].1.table as usize].layout;
        let session = link.session.get_session();
        let done = match rows {
            [(insert, row)] => session.execute_unpaged(&insert.statement, insert.cells(row, layout)).await,
            rows => {
                let statements =
                    rows.iter().map(|(insert, _)| BatchStatement::PreparedStatement(insert.statement.clone()));
                let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements.collect());
                batch.set_is_idempotent(true);
                let values: Vec<Cells<'_>> = rows.iter().map(|(insert, row)| insert.cells(row, layout)).collect();
                session.batch(&batch, values).await
            }
        };
        done.map(drop)
    }
}

fn writing(row: &Row) -> String {
    format!("write table {:?} of", row.table().name)
}

fn vector_key(row: &Row) -> Option<(String, i64)> {
    match (row.table, row.key()) {
        (TableId::StateVectors, [Value::Text(method), Value::Int(id)]) => Some((method.clone(), *id)),
        _ => None,
    }
}

fn removal(link: &Link, table: &Table) -> String {
    let keys = table.columns[..table.key_columns].iter();
    let conditions: Vec<String> = keys.map(|column| format!("\"{}\" = ?", column.name)).collect();
    format!("DELETE FROM {} USING TIMESTAMP ? WHERE {}", link.table(table.name), conditions.join(" AND "))
}

impl Inserts {
    /// Whether a row's static columns have to be written; they count as written then. Of two places within one block the
    /// higher version wins on the server.
    fn is_news(&self, row: &Row, written: &mut Option<Written>) -> bool {
        let block = row.version.us() >> STATIC_BLOCK_BITS;
        let values = || self.layout.static_columns(self.table).map(|at| &row.values[at]);
        let known = written
            .as_ref()
            .is_some_and(|written| block < written.block || (block == written.block && values().eq(&written.values)));
        if !known {
            *written = Some(Written { block, values: values().cloned().collect() });
        }
        !known
    }
}

async fn inserts(link: &Link, table: &'static Table) -> Result<Inserts, StoreError> {
    let layout = schema::layout(table.id);
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let statics: Vec<usize> = layout.static_columns(table).collect();
    let lean: Vec<usize> = all.iter().copied().filter(|at| !statics.contains(at)).collect();
    let whole = insert(link, table, all).await?;
    let lean = if statics.is_empty() { None } else { Some(insert(link, table, lean).await?) };
    Ok(Inserts { table, layout, whole, lean })
}

async fn insert(link: &Link, table: &'static Table, columns: Vec<usize>) -> Result<Insert, StoreError> {
    let names = schema::names(columns.iter().map(|at| &table.columns[*at]));
    let places = vec!["?"; columns.len()].join(", ");
    let text = format!("INSERT INTO {} ({names}) VALUES ({places}) USING TIMESTAMP ?", link.table(table.name));
    let mut statement = Statement::new(text);
    statement.set_is_idempotent(true);
    Ok(Insert { statement: link.prepare("write to", &statement).await?, columns })
}
