//! `z_score(value, mean, spread)` for Arroyo.
use arroyo_udf_plugin::udf;

#[udf]
fn z_score(value: f64, mean: f64, spread: f64) -> f64 {
    (value - mean) / spread
}
