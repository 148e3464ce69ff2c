//! The keyspace as it is found: looked at, made, and dropped.

use std::time::Duration;

use scylla::statement::Statement;

use super::dialect::Dialect;
use super::failure::unreadable;
use super::link::Link;
use super::schema::{self, Columns, Differences, Found};
use crate::StoreError;

const CHANGE: &str = "change the schema of";
/// Making, dropping or emptying a table waits until all nodes have done so.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);

/// Whose servers these are.
pub(super) async fn dialect(link: &Link) -> Result<Dialect, StoreError> {
    let rows = link.rows("ask for the servers of", Dialect::DETECT, ()).await?;
    Ok(if rows.rows_num() > 0 { Dialect::ScyllaDb } else { Dialect::Cassandra })
}

async fn exists(link: &Link) -> Result<bool, StoreError> {
    let statement = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
    let rows = link.rows("look for", statement, (&link.address.keyspace,)).await?;
    Ok(rows.rows_num() > 0)
}

/// Where the tables differ from what the job writes; `None` if there is no such keyspace.
pub(super) async fn differences(link: &Link) -> Result<Option<Differences>, StoreError> {
    const ACTION: &str = "read the schema of";
    if !exists(link).await? {
        return Ok(None);
    }
    let statement = "SELECT table_name, column_name, kind, position, clustering_order, type \
                     FROM system_schema.columns WHERE keyspace_name = ?";
    let rows = link.rows(ACTION, statement, (&link.address.keyspace,)).await?;
    let wrong = |error: Box<dyn std::error::Error + Send + Sync>| unreadable(ACTION, &link.place(), error);
    let mut columns = Columns::new();
    for row in rows.rows::<(String, String, String, i32, String, String)>().map_err(|error| wrong(error.into()))? {
        let (table, column, role, position, order, kind) = row.map_err(|error| wrong(error.into()))?;
        columns.entry(table).or_default().insert(column, Found { role, position, order, kind });
    }
    Ok(Some(schema::differences(&columns)))
}

/// Refuses tables that are not what the job writes.
pub(super) async fn check(link: &Link) -> Result<(), StoreError> {
    let problem = match differences(link).await? {
        None => "does not exist".to_owned(),
        Some(differences) => match differences.words().as_slice() {
            [] => return Ok(()),
            words => words.join("; "),
        },
    };
    let help =
        "`dataflow store schema create` makes what is missing, and what differs has to be changed or dropped by hand";
    Err(StoreError::Schema { place: link.place(), problem: format!("{problem}; {help}") })
}

/// Makes what is missing, and says what it made. What is there already is never changed, only added to.
pub(super) async fn create(link: &Link) -> Result<Vec<String>, StoreError> {
    let before = differences(link).await?;
    match &before {
        Some(differences) if !differences.wrong.is_empty() => check(link).await?,
        Some(differences) if differences.words().is_empty() => return Ok(Vec::new()),
        _ => {}
    }
    for statement in statements(link).await? {
        match change(link, CHANGE, &statement.text).await {
            Err(error) if statement.optional => {
                tracing::warn!(store = link.place(), %error, "made no index of vectors: only this job's own search works");
            }
            other => other?,
        }
    }
    let Some(before) = before else { return Ok(vec![format!("keyspace {:?}", link.address.keyspace)]) };
    for (table, column, kind) in &before.missing_columns {
        change(link, CHANGE, &format!("ALTER TABLE {} ADD \"{column}\" {kind}", link.table(table))).await?;
    }
    check(link).await?;
    let tables = before.missing_tables.iter().map(|table| format!("table {table:?}"));
    let columns =
        before.missing_columns.iter().map(|(table, column, _)| format!("column {column:?} of table {table:?}"));
    Ok(tables.chain(columns).collect())
}

/// The statements that make everything, for this address and these servers.
pub(super) async fn statements(link: &Link) -> Result<Vec<schema::Statement>, StoreError> {
    let datacenter = match &link.address.datacenter {
        Some(datacenter) => datacenter.clone(),
        None => datacenter(link).await?,
    };
    Ok(schema::statements(&link.address, dialect(link).await?, &datacenter))
}

/// The datacentre of the node that answers.
async fn datacenter(link: &Link) -> Result<String, StoreError> {
    const ACTION: &str = "ask for the datacentre of";
    let rows = link.rows(ACTION, "SELECT data_center FROM system.local", ()).await?;
    let first = rows.first_row::<(String,)>();
    first.map(|(name,)| name).map_err(|error| unreadable(ACTION, &link.place(), error))
}

/// Removes the keyspace with everything in it; whether there was one.
pub(super) async fn drop_all(link: &Link) -> Result<bool, StoreError> {
    let existed = exists(link).await?;
    if existed {
        change(link, CHANGE, &format!("DROP KEYSPACE IF EXISTS \"{}\"", link.address.keyspace)).await?;
    }
    Ok(existed)
}

/// Sends a statement that all nodes have to agree on.
pub(super) async fn change(link: &Link, action: &str, text: &str) -> Result<(), StoreError> {
    let mut statement = Statement::new(text);
    statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
    statement.set_is_idempotent(true);
    let done = link.session.get_session().query_unpaged(statement, ()).await;
    done.map(drop).map_err(|error| super::failure::failed(action, &link.place(), error))
}
