//! The embedder that needs no service: a fixed random projection of the metric vector.
//!
//! Each component has a row of signs that depends on nothing but the metric's name, so vectors of devices with other
//! metrics, or with the same ones in another order, can be compared. Random signs keep cosines nearly as they are: with 384
//! dimensions to within about 0.05 (Achlioptas, 2003).

use std::collections::HashMap;

use model::hash::hash_text;

use crate::Embedder;

/// Length of the vectors.
pub const DIMENSIONS: usize = 384;
/// 64 signs a word.
const WORDS: usize = DIMENSIONS / 64;
/// The constant component's name. No metric has it, for a name is not empty.
const CONSTANT: &str = "";

/// Signs of a component: a set bit is minus.
type Signs = [u64; WORDS];

/// Projects metric vectors to 384 dimensions.
#[derive(Debug, Default)]
pub struct Projection {
    /// Only a cache; the signs are a function of the name.
    signs: HashMap<String, Signs>,
}

impl Projection {
    /// The method's name in rows. The number rises when the projection changes.
    pub const METHOD: &'static str = "projection-1";

    /// With nothing cached.
    pub fn new() -> Self {
        Self::default()
    }

    fn add(&mut self, sums: &mut [f64; DIMENSIONS], name: &str, value: f64) {
        let signs = match self.signs.get(name) {
            Some(signs) => *signs,
            None => *self.signs.entry(name.to_owned()).or_insert(signs_of(name)),
        };
        for (sums, word) in sums.chunks_exact_mut(64).zip(signs) {
            for (bit, sum) in sums.iter_mut().enumerate() {
                // Moves the sign's bit into the double's: plus or minus the value, without a branch.
                *sum += f64::from_bits(value.to_bits() ^ ((word >> bit) << 63));
            }
        }
    }
}

impl Embedder for Projection {
    fn method(&self) -> &str {
        Self::METHOD
    }

    fn embed(&mut self, vector: &[f64], names: &[String]) -> Option<Vec<f32>> {
        let extra = vector.len().checked_sub(names.len());
        assert!(matches!(extra, Some(0 | 1)), "one name a component, and none for the constant one");
        let largest = vector.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        if largest == 0.0 || vector.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mut sums = [0.0; DIMENSIONS];
        let names = names.iter().map(String::as_str).chain([CONSTANT]);
        for (value, name) in vector.iter().zip(names) {
            // Scaled, so that no square overflows or vanishes; the norm takes it out again.
            self.add(&mut sums, name, value / largest);
        }
        let norm = sums.iter().map(|sum| sum * sum).sum::<f64>().sqrt();
        if norm == 0.0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a component of a vector of norm 1")]
        let unit = sums.iter().map(|sum| (sum / norm) as f32).collect();
        Some(unit)
    }
}

fn signs_of(name: &str) -> Signs {
    let mut state = hash_text(name);
    std::array::from_fn(|_| splitmix(&mut state))
}

/// The next number of Steele, Lea and Flood's SplitMix (2014).
pub(crate) fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|slot| format!("metric_{slot}")).collect()
    }

    fn cosine(a: &[f64], b: &[f64]) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    }

    fn wide(vector: &[f32]) -> Vec<f64> {
        vector.iter().copied().map(f64::from).collect()
    }

    #[test]
    fn the_projection_is_pinned() {
        let vector = Projection::new().embed(&[1.0, -0.5, 2.0], &names(2)).unwrap();
        expect_test::expect!["[0.01098437, -0.054921847, -0.054921847, -0.054921847]"]
            .assert_eq(&format!("{:?}", &vector[..4]));
    }

    #[test]
    fn what_has_no_direction_has_no_vector() {
        for vector in [[0.0, -0.0], [f64::NAN, 1.0], [f64::INFINITY, 1.0]] {
            assert_eq!(Projection::new().embed(&vector, &names(2)), None);
        }
        let tiny = Projection::new().embed(&[f64::MIN_POSITIVE, 0.0], &names(2));
        assert_eq!(tiny, Projection::new().embed(&[f64::MAX, 0.0], &names(2)));
    }

    proptest! {
        /// Cosines survive, the norm is 1, and the order of the slots plays no part beyond rounding.
        #[test]
        fn cosines_survive(a in prop::collection::vec(-8.0f64..8.0, 6), b in prop::collection::vec(-8.0f64..8.0, 6)) {
            let (mut projection, names) = (Projection::new(), names(6));
            let (x, y) = (projection.embed(&a, &names).unwrap(), projection.embed(&b, &names).unwrap());
            let (x, y) = (wide(&x), wide(&y));
            prop_assert!((x.iter().map(|value| value * value).sum::<f64>() - 1.0).abs() < 1e-6);
            prop_assert!((cosine(&x, &y) - cosine(&a, &b)).abs() < 0.25);
            let reversed: Vec<f64> = a.iter().rev().copied().collect();
            let names: Vec<String> = names.into_iter().rev().collect();
            let z = wide(&projection.embed(&reversed, &names).unwrap());
            prop_assert!(x.iter().zip(&z).all(|(x, z)| (x - z).abs() < 1e-6));
        }
    }
}
