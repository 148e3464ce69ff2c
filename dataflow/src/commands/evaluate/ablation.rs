//! What each part of the detectors is worth: the same data once more for every part, with that part taken away.

use super::Kind;

/// What is taken away, and the settings that do it.
pub type Part = (&'static str, &'static [&'static str]);

/// The parts that matter for a kind of data; rule cases have none.
pub fn parts(kind: Kind) -> &'static [Part] {
    match kind {
        Kind::Skab => &SKAB,
        Kind::Nab => &NAB,
        Kind::Hvac => &HVAC,
        Kind::Simulator => &SIMULATOR,
        Kind::Openfdd => &[],
    }
}

const AVERAGE: Part = ("average of the evidence", &["detectors.residual.lambda=1"]);
const FLOOR: Part = ("floor of the limits", &["detectors.residual.limit_min=0"]);
const PEAK: Part = ("recovery as a share of the peak", &["detectors.residual.peak_share=0"]);
const SETTLE: Part = ("time to settle", &["detectors.residual.settle_windows=0"]);
const FOLLOW: Part = ("following of slow offsets", &["detectors.residual.follow=0"]);
const CLOSE: Part = ("lower limit to close", &["detectors.residual.close_share=1"]);
const HOLD: Part = ("holding on", &["detectors.residual.hold_windows=1"]);
const CONFIRM: Part = ("confirmation", &["detectors.residual.confirm_windows=1"]);
const HELD: Part = ("fit on the whole warm-up", &["detectors.residual.hold_warm_up=false"]);

const SKAB: [Part; 12] = [
    // A bench has no inputs: what is left is each metric's level in the warm-up.
    ("each metric's own past", &["detectors.residual.regressors=\"inputs\""]),
    AVERAGE,
    FLOOR,
    PEAK,
    SETTLE,
    FOLLOW,
    CLOSE,
    HOLD,
    CONFIRM,
    ("founders of an event", &["detectors.residual.join_share=0"]),
    HELD,
    ("changes told apart from events", &["detectors.change.on=0"]),
];

const HVAC: [Part; 13] = [
    ("inputs", &["detectors.residual.regressors=\"past\""]),
    ("inputs alone, without the past", &["detectors.residual.regressors=\"both\""]),
    AVERAGE,
    FLOOR,
    PEAK,
    SETTLE,
    FOLLOW,
    CLOSE,
    HOLD,
    CONFIRM,
    HELD,
    ("limits from left-out days", &["detectors.residual.left_out_days=false"]),
    ("rules", &["detectors.weights=[0, 1, 0, 0]"]),
];

const NAB: [Part; 5] = [
    ("range", &["detectors.views.range=false"]),
    ("season", &["detectors.views.season=false"]),
    ("jump", &["detectors.views.jump=false"]),
    ("level", &["detectors.views.level=false"]),
    ("habit", &["detectors.views.habit=false"]),
];

const SIMULATOR: [Part; 16] = [
    ("rules", &["detectors.weights=[0, 0.9, 0.8, 0.8]"]),
    ("statistics", &["detectors.weights=[1, 0, 0.8, 0.8]"]),
    ("fingerprint", &["detectors.weights=[1, 0.9, 0, 0.8]"]),
    ("similar states", &["detectors.weights=[1, 0.9, 0.8, 0]"]),
    ("each metric against its past and inputs", &["detectors.residual.limit_min=inf"]),
    ("each metric against the others", &["detectors.relation.lambda=0"]),
    ("each metric alone", &["detectors.rarity_decades=inf"]),
    ("slow average", &["detectors.residual.drift_lambda=0"]),
    ("peers", &["detectors.peers.min_devices=0"]),
    ("caution in unknown hours and weather", &["detectors.unknown_factor=1"]),
    ("caution in the first day", &["detectors.acquaint_windows=0"]),
    ("new operating points", &["detectors.regime_windows=0"]),
    ("guard of the warm-up", &["detectors.guard_deviations=inf"]),
    ("confirmation", &["detectors.confirm_windows=1", "detectors.info_confirm_windows=1"]),
    ("time to settle", &["detectors.residual.settle_windows=0", "detectors.relation.settle_windows=0"]),
    ("following of slow offsets", &["detectors.residual.follow=0", "detectors.relation.follow=0"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::evaluate::config_of;

    #[test]
    fn every_part_is_there_to_be_taken_away() {
        for kind in [Kind::Skab, Kind::Nab, Kind::Hvac, Kind::Simulator, Kind::Openfdd] {
            let whole = config_of(kind, &[]).unwrap();
            for (name, settings) in parts(kind) {
                let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
                assert_ne!(config_of(kind, &settings).unwrap(), whole, "{kind:?} without {name}");
            }
        }
    }
}
