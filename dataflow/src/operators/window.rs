//! `window`: gathers the readings of a device and closes its tumbling windows.
//!
//! In come readings and introductions, each at the device's worker, and ticks, which tell the types that have many devices; out
//! goes a [`Closed`] a device and window, at the window's timestamp, when the frontier has passed it, and what it contributes to
//! its type's peers. Within a closed window readings are ordered by (metric, timestamp,
//! partition, offset) before anything is added up, so arrival order never shows.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use model::Aggregate;
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::{OutputBuilder, OutputBuilderSession};

use crate::directory::{Directory, Introduction};
use crate::faults::Faults;
use crate::ledger::Ledger;
use crate::operators::peers::{Census, Contribution, Contributions};
use crate::operators::{Reading, Tick};
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

/// What the operator shares with the worker's others.
pub struct Shared {
    /// Names.
    pub directory: Rc<RefCell<Directory>>,
    /// Totals by stamp.
    pub ledger: Rc<RefCell<Ledger>>,
    /// Some type has enough devices to be peers; set here.
    pub any_peers: Rc<Cell<bool>>,
    /// Rules to break, for mutation runs.
    pub faults: Faults,
}

/// The streams that leave `window`.
pub struct Streams<'scope> {
    /// States at their window.
    pub closed: StreamVec<'scope, i64, Closed>,
    /// What they contribute to their types' peers; its time stands still while no type has enough devices.
    pub contributions: StreamVec<'scope, i64, Contribution>,
}

/// How the operator works.
#[derive(Clone, Copy)]
pub struct Terms {
    /// Time between two windows from which peers are taken.
    pub every_ms: i64,
    /// States come with their readings.
    pub keep: bool,
    /// Devices of a type from which on they are peers.
    pub min_devices: u32,
}

/// Builds the operator.
pub fn window<'scope>(
    readings: StreamVec<'scope, i64, Reading>,
    introductions: StreamVec<'scope, i64, Introduction>,
    ticks: StreamVec<'scope, i64, Tick>,
    terms: Terms,
    shared: Shared,
) -> Streams<'scope> {
    let mut builder = OperatorBuilder::new("window".to_owned(), readings.scope());
    let by_device = Exchange::new(|reading: &Reading| u64::from(reading.route));
    let to_device = Exchange::new(|introduction: &Introduction| introduction.route);
    let mut readings_in = builder.new_input(readings, by_device);
    let mut introductions_in = builder.new_input(introductions, to_device);
    let mut ticks_in = builder.new_input(ticks, Pipeline);
    let (closed_out, closed) = builder.new_output();
    let (contributions_out, contributions) = builder.new_output();
    let mut closed_out = OutputBuilder::from(closed_out);
    let mut contributions_out = OutputBuilder::from(contributions_out);
    builder.build(move |mut capabilities| {
        let mut open: BTreeMap<i64, (Capability<i64>, Open)> = BTreeMap::new();
        let mut spare: Vec<Open> = Vec::new();
        let mut arrivals = Arrivals::default();
        let mut contributing = Contributing {
            capability: capabilities.pop(),
            contributions: Contributions::default(),
            census: Census::new(terms.min_devices, shared.any_peers),
            every_ms: terms.every_ms,
        };
        let Shared { directory, ledger, faults, .. } = shared;
        move |frontiers| {
            introductions_in.for_each_stamp(|_cap, batches| {
                let mut directory = directory.borrow_mut();
                for introduction in batches.flat_map(|batch| batch.drain(..)) {
                    directory.introduce(introduction);
                }
            });
            ticks_in.for_each_stamp(|_cap, batches| {
                for tick in batches.flat_map(|batch| batch.drain(..)) {
                    if let Tick::Member(member) = tick {
                        contributing.census.add(member);
                    }
                }
            });
            readings_in.for_each_stamp(|cap, batches| {
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
            let lowest_ms = frontiers.iter().filter_map(|frontier| frontier.frontier().first().copied()).min();
            let is_past = |window_ms: i64| lowest_ms.is_none_or(|lowest_ms| window_ms < lowest_ms);
            let mut output = closed_out.activate();
            let mut contributed = contributions_out.activate();
            while let Some(first) = open.first_entry().filter(|first| is_past(*first.key())) {
                let window_ms = *first.key();
                let (cap, mut window) = first.remove();
                let directory = directory.borrow();
                let mut closed = window.close(&arrivals, &directory, terms.keep, &faults);
                let mut ledger = ledger.borrow_mut();
                let totals = ledger.at(window_ms);
                for state in &closed {
                    totals.windowed += u64::from(state.readings);
                    totals.duplicate += u64::from(state.duplicates);
                    totals.states += 1;
                }
                contributing.end(|ends_ms| ends_ms < window_ms, &mut contributed);
                contributing.close(window_ms, &closed, &directory, &mut contributed);
                output.session(&cap).give_container(&mut closed);
                if spare.len() < 4 {
                    spare.push(window);
                }
            }
            contributing.end(is_past, &mut contributed);
            contributing.follow(lowest_ms);
        }
    });
    Streams { closed, contributions }
}

/// The operator's second part: what its states contribute to their types.
struct Contributing {
    capability: Option<Capability<i64>>,
    contributions: Contributions,
    census: Census,
    every_ms: i64,
}

/// An active output for contributions.
type Contributed<'a> = OutputBuilderSession<'a, i64, CapacityContainerBuilder<Vec<Contribution>>>;

impl Contributing {
    fn close(&mut self, window_ms: i64, closed: &[Closed], directory: &Directory, out: &mut Contributed<'_>) {
        if self.census.any() && window_ms.rem_euclid(self.every_ms) == 0 {
            closed.iter().for_each(|state| self.contributions.add(state, &self.census, directory));
            self.give(window_ms, out);
        }
    }

    /// Takes back what is in force where its end has come and no window closes there.
    fn end(&mut self, has_come: impl Fn(i64) -> bool, out: &mut Contributed<'_>) {
        let ends_ms = self.contributions.shown_ms().map(|shown_ms| shown_ms.saturating_add(self.every_ms));
        if let Some(ends_ms) = ends_ms.filter(|&ends_ms| has_come(ends_ms)) {
            self.give(ends_ms, out);
        }
    }

    fn give(&mut self, window_ms: i64, out: &mut Contributed<'_>) {
        let mut changes = Vec::new();
        self.contributions.close(window_ms, &mut changes);
        if let (Some(capability), false) = (&self.capability, changes.is_empty()) {
            out.session(&capability.delayed(&window_ms)).give_container(&mut changes);
        }
    }

    /// Lets time go on where anybody may have peers.
    fn follow(&mut self, lowest_ms: Option<i64>) {
        match lowest_ms {
            None => self.capability = None,
            Some(lowest_ms) if self.census.any() => {
                if let Some(capability) = self.capability.as_mut().filter(|capability| *capability.time() < lowest_ms) {
                    capability.downgrade(&lowest_ms);
                }
            }
            Some(_) => {}
        }
    }
}
