//! A device over time: its states gathered into equal steps in one pass, whatever their number. A step's mean is weighted by the
//! readings, its ends are the furthest, its scores the highest; what was expected and the width of its band are means over the states for which
//! something was predicted.

use std::collections::BTreeMap;

use model::{Expected, Method, Row, Severity, Value, expected_of_row};
use serde::Deserialize;

use crate::labels::{label, limits, unit_of};
use crate::wire::{Methods, MetricSeries, Series};

/// Steps times metrics that an answer holds at most, some 30 MB of text; with more metrics the steps are wider.
const MOST_CELLS: usize = 400_000;

/// What is asked for.
pub(crate) struct Asked {
    pub(crate) from_ms: i64,
    pub(crate) to_ms: i64,
    pub(crate) window_ms: i64,
    /// At most so many steps.
    pub(crate) points: usize,
    /// Empty: all.
    pub(crate) metrics: Vec<String>,
}

/// The band in which a metric is expected, within what is plausible.
pub(crate) fn band(device_type: &str, metric: &str, expected: Expected) -> (f64, f64) {
    // No fan turns backwards: what can't be is not expected either.
    let (lo, hi) = limits(device_type, metric);
    let Expected { value, band } = expected;
    let low = lo.map_or(value - band, |lo| (value - band).max(lo.min(value)));
    let high = hi.map_or(value + band, |hi| (value + band).min(hi.max(value)));
    (low, high)
}

/// As much of a verdict as a series shows.
#[derive(Deserialize)]
struct VerdictHead {
    method: Method,
    score: f64,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    sum: f64,
    count: f64,
    min: f64,
    max: f64,
    /// Sums over the states for which something was predicted, and their number.
    expected: f64,
    band: f64,
    predicted: f64,
}

#[derive(Clone, Copy, Default)]
struct Scores {
    methods: [Option<f64>; 4],
    consensus: Option<f64>,
    severity: Option<Severity>,
}

/// Gathers states.
pub(crate) struct Gather {
    asked: Asked,
    step_ms: i64,
    steps: usize,
    cells: BTreeMap<String, Vec<Cell>>,
    scores: Vec<Scores>,
    device_type: String,
}

impl Gather {
    /// For a span of time; `known` metrics say how wide steps have to be.
    pub(crate) fn new(mut asked: Asked, known: usize) -> Gather {
        asked.from_ms = model::time::window_start(asked.from_ms, asked.window_ms);
        let metrics = if asked.metrics.is_empty() { known } else { asked.metrics.len() };
        let points = asked.points.min(MOST_CELLS / metrics.max(1)).max(1);
        let windows = (asked.to_ms - asked.from_ms + asked.window_ms - 1) / asked.window_ms;
        let points = i64::try_from(points).unwrap_or(i64::MAX);
        let step_ms = asked.window_ms * ((windows + points - 1) / points).max(1);
        let steps = usize::try_from((asked.to_ms - asked.from_ms + step_ms - 1) / step_ms).unwrap_or(0);
        let scores = vec![Scores::default(); steps];
        Gather { asked, step_ms, steps, cells: BTreeMap::new(), scores, device_type: String::new() }
    }

    /// Begin of the first step.
    pub(crate) fn begins_ms(&self) -> i64 {
        self.asked.from_ms
    }

    /// Takes in a row of `device_state_snapshots`.
    pub(crate) fn take(&mut self, row: &Row) {
        let Some(start_ms) = row.value("snapshot_time").as_int() else { return };
        let Ok(at) = usize::try_from((start_ms - self.asked.from_ms).div_euclid(self.step_ms)) else { return };
        if at >= self.steps {
            return;
        }
        if let Some(device_type) = row.value("device_type").as_text().filter(|one| *one != self.device_type) {
            device_type.clone_into(&mut self.device_type);
        }
        let empty = BTreeMap::new();
        let map = |column| if let Value::Map(map) = row.value(column) { map } else { &empty };
        let (mins, maxs, counts) = (map("metrics_min"), map("metrics_max"), map("metrics_count"));
        for (name, mean) in map("metrics") {
            if !self.asked.metrics.is_empty() && !self.asked.metrics.contains(name) {
                continue;
            }
            // A device that has more metrics than it had in its newest state must not break the bound.
            if !self.cells.contains_key(name) && (self.cells.len() + 1) * self.steps > 2 * MOST_CELLS {
                continue;
            }
            let cells = self.cells.entry(name.clone()).or_insert_with(|| vec![Cell::default(); self.steps]);
            let of = |map: &BTreeMap<String, f64>, none: f64| map.get(name).copied().unwrap_or(none);
            let (cell, count) = (&mut cells[at], of(counts, 1.0).max(1.0));
            let (min, max) = (of(mins, *mean), of(maxs, *mean));
            let first = cell.count == 0.0;
            cell.sum += mean * count;
            cell.count += count;
            cell.min = if first { min } else { cell.min.min(min) };
            cell.max = if first { max } else { cell.max.max(max) };
        }
        for (name, expected) in expected_of_row(row) {
            if let Some(cells) = self.cells.get_mut(name) {
                let cell = &mut cells[at];
                cell.expected += expected.value;
                cell.band += expected.band;
                cell.predicted += 1.0;
            }
        }
        let scores = &mut self.scores[at];
        let severity = row.value("severity").as_text().and_then(Severity::by_name);
        scores.severity = scores.severity.max(severity);
        let higher = |known: Option<f64>, more: f64| Some(known.map_or(more, |known| known.max(more)));
        if let Some(score) = row.value("anomaly_score").as_double() {
            scores.consensus = higher(scores.consensus, score);
        }
        let verdicts = row.value("verdicts").as_text().map(serde_json::from_str::<Vec<VerdictHead>>);
        for verdict in verdicts.and_then(Result::ok).unwrap_or_default() {
            let score = &mut scores.methods[verdict.method as usize];
            *score = higher(*score, verdict.score);
        }
    }

    /// What was gathered.
    pub(crate) fn finish(self, mut order: Vec<String>) -> Series {
        let Gather { asked, step_ms, steps, mut cells, scores, device_type } = self;
        let times = (0..steps).map(|at| asked.from_ms + step_ms * i64::try_from(at).unwrap_or(0));
        // Those that were asked for, in that order and also where nothing came; else all by name.
        if order.is_empty() {
            order = cells.keys().cloned().collect();
        }
        let metrics = order.into_iter().map(|name| {
            let cells = cells.remove(&name).unwrap_or_else(|| vec![Cell::default(); steps]);
            metric_series(&device_type, name, &cells)
        });
        let method = |at: usize| scores.iter().map(|step| step.methods[at]).collect();
        Series {
            from_ms: asked.from_ms,
            to_ms: asked.to_ms,
            window_ms: asked.window_ms,
            step_ms,
            times_ms: times.collect(),
            metrics: metrics.collect(),
            methods: Methods {
                rules: method(0),
                statistics: method(1),
                fingerprint: method(2),
                similar: method(3),
                consensus: scores.iter().map(|step| step.consensus).collect(),
            },
            severity: scores.iter().map(|step| step.severity.map(Into::into)).collect(),
            incidents: Vec::new(),
        }
    }
}

fn metric_series(device_type: &str, name: String, cells: &[Cell]) -> MetricSeries {
    let mut series = MetricSeries {
        label: label(&name),
        unit: unit_of(device_type, &name).to_owned(),
        name,
        ..MetricSeries::default()
    };
    for cell in cells {
        let there = cell.count > 0.0;
        series.mean.push(there.then(|| cell.sum / cell.count));
        series.min.push(there.then_some(cell.min));
        series.max.push(there.then_some(cell.max));
        let of = |sum: f64| sum / cell.predicted;
        let expected = (cell.predicted > 0.0).then(|| Expected { value: of(cell.expected), band: of(cell.band) });
        let ends = expected.map(|expected| band(device_type, &series.name, expected));
        series.expected.push(expected.map(|expected| expected.value));
        series.low.push(ends.map(|(low, _)| low));
        series.high.push(ends.map(|(_, high)| high));
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Version;
    use model::tables::TableId;

    fn state(start_ms: i64, mean: f64, count: f64, severity: Option<&str>, expected: Option<(f64, f64)>) -> Row {
        let map = |value: f64| Value::Map(BTreeMap::from([("flow".to_owned(), value)]));
        let verdicts = format!(
            r#"[{{"method":"statistics","score":{},"severity":null,"warm_up":1.0,"findings":[
                {{"kind":"residual","metric":"flow","observed":1.0,"expected":77.0,"score":1.0,"limit":1.0,"unit":"","text":""}}]}}]"#,
            count / 10.0
        );
        let table = TableId::DeviceStateSnapshots;
        let values = table.table().columns.iter().map(|column| match column.name {
            "device_id" => Value::Text("D".to_owned()),
            "device_type" => Value::Text("pump".to_owned()),
            "snapshot_time" => Value::Int(start_ms),
            "metrics" => map(mean),
            "metrics_min" => map(mean - 1.0),
            "metrics_max" => map(mean + 2.0),
            "metrics_count" => map(count),
            "metrics_expected" => expected.map_or(Value::Null, |(value, _)| map(value)),
            "metrics_band" => expected.map_or(Value::Null, |(_, band)| map(band)),
            "anomaly_score" => Value::Double(count / 20.0),
            "severity" => severity.map_or(Value::Null, |name| Value::Text(name.to_owned())),
            "verdicts" => Value::Text(verdicts.clone()),
            _ => Value::Null,
        });
        Row { table, version: Version::window(start_ms), values: values.collect() }
    }

    /// Ten windows in steps of two: means weighted, ends furthest, scores highest, steps without states empty. What is expected is what was
    /// predicted, whatever a finding says: none where nothing was, and of a step's states those that have it count alike.
    #[test]
    fn states_are_gathered_into_steps() {
        let asked = Asked { from_ms: 30_000, to_ms: 600_000, window_ms: 60_000, points: 5, metrics: Vec::new() };
        let mut gather = Gather::new(asked, 1);
        assert_eq!((gather.begins_ms(), gather.step_ms, gather.steps), (0, 120_000, 5));
        for row in [
            state(0, 10.0, 1.0, None, Some((12.0, 2.0))),
            state(60_000, 20.0, 3.0, Some("warning"), Some((14.0, 3.0))),
            state(120_000, 9.0, 1.0, None, None),
            state(240_000, 9.0, 1.0, None, None),
            state(300_000, 9.0, 1.0, None, Some((10.0, 1.0))),
            state(480_000, 5.0, 2.0, Some("info"), Some((4.0, 6.0))),
            state(600_000, 7.0, 2.0, None, Some((7.0, 1.0))),
            state(-60_000, 7.0, 2.0, None, Some((7.0, 1.0))),
        ] {
            gather.take(&row);
        }
        let series = gather.finish(Vec::new());
        assert_eq!(series.times_ms, [0, 120_000, 240_000, 360_000, 480_000]);
        let flow = &series.metrics[0];
        assert_eq!(flow.mean, [Some(17.5), Some(9.0), Some(9.0), None, Some(5.0)]);
        assert_eq!(flow.min, [Some(9.0), Some(8.0), Some(8.0), None, Some(4.0)]);
        assert_eq!(flow.max, [Some(22.0), Some(11.0), Some(11.0), None, Some(7.0)]);
        assert_eq!(flow.expected, [Some(13.0), None, Some(10.0), None, Some(4.0)]);
        assert_eq!(flow.low, [Some(10.5), None, Some(9.0), None, Some(-2.0)]);
        assert_eq!(flow.high, [Some(15.5), None, Some(11.0), None, Some(10.0)]);
        assert_eq!(series.methods.statistics, [Some(0.3), Some(0.1), Some(0.1), None, Some(0.2)]);
        assert_eq!(series.methods.rules, [None; 5]);
        assert_eq!(series.methods.consensus, [Some(0.15), Some(0.05), Some(0.05), None, Some(0.1)]);
        use crate::wire::Grade::{Info, Warning};
        assert_eq!(series.severity, [Some(Warning), None, None, None, Some(Info)]);
    }

    #[test]
    fn a_band_ends_where_a_value_can_not_be() {
        let speed = |value: f64| band("rooftop_unit", "fan_speed", Expected { value, band: 100.0 });
        assert_eq!([speed(900.0), speed(40.0), speed(-10.0)], [(800.0, 1000.0), (0.0, 140.0), (-10.0, 90.0)]);
        assert_eq!(band("unheard of", "x", Expected { value: 1.0, band: 3.0 }), (-2.0, 4.0));
    }

    #[test]
    fn many_metrics_make_wider_steps_and_a_day_stays_a_day() {
        let day = || Asked { from_ms: 0, to_ms: 86_400_000, window_ms: 60_000, points: 10_000, metrics: Vec::new() };
        assert_eq!(Gather::new(day(), 12).steps, 1_440);
        let wide = Gather::new(day(), 2_000);
        assert_eq!((wide.step_ms, wide.steps), (480_000, 180));
    }
}
