//! A device as the job keeps it: its names and slots, its monitor, its totals; and what a closed window makes of it.

mod context;
mod feedback;
mod peers;

use connectors::Embedder;
use model::{Aggregate, Catalogue, DeviceType, Incident, Row, Severity, StateView};
use serde::{Deserialize, Serialize};
use udfs::Monitor;

use crate::directory::{Directory, Place};
use crate::distinct::distinct;
use crate::ledger::Totals;
use crate::operators::peers::Table;
use crate::operators::window::Closed;
use crate::recent::{Recent, Said};
use crate::rows;
use crate::rows::Judged;
use crate::samples::Sample;
use crate::settings::TextKind;
pub use context::Context;
use feedback::Mark;

/// Number of a metric that no message brings.
const DERIVED: u32 = u32::MAX;

/// Event time between two rows of a device's profile.
const PROFILE_EVERY_MS: i64 = 3_600_000;

/// A device, all of it saved in a checkpoint but the worker's own numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceState {
    /// Its name.
    pub device_id: String,
    /// What its last message told.
    pub place: Place,
    /// Metric names by slot.
    pub names: Vec<String>,
    /// What its detectors know.
    pub monitor: Monitor,
    /// States so far.
    pub snapshots: u64,
    /// Anomalous ones among them.
    pub anomalies: u64,
    /// Readings in states.
    pub windowed: u64,
    /// Readings replaced by others.
    pub duplicate: u64,
    /// Incidents so far.
    pub incidents: u64,
    /// Start of the first window.
    pub first_seen_ms: i64,
    /// Newest event time.
    pub last_seen_ms: i64,
    profile_written_ms: i64,
    open: Vec<(String, i64, Severity)>,
    recent: Recent,
    /// What people said of its open incidents.
    marks: Vec<Mark>,
    /// It falls silent in no window before.
    silent_from_ms: i64,
    #[serde(skip)]
    numbers: Vec<u32>,
    #[serde(skip)]
    hints: Vec<u32>,
    /// Of each slot the number under which its peers are known.
    #[serde(skip)]
    peer_numbers: Vec<u32>,
}

impl DeviceState {
    /// A device at its first window.
    pub fn new(device_id: &str, start_ms: i64) -> Self {
        DeviceState {
            device_id: device_id.to_owned(),
            place: Place::default(),
            names: Vec::new(),
            monitor: Monitor::new(device_id),
            snapshots: 0,
            anomalies: 0,
            windowed: 0,
            duplicate: 0,
            incidents: 0,
            first_seen_ms: start_ms,
            last_seen_ms: start_ms,
            profile_written_ms: i64::MIN,
            open: Vec::new(),
            recent: Recent::default(),
            marks: Vec::new(),
            silent_from_ms: i64::MIN,
            numbers: Vec::new(),
            hints: Vec::new(),
            peer_numbers: Vec::new(),
        }
    }

    /// Open incidents: kind, start and highest severity so far.
    pub fn open_incidents(&self) -> impl Iterator<Item = (&str, i64, Severity)> {
        self.open.iter().map(|(kind, start_ms, severity)| (kind.as_str(), *start_ms, *severity))
    }

    /// Gives the metrics their numbers on this worker after a restart.
    pub fn renumber(&mut self, directory: &mut Directory) {
        self.numbers = self.names.iter().map(|name| directory.metric(name)).collect();
    }

    /// Judges a closed window and makes its rows.
    pub fn observe(
        &mut self,
        context: &mut Context,
        start_ms: i64,
        mut closed: Closed,
        (directory, table): (&Directory, &mut Table),
        totals: &mut Totals,
        out: &mut Vec<Row>,
    ) {
        let place = &directory.places[closed.place as usize];
        if self.place != *place {
            self.place = place.clone();
            self.peer_numbers.clear();
        }
        self.snapshots += 1;
        self.windowed += u64::from(closed.readings);
        self.duplicate += u64::from(closed.duplicates);
        self.last_seen_ms = self.last_seen_ms.max(closed.last_ms);
        let mut metrics = self.by_slot(&closed.metrics, directory);
        let device_type = Catalogue::builtin().types.get(&self.place.device_type);
        if let Some(device_type) = device_type {
            self.derive(device_type, &mut metrics);
        }
        let config = context.config.of(&self.place.device_type);
        let peers = self.peers(table, &config.peers);
        let (width_ms, names, metrics) = (context.width_ms, self.names.as_slice(), metrics.as_slice());
        let peers_ms = context.config.usual.peers.before_ms(start_ms, width_ms);
        let offset_ms = context.zones.offset_ms(self.place.building_id.as_deref(), start_ms);
        let state = StateView { start_ms, width_ms, device_type, names, metrics, peers: &peers, peers_ms, offset_ms };
        let maintenance = self.maintenance(context, start_ms).map(|maintenance| maintenance.note.clone());
        self.monitor.set_maintenance(maintenance.is_some());
        self.monitor.set_criticality(context.config.criticality(&self.device_id, &self.place));
        let judgement = self.monitor.observe(config, &state);
        if judgement.severity.is_some() {
            self.anomalies += 1;
            totals.anomalous_states += 1;
        }
        let vector = judgement.vector.as_deref();
        let embedding = match (&mut context.embedder, vector) {
            (Some(embedder), Some(vector)) => {
                embedder.embed(vector, &self.names).map(|vector| (embedder.method().to_owned(), vector))
            }
            _ => None,
        };
        let words = context.texts.as_deref().and_then(|texts| {
            let text = match texts.kind() {
                TextKind::Words => self.monitor.words(&self.place.device_type, &judgement)?,
                TextKind::Values => udfs::text::values(&self.device_id, &means(&closed, directory)),
            };
            Some((texts.method(), text))
        });
        if embedding.is_some() || words.is_some() {
            totals.embeddings_computed += 1;
        }
        self.count(&judgement.incidents, totals);
        if !context.store_rows {
            return;
        }
        let named: Vec<(&str, Aggregate)> = closed
            .metrics
            .iter()
            .map(|(metric, aggregate)| (directory.metrics[*metric as usize].as_str(), *aggregate))
            .collect();
        let judged = Judged::from(&judgement);
        let parts = rows::StateParts {
            start_ms,
            stamp_ms: start_ms,
            device_id: &self.device_id,
            place: &self.place,
            metrics: &named,
            readings: closed.readings,
            judged: &judged,
            names: &self.names,
            expected: self.monitor.expected(),
            distinct: match (&mut context.embedder, vector) {
                (Some(embedder), Some(vector)) => distinct(embedder.as_mut(), vector, &self.names),
                _ => None,
            },
            embedding: embedding.as_ref().map(|(method, vector)| (method.as_str(), vector.clone())),
        };
        out.push(rows::snapshot(&parts, context.aggregate));
        out.extend(words.as_ref().map(|(method, text)| rows::pending(&parts, method, text)));
        out.extend(rows::occurrence(&parts).into_iter().flatten());
        if let Some(within_ms) = context.corrected_for_ms {
            self.recent.forget(start_ms.saturating_sub(within_ms), context.width_ms);
            let words = words.map(|(method, text)| (method.to_owned(), text));
            let expected = self.monitor.expected().to_vec();
            let said = Said { judged, vector: judgement.vector.clone(), words, expected };
            self.recent.keep(start_ms, &mut closed, said, directory);
        }
        let further = self.mark(&judgement.incidents, maintenance);
        for incident in judgement.incidents.iter().chain(&further) {
            out.push(rows::incident(self, incident, start_ms, context.width_ms));
        }
        self.forget_marks();
        out.push(rows::statistics(self, start_ms));
        let hour_ms = start_ms.div_euclid(PROFILE_EVERY_MS);
        if hour_ms != self.profile_written_ms {
            self.profile_written_ms = hour_ms;
            out.push(self.profile_row(context.embedder.as_deref_mut(), start_ms, context.width_ms));
        }
    }

    /// Late readings (metric number and reading), all of one stamp, correct the state of the window at `start_ms`, if there is
    /// one: its metrics and its count of readings. All that was said of it stands, and the device learns nothing from them.
    pub fn correct(
        &mut self,
        context: &mut Context,
        (stamp_ms, start_ms): (i64, i64),
        late: &[(u32, Sample)],
        directory: &Directory,
        out: &mut Vec<Row>,
    ) {
        let late = late.iter().map(|(metric, sample)| (directory.metrics[*metric as usize].as_str(), *sample));
        let Some(corrected) = self.recent.correct(start_ms, late) else { return };
        let embedding = match (&mut context.embedder, corrected.said.vector.as_deref()) {
            (Some(embedder), Some(vector)) => {
                // Slots that were added since have no component.
                let names = &self.names[..vector.len() - 1];
                embedder.embed(vector, names).map(|vector| (embedder.method().to_owned(), vector))
            }
            _ => None,
        };
        let parts = rows::StateParts {
            start_ms,
            stamp_ms,
            device_id: &self.device_id,
            place: corrected.place,
            metrics: &corrected.metrics,
            readings: corrected.readings,
            judged: &corrected.said.judged,
            names: &self.names,
            expected: &corrected.said.expected,
            distinct: None,
            embedding: embedding.as_ref().map(|(method, vector)| (method.as_str(), vector.clone())),
        };
        out.push(rows::snapshot(&parts, context.aggregate));
        // Of another embedder's text there is none here to make a vector.
        let method = context.texts.as_deref().map(|texts| texts.method());
        let words = corrected.said.words.as_ref().filter(|(of, _)| Some(of.as_str()) == method);
        out.extend(words.map(|(method, text)| rows::pending(&parts, method, text)));
    }

    /// Forgets what no late reading stamped at or after `stamp_ms` can correct.
    pub fn forget(&mut self, context: &Context, stamp_ms: i64) {
        if let Some(within_ms) = context.corrected_for_ms {
            self.recent.forget(stamp_ms.saturating_sub(within_ms), context.width_ms);
        }
    }

    /// Forgets all recent states.
    pub fn forget_recent(&mut self) {
        self.recent = Recent::default();
    }

    /// The device has been silent for long enough: the window at `start_ms` had no state either.
    pub fn silent(&mut self, context: &Context, start_ms: i64, totals: &mut Totals, out: &mut Vec<Row>) {
        let config = context.config.of(&self.place.device_type);
        self.monitor.set_criticality(context.config.criticality(&self.device_id, &self.place));
        let incidents = self.monitor.silent(config, start_ms, context.width_ms);
        self.count(&incidents, totals);
        if context.store_rows && !incidents.is_empty() {
            for incident in &incidents {
                out.push(rows::incident(self, incident, start_ms, context.width_ms));
            }
            out.push(rows::statistics(self, start_ms));
        }
    }

    /// What is normal for it, as of the window at `start_ms`.
    pub fn profile_row(&self, embedder: Option<&mut (dyn Embedder + 'static)>, start_ms: i64, width_ms: i64) -> Row {
        let centroid = self.monitor.profile().centroid;
        let embedding = match (embedder, centroid) {
            (Some(embedder), Some(centroid)) => embedder.embed(&centroid, &self.names),
            _ => None,
        };
        rows::profile(self, embedding, start_ms, width_ms)
    }

    /// Start of the newest window that it was judged in.
    pub fn last_window_ms(&self) -> Option<i64> {
        self.monitor.profile().last_seen_ms
    }

    /// Aggregates by slot; a metric never seen before gets the next slot. Slots follow (first window, name).
    fn by_slot(&mut self, metrics: &[(u32, Aggregate)], directory: &Directory) -> Vec<Option<Aggregate>> {
        let mut by_slot = vec![None; self.names.len()];
        for (place, (metric, aggregate)) in metrics.iter().enumerate() {
            // States mostly hold the same metrics: the slot of last time is tried first.
            let hint = self.hints.get(place).copied().filter(|&slot| self.numbers[slot as usize] == *metric);
            let slot = match hint {
                Some(slot) => slot as usize,
                None => self.numbers.iter().position(|number| number == metric).unwrap_or_else(|| {
                    let name = &directory.metrics[*metric as usize];
                    // What was derived so far may be sent now.
                    if let Some(slot) = self.names.iter().position(|known| known == name) {
                        self.numbers[slot] = *metric;
                        return slot;
                    }
                    self.names.push(name.clone());
                    self.numbers.push(*metric);
                    by_slot.push(None);
                    self.names.len() - 1
                }),
            };
            let slot_number = u32::try_from(slot).expect("fewer than 2^32 metrics");
            match self.hints.get_mut(place) {
                Some(known) => *known = slot_number,
                None => self.hints.push(slot_number),
            }
            by_slot[slot] = Some(within_reach(*aggregate));
        }
        by_slot
    }

    /// Adds what follows from the metrics of a state by its type's formulas; what the device sends itself stays.
    fn derive(&mut self, device_type: &DeviceType, metrics: &mut Vec<Option<Aggregate>>) {
        for (name, aggregate) in udfs::derive(device_type, &self.names, metrics) {
            let slot = self.names.iter().position(|known| *known == name).unwrap_or_else(|| {
                self.names.push(name);
                self.numbers.push(DERIVED);
                metrics.push(None);
                metrics.len() - 1
            });
            metrics[slot].get_or_insert(aggregate);
        }
    }

    /// Counts incidents under their highest severity so far.
    fn count(&mut self, incidents: &[Incident], totals: &mut Totals) {
        for incident in incidents {
            let known = self
                .open
                .iter_mut()
                .find(|(kind, start_ms, _)| (kind.as_str(), *start_ms) == (&incident.kind, incident.start_ms));
            let count = &mut totals.incidents;
            match known {
                Some((_, _, severity)) if *severity == incident.severity => {}
                Some((_, _, severity)) => {
                    count[*severity as usize] = count[*severity as usize].wrapping_sub(1);
                    *severity = incident.severity;
                    count[*severity as usize] = count[*severity as usize].wrapping_add(1);
                }
                None => {
                    self.incidents += 1;
                    count[incident.severity as usize] = count[incident.severity as usize].wrapping_add(1);
                    self.open.push((incident.kind.clone(), incident.start_ms, incident.severity));
                }
            }
            if incident.status == model::IncidentStatus::Closed {
                self.open
                    .retain(|(kind, start_ms, _)| (kind.as_str(), *start_ms) != (&incident.kind, incident.start_ms));
            }
        }
    }
}

fn means<'a>(closed: &Closed, directory: &'a Directory) -> Vec<(&'a str, f64)> {
    let mean = |(metric, aggregate): &(u32, Aggregate)| (directory.metrics[*metric as usize].as_str(), aggregate.mean);
    closed.metrics.iter().map(mean).collect()
}

/// Largest value that the detectors see. Their sums of squares have to stay finite for whatever a device sends; the rows keep
/// what was sent, and beyond this nothing is an ordinary number of any metric.
pub const REACH: f64 = 1e60;

fn within_reach(aggregate: Aggregate) -> Aggregate {
    let clip = |value: f64| value.clamp(-REACH, REACH);
    let Aggregate { last, mean, min, max, count } = aggregate;
    Aggregate { last: clip(last), mean: clip(mean), min: clip(min), max: clip(max), count }
}
