//! Incidents: anomalous states joined into alarms with a start and an end.
//!
//! An anomaly is pending until enough of its states have come (few where two methods agree or a rule is broken, more where one
//! method speaks alone), then opens with the start of its first anomalous window, grows with every further one, and closes
//! after enough quiet states. Windows without a state are neither: no news is no good news. A device has one anomaly at a
//! time; a stuck or missing metric and a silent device have incidents of their own.

use model::{Contribution, Finding, Incident, IncidentStatus, Method, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::consensus::Consensus;
use crate::{Condition, MonitorConfig};

/// Contributions kept with an incident.
const MOST_CONTRIBUTIONS: usize = 8;
/// Earlier states kept with an incident.
pub(crate) const MOST_SIMILAR: usize = 5;
/// Quiet states after which an unconfirmed anomaly is forgotten.
const FORGET_WINDOWS: u32 = 3;

/// An incident that is pending or open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tracked {
    incident: Incident,
    open: bool,
    /// Anomalous states so far.
    states: u32,
    /// Of these, with two methods or a broken rule.
    firm: u32,
    /// Quiet states in a row.
    quiet: u32,
    /// States since it began.
    age: u32,
}

/// The incidents of one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Incidents {
    anomaly: Option<Tracked>,
    /// Stuck and missing metrics, in the order they came.
    conditions: Vec<Incident>,
    silent: Option<Incident>,
}

/// One judged state, as the tracker sees it.
pub(crate) struct Judged<'a> {
    pub start_ms: i64,
    pub width_ms: i64,
    pub consensus: Consensus,
    pub votes: [bool; 4],
    pub verdicts: &'a [Verdict],
}

impl Judged<'_> {
    fn end_ms(&self) -> i64 {
        self.start_ms.saturating_add(self.width_ms)
    }
}

impl Incidents {
    /// Whether an anomaly is open.
    pub fn is_anomaly_open(&self) -> bool {
        self.anomaly.as_ref().is_some_and(|tracked| tracked.open)
    }

    /// Whether the device is known to be silent.
    pub fn is_silent(&self) -> bool {
        self.silent.is_some()
    }

    /// States since the open anomaly began.
    pub(crate) fn anomaly_age(&self) -> u32 {
        self.anomaly.as_ref().filter(|tracked| tracked.open).map_or(0, |tracked| tracked.age)
    }

    /// The device is silent from `since_ms`; `start_ms` is the window that made it certain.
    pub(crate) fn open_silent(&mut self, since_ms: i64, start_ms: i64, width_ms: i64) -> Vec<Incident> {
        if self.silent.is_some() {
            return Vec::new();
        }
        let incident = Incident {
            kind: "silent".to_owned(),
            start_ms: since_ms,
            end_ms: start_ms.saturating_add(width_ms),
            detected_ms: start_ms,
            status: IncidentStatus::Open,
            transition: 1,
            severity: Severity::Warning,
            peak_score: 1.0,
            peak_ms: start_ms,
            methods: vec![Method::Statistics],
            contributions: Vec::new(),
            summary: format!("the device is silent since {}", model::time::format_ms(since_ms)),
            similar: Vec::new(),
        };
        self.silent = Some(incident.clone());
        vec![incident]
    }

    /// The first state after silence.
    pub(crate) fn close_silent(&mut self, start_ms: i64, changed: &mut Vec<Incident>) {
        if let Some(mut incident) = self.silent.take() {
            incident.end_ms = start_ms;
            incident.status = IncidentStatus::Closed;
            incident.transition += 1;
            incident.summary = format!(
                "the device was silent from {} to {}",
                model::time::format_ms(incident.start_ms),
                model::time::format_ms(start_ms)
            );
            changed.push(incident);
        }
    }

    /// Stuck and missing metrics of this state: new ones open, lasting ones grow, the others close.
    pub(crate) fn follow_conditions(
        &mut self,
        judged: &Judged<'_>,
        present: &[Condition],
        changed: &mut Vec<Incident>,
    ) {
        self.conditions.retain_mut(|incident| {
            if present.iter().any(|condition| condition.kind == incident.kind) {
                return true;
            }
            incident.status = IncidentStatus::Closed;
            incident.transition += 1;
            changed.push(incident.clone());
            false
        });
        for condition in present {
            let end_ms = judged.end_ms();
            if let Some(known) = self.conditions.iter_mut().find(|incident| incident.kind == condition.kind) {
                known.end_ms = end_ms;
                known.summary.clone_from(&condition.finding.text);
                changed.push(known.clone());
                continue;
            }
            let incident = Incident {
                kind: condition.kind.clone(),
                start_ms: condition.since_ms,
                end_ms,
                detected_ms: judged.start_ms,
                status: IncidentStatus::Open,
                transition: 1,
                severity: Severity::Info,
                peak_score: 0.5,
                peak_ms: judged.start_ms,
                methods: vec![Method::Statistics],
                contributions: vec![contribution(&condition.finding, 1.0)],
                summary: condition.finding.text.clone(),
                similar: Vec::new(),
            };
            self.conditions.push(incident.clone());
            changed.push(incident);
        }
    }

    /// The anomaly of this state, if any. `nearest` is asked for earlier states at a new peak.
    pub(crate) fn follow_anomaly(
        &mut self,
        config: &MonitorConfig,
        judged: &Judged<'_>,
        nearest: impl FnOnce() -> Vec<(i64, f64)>,
        changed: &mut Vec<Incident>,
    ) {
        match judged.consensus.severity {
            Some(severity) => self.anomalous(config, judged, severity, nearest, changed),
            None => self.quiet(config, changed),
        }
    }

    fn quiet(&mut self, config: &MonitorConfig, changed: &mut Vec<Incident>) {
        let Some(tracked) = &mut self.anomaly else { return };
        tracked.quiet += 1;
        tracked.age = tracked.age.saturating_add(1);
        if !tracked.open {
            if tracked.quiet >= FORGET_WINDOWS {
                self.anomaly = None;
            }
        } else if tracked.quiet >= config.clear_windows {
            self.close_anomaly("", changed);
        }
    }

    /// Closes the open anomaly; `why` is added to its summary.
    pub(crate) fn close_anomaly(&mut self, why: &str, changed: &mut Vec<Incident>) {
        if let Some(Tracked { mut incident, open: true, .. }) = self.anomaly.take() {
            incident.status = IncidentStatus::Closed;
            incident.transition += 1;
            incident.summary.push_str(why);
            changed.push(incident);
        }
    }

    fn anomalous(
        &mut self,
        config: &MonitorConfig,
        judged: &Judged<'_>,
        severity: Severity,
        nearest: impl FnOnce() -> Vec<(i64, f64)>,
        changed: &mut Vec<Incident>,
    ) {
        let tracked = self.anomaly.get_or_insert_with(|| Tracked {
            incident: Incident {
                kind: "anomaly".to_owned(),
                start_ms: judged.start_ms,
                end_ms: judged.end_ms(),
                detected_ms: judged.start_ms,
                status: IncidentStatus::Open,
                transition: 0,
                severity: Severity::Info,
                peak_score: -1.0,
                peak_ms: judged.start_ms,
                methods: Vec::new(),
                contributions: Vec::new(),
                summary: String::new(),
                similar: Vec::new(),
            },
            open: false,
            states: 0,
            firm: 0,
            quiet: 0,
            age: 0,
        });
        let rule = judged.votes[0];
        tracked.states = tracked.states.saturating_add(1);
        tracked.firm = tracked.firm.saturating_add(u32::from(rule || severity >= Severity::Warning));
        tracked.age = tracked.age.saturating_add(1);
        tracked.quiet = 0;
        let incident = &mut tracked.incident;
        incident.end_ms = judged.end_ms();
        let raised = severity > incident.severity;
        incident.severity = incident.severity.max(severity);
        for (method, vote) in Method::ALL.into_iter().zip(judged.votes) {
            if vote && !incident.methods.contains(&method) {
                incident.methods.push(method);
            }
        }
        incident.methods.sort_unstable();
        if judged.consensus.score > incident.peak_score {
            incident.peak_score = judged.consensus.score;
            incident.peak_ms = judged.start_ms;
            incident.contributions = rank(judged);
            incident.similar = nearest();
        }
        // A critical rule has its own confirmation.
        let at_once = rule && judged.verdicts[0].severity == Some(Severity::Critical);
        let confirmed = at_once
            || tracked.firm >= config.confirm_windows.max(1)
            || tracked.states >= config.info_confirm_windows.max(1);
        if tracked.open {
            if raised {
                incident.transition += 1;
            }
        } else if confirmed {
            tracked.open = true;
            incident.detected_ms = judged.start_ms;
            incident.transition = 1;
        } else {
            return;
        }
        incident.summary = summary(incident, judged);
        changed.push(incident.clone());
    }
}

fn contribution(finding: &Finding, share: f64) -> Contribution {
    Contribution {
        metric: finding.metric.clone().unwrap_or_default(),
        share,
        observed: finding.observed,
        expected: finding.expected,
        unit: finding.unit.clone(),
        kind: finding.kind.clone(),
    }
}

/// The metrics behind the votes, strongest first. A metric's weight is the square of its strongest finding in multiples of
/// the limit (a broken rule counts as three times), as the residuals' shares are.
fn rank(judged: &Judged<'_>) -> Vec<Contribution> {
    let mut ranked: Vec<(&Finding, f64)> = Vec::new();
    for (verdict, vote) in judged.verdicts.iter().zip(judged.votes) {
        if !vote {
            continue;
        }
        for finding in &verdict.findings {
            let Some(metric) = &finding.metric else { continue };
            let ratio = match verdict.method {
                Method::Rules => 3.0,
                _ if finding.limit > 0.0 => (finding.score / finding.limit).min(10.0),
                _ => 1.0,
            };
            match ranked.iter_mut().find(|(known, _)| known.metric.as_ref() == Some(metric)) {
                // A rule says what is wrong, a model also what was expected: the one with an expectation is shown.
                Some((known, weight)) => {
                    if known.expected.is_none() && finding.expected.is_some() {
                        *known = finding;
                    }
                    *weight = weight.max(ratio * ratio);
                }
                None => ranked.push((finding, ratio * ratio)),
            }
        }
    }
    let total: f64 = ranked.iter().map(|(_, weight)| weight).sum();
    ranked.sort_by(|left, right| right.1.total_cmp(&left.1));
    ranked.truncate(MOST_CONTRIBUTIONS);
    ranked.into_iter().map(|(finding, weight)| contribution(finding, weight / total)).collect()
}

fn summary(incident: &Incident, judged: &Judged<'_>) -> String {
    let methods: Vec<&str> = incident.methods.iter().map(|method| method.name()).collect();
    let rule = judged.verdicts[0].findings.first().filter(|_| judged.votes[0]).map(|finding| finding.text.as_str());
    let what = match (rule, incident.contributions.first()) {
        (Some(rule), _) => rule.to_owned(),
        (None, Some(strongest)) => {
            let mut text = format!("{} {:.2} {}", strongest.metric, strongest.observed, strongest.unit);
            text.truncate(text.trim_end().len());
            if let Some(expected) = strongest.expected {
                text.push_str(&format!(" where {expected:.2} is expected"));
            }
            match incident.contributions.len() {
                1 => {}
                2 => text.push_str(", one more metric"),
                more => text.push_str(&format!(", {} more metrics", more - 1)),
            }
            text
        }
        (None, None) => "a state unlike the device's normal ones".to_owned(),
    };
    format!("{what}; found by {}", methods.join(", "))
}
