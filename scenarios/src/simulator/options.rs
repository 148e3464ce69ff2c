//! What to simulate: plain structs with defaults, for a command line or a file to fill in.

use super::error::SimulatorError;
use super::fault::FaultRequest;

/// Everything but the fleet.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// All randomness follows from it.
    pub seed: u64,
    /// Time of the first tick, milliseconds since the epoch.
    pub start_ms: i64,
    /// How much time is simulated; `None` is without end.
    pub duration_ms: Option<i64>,
    /// Time between two ticks of a device that has none of its own.
    pub period_ms: i64,
    /// Event times lie up to this long after their tick; 0 is the original's one timestamp a tick.
    pub jitter_ms: i64,
    /// Spreads the devices' ticks over the period instead of letting all tick at once.
    pub stagger: bool,
    /// Partitions of the topic; a device's is its id's hash modulo this.
    pub partitions: u32,
    /// Which names of device types are sent.
    pub spelling: TypeSpelling,
    /// What moves the equipment.
    pub features: Features,
    /// What happens to messages on their way.
    pub delivery: Delivery,
    /// What breaks.
    pub faults: FaultOptions,
}

/// Which names of device types are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypeSpelling {
    /// `rooftop_unit`
    #[default]
    Canonical,
    /// `rooftopunit`, as the original's devices do.
    Original,
}

/// What moves the equipment, on top of the original's lag, noise and limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Outdoor conditions follow the building's weather, not a random walk of each device.
    pub weather: bool,
    /// Set-back and part load at night and on weekends.
    pub occupancy: bool,
    /// Compressors cycle at part load, with minimum times on and off.
    pub cycling: bool,
    /// Filters load until they are changed, run hours count real time, vibration grows with them.
    pub wear: bool,
    /// Factor on the noise of every metric; 0 is none.
    pub noise: f64,
    /// The buildings' climate.
    pub climate: Climate,
}

/// Weather of all buildings; each has its own course of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Climate {
    /// Mean outdoor temperature in °F.
    pub mean_f: f64,
    /// Half of the difference between afternoon and night in °F.
    pub day_swing_f: f64,
    /// Standard deviation of the days' differences in °F.
    pub variation_f: f64,
    /// Local time minus UTC in minutes.
    pub utc_offset_min: i64,
}

/// What happens to messages on their way. Rates are shares of messages unless they say otherwise; 0 is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Least time from a reading to its broker time.
    pub delay_ms: i64,
    /// Up to this much more, drawn for each tick of a device.
    pub delay_spread_ms: i64,
    /// How often a device goes offline, times a day; what it would have sent is lost.
    pub gaps_per_day: f64,
    /// Mean length of a gap.
    pub gap_ms: i64,
    /// Messages that never arrive.
    pub drop_rate: f64,
    /// Messages that arrive a second time, at a later offset.
    pub duplicate_rate: f64,
    /// A second arrival comes up to this long after the first.
    pub duplicate_within_ms: i64,
    /// Messages that are overtaken by younger ones, but are not late.
    pub out_of_order_rate: f64,
    /// They come up to this much later; with the delays and the jitter at most `lateness_ms`.
    pub out_of_order_ms: i64,
    /// Messages that come after their window was closed.
    pub late_rate: f64,
    /// They come up to this long after that.
    pub late_ms: i64,
    /// The lateness that the receiver allows.
    pub lateness_ms: i64,
    /// The receiver's window.
    pub window_ms: i64,
    /// Messages that can't be used.
    pub malformed_rate: f64,
    /// Messages without a value (tombstones).
    pub tombstone_rate: f64,
    /// Share of devices whose clock runs ahead.
    pub fast_clock_rate: f64,
    /// By how much theirs is ahead at the start.
    pub fast_clock_ahead_ms: i64,
    /// How much theirs gains, in millionths.
    pub fast_clock_drift_ppm: i64,
    /// Single devices' clocks; these win over the share.
    pub clocks: Vec<Clock>,
}

/// A device's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clock {
    /// Which device.
    pub device_id: String,
    /// Ahead of the broker's at the start; negative is behind.
    pub ahead_ms: i64,
    /// Gain in millionths.
    pub drift_ppm: i64,
}

/// What breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultOptions {
    /// `false` injects nothing at all, whatever else is said.
    pub enabled: bool,
    /// Faults that are asked for.
    pub requests: Vec<FaultRequest>,
    /// Random faults of a device in a week of its time, on every device.
    pub per_device_week: f64,
    /// The same on devices marked `inject_anomalies`; their first one starts within the first 10 to 20 minutes.
    pub per_marked_device_week: f64,
    /// Devices to mark besides those that the fleet marks.
    pub marked_devices: Vec<String>,
    /// Random faults may also be of sensors and sending: stuck, missing, silent, spike.
    pub generic: bool,
    /// Shortest random fault.
    pub min_duration_ms: i64,
    /// Longest random fault.
    pub max_duration_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            seed: 1,
            start_ms: 1_772_409_600_000, // Monday, 2026-03-02T00:00:00Z
            duration_ms: None,
            period_ms: 10_000,
            jitter_ms: 0,
            stagger: false,
            partitions: 3,
            spelling: TypeSpelling::Canonical,
            features: Features::default(),
            delivery: Delivery::default(),
            faults: FaultOptions::default(),
        }
    }
}

impl Default for Features {
    fn default() -> Self {
        Features { weather: true, occupancy: true, cycling: true, wear: true, noise: 1.0, climate: Climate::default() }
    }
}

impl Features {
    /// The original's dynamics and nothing else.
    pub fn original() -> Self {
        Features { weather: false, occupancy: false, cycling: false, wear: false, ..Features::default() }
    }
}

impl Default for Climate {
    fn default() -> Self {
        Climate { mean_f: 75.0, day_swing_f: 10.0, variation_f: 4.0, utc_offset_min: 0 }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Delivery {
            delay_ms: 20,
            delay_spread_ms: 80,
            gaps_per_day: 0.0,
            gap_ms: 600_000,
            drop_rate: 0.0,
            duplicate_rate: 0.0,
            duplicate_within_ms: 5_000,
            out_of_order_rate: 0.0,
            out_of_order_ms: 15_000,
            late_rate: 0.0,
            late_ms: 600_000,
            lateness_ms: 30_000,
            window_ms: 60_000,
            malformed_rate: 0.0,
            tombstone_rate: 0.0,
            fast_clock_rate: 0.0,
            fast_clock_ahead_ms: 120_000,
            fast_clock_drift_ppm: 0,
            clocks: Vec::new(),
        }
    }
}

impl Default for FaultOptions {
    fn default() -> Self {
        FaultOptions {
            enabled: true,
            requests: Vec::new(),
            per_device_week: 0.0,
            per_marked_device_week: 84.0,
            marked_devices: Vec::new(),
            generic: true,
            min_duration_ms: 600_000,
            max_duration_ms: 7_200_000,
        }
    }
}

/// A day more than the longest that fits: 100 years.
const LONG_MS: i64 = 100 * 366 * 86_400_000;
/// Timestamps have four digits for the year; the simulation ends before the last century of them.
const LAST_START_MS: i64 = 7_900 * 366 * 86_400_000;

impl Options {
    /// The first wrong option, if any.
    pub fn check(&self) -> Result<(), SimulatorError> {
        times("start", self.start_ms, 0, LAST_START_MS)?;
        if let Some(duration_ms) = self.duration_ms {
            times("duration", duration_ms, 1, LONG_MS)?;
        }
        times("period", self.period_ms, 1, 86_400_000)?;
        times("jitter", self.jitter_ms, 0, self.period_ms - 1)?;
        times("partitions", i64::from(self.partitions), 1, 100_000)?;
        numbers("noise", self.features.noise, 0.0, 100.0)?;
        let climate = &self.features.climate;
        numbers("mean_f", climate.mean_f, -60.0, 140.0)?;
        numbers("day_swing_f", climate.day_swing_f, 0.0, 60.0)?;
        numbers("variation_f", climate.variation_f, 0.0, 60.0)?;
        times("utc_offset_min", climate.utc_offset_min, -1_440, 1_440)?;
        self.delivery.check(self.jitter_ms)?;
        self.faults.check()
    }
}

impl Delivery {
    fn check(&self, jitter_ms: i64) -> Result<(), SimulatorError> {
        times("delay", self.delay_ms, 0, 86_400_000)?;
        times("delay_spread", self.delay_spread_ms, 0, 86_400_000)?;
        numbers("gaps_per_day", self.gaps_per_day, 0.0, 86_400.0)?;
        times("gap", self.gap_ms, 1, LONG_MS)?;
        for (option, rate) in [
            ("drop_rate", self.drop_rate),
            ("duplicate_rate", self.duplicate_rate),
            ("out_of_order_rate", self.out_of_order_rate),
            ("late_rate", self.late_rate),
            ("malformed_rate", self.malformed_rate),
            ("tombstone_rate", self.tombstone_rate),
            ("fast_clock_rate", self.fast_clock_rate),
        ] {
            numbers(option, rate, 0.0, 1.0)?;
        }
        let sum = self.drop_rate + self.out_of_order_rate + self.late_rate + self.malformed_rate + self.tombstone_rate;
        numbers("drop_rate + out_of_order_rate + late_rate + malformed_rate + tombstone_rate", sum, 0.0, 1.0)?;
        times("duplicate_within", self.duplicate_within_ms, 1, 86_400_000)?;
        times("lateness", self.lateness_ms, 0, 86_400_000)?;
        times("window", self.window_ms, 1, 86_400_000)?;
        times("late", self.late_ms, 1, 7 * 86_400_000)?;
        if self.out_of_order_rate > 0.0 {
            // Whatever comes within the lateness can't be late, since the watermark never passes broker time minus it.
            let room_ms = self.lateness_ms - self.delay_ms - self.delay_spread_ms - jitter_ms;
            times("out_of_order", self.out_of_order_ms, 1, room_ms)?;
        }
        times("fast_clock_ahead", self.fast_clock_ahead_ms, 0, 86_400_000)?;
        times("fast_clock_drift_ppm", self.fast_clock_drift_ppm, 0, 100_000)?;
        for clock in &self.clocks {
            times(&format!("clock of {}: ahead", clock.device_id), clock.ahead_ms, -86_400_000, 86_400_000)?;
            times(&format!("clock of {}: drift_ppm", clock.device_id), clock.drift_ppm, -100_000, 100_000)?;
        }
        Ok(())
    }
}

impl FaultOptions {
    fn check(&self) -> Result<(), SimulatorError> {
        numbers("faults per device-week", self.per_device_week, 0.0, 10_080.0)?;
        numbers("faults per marked device-week", self.per_marked_device_week, 0.0, 10_080.0)?;
        times("min_duration", self.min_duration_ms, 1, LONG_MS)?;
        times("max_duration", self.max_duration_ms, self.min_duration_ms, LONG_MS)
    }
}

fn times(option: &str, value: i64, low: i64, high: i64) -> Result<(), SimulatorError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(SimulatorError::option(option, format!("{value} is out of range"), format!("{low} to {high}")))
}

fn numbers(option: &str, value: f64, low: f64, high: f64) -> Result<(), SimulatorError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(SimulatorError::option(option, format!("{value} is out of range"), format!("{low} to {high}")))
}
