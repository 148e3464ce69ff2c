//! What the devices of one type show of a metric, and how one of them stands to that.

use serde::{Deserialize, Serialize};

/// The means of one metric over all devices of one type in one window, the device itself included. Each is rounded to one part
/// in 512 at most, for they are kept in steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Peers {
    /// Devices that had the metric in that window.
    pub devices: u32,
    /// The lowest.
    pub lowest: f64,
    /// A quarter of the devices lies below.
    pub lower: f64,
    /// The lower one of the middle two where their number is even.
    pub median: f64,
    /// A quarter of the devices lies above.
    pub upper: f64,
    /// The highest.
    pub highest: f64,
}

impl Peers {
    /// Where a value stands among them, in words. The device may be the highest itself, rounded up.
    pub fn rank(&self, value: f64) -> &'static str {
        match value {
            _ if (self.lower..=self.upper).contains(&value) => "within the middle half",
            _ if value > self.upper && value >= self.highest - self.highest.abs() / 512.0 => "the highest",
            _ if value > self.upper => "above the middle half",
            _ if value <= self.lowest + self.lowest.abs() / 512.0 => "the lowest",
            _ => "below the middle half",
        }
    }
}

/// A metric of a state against what the device's peers showed in a window before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compared {
    /// Metric name.
    pub metric: String,
    /// The metric's unit, empty where unknown.
    pub unit: String,
    /// The device's own value.
    pub observed: f64,
    /// Start of the window that its peers' values are of, in milliseconds.
    pub peers_ms: i64,
    /// What its peers showed.
    pub peers: Peers,
    /// How far the device usually is from the median; `None` while too little is known.
    pub usual: Option<f64>,
    /// How far the distance to the median is from the usual one, on a short average.
    pub apart: f64,
    /// How far it has to be to count; `None` while too little is known.
    pub limit: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_has_a_place_among_its_peers() {
        let peers = Peers { devices: 38, lowest: 53.0, lower: 54.4, median: 55.1, upper: 55.9, highest: 57.0 };
        let ranks = [52.0, 53.05, 53.5, 54.4, 55.9, 56.5, 56.95, 61.0].map(|value| peers.rank(value));
        expect_test::expect![[r#"
            [
                "the lowest",
                "the lowest",
                "below the middle half",
                "within the middle half",
                "within the middle half",
                "above the middle half",
                "the highest",
                "the highest",
            ]
        "#]]
        .assert_debug_eq(&ranks);
    }
}
