//! Rows out, in key order. The servers keep partitions in the order of their hashes, so their keys are listed and sorted
//! first (some hundred bytes each), and then read one after the other, a few ahead.

use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};
use std::time::Duration;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use model::tables::{Column, Table, TableId};
use model::{Row, Value};
use scylla::response::PagingState;
use scylla::response::query_result::QueryRowsResult;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

use super::bind::{Keys, Raw};
use super::failure::unreadable;
use super::link::Link;
use super::schema;
use crate::StoreError;

/// Rows of a page; with a vector each some megabyte.
const PAGE_ROWS: i32 = 500;
/// Keys of a page.
const PAGE_KEYS: i32 = 5_000;
/// Partitions whose first page is fetched at once: those with many rows, and single rows.
const AHEAD: usize = 8;
const AHEAD_SINGLE: usize = 128;
/// A table is counted in so many ranges, so that none takes too long, a few of them at once.
const COUNT_RANGES: i128 = 64;
const COUNT_IN_FLIGHT: usize = 4;
const COUNT_TIMEOUT: Duration = Duration::from_secs(120);

/// Table, then partition key.
pub(super) fn partition_order(a: &Row, b: &Row) -> Ordering {
    let columns = a.table().partition_columns;
    a.table.cmp(&b.table).then_with(|| order(&a.values[..columns], &b.values[..columns]))
}

fn order(a: &[Value], b: &[Value]) -> Ordering {
    a.iter().zip(b).map(|(a, b)| a.key_order(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// A table, and how its rows are read.
struct Scan<'a> {
    link: &'a Link,
    table: &'static Table,
    action: String,
    /// Columns of the values that a statement is given.
    columns: Vec<Column>,
}

pub(super) async fn scan(
    link: &Link,
    table: TableId,
    prefix: &[Value],
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let table = table.table();
    let scan = Scan::new(link, table);
    let rows = scan.rows_statement(prefix.len().max(table.partition_columns), false).await?;
    if prefix.len() >= table.partition_columns {
        return scan.partitions(&rows, &[prefix.to_vec()], each).await.map(drop);
    }
    let mut keys = scan.partition_keys(prefix).await?;
    keys.sort_by(|a, b| order(a, b));
    let ahead = if table.partition_columns == table.key_columns { AHEAD_SINGLE } else { AHEAD };
    for keys in keys.chunks(ahead) {
        if scan.partitions(&rows, keys, each).await?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Rows of one partition whose key column behind the prefix lies in a range; the servers look nowhere else.
pub(super) async fn scan_range(
    link: &Link,
    table: TableId,
    prefix: &[Value],
    range: Range<i64>,
    each: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let table = table.table();
    let (known, next) = (&table.columns[..prefix.len()], table.columns[prefix.len()]);
    let scan = Scan { columns: [known, &[next, next]].concat(), ..Scan::new(link, table) };
    let rows = scan.rows_statement(prefix.len(), true).await?;
    let values = [prefix, &[Value::Int(range.start), Value::Int(range.end)]].concat();
    scan.partitions(&rows, &[values], each).await.map(drop)
}

/// Rows by their whole keys, many at a time.
pub(super) async fn find(link: &Link, table: TableId, keys: &[Vec<Value>]) -> Result<Vec<Row>, StoreError> {
    let table = table.table();
    let scan = Scan::new(link, table);
    let statement = scan.rows_statement(table.key_columns, false).await?;
    let mut found = Vec::new();
    for keys in keys.chunks(AHEAD_SINGLE) {
        let each = &mut |row| {
            found.push(row);
            ControlFlow::Continue(())
        };
        // `each` never breaks.
        let _ = scan.partitions(&statement, keys, each).await?;
    }
    Ok(found)
}

impl<'a> Scan<'a> {
    fn new(link: &'a Link, table: &'static Table) -> Self {
        Scan { link, table, action: format!("read table {:?} of", table.name), columns: table.columns.to_vec() }
    }

    /// Selects rows whose leading key columns are given; `ranged`: the next one between two ends.
    async fn rows_statement(&self, keys: usize, ranged: bool) -> Result<PreparedStatement, StoreError> {
        let layout = schema::layout(self.table.id);
        let mut conditions: Vec<String> =
            self.table.columns[..keys].iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
        if ranged {
            conditions.push(format!("\"{0}\" >= ? AND \"{0}\" < ?", self.table.columns[keys].name));
        }
        let mut text = format!(
            "SELECT {}, writetime(\"{}\") FROM {} WHERE {}",
            schema::names(self.table.columns),
            layout.version_column,
            self.link.table(self.table.name),
            conditions.join(" AND ")
        );
        if layout.newest_first {
            // Backwards, that is with the oldest first.
            text += &format!(" ORDER BY \"{}\" ASC", self.table.columns[self.table.partition_columns].name);
        }
        self.prepare(text, PAGE_ROWS).await
    }

    async fn prepare(&self, text: String, page: i32) -> Result<PreparedStatement, StoreError> {
        let mut statement = Statement::new(text).with_page_size(page);
        statement.set_is_idempotent(true);
        self.link.prepare(&self.action, &statement).await
    }

    /// Keys of all partitions that begin with the prefix, unsorted.
    async fn partition_keys(&self, prefix: &[Value]) -> Result<Vec<Vec<Value>>, StoreError> {
        let columns = &self.table.columns[..self.table.partition_columns];
        let text = format!("SELECT DISTINCT {} FROM {}", schema::names(columns), self.link.table(self.table.name));
        let statement = self.prepare(text, PAGE_KEYS).await?;
        let mut keys = Vec::new();
        let mut from = Some(PagingState::start());
        while let Some(state) = from.take() {
            let (page, next) = self.link.page(&self.action, &statement, (), state).await?;
            self.each_raw(&page, |raw| {
                let key = raw.values(columns, columns.len())?;
                keys.extend(key.filter(|key| order(key, prefix).is_eq()));
                Ok(())
            })?;
            from = next;
        }
        Ok(keys)
    }

    fn each_raw(
        &self,
        page: &QueryRowsResult,
        mut each: impl FnMut(&Raw<'_>) -> Result<(), super::bind::Problem>,
    ) -> Result<(), StoreError> {
        let wrong = |cause: crate::error::Cause| unreadable(self.action.clone(), &self.link.place(), cause);
        for raw in page.rows::<Raw<'_>>().map_err(|error| wrong(error.into()))? {
            let raw = raw.map_err(|error| wrong(error.into()))?;
            each(&raw).map_err(|(column, problem)| wrong(format!("column {column:?} {problem}").into()))?;
        }
        Ok(())
    }

    /// Hands over the rows of some partitions one after the other; their first pages are fetched together.
    async fn partitions(
        &self,
        statement: &PreparedStatement,
        keys: &[Vec<Value>],
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let page = |key, from| {
            let values = Keys { columns: &self.columns, values: key };
            self.link.page(&self.action, statement, values, from)
        };
        let first = try_join_all(keys.iter().map(|key| page(key, PagingState::start()))).await?;
        for (key, (mut rows, mut next)) in keys.iter().zip(first) {
            let mut waiting = Waiting::new(self.table);
            loop {
                let mut flow = ControlFlow::Continue(());
                self.each_raw(&rows, |raw| {
                    if let (Some(row), true) = (raw.row(self.table.id)?, flow.is_continue()) {
                        flow = waiting.push(row, each);
                    }
                    Ok(())
                })?;
                if flow.is_break() {
                    return Ok(flow);
                }
                let Some(state) = next.take() else { break };
                (rows, next) = page(key, state).await?;
            }
            if waiting.hand_over(each).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Rows of a partition that came backwards: those with one time wait until all of them are there. Incidents come in the
/// order of the times in their ids, which is not that of the ids' bytes, so all of a day wait.
struct Waiting {
    rows: Vec<Row>,
    /// Where the first clustering column is.
    at: usize,
    backwards: bool,
    whole: bool,
}

impl Waiting {
    fn new(table: &Table) -> Self {
        Waiting {
            rows: Vec::new(),
            at: table.partition_columns,
            backwards: schema::layout(table.id).newest_first,
            whole: table.id == TableId::AnomalyEvents,
        }
    }

    fn push(&mut self, row: Row, each: &mut dyn FnMut(Row) -> ControlFlow<()>) -> ControlFlow<()> {
        if !self.backwards {
            return each(row);
        }
        let other_time = self.rows.last().is_some_and(|last| last.values[self.at] != row.values[self.at]);
        if other_time && !self.whole {
            self.hand_over(each)?;
        }
        self.rows.push(row);
        ControlFlow::Continue(())
    }

    fn hand_over(&mut self, each: &mut dyn FnMut(Row) -> ControlFlow<()>) -> ControlFlow<()> {
        self.rows.sort_by(|a, b| order(a.key(), b.key()));
        self.rows.drain(..).try_for_each(each)
    }
}

pub(super) async fn count(link: &Link, table: TableId) -> Result<u64, StoreError> {
    let table = table.table();
    let action = format!("count table {:?} of", table.name);
    let partition = schema::names(&table.columns[..table.partition_columns]);
    // A partition that has only static columns left is no row.
    let counted = match table.columns[table.partition_columns..table.key_columns].first() {
        Some(column) => format!("\"{}\"", column.name),
        None => "*".to_owned(),
    };
    let text = format!(
        "SELECT count({counted}) FROM {} WHERE token({partition}) >= ? AND token({partition}) <= ?",
        link.table(table.name)
    );
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(COUNT_TIMEOUT));
    let counts = (0..COUNT_RANGES).map(|range| {
        let edge = |range: i128| i128::from(i64::MIN) + (range << 64) / COUNT_RANGES;
        let (from, to) = (edge(range), edge(range + 1) - 1);
        let range = (i64::try_from(from).expect("a token"), i64::try_from(to).expect("a token"));
        let (action, statement) = (&action, statement.clone());
        async move {
            let rows = link.rows(action, statement, range).await?;
            let (count,) =
                rows.first_row::<(i64,)>().map_err(|error| unreadable(action.as_str(), &link.place(), error))?;
            Ok::<u64, StoreError>(count.cast_unsigned())
        }
    });
    stream::iter(counts)
        .buffer_unordered(COUNT_IN_FLIGHT)
        .try_fold(0, |sum, count| async move { Ok(sum + count) })
        .await
}
