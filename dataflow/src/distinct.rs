//! Distinct states: the metric vector in coarse steps, so that what devices do again and again is one vector.
//!
//! A dozen metrics that each wander within their own spread make nearly every state a new one, however coarsely the finished
//! vector is rounded. So the metrics are, each by itself, before they are projected: within two spreads of its level a
//! metric is as usual, further out it counts in steps of two. The state itself keeps its exact vector.

use connectors::Embedder;

/// Width of a step, in spreads of the device's own metric. A simulated week of five devices, 49,200 states with thirty faults,
/// has 48,804 distinct ones in halves of a spread, 1,428 in steps of two and 476 in steps of three, in which the first faults
/// begin to look like an ordinary day.
const STEP_SPREADS: f64 = 2.0;

/// A distinct state.
#[derive(Clone, Debug, PartialEq)]
pub struct Distinct {
    /// Hash of what it is made of: the same id always has the same vector.
    pub vector_id: i64,
    /// Its vector, of norm 1.
    pub vector: Vec<f32>,
}

/// The distinct state that a metric vector belongs to; the order of the slots plays no part. `names` belongs to the leading
/// components, a further one is the constant. `None`: it has no vector.
pub fn distinct(embedder: &mut dyn Embedder, vector: &[f64], names: &[String]) -> Option<Distinct> {
    let (metrics, constant) = vector.split_at(names.len());
    let in_steps = |spreads: &f64| (spreads / STEP_SPREADS).trunc() * STEP_SPREADS;
    let mut steps: Vec<(&String, f64)> = names.iter().zip(metrics.iter().map(in_steps)).collect();
    steps.retain(|(_, step)| *step != 0.0);
    steps.sort_unstable_by_key(|(name, _)| *name);
    let mut content = Vec::new();
    for (name, step) in &steps {
        content.extend_from_slice(&(name.len() as u64).to_le_bytes());
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(&step.to_le_bytes());
    }
    content.extend(constant.iter().flat_map(|value| value.to_le_bytes()));
    let (names, mut coarse): (Vec<String>, Vec<f64>) =
        steps.into_iter().map(|(name, step)| (name.clone(), step)).unzip();
    coarse.extend_from_slice(constant);
    let vector = embedder.embed(&coarse, &names)?;
    Some(Distinct { vector_id: model::hash::hash_bytes(&content).cast_signed(), vector })
}

#[cfg(test)]
mod tests {
    use super::*;
    use connectors::Projection;
    use proptest::prelude::*;

    fn of(parts: &[(&str, f64)], constant: f64) -> Option<Distinct> {
        let names: Vec<String> = parts.iter().map(|(name, _)| (*name).to_owned()).collect();
        let vector: Vec<f64> = parts.iter().map(|(_, spreads)| *spreads).chain([constant]).collect();
        distinct(&mut Projection::new(), &vector, &names)
    }

    #[test]
    fn the_id_is_pinned() {
        let usual = of(&[("cop", 1.9), ("fan_speed", -1.9)], 2.0).unwrap();
        expect_test::expect!["-4315110872386272787"].assert_eq(&usual.vector_id.to_string());
        let odd = of(&[("cop", 2.0), ("fan_speed", -6.0)], 2.0).unwrap();
        expect_test::expect!["4415048500579357466"].assert_eq(&odd.vector_id.to_string());
        assert_eq!(of(&[("cop", 0.0)], 0.0), None, "nothing to make a vector of");
    }

    proptest! {
        /// What lies within the same steps is one state, bit for bit, whatever the slots; another step is another state.
        #[test]
        fn states_within_the_steps_are_one(
            parts in prop::collection::vec((-3i8..=3, 0.0f64..1.9, 0.0f64..1.9), 1..12),
            changed in any::<prop::sample::Index>(),
        ) {
            let named = |value: &dyn Fn(&(i8, f64, f64)) -> f64| -> Vec<(String, f64)> {
                parts.iter().enumerate().map(|(at, part)| (format!("metric_{at}"), value(part))).collect()
            };
            let state = |parts: &[(String, f64)]| {
                let parts: Vec<(&str, f64)> = parts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
                of(&parts, (parts.len() as f64).sqrt()).unwrap()
            };
            let further = |step: i8, beyond: f64| f64::from(step) * 2.0 + beyond * f64::from(step.signum());
            let one = named(&|part| further(part.0, part.1));
            let mut other = named(&|part| further(part.0, part.2));
            other.reverse();
            prop_assert_eq!(state(&one), state(&other));
            let at = changed.index(parts.len());
            other[at].1 += if other[at].1 < 0.0 { -2.0 } else { 2.0 };
            prop_assert_ne!(state(&one).vector_id, state(&other).vector_id);
        }
    }
}
