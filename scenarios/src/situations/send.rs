//! From situations to messages: phases of minutes, and how a situation sends a minute.

use model::recording::write_message;

use super::{
    COMPANION, FAULT_MS, GAP_MINUTES, LASTING_MINUTES, Point, QUIET_MINUTES, RulePoints, Situation, Situations,
    WARM_UP_MINUTES,
};

const MINUTE_MS: i64 = 60_000;
/// Partitions of the recording; a device keeps to one.
const PARTITIONS: usize = 3;

/// So many minutes alike.
struct Phase {
    minutes: u32,
    /// What is sent; `None`: nothing.
    point: Option<Point>,
    /// It is the fault.
    faulty: bool,
}

/// One reading on its way.
struct Sent<'a> {
    arrival_ms: i64,
    device: usize,
    /// Place among the readings of its device.
    place: usize,
    time_ms: i64,
    metric: &'a str,
    value: f64,
}

/// The recording of all devices of the table.
pub(super) fn recording(situations: &Situations) -> Vec<u8> {
    let mut sent = Vec::new();
    let mut names = Vec::new();
    let plans: Vec<(Plan<'_>, Vec<Phase>)> = situations
        .rules
        .iter()
        .flat_map(|rule| Situation::ALL.map(|situation| (rule, situation)))
        .map(|(rule, situation)| {
            names.push(rule.device(situation));
            let plan = Plan::new(situations, rule, situation);
            let phases = plan.phases();
            (plan, phases)
        })
        .collect();
    for (device, (plan, phases)) in plans.iter().enumerate() {
        plan.send(device, phases, &mut sent);
    }
    sent.sort_by_key(|reading| (reading.arrival_ms, reading.device, reading.place));
    let (mut bytes, mut offsets) = (Vec::new(), [0i64; PARTITIONS]);
    for reading in &sent {
        let partition = reading.device % PARTITIONS;
        let message = serde_json::json!({
            "device_id": names[reading.device],
            "device_type": situations.device_type,
            "timestamp": reading.time_ms,
            "metric_name": reading.metric,
            "metric_value": reading.value,
        });
        let number = u32::try_from(partition).expect("there are three");
        write_message(&mut bytes, number, offsets[partition], reading.arrival_ms, Some(message.to_string().as_bytes()));
        offsets[partition] += 1;
    }
    bytes
}

/// One device.
struct Plan<'a> {
    rule: &'a RulePoints,
    situation: Situation,
    normal: Point,
    /// The fault of this situation.
    fault: Point,
    /// The one that edges and times off stand on.
    first: Point,
}

fn on_top(below: &Point, above: &Point) -> Point {
    let mut point = below.clone();
    point.extend(above.iter().map(|(metric, value)| (metric.clone(), *value)));
    point
}

impl<'a> Plan<'a> {
    fn new(situations: &Situations, rule: &'a RulePoints, situation: Situation) -> Self {
        let normal = on_top(&situations.normal, &rule.normal);
        let mut normal: Point = rule.sent().iter().map(|metric| ((*metric).clone(), normal[*metric])).collect();
        normal.insert(COMPANION.to_owned(), 40.0);
        let first = on_top(&normal, &rule.fault[0]);
        // A condition that can be met in two ways is met in the other one, too.
        let last = matches!(situation, Situation::OutOfOrder | Situation::Gap);
        let fault = if last { on_top(&normal, &rule.fault[rule.fault.len() - 1]) } else { first.clone() };
        Plan { rule, situation, normal, fault, first }
    }

    /// Minutes before 10:00: the machine has settled, and the warm-up is over.
    fn lead_minutes(&self) -> u32 {
        let starts = self.situation == Situation::StartUp && !self.rule.guarded;
        if starts { 0 } else { self.rule.settle_minutes.max(WARM_UP_MINUTES) + 3 }
    }

    fn phases(&self) -> Vec<Phase> {
        let (confirm, settle) = (self.rule.confirm_minutes, self.rule.settle_minutes);
        let lasting = confirm + LASTING_MINUTES;
        let kept = |minutes, point: Point| Phase { minutes, point: Some(point), faulty: false };
        let fault = |minutes| Phase { minutes, point: Some(self.fault.clone()), faulty: true };
        let before = match (self.situation, self.rule.guarded) {
            (Situation::StartUp, true) => on_top(&self.first, &self.rule.off[0]),
            _ => self.normal.clone(),
        };
        let mut phases = vec![kept(self.lead_minutes(), before)];
        match self.situation {
            Situation::Normal => phases.push(kept(lasting, self.normal.clone())),
            Situation::Fault | Situation::OutOfOrder | Situation::Duplicates => phases.push(fault(lasting)),
            Situation::AtThreshold => {
                let points = self.rule.edges.iter().map(|edge| on_top(&self.first, edge));
                phases.extend(points.map(|point| kept(settle + lasting, point)));
            }
            Situation::Gap => phases.extend([
                fault(confirm / 2),
                Phase { minutes: GAP_MINUTES, point: None, faulty: false },
                fault(lasting - confirm / 2),
            ]),
            Situation::Irregular => phases.push(fault(2 * confirm + LASTING_MINUTES)),
            Situation::MissingMetric => phases.extend(self.rule.metrics.iter().map(|metric| {
                let mut point = self.first.clone();
                point.remove(metric);
                kept(settle + lasting, point)
            })),
            Situation::Off if self.rule.guarded => {
                let points = self.rule.off.iter().map(|off| on_top(&self.first, off));
                phases.extend(points.map(|point| kept(settle + lasting, point)));
            }
            Situation::Off => phases.push(kept(lasting, on_top(&self.first, &self.rule.off[0]))),
            Situation::StartUp => phases.push(fault(settle + lasting)),
        }
        phases.push(kept(QUIET_MINUTES, self.normal.clone()));
        phases
    }

    fn send<'b>(&self, device: usize, phases: &'b [Phase], sent: &mut Vec<Sent<'b>>) {
        let mut minute = -i64::from(self.lead_minutes());
        let mut place = 0;
        for phase in phases {
            for _ in 0..phase.minutes {
                for (metric, value) in phase.point.iter().flatten() {
                    let other = if phase.faulty { &self.normal } else { &self.fault };
                    // Half-way to what it would be otherwise, for what lies around a value; a status has nothing around it.
                    let apart = (value - other[metric]) / 4.0;
                    for (second, arrival_second, value) in self.readings(minute, metric, *value, apart, other[metric]) {
                        let start_ms = FAULT_MS + minute * MINUTE_MS;
                        let time_ms = start_ms + second * 1_000;
                        sent.push(Sent {
                            arrival_ms: start_ms + arrival_second * 1_000,
                            device,
                            place,
                            time_ms,
                            metric,
                            value,
                        });
                        place += 1;
                    }
                }
                minute += 1;
            }
        }
    }

    /// The readings of a metric in a minute: second, second of arrival, value.
    fn readings(&self, minute: i64, metric: &str, value: f64, apart: f64, other: f64) -> Vec<(i64, i64, f64)> {
        let once = vec![(30, 30, value)];
        let irregular = minute >= 0 && self.situation == Situation::Irregular;
        match self.situation {
            Situation::OutOfOrder => vec![(5, 5, value + apart), (50, 70, value - apart)],
            Situation::Duplicates => vec![(30, 30, other), (30, 40, value)],
            _ if !irregular => once,
            _ => match minute % 5 {
                1 => vec![(5, 5, value + 2.0 * apart), (25, 25, value), (45, 45, value - 2.0 * apart)],
                3 => Vec::new(),
                4 if *metric == self.rule.metrics[0] => Vec::new(),
                _ => once,
            },
        }
    }
}
