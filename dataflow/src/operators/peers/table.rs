//! What `detect` knows of the devices' peers: the changes in the order of time, and what is in force.

use std::collections::{BTreeMap, HashMap};

use model::Peers;

use super::contributions::key_of;
use super::{Change, Key, Spread, middle_of};

/// Spreads by key, in the order of the keys: a part of a checkpoint.
pub type Seen = Vec<(Key, Spread)>;

/// What is known of the peers, as of the window that counts for the one that is judged.
#[derive(Default)]
pub struct Table {
    /// Changes that are not in force yet.
    waiting: BTreeMap<i64, Vec<(Key, Spread, isize)>>,
    /// By number.
    now: Vec<(Key, Option<(Spread, Peers)>)>,
    numbers: HashMap<Key, u32>,
    known: usize,
    /// What is in force came from a checkpoint at this time, and is from a window before it.
    restored_ms: Option<i64>,
}

impl Table {
    /// From a checkpoint at `boundary_ms`.
    pub fn resume(boundary_ms: i64, seen: &[(Key, Spread)]) -> Self {
        let mut table = Table { restored_ms: Some(boundary_ms), ..Table::default() };
        for (key, spread) in seen {
            table.put(*key, Some(*spread));
        }
        table
    }

    /// Takes in a change; it comes into force by [`Table::advance`].
    pub fn hear(&mut self, ((key, spread), time_ms, difference): Change) {
        self.waiting.entry(time_ms).or_default().push((key, spread, difference));
    }

    /// Brings into force what is known as of `as_of_ms`. What was restored holds until there is a window behind the checkpoint to
    /// take peers from: the first one is told by what this run has read.
    pub fn advance(&mut self, as_of_ms: i64) {
        if self.restored_ms.is_some_and(|restored_ms| as_of_ms < restored_ms) {
            return;
        }
        if self.restored_ms.take().is_some() {
            for at in 0..self.now.len() {
                self.put(self.now[at].0, None);
            }
        }
        while let Some(first) = self.waiting.first_entry().filter(|first| *first.key() <= as_of_ms) {
            let mut changes = first.remove();
            // What ends, before what begins.
            changes.sort_unstable_by_key(|(_, _, difference)| *difference);
            for (key, spread, difference) in changes {
                self.put(key, (difference > 0).then_some(spread));
            }
        }
    }

    /// Nobody has peers.
    pub fn is_empty(&self) -> bool {
        self.known == 0
    }

    /// The number under which a metric of a type is asked for.
    pub fn number(&mut self, device_type: &str, metric: &str) -> u32 {
        self.number_of(key_of(device_type, metric))
    }

    /// What is in force under a number.
    pub fn get(&self, number: u32) -> Option<Peers> {
        self.now[number as usize].1.map(|(_, peers)| peers)
    }

    /// All that is in force.
    pub fn save(&self) -> Seen {
        let mut seen: Seen = self.now.iter().filter_map(|(key, now)| now.map(|(spread, _)| (*key, spread))).collect();
        seen.sort_unstable();
        seen
    }

    fn number_of(&mut self, key: Key) -> u32 {
        let next = u32::try_from(self.now.len()).expect("fewer than 2^32 metrics");
        let number = *self.numbers.entry(key).or_insert(next);
        if number == next {
            self.now.push((key, None));
        }
        number
    }

    fn put(&mut self, key: Key, spread: Option<Spread>) {
        let number = self.number_of(key);
        let place = &mut self.now[number as usize].1;
        self.known = self.known + usize::from(spread.is_some()) - usize::from(place.is_some());
        *place = spread.map(|spread| (spread, peers_of(&spread)));
    }
}

fn peers_of(spread: &Spread) -> Peers {
    let [lowest, lower, median, upper, highest] = spread.bins.map(middle_of);
    Peers { devices: spread.devices, lowest, lower, median, upper, highest }
}
