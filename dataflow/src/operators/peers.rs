//! `peers`: what the devices of one type show in a window, by type and metric.
//!
//! In come the workers' contributions ([`Contributions`]): how many of a worker's devices have a metric's mean in a bin, as
//! differences, of one in so many windows and valid until the next of them. Out go, to all workers, number, middle, middle half
//! and ends of each type and metric, as differences again, at the window's timestamp: `detect` reads them as of the newest of
//! these windows before the one it judges.
//!
//! Values are counted in bins of their leading digits, so all sums are of integers and no order shows. A type with too few
//! devices contributes nothing, and while no type has enough the collection's time stands still: it costs nothing then.
//! Taken from every window they cost half of the throughput of 110 devices (2 updates a value, 0.3 µs each), from every fifth a
//! tenth; from 1,000 devices on many values share a bin, and they cost a tenth and less than a twentieth.

mod bins;
mod contributions;
mod table;

use differential_dataflow::AsCollection as _;
use timely::dataflow::StreamVec;
use timely::dataflow::operators::vec::Broadcast as _;

pub use bins::{bin, middle_of};
pub use contributions::{Census, Contributions, Told};
pub use table::{Seen, Table};

use serde::{Deserialize, Serialize};

/// Hash of a type's and a metric's name.
pub type Key = u64;

/// A difference of what a worker's devices contribute: so many more or fewer of them in a bin from a time on.
pub type Contribution = ((Key, i32), i64, isize);

/// What the devices of a type show of a metric, in bins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Spread {
    /// Devices.
    pub devices: u32,
    /// Lowest, lower quartile, median, upper quartile, highest.
    pub bins: [i32; 5],
}

/// A difference of what is known.
pub type Change = ((Key, Spread), i64, isize);

/// Builds the operator; types with fewer than `min_devices` devices in a window have no peers in it.
pub fn peers<'scope>(
    contributions: StreamVec<'scope, i64, Contribution>,
    min_devices: u32,
) -> StreamVec<'scope, i64, Change> {
    // The operator itself moves both compactions of its traces on with its frontier.
    contributions
        .as_collection()
        .reduce_named("peers", move |_key, bins, spread| {
            let counts = bins.iter().map(|(bin, count)| (**bin, count.unsigned_abs()));
            spread.extend(spread_of(counts, min_devices).map(|found| (found, 1)));
        })
        .inner
        .broadcast()
}

/// Ranks of the sorted values at which a spread is read: the quartiles are those next to the ends of the middle half, outwards.
fn spread_of(counts: impl Iterator<Item = (i32, usize)> + Clone, min_devices: u32) -> Option<Spread> {
    let devices: usize = counts.clone().map(|(_, count)| count).sum();
    if devices == 0 || devices < min_devices as usize {
        return None;
    }
    let last = devices - 1;
    let ranks = [0, last / 4, last / 2, last - last / 4, last];
    let (mut bins, mut found, mut passed) = ([0; 5], 0, 0);
    for (bin, count) in counts {
        passed += count;
        while found < ranks.len() && ranks[found] < passed {
            bins[found] = bin;
            found += 1;
        }
    }
    Some(Spread { devices: u32::try_from(devices).unwrap_or(u32::MAX), bins })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        /// Against the sorted list itself.
        #[test]
        fn a_spread_is_read_off_the_sorted_values(mut values in prop::collection::vec(-9..9i32, 1..40), least in 1..12u32) {
            values.sort_unstable();
            let mut counts: BTreeMap<i32, usize> = BTreeMap::new();
            values.iter().for_each(|value| *counts.entry(*value).or_default() += 1);
            let found = spread_of(counts.iter().map(|(value, count)| (*value, *count)), least);
            let last = values.len() - 1;
            let wanted = [values[0], values[last / 4], values[last / 2], values[last - last / 4], values[last]];
            let wanted = Spread { devices: u32::try_from(values.len()).unwrap(), bins: wanted };
            prop_assert_eq!(found, (values.len() >= least as usize).then_some(wanted));
        }
    }
}
