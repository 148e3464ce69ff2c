//! Similar states: whether the device was ever in a state like this one, from a bounded memory of exemplars.
//!
//! A normal state has near neighbours among the earlier normal ones. The distance (1 - cosine) to the k-th nearest exemplar
//! is compared with the distance that is `similar_decades` rare for this device; beyond it fewer than k neighbours are near.
//! The memory keeps the states that are least like each other, so that rare but normal states are not forgotten.
//! Score: 0.5 at the limit, towards 1 beyond it.

use model::{Finding, Method, Severity, Verdict};
use serde::{Deserialize, Serialize};

use crate::baseline::rescale;
use crate::tail::Tail;
use crate::{Baseline, Detector, Evidence, MonitorConfig, Sample, Scale, grade, parts};

/// Exemplars before the method speaks.
const FEW: usize = 16;

/// The state of this method for one device. Exemplars are kept by column (slot), so that one pass a slot compares a state
/// with all of them; each cosine is still summed slot by slot, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Similar {
    /// By slot, by exemplar.
    columns: Vec<Vec<f32>>,
    starts_ms: Vec<i64>,
    squares: Vec<f32>,
    /// By exemplar: cosine to its nearest other one when either came in.
    covered: Vec<f32>,
    tail: Tail,
    scored: u32,
    distance: f64,
    nearest: f32,
    #[serde(skip)]
    cosines: Cosines,
}

/// Cosines of the present state to all exemplars: scratch, not state.
#[derive(Clone, Debug, Default)]
struct Cosines(Vec<f32>);

impl PartialEq for Cosines {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Similar {
    /// The nearest earlier states of the last judged one: (window start, cosine), nearest first.
    pub fn nearest(&self, count: usize) -> Vec<(i64, f64)> {
        let mut order: Vec<usize> = (0..self.cosines.0.len()).collect();
        order.sort_by(|left, right| {
            self.cosines.0[*right]
                .total_cmp(&self.cosines.0[*left])
                .then(self.starts_ms[*right].cmp(&self.starts_ms[*left]))
        });
        order.truncate(count);
        order.into_iter().map(|at| (self.starts_ms[at], f64::from(self.cosines.0[at]))).collect()
    }

    #[expect(clippy::cast_possible_truncation, reason = "exemplars are kept in single precision")]
    fn compare(&mut self, sample: &Sample<'_>) {
        let cosines = &mut self.cosines.0;
        cosines.clear();
        let constant = sample.constant_square as f32;
        cosines.resize(self.starts_ms.len(), constant);
        for (value, column) in sample.vector.iter().zip(&self.columns) {
            let value = *value as f32;
            for (sum, exemplar) in cosines.iter_mut().zip(column) {
                *sum += value * exemplar;
            }
        }
        let own = sample.vector_square as f32 + constant;
        for (sum, square) in cosines.iter_mut().zip(&self.squares) {
            *sum /= (own * (square + constant)).sqrt();
        }
    }

    /// The k-th largest cosine, and the largest.
    fn kth(&self, k: usize) -> (f32, f32) {
        let mut best = [f32::NEG_INFINITY; 8];
        let k = k.clamp(1, best.len());
        for cosine in &self.cosines.0 {
            if *cosine > best[k - 1] {
                let mut at = k - 1;
                while at > 0 && best[at - 1] < *cosine {
                    best[at] = best[at - 1];
                    at -= 1;
                }
                best[at] = *cosine;
            }
        }
        (best[k - 1], best[0])
    }

    #[expect(clippy::cast_possible_truncation, reason = "exemplars are kept in single precision")]
    fn put(&mut self, at: usize, sample: &Sample<'_>) {
        for (value, column) in sample.vector.iter().zip(&mut self.columns) {
            column[at] = *value as f32;
        }
        self.starts_ms[at] = sample.state.start_ms;
        self.squares[at] = sample.vector_square as f32;
        self.covered[at] = self.nearest;
        for (other, (covered, cosine)) in self.covered.iter_mut().zip(&self.cosines.0).enumerate() {
            if other != at {
                *covered = covered.max(*cosine);
            }
        }
    }
}

impl Detector for Similar {
    fn judge(&mut self, sample: &Sample<'_>) -> Evidence {
        let mut verdict = Verdict {
            method: Method::Similar,
            score: 0.0,
            severity: None,
            warm_up: sample.warm_up,
            findings: Vec::new(),
            compared: Vec::new(),
        };
        self.distance = 0.0;
        self.nearest = -1.0;
        self.cosines.0.clear();
        if !sample.vector_known {
            return Evidence::of(verdict, sample);
        }
        self.compare(sample);
        let k = sample.config.similar_neighbours.clamp(1, 8);
        let (kth, nearest) = self.kth(k as usize);
        self.nearest = nearest.max(-1.0);
        if self.starts_ms.len() < FEW {
            return Evidence::of(verdict, sample);
        }
        self.distance = f64::from(1.0 - kth).max(0.0);
        if !sample.judging {
            return Evidence::of(verdict, sample);
        }
        let limit = self.tail.score_at(sample.config.similar_decades) * sample.caution;
        verdict.score = grade(self.distance / limit);
        if self.distance > limit {
            #[expect(clippy::cast_precision_loss, reason = "at most a few neighbours")]
            let near = self.cosines.0.iter().filter(|cosine| f64::from(1.0 - **cosine) <= limit).count() as f64;
            verdict.severity = Some(Severity::Info);
            verdict.findings.push(Finding {
                kind: "neighbours".to_owned(),
                metric: None,
                observed: near,
                expected: Some(f64::from(k)),
                score: self.distance,
                limit,
                unit: String::new(),
                text: format!(
                    "only {near} earlier normal states are nearer than cosine {:.3}, {k} are usual",
                    1.0 - limit
                ),
                parts: parts([("cosine", f64::from(kth))]),
            });
        }
        Evidence::of(verdict, sample)
    }

    fn learn(&mut self, sample: &Sample<'_>, normal: bool) {
        if !sample.vector_known {
            return;
        }
        if self.starts_ms.len() >= FEW && !sample.incident_open {
            self.tail.learn_limited(self.distance, sample.config.similar_decades, self.scored);
            self.scored = self.scored.saturating_add(1);
        }
        if !normal {
            return;
        }
        let memory = (sample.config.similar_memory as usize).max(FEW);
        let count = self.starts_ms.len();
        while self.columns.len() < sample.vector.len() {
            self.columns.push(vec![0.0; count]);
        }
        if count < memory {
            self.columns.iter_mut().for_each(|column| column.push(0.0));
            self.starts_ms.push(0);
            self.squares.push(0.0);
            self.covered.push(-1.0);
            self.put(count, sample);
            return;
        }
        // The exemplar that another one covers best makes room, if the new state is less covered than it.
        let mut most = 0;
        for at in 1..count {
            if self.covered[at] > self.covered[most] {
                most = at;
            }
        }
        if self.nearest < self.covered[most] {
            self.put(most, sample);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "exemplars are kept in single precision")]
    fn refit(&mut self, config: &MonitorConfig, baseline: &Baseline, former: &Scale, _fade: bool) {
        self.squares.iter_mut().for_each(|square| *square = 0.0);
        for (slot, column) in self.columns.iter_mut().enumerate() {
            for (value, square) in column.iter_mut().zip(&mut self.squares) {
                let carried = rescale(f64::from(*value), former[slot], &baseline.slots[slot], config.vector_clip);
                *value = carried as f32;
                *square += *value * *value;
            }
        }
    }
}
