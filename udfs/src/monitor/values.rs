//! A state's values by slot, made ready for the detectors.

use model::StateView;

use super::Monitor;
use crate::is_counter;

impl Monitor {
    /// New metrics get the next slots.
    pub(super) fn grow(&mut self, state: &StateView<'_>) {
        for name in &state.names[self.names.len()..] {
            let known = state.device_type.and_then(|device_type| device_type.metrics.get(name));
            self.baseline.push(known);
            self.counters.push((f64::NAN, 0));
            self.regime.push();
            self.names.push(name.clone());
        }
    }

    /// Windows missed beyond what is usual for the device.
    pub(super) fn see_gap(&mut self, state: &StateView<'_>) -> i64 {
        let Some(last_ms) = self.last_ms else { return 0 };
        let windows = (state.start_ms - last_ms) / state.width_ms.max(1);
        let usual = self.longest_gap;
        // A gap up to a few times the usual is this device's way; a longer one is silence and teaches nothing.
        if windows <= usual.saturating_mul(3).max(4) {
            self.longest_gap = usual.max(windows);
        }
        if windows > usual.saturating_mul(2) { windows } else { 0 }
    }

    /// What the detectors see of each metric.
    pub(super) fn read_values(&mut self, state: &StateView<'_>) {
        self.values.clear();
        for (slot, metric) in state.metrics.iter().enumerate() {
            let Some(metric) = metric else {
                self.values.push(f64::NAN);
                continue;
            };
            let mut value = metric.mean;
            self.baseline.slots[slot].see_range(metric.min, metric.max);
            if is_counter(self.baseline.slots[slot].kind) {
                let (last, last_ms) = self.counters[slot];
                self.counters[slot] = (metric.last, state.start_ms);
                #[expect(clippy::cast_precision_loss, reason = "windows between two states are few")]
                let windows = ((state.start_ms - last_ms) / state.width_ms.max(1)).max(1) as f64;
                value = (metric.last - last) / windows;
                // It fell: the counter was reset, and the increase is not known.
                if value < 0.0 {
                    value = f64::NAN;
                }
            }
            if self.baseline.slots[slot].is_saturated(value) || self.detectors.statistics.is_stuck(slot) {
                value = f64::NAN;
            }
            self.values.push(value);
        }
    }
}
