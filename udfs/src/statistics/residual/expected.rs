//! What was predicted of each metric, and how far from it a value may stay.

use ::model::{Expected, MetricKind};

use super::Residuals;
use crate::baseline::Usual;

impl Residuals {
    /// What the last residuals were taken against, by slot: nothing is reckoned anew but units. `caution` is the one that the state was judged
    /// with.
    pub fn expected(&self, caution: f64, usual: &[Usual], each: &mut Vec<Option<Expected>>) {
        let limit = self.limit * caution;
        each.clear();
        each.extend(self.models.iter().zip(usual).map(|(model, usual)| {
            // A counter's reading is not what is predicted.
            if model.beta.is_empty() || !model.residual.is_finite() || usual.kind == MetricKind::Counter {
                return None;
            }
            let (origin, unit) = model.scale(usual);
            let value = origin + model.predicted * unit;
            let band = limit * model.spread * (model.deviation * unit);
            (value.is_finite() && band.is_finite()).then_some(Expected { value, band })
        }));
    }
}
