//! Small plots as text: one character a slice of time, eight heights.

/// Characters of a plot.
pub(super) const COLUMNS: usize = 60;

const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Slices of a time, each a whole number of windows.
pub(super) struct Axis {
    from_ms: i64,
    slice_ms: i64,
    columns: usize,
}

impl Axis {
    /// At most [`COLUMNS`] slices of `from_ms..to_ms`.
    pub(super) fn new(from_ms: i64, to_ms: i64, width_ms: i64) -> Self {
        let windows = ((to_ms - from_ms) / width_ms).max(1);
        let columns = i64::try_from(COLUMNS).expect("a few columns");
        let slice_ms = (windows + columns - 1) / columns * width_ms;
        let used = (to_ms - from_ms + slice_ms - 1) / slice_ms;
        Axis { from_ms, slice_ms, columns: usize::try_from(used).unwrap_or(0).clamp(1, COLUMNS) }
    }

    /// Time of one character.
    pub(super) fn slice_ms(&self) -> i64 {
        self.slice_ms
    }

    fn column(&self, at_ms: i64) -> Option<usize> {
        let column = usize::try_from((at_ms - self.from_ms).div_euclid(self.slice_ms)).ok()?;
        (column < self.columns).then_some(column)
    }

    /// The mean of each slice as a height between the lowest and the highest of them; a slice without values is blank.
    pub(super) fn line(&self, points: &[(i64, f64)]) -> String {
        let mut sums = vec![(0.0, 0u32); self.columns];
        for (at_ms, value) in points {
            if let Some(column) = self.column(*at_ms) {
                sums[column].0 += value;
                sums[column].1 += 1;
            }
        }
        let means: Vec<Option<f64>> =
            sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / f64::from(count))).collect();
        let known = || means.iter().copied().flatten();
        let (low, high) = (known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max));
        let height = |mean: f64| {
            if high <= low {
                return HEIGHTS[3];
            }
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7.99")]
            let step = ((mean - low) / (high - low) * 7.99) as usize;
            HEIGHTS[step.min(7)]
        };
        means.iter().map(|mean| mean.map_or(' ', height)).collect()
    }

    /// What lies under the plots: a line under an incident, a mark under the state.
    pub(super) fn marks(&self, incident: Option<(i64, i64)>, state_ms: i64) -> String {
        let mut marks = vec![' '; self.columns];
        for (column, mark) in marks.iter_mut().enumerate() {
            let start_ms = self.from_ms + self.slice_ms * i64::try_from(column).expect("a few columns");
            if incident.is_some_and(|(from_ms, to_ms)| start_ms + self.slice_ms > from_ms && start_ms < to_ms) {
                *mark = '─';
            }
        }
        if let Some(column) = self.column(state_ms) {
            marks[column] = '▲';
        }
        marks.into_iter().collect::<String>().trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_course_becomes_heights_with_gaps_and_marks() {
        let axis = Axis::new(0, 120 * 60_000, 60_000);
        assert_eq!(axis.slice_ms(), 120_000);
        let points: Vec<(i64, f64)> = (0..120i32)
            .filter(|minute| !(40..60).contains(minute))
            .map(|minute| (i64::from(minute) * 60_000, f64::from(if minute < 80 { minute } else { 0 })))
            .collect();
        expect_test::expect!["▁▁▁▁▁▂▂▂▂▂▃▃▃▃▃▄▄▄▄▄          ▇▇▇▇▇█████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁"]
            .assert_eq(&axis.line(&points));
        expect_test::expect!["          ─────▲────"].assert_eq(&axis.marks(Some((1_200_000, 2_400_000)), 1_800_000));
        assert_eq!(axis.line(&[(0, 5.0)]), format!("▄{}", " ".repeat(59)));
        let short = Axis::new(0, 60_000, 60_000);
        assert_eq!((short.line(&[(0, 1.0)]), short.marks(None, 0)), ("▄".to_owned(), "▲".to_owned()));
    }
}
