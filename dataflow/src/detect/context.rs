//! What the devices of a worker have in common.

use std::sync::Arc;

use connectors::Embedder;

use crate::controls::Standing;
use crate::detectors::Thresholds;
use crate::embeddings::Embeddings;
use crate::settings::Aggregation;
use crate::zones::Zones;

/// What is the same for all devices of a worker.
pub struct Context {
    /// Thresholds, by device type.
    pub config: Thresholds,
    /// Window width.
    pub width_ms: i64,
    /// The devices' clocks.
    pub zones: Zones,
    /// Which aggregate stands for a metric in the table.
    pub aggregate: Aggregation,
    /// How long after its window a late reading still corrects a state; `None`: never.
    pub corrected_for_ms: Option<i64>,
    /// Rows are wanted.
    pub store_rows: bool,
    /// Makes vectors of metric vectors.
    pub embedder: Option<Box<dyn Embedder>>,
    /// Makes vectors of texts, later on the rows' way; then there is no other embedder.
    pub texts: Option<Arc<Embeddings>>,
    /// What people asked for.
    pub standing: Standing,
}
