//! A device over time: its states gathered into equal steps in one pass, whatever their number. A step's mean is weighted by the
//! readings, its ends are the furthest, its scores the highest.

use std::collections::BTreeMap;

use model::{Method, Row, Severity, Value};
use serde::Deserialize;

use crate::labels::{has_band, label, limits, unit_of};
use crate::wire::{Methods, MetricSeries, Series};

/// Steps times metrics that an answer holds at most, some 30 MB of text; with more metrics the steps are wider.
const MOST_CELLS: usize = 400_000;
/// How many standard deviations from the middle a value is still expected.
pub(crate) const SPREADS: f64 = 3.0;

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

/// Mean and standard deviation of metrics while normal.
pub(crate) type Normal = BTreeMap<String, (f64, f64)>;

/// What is normal for a device, from its row of `device_profiles`.
pub(crate) fn normal_of(profile: Option<&Row>) -> Normal {
    let Some(Value::Stats(stats)) = profile.map(|row| row.value("metric_stats")) else { return Normal::new() };
    let of = |(name, parts): (&String, &BTreeMap<String, f64>)| {
        Some((name.clone(), (*parts.get("mean")?, *parts.get("std")?)))
    };
    stats.iter().filter_map(of).collect()
}

/// What is expected of a metric, and the band around it within what is plausible; `None` where that is not known.
pub(crate) fn band(
    normal: &Normal,
    device_type: &str,
    metric: &str,
    expected: Option<f64>,
) -> (Option<f64>, Option<f64>, Option<f64>) {
    if !has_band(device_type, metric) {
        return (None, None, None);
    }
    let known = normal.get(metric);
    let middle = expected.or(known.map(|(mean, _)| *mean));
    match (middle, known) {
        (Some(middle), Some((_, spread))) => {
            // No fan turns backwards: what can't be is not expected either.
            let (lo, hi) = limits(device_type, metric);
            let low = lo.map_or(middle - SPREADS * spread, |lo| (middle - SPREADS * spread).max(lo.min(middle)));
            let high = hi.map_or(middle + SPREADS * spread, |hi| (middle + SPREADS * spread).min(hi.max(middle)));
            (Some(middle), Some(low), Some(high))
        }
        (middle, _) => (middle, None, None),
    }
}

#[derive(Deserialize)]
struct VerdictHead<'a> {
    method: Method,
    score: f64,
    #[serde(borrow)]
    findings: Vec<FindingHead<'a>>,
}

#[derive(Deserialize)]
struct FindingHead<'a> {
    #[serde(borrow)]
    metric: Option<std::borrow::Cow<'a, str>>,
    expected: Option<f64>,
}

#[derive(Clone, Copy, Default)]
struct Cell {
    sum: f64,
    count: f64,
    min: f64,
    max: f64,
    expected: Option<f64>,
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
        let scores = &mut self.scores[at];
        let severity = row.value("severity").as_text().and_then(Severity::by_name);
        scores.severity = scores.severity.max(severity);
        let higher = |known: Option<f64>, more: f64| Some(known.map_or(more, |known| known.max(more)));
        if let Some(score) = row.value("anomaly_score").as_double() {
            scores.consensus = higher(scores.consensus, score);
        }
        let verdicts = row.value("verdicts").as_text().map(serde_json::from_str::<Vec<VerdictHead<'_>>>);
        for verdict in verdicts.and_then(Result::ok).unwrap_or_default() {
            let score = &mut scores.methods[verdict.method as usize];
            *score = higher(*score, verdict.score);
            for finding in verdict.findings {
                if let (Some(metric), Some(expected)) = (finding.metric, finding.expected)
                    && let Some(cells) = self.cells.get_mut(metric.as_ref())
                {
                    cells[at].expected = Some(expected);
                }
            }
        }
    }

    /// What was gathered.
    pub(crate) fn finish(self, normal: &Normal, mut order: Vec<String>) -> Series {
        let Gather { asked, step_ms, steps, mut cells, scores, device_type } = self;
        let times = (0..steps).map(|at| asked.from_ms + step_ms * i64::try_from(at).unwrap_or(0));
        // Those that were asked for, in that order and also where nothing came; else all by name.
        if order.is_empty() {
            order = cells.keys().cloned().collect();
        }
        let metrics = order.into_iter().map(|name| {
            let cells = cells.remove(&name).unwrap_or_else(|| vec![Cell::default(); steps]);
            metric_series(&device_type, name, &cells, normal)
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

fn metric_series(device_type: &str, name: String, cells: &[Cell], normal: &Normal) -> MetricSeries {
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
        let (expected, low, high) = band(normal, device_type, &series.name, cell.expected);
        series.expected.push(expected);
        series.low.push(low);
        series.high.push(high);
    }
    series
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Version;
    use model::tables::TableId;

    fn state(start_ms: i64, mean: f64, count: f64, severity: Option<&str>) -> Row {
        let map = |value: f64| Value::Map(BTreeMap::from([("flow".to_owned(), value)]));
        let verdicts = format!(
            r#"[{{"method":"statistics","score":{},"severity":null,"warm_up":1.0,"findings":[
                {{"kind":"residual","metric":"flow","observed":1.0,"expected":{},"score":1.0,"limit":1.0,"unit":"","text":""}}]}}]"#,
            count / 10.0,
            mean + 1.0
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
            "anomaly_score" => Value::Double(count / 20.0),
            "severity" => severity.map_or(Value::Null, |name| Value::Text(name.to_owned())),
            "verdicts" => Value::Text(verdicts.clone()),
            _ => Value::Null,
        });
        Row { table, version: Version::window(start_ms), values: values.collect() }
    }

    /// Ten windows in steps of two: means weighted, ends furthest, scores highest, steps without states empty.
    #[test]
    fn states_are_gathered_into_steps() {
        let asked = Asked { from_ms: 30_000, to_ms: 600_000, window_ms: 60_000, points: 5, metrics: Vec::new() };
        let mut gather = Gather::new(asked, 1);
        assert_eq!((gather.begins_ms(), gather.step_ms, gather.steps), (0, 120_000, 5));
        for row in [
            state(0, 10.0, 1.0, None),
            state(60_000, 20.0, 3.0, Some("warning")),
            state(480_000, 5.0, 2.0, Some("info")),
            state(600_000, 7.0, 2.0, None),
            state(-60_000, 7.0, 2.0, None),
        ] {
            gather.take(&row);
        }
        let normal = Normal::from([("flow".to_owned(), (12.0, 2.0))]);
        let series = gather.finish(&normal, Vec::new());
        assert_eq!(series.times_ms, [0, 120_000, 240_000, 360_000, 480_000]);
        let flow = &series.metrics[0];
        assert_eq!(flow.mean, [Some(17.5), None, None, None, Some(5.0)]);
        assert_eq!(flow.min, [Some(9.0), None, None, None, Some(4.0)]);
        assert_eq!(flow.max, [Some(22.0), None, None, None, Some(7.0)]);
        assert_eq!(flow.expected, [Some(21.0), Some(12.0), Some(12.0), Some(12.0), Some(6.0)]);
        assert_eq!(flow.low, [Some(15.0), Some(6.0), Some(6.0), Some(6.0), Some(0.0)]);
        assert_eq!(series.methods.statistics, [Some(0.3), None, None, None, Some(0.2)]);
        assert_eq!(series.methods.rules, [None; 5]);
        assert_eq!(series.methods.consensus, [Some(0.15), None, None, None, Some(0.1)]);
        use crate::wire::Grade::{Info, Warning};
        assert_eq!(series.severity, [Some(Warning), None, None, None, Some(Info)]);
    }

    #[test]
    fn many_metrics_make_wider_steps_and_a_day_stays_a_day() {
        let day = || Asked { from_ms: 0, to_ms: 86_400_000, window_ms: 60_000, points: 10_000, metrics: Vec::new() };
        assert_eq!(Gather::new(day(), 12).steps, 1_440);
        let wide = Gather::new(day(), 2_000);
        assert_eq!((wide.step_ms, wide.steps), (480_000, 180));
    }
}
