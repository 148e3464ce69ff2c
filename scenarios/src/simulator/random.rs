//! Random numbers that are the same on every platform and in every release: SplitMix64 and Marsaglia's polar method.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014) adds a constant to a counter
//! and mixes it; it needs 8 bytes a stream, so that a million devices may have one each. Normals take `libm`'s logarithm,
//! whose bits don't depend on the system, and the exact square root.

/// Added to the counter at each step.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
    /// The polar method gives two normals at a time; the second waits here.
    spare: Option<f64>,
}

impl Random {
    /// A stream from its seed.
    pub fn new(seed: u64) -> Self {
        Random { state: seed, spare: None }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        finalise(self.state)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are exact in a double")]
        let unit = (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0);
        unit
    }

    /// Uniform integer in [0, bound); 0 where the bound is not positive.
    pub fn below(&mut self, bound: i64) -> i64 {
        if bound <= 0 {
            return 0;
        }
        // The high half of a 128-bit product: biased by less than bound / 2^64, which no simulation can see.
        let product = u128::from(self.bits()) * u128::from(bound.cast_unsigned());
        ((product >> 64) as u64).cast_signed()
    }

    /// Normal with mean 0 and standard deviation 1.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        loop {
            let u = 2.0 * self.unit() - 1.0;
            let v = 2.0 * self.unit() - 1.0;
            let s = u * u + v * v;
            if s > 0.0 && s < 1.0 {
                let scale = (-2.0 * libm::log(s) / s).sqrt();
                self.spare = Some(v * scale);
                return u * scale;
            }
        }
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }
}

fn finalise(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A seed from a seed and a number: for draws that belong to a moment and not to a sequence.
pub fn mix(seed: u64, number: i64) -> u64 {
    finalise(seed ^ finalise(number.cast_unsigned().wrapping_add(STEP)))
}

/// The seed of a device's stream of one purpose. Other devices don't enter, so that adding one changes no other.
pub fn stream_seed(seed: u64, name: &str, purpose: &str) -> u64 {
    mix(model::hash::hash_texts(&[name, purpose]), seed.cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First outputs of SplitMix64 for seed 1234567, as published with several implementations.
    #[test]
    fn bits_are_those_of_the_published_generator() {
        let mut random = Random::new(1_234_567);
        let got = [random.bits(), random.bits(), random.bits()];
        assert_eq!(got, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn moments_are_right() {
        let mut random = Random::new(7);
        let draws = 100_000;
        let (mut sum, mut squares, mut exponential, mut below) = (0.0, 0.0, 0.0, 0);
        for _ in 0..draws {
            let x = random.normal();
            sum += x;
            squares += x * x;
            exponential += random.exponential();
            below += random.below(11);
        }
        let n = f64::from(draws);
        assert!((sum / n).abs() < 0.02 && (squares / n - 1.0).abs() < 0.02, "{} {}", sum / n, squares / n);
        assert!((exponential / n - 1.0).abs() < 0.02);
        assert!((below - 5 * i64::from(draws)).abs() < 3_000);
        assert_eq!(random.below(0), 0);
    }
}
