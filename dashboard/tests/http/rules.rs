//! What is refused, and how: wrong parameters, wrong methods, foreign pages, bodies that are none.

use super::stage::Stage;

#[test]
fn what_is_wrong_is_named() {
    let stage = Stage::set(false);
    for (path, status, named) in [
        ("/api/v1/fleet?limit=x", 400, "limit"),
        ("/api/v1/fleet?limit=-1", 400, "limit"),
        ("/api/v1/fleet?limit=10001", 400, "limit"),
        ("/api/v1/fleet?offset=1000000001", 400, "offset"),
        ("/api/v1/incidents?offset=1000000001", 400, "offset"),
        ("/api/v1/dead-letters?offset=1000000001", 400, "offset"),
        ("/api/v1/fleet?sort=size", 400, "sort"),
        ("/api/v1/fleet?severity=bad", 400, "severity"),
        ("/api/v1/fleet?colour=red", 400, "colour"),
        ("/api/v1/fleet?limit=1&limit=2", 400, "limit"),
        ("/api/v1/incidents?status=maybe", 400, "status"),
        ("/api/v1/incidents?from_ms=9223372036854775807", 400, "from_ms"),
        ("/api/v1/incidents/none", 404, "none"),
        ("/api/v1/devices/none", 404, "none"),
        ("/api/v1/devices/none/series", 404, "none"),
        ("/api/v1/devices/%FF", 400, "UTF-8"),
        ("/api/v1/devices/A/series?points=0", 400, "points"),
        ("/api/v1/devices/A/series?points=1e3", 400, "points"),
        ("/api/v1/devices/A/series?from_ms=-1", 400, "from_ms"),
        ("/api/v1/devices/A/series?from_ms=0", 422, "31 days"),
        ("/api/v1/devices/A/series?to_ms=0", 422, "from_ms"),
        ("/api/v1/devices/A/series?x=1", 400, "x"),
        ("/api/v1/devices/A/similar", 400, "at_ms"),
        ("/api/v1/devices/A/similar?at_ms=1&limit=51", 400, "limit"),
        ("/api/v1/devices/A/explain?at_ms=1", 404, "A at 1"),
        ("/api/v1/late?limit=99999999999999999999", 400, "limit"),
        ("/api/v1/nothing", 404, "nothing"),
        ("/assets/none.js", 404, "none.js"),
        ("/assets/..%2f..%2fCargo.toml", 404, "Cargo.toml"),
        ("/nothing", 404, "nothing"),
    ] {
        let detail = stage.problem(path, status);
        assert!(detail.contains(named), "{path}: {detail}");
    }
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let (status, head, _) = stage.send(&format!("{method} /api/v1/fleet HTTP/1.1"), b"");
        assert_eq!(status, 405, "{method}");
        assert!(head.contains("application/problem+json") && head.to_lowercase().contains("allow: get"), "{head}");
    }
    assert_eq!(stage.send("DELETE /api/v1/maintenance HTTP/1.1", b"").0, 405);
    assert_eq!(stage.send("HEAD /api/v1/fleet HTTP/1.1", b"").0, 200);
}

#[test]
fn bodies_that_are_none_are_refused() {
    let stage = Stage::set(false);
    let id = stage.json("/api/v1/incidents")["incidents"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/incidents/{id}/resolution");
    let post = |path: &str, kind: &str, body: &str| {
        stage.send(&format!("POST {path} HTTP/1.1\r\nContent-Type: {kind}"), body.as_bytes()).0
    };
    let json = "application/json";
    assert_eq!(post(&path, "text/plain", r#"{"as":"fault"}"#), 415);
    assert_eq!(post(&path, json, r#"{"as":"fault""#), 400);
    assert_eq!(post(&path, json, r#"{"as":"boredom"}"#), 400);
    assert_eq!(post(&path, json, r#"{"as":"fault","x":1}"#), 400);
    assert_eq!(post(&path, json, &format!(r#"{{"as":"fault","note":"{}"}}"#, "x".repeat(2_001))), 400);
    // The program here has no job; a good request comes as far as that.
    assert_eq!(post(&path, json, r#"{"as":"fault"}"#), 409);
    assert_eq!(post("/api/v1/incidents/none/resolution", json, r#"{"as":"fault"}"#), 404);
    for (body, status) in [
        (r#"{"device_id":"A","from_ms":1,"to_ms":1}"#, 422),
        (r#"{"from_ms":1,"to_ms":2}"#, 422),
        (r#"{"device_id":"A","building_id":"b1","from_ms":1,"to_ms":2}"#, 422),
        (r#"{"building_id":"b1","from_ms":1.5,"to_ms":2}"#, 400),
        (r#"{"building_id":"b1","from_ms":1.0,"to_ms":2.0}"#, 409),
        (r#"{"device_id":"none","from_ms":1,"to_ms":2}"#, 404),
        (r#"{"building_id":"none","from_ms":1,"to_ms":2}"#, 404),
        (r#"{"building_id":"b1","from_ms":-1,"to_ms":2}"#, 400),
        (r#"{"building_id":"b1","from_ms":1,"to_ms":2}"#, 409),
    ] {
        assert_eq!(post("/api/v1/maintenance", json, body), status, "{body}");
    }
    for (body, status) in [
        (r#"{"letters":[]}"#, 400),
        (r#"{"letters":[{"topic":"iot-metrics","partition":0,"offset":99}]}"#, 404),
        (r#"{"letters":[{"topic":"iot-metrics","partition":9223372036854775807,"offset":0}]}"#, 404),
        (r#"{"letters":[{"topic":"iot-metrics","partition":0,"offset":0,"text":"{}"}]}"#, 409),
        (r#"{"letters":[{"topic":"iot-metrics","partition":0.0,"offset":0.0}]}"#, 409),
    ] {
        assert_eq!(post("/api/v1/dead-letters/replay", json, body), status, "{body}");
    }
    let (status, head, _) =
        stage.send(&format!("POST {path} HTTP/1.1\r\nContent-Type: {json}\r\nContent-Length: 99999999"), b"{");
    assert_eq!(status, 413, "{head}");
}

#[test]
fn foreign_pages_and_names_are_refused() {
    let stage = Stage::set(false);
    let post = |headers: &str| {
        let head = format!("POST /api/v1/maintenance HTTP/1.1\r\nContent-Type: application/json\r\n{headers}");
        stage.send(head.trim_end(), br#"{"building_id":"b1","from_ms":1,"to_ms":2}"#).0
    };
    assert_eq!(stage.send("GET / HTTP/1.1\r\nHost: evil.example", b"").0, 403);
    assert_eq!(post(""), 409);
    assert_eq!(post("Origin: http://evil.example"), 403);
    assert_eq!(post("Sec-Fetch-Site: cross-site"), 403);
    assert_eq!(post(&format!("Origin: http://localhost:{}", stage.server.address().port())), 409);
}

#[test]
fn beyond_the_loopback_only_the_token_writes() {
    let body = br#"{"building_id":"b1","from_ms":1,"to_ms":2}"#;
    let head = "POST /api/v1/maintenance HTTP/1.1\r\nContent-Type: application/json";
    let stage = Stage::with(false, "0.0.0.0:0", None);
    let (status, _, told) = stage.send(head, body);
    assert!(status == 403 && String::from_utf8(told).unwrap().contains("http_token"));
    let stage = Stage::with(false, "0.0.0.0:0", Some("secret"));
    let (status, answer, _) = stage.send(head, body);
    assert!(status == 401 && answer.contains("www-authenticate: Bearer"), "{answer}");
    assert_eq!(stage.send(&format!("{head}\r\nAuthorization: Bearer other"), body).0, 401);
    assert_eq!(stage.send(&format!("{head}\r\nAuthorization: Bearer secret"), body).0, 409);
    assert_eq!(stage.send("GET /api/v1/fleet HTTP/1.1\r\nHost: anything.example", b"").0, 200);
}

#[test]
fn the_charts_library_is_sent_small_and_kept() {
    let stage = Stage::set(false);
    let (status, head, _) = stage.send("GET /assets/plotly.js HTTP/1.1", b"");
    let at = head.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned();
    assert_eq!(status, 307);
    let (_, head, plain) = stage.send(&format!("GET {at} HTTP/1.1"), b"");
    assert!(head.contains("immutable") && head.contains("text/javascript") && plain.starts_with(b"/**\n* plotly.js"));
    let (_, head, small) = stage.send(&format!("GET {at} HTTP/1.1\r\nAccept-Encoding: gzip, zstd"), b"");
    assert!(head.contains("content-encoding: zstd") && small.len() < plain.len() / 3, "{head}");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    assert_eq!(stage.send(&format!("GET {at} HTTP/1.1\r\nIf-None-Match: {tag}"), b"").0, 304);
    let (_, head, _) = stage.send("GET /assets/app.js HTTP/1.1", b"");
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    assert_eq!(stage.send(&format!("GET /assets/app.js HTTP/1.1\r\nIf-None-Match: {tag}"), b"").0, 304);
}
