//! Answers what the pages ask.

use std::collections::BTreeMap;

use connectors::{KafkaSettings, Store, mask_address};
use dashboard::wire::{
    Accepted, Announce, As, Asked, Became, JobView, Likeness, MaintenanceWindow, Readiness, Similar,
};
use dashboard::{Program, Refusal, Word};
use model::StoredIncident;
use model::time::{format_ms, parse_rfc3339};

use super::job::{Watched, of_store};
use crate::checkpoint::Manifest;
use crate::clock;
use crate::commands::explain::{self, State, earlier, state_at};
use crate::commands::incidents::{self, resolve};
use crate::commands::similar::{no_vector, search::Query};
use crate::commands::{WrongUse, common, dead_letters, maintenance};
use crate::config::Config;
use crate::controls::{self, ASKED_MS, Ask, Maintenance, Placed, Resolution};
use crate::telemetry::render;

/// How much an explanation shows before and after.
const AROUND_MS: i64 = 3_600_000;

/// The program as the pages see it.
pub struct Desk {
    /// Where messages come from; empty where only a store is known.
    source: String,
    kafka: KafkaSettings,
    /// All settings as TOML, masked.
    settings: String,
    job: Option<Watched>,
    /// When this process began to answer.
    started_ms: i64,
    /// Of the settings.
    lateness_ms: i64,
    /// Width of the windows; 0: not asked yet.
    width_ms: std::sync::atomic::AtomicI64,
}

impl Desk {
    /// Beside a job.
    pub fn of_job(config: &Config, settings: String, job: Watched) -> Desk {
        let (source, kafka) = (config.source.clone(), config.kafka());
        let (width_ms, started_ms) = (config.job.window_ms.into(), clock::now_ms());
        Desk { source, kafka, settings, job: Some(job), started_ms, lateness_ms: config.job.lateness_ms, width_ms }
    }

    /// Beside a store alone. Its source is the settings' one where that is a topic.
    pub fn of_store(config: &Config, settings: String) -> Desk {
        let source = if config.source.starts_with("kafka://") { config.source.clone() } else { String::new() };
        Desk {
            source,
            kafka: config.kafka(),
            settings,
            job: None,
            started_ms: clock::now_ms(),
            lateness_ms: config.job.lateness_ms,
            width_ms: 0.into(),
        }
    }

    /// The job has come to its end.
    pub fn finished(&self, manifest: Option<&Manifest>) {
        if let Some(job) = &self.job {
            job.finished(manifest);
        }
    }

    fn width_ms(&self, store: &mut dyn Store) -> anyhow::Result<i64> {
        let known = self.width_ms.load(std::sync::atomic::Ordering::Relaxed);
        if known > 0 {
            return Ok(known);
        }
        let width_ms = common::window_ms(store)?;
        self.width_ms.store(width_ms, std::sync::atomic::Ordering::Relaxed);
        Ok(width_ms)
    }

    fn state(&self, store: &mut dyn Store, device: &str, at_ms: i64) -> Result<State, Refusal> {
        let width_ms = self.width_ms(store)?;
        let unknown = || Refusal::Unknown(format!("device {device:?} has no state at {}", format_ms(at_ms)));
        state_at(store, device, at_ms, width_ms)?.ok_or_else(unknown)
    }
}

/// What a command calls wrong use is something that is not there.
fn refused(error: anyhow::Error, refusal: fn(String) -> Refusal) -> Refusal {
    match error.chain().find_map(|cause| cause.downcast_ref::<WrongUse>()) {
        Some(WrongUse(text)) => refusal(text.clone()),
        None => Refusal::Away(error),
    }
}

fn accepted(placed: &Placed) -> Accepted {
    Accepted { control_id: placed.id.clone(), takes_effect: resolve::effect(placed) }
}

fn note_of(text: &str) -> Option<String> {
    Some(text.trim().to_owned()).filter(|note| !note.is_empty())
}

/// An id begins with the time at which something was asked for.
fn asked_at_ms(id: &str) -> Option<i64> {
    parse_rfc3339(id.split('/').next()?)
}

fn means(state: &State) -> BTreeMap<String, f64> {
    state.metrics.iter().map(|(name, metric)| (name.clone(), metric.mean)).collect()
}

impl Program for Desk {
    fn window_ms(&self, store: &mut dyn Store) -> anyhow::Result<i64> {
        // Asked of a store that was just opened, which may be another one than before.
        if self.job.is_none() {
            self.width_ms.store(0, std::sync::atomic::Ordering::Relaxed);
        }
        self.width_ms(store)
    }

    fn words(&self, store: &mut dyn Store) -> anyhow::Result<Vec<Word>> {
        let controls = controls::read(store)?;
        let all = controls.placed.into_iter().chain(controls.asked);
        let word = |placed: Placed| {
            let Ask::Resolve(said) = placed.ask else { return None };
            let resolution = said.resolution.status().to_owned();
            let asked_at_ms = asked_at_ms(&placed.id);
            Some(Word {
                incident_id: said.anomaly_id,
                said: Asked { resolution, note: said.note, asked_at_ms },
                in_effect: placed.window_ms != ASKED_MS,
            })
        };
        Ok(all.filter_map(word).collect())
    }

    fn became(&self, incidents: &[StoredIncident], at_ms: i64, unusual: bool) -> Became {
        let (text, incident_id) = earlier::became(incidents, at_ms, unusual);
        Became { text, incident_id }
    }

    fn explain(&self, store: &mut dyn Store, device: &str, at_ms: i64) -> Result<serde_json::Value, Refusal> {
        let width_ms = self.width_ms(store)?;
        let explained = explain::answer(store, (device, at_ms, width_ms), AROUND_MS, &[]);
        Ok(explained.map_err(|error| refused(error, Refusal::Unknown))?.to_json())
    }

    fn similar(&self, store: &mut dyn Store, device: &str, at_ms: i64, limit: usize) -> Result<Similar, Refusal> {
        let state = self.state(store, device, at_ms)?;
        let mut similar = Similar {
            at_ms: state.start_ms,
            method: Query::of(store, &state)?.map(|query| query.method),
            metrics: means(&state),
            states: Vec::new(),
            note: None,
        };
        if similar.method.is_none() {
            similar.note = Some(no_vector(&state));
            return Ok(similar);
        }
        let incidents = incidents::read(store, Some(device))?;
        for found in earlier::find(store, &state, &incidents, limit)? {
            let there = state_at(store, device, found.start_ms, state.width_ms)?;
            similar.states.push(Likeness {
                at_ms: found.start_ms,
                cosine: found.similarity,
                metrics: there.as_ref().map(means).unwrap_or_default(),
                became: Became { text: found.became, incident_id: found.incident_id },
            });
        }
        if similar.states.is_empty() {
            similar.note = Some("no earlier state of the device has a vector".to_owned());
        }
        Ok(similar)
    }

    fn resolve(&self, store: &mut dyn Store, incident_id: &str, what: As, note: &str) -> Result<Accepted, Refusal> {
        let incident = resolve::find(store, incident_id).map_err(|error| refused(error, Refusal::Unknown))?;
        let resolution = match what {
            As::Fault => Resolution::Fault,
            As::FalsePositive => Resolution::FalsePositive,
            As::Maintenance => Resolution::Maintenance,
        };
        Ok(accepted(&resolve::say(store, &incident, resolution, note_of(note).as_deref())?))
    }

    fn maintenance(&self, store: &mut dyn Store) -> anyhow::Result<Vec<MaintenanceWindow>> {
        let window = |(placed, maintenance): (Placed, Maintenance)| MaintenanceWindow {
            status: match placed.window_ms {
                ASKED_MS => "asked".to_owned(),
                window_ms => format!("in effect from {}", format_ms(window_ms)),
            },
            id: placed.id,
            device_id: maintenance.device_id,
            building_id: maintenance.building_id,
            from_ms: maintenance.from_ms,
            to_ms: maintenance.to_ms,
            note: maintenance.note,
        };
        Ok(maintenance::all(store)?.into_iter().map(window).collect())
    }

    fn announce(&self, store: &mut dyn Store, work: &Announce) -> Result<Accepted, Refusal> {
        let work = Maintenance {
            device_id: work.device_id.clone(),
            building_id: work.building_id.clone(),
            from_ms: work.from_ms,
            to_ms: work.to_ms,
            note: note_of(&work.note),
        };
        let (placed, _) = maintenance::say(store, &work).map_err(|error| refused(error, Refusal::Conflict))?;
        Ok(accepted(&placed))
    }

    fn send_again(&self, messages: &[Vec<u8>]) -> Result<u64, Refusal> {
        if !self.source.starts_with("kafka://") {
            let what = "the job reads no topic that could be sent to: only messages from Kafka can be sent again";
            return Err(Refusal::Conflict(what.to_owned()));
        }
        dead_letters::replay::send_all(&self.source, &self.kafka, messages)
            .map_err(|error| refused(error, Refusal::Conflict))
    }

    fn job(&self, store: &mut dyn Store) -> anyhow::Result<JobView> {
        match &self.job {
            Some(job) => Ok(JobView { lateness_ms: self.lateness_ms, ..job.view() }),
            None => of_store(store, self.lateness_ms),
        }
    }

    fn readiness(&self) -> Readiness {
        self.job.as_ref().map_or(Readiness { ready: true, why: String::new() }, Watched::readiness)
    }

    fn source(&self) -> String {
        mask_address(&self.source)
    }

    fn config_text(&self) -> String {
        self.settings.clone()
    }

    fn metrics_text(&self) -> String {
        let is_ready = self.readiness().ready;
        self.job.as_ref().map_or_else(|| render(is_ready, self.started_ms, None), |job| job.figures(is_ready))
    }
}
