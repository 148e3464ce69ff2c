//! What one alert tells. Its id follows from its content, so that what has one id always has one content.

use std::collections::BTreeSet;

use model::hash::hash_texts;
use model::time::format_ms;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::transition::Transition;

/// How many incidents a summary names.
const NAMED: usize = 5;

/// What happened to its incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// They are told for the first time.
    Opened,
    /// They became graver.
    Changed,
    /// They are over.
    Closed,
    /// They are open still.
    Repeated,
    /// There are none: somebody tries out whether alerts arrive.
    Test,
}

impl What {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            What::Opened => "opened",
            What::Changed => "changed",
            What::Closed => "closed",
            What::Repeated => "repeated",
            What::Test => "test",
        }
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Rises; alerts of one group are told in this order.
    pub number: u64,
    /// Tells it apart; what is sent again has the same.
    pub id: String,
    /// Its group.
    pub group: String,
    /// What happened.
    pub what: What,
    /// All that a template may use.
    pub context: Json,
    /// What is sent without a template: of a single transition the object that goes to Kafka, of several one with a list of them.
    pub object: Json,
}

impl Alert {
    /// Tells transitions of one sort.
    pub fn of(number: u64, group: &str, what: What, update_of: Option<String>, members: &[&Transition]) -> Alert {
        let mut content = vec![what.name(), update_of.as_deref().unwrap_or_default()];
        content.extend(members.iter().map(|member| member.id()));
        let many = many(&id_of(&content), group, what, update_of.as_deref(), members);
        match members {
            [lone] if update_of.is_none() => {
                let mut context = many;
                if let (Some(context), Some(own)) = (context.as_object_mut(), lone.object.as_object()) {
                    context.extend(own.clone());
                }
                Alert {
                    number,
                    id: lone.id().to_owned(),
                    group: group.to_owned(),
                    what,
                    context,
                    object: lone.object.clone(),
                }
            }
            _ => Alert {
                number,
                id: many["id"].as_str().unwrap_or_default().to_owned(),
                group: group.to_owned(),
                what,
                object: many.clone(),
                context: many,
            },
        }
    }

    /// Says once more what is open at `now_ms`.
    pub fn repeated(number: u64, group: &str, first: &str, members: &[&Transition], now_ms: i64) -> Alert {
        let at = now_ms.to_string();
        let mut content = vec![What::Repeated.name(), first, &at];
        content.extend(members.iter().map(|member| member.id()));
        let first = Some(first).filter(|first| !first.is_empty());
        let many = many(&id_of(&content), group, What::Repeated, first, members);
        Alert {
            number,
            id: many["id"].as_str().unwrap_or_default().to_owned(),
            group: group.to_owned(),
            what: What::Repeated,
            object: many.clone(),
            context: many,
        }
    }

    /// Shows at `now_ms` whether alerts arrive; marked, so that nobody sets out.
    pub fn test(now_ms: i64) -> Alert {
        let at = format_ms(now_ms);
        let object = json!({
            "id": format!("test:{now_ms}"), "test": true, "anomaly_id": null, "transition": 1, "device_id": "TEST-000",
            "device_type": "test", "location": null, "building_id": "test-building", "kind": "anomaly", "status": "open",
            "severity": "warning", "score": 0.5, "started_at": at, "ended_at": null, "detected_at": at, "peak_at": at,
            "summary": "this is a test: nothing has happened", "contributions": [], "similar_times": [], "similar_scores": [],
        });
        let lone = Transition { at_ms: now_ms, object };
        let mut alert = Alert::of(0, "building:test-building", What::Test, None, &[&lone]);
        alert.context["test"] = json!(true);
        alert
    }
}

/// A UUID of the custom kind, from content alone.
fn id_of(content: &[&str]) -> String {
    let halves = [hash_texts(&[&["alert"], content].concat()), hash_texts(&[&["again"], content].concat())];
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&halves[0].to_be_bytes());
    bytes[8..].copy_from_slice(&halves[1].to_be_bytes());
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

fn many(id: &str, group: &str, what: What, update_of: Option<&str>, members: &[&Transition]) -> Json {
    let all = |name: &str| members.iter().map(|member| member.text(name)).collect::<BTreeSet<&str>>();
    let (devices, kinds, types) = (all("device_id"), all("kind"), all("device_type"));
    let gravest = members.iter().copied().max_by_key(|member| member.severity());
    let one = |names: &BTreeSet<&str>| names.first().filter(|_| names.len() == 1).map(|name| (*name).to_owned());
    json!({
        "id": id,
        "what": what.name(),
        "status": if what == What::Closed { "closed" } else { "open" },
        "severity": gravest.map(|gravest| gravest.severity().name()),
        "building_id": group.strip_prefix("building:"),
        "device_type": one(&types),
        "started_at": all("started_at").first(),
        "detected_at": all("detected_at").last(),
        "summary": summary(group, what, members, devices.len()),
        "devices": devices,
        "kinds": kinds,
        "update_of": update_of,
        "incidents": members.iter().map(|member| &member.object).collect::<Vec<_>>(),
    })
}

/// One line for a person.
fn summary(group: &str, what: What, members: &[&Transition], devices: usize) -> String {
    let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let place = match group.split_once(':') {
        Some(("type", name)) => format!("type {name}"),
        Some((_, name)) => format!("building {name}"),
        None => group.to_owned(),
    };
    let what = match what {
        What::Opened | What::Test => "opened",
        What::Changed => "became graver",
        What::Closed => "closed",
        What::Repeated => "still open",
    };
    let named =
        members.iter().take(NAMED).map(|member| format!("{} {}", member.text("device_id"), member.text("kind")));
    let named = named.collect::<Vec<_>>().join(", ");
    // Of a single one, which joins others that are open, the line says why; a list would be too long.
    let reason = match members {
        [lone] if !lone.text("summary").is_empty() => format!(": {}", lone.text("summary")),
        _ => String::new(),
    };
    let more = members.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let (incidents, devices) = (plural(members.len(), "incident"), plural(devices, "device"));
    format!("{incidents} {what} on {devices} of {place}: {named}{more}{reason}")
}
