//! One device of the running simulation: its machine, its line and its faults, each with random streams of its own.

use std::collections::{BTreeMap, BTreeSet};

use model::recording::Label;

use super::breakage::Breakage;
use super::climate::{Building, Weather};
use super::delivery::Line;
use super::encode;
use super::error::SimulatorError;
use super::fault::FaultRequest;
use super::fleet::{DeviceSpec, Fleet};
use super::metrics::MAX_METRICS;
use super::options::Options;
use super::physics::{Machine, Push, Surroundings};
use super::random::{Random, stream_seed};

/// A device at work.
pub struct Device {
    /// Its id.
    pub id: Box<str>,
    /// Its messages up to the timestamp.
    pub head: Box<[u8]>,
    /// Index of its messages' end.
    pub tail: u32,
    /// Index of its building.
    pub building: u32,
    /// Partition of its messages.
    pub partition: u32,
    /// Time between two ticks.
    pub period_ms: i64,
    /// How long after the common tick its own is.
    pub phase_ms: i64,
    /// Its line to the broker.
    pub line: Line,
    /// Its moving parts.
    pub machine: Machine,
    /// Its faults.
    pub breakage: Option<Box<Breakage>>,
}

impl Device {
    /// Moves the equipment on; its values as its sensors see them, before faults of sensors.
    pub fn step(
        &mut self,
        options: &Options,
        buildings: &[Building],
        (true_ms, event_ms): (i64, i64),
        (labels, pushes): (&mut Vec<Label>, &mut Vec<Push>),
    ) -> [f64; MAX_METRICS] {
        let features = &options.features;
        let building = &buildings[self.building as usize];
        let around = Surroundings {
            features,
            weather: if features.weather { building.weather(true_ms) } else { Weather::TYPICAL },
            occupancy: if features.occupancy { building.occupancy(true_ms) } else { 1.0 },
            time_ms: true_ms,
            elapsed_ms: self.period_ms,
        };
        match &mut self.breakage {
            None => self.machine.tick(&around, &[]),
            Some(breakage) => {
                breakage.advance(&options.faults, &self.id, event_ms, labels);
                breakage.pushes(event_ms, pushes);
                self.machine.tick(&around, pushes);
            }
        }
        self.machine.values
    }
}

/// What options say of single devices, by id.
pub struct Known<'a> {
    requests: BTreeMap<&'a str, Vec<&'a FaultRequest>>,
    marked: Vec<&'a str>,
}

impl<'a> Known<'a> {
    /// Refuses ids that the fleet lacks: a fault that never happens would make a wrong label.
    pub fn new(fleet: &Fleet, options: &'a Options) -> Result<Self, SimulatorError> {
        let ids: BTreeSet<&str> = fleet.devices().iter().map(|device| device.device_id.as_str()).collect();
        let allowed = || {
            let some: Vec<&str> = fleet.devices().iter().take(12).map(|device| device.device_id.as_str()).collect();
            let more = if ids.len() > some.len() { ", ..." } else { "" };
            format!("the fleet's devices: {}{more}", some.join(", "))
        };
        let mut requests: BTreeMap<&str, Vec<&FaultRequest>> = BTreeMap::new();
        for request in &options.faults.requests {
            if !ids.contains(request.device_id.as_str()) {
                let fault = format!("{}/{}", request.device_id, request.kind.name());
                let problem = format!("{:?} is not of the fleet", request.device_id);
                return Err(SimulatorError::fault(fault, "device_id", problem, allowed()));
            }
            requests.entry(&request.device_id).or_default().push(request);
        }
        let clocks = options.delivery.clocks.iter().map(|clock| ("clocks", &clock.device_id));
        let marks = options.faults.marked_devices.iter().map(|device_id| ("anomaly-devices", device_id));
        for (option, device_id) in clocks.chain(marks) {
            if !ids.contains(device_id.as_str()) {
                return Err(SimulatorError::option(option, format!("{device_id:?} is not of the fleet"), allowed()));
            }
        }
        let mut marked: Vec<&str> = options.faults.marked_devices.iter().map(String::as_str).collect();
        marked.sort_unstable();
        Ok(Known { requests, marked })
    }

    /// A device at its start.
    pub fn device(
        &self,
        spec: &DeviceSpec,
        options: &Options,
        (tail, building): (u32, u32),
    ) -> Result<Device, SimulatorError> {
        let id = spec.device_id.as_str();
        let mut start = Random::new(stream_seed(options.seed, id, "start"));
        let noise = Random::new(stream_seed(options.seed, id, "noise"));
        let marked = spec.inject_anomalies || self.marked.binary_search(&id).is_ok();
        let requests = self.requests.get(id).map_or(&[][..], Vec::as_slice);
        let period_ms = spec.period_ms.unwrap_or(options.period_ms);
        let phase_ms = if options.stagger {
            Random::new(stream_seed(options.seed, id, "phase")).below(period_ms - options.jitter_ms.min(period_ms - 1))
        } else {
            0
        };
        Ok(Device {
            id: id.into(),
            head: encode::head(spec, options.spelling),
            tail,
            building,
            partition: partition_of(id, options.partitions),
            period_ms,
            phase_ms,
            line: Line::new(&options.delivery, options.seed, id),
            machine: Machine::new(spec.kind, &options.features, &mut start, noise),
            breakage: Breakage::new(options, (id, spec.kind), requests, marked)?,
        })
    }
}

/// Partition of a device's messages.
pub fn partition_of(device_id: &str, partitions: u32) -> u32 {
    let partition = model::hash::hash_text(device_id) % u64::from(partitions.max(1));
    u32::try_from(partition).unwrap_or(0)
}
