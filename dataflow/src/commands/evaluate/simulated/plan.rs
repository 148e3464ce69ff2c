//! What breaks when: two faults a device, every kind of its type at every severity in turn, at times drawn by the seed.

use anyhow::Context as _;
use scenarios::simulator::{FaultKind, FaultOptions, FaultRequest, FaultSeverity, FaultStart, Fleet, Options};

const DAY_MS: i64 = 86_400_000;
/// How long each fault lasts. What only shows in warm or in occupied hours has a fair chance in it.
pub const FAULT_MS: i64 = 6 * 3_600_000;
/// No fault begins before: devices are learned for six hours first, and a day shows them once at every hour.
const LEARNED_MS: i64 = 2 * DAY_MS;

/// A simulated fleet and what breaks in it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its seed.
    pub seed: u64,
    /// The devices.
    pub fleet: Fleet,
    /// The simulation, its faults included.
    pub options: Options,
}

impl Plan {
    /// `devices` for `days` with a reading a metric each `period_ms`.
    ///
    /// # Errors
    /// If the simulator takes no such fleet.
    pub fn new(seed: u64, devices: usize, days: u32, period_ms: i64) -> anyhow::Result<Plan> {
        let fleet =
            Fleet::generate(devices, seed).with_context(|| format!("could not make the fleet of seed {seed}"))?;
        let mut options = Options { seed, period_ms, stagger: true, partitions: 1, ..Options::default() };
        let duration_ms = i64::from(days) * DAY_MS;
        options.duration_ms = Some(duration_ms);
        options.faults = FaultOptions { requests: Vec::new(), ..FaultOptions::default() };
        // Each half of the time behind the learning has one fault of each device, which ends within it.
        let half_ms = (duration_ms - LEARNED_MS) / 2;
        let room_ms = (half_ms - 2 * FAULT_MS).max(0);
        let mut turns = [0; 5];
        for device in fleet.devices() {
            let kinds: Vec<FaultKind> = FaultKind::of(device.kind).collect();
            let combinations = kinds.len() * FaultSeverity::ALL.len();
            for half in 0..2 {
                let turn = &mut turns[device.kind as usize];
                // Seeds begin at different places, so that no combination keeps to certain devices.
                let at = (*turn + usize::try_from(seed).unwrap_or(0) * 7) % combinations;
                *turn += 1;
                let drawn = model::hash::hash_texts(&[&seed.to_string(), &device.device_id, &half.to_string()]);
                let after_ms = i64::try_from(drawn >> 1).unwrap_or(0) % (room_ms + 1);
                options.faults.requests.push(FaultRequest {
                    device_id: device.device_id.clone(),
                    kind: kinds[at / FaultSeverity::ALL.len()],
                    severity: FaultSeverity::ALL[at % FaultSeverity::ALL.len()],
                    start: FaultStart::After(LEARNED_MS + half * half_ms + after_ms),
                    duration_ms: FAULT_MS,
                    metric: None,
                });
            }
        }
        Ok(Plan { seed, fleet, options })
    }

    /// The same fleet without a fault.
    pub fn healthy(&self) -> Options {
        let mut options = self.options.clone();
        options.faults.enabled = false;
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_few_seeds_have_every_kind_at_every_severity_and_no_two_faults_of_a_device_meet() {
        let mut seen = BTreeSet::new();
        for seed in 1..=2 {
            let plan = Plan::new(seed, 110, 14, 60_000).unwrap();
            let requests = &plan.options.faults.requests;
            assert_eq!(requests.len(), 220);
            for pair in requests.chunks(2) {
                let start = |request: &FaultRequest| match request.start {
                    FaultStart::After(ms) => ms,
                    FaultStart::At(_) => unreachable!("starts are relative"),
                };
                assert_eq!(pair[0].device_id, pair[1].device_id);
                assert!(start(&pair[0]) >= LEARNED_MS && start(&pair[0]) + 2 * FAULT_MS <= start(&pair[1]));
                assert!(start(&pair[1]) + 2 * FAULT_MS <= 14 * DAY_MS);
            }
            for (request, device) in requests.chunks(2).zip(plan.fleet.devices()) {
                seen.extend(request.iter().map(|request| (device.kind, request.kind, request.severity)));
            }
        }
        // 9 kinds of a rooftop unit, 8 of a makeup air unit, a chiller and a compressor, 7 of a tower.
        assert_eq!(seen.len(), 3 * (9 + 8 + 8 + 7 + 8));
    }
}
