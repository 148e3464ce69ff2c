//! Metrics against their siblings: what each should be at this moment, given all others, by the inverse of their covariance.
//!
//! With P the inverse, the part of metric i that the others do not explain is (P z)_i / P_ii, and (P z)_i / sqrt(P_ii) is that in its own
//! deviations; the squares of the Mahalanobis distance are made of the same terms (Whittaker: "Graphical models in applied multivariate
//! statistics", 1990, 5.8). The covariance is shrunk towards independence, since metrics that follow from one another make it singular.
//! An absent metric is left out exactly: the inverse of what remains is P less one outer product.

use ::model::MetricKind;
use serde::{Deserialize, Serialize};

use crate::baseline::Usual;

/// Most metrics that take part, the first by slot: the work grows with their square.
const MOST: usize = 32;
/// Share of independence that is mixed into the correlations.
const SHRINKAGE: f64 = 1e-4;
/// An absent metric counts as it was last for so many states; then states teach nothing until it is back or forgotten.
const REMEMBERED: u32 = 10;
/// Deviation of a rounding error, in steps: 1 / sqrt(12).
const ROUNDING: f64 = 0.288_675_134_594_812_9;

/// Moments of all metrics together, and the inverse of their covariance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Joint {
    /// Sums of products of the constant 1 and the scaled values, lower triangle by rows; the first is the weight.
    sums: Vec<f64>,
    /// Last scaled values, by slot.
    last: Vec<f64>,
    absent: Vec<u32>,
    /// Those that take part.
    slots: Vec<usize>,
    means: Vec<f64>,
    /// Square, by rows; empty: not fitted.
    inverse: Vec<f64>,
}

/// What the others say of one metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Against {
    /// Slot.
    pub(super) slot: usize,
    /// In deviations of what the others leave open.
    pub(super) residual: f64,
    /// What it should be, scaled.
    pub(super) expected: f64,
    /// Deviation of what the others leave open, scaled.
    pub(super) deviation: f64,
}

fn takes_part(kind: MetricKind) -> bool {
    !matches!(kind, MetricKind::Counter | MetricKind::Derived)
}

impl Joint {
    /// Learns a normal state.
    pub(super) fn learn(&mut self, values: &[f64], usual: &[Usual]) {
        let count = values.len().min(MOST);
        if self.absent.len() != count {
            // Metrics that come later have no moments with the states before.
            self.absent = vec![0; count];
            self.last = vec![f64::NAN; count];
            self.sums = vec![0.0; (count + 1) * (count + 2) / 2];
        }
        let mut complete = true;
        for (slot, value) in values[..count].iter().enumerate() {
            if !takes_part(usual[slot].kind) {
                continue;
            }
            if value.is_nan() {
                self.absent[slot] = self.absent[slot].saturating_add(1);
                complete &= self.absent[slot] <= REMEMBERED && !self.last[slot].is_nan();
            } else {
                self.absent[slot] = 0;
                self.last[slot] = (value - usual[slot].origin) / usual[slot].unit;
            }
        }
        if !complete {
            return;
        }
        self.sums[0] += 1.0;
        let mut at = 1;
        for (i, (left, usual)) in self.last.iter().zip(usual).enumerate() {
            if takes_part(usual.kind) {
                self.sums[at] += left;
                for (sum, right) in self.sums[at + 1..=at + 1 + i].iter_mut().zip(&self.last) {
                    // What takes no part has no value, and its sums are never looked at.
                    *sum += left * right;
                }
            }
            at += i + 2;
        }
    }

    /// Puts the inverse of the covariance so far into force; says which slots it speaks of.
    pub(super) fn fit(&mut self, usual: &[Usual]) -> &[usize] {
        let weight = self.sums.first().copied().unwrap_or(0.0);
        let count = self.last.len();
        #[expect(clippy::cast_precision_loss, reason = "a few metrics")]
        let enough = weight >= 8.0 * count as f64;
        if enough {
            self.invert(usual, weight);
        }
        &self.slots
    }

    fn invert(&mut self, usual: &[Usual], weight: f64) {
        let sum = |i: usize, j: usize| self.sums[(i + 1) * (i + 2) / 2 + j];
        let mean = |i: usize| sum(i, 0) / weight;
        // Rounding is part of what a metric may do by itself.
        let rounding = |i: usize| usual[i].step / usual[i].unit * ROUNDING;
        let variance = |i: usize| (sum(i, i + 1) / weight - mean(i) * mean(i)).max(0.0);
        let moves = |i: &usize| takes_part(usual[*i].kind) && variance(*i).sqrt() > 2.0 * rounding(*i).max(1e-6);
        let mut slots: Vec<usize> = (0..self.last.len()).filter(moves).collect();
        if slots.len() == 1 {
            // Where there are no others, nothing follows from them: what is left would be the distance to a mean.
            slots.clear();
        }
        let size = slots.len();
        let deviations: Vec<f64> = slots.iter().map(|i| (variance(*i) + rounding(*i) * rounding(*i)).sqrt()).collect();
        let mut matrix = vec![0.0; size * size];
        for (a, i) in slots.iter().enumerate() {
            for (b, j) in slots[..=a].iter().enumerate() {
                let covariance = sum(*i, j + 1) / weight - mean(*i) * mean(*j);
                let correlation = (1.0 - SHRINKAGE) * covariance / (deviations[a] * deviations[b]);
                matrix[a * size + b] = if a == b { correlation.max(0.0) + SHRINKAGE } else { correlation };
            }
        }
        let means = slots.iter().map(|i| mean(*i)).collect();
        if let Some(mut inverse) = inverse(&mut matrix, size) {
            for a in 0..size {
                for b in 0..size {
                    inverse[a * size + b] /= deviations[a] * deviations[b];
                }
            }
            (self.slots, self.means, self.inverse) = (slots, means, inverse);
        }
    }

    /// Halves the weight of what is old.
    pub(super) fn fade(&mut self) {
        self.sums.iter_mut().for_each(|sum| *sum *= 0.5);
    }

    /// Every metric that is there against all others that are.
    pub(super) fn against(&self, values: &[f64], usual: &[Usual], each: &mut Vec<Against>) {
        each.clear();
        let size = self.slots.len();
        if self.inverse.is_empty() {
            return;
        }
        let mut apart = [0.0; MOST];
        let mut absent: Vec<usize> = Vec::new();
        for (a, (slot, mean)) in self.slots.iter().zip(&self.means).enumerate() {
            let value = values[*slot];
            if value.is_nan() {
                absent.push(a);
            } else {
                apart[a] = (value - usual[*slot].origin) / usual[*slot].unit - mean;
            }
        }
        let reduced;
        let inverse = if absent.is_empty() {
            &self.inverse
        } else {
            reduced = without(&self.inverse, size, &absent);
            &reduced
        };
        for (a, slot) in self.slots.iter().enumerate() {
            let own = inverse[a * size + a];
            if values[*slot].is_nan() || own <= 0.0 {
                continue;
            }
            let mut left = 0.0;
            for (weight, apart) in inverse[a * size..(a + 1) * size].iter().zip(&apart[..size]) {
                left += weight * apart;
            }
            let expected = self.means[a] + apart[a] - left / own;
            each.push(Against { slot: *slot, residual: left / own.sqrt(), expected, deviation: 1.0 / own.sqrt() });
        }
    }
}

/// The inverse of a symmetric matrix (lower triangle given) by Cholesky; `None` where it is not positive.
fn inverse(matrix: &mut [f64], size: usize) -> Option<Vec<f64>> {
    for i in 0..size {
        for j in 0..=i {
            let mut sum = matrix[i * size + j];
            for k in 0..j {
                sum -= matrix[i * size + k] * matrix[j * size + k];
            }
            if i == j {
                if sum <= 1e-12 {
                    return None;
                }
                matrix[i * size + i] = sum.sqrt();
            } else {
                matrix[i * size + j] = sum / matrix[j * size + j];
            }
        }
    }
    let mut inverse = vec![0.0; size * size];
    let mut column = vec![0.0; size];
    for unit in 0..size {
        for i in 0..size {
            let mut sum = if i == unit { 1.0 } else { 0.0 };
            for k in 0..i {
                sum -= matrix[i * size + k] * column[k];
            }
            column[i] = sum / matrix[i * size + i];
        }
        for i in (0..size).rev() {
            let mut sum = column[i];
            for k in i + 1..size {
                sum -= matrix[k * size + i] * column[k];
            }
            column[i] = sum / matrix[i * size + i];
        }
        for i in 0..size {
            inverse[i * size + unit] = column[i];
        }
    }
    Some(inverse)
}

/// The inverse of the covariance of those that are left, with zeros where one is absent.
fn without(inverse: &[f64], size: usize, absent: &[usize]) -> Vec<f64> {
    let mut reduced = inverse.to_vec();
    for gone in absent {
        let own = reduced[gone * size + gone];
        if own <= 0.0 {
            continue;
        }
        let line: Vec<f64> = reduced[gone * size..(gone + 1) * size].to_vec();
        for (a, left) in line.iter().enumerate() {
            for (cell, right) in reduced[a * size..(a + 1) * size].iter_mut().zip(&line) {
                *cell -= left * right / own;
            }
        }
        for a in 0..size {
            reduced[gone * size + a] = 0.0;
            reduced[a * size + gone] = 0.0;
        }
    }
    reduced
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Baseline;

    fn noise(row: u64) -> f64 {
        let mixed = ::model::hash::hash_bytes(&row.to_le_bytes());
        f64::from(u32::try_from(mixed >> 40).unwrap()) / f64::from(1u32 << 24) - 0.5
    }

    fn usual(count: usize) -> Vec<Usual> {
        let mut baseline = Baseline::default();
        for _ in 0..count {
            baseline.push(None);
        }
        let mut column: Vec<f64> = (0..50).map(noise).collect();
        baseline.slots.iter_mut().for_each(|usual| usual.set_guard(&mut column.clone()));
        column.clear();
        baseline.slots
    }

    /// A flow that follows a fan, and something else.
    fn row(at: u64) -> Vec<f64> {
        let fan = 10.0 * noise(at);
        vec![fan, 3.0 * fan + noise(at + 100_000), noise(at + 200_000)]
    }

    fn fitted() -> (Joint, Vec<Usual>) {
        let usual = usual(3);
        let mut joint = Joint::default();
        (0..2_000).for_each(|at| joint.learn(&row(at), &usual));
        assert_eq!(joint.fit(&usual), [0, 1, 2]);
        (joint, usual)
    }

    #[test]
    fn the_others_explain_what_follows_from_them() {
        let (joint, usual) = fitted();
        let mut each = Vec::new();
        let (mut sum, mut worst) = (0.0, 0.0f64);
        for at in 5_000..6_000 {
            joint.against(&row(at), &usual, &mut each);
            sum += each[1].residual * each[1].residual;
            worst = worst.max(each[1].residual.abs());
        }
        // Uniform noise is never beyond sqrt(3) of its deviation; shrinkage widens what follows this closely a little.
        assert!((0.75..1.05).contains(&(sum / 1_000.0)) && worst < 2.0, "{sum} {worst}");
        joint.against(&[4.0, -3.0, 0.0], &usual, &mut each);
        let expected = usual[1].origin + each[1].expected * usual[1].unit;
        assert!((11.0..12.5).contains(&expected) && each[1].residual < -30.0, "{expected} {each:?}");
    }

    #[test]
    fn an_absent_metric_is_left_out_exactly() {
        let (joint, usual) = fitted();
        let mut two = Joint::default();
        let pair = [usual[0].clone(), usual[2].clone()];
        (0..2_000).for_each(|at| two.learn(&[row(at)[0], row(at)[2]], &pair));
        two.fit(&pair);
        let (mut with, mut alone) = (Vec::new(), Vec::new());
        joint.against(&[4.0, f64::NAN, 0.3], &usual, &mut with);
        two.against(&[4.0, 0.3], &pair, &mut alone);
        assert_eq!(with.len(), 2);
        for (with, alone) in with.iter().zip(&alone) {
            assert!((with.residual - alone.residual).abs() < 0.01, "{with:?} {alone:?}");
        }
    }

    #[test]
    fn what_never_moves_takes_no_part() {
        let of_three = usual(3);
        let mut joint = Joint::default();
        (0..100).for_each(|at| joint.learn(&[noise(at), 7.0, noise(at + 1_000)], &of_three));
        assert_eq!(joint.fit(&of_three), [0, 2]);
        // One alone has no others that could say anything of it.
        let of_two = usual(2);
        let mut joint = Joint::default();
        (0..100).for_each(|at| joint.learn(&[noise(at), 7.0], &of_two));
        assert_eq!(joint.fit(&of_two), [0usize; 0]);
    }
}
