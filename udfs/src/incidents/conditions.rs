//! What has an incident of its own: a stuck or missing metric, and a silent device.

use model::{Contribution, Finding, Incident, IncidentStatus, Method, Severity};

use super::bar::held_back;
use super::{Incidents, Judged};
use crate::Condition;

impl Incidents {
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
            severity: self.criticality.weigh(Severity::Warning, None),
            peak_score: 1.0,
            peak_ms: start_ms,
            methods: vec![Method::Statistics],
            contributions: Vec::new(),
            summary: format!(
                "the device is silent since {}{}",
                model::time::format_ms(since_ms),
                self.criticality.note()
            ),
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
                "the device was silent from {} to {}{}",
                model::time::format_ms(incident.start_ms),
                model::time::format_ms(start_ms),
                self.criticality.note()
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
        reasons: &mut Vec<Finding>,
    ) {
        self.held.retain(|(kind, _)| present.iter().any(|condition| condition.kind == *kind));
        self.conditions.retain_mut(|incident| {
            if present.iter().any(|condition| condition.kind == incident.kind) {
                return true;
            }
            incident.status = IncidentStatus::Closed;
            incident.transition += 1;
            changed.push(incident.clone());
            false
        });
        let criticality = self.criticality;
        for condition in present {
            let end_ms = judged.end_ms();
            let summary = || format!("{}{}", condition.finding.text, criticality.note());
            if let Some(known) = self.conditions.iter_mut().find(|incident| incident.kind == condition.kind) {
                known.end_ms = end_ms;
                let strength = strength(&condition.finding);
                if strength >= known.peak_score {
                    (known.peak_score, known.peak_ms) = (strength, judged.start_ms);
                    known.contributions = contributions(&condition.finding);
                    known.summary = summary();
                }
                changed.push(known.clone());
                continue;
            }
            if judged.maintenance {
                continue;
            }
            let metric = condition.finding.metric.as_deref().unwrap_or_default();
            let factor = self.bars.factor(&condition.kind, metric);
            if factor > 1.0 {
                let lasts_ms = end_ms.saturating_sub(condition.since_ms);
                let at = self.held.iter().position(|(kind, _)| *kind == condition.kind).unwrap_or(self.held.len());
                if at == self.held.len() {
                    self.held.push((condition.kind.clone(), lasts_ms));
                }
                #[expect(clippy::cast_precision_loss, reason = "spans of event time are far below 2^53 ms")]
                let ratio = lasts_ms as f64 / self.held[at].1.max(1) as f64;
                if ratio < factor {
                    let what = format!("it lasts {ratio:.2} times as long as usually suffices");
                    reasons.push(held_back(metric, ratio, factor, &what));
                    continue;
                }
            }
            let incident = Incident {
                kind: condition.kind.clone(),
                start_ms: condition.since_ms,
                end_ms,
                detected_ms: judged.start_ms,
                status: IncidentStatus::Open,
                transition: 1,
                severity: criticality.weigh(Severity::Info, None),
                peak_score: strength(&condition.finding),
                peak_ms: judged.start_ms,
                methods: vec![Method::Statistics],
                contributions: contributions(&condition.finding),
                summary: summary(),
                similar: Vec::new(),
            };
            self.conditions.push(incident.clone());
            changed.push(incident);
        }
    }
}

/// How bad it is: the share of what is lost or leaps; what is told by its length is as bad as ever while it lasts. An incident tells of the
/// worst, not of the last windows, in which a share is all but over.
fn strength(finding: &Finding) -> f64 {
    if finding.score <= 1.0 { finding.score } else { 0.5 }
}

/// The metric that it is about; the device as a whole has none.
fn contributions(finding: &Finding) -> Vec<Contribution> {
    let of = |metric: &String| Contribution {
        metric: metric.clone(),
        share: 1.0,
        observed: finding.observed,
        expected: finding.expected,
        unit: finding.unit.clone(),
        kind: finding.kind.clone(),
    };
    finding.metric.iter().map(of).collect()
}
