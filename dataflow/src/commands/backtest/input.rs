//! What is gone through: a recording, a bundled case, or a slice of a store.

use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, bail};
use connectors::{Control, KafkaSettings, Source, mask_address};
use model::recording::Label;
use model::time::format_ms;
use scenarios::case;

use super::BacktestArguments;
use crate::commands::WrongUse;
use crate::commands::common::{StoreArgument, last_seen_ms, newest_ms, parse_duration, parse_time, scan, settings_of};
use crate::commands::incidents::{self, Stored};
use crate::commands::run::open_source;
use crate::config::Config;
use crate::controls::{self, Placed};
use crate::slice::{Counts, SharedStore, Slice, Written};

/// How much of a store is read before the start of judging.
const LEARN_MS: i64 = 7 * 86_400_000;

/// Where the messages come from.
enum From {
    Recording(Arc<dyn Source>),
    Store(Box<Part>),
}

/// Which part of a store.
struct Part {
    store: SharedStore,
    place: String,
    devices: Vec<String>,
    read_from_ms: i64,
    to_ms: i64,
    written: Written,
    /// Of the reader that was opened last.
    counts: Mutex<Option<Arc<Counts>>>,
}

/// All that is known before anything is run.
pub struct Input {
    from: From,
    /// For people.
    pub description: String,
    /// Known faults.
    pub labels: Vec<Label>,
    /// Settings below both configurations, with their name.
    pub settings: Option<(String, toml::Table)>,
    /// What people asked for, at its windows.
    pub controls: Vec<Control>,
    /// Incidents that end up to here are left out.
    pub from_ms: i64,
    /// Of a store: the settings that its job ran with, as [`crate::job::JobConfig::meaning`] writes them, where it says.
    pub written_with: Option<String>,
    /// Of a store: what its own job found in that time.
    pub stored: Option<Vec<Stored>>,
}

/// What was read of a store.
pub struct Read {
    /// Readings, and those that were late for its job.
    pub readings: (u64, u64),
    /// First and last event time.
    pub extent_ms: (i64, i64),
    /// Where reading began, judging began, and both ended.
    pub asked_ms: [i64; 3],
    /// Devices.
    pub devices: usize,
}

impl Input {
    /// Opens what the arguments name.
    pub fn open(arguments: &BacktestArguments) -> anyhow::Result<Input> {
        match (&arguments.what, &arguments.store) {
            (Some(what), None) => Input::open_recording(what, !arguments.json),
            (None, Some(url)) => Input::open_store(url, arguments),
            (Some(_), Some(_)) => bail!(WrongUse("give a recording or --store, not both".to_owned())),
            (None, None) => bail!(WrongUse(
                "nothing to go through: name a recording, a bundled case, or a slice of a store by --store, --from and --to"
                    .to_owned()
            )),
        }
    }

    fn open_recording(what: &str, show: bool) -> anyhow::Result<Input> {
        let url = match what.split_once(':') {
            Some(("file" | "scenario", _)) => what.to_owned(),
            Some(("kafka", _)) => bail!(WrongUse(format!(
                "{what:?} is a topic, which can't be gone through twice; `dataflow record` keeps a slice of it, or give the \
                 job's --store"
            ))),
            _ if Path::new(what).exists() => format!("file:{what}"),
            _ if what.contains(['/', '.']) => format!("file:{what}"),
            _ => format!("scenario:{what}"),
        };
        if let Some(path) = url.strip_prefix("file:").filter(|path| !Path::new(path).is_file()) {
            bail!(WrongUse(format!("recording {path:?} is no file; check the path")));
        }
        let opened = open_source(&url, &KafkaSettings::default(), show).map_err(|error| {
            match error.downcast_ref::<case::CaseError>() {
                Some(case::CaseError::Unknown { .. }) => {
                    WrongUse(format!("{error}; a recording is named by its path, such as ./{what}")).into()
                }
                _ => error,
            }
        })?;
        let name = url.strip_prefix("scenario:").filter(|name| *name != scenarios::bundled::NAME);
        let settings = match name {
            Some(name) => {
                let case = case::load(&case::bundled_folder(), name)?;
                Some((format!("case {name:?}"), case.job)).filter(|(_, job)| !job.is_empty())
            }
            None => None,
        };
        Ok(Input {
            from: From::Recording(opened.source),
            description: opened.description.lines().next().unwrap_or_default().to_owned(),
            labels: opened.labels,
            settings,
            controls: Vec::new(),
            from_ms: i64::MIN,
            written_with: None,
            stored: None,
        })
    }

    fn open_store(url: &str, arguments: &BacktestArguments) -> anyhow::Result<Input> {
        let mut store = StoreArgument { store: Some(url.to_owned()) }.open()?;
        let place = mask_address(url);
        let newest_ms = newest_ms(store.as_mut())?;
        let Some(from) = &arguments.from else {
            bail!(WrongUse("flag --store needs --from, where judging begins, and may have --to".to_owned()));
        };
        let Some(newest_ms) = newest_ms else {
            bail!(WrongUse(format!("store {place:?} has no devices: no job has written into it yet")));
        };
        let from_ms = parse_time(from, Some(newest_ms))?;
        let to_ms = match &arguments.to {
            Some(to) => parse_time(to, Some(newest_ms))?,
            None => newest_ms.saturating_add(1),
        };
        if from_ms >= to_ms {
            let (from, to) = (format_ms(from_ms), format_ms(to_ms));
            bail!(WrongUse(format!("the slice ends at {to}, which is not after its beginning at {from}")));
        }
        let learn = arguments.learn.as_deref().map(|learn| parse_duration("--learn", learn));
        let learn_ms = learn.transpose()?.unwrap_or(LEARN_MS);
        let devices = devices(store.as_mut(), &arguments.device)?;
        let settings = settings_of(store.as_mut())?;
        let setting = |name: &str, usual: i64| {
            let value = settings.split(' ').find_map(|part| part.strip_prefix(name)).and_then(|ms| ms.parse().ok());
            value.unwrap_or(usual)
        };
        let usual = crate::settings::JobSettings::default();
        let written = Written {
            window_ms: setting("window=", usual.window_ms).max(1),
            lateness_ms: setting("lateness=", usual.lateness_ms),
        };
        let controls = controls::read(store.as_mut())?.placed.iter().map(Placed::to_control).collect();
        let mut stored = incidents::read(store.as_mut(), None)?;
        stored.retain(|one| one.end_ms > from_ms && one.start_ms < to_ms && devices.contains(&one.device_id));
        let part = Part {
            store: Arc::new(Mutex::new(store)),
            place: place.clone(),
            devices,
            read_from_ms: from_ms.saturating_sub(learn_ms),
            to_ms,
            written,
            counts: Mutex::new(None),
        };
        Ok(Input {
            from: From::Store(Box::new(part)),
            description: format!("store {place}"),
            labels: Vec::new(),
            settings: None,
            controls,
            from_ms,
            written_with: Some(settings).filter(|settings| !settings.is_empty()),
            stored: Some(stored),
        })
    }

    /// The store's address without its password.
    pub fn place(&self) -> Option<&str> {
        match &self.from {
            From::Recording(_) => None,
            From::Store(part) => Some(&part.place),
        }
    }

    /// The messages, from the beginning, for a job with these settings.
    pub fn source(&self, config: &Config) -> Arc<dyn Source> {
        match &self.from {
            From::Recording(source) => Arc::clone(source),
            From::Store(part) => {
                let slice = Slice::new(
                    Arc::clone(&part.store),
                    &part.place,
                    part.devices.clone(),
                    part.read_from_ms..part.to_ms,
                    part.written,
                    config.job.lateness_ms,
                );
                *part.counts.lock().expect("no thread panics while it counts") = Some(slice.counts());
                Arc::new(slice)
            }
        }
    }

    /// A slice in which nothing is judged says nothing.
    pub fn refuse_if_empty(&self) -> anyhow::Result<()> {
        let From::Store(part) = &self.from else { return Ok(()) };
        let Some(read) = self.read() else {
            let (from, to) = (format_ms(part.read_from_ms), format_ms(part.to_ms));
            bail!(WrongUse(format!(
                "store {:?} has no readings of {} devices from {from} to {to}; `dataflow profiles` says when each was last \
                 seen, and readings may have been removed by their age",
                part.place,
                part.devices.len()
            )));
        };
        if read.extent_ms.1 < self.from_ms {
            bail!(WrongUse(format!(
                "store {:?} has no readings from {} on, where judging begins: the newest one in the slice is of {}",
                part.place,
                format_ms(self.from_ms),
                format_ms(read.extent_ms.1)
            )));
        }
        Ok(())
    }

    /// What was read of a store by the last run; `None`: nothing, or it is no store.
    pub fn read(&self) -> Option<Read> {
        let From::Store(part) = &self.from else { return None };
        let counts = part.counts.lock().expect("no thread panics while it counts").clone()?;
        Some(Read {
            readings: counts.readings(),
            extent_ms: counts.extent_ms()?,
            asked_ms: [part.read_from_ms, self.from_ms, part.to_ms],
            devices: part.devices.len(),
        })
    }
}

/// The devices of a store, or those that were asked for.
fn devices(store: &mut dyn connectors::Store, asked: &[String]) -> anyhow::Result<Vec<String>> {
    let mut devices: Vec<String> = asked.to_vec();
    for device in asked {
        last_seen_ms(store, device)?;
    }
    if asked.is_empty() {
        scan(store, model::tables::TableId::DeviceStatistics, &[], |row| {
            devices.extend(row.value("device_id").as_text().map(str::to_owned));
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .context("could not list the devices")?;
    }
    devices.sort();
    devices.dedup();
    Ok(devices)
}
