//! How much devices matter, as it is set: by type, by building and by device, the nearest word winning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use udfs::Criticality;

use crate::directory::Place;

/// How much devices matter; what is not named is normal.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Criticalities {
    /// By canonical device type.
    #[serde(rename = "type")]
    pub by_type: BTreeMap<String, Criticality>,
    /// By building: before its type.
    #[serde(rename = "building")]
    pub by_building: BTreeMap<String, Criticality>,
    /// By device: before all else.
    #[serde(rename = "device")]
    pub by_device: BTreeMap<String, Criticality>,
}

impl Criticalities {
    /// How much a device matters.
    pub fn of(&self, device_id: &str, place: &Place) -> Criticality {
        let of_building = || place.building_id.as_ref().and_then(|building| self.by_building.get(building));
        let found = self.by_device.get(device_id).or_else(of_building).or_else(|| self.by_type.get(&place.device_type));
        found.copied().unwrap_or_default()
    }

    /// What decides results, as the end of a text; empty where every device is normal.
    pub fn meaning(&self) -> String {
        let all = [&self.by_type, &self.by_building, &self.by_device];
        if all.into_iter().flat_map(BTreeMap::values).all(|criticality| *criticality == Criticality::Normal) {
            return String::new();
        }
        format!(" criticality={:016x}", model::hash::hash_text(&format!("{self:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::from_table;

    fn criticality(text: &str) -> anyhow::Result<Criticalities> {
        Ok(from_table("test", text.parse()?)?.detectors.criticality)
    }

    #[test]
    fn a_device_comes_before_its_building_and_that_before_its_type() {
        let text = r#"
            [detectors.criticality]
            type.CH = "high"
            building."bldg.1" = "low"
            device.CH-001 = "normal"
            device."CH.002" = "high"
        "#;
        let all = criticality(text).unwrap();
        let of = |device: &str, device_type: &str, building: Option<&str>| {
            let building_id = building.map(str::to_owned);
            all.of(device, &Place { device_type: device_type.to_owned(), location: None, building_id }).name()
        };
        assert_eq!(of("CH-003", "chiller", None), "high");
        assert_eq!(of("CH-003", "chiller", Some("bldg.2")), "high");
        assert_eq!(of("CH-003", "chiller", Some("bldg.1")), "low");
        assert_eq!(of("CH-001", "chiller", Some("bldg.1")), "normal");
        assert_eq!(of("CH.002", "chiller", Some("bldg.1")), "high");
        assert_eq!(of("RTU-001", "rooftop_unit", None), "normal");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let said = |text: &str| criticality(text).unwrap_err().to_string();
        let lines = [
            said("[detectors.criticality.device]\nRTU-001 = \"highest\""),
            said("[detectors.criticality.devices]\nRTU-001 = \"high\""),
            said("[detectors.criticality.type]\nchillr = \"high\""),
        ];
        expect_test::expect![[r#"
            test: unknown variant `highest`, expected one of `low`, `normal`, `high` in `device.RTU-001` in `detectors`
            test: unknown setting "detectors.criticality.devices.RTU-001"; did you mean "detectors.criticality.device"?
            test: unknown device type "chillr"; did you mean "chiller"?
        "#]]
        .assert_eq(&(lines.join("\n") + "\n"));
    }

    #[test]
    fn only_devices_that_are_not_normal_have_a_meaning() {
        let meaning = |text: &str| criticality(text).unwrap().meaning();
        assert_eq!(meaning(""), "");
        assert_eq!(meaning("[detectors.criticality.type]\nchiller = \"normal\""), "");
        let high = meaning("[detectors.criticality.type]\nchiller = \"high\"");
        assert_eq!(high, meaning("[detectors.criticality.type]\nCH = \"high\""));
        assert_ne!(high, meaning("[detectors.criticality.device]\nchiller = \"high\""));
    }
}
