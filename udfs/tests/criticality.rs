//! What an incident is where its device matters much or little.

mod fleet;

use fleet::{WIDTH_MS, Watched};
use model::{Incident, Method, Severity};
use udfs::Criticality;

/// All that comes of a day with a fault from minute 480 to 700 and a silence at its end.
fn day(kind: &'static str, fault: &'static str, criticality: Criticality) -> Vec<Incident> {
    let mut watched = Watched::new(kind, 21, true);
    let mut all = Vec::new();
    for minute in 0..840 {
        watched.device.fault = if (480..700).contains(&minute) { fault } else { "" };
        watched.monitor.set_criticality(criticality);
        all.extend(watched.step().incidents);
    }
    all.extend(watched.monitor.silent(&watched.config, watched.start_ms + 5 * WIDTH_MS, WIDTH_MS));
    watched.start_ms += 10 * WIDTH_MS;
    all.extend(watched.step().incidents);
    all
}

/// A step up, or one down that a broken rule may hold.
fn moved(incident: &Incident, criticality: Criticality) -> Vec<Severity> {
    use Severity::{Critical, Info, Warning};
    match (criticality, incident.severity) {
        (Criticality::Normal, severity) => vec![severity],
        (Criticality::High, Info) => vec![Warning],
        (Criticality::High, _) => vec![Critical],
        (Criticality::Low, severity) if incident.methods.contains(&Method::Rules) => {
            vec![severity, severity.min(Warning)]
        }
        (Criticality::Low, Critical) => vec![Warning],
        (Criticality::Low, _) => vec![Info],
    }
}

#[test]
fn severity_is_shifted_and_said_and_nothing_else_changes() {
    let mut severities = Vec::new();
    for (kind, fault) in [("chiller", "fouled_condenser"), ("rooftop_unit", "fan_failure")] {
        let usual = day(kind, fault, Criticality::Normal);
        assert!(usual.iter().any(|one| one.kind == "anomaly") && usual.iter().any(|one| one.kind == "silent"));
        for criticality in [Criticality::Low, Criticality::High] {
            let shifted = day(kind, fault, criticality);
            assert_eq!(shifted.len(), usual.len());
            for (usual, shifted) in usual.iter().zip(shifted) {
                assert!(moved(usual, criticality).contains(&shifted.severity), "{usual:?} {shifted:?}");
                let note = format!(
                    "; its severity takes into account that the device's criticality is {}",
                    criticality.name()
                );
                let summary = shifted.summary.replace(&note, "");
                assert_eq!(shifted.summary.matches(&note).count(), 1, "{}", shifted.summary);
                let (severity, transition) = (usual.severity, usual.transition);
                assert_eq!(Incident { severity, transition, summary, ..shifted }, *usual);
            }
        }
        severities.extend(usual.iter().map(|one| (one.kind.clone(), one.severity)));
    }
    // All of what can be shifted was there.
    for wanted in [("anomaly", Severity::Warning), ("anomaly", Severity::Critical), ("silent", Severity::Warning)] {
        assert!(severities.iter().any(|(kind, severity)| (kind.as_str(), *severity) == wanted), "{wanted:?}");
    }
}
