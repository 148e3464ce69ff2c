//! What happens to messages between device and broker. Draws belong to a device's tick and not to a sequence, so that
//! switching one disturbance on changes neither values nor the other disturbances' draws.

use super::encode::{MetricText, TIMESTAMP_LENGTH};
use super::options::Delivery;
use super::random::{Random, mix, stream_seed};

/// Purposes of a tick's draws.
const TIMING: i64 = 1;
const FATE: i64 = 2;

/// A device's line to the broker.
#[derive(Clone, Debug)]
pub struct Line {
    seed: u64,
    ahead_us: i64,
    drift_ppm: i64,
    /// Broker time of its last regular delivery: regular messages of a device keep their order.
    last_broker_ms: i64,
    gap: Option<Box<Gap>>,
}

#[derive(Clone, Debug)]
struct Gap {
    start_ms: i64,
    end_ms: i64,
    random: Random,
}

/// What becomes of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives with its tick.
    Regular,
    /// It never arrives.
    Dropped,
    /// It arrives so much later, within the lateness.
    OutOfOrder(i64),
    /// It arrives so much later, beyond it.
    Late(i64),
    /// It arrives unusable.
    Malformed(Defect),
    /// It arrives without a value.
    Tombstone,
}

/// In which way a message is unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The end is missing.
    Truncated,
    /// No JSON at all.
    NotJson,
    /// Bytes that are no UTF-8.
    NotUtf8,
    /// No bytes.
    Empty,
    /// There is no value.
    NoValue,
    /// The value is a text.
    TextValue,
    /// The value is `NaN`, which JSON doesn't know.
    NotANumber,
    /// The value is beyond a double.
    Infinite,
    /// The timestamp is none.
    NoTimestamp,
    /// The timestamp is far in the future.
    FarFuture,
    /// The unit is none of the metric's.
    OddUnit,
}

impl Defect {
    /// All defects.
    pub const ALL: [Defect; 11] = [
        Defect::Truncated,
        Defect::NotJson,
        Defect::NotUtf8,
        Defect::Empty,
        Defect::NoValue,
        Defect::TextValue,
        Defect::NotANumber,
        Defect::Infinite,
        Defect::NoTimestamp,
        Defect::FarFuture,
        Defect::OddUnit,
    ];
}

impl Line {
    /// The line of a device.
    pub fn new(options: &Delivery, seed: u64, device_id: &str) -> Self {
        let mut random = Random::new(stream_seed(seed, device_id, "line"));
        let fast = random.unit() < options.fast_clock_rate;
        let clock = options.clocks.iter().find(|clock| clock.device_id == device_id);
        let (ahead_ms, drift_ppm) = match clock {
            Some(clock) => (clock.ahead_ms, clock.drift_ppm),
            None if fast => (options.fast_clock_ahead_ms, options.fast_clock_drift_ppm),
            None => (0, 0),
        };
        let gap = (options.gaps_per_day > 0.0).then(|| {
            let random = Random::new(stream_seed(seed, device_id, "gaps"));
            Box::new(Gap { start_ms: i64::MIN, end_ms: i64::MIN, random })
        });
        Line {
            seed: stream_seed(seed, device_id, "delivery"),
            ahead_us: ahead_ms * 1_000,
            drift_ppm,
            last_broker_ms: i64::MIN,
            gap,
        }
    }

    /// Broker time of a tick's readings. Called once for each tick, in order.
    pub fn broker_ms(&mut self, options: &Delivery, due_ms: i64, phase_ms: i64, jitter_ms: i64) -> i64 {
        let mut random = Random::new(mix(mix(self.seed, TIMING), due_ms));
        let true_us = (due_ms + phase_ms) * 1_000 + random.below(jitter_ms * 1_000);
        let delay_ms = options.delay_ms + random.below(options.delay_spread_ms + 1);
        self.last_broker_ms = self.last_broker_ms.max(true_us.div_euclid(1_000) + delay_ms);
        self.last_broker_ms
    }

    /// Time of a tick's readings by a true clock, microseconds.
    pub fn true_us(&self, due_ms: i64, phase_ms: i64, jitter_ms: i64) -> i64 {
        let shift_us =
            if jitter_ms == 0 { 0 } else { Random::new(mix(mix(self.seed, TIMING), due_ms)).below(jitter_ms * 1_000) };
        (due_ms + phase_ms) * 1_000 + shift_us
    }

    /// What the device's clock says at a true time.
    pub fn event_us(&self, true_us: i64, start_ms: i64) -> i64 {
        let elapsed_ms = true_us.div_euclid(1_000) - start_ms;
        true_us + self.ahead_us + elapsed_ms * self.drift_ppm / 1_000
    }

    /// Whether the device is offline. Asked in the order of ticks.
    pub fn offline(&mut self, options: &Delivery, start_ms: i64, time_ms: i64) -> bool {
        let Some(gap) = &mut self.gap else { return false };
        #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^53")]
        let (gap_ms, pause_ms) = (options.gap_ms as f64, 86_400_000.0 / options.gaps_per_day);
        #[expect(clippy::cast_possible_truncation, reason = "bounded before")]
        let mut draw = |mean_ms: f64| 1 + (mean_ms * gap.random.exponential()).min(1e14) as i64;
        while time_ms >= gap.end_ms {
            gap.start_ms = gap.end_ms.max(start_ms) + draw(pause_ms);
            gap.end_ms = gap.start_ms + draw(gap_ms);
        }
        time_ms >= gap.start_ms
    }

    /// The draws of a tick's messages.
    pub fn fates(&self, due_ms: i64) -> Random {
        Random::new(mix(mix(self.seed, FATE), due_ms))
    }
}

impl Delivery {
    /// Whether any single message can have another fate than the regular one, or a double.
    pub(super) fn disturbs_messages(&self) -> bool {
        let rates = [
            self.drop_rate,
            self.duplicate_rate,
            self.out_of_order_rate,
            self.late_rate,
            self.malformed_rate,
            self.tombstone_rate,
        ];
        rates.iter().any(|rate| *rate > 0.0)
    }

    /// What becomes of the next message, and how much later it comes again, if it does. Always four draws, so that one
    /// rate does not shift another's.
    pub(super) fn fate(&self, random: &mut Random, period_ms: i64) -> (Fate, Option<i64>) {
        let (pick, detail, again, again_after) = (random.unit(), random.unit(), random.unit(), random.unit());
        let upto = |bound_ms: i64, unit: f64| {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "at most some days")]
            let drawn_ms = (unit * bound_ms as f64) as i64;
            1 + drawn_ms.min(bound_ms - 1)
        };
        let late_ms = || {
            // Its window's end, at most a window away, must be under the watermark: the partition's newest reading, at
            // most a period and the delays old, minus the lateness.
            let closed_ms = self.lateness_ms + self.window_ms + 2 * period_ms + self.delay_ms + self.delay_spread_ms;
            closed_ms + upto(self.late_ms, detail)
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small index")]
        let defect = || Defect::ALL[((detail * Defect::ALL.len() as f64) as usize).min(Defect::ALL.len() - 1)];
        // The rates lie side by side on [0, 1); what is left of the draw falls into one of them or behind all.
        let mut left = pick;
        let mut hits = |rate: f64| {
            left -= rate;
            left < 0.0
        };
        let fate = if hits(self.drop_rate) {
            Fate::Dropped
        } else if hits(self.late_rate) {
            Fate::Late(late_ms())
        } else if hits(self.out_of_order_rate) {
            Fate::OutOfOrder(upto(self.out_of_order_ms, detail))
        } else if hits(self.malformed_rate) {
            Fate::Malformed(defect())
        } else if hits(self.tombstone_rate) {
            Fate::Tombstone
        } else {
            Fate::Regular
        };
        let again = again < self.duplicate_rate && matches!(fate, Fate::Regular | Fate::OutOfOrder(_) | Fate::Late(_));
        (fate, again.then(|| upto(self.duplicate_within_ms, again_after)))
    }
}

/// The parts of a message, for spoiling it.
pub struct Parts<'a> {
    /// From the begin to before the timestamp.
    pub head: &'a [u8],
    /// The timestamp.
    pub timestamp: &'a [u8; TIMESTAMP_LENGTH],
    /// What messages of the metric have in common.
    pub metric: &'a MetricText,
    /// The value.
    pub value: &'a [u8],
    /// From the location to the end.
    pub tail: &'a [u8],
}

impl Parts<'_> {
    /// Appends the message with a defect.
    pub fn push_spoiled(&self, out: &mut Vec<u8>, defect: Defect) {
        let mut join = |timestamp: &[u8], value: &[u8], after_value: &[u8]| {
            for part in [self.head, timestamp, &self.metric.before_value, value, after_value, self.tail] {
                out.extend_from_slice(part);
            }
        };
        let after_value = &self.metric.after_value;
        match defect {
            Defect::Truncated => {
                join(self.timestamp, self.value, after_value);
                out.truncate(out.len() * 2 / 3);
            }
            Defect::NotJson => out.extend_from_slice(b"ERR sensor bus timeout"),
            Defect::NotUtf8 => out.extend_from_slice(b"\xff\xfe\x00\x80 sensor"),
            Defect::Empty => {}
            Defect::NoValue => {
                join(self.timestamp, b"", after_value);
                let text = b"\"metric_value\":,";
                if let Some(at) = out.windows(text.len()).position(|window| window == text) {
                    out.drain(at..at + text.len());
                }
            }
            Defect::TextValue => join(self.timestamp, b"\"#VALUE!\"", after_value),
            Defect::NotANumber => join(self.timestamp, b"NaN", after_value),
            Defect::Infinite => join(self.timestamp, b"1e999", after_value),
            Defect::NoTimestamp => join(b"yesterday at noon", self.value, after_value),
            Defect::FarFuture => join(b"9998-01-01T00:00:00.000000+00:00", self.value, after_value),
            Defect::OddUnit => join(self.timestamp, self.value, &self.metric.after_value_odd_unit),
        }
    }
}
