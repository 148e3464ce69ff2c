//! Whether a fault shows at all: the same device without its faults, tick by tick. A compressor that fails while nobody asks it to
//! cool is a fault that no values tell of.

use std::collections::BTreeMap;

use model::recording::Label;
use scenarios::simulator::{DeviceKind, Metric, SimulatedMessage, Simulator, SimulatorError};
use serde::Deserialize;

use super::plan::{FAULT_MS, Plan};

/// A value differs visibly from so many of the metric's usual spreads on.
const SPREADS: f64 = 3.0;
/// The spread of a metric of the simulator around its target: its noise a tick over sqrt(1 - (1 - r)^2) at the usual r of 0.15.
const SPREAD_OF_NOISE: f64 = 1.9;
/// A fault shows with so many visible minutes.
const MINUTES: usize = 10;
const MINUTE_MS: i64 = 60_000;

/// A simulation without faults beside the one that is read.
pub struct Twin {
    simulator: Simulator,
    batch: Vec<SimulatedMessage>,
    next: usize,
    kinds: Vec<DeviceKind>,
    /// Minutes in which a device visibly differs, by device.
    differs: Vec<Vec<i64>>,
    numbers: BTreeMap<String, usize>,
}

/// What of a message is compared.
#[derive(Deserialize)]
struct Value<'a> {
    metric_name: &'a str,
    metric_value: f64,
}

impl Twin {
    /// At its start.
    ///
    /// # Errors
    /// As [`Simulator::new`].
    pub fn new(plan: &Plan) -> Result<Twin, SimulatorError> {
        let devices = plan.fleet.devices();
        Ok(Twin {
            simulator: Simulator::new(&plan.fleet, &plan.healthy())?,
            batch: Vec::new(),
            next: 0,
            kinds: devices.iter().map(|device| device.kind).collect(),
            differs: vec![Vec::new(); devices.len()],
            numbers: devices.iter().enumerate().map(|(at, device)| (device.device_id.clone(), at)).collect(),
        })
    }

    /// Compares the next message of the simulation with its own next ones. Faults leave messages out, they add none.
    pub fn see(&mut self, message: &SimulatedMessage) {
        loop {
            if self.next == self.batch.len() {
                self.next = 0;
                if !self.simulator.next_batch(&mut self.batch) {
                    self.batch.clear();
                    return;
                }
            }
            let own = &self.batch[self.next];
            self.next += 1;
            let (device, broker_ms) = (own.device, own.broker_ms);
            if (device, broker_ms) == (message.device, message.broker_ms) {
                if own.bytes == message.bytes {
                    return;
                }
                let (Some(own), Some(bytes)) = (&own.bytes, &message.bytes) else { return };
                let parse = |bytes| serde_json::from_slice::<Value<'_>>(bytes).expect("the simulator writes messages");
                let (own, seen) = (parse(own), parse(bytes));
                if own.metric_name == seen.metric_name {
                    let spec = self.kinds[device as usize].metric_index(own.metric_name);
                    let spec = &self.kinds[device as usize].metrics()[spec.expect("a metric of its type")];
                    if (own.metric_value - seen.metric_value).abs() >= visible_from(spec) {
                        self.note(device, broker_ms);
                    }
                    return;
                }
            }
            // A message that the fault kept back.
            self.note(device, broker_ms);
        }
    }

    fn note(&mut self, device: u32, broker_ms: i64) {
        let minute_ms = broker_ms - broker_ms.rem_euclid(MINUTE_MS);
        let differs = &mut self.differs[device as usize];
        if differs.last().is_none_or(|last| *last < minute_ms) {
            differs.push(minute_ms);
        }
    }

    /// When a fault first showed, milliseconds since the epoch; `None` where it did for less than ten minutes.
    pub fn visible_ms(&self, label: &Label) -> Option<i64> {
        let differs = &self.differs[*self.numbers.get(&label.device_id)?];
        let until_ms = label.end_ms.min(label.start_ms + FAULT_MS);
        let within: Vec<i64> =
            differs.iter().copied().filter(|ms| (label.start_ms - MINUTE_MS..until_ms).contains(ms)).collect();
        (within.len() >= MINUTES).then(|| within[0].max(label.start_ms))
    }
}

fn visible_from(metric: &Metric) -> f64 {
    if metric.sigma > 0.0 { SPREADS * SPREAD_OF_NOISE * metric.sigma } else { 0.5 }
}
