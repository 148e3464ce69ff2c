//! An event of the residuals: opens after some states above the limit, lasts while a metric is away, settles, ends.

use super::model::Model;
use super::{Phase, Residuals};
use crate::ResidualConfig;

impl Residuals {
    pub(super) fn follow_event(&mut self, config: &ResidualConfig, caution: f64) {
        let (limit, close) = (self.limit * caution, self.limit * config.close_share);
        self.beyond = if self.score > self.limit { self.beyond.saturating_add(1) } else { 0 };
        match self.phase {
            Phase::Quiet => {
                self.above = if self.score > limit { self.above + 1 } else { 0 };
                if self.above >= config.confirm_windows {
                    self.open();
                }
            }
            Phase::Open => {}
            Phase::Settle => {
                let again = |model: &Model| model.z.abs() > limit && model.u > model.peak;
                if self.models.iter().any(again) {
                    self.open();
                } else {
                    self.settle += 1;
                    if self.settle >= config.settle_windows {
                        self.end(config);
                    }
                }
            }
        }
        if self.phase != Phase::Open {
            return;
        }
        let mut any = false;
        self.age = self.age.saturating_add(1);
        let (age, strongest) = (self.age, self.models.iter().fold(0.0f64, |most, model| most.max(model.peak)));
        for model in &mut self.models {
            // Its peak stays for the whole event: what has recovered from a far peak is not away again at a tenth of it.
            model.active |= model.z.abs() > limit;
            if model.active {
                // The slow average remembers a great deviation for an hour after it has ended. When the fast one points the
                // other way, the present is as usual; a shift small enough to do that by chance is found again.
                if model.slow * model.clipped < 0.0 {
                    model.slow = 0.0;
                    model.u = model.fast_strength;
                }
                model.peak = model.peak.max(model.u);
                model.active = model.u >= close.max(config.peak_share * model.peak);
            }
            if model.active && model.joined == 0 {
                model.joined = age;
            }
            // A slow metric that drifts while the event lasts is not what it is about, unless it grows as strong.
            let holds = model.joined <= config.join_windows || model.u >= config.join_share * strongest;
            any |= model.active && holds;
        }
        self.quiet = if any { 0 } else { self.quiet + 1 };
        if self.quiet >= config.hold_windows {
            self.phase = Phase::Settle;
            self.settle = 0;
            for model in &mut self.models {
                (model.settle_sum, model.settle_count) = (0.0, 0.0);
            }
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        (self.above, self.quiet, self.age) = (0, 0, 0);
        self.models.iter_mut().for_each(|model| model.joined = 0);
    }

    fn end(&mut self, config: &ResidualConfig) {
        for model in &mut self.models {
            if model.settle_count > 0.0 {
                let offset = model.settle_sum / model.settle_count;
                model.offset = offset.clamp(-config.follow_limit, config.follow_limit);
            }
        }
        self.reset();
    }
}
