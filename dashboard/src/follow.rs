//! The thread that keeps the board up with the store: it loads the fleet at the start, and every two seconds takes in what people
//! said, what the job says of itself and, where no job feeds the board, what has changed in the store.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connectors::{Store, scan_days};
use model::tables::TableId;
use model::time::{date_of, window_start};
use model::{Row, Value};

use crate::board::Totals;
use crate::readers;
use crate::server::Shared;
use crate::wire::{JobView, OpenCounts, Pipeline, ReasonCount};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);
/// Between two counts of the dead letters; more where counting takes long.
const COUNT_EVERY: Duration = Duration::from_secs(15);
/// What takes long is done again after so many times its own duration.
const PACE: u32 = 20;
/// After a look it rests so many times as long as that took: a large fleet in a far store must not be asked all the time.
const REST: u32 = 4;
/// Rows that are asked for by their keys at once.
const KEYS: usize = 500;

/// What the thread knows from its last look.
#[derive(Default)]
struct Follower {
    store: Option<Box<dyn Store>>,
    /// The whole fleet was loaded.
    loaded: bool,
    width_ms: i64,
    /// Totals of each device as they were seen last.
    seen: BTreeMap<String, i64>,
    letters: Vec<ReasonCount>,
    count_next: Option<Instant>,
    view: JobView,
    view_next: Option<Instant>,
}

/// Works until `ends` is closed.
pub(crate) fn follow(shared: &Shared, ends: &Receiver<()>) {
    let mut follower = Follower::default();
    loop {
        let began = Instant::now();
        match follower.look(shared) {
            Ok(()) => drop(shared.set_trouble(None)),
            Err(error) => {
                let error = format!("{error:#}");
                if shared.set_trouble(Some(error.clone())) {
                    tracing::warn!(error, "the dashboard could not look into the store, and tries again");
                }
            }
        }
        follower.tell_pipeline(shared);
        match ends.recv_timeout(EVERY.max(began.elapsed() * REST)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// When something that took so long is due again.
fn due(began: Instant, least: Duration) -> Instant {
    Instant::now() + least.max(began.elapsed() * PACE)
}

impl Follower {
    fn look(&mut self, shared: &Shared) -> anyhow::Result<()> {
        if self.store.as_ref().is_some_and(|store| !store.is_in_place()) {
            tracing::warn!("the store's file was removed or replaced; the dashboard looks for it anew");
            *self = Follower::default();
            // A job still writes what it feeds the board with.
            if !shared.live {
                shared.board.clear();
                shared.set_gone();
            }
        }
        let mut store = match self.store.take() {
            Some(store) => store,
            None => {
                let mut store = readers::open(&shared.store_url)?;
                self.width_ms = shared.program.window_ms(store.as_mut())?.max(1);
                shared.board.set_width(self.width_ms);
                store
            }
        };
        self.look_into(shared, store.as_mut())?;
        self.store = Some(store);
        Ok(())
    }

    fn look_into(&mut self, shared: &Shared, store: &mut dyn Store) -> anyhow::Result<()> {
        let words = shared.program.words(store)?;
        if !self.loaded {
            self.seen = load(shared, store, self.width_ms)?;
            // What is shown first must not take a recording for the present.
            self.view = shared.program.job(store)?;
            self.tell_pipeline(shared);
            self.loaded = true;
            shared.set_loaded();
        } else if !shared.live {
            self.seen = changed(shared, store, self.width_ms, &self.seen)?;
        }
        shared.board.set_words(words);
        if self.count_next.is_none_or(|next| Instant::now() >= next) {
            let began = Instant::now();
            self.letters = count_letters(store)?;
            self.count_next = Some(due(began, COUNT_EVERY));
        }
        if self.view_next.is_none_or(|next| Instant::now() >= next) {
            let began = Instant::now();
            self.view = shared.program.job(store)?;
            self.view_next = Some(due(began, Duration::ZERO));
        }
        Ok(())
    }

    fn tell_pipeline(&self, shared: &Shared) {
        let mut open_incidents = OpenCounts::default();
        shared.board.open_incidents().iter().for_each(|known| open_incidents.add(known.incident.severity));
        let mut view = self.view.clone();
        // What the store's servers would not have is kept beside the dead letters.
        let refused = self.letters.iter().find(|letters| letters.reason == connectors::refused::REASON);
        view.rows.refused = refused.map_or(0, |letters| letters.count);
        let pipeline = Pipeline {
            live: shared.live,
            source: shared.program.source(),
            store: connectors::mask_address(&shared.store_url),
            as_of_ms: crate::clock::now_ms(),
            view,
            dead_letters: self.letters.clone(),
            open_incidents,
        };
        if shared.hub.is_watched() {
            shared.hub.tell("pipeline", &pipeline);
        }
        shared.set_pipeline(Arc::new(pipeline));
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn each_row(store: &mut dyn Store, table: TableId, mut each: impl FnMut(Row)) -> anyhow::Result<()> {
    store
        .scan(table, &[], &mut |row| {
            each(row);
            ControlFlow::Continue(())
        })
        .with_context(|| format!("could not read table {:?}", table.table().name))
}

/// What tells whether a device has changed: its totals rise with every state and incident.
fn mark(row: &Row) -> i64 {
    row.version.us()
}

/// Takes in the whole fleet.
fn load(shared: &Shared, store: &mut dyn Store, width_ms: i64) -> anyhow::Result<BTreeMap<String, i64>> {
    let began = Instant::now();
    let mut seen = BTreeMap::new();
    let mut totals = Vec::new();
    each_row(store, TableId::DeviceStatistics, |row| {
        if let Some(device) = row.value("device_id").as_text() {
            seen.insert(device.to_owned(), mark(&row));
            totals.push(row);
        }
    })?;
    take_in(shared, store, &totals, width_ms)?;
    let mut incidents = Vec::new();
    each_row(store, TableId::AnomalyEvents, |row| {
        incidents.push(row);
        if incidents.len() == KEYS {
            shared.board.apply(&incidents);
            incidents.clear();
        }
    })?;
    shared.board.apply(&incidents);
    let took_ms = began.elapsed().as_millis();
    tracing::info!(devices = seen.len(), took_ms, "the dashboard has loaded the fleet");
    Ok(seen)
}

/// Takes in devices by their totals: these, and the newest state of each.
fn take_in(shared: &Shared, store: &mut dyn Store, totals: &[Row], width_ms: i64) -> anyhow::Result<()> {
    for totals in totals.chunks(KEYS) {
        shared.board.apply(totals);
        let mut keys = Vec::new();
        for row in totals {
            if let (Some(device), Some(last_seen_ms)) =
                (row.value("device_id").as_text(), Totals::of_row(row).last_seen_ms)
            {
                let start_ms = window_start(last_seen_ms, width_ms);
                keys.push(vec![text(device), Value::Text(date_of(start_ms)), Value::Int(start_ms)]);
            }
        }
        let states = store
            .find(TableId::DeviceStateSnapshots, &keys)
            .context("could not read table \"device_state_snapshots\"")?;
        shared.board.apply(&states);
        // A device whose last reading came late has its newest state before it: looked for on that day.
        for key in keys {
            let [Value::Text(device), _, Value::Int(start_ms)] = &key[..] else { continue };
            if shared.board.device(device).is_some_and(|device| device.newest.is_none()) {
                let mut newest = None;
                scan_days(
                    store,
                    TableId::DeviceStateSnapshots,
                    device,
                    start_ms - 86_400_000..*start_ms,
                    &mut |row| {
                        newest = Some(row);
                        ControlFlow::Continue(())
                    },
                )?;
                shared.board.apply(&newest);
            }
        }
    }
    Ok(())
}

/// Takes in what has changed since the last look.
fn changed(
    shared: &Shared,
    store: &mut dyn Store,
    width_ms: i64,
    before: &BTreeMap<String, i64>,
) -> anyhow::Result<BTreeMap<String, i64>> {
    let (mut seen, mut totals) = (BTreeMap::new(), Vec::new());
    each_row(store, TableId::DeviceStatistics, |row| {
        if let Some(device) = row.value("device_id").as_text() {
            let mark = mark(&row);
            let is_new = before.get(device) != Some(&mark);
            seen.insert(device.to_owned(), mark);
            if is_new {
                totals.push(row);
            }
        }
    })?;
    let went = before.iter().any(|(device, mark)| seen.get(device).is_none_or(|now| now < mark));
    if went {
        // Cleared, or another store in its place.
        shared.board.clear();
        return load(shared, store, width_ms);
    }
    let counted_before: Vec<i64> = totals
        .iter()
        .map(|row| row.value("device_id").as_text().and_then(|id| shared.board.device(id)))
        .map(|device| device.map_or(0, |device| device.totals.incidents))
        .collect();
    take_in(shared, store, &totals, width_ms)?;
    // Open ones may have grown or closed, also of a device that says nothing any more.
    let open = shared.board.open_incidents();
    let key = |incident: &model::StoredIncident| incident_key(incident);
    let keys: Vec<Vec<Value>> = open.iter().filter_map(|known| key(&known.incident)).collect();
    for keys in keys.chunks(KEYS) {
        let rows = store.find(TableId::AnomalyEvents, keys).context("could not read table \"anomaly_events\"")?;
        shared.board.apply(&rows);
    }
    for (row, before) in totals.iter().zip(counted_before) {
        let now = Totals::of_row(row);
        if now.incidents > before {
            newest_incidents(shared, store, row, now.last_seen_ms.unwrap_or_default().max(row.version.us() / 1_000))?;
        }
    }
    Ok(seen)
}

fn incident_key(incident: &model::StoredIncident) -> Option<Vec<Value>> {
    let id = uuid::Uuid::parse_str(&incident.id).ok()?;
    let date = date_of(incident.start_ms);
    Some(vec![text(&incident.device_id), Value::Text(date), Value::Uuid(id.into_bytes())])
}

/// A device has more incidents than before: they began on the day of its newest window or the one before.
fn newest_incidents(shared: &Shared, store: &mut dyn Store, totals: &Row, newest_ms: i64) -> anyhow::Result<()> {
    let Some(device) = totals.value("device_id").as_text() else { return Ok(()) };
    for day_ms in [newest_ms.saturating_sub(86_400_000), newest_ms] {
        let mut rows = Vec::new();
        store
            .scan(TableId::AnomalyEvents, &[text(device), Value::Text(date_of(day_ms))], &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .context("could not read table \"anomaly_events\"")?;
        shared.board.apply(&rows);
    }
    Ok(())
}

fn count_letters(store: &mut dyn Store) -> anyhow::Result<Vec<ReasonCount>> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    each_row(store, TableId::DeadLetters, |row| {
        *counts.entry(row.value("reason").as_text().unwrap_or_default().to_owned()).or_default() += 1;
    })?;
    Ok(counts.into_iter().map(|(reason, count)| ReasonCount { reason, count }).collect())
}
