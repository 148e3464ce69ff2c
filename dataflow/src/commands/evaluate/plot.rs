//! A file as a picture: a panel a metric with its course, what is usual and what was expected, then the score; incidents and
//! labels as bands over all of them.

use std::fmt::Write as _;

use super::Labelled;
use super::graph::Outcome;
use crate::commands::common::short_time;

const LEFT: f64 = 170.0;
const WIDTH: f64 = 1000.0;
const PANEL: f64 = 64.0;
const GAP: f64 = 10.0;
const TOP: f64 = 64.0;
/// Points of a line; of more states each point holds the lowest and the highest.
const POINTS: usize = 1500;
/// What is usual: so many deviations around the mean.
const BAND: f64 = 3.0;

/// Times under the panels, less one.
const TICKS: i64 = 5;

const FAULT: &str = "#f4a261";
const INCIDENT: &str = "#1d3557";

/// Draws a file.
pub fn svg(labelled: &Labelled<'_>, outcome: &Outcome) -> String {
    let Some((&first_ms, _)) = outcome.states.first_key_value() else { return picture(40.0, "") };
    let last_ms = *outcome.states.last_key_value().map_or(&first_ms, |(last_ms, _)| last_ms);
    let x = |at_ms: i64| {
        let share = (at_ms - first_ms) as f64 / (last_ms - first_ms).max(1) as f64;
        LEFT + share.clamp(0.0, 1.0) * WIDTH
    };
    let panels = labelled.metrics.len() + 1;
    let bottom = TOP + panels as f64 * (PANEL + GAP);
    let mut body = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| body.write_fmt(text).expect("writing into a text can't fail");
    put(format_args!("<text x=\"10\" y=\"22\" font-size=\"15\">{}</text>\n", escape(labelled.name)));
    put(format_args!(
        "<text x=\"10\" y=\"42\"><tspan fill=\"{FAULT}\">labelled</tspan>, <tspan fill=\"{INCIDENT}\">incidents</tspan>, \
         grey: usual (mean and {BAND} deviations), red: expected</text>\n"
    ));
    let mut band = |from_ms: i64, to_ms: i64, y: f64, height: f64, colour: &str, opacity: f64| {
        let (from, to) = (x(from_ms), x(to_ms));
        put(format_args!(
            "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{colour}\" opacity=\"{opacity}\"/>\n",
            (to - from).max(1.0)
        ));
    };
    for (from_ms, to_ms) in &labelled.faults_ms {
        band(*from_ms, *to_ms, TOP, bottom - TOP, FAULT, 0.3);
    }
    for alarm in outcome.alarms.iter().filter(|alarm| alarm.kind == "anomaly") {
        band(alarm.start_ms, alarm.end_ms + outcome.clear_ms, TOP - 8.0, 6.0, INCIDENT, 1.0);
        band(alarm.start_ms, alarm.end_ms + outcome.clear_ms, TOP, bottom - TOP, INCIDENT, 0.12);
    }
    let mut top = TOP;
    for (name, unit) in labelled.metrics {
        let course: Vec<(f64, f64)> =
            outcome.states.iter().filter_map(|(at_ms, state)| Some((x(*at_ms), *state.metrics.get(name)?))).collect();
        let expected: Vec<(f64, f64)> = outcome
            .states
            .iter()
            .flat_map(|(at_ms, state)| {
                state
                    .verdicts
                    .iter()
                    .flat_map(move |verdict| verdict.findings.iter().map(move |finding| (at_ms, finding)))
            })
            .filter(|(_, finding)| finding.metric.as_deref() == Some(name.as_str()))
            .filter_map(|(at_ms, finding)| Some((x(*at_ms), finding.expected?)))
            .collect();
        let usual = outcome.usual.get(name).map(|(mean, deviation)| (mean - BAND * deviation, mean + BAND * deviation));
        panel(&mut put, top, &format!("{name} {unit}"), &course, &expected, usual);
        top += PANEL + GAP;
    }
    let course: Vec<(f64, f64)> = outcome.states.iter().map(|(at_ms, state)| (x(*at_ms), state.score)).collect();
    panel(&mut put, top, "score", &course, &[], Some((0.0, 0.5)));
    for part in 0..=TICKS {
        let at_ms = first_ms + (last_ms - first_ms) / TICKS * part;
        let anchor = ["start", "middle", "end"][usize::from(part > 0) + usize::from(part == TICKS)];
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\" text-anchor=\"{anchor}\">{}</text>\n",
            x(at_ms),
            bottom + 10.0,
            short_time(at_ms)
        ));
    }
    picture(bottom + 20.0, &body)
}

fn picture(height: f64, body: &str) -> String {
    let width = LEFT + WIDTH + 20.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn panel(
    put: &mut impl FnMut(std::fmt::Arguments<'_>),
    top: f64,
    name: &str,
    course: &[(f64, f64)],
    expected: &[(f64, f64)],
    usual: Option<(f64, f64)>,
) {
    let values = || course.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    put(format_args!("<text x=\"10\" y=\"{:.1}\">{}</text>\n", top + PANEL / 2.0, escape(name)));
    put(format_args!("<path d=\"M{LEFT} {:.1}H{:.1}\" stroke=\"#ddd\"/>\n", top + PANEL, LEFT + WIDTH));
    if low > high {
        return;
    }
    let span = if high > low { high - low } else { 1.0 };
    let y = |value: f64| top + PANEL - ((value - low) / span).clamp(0.0, 1.0) * PANEL;
    if let Some((from, to)) = usual {
        put(format_args!(
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{WIDTH}\" height=\"{:.1}\" fill=\"#888\" opacity=\"0.12\"/>\n",
            y(to),
            y(from) - y(to)
        ));
    }
    for (at, value) in [(0.0, high), (PANEL, low)] {
        put(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\" text-anchor=\"end\">{value:.4}</text>\n",
            LEFT - 4.0,
            top + at + 3.0
        ));
    }
    let chunk = course.len().div_ceil(POINTS).max(1);
    let mut line = String::new();
    for points in course.chunks(chunk) {
        let of = |compare: fn(f64, f64) -> f64| points.iter().map(|(_, value)| *value).reduce(compare).unwrap_or(low);
        let at = points[0].0;
        let ends = if chunk > 1 { vec![of(f64::min), of(f64::max)] } else { vec![points[0].1] };
        for value in ends {
            let _ = write!(line, "{}{at:.1} {:.1}", if line.is_empty() { "M" } else { "L" }, y(value));
        }
    }
    put(format_args!("<path d=\"{line}\" fill=\"none\" stroke=\"#2f6690\" stroke-width=\"0.8\"/>\n"));
    let chunk = expected.len().div_ceil(POINTS).max(1);
    for (at, value) in expected.iter().step_by(chunk) {
        put(format_args!(
            "<rect x=\"{at:.1}\" y=\"{:.1}\" width=\"1.2\" height=\"1.2\" fill=\"#c1121f\"/>\n",
            y(*value)
        ));
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
