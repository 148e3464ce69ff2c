//! What is expected of a metric: told before it is seen, of nothing while it is learned, and as wide as what may stay without being unusual.

mod fleet;

use fleet::{Noise, START_MS, WIDTH_MS, Watched, single};
use model::{Expected, Judgement, MetricKind, StateView};
use udfs::{Monitor, MonitorConfig};

/// One metric of a type that the catalogue lacks, under settings with which the fast average alone speaks.
struct One {
    monitor: Monitor,
    config: MonitorConfig,
    minute: i64,
}

impl One {
    fn new() -> One {
        let mut config = MonitorConfig { warm_up_windows: 200, ..MonitorConfig::default() };
        config.residual.drift_lambda = 0.0;
        config.relation.lambda = 0.0;
        One { monitor: Monitor::new("D-1"), config, minute: 0 }
    }

    fn observe(&mut self, value: f64) -> Judgement {
        let (names, metrics) = (["x".to_owned()], [Some(single(value))]);
        let state = StateView {
            start_ms: START_MS + self.minute * WIDTH_MS,
            width_ms: WIDTH_MS,
            device_type: None,
            names: &names,
            metrics: &metrics,
            peers: &[],
            peers_ms: 0,
            offset_ms: 0,
        };
        self.minute += 1;
        self.monitor.observe(&self.config, &state)
    }

    /// What is expected of the next window, were this its value.
    fn expected(&self, value: f64) -> Expected {
        let mut next = One { monitor: self.monitor.clone(), config: self.config.clone(), minute: self.minute };
        next.observe(value);
        next.monitor.expected()[0].expect("it is known")
    }
}

/// A metric that returns to its level, until it is known.
fn known() -> One {
    let (mut one, mut noise, mut value) = (One::new(), Noise::new(4), 20.0);
    for _ in 0..400 {
        value = 20.0 + 0.7 * (value - 20.0) + 0.5 * noise.normal();
        let learns = one.observe(value).verdicts[1].warm_up < 1.0;
        assert_eq!(one.monitor.expected().is_empty(), learns, "minute {}", one.minute);
    }
    one
}

#[test]
fn nothing_is_expected_while_it_is_learned_and_then_what_the_last_values_tell() {
    let mut one = known();
    for value in [20.0, 20.0] {
        one.observe(value);
    }
    let near = one.expected(20.0);
    assert!((near.value - 20.0).abs() < 0.3 && (0.5..2.5).contains(&near.band), "{near:?}");
    for value in [22.0, 22.0] {
        one.observe(value);
    }
    // Seven tenths of the way stay.
    let far = one.expected(20.0);
    assert!((far.value - 21.4).abs() < 0.4, "{far:?}");
}

#[test]
fn what_is_expected_does_not_depend_on_what_comes() {
    let one = known();
    assert_eq!(one.expected(20.0), one.expected(21.0));
    assert_eq!(one.expected(20.0), one.expected(-500.0));
}

/// The band is the limit: what stays within it is never a residual that is away, and what stays a little beyond it is.
#[test]
fn a_residual_is_away_where_a_metric_stays_beyond_the_band() {
    for (share, is_away) in [(0.95, false), (-0.95, false), (1.1, true), (-1.1, true)] {
        let mut one = known();
        let mut found = false;
        for _ in 0..60 {
            let Expected { value, band } = one.expected(20.0);
            let judgement = one.observe(value + share * band);
            found |= judgement.verdicts[1].findings.iter().any(|finding| finding.kind == "residual");
        }
        assert_eq!(found, is_away, "{share} of the band");
    }
}

/// Weather, set points, statuses, commands and counters are no answers of a device, and of a reading that is missing nothing is told.
#[test]
fn only_measurements_are_expected() {
    let mut watched = Watched::new("air_compressor", 5, true);
    (0..420).for_each(|_| drop(watched.step()));
    let kinds = |watched: &Watched| -> Vec<MetricKind> {
        let metrics = &model::Catalogue::builtin().types["air_compressor"].metrics;
        watched.names.iter().map(|name| metrics[name].kind).collect()
    };
    let kinds = kinds(&watched);
    assert!(kinds.contains(&MetricKind::Counter) && kinds.contains(&MetricKind::Gauge), "{kinds:?}");
    for (kind, expected) in kinds.iter().zip(watched.monitor.expected()) {
        assert_eq!(expected.is_some(), *kind == MetricKind::Gauge, "{kind:?}");
    }
    let gauge = kinds.iter().position(|kind| *kind == MetricKind::Gauge).unwrap();
    let mut values: Vec<Option<f64>> = watched.device.step().into_iter().map(Some).collect();
    values[gauge] = None;
    watched.observe(&values);
    let expected = watched.monitor.expected();
    assert!(expected[gauge].is_none() && expected.iter().any(Option::is_some), "{expected:?}");
}
