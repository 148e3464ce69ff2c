//! Which keys a configuration may have, and the nearest one where it has another.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::detectors::name_types;

/// Keys of which a default configuration has none.
const OPTIONAL: [&str; 2] = ["max_age", "until_idle"];

/// Where all settings can be seen.
const SHOWN: &str = "; `dataflow config print` shows all";

/// Tables whose keys are names of the users' own, by dotted key; their values are texts.
const NAMES: [&str; 5] =
    ["kafka", "webhook.headers", "time_zones", "detectors.criticality.building", "detectors.criticality.device"];

/// The table of how much device types matter.
const TYPES_THAT_MATTER: &str = "detectors.criticality.type";

/// Tables whose keys are device types.
const TYPES: [&str; 2] = ["detectors.type", TYPES_THAT_MATTER];

/// Brings the names in a layer into one form: a name of the users' may have dots, a device type several spellings.
///
/// # Errors
/// Names an unknown device type.
pub(super) fn name_keys(layer: &mut Table) -> Result<(), String> {
    for key in NAMES {
        if let Some(names) = table_at(layer, key) {
            *names = flat(names, "");
        }
    }
    TYPES.into_iter().filter_map(|key| table_at(layer, key).map(name_types)).collect()
}

/// Checks the keys of a layer that was normalised.
///
/// # Errors
/// Names an unknown key with the nearest known one.
pub(super) fn check_keys(layer: &Table, defaults: &Table) -> Result<(), String> {
    let known: BTreeSet<String> = keys(defaults, "").into_iter().chain(OPTIONAL.map(str::to_owned)).collect();
    for key in keys(layer, "") {
        let mut open = NAMES.into_iter().chain([TYPES_THAT_MATTER]);
        let is_named = open.any(|open| key.strip_prefix(open).is_some_and(|rest| rest.starts_with('.')));
        if known.contains(&key) || is_named {
            continue;
        }
        if key.strip_prefix("detectors.type").is_some_and(|rest| rest.matches('.').count() < 2) {
            return Err(format!("setting {key:?} is no table of settings"));
        }
        let Some((of_type, setting)) = of_type(&key) else {
            let tables = NAMES.into_iter().chain(TYPES).map(str::to_owned);
            let all: BTreeSet<String> = known.iter().cloned().chain(tables).collect();
            return Err(format!("unknown setting {key:?}{}", nearest(&key, &all, SHOWN)));
        };
        let inner: BTreeSet<String> =
            known.iter().filter_map(|key| key.strip_prefix("detectors.")).map(str::to_owned).collect();
        if !inner.contains(setting) {
            let near = nearest(setting, &inner, SHOWN).replace("mean \"", &format!("mean \"{of_type}"));
            return Err(format!("unknown setting {key:?}{near}"));
        }
    }
    Ok(())
}

/// A setting of a device type: what stands in front of it, and its name among the settings of all devices.
fn of_type(key: &str) -> Option<(&str, &str)> {
    let named = key.strip_prefix("detectors.type.")?;
    let (_, setting) = named.split_once('.')?;
    Some(key.split_at(key.len() - setting.len()))
}

fn table_at<'a>(table: &'a mut Table, key: &str) -> Option<&'a mut Table> {
    let (first, rest) = key.split_once('.').map_or((key, None), |(first, rest)| (first, Some(rest)));
    let inner = table.get_mut(first)?.as_table_mut()?;
    match rest {
        Some(rest) => table_at(inner, rest),
        None => Some(inner),
    }
}

/// Nested tables as one with dotted keys and texts as values: `security.protocol` may be written with or without quotes.
pub(super) fn flat(table: &Table, prefix: &str) -> Table {
    let mut all = Table::new();
    for (key, value) in table {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => all.extend(flat(inner, &dotted)),
            Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {
                all.insert(dotted, Value::String(value.to_string()));
            }
            other => {
                all.insert(dotted, other.clone());
            }
        }
    }
    all
}

fn keys(table: &Table, prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, value) in table {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => all.extend(keys(inner, &dotted)),
            _ => all.push(dotted),
        }
    }
    all
}

/// What to say behind a name that is none of those known; `otherwise` where no other is like it.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a String>, otherwise: &str) -> String {
    let likeness = |known: &&String| (strsim::jaro_winkler(name, known) * 1000.0) as i64;
    match known.into_iter().max_by_key(likeness).filter(|known| likeness(known) > 700) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => otherwise.to_owned(),
    }
}
