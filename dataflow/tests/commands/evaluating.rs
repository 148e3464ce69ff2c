//! `evaluate` on small folders of each layout, made by hand.

use super::*;

fn noise(row: u32) -> f64 {
    f64::from(row.wrapping_mul(2_654_435_761) >> 20) / 4_096.0 - 0.5
}

/// 520 rows: a pump whose flow falls and whose current rises from row 450 to 489.
fn skab(folder: &Path) {
    fs::create_dir_all(folder.join("skab/valve1")).unwrap();
    let mut table = "datetime;Current;Volume Flow RateRMS;anomaly;changepoint\n".to_owned();
    for row in 0..520 {
        let faulty = (450..490).contains(&row);
        let (current, flow) = if faulty { (5.0, 20.0) } else { (1.0, 32.0) };
        let (minute, second) = (row / 60, row % 60);
        let (current, flow) = (current + 0.1 * noise(row), flow + noise(row + 9_999));
        let [faulty, change] = [faulty, row == 450 || row == 490].map(|set| if set { "1.0" } else { "0.0" });
        table += &format!("2020-03-09 10:{minute:02}:{second:02};{current};{flow};{faulty};{change}\n");
    }
    fs::write(folder.join("skab/valve1/0.csv"), table).unwrap();
    fs::write(folder.join("skab/free.csv"), "datetime;Current\n2020-03-09 10:00:00;1\n").unwrap();
}

/// 1,000 rows of noise with one spike, in the middle of its window.
fn nab(folder: &Path) {
    fs::create_dir_all(folder.join("nab/labels")).unwrap();
    fs::create_dir_all(folder.join("nab/real")).unwrap();
    let mut table = "timestamp,value\n".to_owned();
    for row in 0..1_000 {
        let value = if row == 800 { 9.0 } else { noise(row) };
        let (day, hour, minute) = (1 + row / 288, row / 12 % 24, row % 12 * 5);
        table += &format!("2026-03-{day:02} {hour:02}:{minute:02}:00,{value}\n");
    }
    fs::write(folder.join("nab/real/spike.csv"), table).unwrap();
    let windows =
        r#"{"real/spike.csv": [["2026-03-03 17:40:00.000000", "2026-03-03 19:40:00.000000"]], "real/gone.csv": []}"#;
    fs::write(folder.join("nab/labels/combined_windows.json"), windows).unwrap();
}

/// Four good days and a faulty one before them, ten hours each; the supply air is far too warm on the faulty one.
fn hvac(folder: &Path) {
    fs::create_dir_all(folder.join("hvac")).unwrap();
    let mut table =
        "Datetime,AHU: Supply Air Temperature,AHU: Cooling Coil Valve Control Signal  ,Occupancy Mode Indicator,\
                     Fault Detection Ground Truth\n"
            .to_owned();
    let mut labels = "file,date,ground_truth,note\n".to_owned();
    for day in 1..=5 {
        let faulty = u32::from(day == 1);
        labels += &format!("AHU-9,2026-03-0{day},{faulty},\"by hand, all of it\"\n");
        for row in 0..600 {
            let valve = 0.5 + 0.4 * noise(row / 20 + day * 1_000);
            let supply = 60.0 - 10.0 * valve + f64::from(faulty) * 15.0 + 0.3 * noise(row + day * 5_000);
            let supply = if (day, row) == (3, 7) { "#VALUE!".to_owned() } else { supply.to_string() };
            let occupied = u32::from(row >= 60);
            table += &format!("3/{day}/2026 {}:{:02},{supply},{valve},{occupied},{faulty}\n", 7 + row / 60, row % 60);
        }
    }
    fs::write(folder.join("hvac/AHU-9.csv"), table).unwrap();
    fs::write(folder.join("hvac/day_labels.csv"), labels).unwrap();
}

#[test]
fn a_bench_is_scored_by_row_and_by_change_point() {
    let folder = folder();
    skab(folder);
    let found = &json("evaluate skab skab --json")["skab"];
    // The incident stays open for some rows behind the fault.
    assert!(found["far"].as_f64().unwrap() <= 0.3 && found["mar"].as_f64().unwrap() < 0.1, "{found}");
    assert_eq!(found["changepoint"]["matched_f1"], 1.0, "{found}");
    let text = call(folder, "evaluate skab skab --plot pictures");
    // 40 of 120 test rows are faulty: 2 * 40 / (2 * 40 + 80).
    assert!(text.contains("always alarm                           0.500  100.0    0.0"), "{text}");
    assert!(text.contains("\n valve1/0.csv ") && !text.contains("free.csv"), "{text}");
    let picture = fs::read_to_string(folder.join("pictures/valve1-0.svg")).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("volume_flow_rate_rms"), "{picture}");
    let none = call(folder, "evaluate skab skab --set detectors.warm_up_windowss=9");
    assert!(none.starts_with("exit 2\nerror: flag --set detectors.warm_up_windowss: unknown setting"), "{none}");
}

#[test]
fn a_corpus_is_scored_at_its_best_threshold_and_at_one_of_other_files() {
    let folder = folder();
    nab(folder);
    let found = &json("evaluate nab nab --json")["nab"];
    // With 13 of 25 rows left in the window it is worth .8734 of a find at the window's start, and nothing else was flagged.
    let standard = found["standard"].as_f64().unwrap();
    assert!((standard - (87.34 + 100.0) / 2.0).abs() < 0.01, "{found}");
    assert!(found["fixed_threshold"]["low_fp"].is_number(), "{found}");
    let text = call(folder, "evaluate nab nab");
    assert!(text.contains("real/spike.csv") && text.contains("1 of 1"), "{text}");
    // A score of fewer files than are labelled says so.
    let absent = "labels/combined_windows.json also names real/gone.csv, not in the folder: not scored";
    assert!(text.contains(absent), "{text}");
    let refused = call(folder, "evaluate nab nab --leave-one-out");
    assert_eq!(refused, "exit 2\nerror: evaluate nab takes no --leave-one-out\n");
}

#[test]
fn an_ablation_says_what_a_part_is_worth() {
    let folder = folder();
    nab(folder);
    let parts = &json("evaluate nab nab --ablation --json")["nab"]["ablation"];
    let standard = |part: &str| parts[part]["standard"].as_f64().unwrap();
    // The spike is far beyond the range, and no hour's habit.
    assert!(standard("habit") > 90.0 && standard("range") <= standard("habit"), "{parts}");
    let text = call(folder, "evaluate nab nab --ablation");
    assert!(text.contains("without: range") && text.contains("without: habit"), "{text}");
    let none = call(folder, "evaluate openfdd empty --ablation");
    assert_eq!(none, "exit 2\nerror: flag --ablation: rule cases have no parts to take away\n");
}

#[test]
fn air_handlers_are_scored_by_minute_and_day() {
    let folder = folder();
    hvac(folder);
    let found = &json("evaluate hvac hvac --json")["hvac"];
    let day = |name: &str| found["day"][name].as_u64().unwrap();
    assert_eq!([day("tp"), day("fp"), day("fn"), day("tn")], [1, 0, 0, 2], "{found}");
    assert!(found["minute"]["f1"].as_f64().unwrap() > 0.9, "{found}");
    let text = call(folder, "evaluate hvac hvac --leave-one-out");
    assert!(text.contains("Plenum, each file at the limit that is best for the others "), "{text}");
    assert!(text.contains("faulty: 2026-03-01 "), "{text}");
}

#[test]
fn a_folder_without_the_data_is_refused() {
    let folder = folder();
    fs::create_dir_all(folder.join("empty")).unwrap();
    for (arguments, problem) in [
        (
            "evaluate skab nowhere",
            "could not read folder nowhere: No such file or directory (os error 2); name the folder",
        ),
        ("evaluate skab empty", "folder empty has no table with the columns \"datetime;...;anomaly;changepoint\"; see"),
        ("evaluate nab nowhere", "folder nowhere has no file labels/combined_windows.json; see"),
        ("evaluate hvac empty", "folder empty has no file day_labels.csv; see"),
    ] {
        let said = call(folder, arguments);
        assert!(said.starts_with(&format!("exit 2\nerror: {problem}")), "{said}");
    }
}

#[test]
fn what_follows_from_an_air_handlers_points_is_watched_too() {
    let folder = folder();
    let mut lines = String::new();
    for minute in 0..70u32 {
        let outdoor = if minute < 60 { 50.0 } else { 69.0 };
        for (name, value) in [
            ("supply_air_temp", 55.0 + noise(minute)),
            ("mixed_air_temp", 65.0),
            ("return_air_temp", 70.0),
            ("outdoor_air_temp", outdoor),
        ] {
            lines += &format!(
                "{{\"device_id\":\"AHU-1\",\"device_type\":\"AHU\",\"timestamp\":\"2026-03-02T{:02}:{:02}:00Z\",\
                 \"metric_name\":\"{name}\",\"metric_value\":{value}}}\n",
                minute / 60,
                minute % 60
            );
        }
    }
    fs::write(folder.join("ahu.jsonl.zst"), zstd::encode_all(lines.as_bytes(), 1).unwrap()).unwrap();
    run_job(folder, "ahu");
    let profile = call(folder, "store dump --store sqlite:ahu.db --table device_profiles");
    // A quarter of outdoor air while it is far from the return air; then nothing can be said.
    let profile: Json = serde_json::from_str(profile.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let stats = &profile["metric_stats"];
    assert_eq!(
        (&stats["outdoor_air_fraction"]["mean"], &stats["outdoor_air_fraction"]["std"]),
        (&0.25.into(), &0.0.into()),
        "{profile}"
    );
    let coil = stats["supply_minus_mixed"]["mean"].as_f64().unwrap();
    assert!((-10.5..=-9.5).contains(&coil), "{profile}");
    assert!(stats["supply_minus_mixed"]["min"].as_f64().unwrap() < coil, "{profile}");
}

#[test]
fn a_rule_is_right_wrong_or_not_applicable() {
    let folder = folder();
    let case = |rule: &str, scenario: &str, column: &str, role: &str, value: &str, fault: &str| {
        let rows: Vec<String> = (0..24)
            .map(|row| {
                format!(r#"["2026-01-05T{:02}:{:02}:00Z","70","{value}","1","occupied"]"#, 12 + row / 12, row % 12 * 5)
            })
            .collect();
        format!(
            r#"{{"rule":"{rule}","scenario":"{scenario}","roles":{{"oa_t":"outside-air-temp","{column}":"{role}","fan":"fan-status","occ":"occupied"}},"header":["timestamp_utc","oa_t","{column}","fan","occ"],"rows":[{}],"expected":{{"any_fault":{fault}}}}}"#,
            rows.join(",")
        )
    };
    let damper = |scenario, value, fault| case("ECON-1", scenario, "damper", "outside-air-damper", value, fault);
    let lines = [
        damper("fault", "0.0", "true"),
        damper("normal", "0.4", "false"),
        damper("wrongly_labelled", "0.4", "true"),
        damper("unlabelled", "0.4", "null"),
        case("ECON-1", "missing_required_role", "sp", "discharge-air-temp-sp", "55", "false"),
        case("NOBODY-1", "fault", "sp", "discharge-air-temp-sp", "55", "true"),
    ];
    fs::create_dir_all(folder.join("openfdd")).unwrap();
    fs::write(folder.join("openfdd/oracle_cases.jsonl"), lines.join("\n")).unwrap();
    let found = json("evaluate openfdd openfdd --json");
    let expected = serde_json::json!({"right": 2, "wrong": 1, "not_applicable": 2, "unlabelled": 1});
    assert_eq!(found["openfdd"], expected);
    let text = call(folder, "evaluate openfdd openfdd");
    assert!(text.contains("ECON-1 wrongly_labelled") && text.contains("economizer_closed"), "{text}");
    let none = call(folder, "evaluate openfdd nowhere");
    assert!(none.starts_with("exit 2\nerror: folder nowhere has no oracle_cases.jsonl; see"), "{none}");
}

/// The report is counted from what broke: the faults of the plan, each in one line of the kinds, and device time without them.
#[test]
fn a_simulated_fleet_is_scored_against_what_broke() {
    let report = json("evaluate simulator --seeds 1 --devices 11 --days 4 --original --json");
    let report = &report["simulator"];
    let detectors = report["detectors"].as_array().unwrap();
    assert_eq!(detectors.len(), 5, "{report}");
    let own = &detectors[0];
    let number = |of: &Json, key: &str| of[key].as_u64().unwrap();
    assert_eq!((own["detector"].as_str(), number(own, "faults")), (Some("Plenum"), 22), "{own}");
    // 11 devices for 4 days, less 2 faults each of 6 hours and the hour behind them.
    let months = report["device_months"].as_f64().unwrap();
    assert!((months - 11.0 * (4.0 - 14.0 / 24.0) / 30.0).abs() < 1e-9, "{months}");
    let sum = |key: &str| report["kinds"].as_array().unwrap().iter().map(|kind| number(kind, key)).sum::<u64>();
    for key in ["faults", "visible", "found", "warned", "first_metric", "among_three"] {
        assert_eq!(sum(key), number(own, key), "{key}");
    }
    assert!(number(own, "found") * 10 >= number(own, "visible") * 7, "most are found: {own}");
    let four_of_six = &detectors[4];
    assert!(number(four_of_six, "found") < number(own, "found"), "{four_of_six}");
    let folder = folder();
    let text = call(folder, "evaluate simulator --seeds 1 --devices 11 --days 4");
    assert!(text.starts_with("exit 0\n1 seeds of 11 devices, 4 days, a reading each 60s: "), "{text}");
    for (arguments, said) in [
        ("simulator --seeds 4-1", "error: flag --seeds: \"4-1\" is no list such as 21-40 or 3,7"),
        ("simulator --seeds 1 --period soon", "error: flag --period: \"soon\": "),
        ("skab", "error: evaluate needs the folder with the data"),
    ] {
        let refused = call(folder, &format!("evaluate {arguments}"));
        assert!(refused.starts_with(&format!("exit 2\n{said}")), "{refused}");
    }
}
