//! The methods of the system before this one, as its tools had them, on the same messages: what they would have said.
//!
//! Profiles are mean and deviation of a device's first day. The methods: hard limits as coded, whose types are spelled otherwise than the
//! devices', so that they hold for chillers only; the same limits had the spelling matched; any metric beyond three deviations of the
//! profile; at least four beyond six. The similarity of texts is not among them: values hardly move it (0.997 between all normal states
//! against limits of 0.75 to 0.93), so that it never speaks.

use std::collections::BTreeMap;

use scenarios::simulator::{DeviceKind, SimulatedMessage};
use serde::Deserialize;

use super::plan::Plan;
use super::score::Claim;

const DAY_MS: i64 = 86_400_000;
/// States that a method flags are one incident where they are no further apart; as many as an incident here stays open.
const TOGETHER_MS: i64 = 15 * 60_000;

/// Names of the methods, for the table.
pub const METHODS: [&str; 4] = [
    "original: limits, as spelled",
    "original: limits, spelling mended",
    "original: any z > 3",
    "original: 4 of z > 6",
];

/// All devices.
#[derive(Debug)]
pub struct Original {
    start_ms: i64,
    devices: Vec<Device>,
}

#[derive(Debug)]
struct Device {
    device_id: String,
    kind: DeviceKind,
    profile: Vec<Moments>,
    minute_ms: i64,
    /// Sum and count of the present minute, by metric.
    values: Vec<(f64, f64)>,
    claims: [Vec<Claim>; 4],
}

#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: f64,
    mean: f64,
    square: f64,
}

#[derive(Deserialize)]
struct Value<'a> {
    metric_name: &'a str,
    metric_value: f64,
}

/// Limits of its rules tool that name a metric which the type has: metric, lowest, highest.
fn limits(kind: DeviceKind) -> &'static [(&'static str, f64, f64)] {
    match kind {
        DeviceKind::RooftopUnit => &[
            ("supply_air_temp", 50.0, 90.0),
            ("return_air_temp", 60.0, 85.0),
            ("outdoor_air_temp", -20.0, 120.0),
            ("power_consumption", 0.0, 50.0),
            ("compressor_status", 0.0, 1.0),
            ("fan_speed", 0.0, 1200.0),
            ("fan_current", 0.0, 30.0),
        ],
        DeviceKind::MakeupAirUnit => &[
            ("supply_air_temp", 50.0, 90.0),
            ("outdoor_air_temp", -20.0, 120.0),
            ("power_consumption", 0.0, 45.0),
            ("fan_speed", 0.0, 1200.0),
        ],
        DeviceKind::Chiller => &[
            ("chilled_water_supply_temp", 35.0, 55.0),
            ("chilled_water_return_temp", 45.0, 65.0),
            ("power_consumption", 0.0, 200.0),
            ("capacity_percentage", 0.0, 100.0),
            ("chilled_water_delta_t", 3.0, f64::INFINITY),
        ],
        DeviceKind::CoolingTower => &[
            ("inlet_water_temp", 60.0, 110.0),
            ("outlet_water_temp", 50.0, 90.0),
            ("water_flow_rate", 0.0, 2000.0),
            ("power_consumption", 0.0, 30.0),
        ],
        DeviceKind::AirCompressor => &[
            ("discharge_pressure", 80.0, 150.0),
            ("discharge_temp", 100.0, 250.0),
            ("motor_current", 0.0, 100.0),
            ("power_consumption", 0.0, 150.0),
        ],
    }
}

impl Moments {
    fn see(&mut self, value: f64) {
        self.count += 1.0;
        let step = value - self.mean;
        self.mean += step / self.count;
        self.square += step * (value - self.mean);
    }

    /// |value - mean| / deviation of the population; 0 where the metric never moved, as the original skips those.
    fn z(&self, value: f64) -> f64 {
        let deviation = (self.square / self.count.max(1.0)).sqrt();
        if deviation > 0.0 { (value - self.mean).abs() / deviation } else { 0.0 }
    }
}

impl Original {
    /// Of a simulated fleet.
    pub fn new(plan: &Plan) -> Original {
        let device = |spec: &scenarios::simulator::DeviceSpec| Device {
            device_id: spec.device_id.clone(),
            kind: spec.kind,
            profile: vec![Moments::default(); spec.kind.metrics().len()],
            minute_ms: i64::MIN,
            values: vec![(0.0, 0.0); spec.kind.metrics().len()],
            claims: Default::default(),
        };
        Original { start_ms: plan.options.start_ms, devices: plan.fleet.devices().iter().map(device).collect() }
    }

    /// Takes a message in.
    pub fn see(&mut self, message: &SimulatedMessage) {
        let device = &mut self.devices[message.device as usize];
        let minute_ms = message.broker_ms - message.broker_ms.rem_euclid(60_000);
        if minute_ms != device.minute_ms {
            device.close(self.start_ms);
            device.minute_ms = minute_ms;
        }
        let Some(bytes) = &message.bytes else { return };
        let value: Value<'_> = serde_json::from_slice(bytes).expect("the simulator writes messages");
        let metric = device.kind.metric_index(value.metric_name).expect("a metric of its type");
        device.values[metric].0 += value.metric_value;
        device.values[metric].1 += 1.0;
    }

    /// What each method found, in the order of [`METHODS`].
    pub fn claims(self) -> [Vec<Claim>; 4] {
        let mut all: [Vec<Claim>; 4] = Default::default();
        for mut device in self.devices {
            device.close(self.start_ms);
            for (all, own) in all.iter_mut().zip(device.claims) {
                all.extend(own);
            }
        }
        all
    }
}

impl Device {
    fn close(&mut self, start_ms: i64) {
        let means: Vec<Option<f64>> =
            self.values.iter().map(|(sum, count)| (*count > 0.0).then(|| sum / count)).collect();
        self.values.fill((0.0, 0.0));
        if self.minute_ms < start_ms + DAY_MS {
            for (moments, mean) in self.profile.iter_mut().zip(means) {
                mean.into_iter().for_each(|mean| moments.see(mean));
            }
            return;
        }
        let z: Vec<f64> =
            self.profile.iter().zip(&means).map(|(moments, mean)| mean.map_or(0.0, |mean| moments.z(mean))).collect();
        let mut by_metric: BTreeMap<usize, f64> = BTreeMap::new();
        for (name, low, high) in limits(self.kind) {
            let metric = self.kind.metric_index(name).expect("a metric of its type");
            if let Some(value) = means[metric] {
                let beyond = (low - value).max(value - high);
                if beyond > 0.0 {
                    by_metric.insert(metric, beyond / (high - low).min(high.abs()).max(1.0));
                }
            }
        }
        let limits: Vec<(usize, f64)> = by_metric.into_iter().collect();
        let beyond =
            |least: f64| -> Vec<(usize, f64)> { z.iter().copied().enumerate().filter(|(_, z)| *z > least).collect() };
        let as_spelled = if self.kind == DeviceKind::Chiller { limits.clone() } else { Vec::new() };
        let six = beyond(6.0);
        let found = [as_spelled, limits, beyond(3.0), if six.len() >= 4 { six } else { Vec::new() }];
        for (claims, mut metrics) in self.claims.iter_mut().zip(found) {
            if metrics.is_empty() {
                continue;
            }
            let end_ms = self.minute_ms + 60_000;
            if let Some(last) = claims.last_mut().filter(|last| self.minute_ms - last.end_ms <= TOGETHER_MS) {
                last.end_ms = end_ms;
                continue;
            }
            metrics.sort_by(|a, b| b.1.total_cmp(&a.1));
            claims.push(Claim {
                device_id: self.device_id.clone(),
                kind: "flagged".to_owned(),
                severity: "warning".to_owned(),
                start_ms: self.minute_ms,
                end_ms,
                detected_ms: end_ms,
                metrics: metrics.iter().map(|(metric, _)| self.kind.metrics()[*metric].name.to_owned()).collect(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_name_metrics_of_their_type() {
        for kind in DeviceKind::ALL {
            for (name, ..) in limits(kind) {
                assert!(kind.metric_index(name).is_some(), "{} {name}", kind.name());
            }
        }
    }

    #[test]
    fn a_deviation_is_the_populations() {
        let mut moments = Moments::default();
        [1.0, 2.0, 3.0, 4.0].into_iter().for_each(|value| moments.see(value));
        // Deviation sqrt(1.25).
        assert!((moments.z(5.0) - 2.5 / 1.25f64.sqrt()).abs() < 1e-12);
    }
}
