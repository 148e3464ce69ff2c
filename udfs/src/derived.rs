//! Derived metrics: what follows from other metrics of the same state by a formula of the catalogue, such as what a coil adds to
//! the air. They tell a wrong coil or damper where each temperature alone is still as usual.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use model::{Aggregate, DeviceType};

use crate::rules::{Condition, ExpressionError};

/// A compiled formula.
#[derive(Debug)]
pub(crate) struct Formula {
    name: String,
    /// The value is the left side of a comparison.
    value: Condition,
    when: Option<Condition>,
    inputs: Vec<String>,
}

/// Compiles the formulas of a type; an error comes with the metric's name.
pub(crate) fn compile(device_type: &DeviceType) -> Result<Vec<Formula>, (String, ExpressionError)> {
    let sent = |name: &&String| device_type.derived.iter().all(|derived| derived.name != **name);
    let metrics: Vec<&str> = device_type.metrics.keys().filter(sent).map(String::as_str).collect();
    let mut formulas = Vec::with_capacity(device_type.derived.len());
    for spec in &device_type.derived {
        let wrong = |error| (spec.name.clone(), error);
        let mut inputs = Vec::new();
        let value = Condition::compile(&format!("({}) > 0.0", spec.value), &metrics, &mut inputs).map_err(wrong)?;
        let when = match &spec.when {
            Some(when) => Some(Condition::compile(when, &metrics, &mut inputs).map_err(wrong)?),
            None => None,
        };
        formulas.push(Formula { name: spec.name.clone(), value, when, inputs });
    }
    Ok(formulas)
}

/// The compiled formulas of a type, shared by all devices of it.
fn formulas(device_type: &DeviceType) -> Arc<Vec<Formula>> {
    static COMPILED: Mutex<BTreeMap<u64, Arc<Vec<Formula>>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let found = compiled
        .entry(device_type.content)
        .or_insert_with(|| Arc::new(compile(device_type).expect("formulas were compiled by check_catalogue at start")));
    Arc::clone(found)
}

/// The derived metrics of a state, by name: each from the means of its inputs, where all are there and its condition holds.
pub fn derive(device_type: &DeviceType, names: &[String], metrics: &[Option<Aggregate>]) -> Vec<(String, Aggregate)> {
    let mut derived = Vec::new();
    if device_type.derived.is_empty() {
        return derived;
    }
    let mean = |name: &String| {
        let slot = names.iter().position(|known| known == name)?;
        metrics[slot].map(|metric| metric.mean)
    };
    for formula in formulas(device_type).iter() {
        let Some(inputs) = formula.inputs.iter().map(mean).collect::<Option<Vec<f64>>>() else { continue };
        if !formula.when.as_ref().is_none_or(|when| when.holds(&inputs)) {
            continue;
        }
        let value = formula.value.sides(&inputs).map_or(f64::NAN, |(left, _)| left);
        if value.is_finite() {
            derived
                .push((formula.name.clone(), Aggregate { last: value, mean: value, min: value, max: value, count: 1 }));
        }
    }
    derived
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Catalogue;

    #[test]
    fn a_formula_needs_its_inputs_and_its_condition() {
        let ahu = &Catalogue::builtin().types["air_handling_unit"];
        let names = ["mixed_air_temp", "outdoor_air_temp", "return_air_temp", "supply_air_temp"].map(str::to_owned);
        let derived = |values: [Option<f64>; 4]| {
            let metrics =
                values.map(|value| value.map(|mean| Aggregate { last: mean, mean, min: mean, max: mean, count: 1 }));
            let derived = derive(ahu, &names, &metrics);
            derived.into_iter().map(|(name, metric)| format!("{name}={}", metric.mean)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            derived([Some(65.0), Some(50.0), Some(70.0), Some(55.0)]),
            "outdoor_air_fraction=0.25 supply_minus_mixed=-10"
        );
        assert_eq!(derived([Some(65.0), Some(68.0), Some(70.0), Some(55.0)]), "supply_minus_mixed=-10");
        assert_eq!(derived([None, Some(50.0), Some(70.0), Some(55.0)]), "");
    }

    #[test]
    fn a_broken_formula_names_its_metric() {
        let mut ahu = Catalogue::builtin().types["air_handling_unit"].clone();
        ahu.derived[0].value = "supply_air_tmp - 1.0".to_owned();
        let (name, error) = compile(&ahu).unwrap_err();
        assert!(name == "outdoor_air_fraction" && error.to_string().contains("supply_air_tmp"), "{name}: {error}");
    }
}
