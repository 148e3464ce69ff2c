//! The first states of a device: held back until their wild values and the kinds of unknown metrics can be told.

use model::{MetricKind, StateView};
use serde::{Deserialize, Serialize};

use super::Monitor;
use crate::MonitorConfig;
use crate::baseline::drop_spikes;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct PilotRow {
    /// Start of its window on the device's clock.
    local_ms: i64,
    values: Vec<f64>,
    /// All readings of the slot's window were 0 or 1.
    binary: Vec<bool>,
}

impl Monitor {
    /// Holds a state back; with the last one all are learned, without their wild values.
    pub(super) fn pilot(&mut self, config: &MonitorConfig, state: &StateView<'_>) {
        if self.pilot.len() < config.pilot_windows() as usize {
            let binary = |value: f64| value == 0.0 || value == 1.0;
            self.pilot.push(PilotRow {
                local_ms: state.local_ms(),
                values: self.values.clone(),
                binary: state
                    .metrics
                    .iter()
                    .map(|metric| metric.is_none_or(|metric| binary(metric.min) && binary(metric.max)))
                    .collect(),
            });
            return;
        }
        self.pilot_done = true;
        let rows = std::mem::take(&mut self.pilot);
        let mut columns: Vec<Vec<f64>> = Vec::with_capacity(self.names.len());
        for slot in 0..self.names.len() {
            let mut column: Vec<f64> =
                rows.iter().map(|row| row.values.get(slot).copied().unwrap_or(f64::NAN)).collect();
            let known = state.device_type.is_some_and(|known| known.metrics.contains_key(&self.names[slot]));
            if !known {
                self.guess_kind(slot, &rows, &mut column);
            }
            drop_spikes(&mut column, config.guard_deviations);
            let usual = &mut self.baseline.slots[slot];
            let mut present: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
            usual.set_guard(&mut present);
            columns.push(column);
        }
        let mut values = Vec::with_capacity(columns.len());
        for (at, row) in rows.iter().enumerate() {
            values.clear();
            values.extend(columns.iter().map(|column| column[at]));
            self.detectors.statistics.learn_pilot(config, &values, &self.baseline.slots, row.local_ms);
            self.baseline.learn(&values);
            self.regime.note(config.regime_windows, &self.baseline.slots, &values);
        }
    }

    /// A metric that the catalogue lacks: nothing but 0 and 1 is a status, what never falls and often rises a counter.
    fn guess_kind(&mut self, slot: usize, rows: &[PilotRow], column: &mut [f64]) {
        if rows.iter().all(|row| row.binary.get(slot).copied().unwrap_or(true)) {
            self.baseline.slots[slot].kind = MetricKind::Status;
            return;
        }
        let present: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
        let rises = present.windows(2).filter(|pair| pair[1] > pair[0]).count();
        let falls = present.windows(2).any(|pair| pair[1] < pair[0]);
        if falls || rises * 2 < present.len() || present.len() < 20 {
            return;
        }
        self.baseline.slots[slot].kind = MetricKind::Counter;
        self.counters[slot] = (f64::NAN, 0);
        let mut last = f64::NAN;
        for value in column.iter_mut() {
            let now = *value;
            *value -= last;
            if !now.is_nan() {
                last = now;
            }
        }
        self.values[slot] = f64::NAN;
    }
}
