//! What is seen, as a page of text.

use model::time::format_ms;
use serde_json::Value as Json;

use crate::commands::common::{number, printable, short_duration, short_time, table, table_text, thousands};

fn count(value: &Json) -> String {
    value.as_u64().map_or("-".to_owned(), thousands)
}

fn text(value: &Json) -> String {
    value.as_str().map(printable).unwrap_or_default()
}

fn time(value: &Json) -> String {
    value.as_i64().map(short_time).unwrap_or_default()
}

fn since(value: &Json) -> String {
    value.as_i64().map_or("-".to_owned(), |ms| short_duration(ms.max(0)))
}

/// The page; `problem`: why it is old.
pub fn page(seen: &Json, problem: Option<&str>) -> String {
    let (pipeline, fleet) = (&seen["pipeline"], &seen["fleet"]);
    let mut lines = vec![head(pipeline)];
    if let Some(problem) = problem {
        let as_of = pipeline["as_of_ms"].as_i64().map(format_ms).unwrap_or_default();
        lines.push(format!("OLD: as of {as_of}; {}", printable(problem)));
    }
    lines.push(fleet_line(fleet));
    lines.extend(job_lines(pipeline));
    lines.push(String::new());
    let mut page = lines.join("\n") + "\n";
    for part in [partitions(&pipeline["partitions"]), devices(&fleet["devices"])].into_iter().flatten() {
        page += &part;
        page.push('\n');
    }
    page
}

fn head(pipeline: &Json) -> String {
    let job = &pipeline["job"];
    let state = match (job["state"].as_str(), job["readiness"]["ready"].as_bool()) {
        (None, _) => "no job, the store alone".to_owned(),
        (Some(state), Some(false)) => format!("{state}, NOT READY: {}", text(&job["readiness"]["why"])),
        (Some(state), _) => printable(state),
    };
    format!("Plenum      {} -> {}, {state}", text(&pipeline["source"]), text(&pipeline["store"]))
}

fn fleet_line(fleet: &Json) -> String {
    let counts = &fleet["counts"];
    let open = &counts["open"];
    format!(
        "Fleet       {} devices, {} silent, {} states a minute; open incidents: {} critical, {} warning, {} info",
        count(&counts["devices"]),
        count(&counts["silent"]),
        counts["states_per_minute"].as_f64().map_or("-".to_owned(), number),
        count(&open["critical"]),
        count(&open["warning"]),
        count(&open["info"]),
    )
}

fn job_lines(pipeline: &Json) -> Vec<String> {
    let mut lines = Vec::new();
    let fates = &pipeline["fates"];
    if fates.is_object() {
        let [received, windowed, late, duplicate, skipped, dead] =
            ["received", "windowed", "late", "duplicate", "skipped", "dead_lettered"].map(|fate| count(&fates[fate]));
        lines.push(format!(
            "Records     {received}: {windowed} in windows, {late} late, {duplicate} duplicate, {skipped} skipped, {dead} dead letters"
        ));
    }
    let rows = &pipeline["rows"];
    if rows.is_object() {
        let [written, under_way, refused] = ["written", "under_way", "refused"].map(|what| count(&rows[what]));
        lines.push(format!("Rows        {written} written, {under_way} under way, {refused} refused"));
    }
    let checkpoint = &pipeline["checkpoint"];
    if checkpoint.is_object() {
        let window = time(&checkpoint["window_ms"]);
        lines.push(format!("Checkpoint  {} old, up to {window}", since(&checkpoint["age_ms"])));
    }
    for delay in pipeline["delays"].as_array().into_iter().flatten() {
        let [p50, p99] =
            ["p50_ms", "p99_ms"].map(|part| delay[part].as_f64().map_or("-".to_owned(), |ms| format!("{ms:.0} ms")));
        lines.push(format!("Delay       {}: half within {p50}, 99 % within {p99}", text(&delay["what"])));
    }
    lines
}

fn partitions(partitions: &Json) -> Option<String> {
    let partitions = partitions.as_array().filter(|partitions| !partitions.is_empty())?;
    let mut shown = table(&["partition", "next offset", "lag", "watermark", "behind", ""], &[0, 1, 2, 4]);
    for partition in partitions {
        shown.add_row([
            count(&partition["partition"]),
            count(&partition["next_offset"]),
            count(&partition["lag"]),
            time(&partition["watermark_ms"]),
            since(&partition["behind_ms"]),
            if partition["idle"] == true { "idle".to_owned() } else { String::new() },
        ]);
    }
    Some(table_text(&shown))
}

fn devices(devices: &Json) -> Option<String> {
    let troubled =
        devices.as_array()?.iter().filter(|device| device["severity"].is_string() || device["silent"] == true);
    let mut shown = table(&["device", "type", "building", "severity", "since", "what"], &[]);
    let mut any = false;
    for device in troubled {
        any = true;
        let incident = &device["incident"];
        let silent = device["silent"] == true;
        let severity = if device["severity"].is_string() { text(&device["severity"]) } else { "silent".to_owned() };
        shown.add_row([
            text(&device["device_id"]),
            text(&device["device_type"]),
            text(&device["building_id"]),
            severity,
            time(if incident.is_object() { &incident["started_at_ms"] } else { &device["last_seen_ms"] }),
            if incident.is_object() {
                text(&incident["summary"])
            } else if silent {
                "nothing comes from it".to_owned()
            } else {
                String::new()
            },
        ]);
    }
    if any { Some(table_text(&shown)) } else { Some("No device is in trouble.\n".to_owned()) }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_lines_up_and_no_name_steers_the_terminal() {
        let seen = json!({
            "pipeline": {
                "live": true, "source": "kafka://localhost:9092/iot-metrics", "store": "sqlite:live.db", "as_of_ms": 1_772_445_000_000_i64,
                "job": {"state": "running", "readiness": {"ready": false, "why": "the store does not answer"}},
                "partitions": [
                    {"partition": 0, "next_offset": 1_200, "lag": 12, "watermark_ms": 1_772_445_000_000_i64, "idle": false, "behind_ms": 31_000},
                    {"partition": 1, "next_offset": 0, "lag": null, "watermark_ms": null, "idle": true, "behind_ms": null},
                ],
                "fates": {"received": 1_212, "windowed": 1_200, "late": 1, "duplicate": 2, "skipped": 3, "dead_lettered": 6},
                "delays": [{"what": "reading to row", "p50_ms": 66.7, "p99_ms": 2_400.0}],
                "checkpoint": {"id": 4, "age_ms": 12_000, "window_ms": 1_772_445_000_000_i64},
                "rows": {"written": 3_000, "under_way": 0, "refused": 0},
            },
            "fleet": {
                "counts": {"devices": 11, "silent": 1, "open": {"info": 0, "warning": 0, "critical": 1}, "states_per_minute": 11.0},
                "devices": [
                    {"device_id": "RTU-\u{1b}[2J", "device_type": "rooftop_unit", "building_id": null, "severity": "critical", "silent": false,
                     "incident": {"summary": "fan_speed 19 RPM", "started_at_ms": 1_772_444_400_000_i64}},
                    {"device_id": "CH-001", "device_type": "chiller", "building_id": "b", "severity": null, "silent": true, "incident": null,
                     "last_seen_ms": 1_772_440_000_000_i64},
                    {"device_id": "CH-002", "device_type": "chiller", "severity": null, "silent": false},
                ],
            },
        });
        expect![[r#"
            Plenum      kafka://localhost:9092/iot-metrics -> sqlite:live.db, running, NOT READY: the store does not answer
            OLD: as of 2026-03-02T09:50:00Z; no job answers
            Fleet       11 devices, 1 silent, 11.00 states a minute; open incidents: 1 critical, 0 warning, 0 info
            Records     1,212: 1,200 in windows, 1 late, 2 duplicate, 3 skipped, 6 dead letters
            Rows        3,000 written, 0 under way, 0 refused
            Checkpoint  12 s old, up to 2026-03-02 09:50
            Delay       reading to row: half within 67 ms, 99 % within 2400 ms

             partition  next offset  lag  watermark         behind
                     0        1,200   12  2026-03-02 09:50    31 s
                     1            0    -                         -  idle

             device         type          building  severity  since                what
             RTU-\u{1b}[2J  rooftop_unit            critical  2026-03-02 09:40     fan_speed 19 RPM
             CH-001         chiller       b         silent    2026-03-02 08:26:40  nothing comes from it

        "#]].assert_eq(&page(&seen, Some("no job answers")));
    }
}
