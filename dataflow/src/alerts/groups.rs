//! Transitions joined into alerts, so that a burst is one alert with a list.
//!
//! Those of one building, or of one type where a device tells no building, belong together. The first one waits `group_wait` for
//! others; after an alert further ones wait until `group_interval` is over and then come together. A critical incident waits for
//! `group_wait` alone. All of it is event time, and a group is **sealed** only when everything up to its end is durable: so which
//! transitions share an alert is a function of the records, however many workers there are and whatever crashes. Only where the log
//! stands still, so that event time does, the wall clock stands in for it.

use std::collections::BTreeMap;

use model::Severity;
use serde::{Deserialize, Serialize};

use super::alert::{Alert, What};
use super::transition::Transition;

/// Most transitions that are sealed at once; what is beyond follows at once as an update.
const MOST_MEMBERS: usize = 100;

/// How long what waits for what, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// After the first transition.
    pub wait_ms: i64,
    /// After an alert.
    pub interval_ms: i64,
}

/// What is known of all groups, as it is kept in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Groups {
    /// Transitions of windows that start below are no news: they are pending or were sealed.
    pub horizon_ms: i64,
    /// The next alert's number.
    pub next: u64,
    groups: BTreeMap<String, Group>,
}

/// Some of its incidents are open.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Group {
    /// Event time up to which its last alert reaches.
    sealed_ms: Option<i64>,
    /// Wall time of the last alert that was made.
    told_ms: i64,
    /// The alert that updates refer to.
    first: String,
    /// By `anomaly_id`.
    open: BTreeMap<String, Open>,
}

/// Where the row of an open incident is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The device.
    pub device_id: String,
    /// When the incident began, as the object has it.
    pub started_at: String,
}

impl Default for Groups {
    fn default() -> Self {
        Groups { horizon_ms: i64::MIN, next: 0, groups: BTreeMap::new() }
    }
}

/// The group of a transition; as good for people as for order.
pub fn group_of(transition: &Transition) -> String {
    match transition.text("building_id") {
        "" => format!("type:{}", transition.text("device_type")),
        building => format!("building:{building}"),
    }
}

/// Alerts with the keys of the pending transitions that they tell.
pub struct Sealed {
    /// In the order in which they are told.
    pub alerts: Vec<Alert>,
    /// Not pending any more.
    pub told: Vec<String>,
}

impl Groups {
    /// Seals the group that is due first, if one is. `pending` are transitions by an order that begins with their time; all below
    /// `complete_ms` are among them. `clock_ms` is how far event time is held to have come, at least that.
    pub fn seal(
        &mut self,
        rules: Rules,
        pending: &BTreeMap<String, Transition>,
        complete_ms: i64,
        clock_ms: i64,
        now_ms: i64,
    ) -> Option<Sealed> {
        let mut by_group: BTreeMap<String, Vec<(&String, &Transition)>> = BTreeMap::new();
        for (key, transition) in pending.iter().filter(|(_, transition)| transition.at_ms < complete_ms) {
            by_group.entry(group_of(transition)).or_default().push((key, transition));
        }
        let due = by_group.iter().map(|(name, members)| (self.due_ms(rules, name, members), name));
        let (due_ms, name) = due.filter(|(due_ms, _)| *due_ms < complete_ms.max(clock_ms)).min()?;
        let name = name.clone();
        let mut members = by_group.remove(&name)?;
        members.retain(|(_, transition)| transition.at_ms <= due_ms);
        let is_whole = members.len() <= MOST_MEMBERS;
        members.truncate(MOST_MEMBERS);
        let told = members.iter().map(|(key, _)| (*key).clone()).collect();
        let members = members.into_iter().map(|(_, transition)| transition);
        let alerts = self.make(&name, members, is_whole.then_some(due_ms), now_ms);
        Some(Sealed { alerts, told })
    }

    fn due_ms(&self, rules: Rules, name: &str, members: &[(&String, &Transition)]) -> i64 {
        let first_ms = members.first().map_or(i64::MAX, |(_, first)| first.at_ms);
        let waited_ms = first_ms.saturating_add(rules.wait_ms);
        let Some(sealed_ms) = self.groups.get(name).and_then(|group| group.sealed_ms) else { return waited_ms };
        let is_critical =
            |transition: &Transition| transition.severity() == Severity::Critical && !transition.is_closing();
        let critical_ms = members.iter().find(|(_, transition)| is_critical(transition));
        let critical_ms =
            critical_ms.map_or(i64::MAX, |(_, transition)| transition.at_ms.saturating_add(rules.wait_ms));
        waited_ms.max(sealed_ms.saturating_add(rules.interval_ms)).min(critical_ms)
    }

    fn make<'a>(
        &mut self,
        name: &str,
        members: impl Iterator<Item = &'a Transition>,
        sealed_ms: Option<i64>,
        now_ms: i64,
    ) -> Vec<Alert> {
        let group = self.groups.entry(name.to_owned()).or_default();
        let update_of = (!group.open.is_empty()).then(|| group.first.clone()).filter(|first| !first.is_empty());
        let mut told: [Vec<&Transition>; 3] = Default::default();
        for transition in members {
            let incident = transition.text("anomaly_id").to_owned();
            let what = match transition.is_closing() {
                true => {
                    group.open.remove(&incident);
                    What::Closed
                }
                false => {
                    let device_id = transition.text("device_id").to_owned();
                    let open = Open { device_id, started_at: transition.text("started_at").to_owned() };
                    group.open.insert(incident, open).map_or(What::Opened, |_| What::Changed)
                }
            };
            told[what as usize].push(transition);
        }
        let mut alerts = Vec::new();
        for (what, members) in [What::Opened, What::Changed, What::Closed].into_iter().zip(told) {
            if members.is_empty() {
                continue;
            }
            let update_of = update_of.clone().filter(|_| what == What::Opened);
            let alert = Alert::of(self.next, name, what, update_of, &members);
            self.next += 1;
            if what == What::Opened && group.first.is_empty() {
                group.first.clone_from(&alert.id);
            }
            alerts.push(alert);
        }
        group.sealed_ms = sealed_ms.or(group.sealed_ms);
        group.told_ms = now_ms;
        if group.open.is_empty() {
            self.groups.remove(name);
        }
        alerts
    }

    /// Groups whose last alert is so long ago, with their open incidents.
    pub fn to_repeat(&self, repeat_ms: i64, now_ms: i64) -> Vec<(String, BTreeMap<String, Open>)> {
        let due = |group: &Group| !group.open.is_empty() && now_ms.saturating_sub(group.told_ms) >= repeat_ms;
        let due = self.groups.iter().filter(|(_, group)| due(group));
        due.map(|(name, group)| (name.clone(), group.open.clone())).collect()
    }

    /// Makes a repeat of what is still open; `gone` are incidents that turned out to be over.
    pub fn repeat(&mut self, name: &str, still: &[Transition], gone: &[String], now_ms: i64) -> Option<Alert> {
        let group = self.groups.get_mut(name)?;
        gone.iter().for_each(|id| drop(group.open.remove(id)));
        group.told_ms = now_ms;
        let first = group.first.clone();
        if group.open.is_empty() {
            self.groups.remove(name);
        }
        if still.is_empty() {
            return None;
        }
        let members: Vec<&Transition> = still.iter().take(MOST_MEMBERS).collect();
        let alert = Alert::repeated(self.next, name, &first, &members, now_ms);
        self.next += 1;
        Some(alert)
    }
}

#[cfg(test)]
mod tests;
