//! Where messages come from, by URL; the bundled recording is made at first use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use connectors::memory::MemorySource;
use connectors::{KafkaSettings, Source, SourceError};
use model::recording::Label;
use scenarios::bundled;

use super::{Opened, data_folder};
use crate::commands::WrongUse;

/// Opens `scenario:NAME`, `file:PATH` or `kafka://HOST[:PORT]/TOPIC`. `show`: says what takes a while.
///
/// # Errors
/// When there is no such thing, or it can't be read.
pub fn open(url: &str, kafka: &KafkaSettings, show: bool) -> anyhow::Result<Opened> {
    match url.split_once(':') {
        Some(("scenario", bundled::NAME)) => open_bundled(show),
        Some(("scenario", name)) => open_case(name),
        Some(("file", path)) => open_file(Path::new(path)),
        Some(("kafka", _)) => open_topic(url, kafka),
        _ => bail!(WrongUse(format!("source {url:?} is none of scenario:NAME, file:PATH, kafka://HOST[:PORT]/TOPIC"))),
    }
}

fn open_topic(url: &str, kafka: &KafkaSettings) -> anyhow::Result<Opened> {
    let source = connectors::open_source(url, kafka).map_err(|error| match error {
        SourceError::Url { .. } | SourceError::Setting { .. } => anyhow::Error::from(WrongUse(error.to_string())),
        error => error.into(),
    })?;
    Ok(Opened { labels: Vec::new(), description: url.to_owned(), source })
}

/// The address of a topic that is named alone: it is on the brokers of the source.
///
/// # Errors
/// [`WrongUse`] if that is no topic of Kafka.
pub fn topic_url(topic: &str, source: &str) -> anyhow::Result<String> {
    let url = if topic.contains("://") {
        topic.to_owned()
    } else {
        match source.strip_prefix("kafka://").and_then(|rest| rest.split_once('/')) {
            Some((brokers, _)) => format!("kafka://{brokers}/{topic}"),
            None => bail!(WrongUse(format!(
                "topic {topic:?} needs its brokers, for the source is no topic: write kafka://HOST[:PORT]/{topic}"
            ))),
        }
    };
    connectors::kafka::KafkaAddress::parse(&url).map_err(|error| WrongUse(error.to_string()))?;
    Ok(url)
}

fn open_file(path: &Path) -> anyhow::Result<Opened> {
    let url = format!("file:{}", path.display());
    let source = connectors::open_source(&url, &KafkaSettings::default())
        .with_context(|| format!("could not open source {url:?}"))?;
    Ok(Opened { labels: read_labels(&labels_of(path))?, description: path.display().to_string(), source })
}

/// `day.jsonl.zst` has its labels in `day.labels.jsonl`.
pub fn labels_of(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split(".jsonl").next().unwrap_or_default();
    path.with_file_name(format!("{stem}.labels.jsonl"))
}

fn read_labels(path: &Path) -> anyhow::Result<Vec<Label>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("could not read labels {}", path.display())),
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("labels {} line {} are no label", path.display(), at + 1))
        })
        .collect()
}

fn open_case(name: &str) -> anyhow::Result<Opened> {
    let case = scenarios::case::load(&scenarios::case::bundled_folder(), name)?;
    let recording = case.recording()?;
    let source: Arc<dyn Source> = Arc::new(
        MemorySource::from_lines(&case.name, &recording)
            .with_context(|| format!("could not read scenario {name:?}"))?,
    );
    Ok(Opened { source, labels: Vec::new(), description: format!("scenario {name}: {}", case.title) })
}

fn open_bundled(show: bool) -> anyhow::Result<Opened> {
    let path = data_folder().join(bundled::FILE_NAME);
    if !path.exists() {
        if show {
            eprintln!("making the bundled recording {} (once)", path.display());
        }
        std::fs::create_dir_all(data_folder())
            .with_context(|| format!("could not create folder {}", data_folder().display()))?;
        bundled::write(&path, &labels_of(&path))
            .with_context(|| format!("could not make recording {}", path.display()))?;
    }
    let mut opened = open_file(&path)?;
    opened.description = format!("{} ({})", bundled::DESCRIPTION, path.display());
    Ok(opened)
}
