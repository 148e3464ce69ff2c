//! Which vectors are like one, without an index: each is looked at.

use std::ops::ControlFlow;

use model::Value;
use model::tables::TableId;

use crate::{Store, StoreError};

/// The cosine of two vectors that are neither zero nor of different lengths; exact enough that equal vectors have 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let (mut dot, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a), f64::from(*b));
        dot += a * b;
        squares_a += a * a;
        squares_b += b * b;
    }
    (dot / (squares_a * squares_b).sqrt()).clamp(-1.0, 1.0)
}

/// All distinct states of a method by their cosine.
pub(crate) fn scan<S: Store + ?Sized>(
    store: &mut S,
    method: &str,
    vector: &[f32],
    limit: usize,
) -> Result<Vec<(i64, f64)>, StoreError> {
    let mut found: Vec<(i64, f64)> = Vec::new();
    store.scan(TableId::StateVectors, &[Value::Text(method.to_owned())], &mut |row| {
        if let (Some(id), Value::Vector(other)) = (row.value("vector_id").as_int(), row.value("embedding")) {
            found.push((id, cosine(vector, other)));
        }
        // What can't be among the nearest any more is let go from time to time, so that memory is bounded.
        if found.len() >= limit.saturating_mul(4).max(1_024) {
            keep_nearest(&mut found, limit);
        }
        ControlFlow::Continue(())
    })?;
    keep_nearest(&mut found, limit);
    Ok(found)
}

/// The highest cosine first, among equals the lowest id.
pub(crate) fn keep_nearest(found: &mut Vec<(i64, f64)>, limit: usize) {
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(limit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_are_exact_and_bounded() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 3.0]), 0.0);
        assert!((cosine(&[1.0, 1.0], &[1.0, 0.0]) - 0.5f64.sqrt()).abs() < 1e-12);
        assert!(cosine(&[0.1; 384], &[0.3; 384]) <= 1.0);
    }
}
