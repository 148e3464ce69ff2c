//! What became of each incident: the same, moved, in other parts, new or gone.

use std::collections::BTreeMap;

use model::Severity;
use serde_json::{Value as Json, json};

use super::judged::{Learned, States};
use super::matching::{Group, Span, match_up};
use super::why::Why;
use crate::commands::common::{printable, short_duration, short_time};
use crate::commands::incidents::Stored;
use crate::detectors::Thresholds;
use crate::ledger::Totals;

/// A run of the job under one of the two configurations.
pub struct Run {
    /// Incidents by start, those that [`leave_out`] takes away excepted.
    pub incidents: Vec<Stored>,
    /// States from there on.
    pub states: States,
    /// How long each device was learned.
    pub learned: BTreeMap<String, Learned>,
    /// What became of the messages.
    pub totals: Totals,
    /// The settings of its detectors.
    pub detectors: Thresholds,
    /// Its windows.
    pub width_ms: i64,
}

impl Run {
    /// Counts by severity: info, warning, critical.
    pub fn by_severity(&self) -> [u64; 3] {
        let mut counts = [0; 3];
        self.incidents.iter().for_each(|incident| counts[incident.severity as usize] += 1);
        counts
    }

    /// It lies in a device's warm-up: only rules and its own watch can have found it.
    fn was_learning(&self, device: &str, start_ms: i64) -> bool {
        self.learned.get(device).is_some_and(|learned| learned.warm_ms.is_none_or(|warm_ms| start_ms < warm_ms))
    }
}

/// What became of incidents that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Gone.
    Vanishes,
    /// New.
    Appears,
    /// One became several.
    Split,
    /// Several became one.
    Joined,
    /// Several became several others.
    Regrouped,
    /// One and the same, but not in all.
    Moved,
    /// To the minute and in all that is told of it.
    Same,
}

impl Outcome {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Vanishes => "vanishes",
            Outcome::Appears => "appears",
            Outcome::Split => "split",
            Outcome::Joined => "joined",
            Outcome::Regrouped => "regrouped",
            Outcome::Moved => "moved",
            Outcome::Same => "same",
        }
    }
}

/// Something that is not the same.
pub struct Move {
    /// What: `start`, `known`, `end`, `severity`, `first metric`, `status`.
    pub what: &'static str,
    before: String,
    after: String,
    /// Times: by how much later, in milliseconds.
    by_ms: Option<i64>,
}

impl Move {
    /// For a person.
    pub fn text(&self) -> String {
        match self.by_ms {
            Some(by_ms) => {
                let side = if by_ms < 0 { "earlier" } else { "later" };
                format!("{} {} {side}", self.what, short_duration(by_ms.abs()))
            }
            None => format!("{} {} -> {}", self.what, printable(&self.before), printable(&self.after)),
        }
    }

    fn to_json(&self) -> Json {
        json!({"what": self.what, "before": self.before, "after": self.after, "later_by_ms": self.by_ms})
    }
}

/// Incidents that belong together, and what became of them.
pub struct Change {
    /// What.
    pub outcome: Outcome,
    /// Indices into the incidents of the first run.
    pub before: Vec<usize>,
    /// Into those of the second.
    pub after: Vec<usize>,
    /// Of one that moved.
    pub moves: Vec<Move>,
    /// Of one that appears or vanishes.
    pub why: Option<Why>,
    /// A device was still learned there in a run.
    pub in_warm_up: bool,
}

/// Compares two runs.
pub fn compare(before: &Run, after: &Run) -> Vec<Change> {
    let groups = match_up(&spans(&before.incidents), &spans(&after.incidents), within_ms(before, after));
    groups.into_iter().map(|group| change(group, before, after)).collect()
}

/// How far apart incidents of two runs may be and still be one: what either of them waits before it closes one.
fn within_ms(before: &Run, after: &Run) -> i64 {
    let clear_ms = |run: &Run| {
        let windows = run.detectors.all().map(|settings| settings.clear_windows).max().unwrap_or(0);
        i64::from(windows).saturating_mul(run.width_ms)
    };
    clear_ms(before).max(clear_ms(after))
}

/// Takes away the incidents that end before judging begins, in both runs: one that lasts beyond in one of them alone stays.
/// Without a second run it is the first one's twin.
pub fn leave_out(before: &mut Run, after: Option<&mut Run>, from_ms: i64) {
    let Some(after) = after else {
        before.incidents.retain(|one| one.end_ms > from_ms);
        return;
    };
    let groups = match_up(&spans(&before.incidents), &spans(&after.incidents), within_ms(before, after));
    let (mut of_before, mut of_after) = (vec![false; before.incidents.len()], vec![false; after.incidents.len()]);
    for group in groups {
        let lasts = group.before.iter().any(|at| before.incidents[*at].end_ms > from_ms)
            || group.after.iter().any(|at| after.incidents[*at].end_ms > from_ms);
        group.before.iter().for_each(|at| of_before[*at] = lasts);
        group.after.iter().for_each(|at| of_after[*at] = lasts);
    }
    for (run, stays) in [(before, of_before), (after, of_after)] {
        let mut stays = stays.into_iter();
        run.incidents.retain(|_| stays.next().unwrap_or_default());
    }
}

/// As the matching sees them.
pub fn spans(incidents: &[Stored]) -> Vec<Span> {
    let span = |one: &Stored| Span {
        of: (one.device_id.clone(), one.kind.clone()),
        start_ms: one.start_ms,
        end_ms: one.end_ms,
    };
    incidents.iter().map(span).collect()
}

fn change(group: Group, before: &Run, after: &Run) -> Change {
    let Group { before: of_before, after: of_after } = group;
    let (olds, news) = (|at: usize| &before.incidents[at], |at: usize| &after.incidents[at]);
    let (mut moves, mut why) = (Vec::new(), None);
    let outcome = match (of_before.as_slice(), of_after.as_slice()) {
        ([old], [new]) => {
            moves = moved(olds(*old), news(*new));
            if moves.is_empty() { Outcome::Same } else { Outcome::Moved }
        }
        ([old], []) => {
            why = Some(Why::of(olds(*old), before, after));
            Outcome::Vanishes
        }
        ([], [new]) => {
            why = Some(Why::of(news(*new), after, before));
            Outcome::Appears
        }
        ([_], _) => Outcome::Split,
        (_, [_]) => Outcome::Joined,
        _ => Outcome::Regrouped,
    };
    let incidents = of_before.iter().map(|at| olds(*at)).chain(of_after.iter().map(|at| news(*at)));
    let learning = |one: &Stored| {
        before.was_learning(&one.device_id, one.start_ms) || after.was_learning(&one.device_id, one.start_ms)
    };
    let in_warm_up = incidents.into_iter().any(learning);
    Change { outcome, before: of_before, after: of_after, moves, why, in_warm_up }
}

fn moved(old: &Stored, new: &Stored) -> Vec<Move> {
    let mut moves = Vec::new();
    for (what, before_ms, after_ms) in [
        ("start", old.start_ms, new.start_ms),
        ("known", old.detected_ms, new.detected_ms),
        ("end", old.end_ms, new.end_ms),
    ] {
        if before_ms != after_ms {
            let [before, after] = [before_ms, after_ms].map(model::time::format_ms);
            moves.push(Move { what, before, after, by_ms: Some(after_ms - before_ms) });
        }
    }
    let first = |one: &Stored| one.contributions.first().map(|part| part.metric.clone()).unwrap_or_default();
    let status = |one: &Stored| if one.open { "open" } else { "closed" }.to_owned();
    for (what, before, after) in [
        ("severity", old.severity.name().to_owned(), new.severity.name().to_owned()),
        ("first metric", first(old), first(new)),
        ("status", status(old), status(new)),
    ] {
        if before != after {
            let none = |text: String| if text.is_empty() { "none".to_owned() } else { text };
            moves.push(Move { what, before: none(before), after: none(after), by_ms: None });
        }
    }
    moves
}

impl Change {
    /// As people's programs read it.
    pub fn to_json(&self, before: &Run, after: &Run) -> Json {
        // Both runs end at the same time, so an open one is told as far as its windows confirmed it.
        let of = |incident: &Stored| incident.to_json(i64::MIN);
        let incidents =
            |run: &Run, list: &[usize]| -> Vec<Json> { list.iter().map(|at| of(&run.incidents[*at])).collect() };
        json!({
            "outcome": self.outcome.word(),
            "before": incidents(before, &self.before),
            "after": incidents(after, &self.after),
            "moves": self.moves.iter().map(Move::to_json).collect::<Vec<_>>(),
            "why": self.why.as_ref().map(Why::to_json),
            "in_warm_up": self.in_warm_up,
        })
    }

    /// What is different, in one line: where it moved to, its parts, or why it is new or gone.
    pub fn text(&self, before: &Run, after: &Run) -> String {
        let parts = |run: &Run, list: &[usize]| {
            let part = |at: &usize| {
                let one = &run.incidents[*at];
                format!(
                    "{} ({}, {})",
                    short_time(one.start_ms),
                    short_duration(one.end_ms - one.start_ms),
                    one.severity.name()
                )
            };
            list.iter().map(part).collect::<Vec<_>>().join(" and ")
        };
        match (&self.why, self.outcome) {
            (Some(why), _) => why.text(),
            (None, Outcome::Split | Outcome::Joined | Outcome::Regrouped) => {
                format!("{} -> {}", parts(before, &self.before), parts(after, &self.after))
            }
            _ => self.moves.iter().map(Move::text).collect::<Vec<_>>().join(", "),
        }
    }

    /// The incident that a table shows: of the first run where it has one.
    pub fn shown<'a>(&self, before: &'a Run, after: &'a Run) -> &'a Stored {
        match (self.before.first(), self.after.first()) {
            (Some(at), _) => &before.incidents[*at],
            (None, Some(at)) => &after.incidents[*at],
            (None, None) => unreachable!("a group has an incident"),
        }
    }
}

/// How many there are of each outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts([u64; 7]);

impl Counts {
    /// Counts groups.
    pub fn of(changes: &[Change]) -> Counts {
        let mut counts = [0; 7];
        changes.iter().for_each(|change| counts[change.outcome as usize] += 1);
        Counts(counts)
    }

    /// Of one outcome.
    pub fn get(self, outcome: Outcome) -> u64 {
        self.0[outcome as usize]
    }
}

/// How much of what a store's own job told the first run tells again.
pub struct Known {
    /// Incidents of the store that last beyond the start of judging.
    pub stored: usize,
    /// Those among them that the first run has, too.
    pub again: usize,
}

/// Holds the incidents of a store against those of a run.
pub fn known(stored: &[Stored], run: &Run) -> Known {
    let groups = match_up(&spans(stored), &spans(&run.incidents), within_ms(run, run));
    let again = groups.iter().filter(|group| !group.after.is_empty()).map(|group| group.before.len()).sum();
    Known { stored: stored.len(), again }
}

/// The severities in the order in which they are shown.
pub const SEVERITIES: [Severity; 3] = [Severity::Critical, Severity::Warning, Severity::Info];
