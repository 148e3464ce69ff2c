//! What a worker's devices contribute to their types, and which types have enough devices at all.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use model::hash::{hash_text, hash_texts};
use model::{Catalogue, MetricKind};

use super::{Contribution, Key, bin};
use crate::directory::{Directory, Introduction};
use crate::operators::window::Closed;
use crate::operators::{Member, Tick};

/// What a reader has told of the devices that it has seen: of each type no more than are needed to be peers.
#[derive(Default)]
pub struct Told {
    members: BTreeMap<u64, BTreeSet<u64>>,
}

impl Told {
    /// What is to be told of new series.
    pub fn members(&mut self, introductions: &[Introduction], min_devices: u32) -> Vec<Tick> {
        let mut ticks = Vec::new();
        for introduction in introductions {
            let device_type = hash_text(&introduction.place.device_type);
            let members = self.members.entry(device_type).or_default();
            if members.len() < min_devices as usize && members.insert(introduction.route) {
                ticks.push(Tick::Member(Member { device: introduction.route, device_type }));
            }
        }
        ticks
    }
}

/// Which types have enough devices anywhere: known to every worker before the window closes in which the last of them began.
pub struct Census {
    min_devices: u32,
    members: BTreeMap<u64, BTreeSet<u64>>,
    any: Rc<Cell<bool>>,
}

impl Census {
    /// Nothing seen; `any` becomes true with the first type that has enough.
    pub fn new(min_devices: u32, any: Rc<Cell<bool>>) -> Self {
        Census { min_devices, members: BTreeMap::new(), any }
    }

    /// Takes in what a reader told.
    pub fn add(&mut self, member: Member) {
        let members = self.members.entry(member.device_type).or_default();
        if self.min_devices > 0 && members.len() < self.min_devices as usize {
            members.insert(member.device);
            self.any.set(self.any.get() || members.len() == self.min_devices as usize);
        }
    }

    /// Whether any type has enough.
    pub fn any(&self) -> bool {
        self.any.get()
    }

    fn has(&self, device_type: u64) -> bool {
        self.members.get(&device_type).is_some_and(|members| members.len() == self.min_devices as usize)
    }
}

/// What is left out: a metric of a kind that is not compared.
const LEFT_OUT: u32 = u32::MAX;
/// What was not asked for yet.
const UNKNOWN: u32 = u32::MAX - 1;

/// The contributions of a worker's devices. Numbers are its own, hashes are everybody's.
#[derive(Default)]
pub struct Contributions {
    /// Number of a place's type.
    type_of: Vec<u32>,
    /// Types: name, and the numbers of the keys by metric number.
    types: Vec<(String, Vec<u32>)>,
    keys: Vec<Key>,
    numbers: HashMap<Key, u32>,
    values: Vec<(u32, i32)>,
    /// Counted in the window, and those in force.
    counted: Vec<((u32, i32), isize)>,
    shown: Vec<((u32, i32), isize)>,
    shown_ms: i64,
}

impl Contributions {
    /// Start of the window whose contributions are in force, if there are any.
    pub fn shown_ms(&self) -> Option<i64> {
        (!self.shown.is_empty()).then_some(self.shown_ms)
    }

    /// Adds what a closed state contributes.
    pub fn add(&mut self, closed: &Closed, census: &Census, directory: &Directory) {
        let number = self.type_of(closed.place, directory);
        if !census.has(hash_text(&self.types[number].0)) {
            return;
        }
        for (metric, aggregate) in &closed.metrics {
            let key = match self.types[number].1.get(*metric as usize) {
                Some(&key) if key != UNKNOWN => key,
                _ => self.key(number, *metric, directory),
            };
            if key != LEFT_OUT {
                self.values.push((key, bin(aggregate.mean)));
            }
        }
    }

    /// The window at `window_ms` is closed: gives what changes with it. The contributions in force are those that
    /// end here, or none.
    pub fn close(&mut self, window_ms: i64, out: &mut Vec<Contribution>) {
        self.values.sort_unstable();
        self.counted.clear();
        for value in self.values.drain(..) {
            match self.counted.last_mut() {
                Some((last, count)) if *last == value => *count += 1,
                _ => self.counted.push((value, 1)),
            }
        }
        let (mut before, mut now) = (self.shown.iter().peekable(), self.counted.iter().peekable());
        loop {
            let (at, change) = match (before.peek(), now.peek()) {
                (Some(old), Some(new)) if old.0 == new.0 => (old.0, new.1 - old.1),
                (Some(old), Some(new)) if old.0 < new.0 => (old.0, -old.1),
                (Some(old), None) => (old.0, -old.1),
                (_, Some(new)) => (new.0, new.1),
                (None, None) => break,
            };
            before.next_if(|(old, _)| *old == at);
            now.next_if(|(new, _)| *new == at);
            if change != 0 {
                out.push(((self.keys[at.0 as usize], at.1), window_ms, change));
            }
        }
        std::mem::swap(&mut self.shown, &mut self.counted);
        self.shown_ms = window_ms;
    }

    fn type_of(&mut self, place: u32, directory: &Directory) -> usize {
        while self.type_of.len() <= place as usize {
            let name = &directory.places[self.type_of.len()].device_type;
            let known = self.types.iter().position(|(known, _)| known == name);
            let number = known.unwrap_or(self.types.len());
            if known.is_none() {
                self.types.push((name.clone(), Vec::new()));
            }
            self.type_of.push(u32::try_from(number).expect("fewer than 2^32 types"));
        }
        self.type_of[place as usize] as usize
    }

    fn key(&mut self, number: usize, metric: u32, directory: &Directory) -> u32 {
        let (device_type, keys) = &mut self.types[number];
        if keys.len() <= metric as usize {
            keys.resize(metric as usize + 1, UNKNOWN);
        }
        let name = &directory.metrics[metric as usize];
        let key = match is_compared(device_type, name) {
            true => {
                let next = u32::try_from(self.keys.len()).expect("fewer than 2^32 metrics");
                let hash = key_of(device_type, name);
                let known = self.numbers.insert(hash, next);
                assert!(known.is_none(), "two metrics of device types share the hash {hash:016x}");
                self.keys.push(hash);
                next
            }
            false => LEFT_OUT,
        };
        keys[metric as usize] = key;
        key
    }
}

/// The key of a type's metric.
pub fn key_of(device_type: &str, metric: &str) -> Key {
    hash_texts(&[device_type, metric])
}

/// Measurements are compared, and what the catalogue does not know.
fn is_compared(device_type: &str, metric: &str) -> bool {
    let known = Catalogue::builtin().types.get(device_type).and_then(|known| known.metrics.get(metric));
    known.is_none_or(|spec| matches!(spec.kind, MetricKind::Gauge | MetricKind::Ambient))
}
