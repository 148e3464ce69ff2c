//! Operating points: what a device was asked to do so far, and whether the present is new to the methods that learn.
//!
//! A status or command that was hardly ever on (or off), or a set point beyond all seen, makes a state that no model can
//! judge yet: so many states are learned first. That must not buy a fault silence, so a new operating point is only excused
//! while no rule is broken (see `Monitor::observe`).

use model::{Finding, MetricKind};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;

/// What an input was in the normal states so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct SeenInput {
    lo: f64,
    hi: f64,
    /// States in which it was off, and on.
    states: [u32; 2],
}

impl Default for SeenInput {
    fn default() -> Self {
        SeenInput { lo: f64::INFINITY, hi: f64::NEG_INFINITY, states: [0; 2] }
    }
}

/// Why the present operating point is new.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Why {
    /// This status or command was hardly ever in this position.
    Switched {
        /// Slot.
        slot: usize,
        /// Its position.
        on: bool,
    },
    /// This set point or command is beyond all seen.
    Beyond {
        /// Slot.
        slot: usize,
    },
    /// A large part of the metrics moved at once, in the device's first normal states.
    Broad,
}

/// A new operating point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unfamiliar {
    /// Why it is new.
    pub why: Why,
    /// States of it that were learned, fewer than are needed.
    pub learned: u32,
}

impl Unfamiliar {
    /// Says so, with the numbers.
    pub fn finding(&self, windows: u32, names: &[String], values: &[f64]) -> Finding {
        let (slot, what) = match self.why {
            Why::Switched { slot, on } => (Some(slot), format!("{} is {}", names[slot], if on { "on" } else { "off" })),
            Why::Beyond { slot } => (Some(slot), format!("{} is beyond all seen", names[slot])),
            Why::Broad => (None, "many metrics moved at once".to_owned()),
        };
        // What began it may be away by now; then there is nothing to show of it, and a row holds no number that is none.
        let slot = slot.filter(|slot| !values[*slot].is_nan());
        Finding {
            kind: "new_operating_point".to_owned(),
            metric: slot.map(|slot| names[slot].clone()),
            observed: slot.map_or(0.0, |slot| values[slot]),
            expected: None,
            score: f64::from(self.learned),
            limit: f64::from(windows),
            unit: String::new(),
            text: format!("new operating point: {what}, {} of {windows} windows learned", self.learned),
            parts: Default::default(),
        }
    }
}

/// The operating points of a device.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Regime {
    /// By slot.
    seen: Vec<SeenInput>,
    /// States to be learned before the present operating point is judged, and why.
    left: Option<(u32, Why)>,
}

impl Regime {
    /// Adds a slot.
    pub fn push(&mut self) {
        self.seen.push(SeenInput::default());
    }

    /// Forgets what was seen.
    pub fn forget(&mut self) {
        *self = Regime { seen: vec![SeenInput::default(); self.seen.len()], left: None };
    }

    /// Starts to learn a new operating point.
    pub fn begin(&mut self, windows: u32, why: Why) {
        self.left = (windows > 0).then_some((windows, why));
    }

    /// Whether the device is at an operating point that it hardly had yet. What is on or off needs enough states of
    /// either kind; what is a number starts a count when it leaves the range seen, once the device is `warm`.
    pub fn see(&mut self, windows: u32, usual: &[Usual], values: &[f64], warm: bool) -> Option<Unfamiliar> {
        let mut hardly: Option<Unfamiliar> = None;
        for (slot, ((usual, seen), value)) in usual.iter().zip(&self.seen).zip(values).enumerate() {
            if value.is_nan() {
                continue;
            }
            if let Some(on) = usual.on(*value) {
                let learned = seen.states[usize::from(on)];
                if learned < windows && hardly.is_none_or(|known| learned < known.learned) {
                    hardly = Some(Unfamiliar { why: Why::Switched { slot, on }, learned });
                }
            } else if matches!(usual.kind, MetricKind::Setpoint | MetricKind::Command) && seen.lo <= seen.hi {
                let give = ((seen.hi - seen.lo) * 0.25).max(0.005 * (seen.lo.abs() + seen.hi.abs()));
                if warm && windows > 0 && (*value > seen.hi + give || *value < seen.lo - give) {
                    self.left = Some((windows, Why::Beyond { slot }));
                }
            }
        }
        hardly.or(self.left.map(|(left, why)| Unfamiliar { why, learned: windows.saturating_sub(left) }))
    }

    /// Counts what the inputs of a normal state were; says whether enough of a kind have come to fit the models again.
    pub fn note(&mut self, windows: u32, usual: &[Usual], values: &[f64]) -> bool {
        let mut enough = false;
        for ((usual, seen), value) in usual.iter().zip(&mut self.seen).zip(values) {
            if value.is_nan() {
                continue;
            }
            if let Some(on) = usual.on(*value) {
                let states = &mut seen.states[usize::from(on)];
                *states = states.saturating_add(1);
                enough |= *states == windows || *states == windows.saturating_mul(4);
            } else if matches!(usual.kind, MetricKind::Setpoint | MetricKind::Command) {
                (seen.lo, seen.hi) = (seen.lo.min(*value), seen.hi.max(*value));
            }
        }
        enough
    }

    /// A normal state was learned; says whether it was the last one that the new operating point needed.
    pub fn step(&mut self) -> bool {
        let Some((left, _)) = &mut self.left else { return false };
        *left -= 1;
        let done = *left == 0;
        if done {
            self.left = None;
        }
        done
    }

    /// Whether states are counted before the present operating point is judged.
    pub fn is_counting(&self) -> bool {
        self.left.is_some()
    }
}
