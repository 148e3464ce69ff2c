//! `backtest`: which incidents a changed configuration makes appear, vanish or move.

use serde_json::json;

use super::*;

/// The report as JSON, and the exit code.
fn backtest(arguments: &str) -> (i32, Json) {
    let output = output(folder(), &format!("backtest {arguments} --json"));
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap())
}

/// The report for a person, without the progress.
fn text(arguments: &str) -> String {
    let output = output(folder(), &format!("backtest {arguments}"));
    format!("exit {}\n{}", output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// What is left of an incident if it is told apart by what people see.
fn incidents(report: &Json, side: &str) -> Vec<Json> {
    report["incidents"].as_array().unwrap().iter().flat_map(|one| one[side].as_array().unwrap().clone()).collect()
}

fn configuration(name: &str, text: &str) {
    fs::write(folder().join(name), text).unwrap();
}

const DEAF: &str = "--set detectors.confirm_windows=100 --set detectors.info_confirm_windows=100";

#[test]
fn a_confirmation_that_asks_too_much_loses_a_fault_and_says_why() {
    expect![[r#"
        exit 1
        Compared  day.jsonl.zst
        Read      23,939 messages of 2 devices
                  before: 1,650 states, 57 of them unusual; 30 late, 19 dead letters
                  after: 1,650 states, 57 of them unusual; 30 late, 19 dead letters
        Settings  before: the built-in settings; after: the built-in settings with --set

            setting                         before  after
            detectors.confirm_windows       3       100
            detectors.info_confirm_windows  30      100

        Learned   each device anew from its first 360 states, in which rules alone report: all 2 are learned at 2026-03-02 06:00
        Incidents 1 same, 0 moved, 0 split, 0 joined, 0 appear, 1 vanish

            incidents                     before  after
            critical                           0      0
            warning                            2      1
            info                               0      0
            all                                2      1
            a device and month of states    53.1   26.6

        Vanish
            device   kind     severity  from (UTC)        lasted  furthest seen       why
            RTU-001  anomaly  warning   2026-03-02 09:30  60 min  fan_speed 0.00 RPM  46 of 60 states anomalous, at most 46 together, 46 of them by two methods or a rule; asked are 100 such (confirm_windows) or 100 of any (info_confirm_windows); strongest: rule fan_stopped (the fan stands still (31.04 against 60.00, for 15 windows)) at 2026-03-02 09:44

        Incidents by device and month
            device   month    before  after
            CH-001   2026-03       1      1
            RTU-001  2026-03       1      0

        Against the labels: 2 of 2 faults found before, 1 after; incidents without a fault: 0 before, 0 after
            labelled fault          device   from              lasted  found before  found after
            fan_failure (severe)    RTU-001  2026-03-02 09:00  90 min  after 47 min  missed       LOST
            silent_device (severe)  CH-001   2026-03-02 11:00  30 min  after 5 min   after 5 min
    "#]].assert_eq(&text(&format!("day.jsonl.zst {DEAF}")));
    let (code, report) = backtest(&format!("day.jsonl.zst {DEAF}"));
    assert_eq!((code, &report["counts"]["vanishes"]), (1, &json!(1)));
    let gone = &report["incidents"][0];
    assert_eq!((&gone["outcome"], &gone["after"]), (&json!("vanishes"), &json!([])));
    let why = &gone["why"];
    assert_eq!((&why["confirm_windows"], &why["anomalous"]), (&json!(100), &why["together"]), "{why}");
    assert_eq!(why["strongest"]["kind"], "fan_stopped", "{why}");
    assert_eq!(report["labels"]["faults"][0]["change"], "lost");
}

#[test]
fn limits_that_are_out_of_reach_lose_an_incident_and_the_reason_tells_how_far_it_was() {
    let limits = "--set detectors.residual.limit_min=11.9 --set detectors.rarity_decades=15 \
                  --set detectors.fingerprint_decades=40 --set detectors.similar_decades=40";
    let (code, report) = backtest(&format!("fault-mau-fan-bearing-failure {limits}"));
    assert_eq!(code, 1, "{report}");
    let why = &report["incidents"][0]["why"];
    assert!(
        why["text"].as_str().unwrap().starts_with("none of ")
            && why["text"].as_str().unwrap().contains(" states anomalous: statistics at most 0."),
        "{why}"
    );
    let reach = &why["methods"][0];
    let ratio = |name: &str| reach[name].as_f64().unwrap();
    assert!(reach["method"] == "statistics" && ratio("ratio") < 1.0 && ratio("ratio_in_other_run") > 1.0, "{why}");
}

#[test]
fn the_same_configuration_twice_changes_nothing() {
    configuration("same.toml", "window = \"1min\"\nstore = \"${NOT_SET}\"\n[detectors]\nconfirm_windows = 3\n");
    let (code, report) = backtest("day.jsonl.zst --config same.toml");
    assert_eq!((code, &report["differences"], &report["same_meaning"]), (0, &json!([]), &json!(true)));
    let counts = json!({"same": 2, "moved": 0, "split": 0, "joined": 0, "regrouped": 0, "appears": 0, "vanishes": 0});
    assert_eq!(report["counts"], counts);
    let page = text("day.jsonl.zst --config same.toml");
    assert!(
        page.starts_with("exit 0\n") && page.contains("\n          there is no difference between them\n"),
        "{page}"
    );
    assert!(!page.contains("\nVanish") && !page.contains("\nAppear") && !page.contains("\nMoved"), "{page}");
    // What only says how fast a job works is told, and that it changes nothing.
    let page = text("day.jsonl.zst --set checkpoint_interval=5s");
    assert!(page.contains("checkpoint_interval  1min    5s\n") && page.contains("none of these decides"), "{page}");
}

/// A broken rule counts for `confirm_windows` with every state, so the incident is known earlier by just the difference.
#[test]
fn a_confirmation_that_asks_less_knows_earlier_by_as_much() {
    configuration("slow.toml", "[detectors]\nconfirm_windows = 30\n");
    let (code, report) = backtest("day.jsonl.zst --against slow.toml --set detectors.confirm_windows=3");
    assert_eq!((code, &report["counts"]["moved"]), (0, &json!(1)), "{report}");
    let moved = &report["incidents"][0];
    let moves = moved["moves"].as_array().unwrap();
    assert_eq!((moves.len(), &moves[0]["what"], &moves[0]["later_by_ms"]), (1, &json!("known"), &json!(-27 * 60_000)));
    assert_eq!(report["differences"], json!([{"key": "detectors.confirm_windows", "before": "30", "after": "3"}]));
}

#[test]
fn swapping_the_configurations_swaps_what_appears_and_what_vanishes() {
    configuration(
        "deaf.toml",
        "[detectors]\nconfirm_windows = 100\ninfo_confirm_windows = 100\nsilent_after_windows = 40\n",
    );
    configuration("usual.toml", "");
    let (code, forth) = backtest("day.jsonl.zst --against usual.toml --config deaf.toml");
    let (code_back, back) = backtest("day.jsonl.zst --against deaf.toml --config usual.toml -w 3");
    assert_eq!((code, code_back), (1, 0));
    assert_eq!((&forth["counts"]["vanishes"], &forth["counts"]["appears"]), (&json!(2), &json!(0)));
    assert_eq!((&back["counts"]["vanishes"], &back["counts"]["appears"]), (&json!(0), &json!(2)));
    assert_eq!(incidents(&forth, "before"), incidents(&back, "after"));
    let whys = |report: &Json| -> Vec<Json> {
        report["incidents"].as_array().unwrap().iter().map(|one| one["why"].clone()).collect()
    };
    assert_eq!(whys(&forth), whys(&back), "the reason is one and the same");
    let silent = &forth["incidents"][1]["why"];
    assert_eq!(silent["text"], "it lasts 30 windows, silent_after_windows asks for 40");
}

#[test]
fn a_slice_of_a_store_gives_what_the_recording_gave() {
    let whole = format!("{STORE} --from 2026-03-02 {DEAF}");
    let (code, of_store) = backtest(&whole);
    let (_, of_recording) = backtest(&format!("day.jsonl.zst {DEAF}"));
    assert_eq!(code, 1);
    assert_eq!(of_store["incidents"], of_recording["incidents"]);
    for side in ["before", "after"] {
        let (store, recording) = (&of_store[side]["messages"], &of_recording[side]["messages"]);
        for part in ["windowed", "late", "states", "anomalous_states"] {
            assert_eq!(store[part], recording[part], "{part} {side}");
        }
    }
    let slice = &of_store["slice"];
    assert_eq!((&slice["devices"], &slice["first"]), (&json!(2), &slice["judged_from"]), "{slice}");
    assert_eq!((&slice["stored_incidents"], &slice["stored_incidents_found_again"]), (&json!(2), &json!(2)));
    assert_eq!(slice["before_is_the_jobs_own"], true);
    // With a longer lateness late readings are in time, in the slice as in the recording.
    let patient = "--set lateness=1h";
    let (_, of_store) = backtest(&format!("{STORE} --from 2026-03-02 {patient}"));
    let (_, of_recording) = backtest(&format!("day.jsonl.zst {patient}"));
    let late = |report: &Json, side: &str| report[side]["messages"]["late"].as_u64().unwrap();
    assert!(late(&of_store, "before") > 20, "{of_store}");
    assert_eq!(late(&of_store, "after"), late(&of_recording, "after"));
}

#[test]
fn judging_begins_behind_what_is_learned() {
    // The fan's incident ended at 10:30; the other device is silent from 11:00 to 11:30.
    let (code, report) = backtest(&format!("{STORE} --from 10:45 --to 12:00 --set detectors.silent_after_windows=7"));
    assert_eq!((code, incidents(&report, "before").len()), (0, 1), "{report}");
    assert_eq!(report["incidents"][0]["moves"][0]["later_by_ms"], 2 * 60_000);
    assert_eq!(report["warm_up"]["not_learned"], json!([]));
    let (_, short) = backtest(&format!("{STORE} --from 10:45 --learn 2h --set detectors.silent_after_windows=7"));
    assert_eq!(short["warm_up"]["not_learned"], json!(["CH-001", "RTU-001"]));
    let (_, one) = backtest(&format!("{STORE} --from 10:45 --device RTU-001 --set detectors.silent_after_windows=7"));
    assert_eq!((&one["slice"]["devices"], &one["incidents"]), (&json!(1), &json!([])));
}

#[test]
fn what_people_said_holds_in_both_runs() {
    drop(SqliteStore::open(folder().join("backworked.db")).unwrap());
    let store = "--store sqlite:backworked.db";
    let add = "maintenance add --device RTU-001 --from 2026-03-02T08:50:00Z --to 2026-03-02T10:40:00Z";
    assert!(call(folder(), &format!("{add} {store}")).starts_with("exit 0\n"));
    fs::copy(folder().join("day.jsonl.zst"), folder().join("backworked.jsonl.zst")).unwrap();
    run_job(folder(), "backworked");
    let dump = format!("store dump {store} --table anomaly_events --table controls");
    let dumped = call(folder(), &dump);
    let (code, report) = backtest(&format!("{store} --from 2026-03-02 --set detectors.silent_after_windows=7"));
    let kinds: Vec<Json> = incidents(&report, "before").into_iter().map(|one| one["kind"].clone()).collect();
    assert_eq!((code, kinds), (0, vec![json!("silent")]), "{report}");
    assert_eq!(
        (&report["slice"]["controls"], &report["slice"]["stored_incidents_found_again"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(call(folder(), &dump), dumped, "nothing is written into the store");
}

#[test]
fn a_bundled_case_has_its_own_settings_below_both() {
    let (code, report) = backtest("fault-rtu-dirty-filter --set detectors.warm_up_windows=2000");
    assert_eq!(code, 1, "{report}");
    assert!(report["incidents"][0]["why"]["text"].as_str().unwrap().contains("still in the warm-up"), "{report}");
    assert_eq!(report["incidents"][0]["in_warm_up"], true);
    let (code, report) = backtest("late-correct --set late=keep");
    assert_eq!((code, &report["differences"][0]["before"]), (0, &json!("correct")), "{report}");
}

#[test]
fn what_cannot_be_meant_is_said() {
    let refused = |arguments: &str| {
        let said = call(folder(), &format!("backtest {arguments}"));
        let progress = |line: &str| line.starts_with("running the job") || line.starts_with("exit ");
        let error: Vec<&str> = said.lines().filter(|line| !progress(line)).collect();
        assert!(said.starts_with("exit 2\n"), "{said}");
        let cases = scenarios::case::bundled_folder().display().to_string();
        error.join("\n").replace(&cases, "CASES") + "\n"
    };
    configuration("wrong.toml", "[detectors]\nconfirm_window = 3\n");
    let said = [
        refused("day.jsonl.zst --config wrong.toml"),
        refused("day.jsonl.zst --set windw=30s"),
        refused("day.jsonl.zst --set window=0s"),
        refused("day.jsonl.zst --config none.toml"),
        refused("day.jsonl.zst"),
        refused("nowhere.jsonl --set window=30s"),
        refused("fault-spikes --set window=30s"),
        refused("kafka://localhost/t --set window=30s"),
        refused("--set window=30s"),
        refused(&format!("day.jsonl.zst {STORE} --set window=30s")),
        refused(&format!("{STORE} --set window=30s")),
        refused(&format!("{STORE} --from soon --set window=30s")),
        refused(&format!("{STORE} --from 12:00 --to 11:00 --set window=30s")),
        refused(&format!("{STORE} --from 12:00 --learn soon --set window=30s")),
        refused(&format!("{STORE} --from 12:00 --device RTU-01 --set window=30s")),
        refused(&format!("{STORE} --from 2026-05-01 --set window=30s")),
        refused(&format!("{STORE} --from 2026-03-02T13:59:30Z --to 2026-03-03 --set window=30s")),
        refused("--store sqlite:nowhere.db --from 12:00 --set window=30s"),
    ];
    expect![[r#"
        error: configuration wrong.toml: unknown setting "detectors.confirm_window"; did you mean "detectors.confirm_windows"?
        error: flag --set windw: unknown setting "windw"; did you mean "window"?
        error: flag --set window: setting "window" is 0ms, which is not from 1ms to 1d
        error: could not read configuration none.toml: No such file or directory (os error 2)
        error: nothing to compare: give the new configuration by --config FILE, or single settings by --set KEY=VALUE
        error: recording "nowhere.jsonl" is no file; check the path
        error: case "fault-spikes" is not in "CASES"; the nearest name is "fault-spike"; a recording is named by its path, such as ./fault-spikes
        error: "kafka://localhost/t" is a topic, which can't be gone through twice; `dataflow record` keeps a slice of it, or give the job's --store
        error: nothing to go through: name a recording, a bundled case, or a slice of a store by --store, --from and --to
        error: give a recording or --store, not both
        error: flag --store needs --from, where judging begins, and may have --to
        error: time "soon" is none; write it such as 2026-03-02T09:30:00Z, "2026-03-02 09:30" or 09:30 (UTC, on the newest day)
        error: the slice ends at 2026-03-02T11:00:00Z, which is not after its beginning at 2026-03-02T12:00:00Z
        error: flag --learn: duration "soon" needs a number and one of ms, s, min, h, d, such as "30s"
        error: device "RTU-01" is not in the store; did you mean "RTU-001"?
        error: the slice ends at 2026-03-02T13:59:05.001Z, which is not after its beginning at 2026-05-01T00:00:00Z
        error: store "sqlite:day.db" has no readings from 2026-03-02T13:59:30Z on, where judging begins: the newest one in the slice is of 2026-03-02T13:59:05Z
        error: store "sqlite:nowhere.db" does not exist; `dataflow run --store sqlite:nowhere.db` makes it
    "#]].assert_eq(&said.concat());
    assert!(call(folder(), "backtest day.jsonl.zst --from 12:00 --set window=30s").starts_with("exit 2\n"));
}

#[test]
fn settings_of_a_type_change_what_is_found_on_its_devices_alone() {
    let deaf = |name: &str| DEAF.replace("detectors.", &format!("detectors.type.{name}."));
    let (code, of_type) = backtest(&format!("day.jsonl.zst {}", deaf("RTU")));
    let (_, of_all) = backtest(&format!("day.jsonl.zst {DEAF}"));
    assert_eq!((code, &of_type["counts"]["vanishes"]), (1, &json!(1)));
    assert_eq!(incidents(&of_type, "before"), incidents(&of_all, "before"));
    assert_eq!(of_type["incidents"][0]["why"], of_all["incidents"][0]["why"]);
    // The other device's only incident, a silence, asks for no confirmation: nothing changes with its type's.
    let (code, of_other) = backtest(&format!("day.jsonl.zst {}", deaf("chiller")));
    assert_eq!((code, &of_other["counts"]["same"]), (0, &json!(2)));
    let (code, of_other) = backtest("day.jsonl.zst --set detectors.type.chiller.silent_after_windows=40");
    assert_eq!((code, &of_other["incidents"][0]["before"][0]["device_id"]), (1, &json!("CH-001")), "{of_other}");
}
