//! The description covers exactly what is served, and answers are as it says.

use serde_json::{Value as Json, json};

use super::stage::Stage;

fn description() -> Json {
    serde_json::to_value(dashboard::openapi()).unwrap()
}

#[test]
fn every_described_route_is_served() {
    let stage = Stage::set(false);
    let openapi = description();
    assert_eq!(stage.json("/api/v1/openapi.json"), openapi);
    let mut routes = Vec::new();
    for (path, methods) in openapi["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            routes.push(format!("{} {path}", method.to_uppercase()));
        }
    }
    expect_test::expect![[r#"
        GET /api/v1/dead-letters
        POST /api/v1/dead-letters/replay
        GET /api/v1/devices/{id}
        GET /api/v1/devices/{id}/explain
        GET /api/v1/devices/{id}/series
        GET /api/v1/devices/{id}/similar
        GET /api/v1/events
        GET /api/v1/fleet
        GET /api/v1/incidents
        GET /api/v1/incidents/{id}
        POST /api/v1/incidents/{id}/resolution
        GET /api/v1/late
        GET /api/v1/maintenance
        POST /api/v1/maintenance
        GET /api/v1/openapi.json
        GET /api/v1/pipeline
        GET /config
        GET /healthz
        GET /metrics
        GET /readyz
    "#]]
    .assert_eq(&(routes.join("\n") + "\n"));
    for route in routes {
        let (method, path) = route.split_once(' ').unwrap();
        if path.ends_with("/events") {
            continue;
        }
        let (status, _, body) = stage.send(&format!("{method} {} HTTP/1.1", path.replace("{id}", "A")), b"");
        let said = openapi["paths"][path][method.to_lowercase()]["responses"].clone();
        assert!(said.get(status.to_string()).is_some(), "{route} {status} {}", String::from_utf8_lossy(&body));
        assert_ne!(status, 405, "{route}");
    }
}

/// As much of JSON Schema as the description uses.
fn check(schema: &Json, value: &Json, openapi: &Json, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/components/schemas/").unwrap();
        return check(&openapi["components"]["schemas"][name], value, openapi, &format!("{at}({name})"));
    }
    if let Some(parts) = schema["allOf"].as_array() {
        return parts.iter().for_each(|part| check(part, value, openapi, at));
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if value.is_null() {
            assert!(choices.iter().any(|choice| choice["type"] == "null"), "{at}: null");
            return;
        }
        let other = choices.iter().find(|choice| choice["type"] != "null").unwrap();
        return check(other, value, openapi, at);
    }
    let kind = match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(number) if number.is_f64() => "number",
        Json::Number(_) => "integer",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    };
    let types: Vec<&str> = match &schema["type"] {
        Json::String(one) => vec![one],
        Json::Array(some) => some.iter().filter_map(Json::as_str).collect(),
        _ => return,
    };
    let fits = types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
    assert!(fits, "{at}: {kind} is none of {types:?}: {value}");
    if let Some(known) = schema["enum"].as_array().filter(|_| !value.is_null()) {
        assert!(known.contains(value), "{at}: {value}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, openapi, &format!("{at}[{index}]"));
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            assert!(object.contains_key(name), "{at}: {name} is missing");
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = object.get(name) {
                check(schema, value, openapi, &format!("{at}.{name}"));
            }
        }
    }
}

#[test]
fn answers_are_as_they_are_described() {
    let stage = Stage::set(false);
    let openapi = description();
    let id = stage.json("/api/v1/incidents")["incidents"][0]["id"].as_str().unwrap().to_owned();
    for (path, described) in [
        ("/api/v1/fleet".to_owned(), "/api/v1/fleet"),
        ("/api/v1/devices/A".to_owned(), "/api/v1/devices/{id}"),
        ("/api/v1/devices/A/series".to_owned(), "/api/v1/devices/{id}/series"),
        ("/api/v1/incidents".to_owned(), "/api/v1/incidents"),
        (format!("/api/v1/incidents/{id}"), "/api/v1/incidents/{id}"),
        ("/api/v1/maintenance".to_owned(), "/api/v1/maintenance"),
        ("/api/v1/pipeline".to_owned(), "/api/v1/pipeline"),
        ("/api/v1/dead-letters".to_owned(), "/api/v1/dead-letters"),
        ("/api/v1/late".to_owned(), "/api/v1/late"),
        ("/readyz".to_owned(), "/readyz"),
    ] {
        let schema = &openapi["paths"][described]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{described}");
        check(schema, &stage.json(&path), &openapi, described);
    }
    assert_eq!(json!("3.1.0"), openapi["openapi"]);
}
