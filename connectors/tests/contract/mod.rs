//! What every store keeps. The tests beside run it on SQLite and memory, `live` on a CQL server.

mod scans;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use connectors::{Checkpoint, Control, IdleMark, LeaseOwner, Notice, Store, StoreError};
use model::tables::{Kind, TABLES, Table, TableId};
use model::{Row, Value, Version};

use crate::common::{late, occurrence, scan};
pub use scans::*;

/// One store that can be opened more than once.
pub struct Place<'a> {
    pub open: &'a dyn Fn() -> Box<dyn Store>,
    pub damage_newest_checkpoint: &'a dyn Fn(),
    /// How long the store may stay held after its owner died elsewhere without a word.
    pub lease_life: Duration,
    /// Tables whose rows are replaced as a whole; in others a value stays that a newer row lacks.
    pub replaces: fn(TableId) -> bool,
}

/// A test of each, through `$on`, in a module of its own.
#[macro_export]
macro_rules! contracts {
    ($module:ident, $on:path) => {
        $crate::contracts!(@ $module, $on,
            writing_twice_is_the_same_as_once,
            the_higher_version_wins_in_any_order,
            what_is_removed_is_gone_but_for_newer_rows,
            the_nearest_vectors_of_a_method_are_found,
            scans_are_in_key_order_and_by_prefix,
            a_scan_over_many_pages_sees_each_row_once_and_stops_when_told,
            a_range_of_a_scan_is_what_lies_in_it,
            every_kind_of_value_comes_back_to_the_bit,
            a_higher_version_takes_back_what_it_lacks,
            a_zero_in_a_double_column_has_no_sign,
            a_row_that_does_not_fit_is_refused_with_all_of_its_batch,
            the_newest_whole_checkpoint_is_found,
            a_checkpoint_replaces_damaged_ones_above_it,
            the_higher_watermark_of_a_mark_stays,
            controls_come_back_by_window,
            notices_change_together,
            one_live_job_holds_the_store_and_a_dead_one_is_taken_over,
            clear_leaves_nothing_that_hides_a_replay,
            two_handles_write_at_the_same_time
        );
    };
    (@ $module:ident, $on:path, $($name:ident),*) => {
        mod $module { $(#[test] fn $name() { $on($crate::contract::$name); })* }
    };
}

pub fn writing_twice_is_the_same_as_once(place: &Place<'_>) {
    let mut store = (place.open)();
    let rows = [late("RTU-1", 5, "fan_speed", 0, 1, 1.5), late("RTU-1", -5, "fan_speed", 0, 0, 2.5)];
    store.write(&rows).unwrap();
    let once = scan(&mut *store, TableId::LateMetrics, &[]);
    store.write(&rows).unwrap();
    store.write(&[]).unwrap();
    assert_eq!(scan(&mut *store, TableId::LateMetrics, &[]), once);
    assert_eq!(once, [rows[1].clone(), rows[0].clone()]);
    assert_eq!(store.count(TableId::LateMetrics).unwrap(), 2);
    assert_eq!(scan(&mut *(place.open)(), TableId::LateMetrics, &[]), once);
}

pub fn the_higher_version_wins_in_any_order(place: &Place<'_>) {
    let mut store = (place.open)();
    // Rising.
    let versions = [i64::MIN, -60_000_000, -1, 0, 1, 1 << 50].map(Version::from_us);
    let rows: Vec<Row> = (0i64..).zip(versions).map(|(id, version)| occurrence("RTU-1", 0, id, version)).collect();
    for first in 0..rows.len() {
        for second in 0..rows.len() {
            store.clear().unwrap();
            store.write(&rows[first..=first]).unwrap();
            store.write(&rows[second..=second]).unwrap();
            assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[]), [rows[first.max(second)].clone()]);
            store.clear().unwrap();
            store.write(&[rows[first].clone(), rows[second].clone()]).unwrap();
            assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[]), [rows[first.max(second)].clone()]);
        }
    }
}

pub fn what_is_removed_is_gone_but_for_newer_rows(place: &Place<'_>) {
    let mut store = (place.open)();
    let row = |device, id, window_ms| occurrence(device, 0, id, Version::window(window_ms));
    store.write(&[row("a", 1, 60_000), row("b", 1, 60_000), row("c", 1, 60_000)]).unwrap();
    let seen = scan(&mut *store, TableId::StateOccurrences, &[]);
    // Written anew by somebody else before it is removed.
    store.write(&[row("b", 2, 120_000)]).unwrap();
    store.remove(&seen[..2]).unwrap();
    assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[]), [row("b", 2, 120_000), row("c", 1, 60_000)]);
    store.remove(&seen[..2]).unwrap();
    store.write(&[row("a", 3, 120_000)]).unwrap();
    let left = [row("a", 3, 120_000), row("b", 2, 120_000), row("c", 1, 60_000)];
    assert_eq!(scan(&mut *(place.open)(), TableId::StateOccurrences, &[]), left);
}

pub fn the_nearest_vectors_of_a_method_are_found(place: &Place<'_>) {
    let mut store = (place.open)();
    let vector = |angle: f64| -> Vec<f32> {
        let mut vector = vec![0.0; 384];
        (vector[7], vector[300]) = (angle.cos() as f32, angle.sin() as f32);
        vector
    };
    let row = |method: &str, id: i64, angle: f64| {
        let values = vec![Value::Text(method.into()), Value::Int(id), Value::Vector(vector(angle)), Value::Null];
        Row { table: TableId::StateVectors, version: Version::window(0), values }
    };
    let mut rows: Vec<Row> = (0..50).map(|id| row("words", id, 0.02 * id as f64)).collect();
    rows.push(row("values", 99, 0.1));
    store.write(&rows).unwrap();
    let found = store.nearest("words", &vector(0.101), 4).unwrap();
    assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [5, 6, 4, 7]);
    for (id, cosine) in found {
        assert!((cosine - (0.101 - 0.02 * id as f64).cos()).abs() < 1e-6, "{id}: {cosine}");
    }
    assert_eq!(store.nearest("none", &vector(0.1), 4).unwrap(), []);
}

fn key_order(a: &Row, b: &Row) -> Ordering {
    let pairs = a.key().iter().zip(b.key());
    pairs.map(|(a, b)| a.key_order(b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// A value of a column's kind with what is hard to keep.
fn value_of(kind: Kind) -> Value {
    let map: BTreeMap<String, f64> = [("z", 0.1 + 0.2), ("a", -0.0), ("é\"\n", f64::MIN_POSITIVE), ("", 1e300)]
        .map(|(k, v)| (k.to_owned(), v))
        .into();
    match kind {
        Kind::Text => Value::Text("naïve \"text\"\u{0}\n".to_owned()),
        Kind::Bigint | Kind::Timestamp => Value::Int(i64::MIN),
        Kind::Int => Value::Int(-7),
        Kind::Double => Value::Double(0.1 + 0.2),
        Kind::Boolean => Value::Bool(true),
        Kind::Blob => Value::Blob(vec![0, 255, 10]),
        Kind::Stats => Value::Stats([("fan".to_owned(), map), (String::new(), BTreeMap::new())].into()),
        Kind::Map => Value::Map(map),
        Kind::Texts => Value::Texts(vec![String::new(), "b".into(), "a\"".into()]),
        Kind::Doubles => Value::Doubles(vec![5e-324, 3.0, -1.0 / 3.0]),
        Kind::Vector => Value::Vector((0u16..382).map(|n| f32::from(n).sqrt() - 3.0).chain([-0.0, 1e-45]).collect()),
        // The digit 1 and the two bits that every time-based id has.
        Kind::Timeuuid => Value::Uuid(*b"012345\x167\xb89abcdef"),
    }
}

fn full_row(table: &Table, version: Version) -> Row {
    Row { table: table.id, version, values: table.columns.iter().map(|column| value_of(column.kind)).collect() }
}

fn empty_row(table: &Table, version: Version, device: &str) -> Row {
    let mut row = full_row(table, version);
    row.values[0] = Value::Text(device.to_owned());
    row.values[table.key_columns..].fill(Value::Null);
    row
}

pub fn every_kind_of_value_comes_back_to_the_bit(place: &Place<'_>) {
    let mut store = (place.open)();
    for table in TABLES {
        let rows =
            [full_row(table, Version::from_us(i64::MIN)), empty_row(table, Version::from_us(i64::MIN), "other device")];
        store.write(&rows).unwrap();
        let mut back = scan(&mut *store, table.id, &rows[0].values[..1]);
        back.extend(scan(&mut *store, table.id, &rows[1].values[..1]));
        // Debug text tells the zeros apart, which equality does not.
        assert_eq!(format!("{back:?}"), format!("{rows:?}"));
    }
}

pub fn a_higher_version_takes_back_what_it_lacks(place: &Place<'_>) {
    let mut store = (place.open)();
    for table in TABLES.iter().filter(|table| (place.replaces)(table.id)) {
        let full = full_row(table, Version::window(1));
        let empty = empty_row(table, Version::window_step(1, 1), full.values[0].as_text().unwrap());
        store.write(std::slice::from_ref(&empty)).unwrap();
        store.write(&[full]).unwrap();
        assert_eq!(scan(&mut *store, table.id, &[])[0].values, empty.values);
    }
}

pub fn a_zero_in_a_double_column_has_no_sign(place: &Place<'_>) {
    let mut store = (place.open)();
    store.write(&[late("RTU-1", 0, "fan_speed", 0, 0, -0.0)]).unwrap();
    let back = scan(&mut *store, TableId::LateMetrics, &[]);
    assert!(matches!(back[0].values[6], Value::Double(zero) if zero.to_bits() == 0));
}

pub fn a_row_that_does_not_fit_is_refused_with_all_of_its_batch(place: &Place<'_>) {
    let mut store = (place.open)();
    let good = late("RTU-1", 0, "fan_speed", 0, 0, 1.0);
    let with = |at: usize, value| {
        let mut row = good.clone();
        row.values[at] = value;
        row
    };
    let mut short = good.clone();
    short.values.pop();
    let bad = [
        with(0, Value::Null),
        with(4, Value::Int(1 << 40)),
        with(6, Value::Double(f64::NAN)),
        with(7, Value::Bool(true)),
        short,
    ];
    let mut messages = String::new();
    for row in bad {
        let error = store.write(&[good.clone(), row]).unwrap_err();
        messages += &format!("{error}\n");
    }
    expect_test::expect![[r#"
        row of table "late_metrics" does not fit column "device_id": a key has no empty values
        row of table "late_metrics" does not fit column "partition": 1099511627776 is out of range
        row of table "late_metrics" does not fit column "metric_value": a number is not finite
        row of table "late_metrics" does not fit column "unit": the column is Text and the value a boolean
        row of table "late_metrics" does not fit column "*": the row has 9 values and the table 10 columns
    "#]]
    .assert_eq(&messages);
    assert_eq!(store.count(TableId::LateMetrics).unwrap(), 0);
}

fn checkpoint(id: u64, fill: u8) -> Checkpoint {
    let parts = vec![
        ("totals".to_owned(), vec![fill; 3 << 20]),
        ("nothing".to_owned(), Vec::new()),
        ("a".to_owned(), vec![fill, 1]),
    ];
    Checkpoint { id, manifest: format!("manifest {id}").into_bytes(), parts }
}

pub fn the_newest_whole_checkpoint_is_found(place: &Place<'_>) {
    let mut store = (place.open)();
    assert_eq!(store.latest_checkpoint().unwrap(), None);
    for id in 1..=4 {
        store.write_checkpoint(&checkpoint(id, 7)).unwrap();
        assert_eq!((place.open)().latest_checkpoint().unwrap(), Some(checkpoint(id, 7)));
    }
    (place.damage_newest_checkpoint)();
    assert_eq!(store.latest_checkpoint().unwrap(), Some(checkpoint(3, 7)));
    let empty = Checkpoint { id: 5, manifest: Vec::new(), parts: Vec::new() };
    store.write_checkpoint(&empty).unwrap();
    assert_eq!(store.latest_checkpoint().unwrap(), Some(empty));
}

pub fn a_checkpoint_replaces_damaged_ones_above_it(place: &Place<'_>) {
    let mut store = (place.open)();
    store.write_checkpoint(&checkpoint(8, 1)).unwrap();
    store.write_checkpoint(&checkpoint(9, 1)).unwrap();
    (place.damage_newest_checkpoint)();
    // The job resumed from 8 and comes by 9 again.
    store.write_checkpoint(&checkpoint(9, 2)).unwrap();
    assert_eq!(store.latest_checkpoint().unwrap(), Some(checkpoint(9, 2)));
    (place.damage_newest_checkpoint)();
    assert_eq!(store.latest_checkpoint().unwrap(), Some(checkpoint(8, 1)));
}

pub fn the_higher_watermark_of_a_mark_stays(place: &Place<'_>) {
    let mut store = (place.open)();
    let mark = |partition, offset, watermark_ms| IdleMark { partition, offset, watermark_ms };
    store.write_marks(&[mark(1, 5, 100), mark(0, 9, -3), mark(1, 4, 90)]).unwrap();
    store.write_marks(&[mark(1, 5, 80), mark(0, 9, 4)]).unwrap();
    store.write_marks(&[mark(1, 5, 100), mark(0, 9, -9)]).unwrap();
    assert_eq!((place.open)().marks().unwrap(), [mark(0, 9, 4), mark(1, 4, 90), mark(1, 5, 100)]);
}

pub fn controls_come_back_by_window(place: &Place<'_>) {
    let mut store = (place.open)();
    let control =
        |window_ms, id: &str, body: &str| Control { window_ms, id: id.to_owned(), body: body.as_bytes().to_owned() };
    store.write_controls(&[control(60_000, "b", "x"), control(-60_000, "z", "y"), control(60_000, "a", "z")]).unwrap();
    store.write_controls(&[control(60_000, "b", "replaced")]).unwrap();
    let expected = [control(-60_000, "z", "y"), control(60_000, "a", "z"), control(60_000, "b", "replaced")];
    assert_eq!((place.open)().controls().unwrap(), expected);
}

pub fn notices_change_together(place: &Place<'_>) {
    let mut store = (place.open)();
    let notice = |id: &str, body: &str| Notice { id: id.to_owned(), body: body.as_bytes().to_owned() };
    store.change_notices(&[notice("b", "x"), notice("a/2", "y"), notice("c", "z")], &[]).unwrap();
    store.change_notices(&[notice("b", "again"), notice("d", "")], &["c".to_owned(), "none".to_owned()]).unwrap();
    store.change_notices(&[], &[]).unwrap();
    let expected = [notice("a/2", "y"), notice("b", "again"), notice("d", "")];
    assert_eq!((place.open)().notices().unwrap(), expected);
    // As large as a burst of alerts is.
    let large = notice("e", &"x".repeat(700_000));
    store.change_notices(std::slice::from_ref(&large), &["a/2".to_owned(), "b".to_owned(), "d".to_owned()]).unwrap();
    assert_eq!((place.open)().notices().unwrap(), [large]);
}

pub fn one_live_job_holds_the_store_and_a_dead_one_is_taken_over(place: &Place<'_>) {
    let owner = |pid| LeaseOwner { host: "plant-1".into(), pid, instance: "x".into(), started_ms: 1_772_445_600_000 };
    let (mut first, mut second) = ((place.open)(), (place.open)());
    first.acquire_lease(&owner(11)).unwrap();
    first.acquire_lease(&owner(11)).unwrap();
    let refused = second.acquire_lease(&owner(12)).unwrap_err();
    assert!(matches!(&refused, StoreError::Held { owner: held, .. } if *held == owner(11)), "{refused}");
    assert!(matches!(second.clear(), Err(StoreError::Held { .. })));
    // Giving back what one does not hold changes nothing.
    second.release_lease().unwrap();
    assert!(second.acquire_lease(&owner(12)).is_err());
    first.release_lease().unwrap();
    second.acquire_lease(&owner(12)).unwrap();
    assert!(first.acquire_lease(&owner(11)).is_err());
    // Its owner dies without a word.
    drop(second);
    let died = Instant::now();
    while let Err(error) = first.acquire_lease(&owner(13)) {
        assert!(died.elapsed() < place.lease_life, "{error} after {:?}", died.elapsed());
        std::thread::sleep(Duration::from_millis(500));
    }
}

pub fn clear_leaves_nothing_that_hides_a_replay(place: &Place<'_>) {
    let mut store = (place.open)();
    let owner = LeaseOwner { host: "h".into(), pid: 1, instance: "i".into(), started_ms: 0 };
    store.acquire_lease(&owner).unwrap();
    let row = |time_ms| occurrence("RTU-1", 0, 1, Version::window(time_ms));
    store.write(&[row(100)]).unwrap();
    store.write_checkpoint(&checkpoint(3, 1)).unwrap();
    store.write_marks(&[IdleMark { partition: 0, offset: 1, watermark_ms: 2 }]).unwrap();
    store.write_controls(&[Control { window_ms: 0, id: "a".into(), body: vec![] }]).unwrap();
    store.change_notices(&[Notice { id: "a".into(), body: vec![1] }], &[]).unwrap();
    store.clear_results().unwrap();
    assert_eq!((store.marks().unwrap(), store.controls().unwrap().len()), (vec![], 1));
    assert_eq!(store.notices().unwrap(), [], "nobody is told of what is to be found again");
    store.clear().unwrap();
    assert!(TABLES.iter().all(|table| store.count(table.id).unwrap() == 0));
    assert_eq!(store.latest_checkpoint().unwrap(), None);
    assert_eq!((store.marks().unwrap(), store.controls().unwrap()), (vec![], vec![]));
    assert!((place.open)().acquire_lease(&owner).is_err(), "the lease stays");
    // Lower versions and numbers than before count.
    store.write(&[row(50)]).unwrap();
    store.write_checkpoint(&checkpoint(1, 1)).unwrap();
    assert_eq!(scan(&mut *store, TableId::StateOccurrences, &[]), [row(50)]);
    assert_eq!(store.latest_checkpoint().unwrap(), Some(checkpoint(1, 1)));
}

pub fn two_handles_write_at_the_same_time(place: &Place<'_>) {
    let handles = [(0u32, (place.open)()), (1, (place.open)())];
    std::thread::scope(|scope| {
        for (number, mut store) in handles {
            scope.spawn(move || {
                for batch in 0i64..20 {
                    // Each key is written by both; the second handle has the higher versions.
                    let row = |n| {
                        occurrence("RTU-1", batch * 100 + n, i64::from(number), Version::from_us(i64::from(number)))
                    };
                    store.write(&(0..100).map(row).collect::<Vec<_>>()).unwrap();
                }
            });
        }
    });
    let rows = scan(&mut *(place.open)(), TableId::StateOccurrences, &[]);
    assert_eq!(rows.len(), 2_000);
    assert!(rows.iter().all(|row| row.version.us() == 1));
}
