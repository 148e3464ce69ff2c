//! Modes: what is on and what is off. What follows from others in one mode (heating, say) need not in another, and linear relations of all
//! modes together leave a part that is the same whenever the device is in a mode; that part is learned by mode.

use serde::{Deserialize, Serialize};

use crate::baseline::Usual;

/// Most modes of a device; further ones have no part of their own.
const MOST: usize = 8;
/// Normal states of a mode from which its part is used.
const KNOWN: u32 = 30;
/// Normal states of a mode that its part remembers.
const MEMORY: u32 = 1_000;
/// One residual counts at most so many deviations.
const CLIP: f64 = 6.0;

/// What a mode adds, in deviations, by slot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Mode {
    /// A bit for each status and command, in the order of slots.
    on: u64,
    states: u32,
    parts: Vec<f64>,
}

/// The modes of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Modes {
    modes: Vec<Mode>,
    now: Option<usize>,
}

impl Modes {
    /// Looks up the mode of a state.
    pub(super) fn enter(&mut self, values: &[f64], usual: &[Usual]) {
        let (mut on, mut bit) = (0u64, 0u32);
        for (value, usual) in values.iter().zip(usual) {
            // An absent one counts as off.
            let is_on = if value.is_nan() { None } else { usual.on(*value) };
            if usual.is_switched() || is_on.is_some() {
                on |= u64::from(is_on == Some(true)).checked_shl(bit).unwrap_or(0);
                bit += 1;
            }
        }
        self.now = self.modes.iter().position(|mode| mode.on == on);
        if self.now.is_none() && self.modes.len() < MOST {
            self.modes.push(Mode { on, states: 0, parts: Vec::new() });
            self.now = Some(self.modes.len() - 1);
        }
    }

    /// What the present mode adds to a metric's residual, in its deviations.
    pub(super) fn offset(&self, slot: usize) -> f64 {
        let mode = self.now.map(|at| &self.modes[at]).filter(|mode| mode.states >= KNOWN);
        mode.and_then(|mode| mode.parts.get(slot)).copied().unwrap_or(0.0)
    }

    /// Learns what is left over in a normal state, by slot; not a number where there is nothing.
    pub(super) fn learn(&mut self, residuals: impl ExactSizeIterator<Item = f64>) {
        let Some(mode) = self.now.map(|at| &mut self.modes[at]) else { return };
        mode.parts.resize(residuals.len(), 0.0);
        let is_used = mode.states >= KNOWN;
        mode.states = mode.states.saturating_add(1);
        let step = 1.0 / f64::from(mode.states.min(MEMORY));
        for (part, residual) in mode.parts.iter_mut().zip(residuals) {
            if !residual.is_nan() {
                // Once it is used, the residual is what it leaves.
                let apart = if is_used { residual } else { residual - *part };
                *part += step * apart.clamp(-CLIP, CLIP);
            }
        }
    }

    /// Forgets all parts.
    pub(super) fn forget(&mut self) {
        *self = Modes::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::Baseline;
    use model::{MetricKind, MetricSpec};

    #[test]
    fn a_mode_has_its_own_part_once_it_is_known() {
        let mut baseline = Baseline::default();
        baseline.push(Some(&MetricSpec { kind: MetricKind::Status, ..MetricSpec::default() }));
        baseline.push(None);
        let mut modes = Modes::default();
        for state in 0..60 {
            let heating = state % 2 == 0;
            modes.enter(&[f64::from(u8::from(heating)), 1.0], &baseline.slots);
            assert!(modes.offset(1).abs() < 1e-12, "{state}");
            modes.learn([f64::NAN, if heating { 2.0 } else { -1.0 }].into_iter());
        }
        modes.enter(&[1.0, 1.0], &baseline.slots);
        assert!((modes.offset(1) - 2.0).abs() < 1e-9);
        modes.enter(&[0.0, 1.0], &baseline.slots);
        assert!((modes.offset(1) + 1.0).abs() < 1e-9);
    }
}
