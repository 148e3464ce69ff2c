//! Incidents: anomalous states joined into alarms with a start and an end.
//!
//! An anomaly is pending until enough of its states have come (few where two methods agree or a rule is broken, more where one
//! method speaks alone), then opens. It starts with the first window of the run that was confirmed (a rule's own confirmation
//! included), grows with every further anomalous one, and closes after enough quiet states. Windows without a state are neither: no news is no good news. A device has one anomaly at a
//! time; a stuck or missing metric and a silent device have incidents of their own.

mod evidence;

use model::{Contribution, Finding, Incident, IncidentStatus, Method, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;
use crate::consensus::Consensus;
use crate::{Broken, Condition, MonitorConfig};
pub(crate) use evidence::length;
use evidence::{Evidence, Run};

/// Earlier states kept with an incident.
pub(crate) const MOST_SIMILAR: usize = 5;
/// Quiet states after which an unconfirmed anomaly is forgotten.
const FORGET_WINDOWS: u32 = 3;

/// An incident that is pending or open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Tracked {
    incident: Incident,
    evidence: Evidence,
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
    /// Windows since the first sign of what is not open yet.
    run: Run,
    /// End of the last anomaly: the next one starts no earlier.
    ended_ms: Option<i64>,
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
    /// By method: start of the first window of what it has found or is about to confirm.
    pub since_ms: [Option<i64>; 4],
    /// The gravest broken rule.
    pub rule: Option<&'a Broken>,
    pub names: &'a [String],
    /// Values by slot as people see them; not a number where there is none.
    pub values: &'a [f64],
    /// What is usual, by slot.
    pub usual: &'a [Usual],
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
        self.follow_run(judged);
        match judged.consensus.severity {
            Some(severity) => self.anomalous(config, judged, severity, nearest, changed),
            None => self.quiet(config, judged, changed),
        }
    }

    /// Holds the windows of what may become an incident.
    fn follow_run(&mut self, judged: &Judged<'_>) {
        if self.is_anomaly_open() {
            return;
        }
        let pending = self.anomaly.as_ref().map(|tracked| tracked.incident.start_ms);
        match judged.since_ms.into_iter().chain([pending]).flatten().min() {
            Some(since_ms) => self.run.add(since_ms, judged.start_ms, judged.values),
            None => self.run.clear(),
        }
    }

    fn quiet(&mut self, config: &MonitorConfig, judged: &Judged<'_>, changed: &mut Vec<Incident>) {
        let Some(tracked) = &mut self.anomaly else { return };
        tracked.quiet += 1;
        tracked.age = tracked.age.saturating_add(1);
        if !tracked.open {
            if tracked.quiet >= FORGET_WINDOWS {
                self.anomaly = None;
            }
        } else if tracked.quiet >= config.clear_windows {
            self.close_anomaly("", changed);
        } else {
            tracked.evidence.see_quiet(judged);
        }
    }

    /// Closes the open anomaly; `why` is added to its summary.
    pub(crate) fn close_anomaly(&mut self, why: &str, changed: &mut Vec<Incident>) {
        if let Some(Tracked { mut incident, open: true, .. }) = self.anomaly.take() {
            self.ended_ms = Some(incident.end_ms);
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
        let tracked = self.anomaly.get_or_insert_with(|| Tracked::new(judged));
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
        tracked.evidence.accuse(judged);
        // A critical rule has its own confirmation.
        let at_once = rule && judged.verdicts[0].severity == Some(Severity::Critical);
        let confirmed = at_once
            || tracked.firm >= config.confirm_windows.max(1)
            || tracked.states >= config.info_confirm_windows.max(1);
        if tracked.open {
            if raised {
                incident.transition += 1;
            }
            tracked.evidence.see(judged);
        } else {
            let voting =
                judged.since_ms.into_iter().zip(judged.votes).filter_map(|(since_ms, vote)| since_ms.filter(|_| vote));
            let since_ms = voting.min().unwrap_or(judged.start_ms).min(incident.start_ms);
            incident.start_ms = since_ms.max(self.ended_ms.unwrap_or(since_ms));
            if confirmed {
                tracked.open = true;
                incident.detected_ms = judged.start_ms;
                incident.transition = 1;
                tracked.evidence.see_run(self.run.extremes(incident.start_ms));
                self.run.clear();
            }
        }
        let (contributions, peak_ms) = tracked.evidence.rank();
        // Where no metric can be named, the peak is where the methods agreed most.
        let higher = judged.consensus.score > incident.peak_score;
        incident.peak_score = incident.peak_score.max(judged.consensus.score);
        let peak_ms = peak_ms.unwrap_or(if higher { judged.start_ms } else { incident.peak_ms });
        if peak_ms != incident.peak_ms || incident.similar.is_empty() {
            incident.similar = nearest();
        }
        (incident.contributions, incident.peak_ms) = (contributions, peak_ms);
        if tracked.open {
            incident.summary = tracked.evidence.summary(incident, judged.width_ms);
            changed.push(incident.clone());
        }
    }
}

impl Tracked {
    fn new(judged: &Judged<'_>) -> Self {
        Tracked {
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
            evidence: Evidence::default(),
            open: false,
            states: 0,
            firm: 0,
            quiet: 0,
            age: 0,
        }
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
