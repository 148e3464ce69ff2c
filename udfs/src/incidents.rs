//! Incidents: anomalous states joined into alarms with a start and an end.
//!
//! An anomaly is pending until enough of its states have come (few where two methods agree or a rule is broken, more where one
//! method speaks alone), then opens. It starts with the first window of the run that was confirmed (a rule's own confirmation
//! included), grows with every further anomalous one, and closes after enough quiet states. Windows without a state are neither: no news is no good news. A device has one anomaly at a
//! time; a stuck or missing metric and a silent device have incidents of their own.

mod bar;
mod conditions;
mod evidence;

use model::{Finding, Incident, IncidentStatus, Method, Peers, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;
use crate::consensus::Consensus;
use crate::{Broken, Criticality, MonitorConfig};
pub(crate) use bar::raised;
use bar::{Bars, held_back};
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
    /// Its bar in multiples of the usual one.
    factor: f64,
    /// It would have opened if its bar were the usual one.
    held: bool,
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
    bars: Bars,
    /// Conditions that a raised bar holds back, with how long they had lasted when they came.
    held: Vec<(String, i64)>,
    /// How much the device matters: not of the past, but as it is set.
    #[serde(skip)]
    criticality: Criticality,
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
    /// What its peers show, by slot.
    pub peers: &'a [Option<Peers>],
    /// The device is being worked on: nothing opens.
    pub maintenance: bool,
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

    /// States since the anomaly began that is open, or that a raised bar alone holds back.
    pub(crate) fn anomaly_age(&self) -> u32 {
        self.anomaly.as_ref().filter(|tracked| tracked.open || tracked.held).map_or(0, |tracked| tracked.age)
    }

    /// Those that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Incident> {
        let anomaly = self.anomaly.iter().filter(|tracked| tracked.open).map(|tracked| &tracked.incident);
        anomaly.chain(&self.conditions).chain(&self.silent)
    }

    /// People called the incident of this kind and first metric that began at `start_ms` a false positive.
    pub(crate) fn raise_bar(&mut self, kind: &str, metric: &str, start_ms: i64) {
        self.bars.raise(kind, metric, start_ms);
    }

    /// People called one of them a fault.
    pub(crate) fn lower_bar(&mut self, kind: &str, metric: &str) {
        self.bars.lower(kind, metric);
    }

    /// From now on the device matters so much.
    pub(crate) fn set_criticality(&mut self, criticality: Criticality) {
        self.criticality = criticality;
    }

    /// The bar for silence in multiples of the usual one.
    pub(crate) fn silent_factor(&self) -> f64 {
        self.bars.factor("silent", "")
    }

    /// The anomaly of this state, if any. `nearest` is asked for earlier states at a new peak.
    pub(crate) fn follow_anomaly(
        &mut self,
        config: &MonitorConfig,
        judged: &Judged<'_>,
        nearest: impl FnOnce() -> Vec<(i64, f64)>,
        changed: &mut Vec<Incident>,
        reasons: &mut Vec<Finding>,
    ) {
        if judged.maintenance && !self.is_anomaly_open() {
            // What is seen while people work on a device says nothing: what lasts beyond begins anew.
            self.anomaly = None;
            self.run.clear();
            self.ended_ms = Some(judged.end_ms());
            return;
        }
        self.follow_run(judged);
        match judged.consensus.severity {
            Some(severity) => self.anomalous(config, judged, severity, nearest, changed, reasons),
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
        reasons: &mut Vec<Finding>,
    ) {
        let tracked = self.anomaly.get_or_insert_with(|| Tracked::new(judged));
        let rule = judged.votes[0];
        let severity = self.criticality.weigh(severity, judged.verdicts[0].severity.filter(|_| rule));
        tracked.states = tracked.states.saturating_add(1);
        // A strong voice makes an alarm graver, but not sooner: transients are strong, and short.
        let agreed = judged.votes.iter().filter(|vote| **vote).count() >= 2;
        tracked.firm = tracked.firm.saturating_add(u32::from(rule || agreed));
        tracked.age = tracked.age.saturating_add(1);
        tracked.quiet = 0;
        let incident = &mut tracked.incident;
        incident.end_ms = judged.end_ms();
        let is_raised = severity > incident.severity;
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
        let (firm, states) = (tracked.firm, tracked.states);
        let confirmed = |factor| {
            firm >= raised(config.confirm_windows.max(1), factor)
                || states >= raised(config.info_confirm_windows.max(1), factor)
        };
        let usually = at_once || confirmed(1.0);
        if tracked.open {
            if is_raised {
                incident.transition += 1;
            }
            tracked.evidence.see(judged);
        } else {
            let voting =
                judged.since_ms.into_iter().zip(judged.votes).filter_map(|(since_ms, vote)| since_ms.filter(|_| vote));
            let since_ms = voting.min().unwrap_or(judged.start_ms).min(incident.start_ms);
            incident.start_ms = since_ms.max(self.ended_ms.unwrap_or(since_ms));
            // A broken rule is no stronger one time than another: it has to last longer.
            let (metric, ratio, ruled) = tracked.evidence.leading();
            let factor = self.bars.factor("anomaly", metric);
            let strong = ruled || ratio >= factor;
            let opens = usually && (at_once || factor <= 1.0 || (strong && confirmed(factor)));
            if usually && !opens {
                let what = match strong {
                    true => format!("{states} states speak for it"),
                    false => format!("{metric} is at {ratio:.2} times its limit"),
                };
                reasons.push(held_back(metric, ratio, factor, &what));
            }
            tracked.held = usually && !opens;
            if opens {
                tracked.factor = if at_once { 1.0 } else { factor };
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
            // Its own first states are no earlier ones.
            incident.similar = nearest();
            incident.similar.retain(|(at_ms, _)| *at_ms < incident.start_ms);
        }
        (incident.contributions, incident.peak_ms) = (contributions, peak_ms);
        if tracked.open {
            incident.summary = tracked.evidence.summary(incident, judged.width_ms);
            if tracked.factor > 1.0 {
                let factor = tracked.factor;
                incident
                    .summary
                    .push_str(&format!("; above a bar of {factor:.2} times the usual after a false positive"));
            }
            incident.summary.push_str(self.criticality.note());
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
            factor: 1.0,
            held: false,
        }
    }
}
