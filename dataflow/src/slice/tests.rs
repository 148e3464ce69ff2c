use connectors::MemoryStore;
use model::Version;
use model::message::decode;

use super::*;

const START_MS: i64 = 1_772_409_600_000; // 2026-03-02T00:00:00Z
const WRITTEN: Written = Written { window_ms: 60_000, lateness_ms: 30_000 };

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn raw(device: &str, timestamp_ms: i64, metric: &str, value: f64, is_late: bool) -> Row {
    let values = vec![
        text(device),
        Value::Text(date_of(timestamp_ms)),
        Value::Int(timestamp_ms),
        text(metric),
        Value::Double(value),
        text("RPM"),
        text("rooftop_unit"),
        Value::Null,
        text("bldg \"1\""),
        Value::Bool(is_late),
    ];
    Row { table: TableId::DeviceMetricsRaw, version: Version::window(timestamp_ms), values }
}

fn late(device: &str, timestamp_ms: i64, metric: &str, value: f64, late_by_ms: i64, offset: i64) -> Row {
    let values = vec![
        text(device),
        Value::Text(date_of(timestamp_ms)),
        Value::Int(timestamp_ms),
        text(metric),
        Value::Int(2),
        Value::Int(offset),
        Value::Double(value),
        text("RPM"),
        Value::Int(late_by_ms),
        Value::Int(timestamp_ms + 200_000),
    ];
    Row { table: TableId::LateMetrics, version: Version::window(timestamp_ms), values }
}

/// A day and a half of two metrics a minute, some of which came late; more than are held at once.
fn slice(range_ms: Range<i64>, lateness_ms: i64) -> Slice {
    let mut store = MemoryStore::new();
    let mut rows = Vec::new();
    for minute in 0..2_160 {
        let at_ms = START_MS + minute * 60_000 + 5_000;
        let value = 0.1 + minute as f64 / 3.0;
        rows.push(raw("RTU-1", at_ms, "fan_speed", value, minute == 700));
        rows.push(raw("RTU-1", at_ms, "fan_current", 1.0, false));
    }
    // The watermark was 90 s behind the end of its window: readings up to minute 702 and a half had come.
    rows.push(late("RTU-1", START_MS + 700 * 60_000 + 5_000, "fan_speed", 77.25, 60_000, 9));
    store.write(&rows).unwrap();
    let store: SharedStore = Arc::new(Mutex::new(Box::new(store)));
    Slice::new(store, "memory", vec!["RTU-0".to_owned(), "RTU-1".to_owned()], range_ms, WRITTEN, lateness_ms)
}

#[derive(Clone, Debug, PartialEq)]
enum Got {
    Message(i64, i64, String),
    Mark(i64, i64),
}

impl Got {
    fn offset(&self) -> i64 {
        match self {
            Got::Message(offset, ..) | Got::Mark(offset, _) => *offset,
        }
    }
}

fn read(slice: &Slice, partition: u32, offset: i64, max: usize) -> Vec<Got> {
    let (mut reader, mut got) = (slice.open(partition, offset).unwrap(), Vec::new());
    loop {
        let before = got.len();
        let poll = reader.poll(max, &mut |event| {
            got.push(match event {
                Event::Message(SourceMessage { offset, broker_ms, bytes }) => {
                    Got::Message(offset, broker_ms, String::from_utf8(bytes.unwrap().to_vec()).unwrap())
                }
                Event::Mark { offset, watermark_ms } => Got::Mark(offset, watermark_ms),
            });
        });
        match poll.unwrap() {
            Poll::Finished => {
                assert_eq!(got.len(), before);
                return got;
            }
            Poll::Ready(count) => assert!(count <= max && got.len() == before + count),
            other => panic!("a finite source says {other:?}"),
        }
    }
}

#[test]
fn rows_become_the_messages_that_they_were_made_of() {
    let whole = slice(START_MS..START_MS + 2 * DAY_MS, 30_000);
    assert_eq!(read(&whole, 0, 0, 10), []);
    let got = read(&whole, 1, 0, 1_000);
    // 4,320 readings, one of which came late, with its mark.
    assert_eq!(got.len(), 4_321);
    let Got::Message(0, broker_ms, first) = &got[0] else { panic!("{:?}", got[0]) };
    assert_eq!(*broker_ms, START_MS + 5_000);
    let message = decode(first.as_bytes(), 65_536).unwrap();
    assert_eq!(
        (&*message.device_id, &*message.device_type, &*message.metric_name),
        ("RTU-1", "rooftop_unit", "fan_current")
    );
    assert_eq!((message.unit.as_deref(), message.location.as_deref()), (Some("RPM"), None));
    assert_eq!(message.building_id.as_deref(), Some("bldg \"1\""));
    let values: Vec<f64> = got
        .iter()
        .filter_map(|got| match got {
            Got::Message(.., text) => {
                let message = decode(text.as_bytes(), 65_536).unwrap();
                (message.metric_name == "fan_speed").then_some(message.metric_value)
            }
            Got::Mark(..) => None,
        })
        .collect();
    // To the bit, each once; the late one comes where it came.
    let mut expected: Vec<f64> =
        (0..2_160).filter(|minute| *minute != 700).map(|minute| 0.1 + f64::from(minute) / 3.0).collect();
    expected.insert(702, 77.25);
    assert_eq!(values, expected);
    assert_eq!(whole.counts().readings(), (4_320, 1));
    assert_eq!(whole.counts().extent_ms(), Some((START_MS + 5_000, START_MS + 2_159 * 60_000 + 5_000)));
}

/// The mark puts the watermark where it was, less by what the lateness is longer.
#[test]
fn a_late_reading_stands_behind_a_mark_with_its_watermark() {
    for (lateness_ms, late_by_ms) in [(30_000, 60_000), (100_000, -10_000)] {
        let got = read(&slice(START_MS..START_MS + DAY_MS, lateness_ms), 1, 0, 64);
        let at = got.iter().position(|got| matches!(got, Got::Mark(..))).unwrap();
        let (Got::Mark(offset, watermark_ms), Got::Message(next, broker_ms, text)) = (&got[at], &got[at + 1]) else {
            panic!("{:?}", &got[at..at + 2])
        };
        let window_end_ms = START_MS + 701 * 60_000;
        assert_eq!((offset, *watermark_ms), (next, window_end_ms + late_by_ms));
        assert!(text.contains("77.25") && *broker_ms == START_MS + 700 * 60_000 + 205_000, "{text}");
    }
}

#[test]
fn any_size_of_poll_and_any_offset_give_the_same() {
    let range_ms = START_MS + 60_000..START_MS + DAY_MS + 61_000;
    let got = read(&slice(range_ms.clone(), 30_000), 1, 0, 1_000);
    // From minute 1 to 1440 and no further: an end is not part of a slice.
    assert_eq!(got.iter().filter(|got| matches!(got, Got::Message(..))).count(), 2 * 1_440);
    for max in [1, 2, 513, 100_000] {
        assert_eq!(read(&slice(range_ms.clone(), 30_000), 1, 0, max), got, "polls of {max}");
    }
    for offset in [1, 1_400, 1_402, 1_403, 1_404, 1_405, 2_879, 2_880] {
        let rest: Vec<Got> = got.iter().filter(|got| got.offset() >= offset).cloned().collect();
        assert_eq!(read(&slice(range_ms.clone(), 30_000), 1, offset, 7), rest, "from {offset}");
    }
}

#[test]
fn there_is_a_partition_a_device() {
    let whole = slice(0..1, 0);
    assert_eq!((whole.partitions(), whole.messages_total()), (vec![0, 1], None));
    assert!(matches!(whole.open(2, 0), Err(SourceError::Partition { partition: 2, .. })));
    assert_eq!(whole.counts().extent_ms(), None);
}
