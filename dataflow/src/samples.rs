//! The readings of one metric in a window, and what they add up to.

use model::Aggregate;
use serde::{Deserialize, Serialize};

use crate::faults::Faults;
use crate::operators::Reading;

/// A reading of one metric of a device.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Event time.
    pub timestamp_ms: i64,
    /// Offset in its partition.
    pub offset: i64,
    /// In the metric's canonical unit.
    pub value: f64,
    /// Partition.
    pub partition: u32,
}

impl From<&Reading> for Sample {
    fn from(reading: &Reading) -> Self {
        let Reading { timestamp_ms, offset, value, partition, .. } = *reading;
        Sample { timestamp_ms, offset, value, partition }
    }
}

impl Sample {
    /// What readings are ordered by before they are added up.
    pub fn order(&self) -> (i64, u32, i64) {
        (self.timestamp_ms, self.partition, self.offset)
    }
}

/// Same device, metric and timestamp twice: the higher (partition, offset) wins. Samples are in order.
pub fn keep_last_of_each_time(samples: &mut Vec<Sample>, faults: &Faults) {
    if faults.lower_duplicate_wins {
        samples.dedup_by_key(|sample| sample.timestamp_ms);
        return;
    }
    samples.dedup_by(|later, kept| {
        let same = later.timestamp_ms == kept.timestamp_ms;
        if same {
            *kept = *later;
        }
        same
    });
}

/// Puts one more among samples that are in order, one a time; whether that changes anything.
pub fn insert(samples: &mut Vec<Sample>, sample: Sample) -> bool {
    let at = samples.partition_point(|other| other.timestamp_ms < sample.timestamp_ms);
    match samples.get_mut(at).filter(|other| other.timestamp_ms == sample.timestamp_ms) {
        Some(other) if other.order() >= sample.order() => return false,
        Some(other) => *other = sample,
        None => samples.insert(at, sample),
    }
    true
}

/// Adds up samples that are in order, one a time; at least one.
pub fn aggregate(samples: &[Sample]) -> Aggregate {
    let (mut sum, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
    for sample in samples {
        sum += sample.value;
        min = if sample.value < min { sample.value } else { min };
        max = if sample.value > max { sample.value } else { max };
    }
    let count = u32::try_from(samples.len()).expect("a window has fewer than 2^32 readings");
    let mean = sum / f64::from(count);
    // A sum of huge values may overflow; the middle of the range is then the honest finite answer.
    let mean = if mean.is_finite() { mean } else { min / 2.0 + max / 2.0 };
    Aggregate { last: samples[samples.len() - 1].value, mean, min, max, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// One by one in any order is the same as all at once.
        #[test]
        fn inserting_is_ordering(rest in prop::collection::vec((0i64..6, 0u32..3, -9.0f64..9.0), 0..24)) {
            let sample = |(offset, &(timestamp_ms, partition, value)): (usize, &(i64, u32, f64))| {
                Sample { timestamp_ms, offset: offset as i64, value, partition }
            };
            let mut all: Vec<Sample> = rest.iter().enumerate().map(sample).collect();
            let mut inserted = Vec::new();
            for sample in &all {
                let before = inserted.clone();
                prop_assert_eq!(insert(&mut inserted, *sample), before != inserted);
            }
            all.sort_by_key(Sample::order);
            keep_last_of_each_time(&mut all, &Faults::default());
            prop_assert_eq!(inserted, all);
        }
    }
}
