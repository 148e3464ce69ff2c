//! The settings that decide results, as a text: a store holds results of one such text only.

use crate::detectors::Detectors;
use crate::settings::JobSettings;
use crate::zones::Zones;

/// The text of some settings. What is not set adds nothing to it, so that a store from before a setting existed is still known.
pub fn meaning(settings: &JobSettings, monitor: &Detectors) -> String {
    let text = format!(
        "window={} lateness={} max_future={} max_age={:?} max_message_bytes={} max_devices={} max_metrics={} aggregate={:?} corrected_for={:?} detectors={:016x}",
        settings.window_ms,
        settings.lateness_ms,
        settings.max_future_ms,
        settings.max_age_ms,
        settings.max_message_bytes,
        settings.max_devices,
        settings.max_metrics,
        settings.aggregate,
        settings.corrected_for_ms(),
        model::hash::hash_text(&format!("{:?}", monitor.usual)),
    );
    let zones = Zones::of(settings).map_or_else(
        // No job starts with these.
        |problem| format!(" time_zones={:016x}", model::hash::hash_text(&problem)),
        |zones| zones.meaning(),
    );
    text + &monitor.meaning() + &zones
}

/// What differs between the settings of a store and those of a run. Of what is not set there is no word in either.
pub fn differences(stored: &str, now: &str) -> Vec<String> {
    let words = |text: &str| -> Vec<(String, String)> {
        text.split(' ').map(|word| (word.split('=').next().unwrap_or_default().to_owned(), word.to_owned())).collect()
    };
    let (stored, now) = (words(stored), words(now));
    let find = |words: &[(String, String)], key: &str| words.iter().find(|(known, _)| known == key).cloned();
    let word = |word: Option<(String, String)>, key: &str| word.map_or_else(|| format!("no {key}"), |(_, word)| word);
    let added = now.iter().filter(|(key, _)| find(&stored, key).is_none());
    stored
        .iter()
        .chain(added)
        .map(|(key, _)| (key, find(&stored, key), find(&now, key)))
        .filter(|(_, stored, now)| stored != now)
        .map(|(key, stored, now)| format!("{} in the store, {} now", word(stored, key), word(now, key)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_table;

    /// The stores that are filled are known by this very text.
    #[test]
    fn what_is_not_set_adds_nothing() {
        let keys = |text: &str| -> Vec<String> {
            let config = from_table("test", text.parse().unwrap()).unwrap();
            let text = meaning(&config.job, &config.detectors);
            text.split(' ').map(|word| word.split('=').next().unwrap().to_owned()).collect()
        };
        let plain = keys("");
        let usual = "window lateness max_future max_age max_message_bytes max_devices max_metrics aggregate corrected_for detectors";
        assert_eq!(plain.join(" "), usual);
        let all = keys(
            "time_zone = \"America/Chicago\"
            [detectors.type.chiller]
            warm_up_windows = 720
            [detectors.criticality.type]
            chiller = \"high\"",
        );
        assert_eq!(all.join(" "), format!("{usual} types criticality time_zones"));
    }

    #[test]
    fn differences_name_what_only_one_side_has() {
        expect_test::expect![[r#"
            [
                "window=1 in the store, window=2 now",
                "types=7 in the store, no types now",
                "no time_zones in the store, time_zones=9@2026a now",
            ]
        "#]]
        .assert_debug_eq(&differences("window=1 lateness=3 types=7", "window=2 lateness=3 time_zones=9@2026a"));
    }
}
