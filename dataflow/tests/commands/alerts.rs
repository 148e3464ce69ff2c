//! Alerts to a webhook: the real program against a receiver that takes them, refuses them, is away, or sees the program die.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::process::Child;
use std::sync::Mutex;

use crate::receiver::{Came, Receiver, SECRET};

use super::*;

/// Writes `NAME.toml` with a webhook, and gives the arguments of a run over a recording into `NAME.db`.
fn configure(name: &str, recording: &str, url: &str, more: &str) -> String {
    folder();
    let text = format!(
        "source = \"file:{recording}\"\nstore = \"sqlite:{name}.db\"\ncheckpoint_interval = \"100ms\"\n\
         [webhook]\nurl = \"{url}\"\nsecret = \"{SECRET}\"\ntimeout = \"2s\"\n{more}"
    );
    fs::write(folder().join(format!("{name}.toml")), text).unwrap();
    format!("run --config {name}.toml -w 2 --json")
}

fn run(arguments: &str) -> Output {
    let output = output(folder(), arguments);
    assert!(output.status.success(), "{output:?}");
    output
}

/// Every transition of every incident in a store: `ANOMALY_ID:NUMBER`.
fn all_transitions(name: &str) -> BTreeSet<String> {
    let mut store = SqliteStore::open(folder().join(format!("{name}.db"))).unwrap();
    let mut all = BTreeSet::new();
    let mut add = |row: model::Row| {
        let Value::Uuid(id) = row.value("anomaly_id") else { panic!("{row:?}") };
        let id = uuid::Uuid::from_bytes(*id);
        all.extend((1..=row.value("transition").as_int().unwrap()).map(|number| format!("{id}:{number}")));
        std::ops::ControlFlow::Continue(())
    };
    store.scan(TableId::AnomalyEvents, &[], &mut add).unwrap();
    all
}

/// The transitions that came, once each, in the order of their first coming; one id never has two bodies.
fn told(came: &[Came]) -> Vec<(String, String, String)> {
    let mut bodies = BTreeMap::new();
    let (mut seen, mut told) = (BTreeSet::new(), Vec::new());
    for one in came {
        assert_eq!(bodies.entry(&one.id).or_insert(&one.body), &&one.body, "two bodies with one id");
        told.extend(one.transitions().into_iter().filter(|transition| seen.insert(transition.0.clone())));
    }
    told
}

/// Each incident opens, changes and closes in this order.
fn check_order(told: &[(String, String, String)]) {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for (id, ..) in told {
        let (incident, number) = id.rsplit_once(':').unwrap();
        let number: i64 = number.parse().unwrap();
        assert_eq!(last.insert(incident, number).unwrap_or(0), number - 1, "{told:?}");
    }
}

/// Ten hours of readings, one a minute. Three devices of the building north send a level; from 8:00 to 9:00 it has no power. In the
/// building east one does not mind, and of another first the level goes astray a little, then all it measures.
fn recording() -> &'static str {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        folder();
        let from_ms = model::time::parse_rfc3339("2026-03-02T00:00:00Z").unwrap();
        let (mut text, mut offset) = (String::new(), 0);
        let mut send = |device: &str, building: &str, metric: &str, at_ms: i64, value: f64| {
            let message = serde_json::json!({
                "device_id": device, "device_type": "widget", "building_id": building, "metric_name": metric,
                "metric_value": value, "timestamp": at_ms,
            });
            let line = serde_json::json!({"partition": 0, "offset": offset, "broker_time": at_ms, "message": message});
            text += &format!("{line}\n");
            offset += 1;
        };
        for minute in 0..600i32 {
            let at_ms = from_ms + i64::from(minute) * 60_000;
            let has_power = !(480..540).contains(&minute);
            for device in ["N-1", "N-2", "N-3"].into_iter().filter(|_| has_power) {
                send(device, "north", "level", at_ms, 20.0 + f64::from(minute % 7) / 10.0);
            }
            send("E-1", "east", "level", at_ms, 20.0 + f64::from(minute % 7) / 10.0);
            for (metric, step) in [("flow", 21), ("level", 28), ("load", 35)] {
                let astray = match minute {
                    480..520 if metric == "level" => 0.9,
                    520..560 => 30.0,
                    _ => 0.0,
                };
                send("E-2", "east", metric, at_ms, 20.0 + f64::from(minute * step % 11) / 10.0 + astray);
            }
        }
        fs::write(folder().join("astray.jsonl"), text).unwrap();
    });
    "astray.jsonl"
}

#[test]
fn a_fault_is_told_from_its_opening_to_its_closing() {
    let receiver = Receiver::willing();
    let arguments = configure("told", recording(), &receiver.url, "min_severity = \"info\"\n");
    run(&arguments);
    let came = receiver.came();
    assert_eq!(came.len(), came.iter().map(|one| &one.id).collect::<BTreeSet<_>>().len(), "nothing came twice");
    let told = told(&came);
    check_order(&told);
    assert_eq!(told.iter().map(|(id, ..)| id.clone()).collect::<BTreeSet<_>>(), all_transitions("told"));
    // What goes astray more and more: opened, then graver, then over, each as it is on Kafka.
    let lone: Vec<Json> = came.iter().map(Came::json).filter(|one| one["device_id"] == "E-2").collect();
    let of_lone: Vec<[&str; 3]> =
        lone.iter().map(|one| ["status", "severity", "kind"].map(|name| one[name].as_str().unwrap())).collect();
    expect![[r#"
        [["open", "info", "anomaly"], ["open", "warning", "anomaly"], ["closed", "warning", "anomaly"]]"#]]
    .assert_eq(&format!("{of_lone:?}"));
    assert!(
        lone.iter().all(|one| one["ended_at"].is_string() == (one["status"] == "closed")),
        "what is open has no end"
    );
    let numbers: Vec<&str> = lone.iter().map(|one| one["id"].as_str().unwrap().rsplit_once(':').unwrap().1).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    // What is finished tells nothing again.
    run(&arguments);
    assert_eq!(receiver.came().len(), came.len());
    // Below warning nothing is told, unless asked for.
    let usual = Receiver::willing();
    run(&configure("usual", recording(), &usual.url, ""));
    let severities: BTreeSet<String> = super::alerts::told(&usual.came()).into_iter().map(|one| one.2).collect();
    assert_eq!(severities, BTreeSet::from(["warning".to_owned()]));
}

#[test]
fn a_building_without_power_is_one_alert_with_a_list() {
    let receiver = Receiver::willing();
    let template = r#"template = '{"text": "{{ severity | upper }} {{ summary }}", "n": {{ devices | length }}, "devices": {{ devices }}, "incidents": {{ incidents }}}'"#;
    run(&configure("cut", recording(), &receiver.url, template));
    let came: Vec<Json> = receiver.came().iter().map(Came::json).collect();
    let texts: Vec<&str> = came.iter().map(|one| one["text"].as_str().unwrap()).collect();
    expect![[r#"
        [
            "WARNING 3 incidents opened on 3 devices of building north: N-1 silent, N-2 silent, N-3 silent",
            "WARNING level up to 50.80 where 20.51 is expected; for 43 windows; found by statistics",
            "WARNING 3 incidents closed on 3 devices of building north: N-1 silent, N-2 silent, N-3 silent",
            "WARNING flow up to 51.00 where 20.49 is expected, 2 more metrics; for 90 windows; found by statistics",
        ]
    "#]]
    .assert_debug_eq(&texts);
    let north = came.iter().find(|one| one["text"].as_str().unwrap().contains("north")).unwrap();
    assert_eq!((&north["n"], &north["devices"]), (&Json::from(3), &serde_json::json!(["N-1", "N-2", "N-3"])));
    assert_eq!(north["incidents"].as_array().unwrap().len(), 3);
}

#[test]
fn killed_at_any_alert_it_tells_all_and_never_one_id_with_two_contents() {
    // The receiver kills the program in the middle of its n-th request, answered or not, and takes all of them from the last run.
    let running: Arc<Mutex<Option<Child>>> = Arc::default();
    let killed = Arc::clone(&running);
    let receiver = Receiver::start(
        "127.0.0.1:0",
        Box::new(move |number, _| {
            let victim = killed.lock().unwrap().take_if(|_| matches!(number, 0 | 1 | 3 | 4));
            if let Some(mut child) = victim {
                child.kill().unwrap();
                child.wait().unwrap();
                return (number % 2 == 0).then_some(200);
            }
            Some(200)
        }),
    );
    let arguments = configure("killed", recording(), &receiver.url, "min_severity = \"info\"\n");
    let mut deaths = 0;
    loop {
        let child = Command::new(env!("CARGO_BIN_EXE_dataflow"))
            .args(arguments.split_whitespace())
            .current_dir(folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        *running.lock().unwrap() = Some(child);
        let ended = loop {
            std::thread::sleep(Duration::from_millis(10));
            match &mut *running.lock().unwrap() {
                None => break None,
                Some(child) => {
                    if let Some(status) = child.try_wait().unwrap() {
                        break Some(status);
                    }
                }
            }
        };
        match ended {
            None => deaths += 1,
            Some(status) => {
                assert!(status.success());
                break;
            }
        }
    }
    assert_eq!(deaths, 4);
    let told = told(&receiver.came());
    check_order(&told);
    assert_eq!(told.iter().map(|(id, ..)| id.clone()).collect::<BTreeSet<_>>(), all_transitions("killed"));
    assert_eq!(call(folder(), "alerts list --store sqlite:killed.db"), "exit 0\nNo alert waits.\n");
}

#[test]
fn a_receiver_that_is_away_gets_all_when_it_is_back() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let more = "end_wait = \"1s\"\n";
    let arguments = configure("away", "day.jsonl.zst", &format!("http://{address}/alerts"), more);
    let said = String::from_utf8(run(&arguments.replace(" --json", "")).stdout).unwrap();
    let waiting = json("alerts list --store sqlite:away.db --json");
    let waiting = waiting.as_array().unwrap().clone();
    let line = format!("\nAlerts    {} wait at the receiver: ", waiting.len());
    assert!(said.contains(&line) && said.contains("alerts list --store sqlite:away.db\n"), "{said}");
    let again = call(folder(), "alerts retry --config away.toml");
    let wait = format!("{} more wait, and are sent by the job when it runs", waiting.len());
    assert!(again.starts_with("exit 0\n0 sent, 0 not taken\n") && again.contains(&wait), "{again}");
    assert!(waiting.len() >= 2, "{waiting:?}");
    assert!(waiting.iter().all(|one| one["state"] == "waiting"));
    assert!(waiting[0]["problem"].as_str().unwrap().contains("refused"), "{}", waiting[0]);
    // The first answer is no, the second none at all; then all come in their order.
    let mut no = [Some(503), None].into_iter();
    let receiver = Receiver::start(&address, Box::new(move |_, _| no.next().unwrap_or(Some(200))));
    fs::write(
        folder().join("away.toml"),
        fs::read_to_string(folder().join("away.toml")).unwrap().replace("end_wait = \"1s\"", "end_wait = \"60s\""),
    )
    .unwrap();
    run(&arguments);
    let came = receiver.came();
    let arrived: BTreeSet<&str> = came.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(arrived, waiting.iter().map(|one| one["id"].as_str().unwrap()).collect());
    for one in &waiting {
        let body = came.iter().find(|came| one["id"] == came.id.as_str()).unwrap().json();
        assert_eq!(body, one["body"], "what waited is what came");
    }
    check_order(&told(&came).into_iter().filter(|(id, ..)| !id.is_empty()).collect::<Vec<_>>());
    assert_eq!(call(folder(), "alerts list --store sqlite:away.db"), "exit 0\nNo alert waits.\n");
}

#[test]
fn what_is_refused_is_kept_and_can_be_told_again() {
    let receiver = Receiver::start("127.0.0.1:0", Box::new(|number, _| Some(if number < 2 { 422 } else { 200 })));
    let output = run(&configure("refused", "day.jsonl.zst", &receiver.url, "").replace(" --json", ""));
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(summary.contains("\nAlerts    2 given up: ") && summary.contains("alerts retry --config"), "{summary}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("an alert was given up; `dataflow alerts` lists it"), "{said}");
    let refused = receiver.came()[..2].to_vec();
    let listed = json("alerts list --store sqlite:refused.db --json");
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.iter().all(|one| one["state"] == "given up" && one["problem"] == "it answered 422"), "{listed:?}");
    let before = receiver.came().len();
    let again = call(folder(), "alerts retry --config refused.toml");
    assert_eq!(again, "exit 0\n2 sent, 0 not taken\n");
    assert_eq!(receiver.came()[before..], refused);
    assert_eq!(call(folder(), "alerts list --store sqlite:refused.db"), "exit 0\nNo alert waits.\n");
    let none = call(folder(), "alerts retry --config refused.toml nothing");
    assert!(none.starts_with("exit 2\n"), "{none}");
}

#[test]
fn a_webhook_is_tried_out_and_its_secrets_are_never_shown() {
    let receiver = Receiver::start("127.0.0.1:0", Box::new(|number, _| Some(if number == 0 { 200 } else { 401 })));
    configure("tried", "day.jsonl.zst", &receiver.url, "[webhook.headers]\nAuthorization = \"Bearer hunter2\"\n");
    let dry = call(folder(), "alerts test --config tried.toml --dry-run");
    assert!(dry.starts_with("exit 0\n{") && dry.contains("\"test\": true"), "{dry}");
    assert_eq!(receiver.came(), [], "nothing was sent");
    let sent = call(folder(), "alerts test --config tried.toml");
    let came = receiver.came();
    assert_eq!(
        sent,
        format!(
            "exit 0\nhttp://{} has taken the test alert {}\n",
            &receiver.url[7..receiver.url.len() - 7],
            came[0].id
        )
    );
    assert_eq!(came[0].json()["test"], true);
    let refused = call(folder(), "alerts test --config tried.toml");
    assert!(refused.starts_with("exit 1\nerror: http://") && refused.contains("it answered 401"), "{refused}");
    let printed = call(folder(), "config print --config tried.toml");
    assert!(printed.contains("Authorization = \"***\"") && printed.contains("secret = \"***\""), "{printed}");
    assert!(!printed.contains("hunter2") && !printed.contains(SECRET), "{printed}");
    let said = |more: &str| {
        call(folder(), &format!("alerts test --set webhook.url=http://localhost/x {more}")).trim().to_owned()
    };
    let seen = [
        call(folder(), "alerts test"),
        said("--set webhook.template={{x}}"),
        said("--set webhook.group_wit=1s"),
        said("--set webhook.min_severity=grave"),
        call(folder(), "config validate --set webhook.url=https://hooks.example/x"),
    ];
    expect![[r#"
        exit 2
        error: there is no webhook: setting "webhook.url" is empty

        exit 2
        error: setting "webhook.template" does not fit a test alert: could not fill the template in: undefined value (in webhook.template:1)
        exit 2
        error: flag --set webhook.group_wit: unknown setting "webhook.group_wit"; did you mean "webhook.group_wait"?
        exit 2
        error: flag --set webhook.min_severity: unknown variant `grave`, expected one of `info`, `warning`, `critical` in `webhook.min_severity`
        exit 1
        error: setting "webhook.url" asks for https, which this build does not have; a proxy beside the job can speak it

    "#]]
    .assert_eq(&(seen.join("\n") + "\n"));
}

/// The receiver hears nothing of what is only logged.
#[test]
fn a_dry_run_logs_what_it_would_send() {
    let receiver = Receiver::willing();
    let output = run(&configure("dry", "day.jsonl.zst", &receiver.url, "dry_run = true\n"));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("would be sent to the webhook") && said.contains("RTU-001"), "{said}");
    assert_eq!(
        (receiver.came(), call(folder(), "alerts list --store sqlite:dry.db")),
        (vec![], "exit 0\nNo alert waits.\n".to_owned())
    );
}
