//! A state as text, for a sentence model: in words relative to the device's own baseline, or the bare values.
//!
//! Words are coarse on purpose. A sentence model hardly sees numbers, and a service computes some ten texts a second and
//! core, so the texts of a healthy fleet have to repeat: a metric within its usual band is not named, others fall into two
//! bands on either side, in the order band, then name, so that the order of a device's slots plays no part.

use std::fmt::Write as _;

use model::{Judgement, Method, MetricKind};

use crate::Monitor;
use crate::baseline::Usual;

/// The kind of text that [`Monitor::words`] makes; the number rises when its wording changes.
pub const WORDS: &str = "words-1";
/// The kind of text that [`values`] makes.
pub const VALUES: &str = "values-1";

/// Spreads from the level at which a metric is no longer as usual.
const BEYOND: f64 = 2.0;
/// Spreads from the level at which it is far beyond.
const FAR: f64 = 3.5;
/// Tokens of a text at most. The models take 256 with their two marks; the rest is what the estimate may be wrong by.
const MOST_TOKENS: usize = 200;
/// Metrics a little off that are named; of more it is only said that there are several. What follows the load is off
/// together, in ever new sets: naming them all makes 1,959 texts of a day of eleven devices, half of them used once.
const MOST_MILD: usize = 2;
/// Bytes of a name at most: what a device calls its metrics is its own matter.
const LONGEST_NAME: usize = 48;

/// Words for what names are made of.
const LONG_FORMS: [(&str, &str); 9] = [
    ("temp", "temperature"),
    ("evap", "evaporator"),
    ("cond", "condenser"),
    ("vfd", "drive"),
    ("delta", "difference"),
    ("t", "temperature"),
    ("cop", "efficiency"),
    ("pct", "percentage"),
    ("dp", "pressure difference"),
];

/// Where a metric stands, the most remarkable first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Band {
    Broken,
    FarAbove,
    FarBelow,
    Missing,
    Stuck,
    Above,
    Below,
}

impl Band {
    const ALL: [Band; 7] =
        [Band::Broken, Band::FarAbove, Band::FarBelow, Band::Missing, Band::Stuck, Band::Above, Band::Below];

    fn of(spreads: f64) -> Option<Band> {
        match spreads {
            far if far >= FAR => Some(Band::FarAbove),
            far if far <= -FAR => Some(Band::FarBelow),
            above if above >= BEYOND => Some(Band::Above),
            below if below <= -BEYOND => Some(Band::Below),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Band::Broken => "broken rule",
            Band::FarAbove => "far above normal",
            Band::FarBelow => "far below normal",
            Band::Missing => "missing",
            Band::Stuck => "stuck",
            Band::Above => "above normal",
            Band::Below => "below normal",
        }
    }
}

impl Monitor {
    /// The state that was just judged, in words: what is on and off, then what is not as usual, the most remarkable
    /// first. ASCII, no ids, short enough for a model of 256 tokens; the same for states that differ by less than a band.
    /// `None` while nothing is known of what is usual.
    ///
    /// `judgement` is what [`Monitor::observe`] returned for it.
    pub fn words(&self, device_type: &str, judgement: &Judgement) -> Option<String> {
        let vector = judgement.vector.as_deref()?;
        let lasting = |kind: &str, name: &str| {
            let mut findings = judgement.verdicts.iter().flat_map(|verdict| &verdict.findings);
            findings.any(|finding| finding.kind == kind && finding.metric.as_deref() == Some(name))
        };
        let (mut switches, mut bands) = (Vec::new(), Vec::new());
        for (slot, name) in self.names().iter().enumerate() {
            let usual = self.usual(slot);
            let value = self.judged_value(slot);
            let band = if lasting("missing", name) {
                Some(Band::Missing)
            } else if lasting("stuck", name) {
                Some(Band::Stuck)
            } else if let Some(on) = usual.on(value).filter(|_| !value.is_nan()) {
                switches.push((switch_name(name), if on { "on" } else { "off" }));
                None
            } else {
                band_of(usual, vector[slot])
            };
            bands.extend(band.map(|band| (band, plain(name))));
        }
        let rules =
            judgement.verdicts.iter().filter(|verdict| verdict.method == Method::Rules && verdict.severity.is_some());
        bands.extend(rules.flat_map(|verdict| &verdict.findings).map(|finding| (Band::Broken, plain(&finding.kind))));
        switches.sort();
        bands.sort();
        bands.dedup();
        Some(compose(&plain(device_type), &switches, &bands))
    }
}

/// What people ask for is usual in each of its few values; only a measurement or a counter can stand out.
fn band_of(usual: &Usual, spreads: f64) -> Option<Band> {
    match usual.kind {
        MetricKind::Gauge | MetricKind::Counter => Band::of(spreads),
        MetricKind::Ambient | MetricKind::Status | MetricKind::Setpoint | MetricKind::Command | MetricKind::Derived => {
            None
        }
    }
}

fn compose(device_type: &str, switches: &[(String, &str)], bands: &[(Band, String)]) -> String {
    let mut text = device_type.to_owned();
    let mut tokens = tokens_of(device_type);
    let mut fits = |part: &str| {
        tokens += tokens_of(part) + 1;
        tokens <= MOST_TOKENS
    };
    // What stands out takes its place first, what is on and off what is left.
    let mut told = String::new();
    for band in Band::ALL {
        let mut names = bands.iter().filter(|(of, _)| *of == band).map(|(_, name)| name.as_str()).peekable();
        if names.peek().is_none() || !fits(band.name()) {
            continue;
        }
        let mut names: Vec<&str> = names.take_while(|name| fits(name)).collect();
        if matches!(band, Band::Above | Band::Below) && names.len() > MOST_MILD {
            names = vec!["several metrics"];
        }
        if !names.is_empty() {
            let _ = write!(told, ". {}: {}", band.name(), names.join(", ")); // a String takes everything
        }
    }
    for (name, state) in switches {
        if fits(name) {
            let _ = write!(text, ", {name} {state}");
        }
    }
    text + if bands.is_empty() { ". all as usual" } else { &told }
}

/// Tokens of a part, rather too many: a piece of a word has three letters or more, a name of no language a token a letter.
fn tokens_of(part: &str) -> usize {
    let word = |word: &str| {
        let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        let vowels = word.bytes().filter(|byte| b"aeiouy".contains(byte)).count();
        if letters && vowels * 5 >= word.len() { word.len().div_ceil(3) } else { word.len() }
    };
    part.split(' ').map(word).sum()
}

/// A name of the catalogue or a device as lower-case ASCII words.
fn plain(name: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut bytes = 0;
    let lower = name.to_ascii_lowercase();
    for word in lower.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let long = LONG_FORMS.iter().find(|(short, _)| *short == word).map_or(word, |(_, long)| long);
        bytes += long.len() + 1;
        if bytes > LONGEST_NAME {
            break;
        }
        words.push(long);
    }
    if words.is_empty() { "unnamed".to_owned() } else { words.join(" ") }
}

/// `compressor_status` is on or off as "compressor".
fn switch_name(name: &str) -> String {
    let stem = name.strip_suffix("_status").or_else(|| name.strip_suffix("_position"));
    plain(stem.filter(|stem| !stem.is_empty()).unwrap_or(name))
}

/// The bare values, two decimals, sorted by name: `RTU-001 fan_speed:1500.00 supply_air_temp:65.20`. Nearly every state has
/// a text of its own, so nothing repeats.
pub fn values(device_id: &str, metrics: &[(&str, f64)]) -> String {
    let mut sorted = metrics.to_vec();
    sorted.sort_by(|a, b| a.0.cmp(b.0));
    let mut text = device_id.to_owned();
    for (name, value) in sorted {
        let _ = write!(text, " {name}:{value:.2}"); // a String takes everything
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use proptest::prelude::*;

    fn text(switches: &[(&str, &str)], bands: &[(Band, &str)]) -> String {
        let switches: Vec<(String, String)> =
            switches.iter().map(|(name, state)| (switch_name(name), (*state).to_owned())).collect();
        let switches: Vec<(String, &str)> =
            switches.iter().map(|(name, state)| (name.clone(), state.as_str())).collect();
        let mut bands: Vec<(Band, String)> = bands.iter().map(|(band, name)| (*band, plain(name))).collect();
        bands.sort();
        compose(&plain("rooftop_unit"), &switches, &bands)
    }

    #[test]
    fn what_stands_out_comes_in_groups() {
        expect!["rooftop unit, compressor on, heating valve off. all as usual"]
            .assert_eq(&text(&[("compressor_status", "on"), ("heating_valve_position", "off")], &[]));
        let bands = [
            (Band::Below, "fan_current"),
            (Band::FarAbove, "supply_air_temp"),
            (Band::Below, "chilled_water_delta_t"),
            (Band::Missing, "cop"),
            (Band::Broken, "air_flow_low"),
        ];
        expect!["rooftop unit. broken rule: air flow low. far above normal: supply air temperature. missing: efficiency. below normal: chilled water difference temperature, fan current"]
            .assert_eq(&text(&[], &bands));
    }

    #[test]
    fn what_is_a_little_off_is_named_while_it_is_little() {
        let bands = [(Band::Above, "fan_speed"), (Band::Above, "fan_current"), (Band::Below, "cop")];
        expect!["rooftop unit. above normal: fan current, fan speed. below normal: efficiency"]
            .assert_eq(&text(&[], &bands));
        let more = [bands.as_slice(), &[(Band::Above, "supply_air_temp")]].concat();
        expect!["rooftop unit. above normal: several metrics. below normal: efficiency"].assert_eq(&text(&[], &more));
    }

    #[test]
    fn bands_are_half_open_on_the_side_of_the_usual() {
        let name = |spreads| Band::of(spreads).map(Band::name);
        assert_eq!(name(1.999), None);
        assert_eq!(name(2.0), Some("above normal"));
        assert_eq!(name(-2.0), Some("below normal"));
        assert_eq!(name(3.499), Some("above normal"));
        assert_eq!(name(-3.5), Some("far below normal"));
    }

    #[test]
    fn names_become_ascii_words() {
        expect!["temperature c 2"].assert_eq(&plain("Temp °C #2"));
        expect!["unnamed"].assert_eq(&plain("温度"));
        expect!["compressor"].assert_eq(&switch_name("compressor_status"));
        expect!["status"].assert_eq(&switch_name("_status"));
    }

    #[test]
    fn values_are_the_original_text() {
        expect!["RTU-001 fan_speed:1500.00 supply_air_temp:65.20"]
            .assert_eq(&values("RTU-001", &[("supply_air_temp", 65.2), ("fan_speed", 1_500.0)]));
    }

    #[test]
    fn what_does_not_fit_gives_way_to_what_stands_out_more() {
        let names: Vec<String> = (0..200).map(|at| format!("zone_{at:03}_supply_air_temp")).collect();
        let mut bands: Vec<(Band, &str)> = names.iter().map(|name| (Band::FarBelow, name.as_str())).collect();
        bands.push((Band::FarAbove, "water_flow"));
        let text = text(&[("pump_status", "on")], &bands);
        assert!(text.starts_with("rooftop unit"), "{text}");
        assert!(
            text.contains(". far above normal: water flow. far below normal: zone 000 supply air temperature, "),
            "{text}"
        );
        assert!(tokens_of(&text.replace([',', '.', ':'], "")) <= MOST_TOKENS, "{text}");
    }

    proptest! {
        /// Whatever devices call their metrics, a text is ASCII and short.
        #[test]
        fn texts_are_short_ascii(names in prop::collection::vec("\\PC{0,60}", 0..60)) {
            let bands: Vec<(Band, &str)> = names.iter().enumerate().map(|(at, name)| (Band::ALL[at % 7], name.as_str())).collect();
            let text = text(&[("\u{e9}t\u{e9}", "on")], &bands);
            prop_assert!(text.is_ascii());
            prop_assert!(text.len() < 3 * 256 + 200, "{}", text);
        }
    }
}
