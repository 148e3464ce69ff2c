//! Detectors of a few lines. They are no part of the project's detection: their scores are known, so running them here shows
//! that files are read and scored as published.

use super::skab::TRAINING_ROWS;

const LAGS: usize = 5;

/// Autoregression of each column on its last five values, fitted on the training rows; the largest residual of a row in
/// deviations, its median of three rows, above 3, held for ten rows. Flags of the rows behind the training.
pub fn autoregression(columns: &[Vec<f64>]) -> Vec<bool> {
    let rows = columns.first().map_or(0, Vec::len);
    let mut largest = vec![0.0f64; rows];
    for column in columns {
        let Some(weights) = fit(&column[..TRAINING_ROWS.min(rows)]) else { continue };
        let residual: Vec<f64> = (0..rows)
            .map(|row| if row < LAGS { 0.0 } else { column[row] - predict(&weights, &column[row - LAGS..row]) })
            .collect();
        let trained = &residual[LAGS..TRAINING_ROWS.min(rows)];
        let mean = trained.iter().sum::<f64>() / trained.len() as f64;
        let variance = trained.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / trained.len() as f64;
        if variance <= 0.0 {
            continue;
        }
        for (largest, value) in largest.iter_mut().zip(&residual) {
            *largest = largest.max((value - mean).abs() / variance.sqrt());
        }
    }
    let mut held = 0;
    (TRAINING_ROWS..rows)
        .map(|row| {
            let mut last = [largest[row - 2], largest[row - 1], largest[row]];
            last.sort_by(f64::total_cmp);
            held = if last[1] > 3.0 { 10 } else { held - i32::from(held > 0) };
            held > 0
        })
        .collect()
}

fn predict(weights: &[f64; LAGS + 1], before: &[f64]) -> f64 {
    let mut sum = weights[LAGS];
    for (weight, value) in weights.iter().zip(before) {
        sum += weight * value;
    }
    sum
}

/// Least squares by elimination with pivots; `None` where the column never moves.
fn fit(column: &[f64]) -> Option<[f64; LAGS + 1]> {
    const SIZE: usize = LAGS + 1;
    let centre = column.iter().sum::<f64>() / column.len() as f64;
    let mut system = [[0.0; SIZE + 1]; SIZE];
    for window in column.windows(SIZE) {
        let mut row = [1.0; SIZE + 1];
        for (cell, value) in row.iter_mut().zip(&window[..LAGS]) {
            *cell = value - centre;
        }
        row[SIZE] = window[LAGS] - centre;
        for (line, left) in system.iter_mut().zip(row) {
            for (cell, right) in line.iter_mut().zip(row) {
                *cell += left * right;
            }
        }
    }
    for at in 0..SIZE {
        let pivot = (at..SIZE).max_by(|a, b| system[*a][at].abs().total_cmp(&system[*b][at].abs()))?;
        system.swap(at, pivot);
        if system[at][at].abs() < 1e-12 {
            return None;
        }
        let leading = system[at];
        for (_, line) in system.iter_mut().enumerate().filter(|(below, _)| *below != at) {
            let factor = line[at] / leading[at];
            for (cell, lead) in line.iter_mut().zip(leading).skip(at) {
                *cell -= factor * lead;
            }
        }
    }
    let mut weights = [0.0; SIZE];
    for (at, weight) in weights.iter_mut().enumerate() {
        *weight = system[at][SIZE] / system[at][at];
    }
    // The constant was fitted around the centre.
    weights[LAGS] += centre * (1.0 - weights[..LAGS].iter().sum::<f64>());
    Some(weights)
}

/// How far a value lies beyond everything before it, as a share of the range before it, on the scale of decades of rarity;
/// 0 inside. Nothing scores in the first 50 rows.
pub fn record(values: &[f64]) -> Vec<f64> {
    let (mut lo, mut hi) = (f64::INFINITY, f64::NEG_INFINITY);
    let mut scores = Vec::with_capacity(values.len());
    for (row, &value) in values.iter().enumerate() {
        let beyond = if value > hi { value - hi } else { (lo - value).max(0.0) };
        let share = if hi > lo { beyond / (hi - lo) } else { f64::from(u8::from(beyond > 0.0)) };
        scores.push(if row > 50 && share > 0.0 { (4.29 + 0.46 * libm::log10(share)).max(0.0) } else { 0.0 });
        (lo, hi) = (lo.min(value), hi.max(value));
    }
    scores
}

/// Largest distance of each row from the training rows' mean, in their deviations.
pub fn furthest(training: &[Vec<f64>], rows: &[Vec<f64>]) -> Vec<f64> {
    let usual = |column: usize| {
        let known = || training.iter().map(|row| row[column]).filter(|value| !value.is_nan());
        let count = known().count() as f64;
        let mean = known().sum::<f64>() / count;
        (mean, (known().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count).sqrt())
    };
    let usual: Vec<(f64, f64)> = (0..training.first().map_or(0, Vec::len)).map(usual).collect();
    let furthest = |row: &Vec<f64>| {
        let known = row.iter().zip(&usual).filter(|(value, (_, deviation))| !value.is_nan() && *deviation > 0.0);
        known.fold(0.0f64, |most, (value, (mean, deviation))| most.max((value - mean).abs() / deviation))
    };
    rows.iter().map(furthest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_residual_and_a_sine_is_none() {
        let mut column: Vec<f64> =
            (0..600).map(|row| libm::sin(f64::from(row) * 0.3) + f64::from(row % 7) * 0.01).collect();
        assert!(autoregression(&[column.clone()]).iter().all(|flag| !flag));
        column[500..].iter_mut().for_each(|value| *value += 5.0);
        let flags = autoregression(&[column]);
        assert!(!flags[99] && flags[101], "the second row behind the step is its median");
    }

    #[test]
    fn a_record_scores_by_its_share_of_the_range() {
        let mut values: Vec<f64> = (0..60).map(|row| f64::from(row % 11)).collect();
        values.extend([5.0, 11.0, 10.0, -11.0]);
        let scores = record(&values);
        assert_eq!(scores[..61].iter().copied().fold(0.0, f64::max), 0.0);
        assert!((scores[61] - 3.83).abs() < 1e-9, "a tenth of the range is .46 below {}", 4.29);
        assert_eq!((scores[62], scores[63]), (0.0, 4.29), "as far beyond as the range is wide");
    }
}
