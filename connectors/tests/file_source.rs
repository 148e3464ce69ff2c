//! Recordings as a source.

mod common;

use std::path::Path;

use common::{Folder, Seen, read_all};
use connectors::{FileOptions, FileSource, MemorySource, Source, open_source};
use model::recording;
use proptest::prelude::*;

fn pack(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

fn all(source: &dyn Source) -> Vec<(u32, Vec<Seen>)> {
    let read = |partition| (partition, read_all(&mut *source.open(partition, i64::MIN).unwrap(), 7));
    source.partitions().into_iter().map(read).collect()
}

/// Lines of several partitions: gaps, marks, tombstones, bytes that are no text, and the odd form with blanks.
fn example(messages: i64) -> Vec<u8> {
    let mut lines = b"# what this shows\n".to_vec();
    for n in 0..messages {
        let partition = u32::try_from(n % 3).unwrap();
        let offset = n / 3 * 2;
        match n % 11 {
            3 => recording::write_message(&mut lines, partition, offset, n, None),
            5 => recording::write_message(&mut lines, partition, offset, n, Some(&[255, 10, 0])),
            7 => {
                recording::write_mark(&mut lines, partition, offset, n * 10);
                recording::write_message(&mut lines, partition, offset, n, Some(b"not json\n"));
            }
            8 => {
                let line = format!(
                    "{{ \"offset\": {offset}, \"partition\": {partition}, \"message\": {{}}, \"broker_time\": {n} }}\r\n\n"
                );
                lines.extend_from_slice(line.as_bytes());
            }
            _ => {
                let message = format!("{{\"device_id\":\"RTU-{partition}\",\"metric_value\":{n}}}");
                recording::write_message(&mut lines, partition, offset, n, Some(message.as_bytes()));
            }
        }
    }
    lines
}

#[test]
fn plain_and_zstd_are_the_same_recording() {
    let folder = Folder::new();
    let lines = example(40_000);
    let plain = FileSource::open(folder.file("fleet.jsonl", &lines)).unwrap();
    let (left, right) = lines.split_at(lines.len() / 3);
    let packed = FileSource::open(folder.file("fleet.2.bin", &[pack(left), pack(right)].concat())).unwrap();
    assert_eq!((plain.topic(), packed.topic()), ("fleet", "fleet"));
    assert_eq!(plain.identity(), packed.identity());
    assert_eq!(plain.messages_total(), Some(40_000));
    assert_eq!(packed.messages_by_partition(), [(0, 13_334), (1, 13_333), (2, 13_333)]);
    let seen = all(&plain);
    assert!(seen == all(&packed));
    assert!(seen == all(&MemorySource::from_lines("fleet", &lines).unwrap()));
    let other = FileSource::open(folder.file("other.jsonl", &example(39_999))).unwrap();
    assert_ne!(other.identity(), plain.identity());
}

#[test]
fn resuming_far_into_a_large_file_gives_the_tail() {
    let folder = Folder::new();
    let lines = example(150_000);
    assert!(lines.len() > 3 * (4 << 20), "more than a few landmarks: {}", lines.len());
    let source = FileSource::open(folder.file("fleet.jsonl", &lines)).unwrap();
    let packed = FileSource::open(folder.file("fleet.zst", &pack(&lines))).unwrap();
    for (partition, seen) in all(&source) {
        for from in [0, 1, 33_333, 50_000, 77_777, 99_990, 99_998, 100_000] {
            let tail: Vec<Seen> = seen.iter().filter(|event| event.offset() >= from).cloned().collect();
            assert!(read_all(&mut *source.open(partition, from).unwrap(), 1_000) == tail);
            assert!(read_all(&mut *packed.open(partition, from).unwrap(), 1_000) == tail);
        }
    }
}

fn any_lines() -> impl Strategy<Value = Vec<u8>> {
    let event = (0u32..4, 0i64..3, prop::option::of(prop::collection::vec(any::<u8>(), 0..12)), any::<bool>());
    prop::collection::vec(event, 1..60).prop_map(|events| {
        let mut next = [-5i64; 4];
        let mut lines = Vec::new();
        for (partition, gap, bytes, is_mark) in events {
            let next = &mut next[partition as usize];
            *next += gap;
            if is_mark {
                recording::write_mark(&mut lines, partition, *next, *next * 7);
            } else {
                recording::write_message(&mut lines, partition, *next, *next * 3, bytes.as_deref());
                *next += 1;
            }
        }
        lines
    })
}

proptest! {
    /// From any offset on, a reader gives what a reader from the start gives from there on; packed or not.
    #[test]
    fn resuming_anywhere_gives_the_tail(lines in any_lines(), from in -8i64..80, packed in any::<bool>(), max in 1usize..9) {
        let folder = Folder::new();
        let bytes = if packed { pack(&lines) } else { lines.clone() };
        let source = FileSource::open(folder.file("fleet", &bytes)).unwrap();
        let memory = MemorySource::from_lines("fleet", &lines).unwrap();
        prop_assert_eq!(source.partitions(), memory.partitions());
        prop_assert_eq!(source.messages_total(), memory.messages_total());
        for (partition, seen) in all(&memory) {
            let tail: Vec<Seen> = seen.into_iter().filter(|event| event.offset() >= from).collect();
            prop_assert_eq!(&read_all(&mut *source.open(partition, from).unwrap(), max), &tail);
            prop_assert_eq!(&read_all(&mut *memory.open(partition, from).unwrap(), max), &tail);
        }
    }
}

fn bare(timestamp: &str) -> String {
    format!(
        "{{\"device_id\":\"RTU-1\",\"device_type\":\"rooftop_unit\",\"timestamp\":{timestamp},\"metric_name\":\"fan_speed\",\"metric_value\":1}}"
    )
}

#[test]
fn bare_messages_get_the_highest_event_time_so_far_as_broker_time() {
    let folder = Folder::new();
    let lines = [
        "# bare messages".to_owned(),
        "{\"first\":\"has no time\"}".to_owned(),
        bare("2000"),
        bare("1000"),
        String::new(),
        "# not a comment here, but a bad message".to_owned(),
        bare("\"1970-01-01T00:00:03Z\""),
        bare("\"yesterday\""),
    ];
    let source = FileSource::open(folder.file("bare.jsonl", lines.join("\n").as_bytes())).unwrap();
    assert_eq!(source.partitions(), [0]);
    let seen = read_all(&mut *source.open(0, 0).unwrap(), 2);
    let times: Vec<(i64, i64)> = seen
        .iter()
        .map(|event| match event {
            Seen::Message(offset, broker_ms, Some(_)) => (*offset, *broker_ms),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [(1, 0), (2, 2000), (3, 2000), (5, 2000), (6, 3000), (7, 3000)]);
    assert_eq!(read_all(&mut *source.open(0, 3).unwrap(), 9), seen[2..]);
}

#[test]
fn a_bare_reader_that_starts_in_the_middle_knows_the_highest_time() {
    let folder = Folder::new();
    let mut lines = bare("9000000") + "\n";
    for n in 0..60_000 {
        lines += &bare(&n.to_string());
        lines += "\n";
    }
    let source = FileSource::open(folder.file("bare.jsonl", lines.as_bytes())).unwrap();
    let tail = read_all(&mut *source.open(0, 59_999).unwrap(), 9);
    assert!(matches!(tail[..], [Seen::Message(59_999, 9_000_000, _), Seen::Message(60_000, 9_000_000, _)]), "{tail:?}");
}

#[test]
fn errors_name_file_and_line_and_what_is_wrong() {
    let folder = Folder::new();
    let good =
        |offset: i64| format!("{{\"partition\":0,\"offset\":{offset},\"broker_time\":7,\"message\":{{\"a\":{{}}}}}}\n");
    let message = |bytes: &[u8]| {
        let path = folder.file("a.jsonl", bytes);
        let options = FileOptions { max_line_bytes: 200, ..FileOptions::default() };
        match FileSource::open_with(path, options) {
            Ok(source) => format!("{} messages", source.messages_total().unwrap()),
            Err(error) => folder.plain(error),
        }
    };
    let two = good(1) + &good(2);
    let third = |line: &str| message((two.clone() + line + "\n").as_bytes());
    let packed = pack(two.as_bytes());
    let broken_zstd = {
        let mut bytes = packed.clone();
        bytes[6..9].fill(0xff);
        bytes
    };
    let seen = [
        third(&good(2)),
        third("{\"partition\":0,\"offset\":2,\"watermark\":5}"),
        third(&format!("{{\"partition\":0,\"offset\":4,\"watermark\":5}}\n{}", good(3))),
        third("{\"partition\":0,\"offset\":4,\"watermark\":5}\n{\"partition\":0,\"offset\":4,\"watermark\":5}"),
        third("{\"partition\":0,\"offset\":4}"),
        third("{\"partition\":0,\"offset\":4,\"message\":{}}"),
        third("{\"partition\":-1,\"offset\":4,\"broker_time\":7,\"message\":{}}"),
        third("{\"partition\":0,\"offset\":4,\"broker_time\":7,\"base64\":\"?\"}"),
        third("nonsense"),
        third(&bare("1")),
        third(&"x".repeat(201)),
        message((bare("1") + "\n" + &good(1)).as_bytes()),
        message(two.trim_end().as_bytes()),
        message(&two.as_bytes()[..two.len() - 2]),
        message(&two.as_bytes()[..two.len() - 30]),
        message((bare("1") + "\n" + &bare("1")[..50]).as_bytes()),
        message(&packed),
        message(&packed[..packed.len() - 3]),
        message(&broken_zstd),
        message(b""),
        message(b"# only a comment\n\n"),
        message(b"[1]\n"),
        message(("nonsense\n[1]\n".to_owned() + &bare("1")).as_bytes()),
        message(("nonsense\n".to_owned() + &two).as_bytes()),
        message(b"{\"partition\":0,\"offset\":1}\n"),
    ];
    expect_test::expect![[r#"
        recording "FOLDER/a.jsonl", line 3: offset 2 of partition 0 comes after 2
        recording "FOLDER/a.jsonl", line 3: offset 2 of partition 0 comes after 2
        recording "FOLDER/a.jsonl", line 4: offset 3 of partition 0 comes after the idle mark before 4
        2 messages
        recording "FOLDER/a.jsonl", line 3: a recording's line needs one of "message", "text", "base64" or "watermark"
        recording "FOLDER/a.jsonl", line 3: a recorded message needs "broker_time" (milliseconds since the epoch)
        recording "FOLDER/a.jsonl", line 3: not a recording's line: invalid value: integer `-1`, expected u32 at line 1 column 15
        recording "FOLDER/a.jsonl", line 3: bad base64: Invalid symbol 63, offset 0.
        recording "FOLDER/a.jsonl", line 3: not a recording's line: expected ident at line 1 column 2
        recording "FOLDER/a.jsonl", line 3: it has no envelope and the first line has one
        recording "FOLDER/a.jsonl", line 3: it is longer than 200 bytes
        recording "FOLDER/a.jsonl", line 2: it has an envelope and the first line has none
        2 messages
        recording "FOLDER/a.jsonl", line 2: the last line is cut off: copy the file again, or remove that line
        recording "FOLDER/a.jsonl", line 2: the last line is cut off: copy the file again, or remove that line
        recording "FOLDER/a.jsonl", line 2: the last line is cut off: copy the file again, or remove that line
        2 messages
        recording "FOLDER/a.jsonl" is cut off inside a zstd frame behind line 0: copy it again
        recording "FOLDER/a.jsonl" can't be unpacked behind line 0: Data corruption detected
        recording "FOLDER/a.jsonl" has no messages
        recording "FOLDER/a.jsonl" has no messages
        recording "FOLDER/a.jsonl", line 1: it is neither a recording's line nor a message: invalid type: sequence, expected a map at line 1 column 0, nor is any of the first 100 lines
        3 messages
        recording "FOLDER/a.jsonl", line 1: not a recording's line: expected ident at line 1 column 2
        recording "FOLDER/a.jsonl", line 1: a recording's line needs one of "message", "text", "base64" or "watermark"
    "#]].assert_eq(&(seen.join("\n") + "\n"));
    let url = |url: &str| match open_source(url, &connectors::KafkaSettings::default()) {
        Ok(source) => format!("topic {:?}", source.topic()),
        Err(error) => folder.plain(error),
    };
    let missing = folder.path().join("missing.jsonl");
    let seen = [
        url("fleet.jsonl"),
        url("file:"),
        url("kafka://localhost:9092"),
        url(&format!("file:{}", missing.display())),
        url(&format!("file:{}", folder.path().display())),
        url(&format!("file:{}", folder.file("fleet.jsonl.zst", &packed).display())),
    ];
    expect_test::expect![[r#"
        source "fleet.jsonl" has no known scheme; sources are file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC
        source "file:" needs a path; sources are file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC
        source "kafka://localhost:9092" names no topic; sources are file:PATH (a recording as JSON lines, plain or zstd) and kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC
        could not open "FOLDER/missing.jsonl": No such file or directory (os error 2); check the path
        recording "FOLDER" is no file
        topic "fleet"
    "#]].assert_eq(&(seen.join("\n") + "\n"));
}

#[test]
fn a_file_that_changes_meanwhile_is_noticed() {
    let folder = Folder::new();
    let lines = example(30);
    let path = folder.file("fleet.jsonl", &lines);
    let source = FileSource::open(&path).unwrap();
    append(&path, b"\n");
    let error = source.open(0, 0).err().unwrap();
    expect_test::expect![[
        r#"recording "FOLDER/fleet.jsonl" has changed since it was opened: leave it alone while it is read"#
    ]]
    .assert_eq(&folder.plain(error));
    let error = source.open(9, 0).err().unwrap();
    expect_test::expect![[r#"topic "fleet" has no partition 9"#]].assert_eq(&folder.plain(error));
}

fn append(path: &Path, bytes: &[u8]) {
    use std::io::Write as _;
    std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

#[test]
fn a_live_source_in_memory_ends_where_its_steps_are() {
    use connectors::memory::{Recorded, Steps};
    use connectors::{MemorySource, Poll};
    let steps = Steps::new();
    let message = |step, offset| (step, Recorded::Message { offset, broker_ms: offset, bytes: None });
    let partitions = [(2, vec![message(1, 5), (1, Recorded::Mark { offset: 8, watermark_ms: 3 }), message(4, 8)])];
    let source = MemorySource::live("live", partitions.into(), steps.clone());
    assert_eq!((source.identity().as_str(), source.messages_total()), ("live", None));
    let mut reader = source.open(2, 0).unwrap();
    let mut poll = |max| {
        let mut offsets = Vec::new();
        (reader.poll(max, &mut |event| offsets.push(event.offset())).unwrap(), offsets)
    };
    assert_eq!(poll(9), (Poll::EndReached, vec![]));
    steps.advance_to(3);
    assert_eq!(poll(1), (Poll::Ready(1), vec![5]));
    assert_eq!(poll(9), (Poll::Ready(1), vec![8]));
    assert_eq!(poll(9), (Poll::EndReached, vec![]));
    steps.advance_to(4);
    steps.advance_to(2);
    assert_eq!(poll(9), (Poll::Ready(1), vec![8]));
    assert_eq!(poll(9), (Poll::EndReached, vec![]));
}
