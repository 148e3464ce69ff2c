//! `record`: a slice of a recording becomes a case.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::{Event, PartitionReader, Poll, Source};
use model::recording::{write_mark, write_message};
use model::time::format_ms;
use serde_json::json;

use crate::commands::WrongUse;
use crate::commands::common::{ConfigLayers, json_text, parse_time, short_time, thousands};
use crate::commands::run::open_source;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow record fan-stops --source file:day.jsonl.zst --from 2026-03-02T08:30:00Z --to 2026-03-02T10:00:00Z
  dataflow record whole-day --source file:day.jsonl.zst --folder my-cases
  dataflow record night --source kafka://localhost:9092/iot-metrics --from 2026-03-02T22:00:00Z --to 2026-03-03T04:00:00Z";

/// Arguments of `record`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecordArguments {
    /// Name of the case: small letters, digits and hyphens
    name: String,
    /// Where the messages come from: file:PATH, scenario:NAME or kafka://HOST:PORT/TOPIC
    #[arg(long, value_name = "URL")]
    source: String,
    /// First broker time (RFC 3339) [default: the beginning]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// First broker time that is left out [default: the end]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Folder of the cases
    #[arg(long, value_name = "DIR", default_value = "scenarios/cases")]
    folder: PathBuf,
    #[command(flatten)]
    layers: ConfigLayers,
    /// The summary as JSON
    #[arg(long)]
    json: bool,
}

/// Above this size the messages are packed.
const PLAIN_BYTES: usize = 1 << 20;

/// Makes a case.
///
/// # Errors
/// Wrong use, a source that can't be read, or a folder that can't be written.
pub fn run(arguments: &RecordArguments) -> anyhow::Result<ExitCode> {
    let name = &arguments.name;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with('-') || name.ends_with('-') {
        bail!(WrongUse(format!("case name {name:?} may have small letters, digits and hyphens between them")));
    }
    let folder = arguments.folder.join(name);
    if folder.exists() {
        bail!(WrongUse(format!("case {name:?} is already in {}", arguments.folder.display())));
    }
    let time = |text: &Option<String>| text.as_deref().map(|text| parse_time(text, None)).transpose();
    let (from_ms, to_ms) = (time(&arguments.from)?.unwrap_or(i64::MIN), time(&arguments.to)?.unwrap_or(i64::MAX));
    if from_ms >= to_ms {
        bail!(WrongUse("flag --to: it is not after --from".to_owned()));
    }
    let opened = open_source(&arguments.source, &arguments.layers.load()?.kafka(), !arguments.json)?;
    let slice = Slice::read(opened.source.as_ref(), from_ms, to_ms)?;
    let Some((first_ms, last_ms)) = slice.extent else {
        bail!("source {:?} has no message in that time", arguments.source);
    };
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&folder)?;
        if slice.lines.len() > PLAIN_BYTES {
            std::fs::write(folder.join("input.jsonl.zst"), zstd::encode_all(slice.lines.as_slice(), 19)?)?;
        } else {
            std::fs::write(folder.join("input.jsonl"), &slice.lines)?;
        }
        std::fs::write(folder.join("case.toml"), case_toml(&arguments.source, first_ms, last_ms))
    };
    write().with_context(|| format!("could not write case {}", folder.display()))?;
    if arguments.json {
        let summary = json!({
            "case": name, "folder": folder, "messages": slice.messages, "partitions": slice.partitions,
            "from": format_ms(first_ms), "to": format_ms(last_ms),
        });
        println!("{}", json_text(&summary));
    } else {
        println!(
            "{}: {} messages of {} partitions, {} to {}\nNext: write its title and what must come of it into case.toml, \
             then `dataflow replay {name} --folder {} --bless`",
            folder.display(),
            thousands(slice.messages),
            slice.partitions,
            short_time(first_ms),
            short_time(last_ms),
            arguments.folder.display()
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person completes; a case with an empty title or without expectations is refused by `replay`.
fn case_toml(source: &str, first_ms: i64, last_ms: i64) -> String {
    let source = source.replace(|c: char| c.is_control(), " ");
    format!(
        "# {source}, broker time {} to {}\n\
         # What it shows and why it exists.\n\
         title = \"\"\n\
         # Lines that the result must have, written by hand before it is blessed; * stands for any text.\n\
         must = []\n\
         # Beginnings that no line of the result may have.\n\
         must_not = []\n",
        format_ms(first_ms),
        format_ms(last_ms)
    )
}

/// An event that is kept.
enum Kept {
    Message { offset: i64, broker_ms: i64, bytes: Option<Vec<u8>> },
    Mark { offset: i64, watermark_ms: i64 },
}

/// The messages of a time, as lines of a recording.
struct Slice {
    lines: Vec<u8>,
    messages: u64,
    partitions: usize,
    extent: Option<(i64, i64)>,
}

impl Slice {
    /// Reads all partitions and lays them side by side in the order of their broker times, each in its own order.
    fn read(source: &dyn Source, from_ms: i64, to_ms: i64) -> anyhow::Result<Slice> {
        let mut queues: Vec<(u32, VecDeque<Kept>)> = Vec::new();
        // Of a live topic only what is there when the recording begins.
        let (starts, ends) = match source.live() {
            Some(live) => {
                let ends = live.extents()?.into_iter().map(|extent| (extent.partition, extent.end_offset)).collect();
                (live.offsets_at(from_ms)?, ends)
            }
            None => (source.partitions().into_iter().map(|partition| (partition, 0)).collect(), BTreeMap::new()),
        };
        for (partition, start) in starts {
            let mut reader = source.open(partition, start)?;
            let end = ends.get(&partition).copied().unwrap_or(i64::MAX);
            let kept = read_partition(reader.as_mut(), (from_ms, to_ms), end)?;
            if !kept.is_empty() {
                queues.push((partition, kept));
            }
        }
        let mut slice = Slice { lines: Vec::new(), messages: 0, partitions: queues.len(), extent: None };
        loop {
            // A mark goes out at once: it belongs in front of the next message of its partition.
            let next = queues.iter_mut().min_by_key(|(partition, queue)| match queue.front() {
                Some(Kept::Mark { .. }) => (i64::MIN, *partition),
                Some(Kept::Message { broker_ms, .. }) => (*broker_ms, *partition),
                None => (i64::MAX, u32::MAX),
            });
            let Some((partition, kept)) = next.and_then(|(partition, queue)| Some((*partition, queue.pop_front()?)))
            else {
                return Ok(slice);
            };
            match kept {
                Kept::Mark { offset, watermark_ms } => write_mark(&mut slice.lines, partition, offset, watermark_ms),
                Kept::Message { offset, broker_ms, bytes } => {
                    write_message(&mut slice.lines, partition, offset, broker_ms, bytes.as_deref());
                    slice.messages += 1;
                    let (first_ms, last_ms) = slice.extent.unwrap_or((broker_ms, broker_ms));
                    slice.extent = Some((first_ms.min(broker_ms), last_ms.max(broker_ms)));
                }
            }
        }
    }
}

/// Messages below `end` of the time, and the marks that stand between or behind them: what was before the slice is not known to it.
fn read_partition(
    reader: &mut dyn PartitionReader,
    (from_ms, to_ms): (i64, i64),
    end: i64,
) -> anyhow::Result<VecDeque<Kept>> {
    let mut kept: VecDeque<Kept> = VecDeque::new();
    let mut in_time = false;
    let mut passed_end = false;
    loop {
        let poll = reader.poll(4_096, &mut |event| match event {
            Event::Message(message) if message.offset >= end => passed_end = true,
            Event::Message(message) => {
                passed_end = message.offset + 1 >= end;
                in_time = (from_ms..to_ms).contains(&message.broker_ms);
                if in_time {
                    let bytes = message.bytes.map(<[u8]>::to_vec);
                    kept.push_back(Kept::Message { offset: message.offset, broker_ms: message.broker_ms, bytes });
                }
            }
            Event::Mark { offset, watermark_ms } if in_time => kept.push_back(Kept::Mark { offset, watermark_ms }),
            Event::Mark { .. } => {}
        })?;
        match poll {
            _ if passed_end => return Ok(kept),
            Poll::Ready(_) => {}
            Poll::Finished | Poll::EndReached => return Ok(kept),
            Poll::Empty => std::thread::sleep(std::time::Duration::from_millis(1)),
        }
    }
}
