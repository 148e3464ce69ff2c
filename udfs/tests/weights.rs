//! A method of weight 0 is not asked, and the others are judged as ever.

mod fleet;

use fleet::Watched;
use model::Method;

/// Rules come first and say whether the others may excuse a state: that they are off must not silence them.
#[test]
fn without_rules_the_other_methods_find_a_fault() {
    let found = |kind, fault| {
        let mut watched = Watched::new(kind, 21, true);
        watched.config.weights[0] = 0.0;
        // A day and a third: in hours never seen more is asked.
        for _ in 0..1_920 {
            assert!(watched.step().incidents.is_empty(), "{kind}");
        }
        watched.device.fault = fault;
        let mut incidents = (0..360).flat_map(|_| watched.step().incidents);
        let incident = incidents.find(|incident| incident.kind == "anomaly");
        assert!(incident.iter().all(|one| !one.methods.contains(&Method::Rules)), "{incident:?}");
        incident.is_some()
    };
    for (kind, fault) in
        [("chiller", "refrigerant_leak"), ("cooling_tower", "fan_failure"), ("air_compressor", "overheating")]
    {
        assert!(found(kind, fault), "{kind} {fault}");
    }
}
