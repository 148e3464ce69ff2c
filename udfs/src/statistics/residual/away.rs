//! The metrics that are away, each with the numbers to redo how strongly.

use super::model::Averaged;
use super::{Residuals, floors};
use crate::ResidualConfig;
use crate::baseline::Usual;

/// One metric that is away, strongest first in [`Residuals::active`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Away {
    /// Slot.
    pub slot: usize,
    /// Averaged residual in its deviations, signed; a part of it that stands out is clipped.
    pub z: f64,
    /// The same without the clip, at least as large: how strong it is.
    pub strength: f64,
    /// Where the metric would settle at the present inputs (its next value where it never settles).
    pub expected: f64,
    /// What its last residual was taken against, and the deviation of that, in the metric's unit.
    pub predicted: f64,
    /// See `predicted`.
    pub deviation: f64,
    /// The average that `strength` comes from.
    pub averaged: Option<Averaged>,
}

impl Residuals {
    /// The metrics that are away, strongest first.
    pub fn active(&self, config: &ResidualConfig, usual: &[Usual]) -> Vec<Away> {
        let mut away: Vec<Away> = self
            .models
            .iter()
            .enumerate()
            .filter(|(_, model)| model.active)
            .map(|(slot, model)| {
                let (origin, unit) = model.scale(&usual[slot]);
                let mut expected = origin + model.expected * unit;
                if !self.against.is_empty() && usual[slot].lo <= usual[slot].hi {
                    // What others explain is beyond all seen where they are away themselves.
                    expected = expected.clamp(usual[slot].lo, usual[slot].hi);
                }
                let (predicted, deviation) = (origin + model.predicted * unit, model.deviation * unit);
                let averaged = model.strongest(config, floors(config));
                Away { slot, z: model.z, strength: model.strength(), expected, predicted, deviation, averaged }
            })
            .collect();
        away.sort_by(|left, right| right.strength.total_cmp(&left.strength).then(left.slot.cmp(&right.slot)));
        away
    }
}
