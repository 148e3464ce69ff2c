//! Weather and occupancy of a building: pure functions of its seed and the time, shared by all its devices.
//!
//! Weather is a day's cosine (warmest at 15:00) and two layers of slow noise between seeded knots, 12 hours and 3 hours
//! apart. Being a function of time it needs no memory, and devices with different periods see the same sky.

use super::options::Climate;
use super::random::{Random, mix, stream_seed};

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A building's weather and hours.
#[derive(Clone, Debug)]
pub struct Building {
    seed: u64,
    climate: Climate,
    opens_ms: i64,
    closes_ms: i64,
}

/// What it is like outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Dry bulb in °F.
    pub outdoor_f: f64,
    /// Relative humidity in percent.
    pub humidity: f64,
    /// Wet bulb in °F.
    pub wet_bulb_f: f64,
}

impl Weather {
    /// The typical values of the metrics, at which the original's equipment always works.
    pub const TYPICAL: Weather = Weather { outdoor_f: 75.0, humidity: 60.0, wet_bulb_f: 65.0 };
}

impl Building {
    /// A building by its id: opening hours within an hour of 7 to 19.
    pub fn new(seed: u64, building_id: &str, climate: &Climate) -> Self {
        let seed = stream_seed(seed, building_id, "building");
        let mut random = Random::new(seed);
        Building {
            seed,
            climate: climate.clone(),
            opens_ms: 6 * HOUR_MS + random.below(9) * HOUR_MS / 4,
            closes_ms: 18 * HOUR_MS + random.below(9) * HOUR_MS / 4,
        }
    }

    /// The weather at a time.
    pub fn weather(&self, time_ms: i64) -> Weather {
        let local_ms = time_ms + self.climate.utc_offset_min * 60_000;
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are exact")]
        let day = (local_ms.rem_euclid(DAY_MS) - 15 * HOUR_MS) as f64 / DAY_MS as f64;
        let swing = self.climate.day_swing_f * libm::cos(day * std::f64::consts::TAU);
        let slow = 0.9 * self.knots(time_ms, 12 * HOUR_MS, 1) + 0.45 * self.knots(time_ms, 3 * HOUR_MS, 2);
        let outdoor_f = self.climate.mean_f + swing + self.climate.variation_f * slow;
        let humidity =
            60.0 - 1.2 * (swing + 0.5 * self.climate.variation_f * slow) + 6.0 * self.knots(time_ms, 12 * HOUR_MS, 3);
        let humidity = humidity.clamp(15.0, 95.0);
        // A quarter of a degree for each percent that the air is short of saturation: 75 °F and 60 % give 65 °F.
        Weather { outdoor_f, humidity, wet_bulb_f: outdoor_f - 0.25 * (100.0 - humidity) }
    }

    /// How full the building is, 0 to 1: working days only, with half an hour of coming and going at each end.
    pub fn occupancy(&self, time_ms: i64) -> f64 {
        let local_ms = time_ms + self.climate.utc_offset_min * 60_000;
        // 1970-01-01 was a Thursday: day 0 of this count is a Monday.
        let weekday = (local_ms.div_euclid(DAY_MS) + 3).rem_euclid(7);
        if weekday >= 5 {
            return 0.0;
        }
        let of_day_ms = local_ms.rem_euclid(DAY_MS);
        let inside_ms = (of_day_ms - self.opens_ms).min(self.closes_ms - of_day_ms);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of a day are exact")]
        let ramp = inside_ms as f64 / (HOUR_MS / 2) as f64;
        ramp.clamp(0.0, 1.0)
    }

    /// Smooth noise with standard deviation near 1: normals at knots, joined by a cubic.
    fn knots(&self, time_ms: i64, spacing_ms: i64, layer: i64) -> f64 {
        let knot = time_ms.div_euclid(spacing_ms);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of half a day are exact")]
        let part = time_ms.rem_euclid(spacing_ms) as f64 / spacing_ms as f64;
        let at = |knot: i64| Random::new(mix(mix(self.seed, layer), knot)).normal();
        let smooth = part * part * (3.0 - 2.0 * part);
        at(knot) * (1.0 - smooth) + at(knot + 1) * smooth
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY_MS: i64 = 1_772_409_600_000; // 2026-03-02T00:00:00Z

    #[test]
    fn afternoons_are_warmer_and_weekends_empty() {
        let building = Building::new(1, "bldg-001", &Climate::default());
        let mean = |hour: i64| {
            (0..60).map(|day| building.weather(MONDAY_MS + day * DAY_MS + hour * HOUR_MS).outdoor_f).sum::<f64>() / 60.0
        };
        assert!(mean(15) - mean(3) > 12.0, "{} {}", mean(15), mean(3));
        assert!((building.occupancy(MONDAY_MS + 12 * HOUR_MS) - 1.0).abs() < 1e-12);
        assert!(building.occupancy(MONDAY_MS + 2 * HOUR_MS) <= 0.0);
        assert!(building.occupancy(MONDAY_MS + 5 * DAY_MS + 12 * HOUR_MS) <= 0.0);
    }

    #[test]
    fn weather_has_no_jumps() {
        let building = Building::new(9, "b", &Climate::default());
        let at = |minute: i64| building.weather(MONDAY_MS + minute * 60_000).outdoor_f;
        assert!((0..2_880).all(|minute| (at(minute + 1) - at(minute)).abs() < 0.3));
    }
}
