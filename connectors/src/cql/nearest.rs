//! The distinct states nearest to a vector, by the servers' index.

use model::Value;
use model::tables::TableId;
use scylla::statement::{Consistency, Statement};

use super::bind::Keys;
use super::failure::unreadable;
use super::link::Link;
use crate::StoreError;
use crate::nearest::{cosine, keep_nearest};

/// The servers give no more.
const MOST_ROWS: usize = 1_000;

/// The index knows nothing of methods, so that it is asked for more than is wanted. `None`: vectors of other methods may
/// have crowded out some of this one.
pub(super) async fn nearest(
    link: &Link,
    method: &str,
    vector: &[f32],
    limit: usize,
) -> Result<Option<Vec<(i64, f64)>>, StoreError> {
    const ACTION: &str = "search by vector in";
    let table = TableId::StateVectors.table();
    let rows = limit.saturating_mul(4).clamp(1, MOST_ROWS);
    let text = format!(
        "SELECT embedding_method, vector_id, embedding FROM {} ORDER BY embedding ANN OF ? LIMIT {rows}",
        link.table(table.name)
    );
    let mut statement = Statement::new(text).with_page_size(i32::try_from(rows).unwrap_or(i32::MAX));
    // Such searches have no other.
    statement.set_consistency(Consistency::LocalOne);
    let query = [Value::Vector(vector.to_vec())];
    let columns = &table.columns[table.key_columns..][..1];
    let answer = link.rows(ACTION, statement, Keys { columns, values: &query }).await?;
    let wrong = |error| unreadable(ACTION, &link.place(), error);
    let mut found = Vec::new();
    let mut seen = 0;
    let answer = answer.rows::<(String, i64, Vec<f32>)>().map_err(|error| wrong(crate::error::Cause::from(error)))?;
    for row in answer {
        let (of_method, id, other) = row.map_err(|error| wrong(error.into()))?;
        seen += 1;
        if of_method == method {
            found.push((id, cosine(vector, &other)));
        }
    }
    let complete = seen < rows || found.len() >= limit;
    keep_nearest(&mut found, limit);
    Ok(complete.then_some(found))
}
