//! Rows that the servers of a store refuse for good (too large, not allowed). Each is kept with the reason as a dead letter of
//! the store itself: its topic is `store:` and the name of the row's table, which no topic of Kafka can be called, and its
//! offset a hash of the row's key, so that the same row is one dead letter however often it is written.

use std::ops::ControlFlow;

use model::hash::hash_text;
use model::tables::{TABLES, TableId};
use model::{Row, Value};

use crate::{Store, StoreError};

/// What stands as the reason of such a dead letter.
pub const REASON: &str = "row_refused";

/// Bytes that are kept of a row, of each of its texts and blobs, and of what the servers said.
const ROW_LONGEST: usize = 64 << 10;
const VALUE_LONGEST: usize = 8 << 10;
const WORDS_LONGEST: usize = 4 << 10;

fn topic(table: &str) -> String {
    format!("store:{table}")
}

/// A row's key as text.
pub(crate) fn key(row: &Row) -> String {
    let keys = row.table().columns.iter().zip(row.key());
    let keys: Vec<String> =
        keys.map(|(column, value)| format!("{} = {}", column.name, value.to_json(column.kind))).collect();
    keys.join(", ")
}

/// The dead letter of a row, with the beginning of what it held, in the row's version.
pub(crate) fn letter(row: &Row, why: &str) -> Row {
    let key = key(row);
    let columns = row.table().columns.iter().zip(&row.values);
    let content: serde_json::Map<String, serde_json::Value> =
        columns.map(|(column, value)| (column.name.to_owned(), beginning(value).to_json(column.kind))).collect();
    let content = serde_json::Value::from(content).to_string();
    let detail = format!("{}: {}", cut(&key, WORDS_LONGEST), cut(why, WORDS_LONGEST));
    let values = vec![
        Value::Text(topic(row.table().name)),
        Value::Int(0),
        Value::Int(hash_text(&key).cast_signed()),
        Value::Text(REASON.to_owned()),
        Value::Text(detail),
        Value::Blob(cut(&content, ROW_LONGEST).as_bytes().to_vec()),
        Value::Int(row.version.us().div_euclid(1_000)),
    ];
    Row { table: TableId::DeadLetters, version: row.version, values }
}

fn beginning(value: &Value) -> Value {
    match value {
        Value::Text(text) => Value::Text(cut(text, VALUE_LONGEST).to_owned()),
        Value::Blob(bytes) => Value::Blob(bytes[..bytes.len().min(VALUE_LONGEST)].to_vec()),
        other => other.clone(),
    }
}

/// The beginning of a text.
fn cut(text: &str, longest: usize) -> &str {
    let mut end = text.len().min(longest);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// How many rows a store's servers have refused.
///
/// # Errors
/// If the store fails.
pub fn count(store: &mut dyn Store) -> Result<u64, StoreError> {
    let mut count = 0;
    for table in TABLES {
        store.scan(TableId::DeadLetters, &[Value::Text(topic(table.name)), Value::Int(0)], &mut |_| {
            count += 1;
            ControlFlow::Continue(())
        })?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use model::Version;

    use super::*;
    use crate::MemoryStore;

    #[test]
    fn a_refused_row_is_one_dead_letter_with_the_beginning_of_what_it_held() {
        let values = vec![
            Value::Text("topic".into()),
            Value::Int(3),
            Value::Int(9),
            Value::Text("too_large".into()),
            Value::Text("é".repeat(WORDS_LONGEST)),
            Value::Blob(vec![b'x'; 2 * VALUE_LONGEST]),
            Value::Int(17),
        ];
        let row = Row { table: TableId::DeadLetters, version: Version::window(60_000), values };
        let letter = letter(&row, "it is too large");
        let Value::Blob(bytes) = letter.value("bytes") else { panic!("{letter:?}") };
        let held: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!((held["offset"].as_i64(), held["detail"].as_str().unwrap().len()), (Some(9), VALUE_LONGEST));
        assert_eq!(
            letter.value("detail").as_text(),
            Some("topic = \"topic\", partition = 3, offset = 9: it is too large")
        );
        assert_eq!((letter.version, letter.value("broker_time").as_int()), (row.version, Some(60_000)));
        let mut store = MemoryStore::new();
        store.write(&[letter.clone(), letter, row]).unwrap();
        assert_eq!(count(&mut store).unwrap(), 1);
    }
}
