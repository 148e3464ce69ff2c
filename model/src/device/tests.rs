use super::*;
use expect_test::{Expect, expect};

#[test]
fn the_built_in_catalogue_has_all_metrics_and_rules() {
    let counts: Vec<String> = Catalogue::builtin()
        .types
        .iter()
        .map(|(name, known)| format!("{name} {} metrics {} rules", known.metrics.len(), known.rules.len()))
        .collect();
    expect![[r#"
        air_compressor 14 metrics 7 rules
        air_handling_unit 22 metrics 7 rules
        chiller 17 metrics 10 rules
        cooling_tower 14 metrics 5 rules
        makeup_air_unit 14 metrics 6 rules
        rooftop_unit 14 metrics 7 rules
        vav_box 9 metrics 5 rules"#]]
    .assert_eq(&counts.join("\n"));
}

#[test]
fn types_and_metrics_answer_to_their_other_names() {
    let catalogue = Catalogue::builtin();
    for sent in ["rooftop_unit", "rooftopunit", "RTU", "Rooftop Unit", "ROOFTOP-UNIT"] {
        assert_eq!(catalogue.normalise_type(sent), "rooftop_unit", "{sent}");
    }
    assert_eq!(catalogue.normalise_type(" Boiler "), "boiler");
    assert_eq!(catalogue.normalise_metric("rooftop_unit", "OAT"), "outdoor_air_temp");
    assert_eq!(catalogue.normalise_metric("rooftop_unit", "Supply-Air-Temp"), "supply_air_temp");
    assert_eq!(catalogue.normalise_metric("rooftop_unit", "zone_temp"), "zone_temp");
}

/// `type.metric unit value` a line, with what becomes of it.
fn check(input: &str, expected: Expect) {
    let mut lines = Vec::new();
    for line in input.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (path, rest) = line.split_once(' ').unwrap();
        let (unit, value) = rest.rsplit_once(' ').unwrap();
        let (device_type, metric) = path.split_once('.').unwrap();
        let value: f64 = value.parse().unwrap();
        let catalogue = Catalogue::builtin();
        let canonical = &catalogue.types[device_type].metrics[metric].unit;
        lines.push(match catalogue.conversion(device_type, metric, Some(unit)) {
            Some(c) => format!("{value} {unit} = {:.3} {canonical}", value * c.scale + c.offset),
            None => format!("{value} {unit} is not {canonical}"),
        });
    }
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn units_convert_within_their_kind_only() {
    check(
        "rooftop_unit.supply_air_temp °C 20
         rooftop_unit.supply_air_temp degF 68
         rooftop_unit.supply_air_temp K 293.15
         rooftop_unit.power_consumption W 25000
         rooftop_unit.power_consumption mw 1
         rooftop_unit.filter_pressure_drop Pa 124.544455
         air_compressor.discharge_pressure kPa 758.423
         air_compressor.discharge_pressure psi 110
         air_compressor.run_hours h 12
         cooling_tower.approach_temp °C 5
         chiller.chilled_water_flow_rate L/s 31.5451
         rooftop_unit.fan_current A 15
         rooftop_unit.fan_speed rpm 1500
         rooftop_unit.supply_air_temp kW 3
         rooftop_unit.supply_air_temp smoots 3",
        expect![[r#"
            20 °C = 68.000 °F
            68 degF = 68.000 °F
            293.15 K = 68.000 °F
            25000 W = 25.000 kW
            1 mw = 1000.000 kW
            124.544455 Pa = 0.500 inH2O
            758.423 kPa = 110.000 PSIG
            110 psi = 110.000 PSIG
            12 h = 12.000 hours
            5 °C = 9.000 °F
            31.5451 L/s = 500.000 GPM
            15 A = 15.000 Amps
            1500 rpm = 1500.000 RPM
            3 kW is not °F
            3 smoots is not °F"#]],
    );
}

#[test]
fn a_broken_catalogue_says_what_is_wrong() {
    let bad = "[device.x.metric]\nt = { unit = \"furlong\" }";
    expect![[r#"device type "x": metric "t" has unit "furlong", which the catalogue does not list"#]]
        .assert_eq(&Catalogue::parse(bad).unwrap_err().to_string());
}
