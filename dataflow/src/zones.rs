//! The clocks of a job's devices: how far each building's is from UTC in a window.
//!
//! What is usual for an hour or a weekend goes by the clock that people live by. A clock's distance from UTC is looked up when it
//! changes, twice a year, and remembered until then: a window costs two comparisons.

use std::collections::BTreeMap;

use model::zone::{Span, Zone, rules_version};

use crate::config::nearest;
use crate::settings::JobSettings;

/// The zone where nobody says anything else.
pub const UTC: &str = "UTC";

/// The clocks of all buildings.
#[derive(Clone, Debug)]
pub struct Zones {
    /// The first one is that of all buildings that are not named.
    clocks: Vec<Clock>,
    by_building: BTreeMap<String, usize>,
}

/// A zone, and its distance from UTC as it was last.
#[derive(Clone, Debug)]
struct Clock {
    zone: Zone,
    span: Span,
}

impl Clock {
    fn offset_ms(&mut self, time_ms: i64) -> i64 {
        if time_ms < self.span.from_ms || time_ms >= self.span.until_ms {
            self.span = self.zone.span_at(time_ms);
        }
        self.span.offset_ms
    }
}

impl Zones {
    /// From the settings.
    ///
    /// # Errors
    /// Names the setting whose value is no time zone, with the nearest one.
    pub fn of(settings: &JobSettings) -> Result<Zones, String> {
        let clock = |setting: &str, name: &str| -> Result<Clock, String> {
            let zone = Zone::named(name).map_err(|error| {
                let names: Vec<String> = Zone::names().map(str::to_owned).collect();
                format!("setting {setting:?}: {error}{}", nearest(name, &names, ""))
            })?;
            let span = zone.span_at(0);
            Ok(Clock { zone, span })
        };
        let mut zones = Zones { clocks: vec![clock("time_zone", &settings.time_zone)?], by_building: BTreeMap::new() };
        for (building, name) in &settings.time_zones {
            let clock = clock(&format!("time_zones.{building}"), name)?;
            let known = zones.clocks.iter().position(|known| known.zone.name() == clock.zone.name());
            let at = known.unwrap_or(zones.clocks.len());
            if known.is_none() {
                zones.clocks.push(clock);
            }
            zones.by_building.insert(building.clone(), at);
        }
        Ok(zones)
    }

    /// What is added to UTC to get the time on the clock of a building, in milliseconds.
    pub fn offset_ms(&mut self, building: Option<&str>, time_ms: i64) -> i64 {
        let at = building.and_then(|building| self.by_building.get(building)).copied().unwrap_or(0);
        self.clocks[at].offset_ms(time_ms)
    }

    /// What decides results, as the end of a text; empty where all clocks show UTC. The version of the rules is part of it.
    pub fn meaning(&self) -> String {
        let usual = self.clocks[0].zone.name();
        let others = self.by_building.iter().map(|(building, at)| (building.as_str(), self.clocks[*at].zone.name()));
        let others: Vec<(&str, &str)> = others.filter(|(_, name)| *name != usual).collect();
        if usual == UTC && others.is_empty() {
            return String::new();
        }
        let hash = model::hash::hash_text(&format!("{usual} {others:?}"));
        format!(" time_zones={hash:016x}@{}", rules_version())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(usual: &str, others: &[(&str, &str)]) -> JobSettings {
        JobSettings {
            time_zone: usual.to_owned(),
            time_zones: others.iter().map(|(building, zone)| ((*building).to_owned(), (*zone).to_owned())).collect(),
            ..JobSettings::default()
        }
    }

    #[test]
    fn each_building_has_its_clock_and_the_others_the_common_one() {
        let mut zones = Zones::of(&settings("America/Chicago", &[("b", "Asia/Kathmandu"), ("u", "utc")])).unwrap();
        let hour_ms = 3_600_000;
        let at = |text: &str| model::time::parse_rfc3339(text).unwrap();
        // Back and forth, so that what is remembered is asked for outside its time, too.
        for _ in 0..2 {
            for (time, chicago) in [
                ("2026-03-08T07:59:00Z", -6),
                ("2026-03-08T08:00:00Z", -5),
                ("2026-11-01T06:59:00Z", -5),
                ("2026-11-01T07:00:00Z", -6),
            ] {
                assert_eq!(zones.offset_ms(None, at(time)), chicago * hour_ms, "{time}");
                assert_eq!(zones.offset_ms(Some("elsewhere"), at(time)), chicago * hour_ms, "{time}");
                assert_eq!(zones.offset_ms(Some("b"), at(time)), 5 * hour_ms + 45 * 60_000);
                assert_eq!(zones.offset_ms(Some("u"), at(time)), 0);
            }
        }
    }

    #[test]
    fn only_zones_that_are_set_have_a_meaning_and_it_names_their_rules() {
        let meaning = |usual: &str, others: &[(&str, &str)]| Zones::of(&settings(usual, others)).unwrap().meaning();
        assert_eq!(meaning("UTC", &[]), "");
        assert_eq!(meaning("utc", &[("b", "UTC")]), "");
        let chicago = meaning("America/Chicago", &[]);
        assert!(chicago.ends_with(&format!("@{}", rules_version())) && !chicago[1..].contains(' '), "{chicago}");
        assert_eq!(chicago, meaning("america/chicago", &[("b", "America/Chicago")]));
        assert_ne!(chicago, meaning("UTC", &[("b", "America/Chicago")]));
        assert_ne!(chicago, meaning("America/Chicago", &[("b", "UTC")]));
    }

    #[test]
    fn what_is_no_zone_is_said_with_the_nearest() {
        let said = |usual: &str, others: &[(&str, &str)]| Zones::of(&settings(usual, others)).unwrap_err();
        expect_test::expect![[r#"setting "time_zone": time zone "America/Chicaho" is none of the IANA database, which has names such as "America/Chicago" and "UTC"; did you mean "America/Chicago"?"#]].assert_eq(&said("America/Chicaho", &[]));
        expect_test::expect![[r#"setting "time_zones.bldg-001": time zone "+05:45" is none of the IANA database, which has names such as "America/Chicago" and "UTC""#]].assert_eq(&said("UTC", &[("bldg-001", "+05:45")]));
    }
}
