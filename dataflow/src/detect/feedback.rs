//! What people say of a device, as its rows and its monitor take it.

use model::time::window_start;
use model::{Incident, IncidentStatus};
use serde::{Deserialize, Serialize};

use super::{Context, DeviceState};
use crate::controls::{Maintenance, Resolution, Resolve};

/// What stands in the rows of an open incident beside what the job has found.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Mark {
    kind: String,
    start_ms: i64,
    resolution: Resolution,
    note: Option<String>,
    /// Set by maintenance, not by a word on this incident: taken back where it goes on afterwards.
    by_maintenance: bool,
}

impl Mark {
    fn is_of(&self, incident: &Incident) -> bool {
        self.kind == incident.kind && self.start_ms == incident.start_ms
    }
}

impl DeviceState {
    /// The maintenance in which a window lies.
    pub(super) fn maintenance<'a>(&self, context: &'a Context, start_ms: i64) -> Option<&'a Maintenance> {
        let building = self.place.building_id.as_deref();
        context.standing.maintenance(&self.device_id, building, start_ms, context.width_ms)
    }

    /// Start of the window whose absence makes the device silent; in maintenance nobody is.
    pub fn silent_due_ms(&self, context: &Context) -> Option<i64> {
        let config = context.config.of(&self.place.device_type);
        let mut due_ms = self.monitor.silent_due_ms(config, context.width_ms)?.max(self.silent_from_ms);
        while let Some(maintenance) = self.maintenance(context, due_ms) {
            due_ms = window_start(maintenance.to_ms.saturating_add(context.width_ms - 1), context.width_ms);
        }
        Some(due_ms)
    }

    /// Takes in a word on one of its incidents, in front of a window.
    pub fn resolve(&mut self, resolve: &Resolve, window_ms: i64) {
        // Where a bar falls again, silence is noticed from here on, not in windows that are judged.
        self.silent_from_ms = self.silent_from_ms.max(window_ms);
        let Resolve { kind, start_ms, metric, resolution, note, .. } = resolve;
        match resolution {
            Resolution::FalsePositive => self.monitor.raise_bar(kind, metric, *start_ms),
            Resolution::Fault => self.monitor.lower_bar(kind, metric),
            Resolution::Maintenance => {}
        }
        let mark = Mark {
            kind: kind.clone(),
            start_ms: *start_ms,
            resolution: *resolution,
            note: note.clone(),
            by_maintenance: false,
        };
        if self.monitor.open_incidents().any(|incident| mark.is_of(incident)) {
            self.marks.retain(|known| (&known.kind, known.start_ms) != (kind, *start_ms));
            self.marks.push(mark);
        }
    }

    /// Marks the incidents that last into a window of maintenance, and takes that back from one that goes on behind it. Of those
    /// that did not change in this window, the ones whose rows change nevertheless.
    pub(super) fn mark(&mut self, changed: &[Incident], maintenance: Option<Option<String>>) -> Vec<Incident> {
        let Some(note) = maintenance else {
            let goes_on = |mark: &Mark| {
                changed.iter().any(|incident| mark.is_of(incident) && incident.status == IncidentStatus::Open)
            };
            self.marks.retain(|mark| !mark.by_maintenance || !goes_on(mark));
            return Vec::new();
        };
        let mut further = Vec::new();
        let open = self.monitor.open_incidents().filter(|open| !changed.iter().any(|one| one.kind == open.kind));
        for (incident, is_changed) in changed.iter().map(|one| (one, true)).chain(open.map(|one| (one, false))) {
            if self.marks.iter().any(|mark| mark.is_of(incident)) {
                continue;
            }
            self.marks.push(Mark {
                kind: incident.kind.clone(),
                start_ms: incident.start_ms,
                resolution: Resolution::Maintenance,
                note: note.clone(),
                by_maintenance: true,
            });
            further.extend((!is_changed).then(|| incident.clone()));
        }
        further
    }

    /// What people made of an incident that is open, or was until this window.
    pub fn said_of(&self, incident: &Incident) -> Option<(Resolution, Option<&str>)> {
        let mark = self.marks.iter().find(|mark| mark.is_of(incident))?;
        Some((mark.resolution, mark.note.as_deref()))
    }

    /// Forgets what was said of incidents that are closed.
    pub(super) fn forget_marks(&mut self) {
        let monitor = &self.monitor;
        self.marks.retain(|mark| monitor.open_incidents().any(|incident| mark.is_of(incident)));
    }
}
