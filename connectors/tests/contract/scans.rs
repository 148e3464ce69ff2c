//! Reading tables: in key order, by prefix, by range.

use super::*;

pub fn scans_are_in_key_order_and_by_prefix(place: &Place<'_>) {
    let mut store = (place.open)();
    let mut rows = Vec::new();
    for device in ["a", "A", "B", "é", "ä", "a\u{0}b", "aa", "", "日本", "\u{10ffff}", "\u{ffff}"] {
        for time_ms in [0, -1, i64::MIN, i64::MAX, 1 << 40, -(1 << 40)] {
            rows.push(late(device, time_ms, "fan_speed", -3, i64::MIN, -0.0));
            rows.push(late(device, time_ms, "Fan", 7, -1, 1e300));
        }
    }
    store.write(&rows).unwrap();
    rows.sort_by(key_order);
    assert_eq!(scan(&mut *store, TableId::LateMetrics, &[]), rows);
    for length in 1..=6 {
        let prefix = &rows[20].key()[..length];
        let expected: Vec<Row> = rows.iter().filter(|row| row.key()[..length] == *prefix).cloned().collect();
        assert_eq!(scan(&mut *store, TableId::LateMetrics, prefix), expected);
    }
    assert_eq!(scan(&mut *store, TableId::LateMetrics, &[Value::Text("no such".into())]), []);
    // And by whole keys, in the order of asking.
    let mut keys: Vec<Vec<Value>> = rows.iter().rev().map(|row| row.key().to_vec()).collect();
    keys.insert(9, late("é", 5, "Fan", 7, -1, 0.0).key().to_vec());
    assert!(store.find(TableId::LateMetrics, &keys).unwrap().iter().eq(rows.iter().rev()));
    let too_long = vec![Value::Text("x".into()); 7];
    let refused = store.scan(TableId::LateMetrics, &too_long, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(StoreError::Row { .. })));
    let other_kind = store.scan(TableId::LateMetrics, &[Value::Int(1)], &mut |_| ControlFlow::Continue(()));
    assert!(matches!(other_kind, Err(StoreError::Row { .. })));
}

pub fn a_scan_over_many_pages_sees_each_row_once_and_stops_when_told(place: &Place<'_>) {
    let mut store = (place.open)();
    let rows: Vec<Row> = (0..2_048i64).map(|n| late(&format!("d{}", n % 3), n / 3, "m", 0, n, 0.5)).collect();
    store.write(&rows).unwrap();
    let mut sorted = rows;
    sorted.sort_by(key_order);
    assert_eq!(scan(&mut *store, TableId::LateMetrics, &[]), sorted);
    let of_one: Vec<Row> = sorted.iter().filter(|row| row.values[0] == Value::Text("d1".into())).cloned().collect();
    assert_eq!(scan(&mut *store, TableId::LateMetrics, &[Value::Text("d1".into())]), of_one);
    let mut seen = 0;
    let mut until_700 = |_| {
        seen += 1;
        if seen == 700 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.scan(TableId::LateMetrics, &[], &mut until_700).unwrap();
    assert_eq!(seen, 700);
}

pub fn a_range_of_a_scan_is_what_lies_in_it(place: &Place<'_>) {
    let mut store = (place.open)();
    // Several rows a time, so that a page ends between rows of one.
    let mut rows: Vec<Row> = (0..2_100i64).map(|n| late(&format!("d{}", n % 2), n / 7, "m", 0, n, 0.5)).collect();
    rows.extend([i64::MIN, -1, i64::MAX].map(|time_ms| late("d0", time_ms, "m", 0, 0, 0.5)));
    store.write(&rows).unwrap();
    rows.sort_by(key_order);
    let prefix = rows[0].key()[..2].to_vec();
    let mut in_range = |prefix: &[Value], range: std::ops::Range<i64>| {
        let mut seen = Vec::new();
        let mut keep = |row| {
            seen.push(row);
            ControlFlow::Continue(())
        };
        store.scan_range(TableId::LateMetrics, prefix, range, &mut keep).map(|()| seen)
    };
    for (from, to) in [(0, 300), (3, 5), (-1, 1), (i64::MIN, i64::MAX), (5, 5), (9, 3), (301, 400)] {
        let of_device = rows.iter().filter(|row| row.key()[..2] == *prefix);
        let time = |row: &Row| row.values[2].as_int().unwrap();
        let expected: Vec<Row> = of_device.filter(|row| (from..to).contains(&time(row))).cloned().collect();
        assert_eq!(in_range(&prefix, from..to).unwrap(), expected, "{from} to {to}");
    }
    let whole = rows[9].key().to_vec();
    let offset = whole[5].as_int().unwrap();
    assert_eq!(in_range(&whole[..5], offset..offset + 1).unwrap(), [rows[9].clone()]);
    assert!(matches!(in_range(&prefix[..1], 0..1), Err(StoreError::Row { column: "date", .. })));
    assert!(matches!(in_range(&whole, 0..1), Err(StoreError::Row { .. })));
    let mut seen = 0;
    let mut until_3 = |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    store.scan_range(TableId::LateMetrics, &prefix, 0..300, &mut until_3).unwrap();
    assert_eq!(seen, 3);
}
