//! Why an incident of one run is none in the other: read from what the methods said there of the same states.

use model::time::format_ms;
use model::{Finding, Method};
use serde_json::{Value as Json, json};

use super::compare::Run;
use super::judged::Seen;
use crate::commands::common::{number, printable, short_time};
use crate::commands::incidents::Stored;

/// Quiet states after which the job forgets an anomaly that it has not confirmed.
const FORGET_STATES: u32 = 3;

/// How far a method was from its limit.
struct Reach {
    method: Method,
    /// Its strongest in the run without the incident, in multiples of the limit, and when; `None`: it gave no number.
    other: Option<(f64, i64)>,
    /// In the run that has the incident.
    own: Option<f64>,
    /// It has weight 0 in the run without the incident: it is not asked.
    off: bool,
}

/// Anomalous states of the other run that an incident might have been made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Streak {
    /// Anomalous, with fewer than three quiet ones between any two.
    states: u32,
    /// Of these, with two methods or a broken rule.
    firm: u32,
}

/// What silences an incident, with the number of states and the first of the findings that say so.
struct Silenced {
    how: &'static str,
    states: usize,
    text: String,
}

/// The numbers behind the reason.
pub struct Why {
    /// States of the other run in the time of the incident.
    states: usize,
    /// Anomalous ones.
    anomalous: usize,
    /// The most of them that belong together.
    streak: Streak,
    /// What opens an incident there.
    confirm_windows: u32,
    info_confirm_windows: u32,
    /// The strongest finding there with its method, in multiples of its limit, and when.
    strongest: Option<(Method, Finding, f64, i64)>,
    reaches: Vec<Reach>,
    silenced: Vec<Silenced>,
    /// Of a stuck or missing metric or a silent device: how long it lasted in windows, and the setting that asks for more.
    lasted: Option<Lasted>,
}

/// How long something lasted that has an incident of its own, and what was asked for.
#[derive(Clone, Copy)]
struct Lasted {
    windows: i64,
    setting: &'static str,
    asked: u32,
    /// What is asked for instead where that is more.
    usual: &'static str,
}

impl Why {
    /// Of an incident of `own` that `other` does not have.
    pub fn of(incident: &Stored, own: &Run, other: &Run) -> Why {
        let span = incident.start_ms..incident.end_ms;
        let of = |run: &Run| -> Vec<(i64, Seen)> {
            let states = run.states.get(&incident.device_id);
            states
                .into_iter()
                .flat_map(|states| states.range(span.clone()))
                .map(|(at, seen)| (*at, seen.clone()))
                .collect()
        };
        let (states, own_states) = (of(other), of(own));
        let config = other.detectors.of(&incident.device_type);
        let (word, subject) = incident.kind.split_once(':').unwrap_or((&incident.kind, ""));
        let windows = (incident.end_ms - incident.start_ms) / other.width_ms.max(1);
        let lasted = match word {
            "stuck" => Some(("stuck_after_windows", config.stuck_after_windows, "ten times its longest usual run")),
            "missing" => {
                Some(("missing_after_windows", config.missing_after_windows, "three times its longest usual gap"))
            }
            "silent" => {
                Some(("silent_after_windows", config.silent_after_windows, "three times its longest usual gap"))
            }
            _ => None,
        };
        let lasted = lasted.map(|(setting, asked, usual)| Lasted { windows, setting, asked, usual });
        let counts = |seen: &Seen| match lasted {
            None => seen.is_anomalous(),
            Some(_) => seen.findings.iter().any(|(_, one)| one.kind == word && one.metric.as_deref() == Some(subject)),
        };
        let strongest = states.iter().filter_map(|(at_ms, seen)| {
            let (method, found, ratio) = seen.strongest(word)?;
            Some((method, found, ratio, *at_ms))
        });
        let strongest = strongest.reduce(|most, next| if next.2 > most.2 { next } else { most });
        Why {
            states: states.len(),
            anomalous: states.iter().filter(|(_, seen)| counts(seen)).count(),
            streak: streak(&states),
            confirm_windows: config.confirm_windows.max(1),
            info_confirm_windows: config.info_confirm_windows.max(1),
            strongest: strongest.map(|(method, found, ratio, at_ms)| (method, found.clone(), ratio, at_ms)),
            reaches: reaches(incident, &states, &own_states, &config.weights),
            silenced: silenced(&states),
            lasted,
        }
    }

    /// In one line.
    pub fn text(&self) -> String {
        if let Some(lasted) = self.lasted.filter(|_| self.anomalous == 0) {
            let silenced = self.silencing();
            return if silenced.is_empty() { self.lasting(lasted) } else { silenced };
        }
        if self.states == 0 {
            return "there are no states at that time: the readings are late, not usable or left out".to_owned();
        }
        // A method that is not asked has never learned anything either.
        let silenced = if self.reaches.iter().any(|reach| reach.off) { self.reach() } else { self.silencing() };
        let found = self.found();
        match (silenced.is_empty(), found.is_empty()) {
            (false, false) => format!("{silenced}; {found}"),
            (false, true) => silenced,
            (true, false) => found,
            (true, true) => self.reach(),
        }
    }

    fn lasting(&self, lasted: Lasted) -> String {
        let Lasted { windows, setting, asked, usual } = lasted;
        if setting == "silent_after_windows" && self.states > 0 {
            return format!("the device has {} states at that time", self.states);
        }
        if windows <= i64::from(asked) {
            return format!("it lasts {windows} windows, {setting} asks for {asked}");
        }
        format!("it lasts {windows} windows: more than {setting} ({asked}), but not more than {usual}")
    }

    fn silencing(&self) -> String {
        let one = |silenced: &Silenced| {
            let Silenced { how, states, text } = silenced;
            format!("{how} in {states} of {} states ({})", self.states, printable(text))
        };
        self.silenced.iter().map(one).collect::<Vec<_>>().join("; ")
    }

    /// What was found there, and what was asked for.
    fn found(&self) -> String {
        if self.anomalous == 0 {
            return String::new();
        }
        let Streak { states, firm } = self.streak;
        let mut text = format!("{} of {} states anomalous", self.anomalous, self.states);
        if self.lasted.is_none() {
            let methods = if firm == 0 { "none".to_owned() } else { firm.to_string() };
            text += &format!(
                ", at most {states} together, {methods} of them by two methods or a rule; asked are {} such (confirm_windows) or {} \
                 of any (info_confirm_windows)",
                self.confirm_windows, self.info_confirm_windows
            );
        }
        if let Some((method, found, ratio, at_ms)) = &self.strongest {
            let at = short_time(*at_ms);
            if *method == Method::Rules {
                return text
                    + &format!("; strongest: rule {} ({}) at {at}", printable(&found.kind), printable(&found.text));
            }
            let of = found.metric.as_deref().map(|metric| format!(" of {}", printable(metric))).unwrap_or_default();
            text += &format!(
                "; strongest: {}{of}, {} at a limit of {} ({ratio:.2} of it) at {at}",
                printable(&found.kind),
                number(found.score),
                number(found.limit)
            );
        }
        text
    }

    /// How far the methods that spoke are from their limits there.
    fn reach(&self) -> String {
        let one = |reach: &Reach| {
            let name = reach.method.name();
            match (reach.off, reach.other, reach.own) {
                (true, ..) => format!("{name} is off (weight 0)"),
                (false, None, _) if reach.method == Method::Rules => "no rule is broken".to_owned(),
                (false, None, _) => format!("{name} says nothing"),
                (false, Some((other, at_ms)), Some(own)) => {
                    format!(
                        "{name} at most {other:.2} of its limit at {} ({own:.2} in the other run)",
                        short_time(at_ms)
                    )
                }
                (false, Some((other, at_ms)), None) => {
                    format!("{name} at most {other:.2} of its limit at {}", short_time(at_ms))
                }
            }
        };
        let methods: Vec<String> = self.reaches.iter().map(one).collect();
        format!("none of {} states anomalous: {}", self.states, methods.join(", "))
    }

    /// As people's programs read it.
    pub fn to_json(&self) -> Json {
        let strongest = self.strongest.as_ref().map(|(method, found, ratio, at_ms)| {
            // The two sides of a rule's comparison have no ratio that means anything.
            let ratio = (*method != Method::Rules).then_some(ratio);
            json!({"method": method.name(), "kind": found.kind, "metric": found.metric, "score": found.score,
                   "limit": found.limit, "ratio": ratio, "at": format_ms(*at_ms), "text": found.text})
        });
        let reach = |reach: &Reach| {
            json!({"method": reach.method.name(), "off": reach.off, "ratio": reach.other.map(|(ratio, _)| ratio),
                   "at": reach.other.map(|(_, at_ms)| format_ms(at_ms)), "ratio_in_other_run": reach.own})
        };
        let silenced = |one: &Silenced| json!({"how": one.how, "states": one.states, "text": one.text});
        json!({
            "text": self.text(),
            "states": self.states,
            "anomalous": self.anomalous,
            "together": self.streak.states,
            "firm_together": self.streak.firm,
            "confirm_windows": self.confirm_windows,
            "info_confirm_windows": self.info_confirm_windows,
            "strongest": strongest,
            "methods": self.reaches.iter().map(reach).collect::<Vec<_>>(),
            "silenced": self.silenced.iter().map(silenced).collect::<Vec<_>>(),
            "lasted": self.lasted.map(|Lasted { windows, setting, asked, .. }| {
                json!({"windows": windows, "setting": setting, "asked": asked})
            }),
        })
    }
}

/// The most anomalous states that the job would have counted together; of equals with the most firm ones.
fn streak(states: &[(i64, Seen)]) -> Streak {
    let (mut most, mut now, mut quiet) = (Streak::default(), Streak::default(), 0);
    for (_, seen) in states {
        if seen.is_anomalous() {
            quiet = 0;
            now.states += 1;
            now.firm += u32::from(seen.is_firm());
            if (now.states, now.firm) > (most.states, most.firm) {
                most = now;
            }
        } else {
            quiet += 1;
            if quiet >= FORGET_STATES {
                now = Streak::default();
            }
        }
    }
    most
}

fn reaches(incident: &Stored, states: &[(i64, Seen)], own: &[(i64, Seen)], weights: &[f64; 4]) -> Vec<Reach> {
    let most = |states: &[(i64, Seen)], at: usize| {
        let ratios = states.iter().map(|(at_ms, seen)| (f64::from(seen.ratios[at]), *at_ms));
        ratios.filter(|(ratio, _)| ratio.is_finite()).reduce(|most, next| if next.0 > most.0 { next } else { most })
    };
    let mut methods = incident.methods.clone();
    if methods.is_empty() {
        methods = Method::ALL.to_vec();
    }
    let reach = |method: Method| {
        let at = method as usize;
        Reach { method, other: most(states, at), own: most(own, at).map(|(ratio, _)| ratio), off: weights[at] <= 0.0 }
    };
    methods.into_iter().map(reach).collect()
}

fn silenced(states: &[(i64, Seen)]) -> Vec<Silenced> {
    let mut all = Vec::new();
    for (kind, how) in [
        ("maintenance", "in maintenance"),
        ("raised_bar", "held back by a raised bar"),
        ("new_operating_point", "excused as a new operating point"),
        ("whole_type", "excused as what its whole type does"),
    ] {
        let mut found = states.iter().filter_map(|(_, seen)| seen.finding(kind));
        if let Some(first) = found.next() {
            all.push(Silenced { how, states: 1 + found.count(), text: first.text.clone() });
        }
    }
    // A new operating point is a warm-up of its own.
    let mut learned =
        states.iter().filter(|(_, seen)| seen.warm_up < 1.0 && seen.finding("new_operating_point").is_none());
    if let Some((_, first)) = learned.next() {
        let text = format!("{:.0} % done at its start", (first.warm_up * 100.0).floor());
        all.push(Silenced { how: "still in the warm-up", states: 1 + learned.count(), text });
    }
    all
}

#[cfg(test)]
mod tests;
