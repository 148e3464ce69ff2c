//! A worker's names: which device, metric and place a series stands for.
//!
//! Readings travel as numbers. What crosses workers and processes is a hash of the names, stable and checked: the reader
//! that meets a series first introduces it with its full names, and two different introductions under one hash end the run.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// Names behind a series hash, sent once by each reader to the device's worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduction {
    /// Hash of all names below.
    pub series: u64,
    /// Hash of the device id: where its readings go.
    pub route: u64,
    /// Device.
    pub device_id: String,
    /// Metric.
    pub metric_name: String,
    /// What is told of the device by this series' messages.
    pub place: Place,
}

/// What a message tells of its device beside the reading.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Canonical device type.
    pub device_type: String,
    /// Location, if told.
    pub location: Option<String>,
    /// Building, if told.
    pub building_id: Option<String>,
}

/// What a series stands for on this worker.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// Index into [`Directory::devices`].
    pub device: u32,
    /// Index into [`Directory::metrics`].
    pub metric: u32,
    /// Index into [`Directory::places`].
    pub place: u32,
}

/// Names by number, numbers by name. Numbers are this worker's own and are never stored.
#[derive(Debug, Default)]
pub struct Directory {
    /// Device ids.
    pub devices: Vec<String>,
    /// Metric names.
    pub metrics: Vec<String>,
    /// Places.
    pub places: Vec<Place>,
    series: HashMap<u64, (Series, Introduction)>,
    device_numbers: HashMap<String, u32>,
    metric_numbers: HashMap<String, u32>,
    place_numbers: HashMap<Place, u32>,
}

impl Directory {
    /// Takes an introduction in; the same one again changes nothing.
    ///
    /// # Panics
    /// When two different series have the same 64-bit hash: going on would mix their readings.
    pub fn introduce(&mut self, introduction: Introduction) {
        if let Some((_, known)) = self.series.get(&introduction.series) {
            assert_eq!(*known, introduction, "two series share the hash {:016x}", introduction.series);
            return;
        }
        let series = Series {
            device: self.device(&introduction.device_id),
            metric: number(&mut self.metric_numbers, &mut self.metrics, &introduction.metric_name),
            place: number(&mut self.place_numbers, &mut self.places, &introduction.place),
        };
        self.series.insert(introduction.series, (series, introduction));
    }

    /// The number of a device, given at first sight.
    pub fn device(&mut self, device_id: &str) -> u32 {
        number(&mut self.device_numbers, &mut self.devices, &device_id.to_owned())
    }

    /// The number of a metric, given at first sight.
    pub fn metric(&mut self, name: &str) -> u32 {
        number(&mut self.metric_numbers, &mut self.metrics, &name.to_owned())
    }

    /// What a series stands for.
    ///
    /// # Panics
    /// When the series was never introduced: its reader forgot to.
    pub fn series(&self, series: u64) -> Series {
        self.series.get(&series).expect("a series is introduced before its window closes").0
    }
}

fn number<T: Clone + Eq + std::hash::Hash>(numbers: &mut HashMap<T, u32>, names: &mut Vec<T>, name: &T) -> u32 {
    if let Some(number) = numbers.get(name) {
        return *number;
    }
    let number = u32::try_from(names.len()).expect("fewer than 2^32 names");
    names.push(name.clone());
    numbers.insert(name.clone(), number);
    number
}
