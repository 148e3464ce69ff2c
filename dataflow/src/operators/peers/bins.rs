//! Values in bins of their sign, their power of two and the leading bits of their fraction.

/// Bits of the fraction that a bin keeps: 256 steps to a power of two, so that a value is rounded by 1/512 of itself at most.
const FRACTION_BITS: u32 = 8;
const DROPPED_BITS: u32 = 52 - FRACTION_BITS;

/// The bin of a value; bins are ordered as the values are. What no detector sees (see `within_reach`) falls into the last ones.
pub fn bin(value: f64) -> i32 {
    let size = value.abs().min(crate::detect::REACH).to_bits();
    let steps = (size + (1 << (DROPPED_BITS - 1))) >> DROPPED_BITS;
    let steps = i32::try_from(steps).expect("a sign, eleven bits of exponent and few of fraction fit");
    if value < 0.0 { -steps } else { steps }
}

/// The value that a bin stands for.
pub fn middle_of(bin: i32) -> f64 {
    let size = f64::from_bits(u64::from(bin.unsigned_abs()) << DROPPED_BITS);
    if bin < 0 { -size } else { size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn round_numbers_stand_for_themselves() {
        for value in [0.0, -0.0, 1.0, -1.0, 55.0, 55.125, -40.0, 1500.0] {
            assert_eq!(middle_of(bin(value)), value);
        }
        assert_eq!((bin(f64::MAX), bin(f64::MIN)), (bin(1e60), -bin(1e60)));
    }

    proptest! {
        /// The promise on rounding, and that no order is lost.
        #[test]
        fn a_bin_is_near_its_values_and_in_their_order(left in -1e9..1e9f64, right in -1e9..1e9f64) {
            prop_assert!((middle_of(bin(left)) - left).abs() <= left.abs() / 512.0);
            prop_assert!(left > right || bin(left) <= bin(right));
        }
    }
}
