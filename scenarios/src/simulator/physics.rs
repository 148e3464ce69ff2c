//! The law by which every metric moves: a lag towards a target, with noise, a greatest step and a range.
//!
//! `step = r * (target - value) + N(0, sigma)`, cut to the greatest step, then the value is cut to its range. Targets come
//! from `equipment.rs`; faults push them aside here, in one place for all metrics.

use super::climate::Weather;
use super::metrics::{DeviceKind, MAX_METRICS, Metric};
use super::options::Features;
use super::random::Random;

/// The moving parts of a device.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Which type.
    pub kind: DeviceKind,
    /// Present values, in the order of the type's metrics.
    pub values: [f64; MAX_METRICS],
    /// Targets that wander by themselves: outdoor or wet bulb, and dry bulb. Only without weather.
    pub wander: [f64; 2],
    /// The compressor's switch.
    pub cycle: Cycle,
    /// When its filter was new, as a share of a filter's life before the epoch.
    pub filter_phase: f64,
    random: Random,
}

/// What a device meets in one tick.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// What is switched on.
    pub features: &'a Features,
    /// Outdoor conditions; typical ones without weather.
    pub weather: Weather,
    /// 0 to 1; 1 without occupancy.
    pub occupancy: f64,
    /// Time of the tick.
    pub time_ms: i64,
    /// Time since the tick before.
    pub elapsed_ms: i64,
}

/// What an active fault does to one metric in one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Push {
    /// Index of the metric.
    pub metric: usize,
    /// How it is moved.
    pub how: PushHow,
}

/// How a metric is moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PushHow {
    /// The target goes this share of the way to another one.
    Toward {
        /// The other target.
        target: f64,
        /// 0 to 1.
        share: f64,
    },
    /// The target is this much higher.
    Add(f64),
    /// The target goes this share of the way to the present value.
    Hold(f64),
}

impl Machine {
    /// A machine at its start: around the typical values, drawn from `start`; its noise comes from `noise`.
    pub fn new(kind: DeviceKind, features: &Features, start: &mut Random, noise: Random) -> Self {
        let mut values = [0.0; MAX_METRICS];
        for (value, metric) in values.iter_mut().zip(kind.metrics()) {
            let drawn = metric.typical + 2.0 * metric.sigma * features.noise * start.normal();
            *value = drawn.clamp(metric.low, metric.high);
        }
        let filter_phase = start.unit();
        if features.wear && kind == DeviceKind::AirCompressor {
            values[super::metrics::air::RUN_HOURS] = 500.0 + (29_500.0 * start.unit()).floor();
        }
        let wander = match kind {
            DeviceKind::RooftopUnit => [values[super::metrics::rtu::OUTDOOR_TEMP], 0.0],
            DeviceKind::MakeupAirUnit => [values[super::metrics::mau::OUTDOOR_TEMP], 0.0],
            DeviceKind::CoolingTower => {
                [values[super::metrics::tower::WET_BULB], values[super::metrics::tower::DRY_BULB]]
            }
            DeviceKind::Chiller | DeviceKind::AirCompressor => [0.0, 0.0],
        };
        Machine { kind, values, wander, cycle: Cycle::default(), filter_phase, random: noise }
    }

    /// One tick under these pushes.
    pub fn tick(&mut self, around: &Surroundings<'_>, pushes: &[Push]) {
        let metrics = self.kind.metrics();
        let mut tick = Tick { metrics, around, pushes, machine: self };
        tick.equipment();
    }

    /// Age of the filter, 0 (new) to 1; a filter lives 90 days.
    pub(super) fn filter_age(&self, time_ms: i64) -> f64 {
        const LIFE_MS: i64 = 90 * 86_400_000;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of 90 days are exact")]
        let part = time_ms.rem_euclid(LIFE_MS) as f64 / LIFE_MS as f64;
        let age = part + self.filter_phase;
        if age >= 1.0 { age - 1.0 } else { age }
    }
}

/// One tick of one machine.
pub struct Tick<'a> {
    metrics: &'static [Metric],
    pub(super) around: &'a Surroundings<'a>,
    pushes: &'a [Push],
    pub(super) machine: &'a mut Machine,
}

impl Tick<'_> {
    /// Present value.
    pub(super) fn value(&self, metric: usize) -> f64 {
        self.machine.values[metric]
    }

    /// Moves one metric towards a target by the law above.
    pub(super) fn steer(&mut self, metric: usize, target: f64, responsiveness: f64) {
        let spec = &self.metrics[metric];
        let value = self.machine.values[metric];
        let target = if self.pushes.is_empty() { target } else { self.pushed(metric, target, value) };
        let mut step = responsiveness * (target - value);
        if spec.sigma > 0.0 {
            step += spec.sigma * self.around.features.noise * self.machine.random.normal();
        }
        let step = step.clamp(-spec.max_step, spec.max_step);
        self.machine.values[metric] = (value + step).clamp(spec.low, spec.high);
    }

    /// A metric that only counts.
    pub(super) fn count(&mut self, metric: usize, more: f64) {
        let spec = &self.metrics[metric];
        self.machine.values[metric] = (self.machine.values[metric] + more).clamp(spec.low, spec.high);
    }

    /// A target that wanders by itself.
    pub(super) fn wander(&mut self, which: usize, sigma: f64) -> f64 {
        self.machine.wander[which] += sigma * self.around.features.noise * self.machine.random.normal();
        self.machine.wander[which]
    }

    fn pushed(&self, metric: usize, target: f64, value: f64) -> f64 {
        self.pushes.iter().filter(|push| push.metric == metric).fold(target, |target, push| match push.how {
            PushHow::Toward { target: other, share } => target + share * (other - target),
            PushHow::Add(more) => target + more,
            PushHow::Hold(share) => target + share * (value - target),
        })
    }
}

/// A compressor's switch at part load: on for that share of the time that the demand is, with minimum times.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    running: bool,
    held_s: f64,
    /// Demand not yet served, in seconds of running.
    owed_s: f64,
}

impl Default for Cycle {
    fn default() -> Self {
        // Long enough ago that the first change is free.
        Cycle { running: true, held_s: 3_600.0, owed_s: 0.0 }
    }
}

/// Shortest time on.
pub const MIN_ON_S: f64 = 300.0;
/// Shortest time off.
pub const MIN_OFF_S: f64 = 180.0;
/// Debt at which the switch changes.
const BAND_S: f64 = 60.0;

impl Cycle {
    /// Whether it runs after `elapsed_s` more with this demand, 0 to 1.
    pub fn step(&mut self, demand: f64, elapsed_s: f64) -> bool {
        let served = if self.running { 1.0 } else { 0.0 };
        self.held_s += elapsed_s;
        self.owed_s = (self.owed_s + (demand - served) * elapsed_s).clamp(-2.0 * BAND_S, 2.0 * BAND_S);
        let change = if self.running {
            self.held_s >= MIN_ON_S && (self.owed_s <= -BAND_S || demand <= 0.02)
        } else {
            self.held_s >= MIN_OFF_S && demand > 0.02 && (self.owed_s >= BAND_S || demand >= 0.98)
        };
        if change {
            self.running = !self.running;
            self.held_s = 0.0;
        }
        self.running
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressor_keeps_its_minimum_times_and_serves_the_demand() {
        for demand in [0.1, 0.3, 0.5, 0.8] {
            let mut cycle = Cycle::default();
            let (mut on, mut held, mut before) = (0.0, 3_600.0, true);
            for _ in 0..8_640 {
                let running = cycle.step(demand, 10.0);
                if running != before {
                    assert!(held >= if before { MIN_ON_S } else { MIN_OFF_S } - 1e-9, "{demand} {before} {held}");
                    held = 0.0;
                }
                held += 10.0;
                before = running;
                on += if running { 1.0 } else { 0.0 };
            }
            assert!((on / 8_640.0 - demand).abs() < 0.12, "{demand} {}", on / 8_640.0);
        }
        let mut cycle = Cycle::default();
        assert!((0..1_000).all(|_| cycle.step(1.0, 10.0)));
        let mut cycle = Cycle::default();
        assert!((0..1_000).all(|_| !cycle.step(0.0, 10.0)));
    }
}
