//! What an incident rests on: which metrics were accused how strongly, and how far each of them went while it lasted.
//!
//! A rule's score is capped and an average lags behind, so neither says when it was worst. What counts as the peak is
//! therefore the extreme of the leading metric's own values over the incident's windows, in the direction of the fault.

use std::collections::VecDeque;

use model::{Contribution, Finding, Incident, Method, Peers};
use serde::{Deserialize, Serialize};

use super::Judged;
use crate::Broken;
use crate::baseline::Usual;

/// Contributions kept with an incident.
const MOST_CONTRIBUTIONS: usize = 8;
/// A metric with less of the evidence than this is not worth a technician's time.
const LEAST_SHARE: f64 = 0.05;
/// A broken rule weighs as much as a finding of so many times its limit.
const RULE_RATIO: f64 = 3.0;
/// The side on which a metric was accused first is the fault's, unless the other one was so many times as strong: the leap back to normal
/// is about as strong as the leap away from it.
const OTHER_SIDE: f64 = 3.0;
/// Nothing weighs more than so many times its limit, so that shares stay numbers whatever a device sends.
const MOST_RATIO: f64 = 1e6;
/// Windows that a run may last before it is confirmed; of a longer one the first are forgotten.
const MOST_RUN_ROWS: usize = 256;

/// Lowest and highest value of every slot over some windows, each with its window's start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Extremes {
    low: Vec<(f64, i64)>,
    high: Vec<(f64, i64)>,
}

impl Extremes {
    /// Takes in the values of a window; of equal ones the first stays.
    pub(super) fn add(&mut self, start_ms: i64, values: &[f64]) {
        self.grow(values.len());
        for ((low, high), value) in self.low.iter_mut().zip(&mut self.high).zip(values) {
            if *value < low.0 {
                *low = (*value, start_ms);
            }
            if *value > high.0 {
                *high = (*value, start_ms);
            }
        }
    }

    /// Takes in what other, later windows had.
    pub(super) fn join(&mut self, later: Extremes) {
        self.grow(later.low.len());
        for (mine, theirs) in self.low.iter_mut().zip(later.low) {
            if theirs.0 < mine.0 {
                *mine = theirs;
            }
        }
        for (mine, theirs) in self.high.iter_mut().zip(later.high) {
            if theirs.0 > mine.0 {
                *mine = theirs;
            }
        }
    }

    fn grow(&mut self, slots: usize) {
        self.low.resize(slots.max(self.low.len()), (f64::INFINITY, i64::MIN));
        self.high.resize(slots.max(self.high.len()), (f64::NEG_INFINITY, i64::MIN));
    }

    /// The furthest value of a slot and its window; `None` where it had none.
    fn furthest(&self, slot: usize, upwards: bool) -> Option<(f64, i64)> {
        let found = *if upwards { self.high.get(slot)? } else { self.low.get(slot)? };
        found.0.is_finite().then_some(found)
    }
}

/// The windows of a run that is not confirmed yet: an incident starts with its first one, so their values are held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    rows: VecDeque<(i64, Vec<f64>)>,
}

impl Run {
    /// Adds a window and forgets those before `since_ms`.
    pub(super) fn add(&mut self, since_ms: i64, start_ms: i64, values: &[f64]) {
        self.rows.push_back((start_ms, values.to_vec()));
        while self.rows.len() > MOST_RUN_ROWS || self.rows.front().is_some_and(|(start_ms, _)| *start_ms < since_ms) {
            self.rows.pop_front();
        }
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.rows = VecDeque::new();
    }

    /// The extremes from `since_ms` on.
    pub(super) fn extremes(&self, since_ms: i64) -> Extremes {
        let mut extremes = Extremes::default();
        for (start_ms, values) in self.rows.iter().filter(|(start_ms, _)| *start_ms >= since_ms) {
            extremes.add(*start_ms, values);
        }
        extremes
    }
}

/// A metric that was accused on one side of what it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Accused {
    slot: usize,
    metric: String,
    unit: String,
    kind: String,
    /// The strongest accusation: its finding in multiples of the limit.
    ratio: f64,
    /// Above what it should be rather than below.
    upwards: bool,
    /// The furthest value for which a model said what it expected, and what that was.
    explained: Option<(f64, f64)>,
    /// The furthest value with peers beside it, and what those showed.
    beside: Option<(f64, Peers)>,
}

impl Accused {
    /// Whether a value lies further in its direction than the furthest so far.
    fn is_further(&self, value: f64, than: Option<f64>) -> bool {
        than.is_none_or(|than| if self.upwards { value > than } else { value < than })
    }
}

/// All that an incident rests on so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Evidence {
    accused: Vec<Accused>,
    /// The gravest broken rule.
    rule: Option<Broken>,
    seen: Extremes,
    /// Quiet windows since the last anomalous one: they belong to the incident only if it goes on.
    quiet: Extremes,
}

impl Evidence {
    /// The windows of its run, once it is confirmed.
    pub(super) fn see_run(&mut self, extremes: Extremes) {
        self.seen = extremes;
    }

    /// A window in which nothing was found.
    pub(super) fn see_quiet(&mut self, judged: &Judged<'_>) {
        self.quiet.add(judged.start_ms, judged.values);
    }

    /// An anomalous window.
    pub(super) fn see(&mut self, judged: &Judged<'_>) {
        self.seen.join(std::mem::take(&mut self.quiet));
        self.seen.add(judged.start_ms, judged.values);
    }

    /// Takes in the votes of a window.
    pub(super) fn accuse(&mut self, judged: &Judged<'_>) {
        for (verdict, vote) in judged.verdicts.iter().zip(judged.votes) {
            if vote {
                verdict.findings.iter().for_each(|finding| self.accuse_one(judged, verdict.method, finding));
            }
        }
        if let Some(rule) = judged.rule
            && self.rule.as_ref().is_none_or(|known| known.severity < rule.severity)
        {
            self.rule = Some(rule.clone());
        }
    }

    fn accuse_one(&mut self, judged: &Judged<'_>, method: Method, finding: &Finding) {
        let Some(metric) = &finding.metric else { return };
        let Some(slot) = judged.names.iter().position(|name| name == metric) else { return };
        let ratio = match method {
            Method::Rules => RULE_RATIO,
            _ if finding.limit > 0.0 => (finding.score / finding.limit).min(MOST_RATIO),
            _ => 1.0,
        };
        let upwards = is_above(finding, &judged.usual[slot]);
        let is_it = |known: &Accused| known.slot == slot && known.upwards == upwards;
        let at = self.accused.iter().position(is_it).unwrap_or(self.accused.len());
        if at == self.accused.len() {
            self.accused.push(Accused {
                slot,
                metric: metric.clone(),
                unit: finding.unit.clone(),
                kind: String::new(),
                ratio: -1.0,
                upwards,
                explained: None,
                beside: None,
            });
        }
        let accused = &mut self.accused[at];
        if ratio > accused.ratio {
            accused.ratio = ratio;
            accused.kind.clone_from(&finding.kind);
        }
        if let (Some(peers), value) = (judged.peers.get(slot).copied().flatten(), judged.values[slot])
            && !value.is_nan()
            && accused.is_further(value, accused.beside.map(|(seen, _)| seen))
        {
            accused.beside = Some((value, peers));
        }
        // A rule says what is wrong, a model also what was expected: that of the furthest value is shown.
        if let (Some(expected), false) = (finding.expected, method == Method::Rules)
            && accused.is_further(finding.observed, accused.explained.map(|(observed, _)| observed))
        {
            accused.explained = Some((finding.observed, expected));
        }
    }

    /// The metrics, that of the gravest broken rule first, then the strongest, each with the furthest value it had, and the window in which the first of them had it.
    /// A metric's weight is the square of its strongest accusation, as the residuals' shares are.
    pub(super) fn rank(&self) -> (Vec<Contribution>, Option<i64>) {
        let mut order = self.metrics();
        let ruled = |accused: &Accused| self.rule.as_ref().is_some_and(|rule| rule.metric == accused.metric);
        let key = |(strongest, _): &(&Accused, &Accused)| (ruled(strongest), strongest.ratio);
        order.sort_by(|left, right| {
            let ((left_ruled, left), (right_ruled, right)) = (key(left), key(right));
            right_ruled.cmp(&left_ruled).then(right.total_cmp(&left))
        });
        let total: f64 = order.iter().map(|(strongest, _)| strongest.ratio * strongest.ratio).sum();
        let furthest = |accused: &Accused| self.seen.furthest(accused.slot, accused.upwards);
        let peak_ms = order.first().and_then(|(_, accused)| furthest(accused)).map(|(_, at_ms)| at_ms);
        let contributions = order
            .into_iter()
            .map(|(strongest, accused)| (strongest, accused, strongest.ratio * strongest.ratio / total))
            .filter(|(_, accused, share)| *share >= LEAST_SHARE || ruled(accused))
            .take(MOST_CONTRIBUTIONS)
            .filter_map(|(strongest, accused, share)| {
                Some(Contribution {
                    metric: accused.metric.clone(),
                    share,
                    observed: furthest(accused)?.0,
                    expected: accused.explained.map(|(_, expected)| expected),
                    unit: accused.unit.clone(),
                    kind: strongest.kind.clone(),
                })
            })
            .collect();
        (contributions, peak_ms)
    }

    /// By metric its strongest accusation, and the one on the fault's side; the metric that was accused first stands first.
    fn metrics(&self) -> Vec<(&Accused, &Accused)> {
        let mut metrics: Vec<(&Accused, &Accused)> = Vec::new();
        for accused in &self.accused {
            match metrics.iter_mut().find(|(known, _)| known.slot == accused.slot) {
                Some((strongest, side)) => {
                    if accused.ratio > strongest.ratio {
                        *strongest = accused;
                    }
                    if accused.ratio > OTHER_SIDE * side.ratio {
                        *side = accused;
                    }
                }
                None => metrics.push((accused, accused)),
            }
        }
        metrics
    }

    /// The metric that would stand first, its strongest accusation in multiples of the limit, and whether a broken rule put it
    /// there; an empty name where none is accused.
    pub(super) fn leading(&self) -> (&str, f64, bool) {
        if let Some(rule) = &self.rule {
            return (&rule.metric, RULE_RATIO, true);
        }
        // Of equal ones the first, as in the ranking.
        let strongest = self.accused.iter().rev().max_by(|left, right| left.ratio.total_cmp(&right.ratio));
        strongest.map_or(("", 1.0, false), |accused| (&accused.metric, accused.ratio, false))
    }

    /// The incident in one line. Its length is that of the incident, so that the two can't disagree.
    pub(super) fn summary(&self, incident: &Incident, width_ms: i64) -> String {
        let leading = incident.contributions.first().map(|leading| {
            let accused = self.metrics().into_iter().map(|(_, side)| side).find(|side| side.metric == leading.metric);
            let way = if accused.is_some_and(|accused| accused.upwards) { "up to" } else { "down to" };
            // A status is on or off: its unit says nothing.
            let unit = if leading.unit == "0/1" { "" } else { leading.unit.as_str() };
            let mut text = format!("{} {way} {:.2} {unit}", leading.metric, leading.observed);
            text.truncate(text.trim_end().len());
            if let Some(expected) = leading.expected {
                text.push_str(&format!(" where {expected:.2} is expected"));
            }
            if let Some((_, peers)) = accused.and_then(|accused| accused.beside) {
                let Peers { devices, lower, median, upper, .. } = peers;
                text.push_str(&format!(
                    " ({devices} devices of its type: {median:.2}, middle half {lower:.2} to {upper:.2})"
                ));
            }
            match incident.contributions.len() {
                1 => {}
                2 => text.push_str(", one more metric"),
                more => text.push_str(&format!(", {} more metrics", more - 1)),
            }
            text
        });
        let what = match (&self.rule, leading) {
            (Some(rule), Some(leading)) => format!("{}: {leading}", rule.text),
            (Some(rule), None) => rule.text.clone(),
            (None, Some(leading)) => leading,
            (None, None) => "a state unlike the device's normal ones".to_owned(),
        };
        let methods: Vec<&str> = incident.methods.iter().map(|method| method.name()).collect();
        format!("{what}; {}; found by {}", length(incident.start_ms, incident.end_ms, width_ms), methods.join(", "))
    }
}

/// How long something lasted, in windows.
pub(crate) fn length(start_ms: i64, end_ms: i64, width_ms: i64) -> String {
    match (end_ms - start_ms) / width_ms.max(1) {
        1 => "for 1 window".to_owned(),
        windows => format!("for {windows} windows"),
    }
}

/// Whether the accused value is above what it should be: what was expected, else what is usual, else the rule's own limit.
fn is_above(finding: &Finding, usual: &Usual) -> bool {
    match finding.expected.or(usual.known.then_some(usual.level)) {
        Some(should) if should != finding.observed => finding.observed > should,
        _ => finding.score > finding.limit,
    }
}
