//! Faults: each shows where its label says, severities scale it, and they come where and as often as asked.

use super::*;

fn fault(kind: FaultKind, severity: FaultSeverity) -> FaultRequest {
    FaultRequest {
        device_id: "X-1".to_owned(),
        kind,
        severity,
        start: FaultStart::After(HOUR_MS),
        duration_ms: 2 * HOUR_MS,
        metric: None,
    }
}

/// Every kind moves the first of its labelled metrics by more than noise does, from its start on and not before.
#[test]
fn every_fault_shows_in_its_labelled_metrics() {
    for kind in DeviceKind::ALL {
        // Warm enough that rooftop units cool.
        let climate = Climate { mean_f: 85.0, day_swing_f: 5.0, ..Climate::default() };
        let features = Features { climate, ..Features::default() };
        let options = Options { features, ..noon(3 * HOUR_MS + 600_000) };
        let healthy = readings(&run(&one(kind), &options).0);
        for fault_kind in FaultKind::of(kind) {
            let mut options = options.clone();
            options.faults.requests = vec![fault(fault_kind, FaultSeverity::Severe)];
            let (messages, labels, _) = run(&one(kind), &options);
            let broken = readings(&messages);
            let what = format!("{} {}", kind.name(), fault_kind.name());
            assert_eq!(labels.len(), 1, "{what}");
            let label = &labels[0];
            assert_eq!((label.fault.as_str(), label.severity.as_str()), (fault_kind.name(), "severe"));
            assert_eq!(label.end_ms - label.start_ms, 2 * HOUR_MS);
            let before = |key: &(String, String, i64)| key.2 < label.start_ms;
            assert!(
                healthy
                    .iter()
                    .filter(|(key, _)| before(key))
                    .all(|(key, value)| broken[key].to_bits() == value.to_bits())
            );
            assert!(!label.metrics.is_empty(), "{what}");
            for metric in &label.metrics {
                let spec = &kind.metrics()[kind.metric_index(metric).unwrap()];
                let during: Vec<_> = healthy
                    .iter()
                    .filter(|(key, _)| key.1 == *metric && (label.start_ms..label.end_ms).contains(&key.2))
                    .collect();
                let missing = during.iter().filter(|(key, _)| !broken.contains_key(*key)).count();
                let moved = during
                    .iter()
                    .filter_map(|(key, value)| broken.get(*key).map(|other| (other - *value).abs()))
                    .fold(0.0, f64::max);
                let shows = match fault_kind {
                    FaultKind::MissingMetric | FaultKind::SilentDevice => missing == during.len(),
                    // The healthy one moves, the stuck one does not.
                    FaultKind::StuckSensor => {
                        let values: BTreeSet<u64> = during.iter().map(|(key, _)| broken[*key].to_bits()).collect();
                        values.len() == 1
                    }
                    _ => missing == 0 && moved > 4.0 * spec.sigma && moved > 0.5 * f64::from(spec.is_switch()),
                };
                assert!(shows, "{what}: {metric} moved {moved}, missing {missing} of {}", during.len());
            }
        }
    }
}

#[test]
fn severities_scale_the_effect() {
    let mean = |severity: FaultSeverity| {
        let mut options = noon(3 * HOUR_MS);
        options.faults.requests = vec![fault(FaultKind::Overheating, severity)];
        let readings = readings(&run(&one(DeviceKind::AirCompressor), &options).0);
        let from_ms = options.start_ms + 2 * HOUR_MS;
        let values: Vec<f64> =
            readings.iter().filter(|(key, _)| key.1 == "discharge_temp" && key.2 >= from_ms).map(|(_, v)| *v).collect();
        values.iter().sum::<f64>() / values.len() as f64
    };
    let means = FaultSeverity::ALL.map(mean);
    assert!(means[0] > 208.0 && means[1] > means[0] + 8.0 && means[2] > means[1] + 8.0, "{means:?}");
}

#[test]
fn marked_devices_break_soon_and_only_they() {
    let options = Options { duration_ms: Some(HOUR_MS), ..Options::default() };
    let (_, labels, _) = run(&Fleet::default_eleven(), &options);
    assert!(labels.iter().all(|label| label.device_id == "RTU-001") && !labels.is_empty(), "{labels:?}");
    assert!(labels[0].start_ms < options.start_ms + 20 * 60_000);
    let mut more = options.clone();
    more.faults.marked_devices = vec!["CH-002".to_owned()];
    let devices: BTreeSet<String> =
        run(&Fleet::default_eleven(), &more).1.into_iter().map(|label| label.device_id).collect();
    assert_eq!(devices.into_iter().collect::<Vec<_>>(), ["CH-002", "RTU-001"]);
    more.faults.enabled = false;
    assert!(run(&Fleet::default_eleven(), &more).1.is_empty());
}

#[test]
fn random_faults_come_at_their_rate() {
    let mut options = quiet(7 * 24 * HOUR_MS);
    options.period_ms = 600_000;
    options.faults.per_device_week = 5.0;
    let (_, labels, _) = run(&Fleet::generate(40, 3).unwrap(), &options);
    assert!((150..230).contains(&labels.len()), "{}", labels.len());
    let kinds: BTreeSet<&str> = labels.iter().map(|label| label.fault.as_str()).collect();
    assert!(kinds.len() > 18, "{kinds:?}");
    assert!(labels.windows(2).all(|pair| pair[0].start_ms <= pair[1].start_ms));
}
