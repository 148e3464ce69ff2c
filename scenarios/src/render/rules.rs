//! Which rules a device has broken.

use std::collections::BTreeMap;

use model::time::format_ms;
use model::{Method, Row, Value, Verdict};

use super::RenderError;
use super::fields::{int, name, text, value};

/// A line a device and rule: first and last state in which it is broken, and in how many.
pub(super) fn rules(rows: &[Row]) -> Result<Vec<String>, RenderError> {
    let mut broken: BTreeMap<(&str, String), (i64, i64, u64)> = BTreeMap::new();
    for row in rows {
        let Value::Text(json) = value(row, "verdicts") else { continue };
        let verdicts: Vec<Verdict> = serde_json::from_str(json).map_err(RenderError::Verdicts)?;
        let (device, start_ms) = (text(row, "device_id")?, int(row, "snapshot_time")?);
        for verdict in verdicts.into_iter().filter(|verdict| verdict.method == Method::Rules) {
            for finding in verdict.findings {
                let known = broken.entry((device, finding.kind)).or_insert((start_ms, start_ms, 0));
                *known = (known.0.min(start_ms), known.1.max(start_ms), known.2 + 1);
            }
        }
    }
    let line = |((device, rule), (first_ms, last_ms, states)): ((&str, String), (i64, i64, u64))| {
        format!("rule {} {} {}..{} states={states}", name(device), name(&rule), format_ms(first_ms), format_ms(last_ms))
    };
    Ok(broken.into_iter().map(line).collect())
}
