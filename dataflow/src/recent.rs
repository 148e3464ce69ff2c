//! A device's recent states, kept for late readings under `late = "correct"`.
//!
//! Of each state its readings are kept, and what was said of it: a late reading takes the place that it would have had among
//! the readings, the metrics are added up again, and everything else stands as it was judged. All of it is part of a
//! checkpoint. Memory: 32 bytes a reading and about a kilobyte a state, for `correct_within` of event time.

use std::collections::VecDeque;

use model::{Aggregate, Expected};
use serde::{Deserialize, Serialize};

use crate::directory::{Directory, Place};
use crate::operators::window::Closed;
use crate::rows::Judged;
use crate::samples::{Sample, aggregate, insert};

/// The recent states of one device, the oldest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Recent {
    /// Metric names by the numbers used here, which outlive the worker's.
    names: Vec<String>,
    states: VecDeque<RecentState>,
}

/// What was said of a state; a correction changes nothing of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Said {
    /// By the methods.
    pub judged: Judged,
    /// Its metric vector.
    pub vector: Option<Vec<f64>>,
    /// Its text, behind the embedding method that it is meant for.
    pub words: Option<(String, String)>,
    /// What was predicted of its metrics, by slot.
    pub expected: Vec<Option<Expected>>,
}

/// A state that may still be corrected.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct RecentState {
    start_ms: i64,
    place: Place,
    said: Said,
    /// By metric: its readings in order, one a time.
    samples: Vec<(u32, Vec<Sample>)>,
}

/// A state after late readings have found their place in it.
pub struct Corrected<'a> {
    /// Metric name and aggregate.
    pub metrics: Vec<(&'a str, Aggregate)>,
    /// Readings in it.
    pub readings: u32,
    /// What was told of the device when it was judged.
    pub place: &'a Place,
    /// What was said of it.
    pub said: &'a Said,
}

impl Recent {
    /// Keeps a state that was just judged; `closed` comes with its readings.
    pub fn keep(&mut self, start_ms: i64, closed: &mut Closed, said: Said, directory: &Directory) {
        let samples = std::mem::take(&mut closed.samples)
            .into_iter()
            .enumerate()
            .map(|(place, (metric, samples))| (self.number(&directory.metrics[metric as usize], place), samples))
            .collect();
        self.states.push_back(RecentState {
            start_ms,
            place: directory.places[closed.place as usize].clone(),
            said,
            samples,
        });
    }

    /// Forgets states that end before a time: no late reading that comes now can be meant for them.
    pub fn forget(&mut self, ends_before_ms: i64, width_ms: i64) {
        while self.states.front().is_some_and(|state| state.start_ms.saturating_add(width_ms) < ends_before_ms) {
            self.states.pop_front();
        }
    }

    /// Adds late readings (metric name and reading) to the state of the window at `start_ms`. `None`: there is no such state,
    /// or all of them repeat readings that count for more.
    pub fn correct<'a>(
        &mut self,
        start_ms: i64,
        late: impl Iterator<Item = (&'a str, Sample)>,
    ) -> Option<Corrected<'_>> {
        let at = self.states.binary_search_by_key(&start_ms, |state| state.start_ms).ok()?;
        let mut any = false;
        for (name, sample) in late {
            let number = self.number(name, usize::MAX);
            let samples = &mut self.states[at].samples;
            match samples.iter_mut().find(|(metric, _)| *metric == number) {
                Some((_, samples)) => any |= insert(samples, sample),
                None => {
                    samples.push((number, vec![sample]));
                    any = true;
                }
            }
        }
        if !any {
            return None;
        }
        let state = &self.states[at];
        let metrics: Vec<(&str, Aggregate)> = state
            .samples
            .iter()
            .map(|(metric, samples)| (self.names[*metric as usize].as_str(), aggregate(samples)))
            .collect();
        Some(Corrected {
            readings: metrics.iter().map(|(_, metric)| metric.count).sum(),
            metrics,
            place: &state.place,
            said: &state.said,
        })
    }

    /// The number of a metric; states mostly hold the same metrics, so the one at the same place is tried first.
    fn number(&mut self, name: &str, place: usize) -> u32 {
        let at = match self.names.get(place) {
            Some(known) if known == name => place,
            _ => self.names.iter().position(|known| known == name).unwrap_or_else(|| {
                self.names.push(name.to_owned());
                self.names.len() - 1
            }),
        };
        u32::try_from(at).expect("fewer than 2^32 metrics")
    }
}
