//! Delivery: each disturbance alone gives itself and nothing else.

use super::*;

/// Lateness as the job judges it: window end at or under the partition's watermark just before.
fn late_count(messages: &[SimulatedMessage], lateness_ms: i64) -> (u64, u64) {
    let mut watermarks: BTreeMap<u32, i64> = BTreeMap::new();
    let mut newest: BTreeMap<u32, i64> = BTreeMap::new();
    let (mut late, mut overtaken) = (0, 0);
    for message in messages {
        let text = std::str::from_utf8(message.bytes.as_deref().unwrap()).unwrap();
        let at = text.find("\"timestamp\":\"").unwrap() + 13;
        let event_ms = model::time::parse_rfc3339(&text[at..at + 32]).unwrap();
        let watermark = watermarks.entry(message.partition).or_insert(i64::MIN);
        late += u64::from(model::time::window_start(event_ms, 60_000) + 60_000 <= *watermark);
        *watermark = (*watermark).max(event_ms.min(message.broker_ms) - lateness_ms);
        let newest = newest.entry(message.device).or_insert(i64::MIN);
        overtaken += u64::from(event_ms < *newest);
        *newest = (*newest).max(event_ms);
    }
    (late, overtaken)
}

#[test]
fn each_disturbance_alone_gives_itself_and_no_other() {
    let fleet = Fleet::default_eleven();
    let with = |change: &dyn Fn(&mut Delivery)| {
        let mut options = noon(HOUR_MS);
        change(&mut options.delivery);
        let (messages, _, tally) = run(&fleet, &options);
        let clean = Tally { messages: tally.messages, readings: tally.readings, ..Tally::default() };
        (messages, tally, clean)
    };
    let (plain, tally, clean) = with(&|_| {});
    assert_eq!((tally, tally.messages), (clean, 360 * 156));
    assert_eq!(late_count(&plain, 30_000), (0, 0));

    let (messages, tally, clean) = with(&|delivery| delivery.late_rate = 0.01);
    assert_eq!(tally, Tally { late: tally.late, ..clean });
    // Those of the last minutes come when nothing else moves the watermark any more.
    assert!(late_count(&messages, 30_000).0 * 10 >= tally.late * 9 && tally.late > 300, "{tally:?}");

    let (messages, tally, clean) = with(&|delivery| delivery.out_of_order_rate = 0.05);
    assert_eq!(tally, Tally { out_of_order: tally.out_of_order, ..clean });
    let (late, overtaken) = late_count(&messages, 30_000);
    assert!(late == 0 && overtaken > 500, "{late} {overtaken}");

    let (messages, tally, clean) = with(&|delivery| delivery.duplicate_rate = 0.01);
    assert_eq!(tally, Tally { duplicates: tally.duplicates, ..clean });
    assert_eq!(readings(&messages).len() as u64 + tally.duplicates, tally.messages);
    assert!(tally.duplicates > 300);

    let (messages, tally, clean) = with(&|delivery| delivery.drop_rate = 0.01);
    assert_eq!(tally, Tally { dropped: tally.dropped, ..clean });
    let all = readings(&plain);
    assert!(readings(&messages).iter().all(|(key, value)| all[key].to_bits() == value.to_bits()));
    assert!(tally.dropped > 300);

    let (_, tally, clean) = with(&|delivery| delivery.gaps_per_day = 50.0);
    assert!(tally.offline > 1_000, "{tally:?}");
    assert_eq!(tally, Tally { offline: tally.offline, ..clean });

    let (messages, tally, clean) = with(&|delivery| delivery.tombstone_rate = 0.01);
    assert_eq!(tally, Tally { tombstones: tally.tombstones, ..clean });
    assert_eq!(messages.iter().filter(|message| message.bytes.is_none()).count() as u64, tally.tombstones);
}

/// Judged by the decoder of the job and its catalogue.
#[test]
fn every_malformed_message_is_a_dead_letter_and_no_other_is() {
    let mut options = noon(HOUR_MS);
    options.delivery.malformed_rate = 0.02;
    let (messages, _, tally) = run(&Fleet::default_eleven(), &options);
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for message in &messages {
        let reason = match model::message::decode(message.bytes.as_deref().unwrap(), 1 << 20) {
            Err(rejected) => rejected.reason.name(),
            Ok(decoded) if decoded.timestamp_ms > message.broker_ms + 300_000 => "too_far_in_future",
            Ok(decoded) if decoded.unit.as_deref() == Some("furlong/fortnight") => "unknown_unit",
            Ok(_) => "none",
        };
        *reasons.entry(reason).or_insert(0) += 1;
    }
    assert_eq!(reasons.remove("none"), Some(tally.messages - tally.malformed));
    let names: Vec<&str> = reasons.keys().copied().collect();
    let all =
        ["bad_timestamp", "missing_field", "not_finite", "not_json", "too_far_in_future", "unknown_unit", "wrong_type"];
    assert_eq!(names, all);
}

#[test]
fn a_fast_clock_is_ahead_and_gains() {
    let mut options = noon(HOUR_MS);
    options.delivery.clocks = vec![Clock { device_id: "CH-001".to_owned(), ahead_ms: 60_000, drift_ppm: 1_000 }];
    let (messages, _, _) = run(&Fleet::default_eleven(), &options);
    let times = |id: &str| readings(&messages).keys().filter(|key| key.0 == id).map(|key| key.2).collect::<Vec<_>>();
    let (fast, right) = (times("CH-001"), times("CH-002"));
    assert_eq!(fast[0] - right[0], 60_000);
    assert_eq!(fast[fast.len() - 1] - right[right.len() - 1], 60_000 + 3_590);
}
