//! Which incident of one run is which of the other.
//!
//! Two may be the same if device and kind are, and they overlap in time or are at most so far apart. Of all such pairs the one
//! that overlaps longest is taken first, among those that don't the nearest, then the one with the nearest start; neither of the
//! two is free afterwards. So the pairing is one-to-one, does not depend on any order, and is the same from either side. What is
//! left over and overlaps an incident that has its partner is a part of it: it was split in two, or two were joined.

use std::collections::BTreeMap;

/// An incident, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Device and kind.
    pub of: (String, String),
    /// Start, milliseconds since the epoch.
    pub start_ms: i64,
    /// End, exclusive.
    pub end_ms: i64,
}

impl Span {
    /// How long they last together; below zero: how far they are apart.
    fn overlap_ms(&self, other: &Span) -> i64 {
        self.end_ms.min(other.end_ms).saturating_sub(self.start_ms.max(other.start_ms))
    }
}

/// Incidents that are one in one run, in both, or by parts; indices into the two lists, rising.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// Of the first run; the partner comes first, then further parts.
    pub before: Vec<usize>,
    /// Of the second run.
    pub after: Vec<usize>,
}

/// What orders pairs: the first is taken. Swapping the runs gives the same.
type Rank = (i64, i64, i64, i64, i64);

fn rank(a: &Span, b: &Span) -> Rank {
    let apart = |a: i64, b: i64| a.saturating_sub(b).saturating_abs();
    let (first, last) = (a.start_ms.min(b.start_ms), a.start_ms.max(b.start_ms));
    (a.overlap_ms(b).saturating_neg(), apart(a.start_ms, b.start_ms), apart(a.end_ms, b.end_ms), first, last)
}

/// Pairs the incidents of two runs. Each is in exactly one group; the groups come in the order of the earliest start, device
/// and kind.
pub fn match_up(before: &[Span], after: &[Span], within_ms: i64) -> Vec<Group> {
    let mut pairs: Vec<(Rank, usize, usize)> = Vec::new();
    let by_start = ByStart::new(after);
    for (a, span) in before.iter().enumerate() {
        by_start.near(span, within_ms, |b| pairs.push((rank(span, &after[b]), a, b)));
    }
    pairs.sort_unstable();
    let mut partner_of_before: Vec<Option<usize>> = vec![None; before.len()];
    let mut partner_of_after: Vec<Option<usize>> = vec![None; after.len()];
    for &(_, a, b) in &pairs {
        if partner_of_before[a].is_none() && partner_of_after[b].is_none() {
            (partner_of_before[a], partner_of_after[b]) = (Some(b), Some(a));
        }
    }
    // By the partner of the first run where there are two.
    let mut groups: Vec<Group> = Vec::new();
    let mut group_of_before: BTreeMap<usize, usize> = BTreeMap::new();
    for (a, partner) in partner_of_before.iter().enumerate() {
        if let Some(b) = partner {
            group_of_before.insert(a, groups.len());
            groups.push(Group { before: vec![a], after: vec![*b] });
        }
    }
    // `pairs` has the longest overlap of each first.
    let mut lone_before: Vec<bool> = partner_of_before.iter().map(Option::is_none).collect();
    let mut lone_after: Vec<bool> = partner_of_after.iter().map(Option::is_none).collect();
    for (_, a, b) in pairs.into_iter().filter(|((apart_ms, ..), ..)| *apart_ms < 0) {
        if let (true, Some(first)) = (lone_before[a], partner_of_after[b]) {
            lone_before[a] = false;
            groups[group_of_before[&first]].before.push(a);
        } else if let (true, Some(_)) = (lone_after[b], partner_of_before[a]) {
            lone_after[b] = false;
            groups[group_of_before[&a]].after.push(b);
        }
    }
    let alone = |lone: Vec<bool>| lone.into_iter().enumerate().filter(|(_, lone)| *lone).map(|(at, _)| at);
    groups.extend(alone(lone_before).map(|a| Group { before: vec![a], after: vec![] }));
    groups.extend(alone(lone_after).map(|b| Group { before: vec![], after: vec![b] }));
    for group in &mut groups {
        // The parts in the order of time; the partner is not told apart.
        group.before.sort_by_key(|a| &before[*a]);
        group.after.sort_by_key(|b| &after[*b]);
    }
    let first = |group: &Group| {
        let spans = group.before.iter().map(|a| &before[*a]).chain(group.after.iter().map(|b| &after[*b]));
        spans.map(|span| (span.start_ms, &span.of, span.end_ms)).min()
    };
    groups.sort_by(|a, b| first(a).cmp(&first(b)).then_with(|| a.cmp(b)));
    groups
}

/// Incidents by device, kind and start, with the latest end of all up to each: so those near a time are found.
struct ByStart<'a> {
    spans: &'a [Span],
    order: Vec<usize>,
    latest_end_ms: Vec<i64>,
}

impl<'a> ByStart<'a> {
    fn new(spans: &'a [Span]) -> Self {
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|at| &spans[*at]);
        let mut latest_end_ms: Vec<i64> = Vec::with_capacity(order.len());
        for (place, at) in order.iter().enumerate() {
            let earlier = place.checked_sub(1).filter(|earlier| spans[order[*earlier]].of == spans[*at].of);
            latest_end_ms.push(spans[*at].end_ms.max(earlier.map_or(i64::MIN, |earlier| latest_end_ms[earlier])));
        }
        ByStart { spans, order, latest_end_ms }
    }

    /// Those of the same device and kind that are at most so far from `span`.
    fn near(&self, span: &Span, within_ms: i64, mut each: impl FnMut(usize)) {
        let last_ms = span.end_ms.saturating_add(within_ms);
        let behind = self.order.partition_point(|at| {
            let other = &self.spans[*at];
            (&other.of, other.start_ms) <= (&span.of, last_ms)
        });
        for place in (0..behind).rev() {
            let other = &self.spans[self.order[place]];
            if other.of != span.of || self.latest_end_ms[place].saturating_add(within_ms) < span.start_ms {
                break;
            }
            if span.overlap_ms(other) >= within_ms.saturating_neg() {
                each(self.order[place]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(start_ms: i64, end_ms: i64) -> Span {
        Span { of: ("RTU-1".to_owned(), "anomaly".to_owned()), start_ms, end_ms }
    }

    fn groups(before: &[(i64, i64)], after: &[(i64, i64)], within_ms: i64) -> Vec<(Vec<usize>, Vec<usize>)> {
        let spans = |list: &[(i64, i64)]| list.iter().map(|(start, end)| span(*start, *end)).collect::<Vec<_>>();
        let found = match_up(&spans(before), &spans(after), within_ms);
        found.into_iter().map(|group| (group.before, group.after)).collect()
    }

    #[test]
    fn what_overlaps_longest_is_the_same_and_the_rest_of_it_a_part() {
        // Split: the longer part is the partner, the other one belongs to it.
        assert_eq!(groups(&[(0, 100)], &[(0, 30), (60, 100)], 15), [(vec![0], vec![0, 1])]);
        assert_eq!(groups(&[(0, 30), (60, 100)], &[(0, 100)], 15), [(vec![0, 1], vec![0])]);
        // Near is good enough where nothing overlaps, as far as it goes; touching is near.
        assert_eq!(groups(&[(0, 30)], &[(45, 60)], 15), [(vec![0], vec![0])]);
        assert_eq!(groups(&[(0, 30)], &[(46, 60)], 15), [(vec![0], vec![]), (vec![], vec![0])]);
        assert_eq!(groups(&[(0, 30)], &[(30, 60)], 0), [(vec![0], vec![0])]);
        // What is only near a matched one is no part of it.
        assert_eq!(groups(&[(0, 30)], &[(0, 30), (40, 50)], 15), [(vec![0], vec![0]), (vec![], vec![1])]);
    }

    /// The rule as it is said, by looking at all pairs again and again.
    fn slow(before: &[Span], after: &[Span], within_ms: i64) -> Vec<Group> {
        let may = |a: &Span, b: &Span| a.of == b.of && a.overlap_ms(b) >= -within_ms;
        let (mut free_before, mut free_after): (Vec<usize>, Vec<usize>) =
            ((0..before.len()).collect(), (0..after.len()).collect());
        let mut groups: Vec<Group> = Vec::new();
        loop {
            let mut best: Option<(Rank, usize, usize)> = None;
            for &a in &free_before {
                for &b in &free_after {
                    let pair = (rank(&before[a], &after[b]), a, b);
                    if may(&before[a], &after[b]) && best.is_none_or(|best| pair < best) {
                        best = Some(pair);
                    }
                }
            }
            let Some((_, a, b)) = best else { break };
            free_before.retain(|free| *free != a);
            free_after.retain(|free| *free != b);
            groups.push(Group { before: vec![a], after: vec![b] });
        }
        let pairs = groups.clone();
        // The longest overlap with an incident that has its partner; of equals the nearest start.
        for &a in &free_before {
            let host = pairs.iter().enumerate().filter(|(_, pair)| {
                let b = &after[pair.after[0]];
                before[a].of == b.of && before[a].overlap_ms(b) > 0
            });
            match host.min_by_key(|(_, pair)| rank(&before[a], &after[pair.after[0]])) {
                Some((at, _)) => groups[at].before.push(a),
                None => groups.push(Group { before: vec![a], after: vec![] }),
            }
        }
        for &b in &free_after {
            let host = pairs.iter().enumerate().filter(|(_, pair)| {
                let a = &before[pair.before[0]];
                after[b].of == a.of && after[b].overlap_ms(a) > 0
            });
            match host.min_by_key(|(_, pair)| rank(&before[pair.before[0]], &after[b])) {
                Some((at, _)) => groups[at].after.push(b),
                None => groups.push(Group { before: vec![], after: vec![b] }),
            }
        }
        sorted(groups)
    }

    fn sorted(mut groups: Vec<Group>) -> Vec<Group> {
        for group in &mut groups {
            group.before.sort_unstable();
            group.after.sort_unstable();
        }
        groups.sort();
        groups
    }

    /// The incidents of a run: of one device and kind they never overlap.
    fn run() -> impl Strategy<Value = Vec<Span>> {
        let one = (0..3usize, 0..2usize, 0i64..12, 1i64..25);
        proptest::collection::vec(one, 0..14).prop_map(|drawn| {
            let mut ends: BTreeMap<(String, String), i64> = BTreeMap::new();
            let mut spans = Vec::new();
            for (device, kind, gap, length) in drawn {
                let of = (format!("D{device}"), ["anomaly", "silent"][kind].to_owned());
                let end_ms = ends.entry(of.clone()).or_default();
                let start_ms = *end_ms + gap;
                *end_ms = start_ms + length;
                spans.push(Span { of, start_ms, end_ms: *end_ms });
            }
            spans
        })
    }

    proptest! {
        /// The fast way is the slow one; every incident is in exactly one group; pairs are of one device and kind; and from the
        /// other side it looks the same, so that appearing and vanishing, splitting and joining are each other's mirror.
        #[test]
        fn it_is_the_obvious_rule_one_to_one_and_symmetric(
            before in run(), after in run(), within_ms in 0i64..10, turn in any::<proptest::sample::Index>(),
        ) {
            let found = match_up(&before, &after, within_ms);
            prop_assert_eq!(sorted(found.clone()), slow(&before, &after, within_ms));

            let mut seen: (Vec<usize>, Vec<usize>) = Default::default();
            for group in &found {
                seen.0.extend(&group.before);
                seen.1.extend(&group.after);
                let of: Vec<_> = group.before.iter().map(|a| &before[*a].of)
                    .chain(group.after.iter().map(|b| &after[*b].of)).collect();
                prop_assert!(!of.is_empty() && of.windows(2).all(|pair| pair[0] == pair[1]));
            }
            seen.0.sort_unstable();
            seen.1.sort_unstable();
            prop_assert_eq!(seen.0, (0..before.len()).collect::<Vec<_>>());
            prop_assert_eq!(seen.1, (0..after.len()).collect::<Vec<_>>());

            let swapped: Vec<Group> = match_up(&after, &before, within_ms)
                .into_iter()
                .map(|group| Group { before: group.after, after: group.before })
                .collect();
            prop_assert_eq!(sorted(swapped), sorted(found.clone()));

            // Nor does the order of a list matter.
            if !before.is_empty() {
                let turn = turn.index(before.len());
                let mut turned = before.clone();
                turned.rotate_left(turn);
                let back = |at: &usize| (at + turn) % before.len();
                let again = match_up(&turned, &after, within_ms).into_iter().map(|group| {
                    Group { before: group.before.iter().map(back).collect(), after: group.after }
                });
                prop_assert_eq!(sorted(again.collect()), sorted(found));
            }
        }
    }
}
