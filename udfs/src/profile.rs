//! What is usual for a device, for people and for the store.

use std::collections::BTreeMap;

/// One metric of a profile, over the normal states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricStats {
    /// Mean.
    pub mean: f64,
    /// Population standard deviation.
    pub std: f64,
    /// Lowest.
    pub min: f64,
    /// Highest.
    pub max: f64,
}

/// What is usual for a device. A counter's numbers are its increase per window.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// By metric name.
    pub metric_stats: BTreeMap<String, MetricStats>,
    /// Normal states learned.
    pub normal_states: u64,
    /// Start of the first window with a state.
    pub created_ms: Option<i64>,
    /// Start of the last window with a state.
    pub last_seen_ms: Option<i64>,
    /// The centroid of the normal states' metric vectors, by slot, then the constant component; `None` before the
    /// models are fitted.
    pub centroid: Option<Vec<f64>>,
}
