//! What is usual for each metric of a device, and the metric vector made from it.
//!
//! Level and spread come from normal states only. While nothing is known yet, single wild values are kept out by a
//! guard from the first states' median and deviation. Both are frozen between refits, so that vectors stay comparable.

use model::{MetricKind, MetricSpec};
use serde::{Deserialize, Serialize};

use crate::MonitorConfig;

/// So many outliers in one warm-up are none.
const GUARD_EVER: u8 = 12;
/// A value that persists for so many states is no outlier.
const GUARD_PATIENCE: u8 = 3;

/// What the catalogue says of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Nature {
    kind: MetricKind,
    /// Ends of what its sensor gives; infinite where unknown.
    lo: f64,
    hi: f64,
    on_above: Option<f64>,
}

/// One metric's usual values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Usual {
    /// What the metric is; guessed where the catalogue lacks it.
    pub kind: MetricKind,
    /// Level in force.
    pub level: f64,
    /// Spread in force, above 0 once `known`.
    pub spread: f64,
    /// Level and spread are in force.
    pub known: bool,
    /// Median of the first states: origin of the models' arithmetic.
    pub origin: f64,
    /// Robust deviation of the first states: unit of the models' arithmetic, above 0.
    pub unit: f64,
    /// Smallest difference seen among the first states: the sensor's step; 0 where unknown.
    pub step: f64,
    /// Weight of what the running mean holds.
    pub weight: f64,
    /// Running mean of normal states.
    pub mean: f64,
    /// Running sum of squared deviations.
    pub squares: f64,
    /// Lowest normal value.
    pub lo: f64,
    /// Highest normal value.
    pub hi: f64,
    wild: u8,
    wild_ever: u8,
    guarded: bool,
    /// What the catalogue says of it.
    nature: Nature,
    /// Running share of readings at either end.
    at_end: f64,
    read: u32,
}

impl Usual {
    fn new(nature: Nature) -> Self {
        Usual {
            kind: nature.kind,
            level: 0.0,
            spread: 0.0,
            known: false,
            origin: 0.0,
            unit: 1.0,
            step: 0.0,
            weight: 0.0,
            mean: 0.0,
            squares: 0.0,
            lo: f64::INFINITY,
            hi: f64::NEG_INFINITY,
            wild: 0,
            wild_ever: 0,
            guarded: false,
            nature,
            at_end: 0.0,
            read: 0,
        }
    }

    /// A reading at the very end of the sensor's range, from a metric that often is there, says only "at least so much":
    /// it is no value to learn from or to judge.
    pub fn is_saturated(&mut self, value: f64) -> bool {
        if !matches!(self.kind, MetricKind::Gauge | MetricKind::Ambient) {
            return false;
        }
        let is_end = self.is_end(value);
        self.read = self.read.saturating_add(1);
        let step = (1.0 / f64::from(self.read)).max(SATURATION_STEP);
        self.at_end += step * (f64::from(u8::from(is_end)) - self.at_end);
        is_end && self.at_end > SATURATED_SHARE
    }

    /// Whether the value is at an end of the sensor's range.
    pub fn is_end(&self, value: f64) -> bool {
        value == self.nature.lo || value == self.nature.hi
    }

    /// Whether its kind is a guess from its first values.
    pub fn is_guessed(&self) -> bool {
        self.kind != self.nature.kind
    }

    /// A metric that was guessed to be a status and shows another value is none.
    pub fn see_range(&mut self, lo: f64, hi: f64) {
        let binary = |value: f64| value == 0.0 || value == 1.0;
        if self.kind == MetricKind::Status && self.is_guessed() && !(binary(lo) && binary(hi)) {
            self.kind = self.nature.kind;
        }
    }

    /// Whether a status or command is on; `None` for what is neither on nor off.
    pub fn on(&self, value: f64) -> Option<bool> {
        match self.kind {
            MetricKind::Status => Some(value > 0.5),
            _ => self.nature.on_above.map(|on_above| value > on_above),
        }
    }

    /// Whether a position stands behind its being on.
    pub fn is_switched(&self) -> bool {
        self.nature.on_above.is_some()
    }

    /// The same metric with nothing learned; a guessed kind is kept.
    fn renewed(&self) -> Usual {
        Usual { kind: self.kind, ..Usual::new(self.nature) }
    }

    /// Population standard deviation of the normal states.
    pub fn deviation(&self) -> f64 {
        if self.weight > 0.0 { (self.squares / self.weight).max(0.0).sqrt() } else { 0.0 }
    }

    /// Sets origin and unit from the first states' values (absent ones left out).
    pub fn set_guard(&mut self, values: &mut [f64]) {
        if values.is_empty() {
            return;
        }
        let mut step = f64::INFINITY;
        for pair in values.windows(2) {
            let difference = (pair[1] - pair[0]).abs();
            // Increases of a counter differ by rounding errors, which are no step.
            if difference > 1e-9 * pair[0].abs().max(pair[1].abs()) {
                step = step.min(difference);
            }
        }
        self.step = if step.is_finite() { step } else { 0.0 };
        values.sort_by(f64::total_cmp);
        self.origin = values[values.len() / 2];
        let (low, high) = (values[values.len() / 20], values[values.len() - 1 - values.len() / 20]);
        let mut apart: Vec<f64> = values.iter().map(|value| (value - self.origin).abs()).collect();
        apart.sort_by(f64::total_cmp);
        let deviation = (1.4826 * apart[apart.len() / 2]).max((high - low) / 3.3);
        self.unit = deviation.max(self.origin.abs() * 1e-3).max(1e-6);
        self.guarded = true;
    }

    /// Whether a value of the warm-up is so far off that it is not learned; what persists is.
    fn is_wild(&mut self, value: f64, guard: f64) -> bool {
        if !self.guarded || self.known || (value - self.origin).abs() <= guard * self.unit {
            self.wild = 0;
            return false;
        }
        self.wild = self.wild.saturating_add(1);
        self.wild_ever = self.wild_ever.saturating_add(1);
        self.wild <= GUARD_PATIENCE && self.wild_ever <= GUARD_EVER
    }

    fn learn(&mut self, value: f64) {
        self.weight += 1.0;
        let apart = value - self.mean;
        self.mean += apart / self.weight;
        self.squares += apart * (value - self.mean);
        self.lo = self.lo.min(value);
        self.hi = self.hi.max(value);
    }

    fn refit(&mut self, fade: bool) {
        if self.weight < 20.0 {
            return;
        }
        self.level = self.mean;
        let floor = (self.step * 0.288_675_134_594_812_9).max(self.mean.abs() * 1e-9);
        let deviation = self.deviation().max(floor);
        self.spread = if deviation > 0.0 { deviation } else { (self.mean.abs() * 0.01).max(1e-6) };
        self.known = true;
        if fade {
            self.weight *= 0.5;
            self.squares *= 0.5;
        }
    }

    /// Where the standardised value is clipped. Weather and what people ask for explain rather than accuse, so they count less.
    pub fn clip(&self, clip: f64) -> f64 {
        if matches!(self.kind, MetricKind::Gauge | MetricKind::Counter) { clip } else { clip * 0.5 }
    }

    /// The standardised value: 0 where it is absent or nothing is known.
    fn standardise(&self, value: f64, clip: f64) -> f64 {
        if !self.known {
            return 0.0;
        }
        // What it follows from is in the vector already.
        if self.kind == MetricKind::Derived {
            return 0.0;
        }
        let clip = self.clip(clip);
        crate::z_score(value, self.level, self.spread).map_or(0.0, |score| score.clamp(-clip, clip))
    }
}

/// Step of the share of readings at an end: more than a day's memory, so that a night does not undo it.
const SATURATION_STEP: f64 = 0.000_5;
/// Share of readings at an end from which they are left out.
const SATURATED_SHARE: f64 = 0.2;

/// The usual values of all metrics, by slot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// By slot.
    pub slots: Vec<Usual>,
    /// Normal states learned.
    pub rows: u32,
    /// `rows` at which the models are fitted next; 0: never fitted.
    next_fit: u32,
    /// Fits so far.
    pub fits: u32,
}

/// Level and spread by slot before a refit: what is kept in standardised form is carried over with it.
pub type Scale = Vec<(f64, f64)>;

impl Baseline {
    /// Adds a slot.
    pub fn push(&mut self, spec: Option<&MetricSpec>) {
        let nature = Nature {
            kind: spec.map_or(MetricKind::Gauge, |spec| spec.kind),
            lo: spec.and_then(|spec| spec.lo).unwrap_or(f64::NEG_INFINITY),
            hi: spec.and_then(|spec| spec.hi).unwrap_or(f64::INFINITY),
            on_above: spec.and_then(|spec| spec.on_above),
        };
        self.slots.push(Usual::new(nature));
    }

    /// Forgets what was learned.
    pub fn renew(&mut self) {
        let slots = self.slots.iter().map(Usual::renewed).collect();
        *self = Baseline { slots, ..Baseline::default() };
    }

    /// Turns wild values of the warm-up, beyond `guard` deviations, into absent ones.
    pub fn guard(&mut self, values: &mut [f64], guard: f64) {
        for (usual, value) in self.slots.iter_mut().zip(values) {
            if !value.is_nan() && usual.is_wild(*value, guard) {
                *value = f64::NAN;
            }
        }
    }

    /// Learns a normal state.
    pub fn learn(&mut self, values: &[f64]) {
        self.rows += 1;
        for (usual, value) in self.slots.iter_mut().zip(values) {
            if !value.is_nan() {
                usual.learn(*value);
            }
        }
    }

    /// Whether the models are due to be fitted.
    pub fn is_due(&self, config: &MonitorConfig) -> bool {
        let due = if self.fits == 0 { config.first_fit_windows() } else { self.next_fit };
        self.rows >= due
    }

    /// Puts new levels and spreads into force; gives the former ones.
    pub fn refit(&mut self, config: &MonitorConfig) -> Scale {
        let former = self.slots.iter().map(|usual| (usual.level, usual.spread)).collect();
        let weekly = self.rows >= config.refit_until_windows;
        for usual in &mut self.slots {
            usual.refit(weekly);
        }
        self.fits += 1;
        self.next_fit = if self.rows < config.warm_up_windows {
            config.warm_up_windows.saturating_mul(2)
        } else if weekly {
            self.rows.saturating_add(config.refit_until_windows.max(1))
        } else {
            self.rows.saturating_mul(2).min(config.refit_until_windows)
        };
        former
    }

    /// Writes the standardised metrics by slot.
    pub fn standardise(&self, values: &[f64], clip: f64, vector: &mut Vec<f64>) {
        vector.clear();
        vector.extend(self.slots.iter().zip(values).map(|(usual, value)| usual.standardise(*value, clip)));
    }
}

/// Carries a standardised value from the former scale to the one in force.
pub fn rescale(value: f64, former: (f64, f64), usual: &Usual, clip: f64) -> f64 {
    if former.1 <= 0.0 { 0.0 } else { usual.standardise(value * former.1 + former.0, clip) }
}

/// Turns single wild values of a column, beyond `guard` deviations, into absent ones: those far from both their neighbours' median and the
/// column's. What lasts for three states or more stays.
pub fn drop_spikes(column: &mut [f64], guard: f64) {
    let mut present: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
    if present.len() < 5 {
        return;
    }
    let original = present.clone();
    present.sort_by(f64::total_cmp);
    let median = present[present.len() / 2];
    let mut apart: Vec<f64> = present.iter().map(|value| (value - median).abs()).collect();
    apart.sort_by(f64::total_cmp);
    // Half the metrics of real devices stand still at first; a tenth of a per cent of the level is then no spike.
    let unit = (1.4826 * apart[apart.len() / 2]).max(median.abs() * 1e-3);
    let is_spike = |at: usize| {
        let from = at.saturating_sub(2).min(original.len() - 5);
        let mut near = [0.0; 5];
        near.copy_from_slice(&original[from..from + 5]);
        near.sort_by(f64::total_cmp);
        let reach = guard * unit;
        (original[at] - near[2]).abs() > reach && (original[at] - median).abs() > reach
    };
    // What happens in more than one state of ten is this metric's way.
    let spikes: Vec<bool> = (0..original.len()).map(is_spike).collect();
    if spikes.iter().filter(|spike| **spike).count() * 10 > original.len() {
        return;
    }
    for (value, spike) in column.iter_mut().filter(|value| !value.is_nan()).zip(spikes) {
        if spike {
            *value = f64::NAN;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outlier_among_the_first_readings_is_dropped_and_a_new_level_is_not() {
        let mut column = vec![1.0, 1.0, 500.0, 1.02, 0.98, 1.01, 0.97, 1.03, 5.0, 5.1, 5.0, 5.05, 4.9, 1.0];
        drop_spikes(&mut column, 10.0);
        let dropped: Vec<usize> = (0..column.len()).filter(|at| column[*at].is_nan()).collect();
        assert_eq!(dropped, [2]);
    }
}
