//! A device among its peers, as the monitor sees it.

use model::{Aggregate, Judgement, Peers, StateView};
use udfs::{Monitor, MonitorConfig, PeersConfig};

const WIDTH_MS: i64 = 60_000;

/// One device with one metric at 1 above its peers, which lie within 2 of each other.
struct Device {
    monitor: Monitor,
    config: MonitorConfig,
    minute: i64,
}

impl Device {
    fn new(peers: PeersConfig) -> Self {
        let config = MonitorConfig {
            warm_up_windows: 60,
            acquaint_windows: 0,
            info_confirm_windows: 3,
            rarity_decades: 3.0,
            peers,
            ..MonitorConfig::default()
        };
        let mut device = Device { monitor: Monitor::new("D-1"), config, minute: 0 };
        for _ in 0..300 {
            device.step(0.0, 0.0);
        }
        device
    }

    /// The device is `away` from its place, its type `moved` from its own.
    fn step(&mut self, away: f64, moved: f64) -> Judgement {
        self.minute += 1;
        let noise = f64::from(u32::try_from(self.minute * 7919 % 101).unwrap()) / 500.0;
        let value = 51.0 + away + noise;
        let metrics = [Some(Aggregate { last: value, mean: value, min: value, max: value, count: 1 })];
        let at = |apart: f64| 50.0 + moved + apart;
        let (lowest, lower, median, upper, highest) = (at(-1.0), at(-0.5), at(0.0), at(0.5), at(1.2));
        let state = StateView {
            start_ms: self.minute * WIDTH_MS,
            width_ms: WIDTH_MS,
            device_type: None,
            names: &["x".to_owned()],
            metrics: &metrics,
            peers: &[Some(Peers { devices: 9, lowest, lower, median, upper, highest })],
            peers_ms: (self.minute - 1) * WIDTH_MS,
            offset_ms: 0,
        };
        self.monitor.observe(&self.config, &state)
    }

    /// Ten states like that: the summaries of incidents and what was found, each once.
    fn ten(&mut self, away: f64, moved: f64) -> (Vec<String>, Vec<String>) {
        let (mut summaries, mut kinds) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let judgement = self.step(away, moved);
            summaries.extend(judgement.incidents.into_iter().map(|incident| incident.summary));
            for finding in judgement.verdicts.iter().flat_map(|verdict| &verdict.findings) {
                if !kinds.contains(&finding.kind) {
                    kinds.push(finding.kind.clone());
                }
            }
        }
        (summaries, kinds)
    }
}

/// Weather is no fault of one device, and a device that is alone still is.
#[test]
fn what_the_whole_type_does_opens_no_incident() {
    let (alone, _) = Device::new(PeersConfig::default()).ten(8.0, 0.0);
    let shown = alone.last().expect("it is found");
    assert!(shown.contains("(9 devices of its type: 50.00, middle half 49.50 to 50.50)"), "{shown}");
    let (together, kinds) = Device::new(PeersConfig::default()).ten(8.0, 8.0);
    assert_eq!(together, Vec::<String>::new());
    assert!(kinds.contains(&"whole_type".to_owned()), "{kinds:?}");
    let (together, _) = Device::new(PeersConfig { shared: 0.0, ..PeersConfig::default() }).ten(8.0, 8.0);
    assert!(!together.is_empty(), "without the comparison it is an incident");
}

/// The device stands still while its type moves away: nothing of its own past shows that.
#[test]
fn a_distance_that_never_was_can_speak_for_itself() {
    let peers = PeersConfig { decades: 5.0, after_windows: 100, ..PeersConfig::default() };
    let (summaries, kinds) = Device::new(peers).ten(0.0, -8.0);
    assert!(kinds.contains(&"peers".to_owned()) && !summaries.is_empty(), "{kinds:?} {summaries:?}");
    let (summaries, kinds) = Device::new(PeersConfig::default()).ten(0.0, -8.0);
    assert!(kinds.is_empty() && summaries.is_empty(), "{kinds:?} {summaries:?}");
}
