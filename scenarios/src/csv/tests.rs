use super::*;
use expect_test::expect;

const MAP: &str = r#"
    device_id = "AHU-1"
    device_type = "air_handling_unit"
    location = "lab"
    time = { column = "Datetime", format = "%m/%d/%Y %H:%M", zone = "-06:00" }
    skip = ["Truth"]
    [[metric]]
    column = "Supply"
    name = "supply_air_temp"
    unit = "°F"
    [[metric]]
    column = "Fan"
    name = "fan_status"
"#;

fn run(map: &str, table: &str) -> Result<(String, Report), String> {
    let mut out = Vec::new();
    let report =
        Map::parse(map).and_then(|map| convert(&map, table.as_bytes(), &mut out)).map_err(|error| error.to_string())?;
    crate::case::check_recording("converted", &out).map_err(|error| error.to_string())?;
    Ok((String::from_utf8(out).expect("a recording is text"), report))
}

#[test]
fn every_cell_becomes_a_message_in_row_order() {
    let table = "Datetime,Supply ,Fan,Truth\r\n3/15/2017 20:50,65.45,1,0\r\n\r\n3/15/2017 20:51,#VALUE!,,0\r\n3/15/2017 20:52,\"1e2\",TRUE,0";
    let (recording, report) = run(MAP, table).expect("the table fits the map");
    expect![[r##"
        {"partition":0,"offset":0,"broker_time":1489632600000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:50:00Z","metric_name":"supply_air_temp","metric_value":65.45,"unit":"°F","location":"lab"}}
        {"partition":0,"offset":1,"broker_time":1489632600000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:50:00Z","metric_name":"fan_status","metric_value":1.0,"location":"lab"}}
        {"partition":0,"offset":2,"broker_time":1489632660000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:51:00Z","metric_name":"supply_air_temp","metric_value":"#VALUE!","unit":"°F","location":"lab"}}
        {"partition":0,"offset":3,"broker_time":1489632720000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:52:00Z","metric_name":"supply_air_temp","metric_value":100.0,"unit":"°F","location":"lab"}}
        {"partition":0,"offset":4,"broker_time":1489632720000,"message":{"device_id":"AHU-1","device_type":"air_handling_unit","timestamp":"2017-03-16T02:52:00Z","metric_name":"fan_status","metric_value":true,"location":"lab"}}
    "##]]
    .assert_eq(&recording);
    let wanted = Report {
        rows: 3,
        messages: 5,
        empty_cells: 1,
        text_cells: BTreeMap::from([("#VALUE!".to_owned(), 1)]),
        text_columns: BTreeMap::from([("Supply".to_owned(), 1)]),
        ..Report::default()
    };
    assert_eq!(report, wanted);
}

#[test]
fn a_bad_row_is_named_by_its_line_and_costs_only_itself() {
    let table = "Datetime,Supply,Fan,Truth\nyesterday,1,1,0\n3/15/2017 20:50,1\n3/15/2017 20:50,\"1,1,0\n3/15/2017 20:51,2,0,0\n";
    let (recording, report) = run(MAP, table).expect("a bad row is no error");
    // The quote that is never closed takes the rest of the table, as RFC 4180 has it.
    assert_eq!((recording.as_str(), report.rows, report.bad_rows), ("", 3, 3));
    expect![[r#"
        line 2: column "Datetime" holds "yesterday", which is no time of format "%m/%d/%Y %H:%M"
        line 3: row has 2 cells, the header has 4
        line 4: row has a quote that is never closed"#]]
    .assert_eq(
        &report.first_bad_rows.iter().map(|(line, why)| format!("line {line}: {why}")).collect::<Vec<_>>().join("\n"),
    );
}

#[test]
fn a_map_that_does_not_fit_says_what_is_missing() {
    let errors = [
        run(MAP, "Datetime,Supply,Fan,Truth,Return\n"),
        run(MAP, "Datetime,Supply,Truth\n"),
        run(MAP, "Datetime,Supply,Supply,Fan,Truth\n"),
        run(MAP, ""),
        run(&MAP.replace("-06:00", "America/Chicago"), "Datetime,Supply,Fan,Truth\n"),
        run(&MAP.replace("location", "delimiter = \"é\"\nlocation"), "Datetime,Supply,Fan,Truth\n"),
    ]
    .map(|result| result.expect_err("the map doesn't fit"));
    expect![[r#"
        table's header has columns that the map lacks: ["Return"]; give each a [[metric]], name it in skip, or set ignore_unmapped = true
        table's header has no column "Fan"; it has ["Datetime", "Supply", "Truth"]
        table's header has the column "Supply" twice
        table's header is missing: the table is empty
        map setting "zone" is "America/Chicago"; in the hour that comes twice its times say nothing, so write "UTC" or an offset such as "-06:00"
        map setting "delimiter" is 'é', which can't stand between cells"#]]
    .assert_eq(&errors.join("\n"));
}

#[test]
fn times_come_in_several_forms() {
    let at = |zone: &str, format: &str, text: &str| Zone::parse(zone).expect("a zone").time_of(format, text);
    assert_eq!(at("UTC", "epoch_s", "1489632600.25"), Some(1_489_632_600_250));
    assert_eq!(at("UTC", "epoch_s", "-1.9999"), Some(-2_000));
    assert_eq!(at("UTC", "epoch_s", "-0.5"), Some(-500));
    assert_eq!(at("UTC", "epoch_s", "1."), None);
    assert_eq!(at("UTC", "epoch_ms", "-5"), Some(-5));
    assert_eq!(at("+01:00", "rfc3339", "2017-03-16T02:50:00Z"), Some(1_489_632_600_000), "it has its own zone");
    assert_eq!(at("+01:00", "%Y-%m-%d %H:%M:%S %z", "2017-03-16 02:50:00 +0000"), Some(1_489_632_600_000));
    assert_eq!(at("+01:30", "%Y-%m-%d %H:%M:%S", "2017-03-16 04:20:00"), Some(1_489_632_600_000));
    assert_eq!(at("UTC", "%Y-%m-%d %H:%M:%S", "2017-02-30 04:20:00"), None);
}

#[test]
fn devices_may_stand_in_a_column_and_cells_may_hold_delimiters() {
    let map = r#"
        device_id = { column = "unit" }
        device_type = "chiller"
        time = { column = "t", format = "epoch_ms" }
        delimiter = ";"
        ignore_unmapped = true
        [[metric]]
        column = "x;y"
        name = "x"
    "#;
    let (recording, report) =
        run(map, "\u{feff}unit;t;\"x;y\";z\n\"d \"\"1\"\"\";5;2;9\n;6;3;9\n").expect("the table fits");
    assert!(recording.contains(r#""device_id":"d \"1\"""#) && recording.lines().count() == 1, "{recording}");
    assert_eq!(report.first_bad_rows, [(3, "column \"unit\" names no device".to_owned())]);
}

/// The maps that come with the source can be read, and their names are each used once.
#[test]
fn bundled_maps_are_sound() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("maps");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the maps are there") {
        let path = entry.expect("the folder can be read").path();
        let map = Map::parse(&std::fs::read_to_string(&path).expect("a text")).expect("a map");
        let names: std::collections::BTreeSet<&str> = map.metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names.len(), map.metrics.len(), "{path:?}");
        count += 1;
    }
    assert_eq!(count, 3);
}
