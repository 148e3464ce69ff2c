//! What people say of a device and what the monitor makes of it.

mod fleet;

use fleet::{START_MS, WIDTH_MS, Watched};
use model::{Incident, IncidentStatus};

/// Steps through a fault from minute 480 on; the first anomaly that opens with its minute, and all reasons why none did.
fn through(
    kind: &'static str,
    fault: &'static str,
    mut before: impl FnMut(usize, &mut Watched),
) -> (Option<(usize, Incident)>, Vec<String>) {
    let mut watched = Watched::new(kind, 21, true);
    let mut reasons = Vec::new();
    for minute in 0..840 {
        before(minute, &mut watched);
        watched.device.fault = if minute >= 480 { fault } else { "" };
        let judgement = watched.step();
        let findings = judgement.verdicts.iter().flat_map(|verdict| &verdict.findings);
        reasons.extend(
            findings.filter(|f| ["raised_bar", "maintenance"].contains(&f.kind.as_str())).map(|f| f.text.clone()),
        );
        let opened = judgement.incidents.into_iter().find(|incident| incident.kind == "anomaly");
        if let Some(incident) = opened {
            return (Some((minute, incident)), reasons);
        }
    }
    (None, reasons)
}

#[test]
fn a_false_positive_holds_its_pattern_back_and_says_so_but_not_for_good() {
    let (usual, reasons) = through("chiller", "fouled_condenser", |_, _| {});
    let (usual_minute, usual) = usual.expect("the fault is found");
    assert_eq!(reasons, [""; 0]);
    let metric = usual.contributions[0].metric.clone();
    let raise = |times: i64| {
        let metric = metric.clone();
        move |minute: usize, watched: &mut Watched| {
            if minute == 470 {
                (0..times).for_each(|time| watched.monitor.raise_bar("anomaly", &metric, time));
            }
        }
    };
    let (once, reasons) = through("chiller", "fouled_condenser", raise(1));
    let (once_minute, once) = once.expect("a raised bar is no silence");
    assert!(once_minute > usual_minute, "{once_minute} {usual_minute}");
    assert!(
        reasons[0].starts_with("no incident yet: the bar is 1.50 times the usual after a false positive"),
        "{reasons:?}"
    );
    assert!(once.summary.ends_with("; above a bar of 1.50 times the usual after a false positive"), "{}", once.summary);
    let (often, _) = through("chiller", "fouled_condenser", raise(20));
    let (often_minute, often) = often.expect("the bar has an upper end");
    assert!(often_minute >= once_minute && often.summary.contains("4.00 times"), "{often_minute} {}", often.summary);
    let lowered = through("chiller", "fouled_condenser", |minute, watched| {
        raise(3)(minute, watched);
        if minute == 475 {
            watched.monitor.lower_bar("anomaly", &metric);
        }
    });
    assert_eq!(lowered, (Some((usual_minute, usual)), Vec::new()));
}

#[test]
fn in_maintenance_nothing_opens_and_what_lasts_beyond_begins_behind_it() {
    let (found, reasons) = through("rooftop_unit", "fan_failure", |minute, watched| {
        watched.monitor.set_maintenance((470..600).contains(&minute));
    });
    let (minute, incident) = found.expect("it lasts beyond");
    let (usual, _) = through("rooftop_unit", "fan_failure", |_, _| {});
    assert!(usual.is_some_and(|(usual, _)| (480..600).contains(&usual)) && minute >= 600, "{minute}");
    assert!((incident.start_ms - START_MS) / WIDTH_MS >= 600, "{incident:?}");
    assert_eq!((incident.status, reasons.len()), (IncidentStatus::Open, 130));
}
