//! Names for people: of types and metrics, and the metrics' units.

use model::Catalogue;

/// `supply_air_temp` is "Supply air temp".
pub fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.trim().chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => name.to_owned(),
    }
}

/// Canonical unit of a metric, empty where the catalogue lacks it.
pub fn unit_of(device_type: &str, metric: &str) -> &'static str {
    let known = Catalogue::builtin().types.get(device_type);
    known.and_then(|known| known.metrics.get(metric)).map_or("", |spec| spec.unit.as_str())
}

/// Lowest and highest plausible value of a metric, where the catalogue knows them.
pub fn limits(device_type: &str, metric: &str) -> (Option<f64>, Option<f64>) {
    let known = Catalogue::builtin().types.get(device_type);
    known.and_then(|known| known.metrics.get(metric)).map_or((None, None), |spec| (spec.lo, spec.hi))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_readable_and_strange_ones_survive() {
        let shown = ["supply_air_temp", "kW", "", "_", "<b>", "éa_b"].map(label);
        assert_eq!(shown, ["Supply air temp", "KW", "", "_", "<b>", "Éa b"]);
    }
}
