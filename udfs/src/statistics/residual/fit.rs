//! What the models are made of: the inputs, the running fits, and the limit of the scores.

use super::model::{MAX_HELD_INPUTS, MAX_INPUTS, OWN};
use super::{BINS, LIMIT_MAX, Residuals, is_input, is_judged};
use crate::baseline::Usual;
use crate::{Regressors, ResidualConfig};

impl Residuals {
    /// Takes the device's inputs, which are known once its first states are.
    pub(super) fn choose_inputs(&mut self, config: &ResidualConfig, usual: &[Usual]) {
        self.inputs_chosen = true;
        if matches!(config.regressors, Regressors::Past | Regressors::Siblings) {
            return;
        }
        for slot in (0..usual.len()).filter(|slot| is_input(usual[*slot].kind)) {
            // What never moved explains nothing.
            if self.models[slot].scale.is_some_and(|(_, unit)| unit <= 0.0) {
                continue;
            }
            self.inputs.push((slot, false));
            if usual[slot].is_switched() {
                self.inputs.push((slot, true));
            }
        }
        self.inputs.truncate(if config.hold_warm_up { MAX_HELD_INPUTS } else { MAX_INPUTS });
    }

    /// Sets the limit from the scores seen since the fit.
    pub fn set_limit(&mut self, config: &ResidualConfig) {
        let mut left = self.counted / 200;
        let mut quantile = 0.0;
        for bin in (0..BINS).rev() {
            if self.histogram[bin] > left {
                #[expect(clippy::cast_precision_loss, reason = "a bin's number is small")]
                let upper = (bin as f64 + 1.0) / 4.0;
                quantile = upper;
                break;
            }
            left -= self.histogram[bin];
        }
        self.limit = (config.limit_factor * quantile).max(config.limit_min).min(LIMIT_MAX);
    }

    /// Fits the models from all that was learned; `fade` halves what is old.
    pub fn refit(&mut self, config: &ResidualConfig, usual: &[Usual], fade: bool) {
        if config.hold_warm_up {
            return;
        }
        if self.fits > 0 {
            self.set_limit(config);
        }
        if config.regressors == Regressors::Siblings {
            self.refit_joint(usual, fade);
            return;
        }
        let size = OWN + self.inputs.len();
        for (model, usual) in self.models.iter_mut().zip(usual) {
            if !is_judged(usual.kind, config.regressors) {
                continue;
            }
            model.fit(size, usual.step / usual.unit * 0.288_675_134_594_812_9, 1e-5);
            if fade {
                model.fade();
            }
        }
        self.fitted(fade);
    }

    fn refit_joint(&mut self, usual: &[Usual], fade: bool) {
        let slots = self.joint.fit(usual).to_vec();
        // What a mode adds to the new relations is not known yet.
        self.modes.forget();
        for (slot, (model, usual)) in self.models.iter_mut().zip(usual).enumerate() {
            // The residuals are in deviations already.
            let judged = slots.contains(&slot) && is_judged(usual.kind, Regressors::Siblings);
            model.beta = if judged { vec![1.0] } else { Vec::new() };
            if fade {
                model.fade();
            }
        }
        if fade {
            self.joint.fade();
        }
        self.fitted(fade);
    }

    fn fitted(&mut self, fade: bool) {
        if fade {
            self.histogram.iter_mut().for_each(|count| *count /= 2);
            self.counted = self.histogram.iter().sum();
        }
        self.fits += 1;
    }
}
