//! The faults of one device as time goes by: which are active, what they push, what they change of what is sent.

use model::recording::Label;

use super::error::SimulatorError;
use super::fault::{Effect, FaultKind, FaultRequest, FaultSeverity, FaultStart};
use super::metrics::{DeviceKind, MAX_METRICS};
use super::options::{FaultOptions, Options};
use super::physics::{Push, PushHow};
use super::random::{Random, stream_seed};

const MINUTE_MS: i64 = 60_000;
const WEEK_MS: f64 = 604_800_000.0;
/// A weak switched fault is on for its share of this.
const SWITCH_MS: i64 = 600_000;
/// Share of ticks at which a spiking sensor spikes.
const SPIKE_SHARE: f64 = 0.1;

/// A fault with its times fixed.
#[derive(Clone, Debug, PartialEq)]
struct Planned {
    kind: FaultKind,
    severity: FaultSeverity,
    start_ms: i64,
    end_ms: i64,
    metric: Option<usize>,
}

#[derive(Clone, Debug)]
struct Active {
    plan: Planned,
    /// What a stuck sensor keeps sending.
    frozen: Option<f64>,
    /// A spiking sensor spikes at once, then now and then.
    spiked: bool,
}

/// All faults of one device. Its draws are its own: a fault changes no other draw of the device.
#[derive(Clone, Debug)]
pub struct Breakage {
    kind: DeviceKind,
    /// Asked for, latest first.
    requested: Vec<Planned>,
    next_random: Option<Planned>,
    per_week: f64,
    active: Vec<Active>,
    random: Random,
}

impl Breakage {
    /// The faults of a device, `None` where it can have none.
    pub fn new(
        options: &Options,
        (device_id, kind): (&str, DeviceKind),
        requests: &[&FaultRequest],
        marked: bool,
    ) -> Result<Option<Box<Breakage>>, SimulatorError> {
        let faults = &options.faults;
        let per_week = if marked { faults.per_marked_device_week } else { faults.per_device_week };
        if !faults.enabled || (requests.is_empty() && per_week <= 0.0) {
            return Ok(None);
        }
        let mut breakage = Breakage {
            kind,
            requested: Vec::new(),
            next_random: None,
            per_week,
            active: Vec::new(),
            random: Random::new(stream_seed(options.seed, device_id, "faults")),
        };
        for request in requests {
            let planned = breakage.planned(options, request)?;
            breakage.requested.push(planned);
        }
        breakage.requested.sort_by_key(|planned| std::cmp::Reverse(planned.start_ms));
        if per_week > 0.0 {
            let first_ms = if marked {
                options.start_ms + 10 * MINUTE_MS + breakage.random.below(10 * MINUTE_MS)
            } else {
                options.start_ms + breakage.pause_ms()
            };
            breakage.draw(faults, first_ms);
        }
        Ok(Some(Box::new(breakage)))
    }

    fn planned(&mut self, options: &Options, request: &FaultRequest) -> Result<Planned, SimulatorError> {
        let kind = self.kind;
        let fault = format!("{}/{}", request.device_id, request.kind.name());
        if !FaultKind::of(kind).any(|known| known == request.kind) {
            let allowed = FaultKind::of(kind).map(FaultKind::name).collect::<Vec<_>>().join(", ");
            let problem = format!("{:?} is no fault of a {}", request.kind.name(), kind.name());
            return Err(SimulatorError::fault(fault, "kind", problem, allowed));
        }
        let metric = match &request.metric {
            None => None,
            Some(name) if !request.kind.takes_metric() => {
                let allowed = "only with stuck_sensor, missing_metric, spike";
                return Err(SimulatorError::fault(fault, "metric", format!("{name:?} is not chosen here"), allowed));
            }
            Some(name) => Some(kind.metric_index(name).ok_or_else(|| {
                let allowed = kind.metrics().iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
                let problem = format!("{name:?} is no metric of a {}", kind.name());
                SimulatorError::fault(&fault, "metric", problem, allowed)
            })?),
        };
        let start_ms = match request.start {
            FaultStart::At(ms) => ms,
            FaultStart::After(ms) => options.start_ms.saturating_add(ms),
        };
        if request.duration_ms <= 0 {
            let problem = format!("{} ms is not positive", request.duration_ms);
            return Err(SimulatorError::fault(fault, "duration", problem, "1 ms or more"));
        }
        let stream_end_ms = options.duration_ms.map_or(i64::MAX, |duration_ms| options.start_ms + duration_ms);
        let end_ms = start_ms.saturating_add(request.duration_ms);
        if start_ms >= stream_end_ms || end_ms <= options.start_ms {
            let problem = format!("{} is outside of the simulated time", model::time::format_ms(start_ms));
            let from = model::time::format_ms(options.start_ms);
            let until = model::time::format_ms(stream_end_ms);
            return Err(SimulatorError::fault(fault, "start", problem, format!("{from} until {until}")));
        }
        let metric = metric.or_else(|| self.draw_metric(request.kind));
        Ok(Planned { kind: request.kind, severity: request.severity, start_ms, end_ms, metric })
    }

    /// Time to the next random fault.
    fn pause_ms(&mut self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "a thousand years at most, and casts saturate")]
        let pause_ms = (self.random.exponential() * WEEK_MS / self.per_week).round().min(3e13) as i64;
        pause_ms
    }

    fn draw(&mut self, options: &FaultOptions, start_ms: i64) {
        let generic = options.generic;
        let kinds = FaultKind::of(self.kind).filter(|kind| generic || !kind.is_generic());
        let count = i64::try_from(kinds.clone().count()).unwrap_or(i64::MAX);
        let pick = usize::try_from(self.random.below(count)).unwrap_or(0);
        let kind = kinds.clone().nth(pick).unwrap_or(FaultKind::StuckSensor);
        let severity = FaultSeverity::ALL[usize::try_from(self.random.below(3)).unwrap_or(0)];
        // Short ones are as frequent as long ones on a scale of ratios.
        #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53")]
        let (low, high) = (options.min_duration_ms as f64, options.max_duration_ms as f64);
        let drawn = low * libm::exp(self.random.unit() * libm::log(high / low));
        #[expect(clippy::cast_possible_truncation, reason = "between the options' durations")]
        let duration_ms = (drawn.round() as i64).clamp(options.min_duration_ms, options.max_duration_ms);
        let metric = self.draw_metric(kind);
        self.next_random =
            Some(Planned { kind, severity, start_ms, end_ms: start_ms.saturating_add(duration_ms), metric });
    }

    /// A metric with noise: a frozen set point is not to be told from a healthy one.
    fn draw_metric(&mut self, kind: FaultKind) -> Option<usize> {
        if !kind.takes_metric() {
            return None;
        }
        let noisy = self.kind.metrics().iter().enumerate().filter(|(_, metric)| metric.sigma > 0.0);
        let count = i64::try_from(noisy.clone().count()).unwrap_or(i64::MAX);
        let pick = usize::try_from(self.random.below(count)).unwrap_or(0);
        noisy.map(|(index, _)| index).nth(pick)
    }

    /// Goes on to this event time: starts and ends faults, leaves labels of those that start.
    pub fn advance(&mut self, options: &FaultOptions, device_id: &str, event_ms: i64, labels: &mut Vec<Label>) {
        self.active.retain(|active| active.plan.end_ms > event_ms);
        while self.requested.last().is_some_and(|planned| planned.start_ms <= event_ms) {
            if let Some(planned) = self.requested.pop() {
                self.activate(planned, device_id, event_ms, labels);
            }
        }
        while let Some(planned) = self.next_random.take_if(|planned| planned.start_ms <= event_ms) {
            let next_ms = planned.end_ms.saturating_add(self.pause_ms());
            self.activate(planned, device_id, event_ms, labels);
            self.draw(options, next_ms);
        }
    }

    fn activate(&mut self, plan: Planned, device_id: &str, event_ms: i64, labels: &mut Vec<Label>) {
        if plan.end_ms <= event_ms {
            // Over between two ticks: nothing of it is seen, so nothing is said of it.
            return;
        }
        labels.push(Label {
            device_id: device_id.to_owned(),
            fault: plan.kind.name().to_owned(),
            severity: plan.severity.name().to_owned(),
            start_ms: plan.start_ms,
            end_ms: plan.end_ms,
            metrics: plan.kind.moved_metrics(self.kind, plan.metric),
        });
        self.active.push(Active { plan, frozen: None, spiked: false });
    }

    /// What the active faults do to the equipment in this tick.
    pub fn pushes(&mut self, event_ms: i64, pushes: &mut Vec<Push>) {
        pushes.clear();
        for active in &self.active {
            let share = active.plan.severity.share();
            for (metric, effect) in active.plan.kind.effects(self.kind) {
                let how = match *effect {
                    Effect::Target(target) => PushHow::Toward { target, share },
                    Effect::Unsteady(mean, sigma) => {
                        PushHow::Toward { target: mean + sigma * self.random.normal(), share }
                    }
                    Effect::Higher(more) => PushHow::Add(share * more),
                    Effect::Stuck => PushHow::Hold(share),
                    Effect::Switched(target) => {
                        #[expect(clippy::cast_precision_loss, reason = "milliseconds of ten minutes are exact")]
                        let part = (event_ms - active.plan.start_ms).rem_euclid(SWITCH_MS) as f64 / SWITCH_MS as f64;
                        if part >= share {
                            continue;
                        }
                        PushHow::Toward { target, share: 1.0 }
                    }
                };
                pushes.push(Push { metric: *metric, how });
            }
        }
    }

    /// Changes what is sent: values in place; the answer has a bit for each metric that is not sent.
    pub fn disturb(&mut self, values: &mut [f64; MAX_METRICS]) -> u16 {
        let metrics = self.kind.metrics();
        let mut silent = 0u16;
        for active in &mut self.active {
            let share = active.plan.severity.share();
            match (active.plan.kind, active.plan.metric) {
                (FaultKind::SilentDevice, _) if self.random.unit() < share => silent = u16::MAX,
                (FaultKind::MissingMetric, Some(metric)) if self.random.unit() < share => silent |= 1 << metric,
                (FaultKind::StuckSensor, Some(metric)) => {
                    let frozen = *active.frozen.get_or_insert(values[metric]);
                    values[metric] += share * (frozen - values[metric]);
                }
                (FaultKind::Spike, Some(metric)) if self.random.unit() < SPIKE_SHARE || !active.spiked => {
                    active.spiked = true;
                    let (spec, value) = (&metrics[metric], values[metric]);
                    let far = if spec.high - value >= value - spec.low { spec.high } else { spec.low };
                    values[metric] += share * (far - value);
                }
                _ => {}
            }
        }
        silent
    }
}
