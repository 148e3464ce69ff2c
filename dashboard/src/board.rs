//! The fleet in memory: of every device the newest state, of the incidents the newest ones. Fed by rows, from a running job or
//! from the store; whatever came in which order, the highest version of a row stays, so both feeds show the same.
//!
//! Readers get shared pointers under a short lock and work outside of it: nobody who feeds the board waits for an answer to be
//! written.

mod device;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use model::tables::TableId;
use model::{Row, StoredIncident, Version};

use crate::program::Word;

pub(crate) use device::{Device, Newest, Totals};
pub(crate) use view::{View, card, face, incident_card, trouble};

/// Incidents that are kept: open ones and the newest of the closed.
const MOST_INCIDENTS: usize = 50_000;

/// The fleet in memory.
#[derive(Default)]
pub struct Board {
    fleet: RwLock<Fleet>,
    changed: Mutex<Changed>,
}

/// What has changed since it was last asked.
#[derive(Default)]
pub(crate) struct Changed {
    /// Devices with a new state or another incident.
    pub(crate) devices: BTreeSet<String>,
    /// Incidents by id.
    pub(crate) incidents: BTreeSet<String>,
    /// Everything: the store was swapped.
    pub(crate) all: bool,
}

#[derive(Default)]
struct Fleet {
    devices: BTreeMap<String, Arc<Device>>,
    incidents: BTreeMap<String, Arc<Known>>,
    /// By start, then id.
    by_start: BTreeSet<(i64, String)>,
    words: Arc<Words>,
    width_ms: i64,
    newest_ms: Option<i64>,
}

/// An incident and the version of its row.
pub(crate) struct Known {
    pub(crate) version: Version,
    pub(crate) incident: StoredIncident,
}

/// What people said, by incident.
pub(crate) type Words = BTreeMap<String, Vec<Word>>;

/// A row that concerns the board, read before anybody has to wait.
enum Change {
    State(String, Box<Newest>),
    Totals(String, Version, Totals),
    Incident(Box<Known>),
}

impl Change {
    fn of_row(row: &Row) -> Option<Change> {
        let device = || row.value("device_id").as_text().map(str::to_owned);
        match row.table {
            TableId::DeviceStateSnapshots => Some(Change::State(device()?, Box::new(Newest::of_row(row)?))),
            TableId::DeviceStatistics => Some(Change::Totals(device()?, row.version, Totals::of_row(row))),
            TableId::AnomalyEvents => {
                let incident = StoredIncident::of_row(row)?;
                Some(Change::Incident(Box::new(Known { version: row.version, incident })))
            }
            _ => None,
        }
    }
}

impl Board {
    /// An empty one.
    pub fn new() -> Arc<Board> {
        Arc::new(Board::default())
    }

    /// Takes in rows of states, totals and incidents; others are left alone.
    pub fn apply<'a>(&self, rows: impl IntoIterator<Item = &'a Row>) {
        let changes: Vec<Change> = rows.into_iter().filter_map(Change::of_row).collect();
        if changes.is_empty() {
            return;
        }
        let mut changed = Changed::default();
        let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            fleet.apply(change, &mut changed);
        }
        drop(fleet);
        let mut noted = self.changed();
        noted.devices.append(&mut changed.devices);
        noted.incidents.append(&mut changed.incidents);
    }

    /// Width of the windows.
    pub(crate) fn set_width(&self, width_ms: i64) {
        self.fleet.write().unwrap_or_else(PoisonError::into_inner).width_ms = width_ms;
    }

    /// What people said, all of it.
    pub(crate) fn set_words(&self, words: Vec<Word>) {
        let mut by_incident = Words::new();
        for word in words {
            by_incident.entry(word.incident_id.clone()).or_default().push(word);
        }
        let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
        if *fleet.words == by_incident {
            return;
        }
        let before = std::mem::replace(&mut fleet.words, Arc::new(by_incident));
        let ids = before.keys().chain(fleet.words.keys());
        let other = ids.filter(|id| before.get(*id) != fleet.words.get(*id)).cloned().collect::<Vec<_>>();
        drop(fleet);
        self.changed().incidents.extend(other);
    }

    /// Forgets everything: another store stands in the place of the one that it showed.
    pub(crate) fn clear(&self) {
        let mut fleet = self.fleet.write().unwrap_or_else(PoisonError::into_inner);
        *fleet = Fleet { width_ms: fleet.width_ms, ..Fleet::default() };
        drop(fleet);
        *self.changed() = Changed { all: true, ..Changed::default() };
    }

    /// What has changed since the last call.
    pub(crate) fn take_changed(&self) -> Changed {
        std::mem::take(&mut *self.changed())
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One device, with what is needed to show it.
    pub(crate) fn device(&self, id: &str) -> Option<Arc<Device>> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner).devices.get(id).cloned()
    }

    /// One incident.
    pub(crate) fn incident(&self, id: &str) -> Option<Arc<Known>> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner).incidents.get(id).cloned()
    }

    /// Everything, as it stands.
    pub(crate) fn view(&self) -> View {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        View {
            devices: fleet.devices.values().cloned().collect(),
            width_ms: fleet.width_ms.max(1),
            newest_ms: fleet.newest_ms,
        }
    }

    /// End of the newest window; 0 where there is none.
    pub(crate) fn as_of_ms(&self) -> i64 {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.newest_ms.map_or(0, |newest_ms| newest_ms.saturating_add(fleet.width_ms.max(1)))
    }

    /// What people said.
    pub(crate) fn words(&self) -> Arc<Words> {
        Arc::clone(&self.fleet.read().unwrap_or_else(PoisonError::into_inner).words)
    }

    /// Incidents, the newest first.
    pub(crate) fn incidents(&self) -> Vec<Arc<Known>> {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.by_start.iter().rev().filter_map(|(_, id)| fleet.incidents.get(id).cloned()).collect()
    }

    /// Incidents that are open.
    pub(crate) fn open_incidents(&self) -> Vec<Arc<Known>> {
        let fleet = self.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.devices.values().flat_map(|device| device.open.iter().cloned()).collect()
    }
}

impl Fleet {
    fn device(&mut self, id: &str) -> &mut Device {
        let device = self.devices.entry(id.to_owned()).or_insert_with(|| Arc::new(Device::new(id)));
        Arc::make_mut(device)
    }

    fn apply(&mut self, change: Change, changed: &mut Changed) {
        match change {
            Change::State(id, newest) => {
                let start_ms = newest.start_ms;
                if self.device(&id).take_state(*newest) {
                    self.newest_ms = self.newest_ms.max(Some(start_ms));
                    changed.devices.insert(id);
                }
            }
            Change::Totals(id, version, totals) => {
                if self.device(&id).take_totals(version, totals) {
                    changed.devices.insert(id);
                }
            }
            Change::Incident(known) => self.take_incident(*known, changed),
        }
    }

    fn take_incident(&mut self, known: Known, changed: &mut Changed) {
        let id = known.incident.id.clone();
        if self.incidents.get(&id).is_some_and(|before| before.version >= known.version) {
            return;
        }
        let known = Arc::new(known);
        self.by_start.insert((known.incident.start_ms, id.clone()));
        self.incidents.insert(id.clone(), Arc::clone(&known));
        let device = self.device(&known.incident.device_id);
        device.open.retain(|open| open.incident.id != id);
        if known.incident.open {
            device.open.push(Arc::clone(&known));
            let gravest = |one: &Arc<Known>| (std::cmp::Reverse(one.incident.severity), one.incident.start_ms);
            device.open.sort_by(|a, b| gravest(a).cmp(&gravest(b)).then_with(|| a.incident.id.cmp(&b.incident.id)));
        }
        device.place_of(&known.incident);
        changed.devices.insert(known.incident.device_id.clone());
        changed.incidents.insert(id);
        if self.incidents.len() > MOST_INCIDENTS {
            let closed = |id: &String| self.incidents.get(id).is_some_and(|known| !known.incident.open);
            if let Some(oldest) = self.by_start.iter().find(|(_, id)| closed(id)).cloned() {
                self.incidents.remove(&oldest.1);
                self.by_start.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests;
