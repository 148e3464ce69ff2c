//! What the commands that read a store share: opening it and times as people write them.

mod text;

use std::fs::File;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use connectors::{Store, StoreError, mask_address};
use indicatif::{ProgressBar, ProgressStyle};
use model::tables::TableId;
use model::time::{date_of, parse_rfc3339};
use model::{Row, Value};

use crate::commands::WrongUse;
use crate::config;

pub use text::{
    JsonList, is_colourful, json_pretty, json_text, number, printable, short_duration, short_time, table, table_text,
    thousands, unit_of,
};

/// Which store to read.
#[derive(Args, Clone, Debug)]
pub struct StoreArgument {
    /// Store to read, such as sqlite:day.db [default: sqlite:plenum-data/plenum.db]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
}

impl StoreArgument {
    /// The store's address: the flag, else the environment's, else the default; `${NAME}` in it is the environment's value.
    ///
    /// # Errors
    /// [`WrongUse`] if the environment holds a setting that does not exist.
    pub fn url(&self) -> anyhow::Result<String> {
        let flag: Vec<(String, String)> = self.store.iter().map(|url| ("store".to_owned(), url.clone())).collect();
        Ok(config::load(None, std::env::vars(), &flag).map_err(|error| WrongUse(format!("{error:#}")))?.store)
    }

    /// Opens the store, which must be there: a reader that makes an empty store would hide a mistyped path.
    ///
    /// # Errors
    /// [`WrongUse`] if there is none.
    pub fn open(&self) -> anyhow::Result<Box<dyn Store>> {
        let url = self.url()?;
        if url == "null" {
            bail!(WrongUse("store \"null\" keeps nothing; name the store of a run, such as sqlite:day.db".to_owned()));
        }
        // What the store warns of (a damaged checkpoint) is not lost; where a command logs already, that stays.
        let log = tracing_subscriber::fmt().with_env_filter("warn").with_writer(std::io::stderr);
        let _ = log.with_ansi(std::io::stderr().is_terminal()).try_init();
        open_store(&url)
    }
}

/// Opens a store that must be there.
///
/// # Errors
/// [`WrongUse`] if there is none.
pub fn open_store(url: &str) -> anyhow::Result<Box<dyn Store>> {
    match connectors::open_existing_store(url) {
        Ok(store) => Ok(store),
        Err(error @ (StoreError::Url { .. } | StoreError::Schema { .. })) => bail!(WrongUse(error.to_string())),
        Err(error) => Err(error).with_context(|| format!("could not open store {:?}", mask_address(url))),
    }
}

/// Where the settings of a command come from, beside the environment.
#[derive(Args, Clone, Debug, Default)]
pub struct ConfigLayers {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting, such as window=30s or kafka.security.protocol=SASL_PLAINTEXT
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl ConfigLayers {
    /// All settings as they hold.
    ///
    /// # Errors
    /// [`WrongUse`] with the place and the key.
    pub fn load(&self) -> anyhow::Result<config::Config> {
        self.load_with(std::iter::empty())
    }

    /// The same, with flags of the command's own.
    ///
    /// # Errors
    /// As [`ConfigLayers::load`].
    pub fn load_with(&self, own: impl Iterator<Item = (String, String)>) -> anyhow::Result<config::Config> {
        let flags: Vec<(String, String)> = own.chain(set_flags(&self.set)?).collect();
        config::load(self.config.as_deref(), std::env::vars(), &flags)
            .map_err(|error| WrongUse(format!("{error:#}")).into())
    }

    /// All settings, and as they were written, without what stands for them in the environment.
    ///
    /// # Errors
    /// As [`ConfigLayers::load`].
    pub fn load_as_written(&self) -> anyhow::Result<(config::Config, toml::Table)> {
        self.load_as_written_with(std::iter::empty())
    }

    /// The same, with flags of the command's own.
    ///
    /// # Errors
    /// As [`ConfigLayers::load`].
    pub fn load_as_written_with(
        &self,
        own: impl Iterator<Item = (String, String)>,
    ) -> anyhow::Result<(config::Config, toml::Table)> {
        let flags: Vec<(String, String)> = own.chain(set_flags(&self.set)?).collect();
        config::load_as_written(self.config.as_deref(), std::env::vars(), &flags)
            .map_err(|error| WrongUse(format!("{error:#}")).into())
    }
}

/// The settings of `--set KEY=VALUE`.
///
/// # Errors
/// [`WrongUse`] where there is no `=`.
pub fn set_flags(pairs: &[String]) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |pair: &String| match pair.split_once('=') {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(WrongUse(format!("flag --set: {pair:?} is not KEY=VALUE")).into()),
    };
    pairs.iter().map(pair).collect()
}

/// Progress of work in `total` parts of a kind, on a terminal only.
pub fn bar(total: u64, parts: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}} of {{len}} {parts}, {{eta}} left")) {
        bar.set_style(style);
    }
    bar
}

/// Asks on the terminal; anything but yes is no, and is said to be.
///
/// # Errors
/// If the terminal fails.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    eprint!("{question} [y/N] ");
    std::io::stderr().flush().context("could not ask")?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).context("could not read the answer")?;
    let yes = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !yes {
        eprintln!("nothing was removed");
    }
    Ok(yes)
}

/// Hands over the rows of a table below a key prefix until `each` breaks or fails.
///
/// # Errors
/// If the store fails, or what `each` returns.
pub fn scan(
    store: &mut dyn Store,
    table: TableId,
    prefix: &[Value],
    mut each: impl FnMut(&Row) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<()> {
    let mut failed = None;
    store
        .scan(table, prefix, &mut |row| match each(&row) {
            Ok(flow) => flow,
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
        .with_context(|| format!("could not read table {:?}", table.table().name))?;
    failed.map_or(Ok(()), Err)
}

/// The only row with this key, if it is there.
///
/// # Errors
/// If the store fails.
pub fn row_of(store: &mut dyn Store, table: TableId, key: &[Value]) -> anyhow::Result<Option<Row>> {
    let mut found = None;
    scan(store, table, key, |row| {
        found = Some(row.clone());
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// A text key value.
pub fn key(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// A device's newest event time.
///
/// # Errors
/// [`WrongUse`] if the store does not know the device; it names the nearest one that it knows.
pub fn last_seen_ms(store: &mut dyn Store, device: &str) -> anyhow::Result<i64> {
    let row = row_of(store, TableId::DeviceStatistics, &[key(device)])?;
    if let Some(last_seen_ms) = row.and_then(|row| row.value("last_seen").as_int()) {
        return Ok(last_seen_ms);
    }
    let mut names = Vec::new();
    scan(store, TableId::DeviceStatistics, &[], |row| {
        names.extend(row.value("device_id").as_text().map(str::to_owned));
        Ok(ControlFlow::Continue(()))
    })?;
    let likeness = |name: &String| (strsim::jaro_winkler(device, name) * 1000.0) as i64;
    let nearest = names.iter().max_by_key(|name| likeness(name));
    let hint = match nearest {
        Some(name) if likeness(name) > 700 => format!("; did you mean {name:?}?"),
        Some(_) => format!("; `dataflow profiles` lists its {} devices", names.len()),
        None => "; it has no devices".to_owned(),
    };
    bail!(WrongUse(format!("device {device:?} is not in the store{hint}")))
}

/// The newest event time of all devices.
///
/// # Errors
/// If the store fails.
pub fn newest_ms(store: &mut dyn Store) -> anyhow::Result<Option<i64>> {
    let mut newest = None;
    scan(store, TableId::DeviceStatistics, &[], |row| {
        newest = newest.max(row.value("last_seen").as_int());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(newest)
}

/// The settings that the store's results were made with, as its newest checkpoint tells them; empty where it has none.
///
/// # Errors
/// If the store fails.
pub fn settings_of(store: &mut dyn Store) -> anyhow::Result<String> {
    let start = crate::checkpoint::Start::decode(store.latest_checkpoint()?, Vec::new())?;
    Ok(start.manifest.map(|(_, manifest)| manifest.settings).unwrap_or_default())
}

/// Window width that the store's states were made with, from its newest checkpoint; a minute where it has none.
///
/// # Errors
/// If the store fails.
pub fn window_ms(store: &mut dyn Store) -> anyhow::Result<i64> {
    let width =
        settings_of(store)?.split(' ').find_map(|part| part.strip_prefix("window=")).and_then(|ms| ms.parse().ok());
    Ok(width.filter(|width_ms| *width_ms > 0).unwrap_or(60_000))
}

/// Reads a time: RFC 3339, a day with or without `HH:MM[:SS]` in UTC, or only `HH:MM[:SS]` on the day of `newest_ms`.
///
/// # Errors
/// [`WrongUse`] if it is none.
pub fn parse_time(text: &str, newest_ms: Option<i64>) -> anyhow::Result<i64> {
    let text = text.trim();
    if let Some(ms) = parse_rfc3339(text) {
        return Ok(ms);
    }
    let clock = |text: &str| match text.len() {
        5 => Some(format!("{text}:00")),
        8 => Some(text.to_owned()),
        _ => None,
    };
    let full = match (text.split_once([' ', 'T']), text.len()) {
        (Some((day, time)), _) => clock(time).map(|time| format!("{day}T{time}Z")),
        (None, 10) => Some(format!("{text}T00:00:00Z")),
        (None, _) => match (clock(text), newest_ms) {
            (Some(time), Some(newest_ms)) => Some(format!("{}T{time}Z", date_of(newest_ms))),
            _ => None,
        },
    };
    full.and_then(|full| parse_rfc3339(&full)).ok_or_else(|| {
        let forms = "such as 2026-03-02T09:30:00Z, \"2026-03-02 09:30\" or 09:30 (UTC, on the newest day)";
        WrongUse(format!("time {text:?} is none; write it {forms}")).into()
    })
}

/// Reads a duration such as `1h`.
///
/// # Errors
/// [`WrongUse`] if it is none.
pub fn parse_duration(flag: &str, text: &str) -> anyhow::Result<i64> {
    model::time::parse_duration_ms(text).map_err(|problem| WrongUse(format!("flag {flag}: {problem}")).into())
}

/// Writes a file that appears under its name only when it is whole. A device or a pipe is written to as it is.
///
/// # Errors
/// If the file can't be made, or what `write` returns.
pub fn write_whole<T>(path: &Path, write: impl FnOnce(File) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let failed = |doing: &str, path: &Path| format!("could not {doing} {}", path.display());
    let special = std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
    let mut part = path.as_os_str().to_owned();
    if !special {
        part.push(".part");
    }
    let part = PathBuf::from(part);
    let file = File::create(&part).with_context(|| failed("create", &part))?;
    let written = write(file);
    match (&written, special) {
        (Ok(_), false) => std::fs::rename(&part, path).with_context(|| failed("rename to", path))?,
        // What was written is of no use; the first error is the one to tell.
        (Err(_), false) => drop(std::fs::remove_file(&part)),
        (_, true) => {}
    }
    written
}
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let newest_ms = parse_rfc3339("2026-03-02T23:59:59Z");
        for (text, meant) in [
            ("2026-03-02T09:30:00Z", "2026-03-02T09:30:00Z"),
            ("2026-03-02T09:30:00+01:00", "2026-03-02T08:30:00Z"),
            ("2026-03-02 09:30", "2026-03-02T09:30:00Z"),
            ("2026-03-02T09:30:15", "2026-03-02T09:30:15Z"),
            ("2026-03-02", "2026-03-02T00:00:00Z"),
            ("09:30", "2026-03-02T09:30:00Z"),
            ("09:30:15", "2026-03-02T09:30:15Z"),
        ] {
            assert_eq!(model::time::format_ms(parse_time(text, newest_ms).unwrap()), meant, "{text}");
        }
        for text in ["", "9:30", "soon", "2026-13-02", "25:00"] {
            assert!(parse_time(text, newest_ms).unwrap_err().is::<WrongUse>(), "{text}");
        }
        assert!(parse_time("09:30", None).is_err());
    }
}
