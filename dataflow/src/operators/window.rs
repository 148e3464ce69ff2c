//! `window`: gathers the readings of a device and closes its tumbling windows.
//!
//! In come readings and introductions, each at the device's worker; out goes a [`Closed`] a device and window, at the
//! window's timestamp, when the frontier has passed it. Within a closed window readings are ordered by (metric, timestamp,
//! partition, offset) before anything is added up, so arrival order never shows.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use model::Aggregate;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::Operator as _;

use crate::directory::{Directory, Introduction};
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::Reading;
use crate::samples::{Sample, aggregate, keep_last_of_each_time};

/// A device's closed window. Numbers are those of the worker's [`Directory`].
#[derive(Clone, Debug)]
pub struct Closed {
    /// Device number.
    pub device: u32,
    /// Place number: what the window's last message told.
    pub place: u32,
    /// Metric number and aggregate, in the order of the metrics' names.
    pub metrics: Vec<(u32, Aggregate)>,
    /// Readings in it.
    pub readings: u32,
    /// Readings replaced by others.
    pub duplicates: u32,
    /// Newest event time.
    pub last_ms: i64,
    /// The readings by metric number, in order, one a time; empty where nobody wants them.
    pub samples: Vec<(u32, Vec<Sample>)>,
}

/// The open part of one window: samples by series.
#[derive(Default)]
struct Open {
    samples: Vec<Vec<Sample>>,
    touched: Vec<u32>,
}

/// Numbers for series in order of arrival, on this worker only.
#[derive(Default)]
struct Arrivals {
    numbers: hashbrown::HashMap<u64, u32>,
    series: Vec<u64>,
}

impl Arrivals {
    fn number(&mut self, series: u64) -> u32 {
        let next = u32::try_from(self.series.len()).expect("fewer than 2^32 series");
        let number = *self.numbers.entry(series).or_insert(next);
        if number == next {
            self.series.push(series);
        }
        number
    }
}

impl Open {
    fn add(&mut self, number: u32, reading: &Reading) {
        let at = number as usize;
        if self.samples.len() <= at {
            self.samples.resize_with(at + 1, Vec::new);
        }
        if self.samples[at].is_empty() {
            self.touched.push(number);
        }
        self.samples[at].push(Sample::from(reading));
    }

    /// Closes the window: one state a device, in the order of the devices' numbers; empties itself for the next use.
    fn close(&mut self, arrivals: &Arrivals, directory: &Directory, keep: bool, faults: &Faults) -> Vec<Closed> {
        let mut touched: Vec<(u32, u32, u32, u32)> = self
            .touched
            .drain(..)
            .map(|number| {
                let series = directory.series(arrivals.series[number as usize]);
                (series.device, series.metric, series.place, number)
            })
            .collect();
        touched.sort_unstable();
        let mut closed: Vec<Closed> = Vec::new();
        let mut newest: Option<(i64, u32, i64)> = None;
        let mut at = 0;
        while at < touched.len() {
            let (device, metric, place, number) = touched[at];
            let mut samples = std::mem::take(&mut self.samples[number as usize]);
            let mut places = vec![(place, latest(&samples))];
            at += 1;
            // Another series of the same device and metric: its place or unit changed within the window.
            while at < touched.len() && (touched[at].0, touched[at].1) == (device, metric) {
                let more = &mut self.samples[touched[at].3 as usize];
                places.push((touched[at].2, latest(more)));
                samples.append(more);
                at += 1;
            }
            if !faults.arrival_order && !samples.is_sorted_by_key(Sample::order) {
                samples.sort_unstable_by_key(Sample::order);
            }
            let before = samples.len();
            keep_last_of_each_time(&mut samples, faults);
            let aggregate = aggregate(&samples);
            if closed.last().is_none_or(|last| last.device != device) {
                newest = None;
                let metrics = Vec::with_capacity(16);
                let (readings, duplicates, last_ms, samples) = (0, 0, i64::MIN, Vec::new());
                closed.push(Closed { device, place, metrics, readings, duplicates, last_ms, samples });
            }
            let state = closed.last_mut().expect("one was pushed for this device");
            for (place, order) in places {
                if newest.is_none_or(|newest| newest < order) {
                    newest = Some(order);
                    state.place = place;
                    state.last_ms = order.0;
                }
            }
            state.readings += aggregate.count;
            state.duplicates += u32::try_from(before - samples.len()).expect("a window has fewer than 2^32 readings");
            state.metrics.push((metric, aggregate));
            if keep {
                state.samples.push((metric, samples.clone()));
            }
            samples.clear();
            self.samples[number as usize] = samples;
        }
        for state in &mut closed {
            state
                .metrics
                .sort_unstable_by(|a, b| directory.metrics[a.0 as usize].cmp(&directory.metrics[b.0 as usize]));
        }
        closed
    }
}

fn latest(samples: &[Sample]) -> (i64, u32, i64) {
    samples.iter().map(Sample::order).max().expect("a touched series has a sample")
}

/// Builds the operator; with `keep` states come with their readings.
pub fn window<'scope>(
    readings: StreamVec<'scope, i64, Reading>,
    introductions: StreamVec<'scope, i64, Introduction>,
    directory: Rc<RefCell<Directory>>,
    ledger: Rc<RefCell<Ledger>>,
    keep: bool,
    faults: Faults,
) -> StreamVec<'scope, i64, Closed> {
    let by_device = Exchange::new(|reading: &Reading| u64::from(reading.route));
    let to_device = Exchange::new(|introduction: &Introduction| introduction.route);
    readings.binary_frontier(introductions, by_device, to_device, "window", |_capability, _info| {
        let mut open: BTreeMap<i64, (Capability<i64>, Open)> = BTreeMap::new();
        let mut spare: Vec<Open> = Vec::new();
        let mut arrivals = Arrivals::default();
        move |(readings, frontier), (introductions, introduced), output| {
            introductions.for_each_stamp(|_cap, batches| {
                let mut directory = directory.borrow_mut();
                for introduction in batches.flat_map(|batch| batch.drain(..)) {
                    directory.introduce(introduction);
                }
            });
            readings.for_each_stamp(|cap, batches| {
                let window_ms = *cap.least().expect("a batch of readings has its window as time");
                let (_, window) = open.entry(window_ms).or_insert_with(|| {
                    let cap = cap.retain_least(0).expect("a batch of readings has its window as time");
                    (cap, spare.pop().unwrap_or_default())
                });
                for batch in batches {
                    for reading in batch.iter() {
                        window.add(arrivals.number(reading.series), reading);
                    }
                }
            });
            while let Some(first) = open.first_entry() {
                let window_ms = *first.key();
                if frontier.less_equal(&window_ms) || introduced.less_equal(&window_ms) {
                    break;
                }
                let (cap, mut window) = first.remove();
                let mut closed = window.close(&arrivals, &directory.borrow(), keep, &faults);
                let mut ledger = ledger.borrow_mut();
                let totals = ledger.at(window_ms);
                for state in &closed {
                    totals.windowed += u64::from(state.readings);
                    totals.duplicate += u64::from(state.duplicates);
                    totals.states += 1;
                }
                output.session(&cap).give_container(&mut closed);
                if spare.len() < 4 {
                    spare.push(window);
                }
            }
        }
    })
}
