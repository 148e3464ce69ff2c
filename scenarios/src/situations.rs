//! The `[situations]` table of a case: every rule of a device type in ten situations, one device each.
//!
//! ```toml
//! [situations]
//! device_type = "rooftop_unit"
//! [situations.normal]                    # a sound machine that runs
//! fan_speed = 1200.0
//! [[situations.rule]]
//! id = "fan_not_running"
//! confirm_minutes = 5
//! settle_minutes = 20
//! guarded = true
//! metrics = ["fan_speed", "compressor_status"]
//! normal = {}                            # what is normal for this rule's devices alone
//! fault = [{ fan_speed = 0.0 }]          # the guard holds and the condition, too; where a condition has two ways, both
//! edges = [{ fan_speed = 400.0 }]        # on top of the first fault: one comparison exactly at its number, for each of them
//! off = [{ compressor_status = 0.0 }]    # on top of the first fault: one part of the guard is false, for each of them
//! ```
//! The device `RULE.SITUATION` sends what the rule needs and a metric that no rule knows, once a minute. What its rule must make of it
//! begins at [`FAULT_MS`]; before that it is sound for as long as the rule and the warm-up ask for.

mod send;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// 2026-03-02T10:00:00Z: where each situation begins.
pub const FAULT_MS: i64 = 1_772_445_600_000;

/// States after which the devices are known (`warm_up_windows` of the cases).
pub const WARM_UP_MINUTES: u32 = 12;

/// What lies behind a fault: long enough for its incident to close.
pub const QUIET_MINUTES: u32 = 18;

/// Minutes for which a fault lasts beyond its confirmation.
pub const LASTING_MINUTES: u32 = 10;

/// Minutes without any reading in [`Situation::Gap`].
pub const GAP_MINUTES: u32 = 3;

/// A metric that every device sends, so that it has a state where the rule's metrics are away.
pub const COMPANION: &str = "controller_load";

/// Values by metric.
pub type Point = BTreeMap<String, f64>;

/// What a device goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Situation {
    /// Nothing is wrong.
    Normal,
    /// The fault lasts for its confirm time and ten minutes more.
    Fault,
    /// Each comparison in turn is exactly at its number, with all others as in the fault.
    AtThreshold,
    /// Two readings a minute around the value, the later one behind the next minute's first.
    OutOfOrder,
    /// Every reading comes twice: first with what is wrong at that time, then with what is right.
    Duplicates,
    /// In the middle of the confirm time nothing comes for three minutes.
    Gap,
    /// Of five minutes one has three readings around the value, one none, one none of the rule's first metric.
    Irregular,
    /// Each of the rule's metrics in turn is away, with all others as in the fault.
    MissingMetric,
    /// The machine is off: each part of the guard in turn is false, with all else as in the fault.
    Off,
    /// The machine starts into the fault; without a guard, so does the device.
    StartUp,
}

impl Situation {
    /// All of them in order.
    pub const ALL: [Situation; 10] = [
        Situation::Normal,
        Situation::Fault,
        Situation::AtThreshold,
        Situation::OutOfOrder,
        Situation::Duplicates,
        Situation::Gap,
        Situation::Irregular,
        Situation::MissingMetric,
        Situation::Off,
        Situation::StartUp,
    ];

    /// Its name, as in a device's.
    pub fn name(self) -> &'static str {
        match self {
            Situation::Normal => "normal",
            Situation::Fault => "fault",
            Situation::AtThreshold => "at-threshold",
            Situation::OutOfOrder => "out-of-order",
            Situation::Duplicates => "duplicates",
            Situation::Gap => "gap",
            Situation::Irregular => "irregular",
            Situation::MissingMetric => "missing-metric",
            Situation::Off => "off",
            Situation::StartUp => "start-up",
        }
    }
}

/// The table.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Situations {
    /// Type of the devices.
    pub device_type: String,
    /// What a sound machine of the type shows while it runs.
    pub normal: Point,
    /// The rules.
    #[serde(rename = "rule")]
    pub rules: Vec<RulePoints>,
}

/// What a rule's devices send. Its times are written down once more, so that a change of the catalogue is seen.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulePoints {
    /// Its id.
    pub id: String,
    /// Its confirm time.
    pub confirm_minutes: u32,
    /// Its settle time.
    #[serde(default)]
    pub settle_minutes: u32,
    /// It has a guard.
    pub guarded: bool,
    /// All metrics that its condition and its guard name.
    pub metrics: Vec<String>,
    /// What differs from the type's normal values.
    #[serde(default)]
    pub normal: Point,
    /// One point a way to meet the condition.
    pub fault: Vec<Point>,
    /// One point a comparison.
    pub edges: Vec<Point>,
    /// One point a part of the guard; without a guard the one of a machine that is off.
    pub off: Vec<Point>,
}

impl Situations {
    /// Reads the table.
    ///
    /// # Errors
    /// It isn't of the format, or a rule's device would lack a value.
    pub fn parse(table: &toml::Table) -> Result<Situations, String> {
        let situations: Situations = table.clone().try_into().map_err(|error: toml::de::Error| error.to_string())?;
        for rule in &situations.rules {
            let lacks =
                |metric: &&&String| !situations.normal.contains_key(**metric) && !rule.normal.contains_key(**metric);
            if let Some(metric) = rule.sent().iter().find(lacks) {
                return Err(format!("rule {:?} has no normal value for {metric:?}", rule.id));
            }
            if rule.fault.is_empty() || rule.edges.is_empty() || rule.off.is_empty() || rule.metrics.is_empty() {
                return Err(format!("rule {:?} has no fault, no edges, no metrics, or is never off", rule.id));
            }
        }
        Ok(situations)
    }

    /// All messages, in the order of their arrival; the same table gives the same bytes.
    pub fn recording(&self) -> Vec<u8> {
        send::recording(self)
    }
}

impl RulePoints {
    /// The device of one of its situations.
    pub fn device(&self, situation: Situation) -> String {
        format!("{}.{}", self.id, situation.name())
    }

    /// All metrics that its devices send, besides the companion.
    fn sent(&self) -> BTreeSet<&String> {
        let points = self.fault.iter().chain(&self.edges).chain(&self.off);
        self.metrics.iter().chain(points.flat_map(Point::keys)).collect()
    }
}

/// What a case's `verdicts.txt` says of each device: when its rule is broken, in minutes after 10:00, as
/// `since:first-last/states`, or `-` for never.
///
/// # Errors
/// The first line that isn't a comment does not name the situations, or a rule lacks a cell.
pub fn written_verdicts(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split_whitespace());
    let head: Vec<&str> = lines.next().into_iter().flatten().skip(1).collect();
    if head != Situation::ALL.map(Situation::name) {
        return Err(format!("the first line names {head:?}, not the ten situations in their order"));
    }
    let mut cells = BTreeMap::new();
    for mut line in lines {
        let rule = line.next().unwrap_or_default();
        let row: Vec<&str> = line.collect();
        if row.len() != head.len() {
            return Err(format!("rule {rule:?} has {} cells for ten situations", row.len()));
        }
        cells.extend(head.iter().zip(row).map(|(situation, cell)| (format!("{rule}.{situation}"), cell.to_owned())));
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        device_type = "pump"
        normal = { speed = 100.0, on = 1.0 }
        [[rule]]
        id = "slow"
        confirm_minutes = 3
        settle_minutes = 2
        guarded = true
        metrics = ["speed", "on"]
        fault = [{ speed = 10.0 }]
        edges = [{ speed = 50.0 }]
        off = [{ on = 0.0 }]
    "#;

    #[test]
    fn ten_devices_a_rule_and_the_same_bytes_each_time() {
        let situations = Situations::parse(&TABLE.parse().unwrap()).unwrap();
        let bytes = situations.recording();
        assert_eq!(bytes, situations.recording());
        crate::case::check_recording("pump", &bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        for situation in Situation::ALL {
            assert!(text.contains(&format!("\"slow.{}\"", situation.name())), "{}", situation.name());
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let wrong = TABLE.replace(", on = 1.0", "");
        assert_eq!(
            Situations::parse(&wrong.parse().unwrap()).unwrap_err(),
            "rule \"slow\" has no normal value for \"on\""
        );
        let wrong = TABLE.replace("guarded = true", "");
        assert!(Situations::parse(&wrong.parse().unwrap()).unwrap_err().contains("missing field `guarded`"));
    }
}
