//! One number against what is usual, in spreads: the unit in which metrics of different kinds can be compared.

/// How many spreads `value` lies above `level`; negative below it.
///
/// `None` where there is no such number: the spread is not above 0 (what never moved has no scale, and any step away from
/// it would be endlessly far), or one of the three is not a number. Plain IEEE arithmetic: the same bits on every machine.
#[must_use]
pub fn z_score(value: f64, level: f64, spread: f64) -> Option<f64> {
    let score = (value - level) / spread;
    (spread > 0.0 && !score.is_nan()).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::z_score;

    #[test]
    fn a_score_is_the_distance_in_spreads() {
        assert_eq!(z_score(72.5, 70.0, 0.5), Some(5.0));
        assert_eq!(z_score(69.0, 70.0, 0.5), Some(-2.0));
        assert_eq!(z_score(f64::MAX, 0.0, 1e-9), Some(f64::INFINITY), "beyond all numbers is still far");
    }

    #[test]
    fn without_a_scale_there_is_no_score() {
        for spread in [0.0, -0.0, -1.0, f64::NAN] {
            assert_eq!(z_score(1.0, 0.0, spread), None, "spread {spread}");
        }
        assert_eq!(z_score(f64::NAN, 0.0, 1.0), None);
        assert_eq!(z_score(0.0, f64::NAN, 1.0), None);
    }
}
