//! All metrics together: the residuals against each one's past and the inputs, and those against the others.

use std::collections::BTreeMap;

use model::{Expected, Finding, Verdict};

use super::Statistics;
use super::residual::{Mode, Residuals};
use crate::{ResidualConfig, Sample, grade, parts};

impl Statistics {
    /// What the residuals of the state that was judged last were taken against, by slot; empty where nothing was predicted.
    pub(crate) fn expected(&self) -> &[Option<Expected>] {
        &self.expected
    }

    /// A state begins for which nothing is predicted so far.
    pub(crate) fn forget_expected(&mut self) {
        self.expected.clear();
    }

    /// All metrics together: each against its past and the inputs, and each against the others.
    pub(super) fn judge_together(&mut self, sample: &Sample<'_>, verdict: &mut Verdict) {
        let relation = sample.config.relation.residual();
        let views = [
            (&mut self.residuals, &sample.config.residual, "residual", "its own past and the device's inputs explain"),
            (&mut self.relations, &relation, "relation", "the other metrics explain"),
        ];
        for (residuals, config, kind, explained) in views {
            if config.lambda > 0.0 {
                judge_view(residuals, config, sample, (kind, explained), verdict);
            }
        }
        if sample.judging && sample.config.residual.lambda > 0.0 {
            self.residuals.expected(sample.caution, &sample.baseline.slots, &mut self.expected);
        }
    }
}

/// One view of all metrics together; `kind` and `explained` are its words.
fn judge_view(
    residuals: &mut Residuals,
    config: &ResidualConfig,
    sample: &Sample<'_>,
    (kind, explained): (&str, &str),
    verdict: &mut Verdict,
) {
    if sample.gap_windows > 5 {
        residuals.gap(config, sample.gap_windows);
    }
    let usual = &sample.baseline.slots;
    let mode = match (sample.judging, sample.warm) {
        (true, _) => Mode::Judge,
        (false, false) => Mode::Collect,
        (false, true) => Mode::Freeze,
    };
    residuals.judge(config, (sample.state.start_ms, sample.caution), sample.values, usual, mode);
    if mode == Mode::Freeze && !sample.rule_pending {
        residuals.reset();
    }
    if mode != Mode::Judge {
        return;
    }
    let (score, limit) = (residuals.score(), residuals.limit() * sample.caution);
    verdict.score = verdict.score.max(grade(score / limit));
    if !residuals.is_away() {
        return;
    }
    for away in residuals.active(config, usual) {
        let Some(metric) = &sample.state.metrics[away.slot] else { continue };
        let name = &sample.state.names[away.slot];
        let unit = sample.unit(away.slot);
        let side = if away.z > 0.0 { "above" } else { "below" };
        // What is left out of the models (saturated, a counter just reset) is still what was seen.
        let value = sample.values[away.slot];
        let observed = if value.is_nan() { metric.mean } else { value };
        // The evidence is an average: the metric may be back already, or what explains it be beyond all that it ever had.
        let is_there = (observed - away.expected) * away.z > 0.0;
        let text = match is_there {
            true => format!("{name} stays {side} what {explained}: {observed:.2} {unit} against {:.2}", away.expected),
            false => {
                format!("{name} has been {side} what {explained}, on average of late; it is {observed:.2} {unit} now")
            }
        };
        verdict.findings.push(Finding {
            kind: kind.to_owned(),
            metric: Some(name.clone()),
            observed,
            expected: Some(away.expected),
            score: away.strength,
            limit,
            unit: unit.to_owned(),
            text,
            parts: away.averaged.map_or_else(BTreeMap::new, |averaged| {
                parts([
                    ("predicted", away.predicted),
                    ("deviation", away.deviation),
                    ("before", averaged.before),
                    ("step", averaged.step),
                    ("clip", averaged.clip.unwrap_or(f64::NAN)),
                    ("spread", averaged.spread),
                ])
            }),
        });
    }
}
