//! Fingerprint: how far a state's metric vector points away from the centroid of the device's own normal states.
//!
//! Distance is 1 - cosine; its limit is the distance that is `fingerprint_decades` rare among the device's own states.
//! Score: 0.5 at the limit, towards 1 beyond it. The constant component is not stored: it is the square root of the
//! number of metrics in every vector.

use model::{Finding, Method, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::baseline::rescale;
use crate::peers::Distances;
use crate::tail::Tail;
use crate::{Baseline, Detector, Evidence, MonitorConfig, Sample, Scale, grade, parts};

/// Normal states that the centroid remembers.
const MEMORY: u32 = 2_880;

/// The state of this method for one device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    centroid: Vec<f64>,
    learned: u32,
    scored: u32,
    tail: Tail,
    distance: f64,
    peers: Distances,
}

impl Fingerprint {
    /// The device's distances to its peers.
    pub(crate) fn peers(&self) -> &Distances {
        &self.peers
    }

    /// The centroid by slot, without the constant component; `None` before any state was learned.
    pub fn centroid(&self) -> Option<&[f64]> {
        (self.learned > 0).then_some(self.centroid.as_slice())
    }
}

impl Detector for Fingerprint {
    fn judge(&mut self, sample: &Sample<'_>) -> Evidence {
        let mut verdict = Verdict {
            method: Method::Fingerprint,
            score: 0.0,
            severity: None,
            warm_up: sample.warm_up,
            findings: Vec::new(),
            compared: Vec::new(),
        };
        self.distance = 0.0;
        self.peers.judge(sample, &mut verdict);
        if !sample.vector_known || self.learned == 0 {
            return Evidence::of(verdict, sample);
        }
        let (mut dot, mut square) = (0.0, 0.0);
        for (value, centre) in sample.vector.iter().zip(&self.centroid) {
            dot += value * centre;
            square += centre * centre;
        }
        let constant = sample.constant_square;
        let cosine = (dot + constant) / ((sample.vector_square + constant) * (square + constant)).sqrt();
        self.distance = (1.0 - cosine).max(0.0);
        if !sample.judging {
            return Evidence::of(verdict, sample);
        }
        let limit = self.tail.score_at(sample.config.fingerprint_decades) * sample.caution;
        verdict.score = verdict.score.max(grade(self.distance / limit));
        if self.distance > limit {
            verdict.severity = Some(Severity::Info);
            verdict.findings.push(Finding {
                kind: "centroid".to_owned(),
                metric: None,
                observed: cosine,
                expected: Some(1.0 - limit),
                score: self.distance,
                limit,
                unit: String::new(),
                text: format!("cosine to the device's normal states is {cosine:.3}, below {:.3}", 1.0 - limit),
                parts: parts([
                    ("product", dot + constant),
                    ("square", sample.vector_square + constant),
                    ("centroid_square", square + constant),
                ]),
            });
            sample.accuse(&self.centroid, &mut verdict);
        }
        Evidence::of(verdict, sample)
    }

    fn learn(&mut self, sample: &Sample<'_>, normal: bool) {
        self.peers.learn(sample, normal);
        if !sample.vector_known {
            return;
        }
        if self.learned > 20 && !sample.incident_open {
            self.tail.learn_limited(self.distance, sample.config.fingerprint_decades, self.scored);
            self.scored = self.scored.saturating_add(1);
        }
        if !normal {
            return;
        }
        self.centroid.resize(sample.vector.len(), 0.0);
        self.learned = self.learned.saturating_add(1);
        let step = 1.0 / f64::from(self.learned.min(MEMORY));
        for (centre, value) in self.centroid.iter_mut().zip(sample.vector) {
            *centre += step * (value - *centre);
        }
    }

    fn refit(&mut self, config: &MonitorConfig, baseline: &Baseline, former: &Scale, _fade: bool) {
        for (slot, centre) in self.centroid.iter_mut().enumerate() {
            *centre = rescale(*centre, former[slot], &baseline.slots[slot], config.vector_clip);
        }
    }
}
