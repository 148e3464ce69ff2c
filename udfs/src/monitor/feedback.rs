//! What people say of a device and its incidents, as far as it changes what is judged from then on.

use model::{Finding, Incident};

use super::Monitor;
use crate::Criticality;

impl Monitor {
    /// Whether people work on the device in the windows that come: they are judged, but no incident opens.
    pub fn set_maintenance(&mut self, maintenance: bool) {
        self.maintenance = maintenance;
    }

    /// How much the device matters in the windows that come: it shifts the severity of its incidents, and nothing else.
    pub fn set_criticality(&mut self, criticality: Criticality) {
        self.incidents.set_criticality(criticality);
    }

    /// The incident of this kind and first metric (empty where it names none) that began at `start_ms` was no fault: its
    /// pattern needs half as much again from now on, up to four times the usual. The same incident counts once.
    pub fn raise_bar(&mut self, kind: &str, metric: &str, start_ms: i64) {
        self.incidents.raise_bar(kind, metric, start_ms);
    }

    /// An incident of this pattern was a fault: its bar is the usual one again.
    pub fn lower_bar(&mut self, kind: &str, metric: &str) {
        self.incidents.lower_bar(kind, metric);
    }

    /// The incidents that are open.
    pub fn open_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.open()
    }
}

/// Why no incident opens in such a state.
pub(super) fn maintenance() -> Finding {
    Finding {
        kind: "maintenance".to_owned(),
        metric: None,
        observed: 0.0,
        expected: None,
        score: 0.0,
        limit: 0.0,
        unit: String::new(),
        text: "the device is in maintenance: no incident opens".to_owned(),
        parts: Default::default(),
    }
}
