//! `z_score(value, level, spread)` as a function of Arroyo SQL: how many spreads a value lies above its usual level.
//!
//! The arithmetic is the job's own, [`udfs::z_score`]. NULL where an argument is NULL or there is no score: a spread that
//! is not above 0. How it is registered: `udfs/arroyo/README.md`.

use arroyo_udf_plugin::udf;

#[udf]
fn z_score(value: f64, level: f64, spread: f64) -> Option<f64> {
    udfs::z_score(value, level, spread)
}
