//! Where a device stands shows in nothing but its hours: on the clock of its place it is judged as its twin in UTC is.

mod fleet;

use fleet::{START_MS, Watched};
use model::{Finding, Judgement};
use proptest::prelude::*;

const MINUTE_MS: i64 = 60_000;

/// What was judged, but for its times.
/// Score and number of findings by method; kind, metric and score of each finding.
type Shape = (Vec<(f64, usize)>, Vec<(String, Option<String>, f64)>);

fn shape(judgement: &Judgement) -> Shape {
    let findings = judgement.verdicts.iter().flat_map(|verdict| &verdict.findings);
    let finding = |one: &Finding| (one.kind.clone(), one.metric.clone(), one.score);
    let verdicts = judgement.verdicts.iter().map(|verdict| (verdict.score, verdict.findings.len()));
    (verdicts.collect(), findings.map(finding).collect())
}

/// All judgements of a device that stands `ahead` minutes in front of UTC, begun at an instant such that its clock shows `START_MS`.
fn judged(kind: &'static str, ahead: i64, offset: i64) -> Vec<Shape> {
    let mut watched = Watched::new(kind, 5, true);
    watched.start_ms = START_MS - ahead * MINUTE_MS;
    watched.offset_ms = offset * MINUTE_MS;
    watched.config.warm_up_windows = 240;
    (0..1_500)
        .map(|minute| {
            watched.device.fault = if minute > 1_300 { "fouled_condenser" } else { "" };
            shape(&watched.step())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn the_clock_of_the_place_decides(quarters in -48..56i64) {
        let ahead = quarters * 15;
        let there = judged("chiller", ahead, ahead);
        prop_assert_eq!(&there, &judged("chiller", 0, 0));
        prop_assert!(there.iter().any(|(_, findings)| !findings.is_empty()));
    }
}

#[test]
fn by_the_wrong_clock_hours_are_unknown_that_are_known() {
    // Without its offset the device's second day begins at another hour of the first one.
    assert_ne!(judged("chiller", 345, 345), judged("chiller", 345, 0));
}
