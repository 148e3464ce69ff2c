//! What workers are told, without threads and clocks.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use connectors::{MemoryEmbedder, MemoryStore, Store as _};
use model::hash::hash_text;
use model::tables::TableId;
use model::{Row, Value, Version};

use super::*;
use crate::embeddings::backfill::Backfill;

const NOW_MS: i64 = 1_772_445_600_000;

fn embeddings() -> Embeddings {
    Embeddings::new("memory", &EmbeddingSettings::default(), &JobSettings::default(), Box::new(|| NOW_MS))
}

fn ask(embeddings: &Embeddings, text: &str, age_ms: i64) -> Answer {
    embeddings.ask(hash_text(text).cast_signed(), text, NOW_MS - age_ms)
}

#[test]
fn a_live_state_waits_and_a_known_text_does_not() {
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    assert_eq!(embeddings.method(), "memory/words-1");
    assert_eq!(ask(&embeddings, "warm", 30_000), Answer::Wait);
    assert_eq!(ask(&embeddings, "warm", 30_000), Answer::Wait);
    assert_eq!(embeddings.work(&mut embedder).unwrap(), 1, "one text, however many states have it");
    let Answer::Known(Ok(vector)) = ask(&embeddings, "warm", 3_600_000) else { panic!("it is known") };
    assert_eq!(vector.len(), 384);
    assert_eq!(embeddings.counts(), Counts { computed: 1, cached: 1 });
    assert_eq!(embeddings.work(&mut embedder).unwrap(), 0);
}

#[test]
fn a_replay_never_waits_but_its_texts_are_embedded() {
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    assert_eq!(ask(&embeddings, "old", 3_600_000), Answer::Pending("the job was catching up"));
    assert!(!embeddings.is_calm());
    assert_eq!(embeddings.work(&mut embedder).unwrap(), 1);
    assert!(matches!(ask(&embeddings, "old", 3_600_000), Answer::Known(Ok(_))));
}

#[test]
fn live_texts_go_first() {
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    for at in 0..100 {
        ask(&embeddings, &format!("old {at}"), 3_600_000);
    }
    assert_eq!(ask(&embeddings, "old 99", 0), Answer::Wait, "a live state has the text of an old one");
    assert_eq!(ask(&embeddings, "new", 0), Answer::Wait);
    embeddings.work(&mut embedder).unwrap();
    assert!(matches!(ask(&embeddings, "old 99", 0), Answer::Known(_)));
    assert!(matches!(ask(&embeddings, "new", 0), Answer::Known(_)));
    while embeddings.work(&mut embedder).unwrap() > 0 {}
    assert_eq!(embedder.embedded(), 101, "the text that stood in both queues was embedded once");
}

#[test]
fn nobody_waits_while_the_service_is_away_and_nothing_is_forgotten() {
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    let id = hash_text("warm").cast_signed();
    assert_eq!(ask(&embeddings, "warm", 0), Answer::Wait);
    let before = embeddings.batches();
    embedder.fail(1);
    assert!(embeddings.work(&mut embedder).is_err());
    assert_ne!(embeddings.batches(), before, "who waits looks again");
    assert_eq!(embeddings.ask_again(id), Answer::Pending(AWAY));
    assert_eq!(ask(&embeddings, "cold", 0), Answer::Pending(AWAY));
    assert_eq!(embeddings.work(&mut embedder).unwrap(), 2);
    assert!(matches!(embeddings.ask_again(id), Answer::Known(Ok(_))));
}

#[test]
fn the_queue_has_a_bound() {
    let embeddings = embeddings();
    for at in 0..MOST_QUEUED {
        assert_eq!(ask(&embeddings, &format!("text {at}"), 0), Answer::Wait);
    }
    assert_eq!(ask(&embeddings, "one more", 0), Answer::Pending("too many texts wait for the embedder"));
    assert_eq!(ask(&embeddings, "text 7", 0), Answer::Wait, "it is queued already");
}

fn snapshot(device: &str) -> Row {
    let mut values = vec![Value::Null; TableId::DeviceStateSnapshots.table().columns.len()];
    values[0] = Value::Text(device.to_owned());
    values[1] = Value::Text("2026-03-02".to_owned());
    values[2] = Value::Int(NOW_MS);
    let mut row = Row { table: TableId::DeviceStateSnapshots, version: Version::window(NOW_MS), values };
    row.set("embedding_pending", Value::Text("the job was catching up".to_owned()));
    row
}

fn waiting(device: &str, text: &str) -> Row {
    let values = vec![
        Value::Text("memory/words-1".to_owned()),
        Value::Text("2026-03-02".to_owned()),
        Value::Int(NOW_MS),
        Value::Text(device.to_owned()),
        Value::Int(hash_text(text).cast_signed()),
        Value::Text(text.to_owned()),
        Value::Bool(true),
        Value::Text("the job was catching up".to_owned()),
    ];
    Row { table: TableId::PendingStates, version: Version::window(NOW_MS), values }
}

fn rows(store: &MemoryStore, table: TableId) -> Vec<Row> {
    let mut rows = Vec::new();
    store
        .clone()
        .scan(table, &[], &mut |row| {
            rows.push(row);
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    rows
}

#[test]
fn a_backfill_completes_what_can_be_completed() {
    let mut store = MemoryStore::new();
    // The fake embedder refuses the empty text. Device d has no snapshot.
    let texts = [("a", "warm"), ("b", "warm"), ("c", ""), ("d", "cold")];
    store.write(&texts.map(|(device, text)| waiting(device, text))).unwrap();
    store.write(&["a", "b", "c"].map(snapshot)).unwrap();
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    let mut round = Backfill::default();
    while round.step(&mut store, &embeddings, &mut embedder).unwrap() {}
    assert_eq!((round.completed, round.computed, round.refused, round.left()), (3, 3, 1, 1));
    assert_eq!(rows(&store, TableId::PendingStates), [waiting("d", "cold")]);
    let snapshots = rows(&store, TableId::DeviceStateSnapshots);
    let [a, b, c] = snapshots.as_slice() else { panic!("{snapshots:?}") };
    assert_eq!((a.version, a.value("embedding_pending")), (Version::window_step(NOW_MS, 1), &Value::Null));
    assert!(matches!(a.value("embedding"), Value::Vector(_)));
    assert_eq!(a.value("embedding"), b.value("embedding"));
    assert_eq!(c.value("embedding"), &Value::Null);
    assert_eq!(c.value("embedding_pending").as_text(), Some("the text was refused: the text is empty"));
    assert_eq!(rows(&store, TableId::StateVectors).len(), 1);
    assert_eq!(rows(&store, TableId::StateOccurrences).len(), 2);
    // A belated write of the state without its vector hides nothing, and a job that starts again knows the text.
    store.write(&[snapshot("a")]).unwrap();
    assert_eq!(rows(&store, TableId::DeviceStateSnapshots), snapshots);
    let next = self::embeddings();
    next.load(&mut store).unwrap();
    assert!(matches!(ask(&next, "warm", 3_600_000), Answer::Known(Ok(_))));
}

#[test]
fn the_thread_answers_and_ends() {
    let store = MemoryStore::new();
    store.clone().write(&[snapshot("a"), waiting("a", "cold")]).unwrap();
    let now_ms = Arc::new(AtomicI64::new(NOW_MS));
    let clock = Arc::clone(&now_ms);
    let embeddings = Arc::new(Embeddings::new(
        "memory",
        &EmbeddingSettings::default(),
        &JobSettings::default(),
        Box::new(move || clock.load(Ordering::SeqCst)),
    ));
    ask(&embeddings, "old", 3_600_000);
    let handle = Box::new(store.clone());
    let service =
        service::Service::start(Arc::clone(&embeddings), Box::new(MemoryEmbedder::new()), Some(handle)).unwrap();
    let within = std::time::Instant::now() + Duration::from_secs(20);
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            assert!(std::time::Instant::now() < within, "the thread did not come to it");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    until(&|| embeddings.counts().computed == 1);
    assert_eq!(rows(&store, TableId::PendingStates).len(), 1, "it has been calm for no time yet");
    now_ms.fetch_add(CALM_MS + 1, Ordering::SeqCst);
    until(&|| rows(&store, TableId::PendingStates).is_empty());
    service.finish(Duration::ZERO, &AtomicBool::new(false));
    assert_eq!(rows(&store, TableId::StateOccurrences).len(), 1);
}

/// Neither calm nor due: the end of the job is enough.
#[test]
fn at_the_end_what_is_pending_is_completed_but_not_by_force() {
    let end = |most: Duration, stop: bool, fails: u64| {
        let store = MemoryStore::new();
        store.clone().write(&[snapshot("a"), waiting("a", "cold"), snapshot("b"), waiting("b", "warm")]).unwrap();
        let embeddings = Arc::new(embeddings());
        ask(&embeddings, "warm", 3_600_000);
        let embedder = MemoryEmbedder::new();
        embedder.fail(fails);
        let handle = Box::new(store.clone());
        let service = service::Service::start(embeddings, Box::new(embedder), Some(handle)).unwrap();
        let began = std::time::Instant::now();
        service.finish(most, &AtomicBool::new(stop));
        assert!(began.elapsed() < Duration::from_secs(20), "it was waited for in vain");
        rows(&store, TableId::PendingStates).len()
    };
    let minute = Duration::from_secs(60);
    assert_eq!(end(minute, false, 0), 0);
    assert_eq!(end(Duration::ZERO, false, 1), 2);
    assert_eq!(end(minute, true, 1), 2);
    assert_eq!(end(minute, false, 9), 2, "an embedder that is away is asked no more");
}

#[test]
fn a_text_that_is_queued_while_a_pending_state_gets_it_is_computed_once() {
    let (embeddings, mut embedder) = (embeddings(), MemoryEmbedder::new());
    assert_eq!(ask(&embeddings, "warm", 0), Answer::Wait);
    let before = embeddings.batches();
    embeddings.learn(hash_text("warm").cast_signed(), Ok(vec![1.0].into()));
    assert_ne!(embeddings.batches(), before, "who waits looks again");
    assert_eq!(embeddings.work(&mut embedder).unwrap(), 0);
    assert!(embeddings.inner().queued.is_empty() && embedder.embedded() == 0);
}
