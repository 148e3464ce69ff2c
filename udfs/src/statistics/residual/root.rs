//! Metrics without a level: a temperature of a warming machine goes where it goes, and an autoregression fitted on a short
//! stretch of it claims a level that it only passed through.
//!
//! The test is Dickey and Fuller's with one lag, a constant and no trend: the step from one value to the next is regressed
//! on the value. Where the value has no clear pull, the metric wanders, and only its steps are predicted, each from the last.

/// The critical value at 5 % with a trend, which is the stricter one.
const CRITICAL: f64 = -3.41;

/// A metric that wanders.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wanderer {
    /// Share of a step that goes on in the next one.
    pub(super) persistence: f64,
    /// Deviation of the steps from that.
    pub(super) sigma: f64,
}

impl Wanderer {
    /// `None` where the metric has a level, or too little is known.
    pub(super) fn of(course: &[f64]) -> Option<Wanderer> {
        let steps = || course.windows(3).map(|three| (three[1], three[1] - three[0], three[2] - three[1]));
        let count = steps().fold(0.0, |count, _| count + 1.0);
        if count < 20.0 {
            return None;
        }
        let mut means = [0.0; 3];
        for (value, before, step) in steps() {
            for (mean, term) in means.iter_mut().zip([value, before, step]) {
                *mean += term / count;
            }
        }
        // Moments around the means: value, step before, step.
        let mut moments = [[0.0; 3]; 3];
        let (mut along, mut square) = (0.0, 0.0);
        for (value, before, step) in steps() {
            let apart = [value - means[0], before - means[1], step - means[2]];
            for (line, left) in moments.iter_mut().zip(apart) {
                for (cell, right) in line.iter_mut().zip(apart) {
                    *cell += left * right;
                }
            }
            along += before * step;
            square += before * before;
        }
        let [[vv, vb, vs], [_, bb, bs], [.., ss]] = moments;
        let determinant = vv * bb - vb * vb;
        if determinant <= 0.0 || square <= 0.0 {
            return None;
        }
        let pull = (vs * bb - bs * vb) / determinant;
        let inertia = (bs * vv - vs * vb) / determinant;
        let variance = (ss - pull * vs - inertia * bs).max(0.0) / (count - 3.0);
        let error = (variance * bb / determinant).sqrt();
        if pull <= CRITICAL * error {
            return None;
        }
        let persistence = along / square;
        let rest = steps()
            .fold(0.0, |rest, (_, before, step)| rest + (step - persistence * before) * (step - persistence * before));
        Some(Wanderer { persistence, sigma: (rest / count).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(row: u64) -> f64 {
        let mixed = ::model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    /// 400 values, each keeping `share` of the last one.
    fn course(share: f64) -> Vec<f64> {
        let mut value = 0.0;
        (0..400)
            .map(|row| {
                value = share * value + noise(row + 77_000);
                value
            })
            .collect()
    }

    #[test]
    fn a_random_walk_wanders_and_what_returns_to_its_level_does_not() {
        let walk = Wanderer::of(&course(1.0)).unwrap();
        assert!(walk.persistence.abs() < 0.15 && (0.25..0.33).contains(&walk.sigma), "{walk:?}");
        assert_eq!([0.0, 0.5, 0.9].map(|share| Wanderer::of(&course(share))), [None; 3]);
        assert_eq!(Wanderer::of(&[1.0; 400]), None, "what never moves has no steps");
        assert_eq!(Wanderer::of(&course(1.0)[..20]), None, "too short to tell");
    }
}
