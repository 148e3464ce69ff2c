//! The CQL store.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use connectors::check::{Checkup, Finding};
use connectors::{Checkpoint, CqlStore, LeaseOwner, Store as _, StoreError, check_store, refused};
use model::tables::TableId;
use model::{Row, Value, Version};
use scylla::client::session_builder::SessionBuilder;

use crate::common::scan;
use crate::contract::Place;
use crate::contracts;
use crate::services::address;

/// A keyspace of this test's own; it goes when the test is over.
struct Keyspace {
    name: String,
    url: String,
}

impl Keyspace {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let name = format!("test_{since}_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = format!("cassandra://{}/{name}", address("PLENUM_TEST_CASSANDRA"));
        Keyspace { name, url }
    }

    /// Statements as somebody else would send them; the rows of the last one, as text.
    fn cql(&self, statements: &[&str]) -> String {
        send(Some(&self.name), statements)
    }
}

fn send(keyspace: Option<&str>, statements: &[&str]) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = SessionBuilder::new().known_node(address("PLENUM_TEST_CASSANDRA")).build().await.unwrap();
        if let Some(keyspace) = keyspace {
            session.use_keyspace(keyspace, true).await.unwrap();
        }
        let mut text = String::new();
        for statement in statements {
            let result = session.query_unpaged(*statement, ()).await.unwrap();
            text.clear();
            if let Ok(rows) = result.into_rows_result() {
                for row in rows.rows::<scylla::value::Row>().unwrap() {
                    text += &format!("{:?}\n", row.unwrap().columns);
                }
            }
        }
        text
    })
}

impl Drop for Keyspace {
    fn drop(&mut self) {
        // Another job's lease would be in the way of the store's own means.
        send(None, &[&format!("DROP KEYSPACE IF EXISTS {}", self.name)]);
    }
}

fn on_cql(contract: fn(&Place<'_>)) {
    let keyspace = Keyspace::new();
    contract(&Place {
        open: &|| Box::new(CqlStore::open(&keyspace.url).unwrap()),
        damage_newest_checkpoint: &|| {
            let newest =
                keyspace.cql(&["SELECT id, attempt FROM checkpoints WHERE job = 'plenum' ORDER BY id DESC LIMIT 1"]);
            let numbers: Vec<&str> = newest.split(['(', ')']).filter(|part| part.parse::<i64>().is_ok()).collect();
            let [id, attempt] = numbers[..] else { panic!("{newest}") };
            keyspace.cql(&[&format!(
                "UPDATE checkpoint_parts SET bytes = 0x00 WHERE id = {id} AND attempt = {attempt} AND part = 0 AND piece = 0"
            )]);
        },
        lease_life: Duration::from_secs(40),
        replaces: |table| {
            !matches!(
                table,
                TableId::DeviceMetricsRaw | TableId::DeviceStateSnapshots | TableId::DeadLetters | TableId::LateMetrics
            )
        },
    });
}

contracts!(cql_contract, crate::cql::on_cql);

fn vector_row(vector: Vec<f32>) -> Row {
    let values = vec![Value::Text("projection-1".into()), Value::Int(1), Value::Vector(vector), Value::Null];
    Row { table: TableId::StateVectors, version: Version::window(0), values }
}

/// One such row in a table with an index of vectors keeps Cassandra from starting again.
#[test]
fn a_vector_that_is_zero_not_finite_or_of_another_length_never_leaves() {
    let keyspace = Keyspace::new();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let mut messages = String::new();
    let mut not_finite = vec![1.0; 384];
    not_finite[7] = f32::NAN;
    for vector in [vec![0.0; 384], vec![-0.0; 384], not_finite, vec![1.0; 383]] {
        messages += &format!("{}\n", store.write(&[vector_row(vec![1.0; 384]), vector_row(vector)]).unwrap_err());
    }
    expect_test::expect![[r#"
        row of table "state_vectors" does not fit column "embedding": the vector is zero or not finite
        row of table "state_vectors" does not fit column "embedding": the vector is zero or not finite
        row of table "state_vectors" does not fit column "embedding": the vector is zero or not finite
        row of table "state_vectors" does not fit column "embedding": the vector has 383 components and the column 384
    "#]]
    .assert_eq(&messages);
    assert_eq!(store.count(TableId::StateVectors).unwrap(), 0);
}

#[test]
fn an_owner_of_this_machine_that_died_is_taken_over_at_once_and_can_not_come_back() {
    let keyspace = Keyspace::new();
    let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let me = LeaseOwner::this_process(5);
    // What the child would say of itself.
    let born = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().to_owned()
    };
    let place = me.instance.rsplit_once(':').unwrap().0;
    let owner = LeaseOwner { pid: child.id(), instance: format!("{place}:{}", born(child.id())), ..me.clone() };
    let (mut first, mut second) = (CqlStore::open(&keyspace.url).unwrap(), CqlStore::open(&keyspace.url).unwrap());
    first.acquire_lease(&owner).unwrap();
    assert!(matches!(second.acquire_lease(&me), Err(StoreError::Held { owner: held, .. }) if held == owner));
    child.kill().unwrap();
    child.wait().unwrap();
    second.acquire_lease(&me).unwrap();
    let checkpoint = |id| Checkpoint { id, manifest: vec![1], parts: vec![("a".into(), vec![7; 10])] };
    second.write_checkpoint(&checkpoint(1)).unwrap();
    let refused = first.write_checkpoint(&checkpoint(2)).unwrap_err();
    assert!(matches!(&refused, StoreError::Held { owner: held, .. } if *held == me), "{refused}");
    assert_eq!(second.latest_checkpoint().unwrap(), Some(checkpoint(1)));
    // What the refused one left is removed by whoever holds the store next.
    second.release_lease().unwrap();
    first.release_lease().unwrap();
    let mut third = CqlStore::open(&keyspace.url).unwrap();
    third.acquire_lease(&me).unwrap();
    third.write_checkpoint(&checkpoint(2)).unwrap();
    let parts = keyspace.cql(&["SELECT DISTINCT id, attempt, part FROM checkpoint_parts"]);
    assert_eq!(parts.lines().count(), 2, "{parts}");
}

/// All rows of a device's day show the place of the highest version, in whatever order they are written.
#[test]
fn the_place_of_a_day_is_that_of_its_newest_row() {
    let keyspace = Keyspace::new();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let row = |second: i64, place: Option<&str>| {
        let text = |text: &str| Value::Text(text.to_owned());
        let place = place.map_or(Value::Null, text);
        let values = vec![
            text("RTU-1"),
            text("1970-01-01"),
            Value::Int(second * 1_000),
            text("fan_speed"),
            Value::Double(1.0),
            Value::Null,
            text("rooftop_unit"),
            place.clone(),
            place,
            Value::Bool(false),
        ];
        Row { table: TableId::DeviceMetricsRaw, version: Version::window(second * 1_000), values }
    };
    let rows = [row(500, Some("roof")), row(100, Some("cellar")), row(503, Some("yard")), row(300, Some("cellar"))];
    for row in &rows {
        store.write(std::slice::from_ref(row)).unwrap();
    }
    store.write(&[row(900, None), row(502, Some("roof")), row(30, Some("yard"))]).unwrap();
    let back = scan(&mut store, TableId::DeviceMetricsRaw, &[]);
    assert_eq!(
        back.iter().map(|row| row.value("timestamp").as_int().unwrap() / 1_000).collect::<Vec<_>>(),
        [30, 100, 300, 500, 502, 503, 900]
    );
    assert!(back.iter().all(|row| row.value("location").as_text() == Some("yard")), "{back:?}");
    store.clear().unwrap();
    store.write(&rows).unwrap();
    let back = scan(&mut store, TableId::DeviceMetricsRaw, &[]);
    assert!(back.len() == 4 && back.iter().all(|row| row.value("location").as_text() == Some("yard")), "{back:?}");
    // Another handle, which knows of no place yet, writes what is older than all of that.
    CqlStore::open(&keyspace.url).unwrap().write(&[row(200, Some("attic"))]).unwrap();
    assert_eq!(scan(&mut store, TableId::DeviceMetricsRaw, &[])[0].value("location").as_text(), Some("yard"));
}

#[test]
fn what_is_missing_is_made_and_what_differs_is_named() {
    let keyspace = Keyspace::new();
    let plain = |message: String| {
        message.replace(&address("PLENUM_TEST_CASSANDRA"), "NODE").replace(&keyspace.name, "KEYSPACE")
    };
    let mut seen = Vec::new();
    seen.push(CqlStore::open_existing(&keyspace.url).map(drop).unwrap_err().to_string());
    seen.extend(CqlStore::create_schema(&keyspace.url).unwrap());
    seen.extend(CqlStore::create_schema(&keyspace.url).unwrap());
    keyspace.cql(&["DROP TABLE late_metrics", "ALTER TABLE device_statistics DROP last_seen"]);
    seen.extend(CqlStore::check_schema(&keyspace.url).unwrap());
    seen.extend(CqlStore::create_schema(&keyspace.url).unwrap());
    CqlStore::open_existing(&keyspace.url).unwrap();
    keyspace.cql(&[
        "DROP TABLE dead_letters",
        "CREATE TABLE dead_letters (topic text, partition int, offset bigint, reason int, PRIMARY KEY (topic, partition, offset))",
    ]);
    seen.push(CqlStore::open(&keyspace.url).map(drop).unwrap_err().to_string());
    assert!(CqlStore::drop_schema(&keyspace.url).unwrap());
    assert!(!CqlStore::drop_schema(&keyspace.url).unwrap());
    seen.extend(CqlStore::check_schema(&keyspace.url).unwrap());
    expect_test::expect![[r#"
        store "scylla://NODE/KEYSPACE" does not exist; `dataflow store schema create` makes what is missing, and what differs has to be changed or dropped by hand
        keyspace "KEYSPACE"
        table "late_metrics" is missing
        table "device_statistics" has no column "last_seen"
        table "late_metrics"
        column "last_seen" of table "device_statistics"
        store "scylla://NODE/KEYSPACE" table "dead_letters" has no column "broker_time"; table "dead_letters" has no column "bytes"; table "dead_letters" has no column "detail"; table "dead_letters" has column "offset" as bigint asc in place 2 of the clustering key and the job writes bigint asc in place 1 of the clustering key; table "dead_letters" has column "partition" as int asc in place 1 of the clustering key and the job writes int in place 2 of the partition key; table "dead_letters" has column "reason" as int and the job writes text; `dataflow store schema create` makes what is missing, and what differs has to be changed or dropped by hand
        keyspace "KEYSPACE" is missing"#]].assert_eq(&plain(seen.join("\n")));
}

#[test]
fn a_server_that_is_away_is_worth_trying_again() {
    let error = CqlStore::open("scylla://127.0.0.1:9/k?timeout_s=2").map(drop).unwrap_err();
    assert!(error.is_passing(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("could not connect to store \"scylla://127.0.0.1:9/k\": "), "{text}");
    assert!(
        text.ends_with("; check that the servers run and can be reached from here; it is safe to try again"),
        "{text}"
    );
}

/// Nothing else is lost with it: neither the rows beside it nor the place that stood in it alone.
#[test]
fn a_row_that_the_servers_refuse_is_a_dead_letter_of_the_store() {
    let keyspace = Keyspace::new();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let row = |second: i64, name: &str| {
        let text = |text: &str| Value::Text(text.to_owned());
        let values = vec![
            text("RTU-1"),
            text("1970-01-01"),
            Value::Int(second * 1_000),
            text(name),
            Value::Double(1.0),
            Value::Null,
            text("rooftop_unit"),
            text("roof"),
            Value::Null,
            Value::Bool(false),
        ];
        Row { table: TableId::DeviceMetricsRaw, version: Version::window(second * 1_000), values }
    };
    // Longer than a part of a key may be; alone, then first in a batch, where it stands for the place of the others.
    let refused = row(1, &"x".repeat(70_000));
    store.write(std::slice::from_ref(&refused)).unwrap();
    store.write(&[refused.clone(), row(2, "fan"), row(3, "fan")]).unwrap();
    store.write(&[row(4, "fan"), refused]).unwrap();
    let back = scan(&mut store, TableId::DeviceMetricsRaw, &[]);
    assert_eq!(back, [row(2, "fan"), row(3, "fan"), row(4, "fan")]);
    let letters = scan(&mut store, TableId::DeadLetters, &[]);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(refused::count(&mut store).unwrap(), 1);
    let shown = ["topic", "reason", "detail", "broker_time"].map(|column| match letter.value(column) {
        Value::Text(text) => text.replace(&"x".repeat(100), ""),
        other => format!("{other:?}"),
    });
    expect_test::expect![[r#"
        store:device_metrics_raw
        row_refused
        device_id = "RTU-1", date = "1970-01-01", timestamp = "1970-01-01T00:00:01Z", metric_name = "xxx: Database returned an error: The query is syntactically correct but invalid, Error message: Key length of 70008 is longer than maximum of 65535
        Int(1000)"#]].assert_eq(&shown.join("\n"));
}

/// A table that is gone refuses every row, and that is no matter of rows.
#[test]
fn a_table_that_is_gone_ends_the_writing() {
    let keyspace = Keyspace::new();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let row = vector_row(vec![0.5; 384]);
    store.write(std::slice::from_ref(&row)).unwrap();
    keyspace.cql(&["DROP TABLE state_vectors"]);
    let mut other = row.clone();
    other.set("vector_id", Value::Int(2));
    let error = store.write(&[other, row]).unwrap_err();
    assert!(!error.is_passing() && error.to_string().contains("table \"state_vectors\" is missing"), "{error}");
    assert_eq!(store.count(TableId::DeadLetters).unwrap(), 0);
}

/// To put a vector into an index costs the servers some milliseconds, and a healthy fleet comes with the same ones again
/// and again.
#[test]
fn a_vector_that_is_there_is_not_sent_again() {
    let keyspace = Keyspace::new();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let row = vector_row(vec![0.5; 384]);
    store.write(&[row.clone(), row.clone()]).unwrap();
    keyspace.cql(&[
        "DELETE FROM state_vectors USING TIMESTAMP 0 WHERE embedding_method = 'projection-1' AND vector_id = 1",
    ]);
    store.write(std::slice::from_ref(&row)).unwrap();
    assert_eq!(store.count(TableId::StateVectors).unwrap(), 0, "it was sent again");
    let newer = Row { version: Version::window(1), ..row };
    store.write(std::slice::from_ref(&newer)).unwrap();
    assert_eq!(scan(&mut store, TableId::StateVectors, &[]), [newer]);
}

#[test]
fn without_an_index_all_vectors_are_looked_at() {
    let keyspace = Keyspace::new();
    let url = format!("{}?vector_index=none", keyspace.url);
    crate::contract::the_nearest_vectors_of_a_method_are_found(&Place {
        open: &|| Box::new(CqlStore::open(&url).unwrap()),
        damage_newest_checkpoint: &|| (),
        lease_life: Duration::ZERO,
        replaces: |_| false,
    });
}

#[test]
fn doctor_leaves_a_keyspace_as_it_was_and_says_whether_acknowledged_is_durable() {
    let keyspace = Keyspace::new();
    let doctor = || {
        let mut checkup = Checkup::default();
        check_store(&keyspace.url, &mut checkup);
        let shown = |finding: &Finding| {
            format!("{} {}: {}\n", finding.check, finding.answer.verdict.name(), finding.answer.seen)
        };
        checkup.findings.iter().filter(|finding| finding.check != "connect").map(shown).collect::<String>()
    };
    let before = doctor();
    let mut store = CqlStore::open(&keyspace.url).unwrap();
    let after = doctor();
    assert_eq!(store.count(TableId::DeadLetters).unwrap(), 0, "its row stayed behind");
    keyspace.cql(&[&format!("ALTER KEYSPACE {} WITH durable_writes = false", keyspace.name)]);
    let altered = doctor();
    // The scripts' Cassandra syncs by the batch, on its only node.
    expect_test::expect![[r#"
        durability fine: commitlog_sync is batch: acknowledged is on the disk
        schema fine: no keyspace yet: the first start makes it, or `dataflow store schema create`
        ---
        durability fine: commitlog_sync is batch: acknowledged is on the disk
        schema fine: schema is this version's
        copies advice: one copy of each row
        job fine: no job holds it
        write fine: a row was written, read and taken back
        checkpoint fine: none yet: the job begins at the beginning
        ---
        durability advice: the keyspace is made without durable_writes: a node that is killed loses minutes of what it acknowledged
        schema fine: schema is this version's
        copies advice: one copy of each row
        job fine: no job holds it
        write fine: a row was written, read and taken back
        checkpoint fine: none yet: the job begins at the beginning
    "#]].assert_eq(&[before, after, altered].join("---\n"));
}
