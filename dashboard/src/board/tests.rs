use super::*;
use model::time::date_of;
use model::{Incident, IncidentStatus, Severity, Value};

fn incident(device: &str, start_ms: i64, status: &str, version: i64) -> Row {
    let incident = Incident {
        kind: "anomaly".to_owned(),
        start_ms,
        end_ms: start_ms + 1,
        detected_ms: start_ms,
        status: IncidentStatus::Open,
        transition: 1,
        severity: Severity::Info,
        peak_score: 0.5,
        peak_ms: start_ms,
        methods: Vec::new(),
        contributions: Vec::new(),
        summary: String::new(),
        similar: Vec::new(),
    };
    let table = TableId::AnomalyEvents;
    let text = |text: &str| Value::Text(text.to_owned());
    let values = table.table().columns.iter().map(|column| match column.name {
        "device_id" => text(device),
        "date" => Value::Text(date_of(start_ms)),
        "anomaly_id" => Value::Uuid(incident.id(device).into_bytes()),
        "anomaly_type" => text("anomaly"),
        "severity" => text("info"),
        "status" => text(status),
        "started_at" | "ended_at" | "detected_at" | "snapshot_time" => Value::Int(start_ms),
        "anomaly_score" => Value::Double(0.5),
        "contributions" => text("[]"),
        _ => Value::Null,
    });
    Row { table, version: Version::window(version), values: values.collect() }
}

/// Whatever the order in which rows come, the highest versions stay.
#[test]
fn belated_rows_change_nothing() {
    let rows = [incident("A", 0, "open", 1), incident("A", 0, "closed", 3), incident("A", 0, "open", 2)];
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
        let board = Board::new();
        board.apply(order.map(|at| &rows[at]));
        assert!(board.open_incidents().is_empty(), "{order:?}");
        assert_eq!(board.incidents().len(), 1);
    }
}

#[test]
fn closed_incidents_are_bounded_and_open_ones_stay() {
    let board = Board::new();
    board.apply(&[incident("A", 0, "open", 0)]);
    let most = i64::try_from(MOST_INCIDENTS).unwrap();
    for start in 0..most / 100 + 2 {
        let rows: Vec<Row> = (0..100).map(|at| incident("B", 1 + start * 100 + at, "closed", 1)).collect();
        board.apply(&rows);
    }
    let kept = board.incidents();
    assert_eq!(kept.len(), MOST_INCIDENTS);
    assert_eq!(kept.last().map(|known| known.incident.start_ms), Some(0));
    assert_eq!(board.open_incidents().len(), 1);
}

#[test]
fn words_are_news_of_their_incidents_only() {
    let board = Board::new();
    board.apply(&[incident("A", 0, "open", 0), incident("A", 60_000, "open", 0)]);
    drop(board.take_changed());
    let id = board.incidents()[0].incident.id.clone();
    let said = crate::wire::Asked { resolution: "resolved".to_owned(), note: None, asked_at_ms: None };
    let word = Word { incident_id: id.clone(), said, in_effect: false };
    board.set_words(vec![word.clone()]);
    assert_eq!(board.take_changed().incidents, BTreeSet::from([id.clone()]));
    board.set_words(vec![word.clone()]);
    assert!(board.take_changed().incidents.is_empty());
    let card = incident_card(&board.incidents()[0], &board.words(), 0);
    assert_eq!((card.resolution, card.asked), (None, Some(word.said.clone())));
    board.set_words(vec![Word { in_effect: true, ..word }]);
    let card = incident_card(&board.incidents()[0], &board.words(), 0);
    assert_eq!((card.resolution.as_deref(), card.asked), (Some("resolved"), None));
}
