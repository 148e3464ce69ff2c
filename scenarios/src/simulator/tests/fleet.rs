//! Fleets: files of the original, made-up ones, and errors that help.

use super::*;

#[test]
fn the_originals_fleet_file_is_read() {
    let devices = r#"[{"device_id":"RTU-001","device_type":"rooftop_unit","location":"building-A","building_id":"bldg-001","inject_anomalies":true},
        {"device_id":"CH-9","device_type":"chiller","location":"building-B","building_id":"bldg-002"}]"#;
    let fleet = Fleet::from_json(&format!("{{\"devices\": {devices}}}")).unwrap();
    assert_eq!(fleet, Fleet::from_json(devices).unwrap());
    assert_eq!(fleet.devices()[0], Fleet::default_eleven().devices()[0]);
    let toml = r#"
        [[devices]]
        device_id = "RTU-001"
        device_type = "RTU"
        location = "building-A"
        building_id = "bldg-001"
        inject_anomalies = true
        [[devices]]
        device_id = "CH-9"
        device_type = "chiller"
        location = "building-B"
        building_id = "bldg-002"
    "#;
    assert_eq!(fleet, Fleet::from_toml(toml).unwrap());
    assert_eq!(Fleet::default_eleven().devices()[10].device_id, "AC-002");
}

/// The job's catalogue takes what the devices send as it is: same types, metrics and units.
#[test]
fn the_catalogue_knows_every_unit_that_is_sent() {
    let catalogue = model::Catalogue::builtin();
    for kind in DeviceKind::ALL {
        assert_eq!(catalogue.normalise_type(kind.original_name()), kind.name());
        for metric in kind.metrics() {
            let conversion = catalogue.conversion(kind.name(), metric.name, Some(metric.unit));
            let same = conversion.is_some_and(|c| c.scale.to_bits() == 1f64.to_bits() && c.offset.to_bits() == 0);
            assert!(same, "{} {} {}: {conversion:?}", kind.name(), metric.name, metric.unit);
        }
    }
}

#[test]
fn devices_may_have_periods_of_their_own() {
    let json =
        r#"[{"device_id":"A","device_type":"chiller","period_ms":30000},{"device_id":"B","device_type":"chiller"}]"#;
    let (messages, _, _) = run(&Fleet::from_json(json).unwrap(), &quiet(60_000));
    let count = |device: u32| messages.iter().filter(|message| message.device == device).count();
    assert_eq!((count(0), count(1)), (2 * 15, 6 * 15));
}

#[test]
fn generated_fleets_keep_the_mix_and_their_ids_are_distinct() {
    let fleet = Fleet::generate(11_000, 1).unwrap();
    let count = |kind: DeviceKind| fleet.devices().iter().filter(|device| device.kind == kind).count();
    assert_eq!(DeviceKind::ALL.map(count), [3_000, 2_000, 2_000, 2_000, 2_000]);
    let ids: BTreeSet<&str> = fleet.devices().iter().map(|device| device.device_id.as_str()).collect();
    assert!(ids.len() == 11_000 && ids.contains("RTU-001") && ids.contains("RTU-3000"));
    assert!(Fleet::generate(0, 1).is_err() && Fleet::generate(MAX_DEVICES + 1, 1).is_err());
    assert_eq!(fleet.devices()[10_999].location.len(), "building-XXX".len());
}

#[test]
fn errors_name_the_device_the_field_and_what_is_allowed() {
    let json = |text: &str| Fleet::from_json(text).unwrap_err().to_string();
    let options = |change: &dyn Fn(&mut Options)| {
        let mut options = quiet(HOUR_MS);
        change(&mut options);
        Simulator::new(&Fleet::default_eleven(), &options).err().map_or_else(String::new, |error| error.to_string())
    };
    let request = |text: &str| vec![FaultRequest::parse(text).unwrap()];
    let text = |text: &str| FaultRequest::parse(text).unwrap_err().to_string();
    let all = [
        json(r#"[{"device_id":"A","device_type":"toaster"}]"#),
        json(r#"[{"device_type":"chiller"}]"#),
        json(r#"[{"device_id":"A","device_type":"chiller","colour":1}]"#),
        json(r#"[{"device_id":"A","device_type":"chiller"},{"device_id":"A","device_type":"chiller"}]"#),
        json(r#"[{"device_id":"A","device_type":"chiller","inject_anomalies":"yes"}]"#),
        json(r#"{"fleet":[]}"#),
        json("[]"),
        json("{"),
        Fleet::from_pairs(&["A"]).unwrap_err().to_string(),
        options(&|options| options.delivery.drop_rate = 1.5),
        options(&|options| options.jitter_ms = 10_000),
        options(&|options| options.faults.requests = request("CH-001/fan_failure")),
        options(&|options| options.faults.requests = request("CH-9/low_flow")),
        options(&|options| options.faults.requests = request("CH-001/low_flow/mild/2h")),
        options(&|options| options.faults.requests = request("CH-001/spike/mild/2min/5min/fan_speed")),
        options(&|options| options.faults.marked_devices = vec!["nobody".to_owned()]),
        text("RTU-001"),
        text("RTU-001/explosion"),
        text("RTU-001/spike/huge"),
        text("RTU-001/spike/mild/soon"),
    ];
    expect_test::expect![[r#"
        device A: field "device_type": "toaster" is unknown; allowed: rooftop_unit, makeup_air_unit, chiller, cooling_tower, air_compressor
        device number 1: field "device_id": is missing; allowed: a text
        device A: field "colour": is unknown; allowed: device_id, device_type, location, building_id, inject_anomalies, period_ms
        device A: field "device_id": is there twice; allowed: each id once
        device A: field "inject_anomalies": "yes" is no truth value; allowed: true, false
        file of the fleet: it has no list of devices; allowed: a list of devices, or an object with the list under "devices"
        option "devices": 0 devices; allowed: 1 to 1000000
        file of the fleet is no JSON: EOF while parsing an object at line 1 column 1
        device A: field "device_type": is missing; allowed: ID:TYPE, such as RTU-001:rooftop_unit
        option "drop_rate": 1.5 is out of range; allowed: 0 to 1
        option "jitter": 10000 is out of range; allowed: 0 to 9999
        fault CH-001/fan_failure: field "kind": "fan_failure" is no fault of a chiller; allowed: compressor_failure, refrigerant_leak, low_flow, fouled_condenser, stuck_sensor, missing_metric, silent_device, spike
        fault CH-9/low_flow: field "device_id": "CH-9" is not of the fleet; allowed: the fleet's devices: RTU-001, RTU-002, RTU-003, MAU-001, MAU-002, CH-001, CH-002, CT-001, CT-002, AC-001, AC-002
        fault CH-001/low_flow: field "start": 2026-03-02T02:00:00Z is outside of the simulated time; allowed: 2026-03-02T00:00:00Z until 2026-03-02T01:00:00Z
        fault CH-001/spike: field "metric": "fan_speed" is no metric of a chiller; allowed: chilled_water_supply_temp, chilled_water_return_temp, chilled_water_flow_rate, chilled_water_delta_t, condenser_water_supply_temp, condenser_water_return_temp, condenser_water_flow_rate, refrigerant_pressure_evap, refrigerant_pressure_cond, compressor_current, compressor_status, capacity_percentage, cop, alarm_status, power_consumption
        option "anomaly-devices": "nobody" is not of the fleet; allowed: the fleet's devices: RTU-001, RTU-002, RTU-003, MAU-001, MAU-002, CH-001, CH-002, CT-001, CT-002, AC-001, AC-002
        fault "RTU-001": field "fault": is not of the form; allowed: DEVICE/KIND[/SEVERITY[/START[/DURATION[/METRIC]]]], such as RTU-001/fan_failure/severe/2h/30min
        fault "RTU-001/explosion": field "kind": "explosion" is unknown; allowed: compressor_failure, sensor_drift, fan_failure, dirty_filter, economizer_stuck, fan_bearing_failure, heating_coil_failure, airflow_imbalance, stuck_damper, refrigerant_leak, low_flow, fouled_condenser, scale_buildup, low_water_level, pressure_leak, motor_overload, overheating, oil_system_failure, stuck_sensor, missing_metric, silent_device, spike
        fault "RTU-001/spike/huge": field "severity": "huge" is unknown; allowed: mild, moderate, severe
        fault "RTU-001/spike/mild/soon": field "start": "soon" is no time; allowed: a duration after the first tick such as 2h, or an RFC 3339 time"#]].assert_eq(&all.join("\n"));
}
