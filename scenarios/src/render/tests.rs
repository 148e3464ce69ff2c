use super::*;
use expect_test::expect;
use model::Version;

/// A row by column names; what isn't named is absent.
fn row(table: TableId, columns: &[(&str, Value)]) -> Row {
    let mut values = vec![Value::Null; table.table().columns.len()];
    for (name, value) in columns {
        let at = table.table().columns.iter().position(|column| column.name == *name).expect("a column of the table");
        values[at] = value.clone();
    }
    Row { table, version: Version::window(0), values }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn map(metrics: &[(&str, f64)]) -> Value {
    Value::Map(metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect())
}

fn rows() -> Vec<Row> {
    let state = |at: i64, value: f64| {
        row(
            TableId::DeviceStateSnapshots,
            &[
                ("device_id", text("d1")),
                ("date", text("2026-03-02")),
                ("snapshot_time", Value::Int(at)),
                ("metrics", map(&[("t", value), ("a b", 0.1 + 0.2)])),
                ("metrics_last", map(&[("t", value), ("a b", 1.0)])),
                ("metrics_min", map(&[("t", value), ("a b", -1e-3)])),
                ("metrics_max", map(&[("t", value), ("a b", 1e21)])),
                ("metrics_count", map(&[("t", 1.0), ("a b", 3.0)])),
            ],
        )
    };
    let dead = |offset: i64, detail: &str| {
        row(
            TableId::DeadLetters,
            &[
                ("topic", text("iot-metrics")),
                ("partition", Value::Int(0)),
                ("offset", Value::Int(offset)),
                ("reason", text("wrong_type")),
                ("detail", text(detail)),
            ],
        )
    };
    vec![
        state(1_772_420_100_000, 81.2),
        state(1_772_419_800_000, 81.0),
        dead(12, "field \"metric_value\" is \"#VALUE!\""),
        dead(3, "line\nbreak"),
        row(
            TableId::LateMetrics,
            &[
                ("device_id", text("d1")),
                ("date", text("2026-03-02")),
                ("timestamp", Value::Int(1_772_416_800_000)),
                ("metric_name", text("t")),
                ("partition", Value::Int(0)),
                ("offset", Value::Int(2)),
                ("metric_value", Value::Double(64.9)),
                ("late_by_ms", Value::Int(3_000_000)),
            ],
        ),
        row(
            TableId::DeviceMetricsRaw,
            &[
                ("device_id", text("d1")),
                ("date", text("2026-03-02")),
                ("timestamp", Value::Int(1_772_416_800_000)),
                ("metric_name", text("t")),
                ("metric_value", Value::Double(64.9)),
                ("unit", text("F")),
                ("is_late", Value::Bool(true)),
            ],
        ),
        row(
            TableId::AnomalyEvents,
            &[
                ("device_id", text("d1")),
                ("date", text("2026-03-02")),
                ("anomaly_id", Value::Uuid([1; 16])),
                ("anomaly_type", text("anomaly")),
                ("started_at", Value::Int(1_772_416_800_000)),
                ("ended_at", Value::Int(1_772_416_920_000)),
                ("severity", text("warning")),
                ("status", text("closed")),
                ("path1_rules_triggered", Value::Bool(true)),
                ("statistics_triggered", Value::Bool(true)),
                ("contributions", text(r#"[{"metric":"fan_speed","share":0.5}]"#)),
            ],
        ),
        row(
            TableId::DeviceStatistics,
            &[
                ("device_id", text("d1")),
                ("total_snapshots", Value::Int(2)),
                ("anomaly_count", Value::Int(1)),
                ("records_windowed", Value::Int(3)),
                ("records_duplicate", Value::Int(0)),
                ("incidents", Value::Int(1)),
            ],
        ),
    ]
}

#[test]
fn every_part_has_its_line() {
    let all = Show::only(&[
        Part::DeadLetters,
        Part::Late,
        Part::States,
        Part::Raw,
        Part::Incidents,
        Part::Statistics,
        Part::Checksums,
    ]);
    let totals = Totals { received: 6, windowed: 3, late: 1, dead_lettered: 2, states: 2, ..Totals::default() };
    let seen = render(&all, &totals, rows()).expect("the rows are right");
    expect![[r##"
        fates received=6 windowed=3 late=1 duplicate=0 skipped=0 dead_lettered=2
        states count=2
        reasons wrong_type=2
        dead_letter p=0 o=3 wrong_type "line\nbreak"
        dead_letter p=0 o=12 wrong_type "field \"metric_value\" is \"#VALUE!\""
        late d1 2026-03-02T02:00:00Z t=64.9 by=3000000ms p=0 o=2
        state d1 2026-03-02T02:50:00Z "a b"=0.30000000000000004(n=3,min=-0.001,max=1000000000000000000000,last=1) t=81(n=1,min=81,max=81,last=81)
        state d1 2026-03-02T02:55:00Z "a b"=0.30000000000000004(n=3,min=-0.001,max=1000000000000000000000,last=1) t=81.2(n=1,min=81.2,max=81.2,last=81.2)
        raw d1 2026-03-02T02:00:00Z t=64.9 F late
        incident d1 anomaly 2026-03-02T02:00:00Z..2026-03-02T02:02:00Z warning closed top=fan_speed methods=rules,statistics
        statistics d1 snapshots=2 windowed=3 late=1 duplicate=0 anomalous=1 incidents=1
        table device_metrics_raw rows=1 xxh3=de10ef3b7f9facd7
        table device_state_snapshots rows=2 xxh3=9ba3d3c0684edd10
        table device_profiles rows=0 xxh3=2d06800538d394c2
        table anomaly_events rows=1 xxh3=e1a03d7d777bae00
        table device_statistics rows=1 xxh3=6a655dd2592fa65a
        table dead_letters rows=2 xxh3=274811193a138e85
        table late_metrics rows=1 xxh3=58a804d71f4cd1bb
        table state_vectors rows=0 xxh3=2d06800538d394c2
        table state_occurrences rows=0 xxh3=2d06800538d394c2
        table pending_states rows=0 xxh3=2d06800538d394c2
    "##]]
    .assert_eq(&seen);
    let mut turned = rows();
    turned.reverse();
    assert_eq!(render(&all, &totals, turned).expect("the same rows"), seen, "the order of the rows doesn't matter");
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_its_table_and_column() {
    let mut rows = rows();
    rows[4].values[8] = Value::Null;
    let error = render(&Show::default(), &Totals::default(), rows).expect_err("late_by_ms is missing");
    assert_eq!(
        error.to_string(),
        "table \"late_metrics\" column \"late_by_ms\" holds Null, which is not what it should hold"
    );
}
