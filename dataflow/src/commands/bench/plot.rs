//! The results as a picture: bars of messages a CPU-second by stage and workers, the ceiling as a line.

use std::fmt::Write as _;

use super::report::{Entry, grouped};
use super::{Form, Stage, value_name};

const BAR: f64 = 34.0;
const GAP: f64 = 30.0;
const LEFT: f64 = 70.0;
const TOP: f64 = 56.0;
const HEIGHT: f64 = 300.0;
const BOTTOM: f64 = 64.0;

/// Blues that stay apart when printed in grey.
const COLOURS: [&str; 6] = ["#1d3557", "#2f6690", "#5c9ead", "#9bc4cb", "#c9dfe3", "#e3eef0"];

/// A panel for each source, one below the other.
pub fn svg(entries: &[Entry]) -> String {
    let mut sources: Vec<Form> = Vec::new();
    for entry in entries {
        if !sources.contains(&entry.case.source) {
            sources.push(entry.case.source);
        }
    }
    let (mut body, mut width, mut top) = (String::new(), 0.0f64, 0.0);
    for source in sources {
        let of_source: Vec<&Entry> = entries.iter().filter(|entry| entry.case.source == source).collect();
        width = width.max(panel(&mut body, top, source, &of_source));
        top += TOP + HEIGHT + BOTTOM;
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{top}\" viewBox=\"0 0 {width} {top}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

/// Draws one source's bars; gives the width it needs. Writing into a text can't fail.
fn panel(out: &mut String, top: f64, source: Form, entries: &[&Entry]) -> f64 {
    let ceiling = median(entries.iter().map(|entry| entry.median().ceiling_per_cpu_s).collect());
    let highest = entries.iter().map(|entry| entry.median().per_cpu_s()).fold(0.0, f64::max);
    // A ceiling far above the bars would flatten them: it is then told in words only.
    let is_drawn = ceiling <= highest * 8.0;
    let step = step(if is_drawn { highest.max(ceiling) } else { highest });
    let most = step * (if is_drawn { highest.max(ceiling) } else { highest } / step).ceil().max(1.0);
    let base = top + TOP + HEIGHT;
    let y = |rate: f64| base - rate / most * HEIGHT;
    let mut stages: Vec<Stage> = entries.iter().map(|entry| entry.case.stage).collect();
    stages.dedup();
    let mut workers: Vec<usize> = entries.iter().map(|entry| entry.case.workers).collect();
    workers.sort_unstable();
    workers.dedup();
    let right = LEFT + GAP + entries.len() as f64 * BAR + stages.len() as f64 * GAP;
    let width = (right + 20.0).max(560.0);
    let title = format!(
        "Million messages a CPU-second from {}, {} devices; bare loop {:.2}",
        value_name(source),
        grouped(entries[0].amount.devices as u64),
        ceiling / 1e6,
    );
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" font-size=\"15\">{title}</text>", top + 22.0);
    let mut line = 0.0;
    while line <= most * 1.0001 {
        let at = y(line);
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{right:.1}\" stroke=\"#ddd\"/>");
        let (x, text) = (LEFT - 8.0, format!("{:.*}", usize::from(step < 1e6) * 2, line / 1e6));
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>", at + 4.0);
        line += step;
    }
    let mut x = LEFT + GAP;
    for stage in stages {
        let start = x;
        for entry in entries.iter().filter(|entry| entry.case.stage == stage) {
            let rate = entry.median().per_cpu_s();
            let shade = workers.iter().position(|workers| *workers == entry.case.workers).unwrap_or(0);
            let colour = COLOURS[shade.min(COLOURS.len() - 1)];
            let (at, height, middle) = (y(rate), base - y(rate), x + BAR / 2.0 - 2.0);
            let _ = writeln!(
                out,
                "<rect x=\"{x:.1}\" y=\"{at:.1}\" width=\"{}\" height=\"{height:.1}\" fill=\"{colour}\"/>",
                BAR - 4.0
            );
            let _ = writeln!(
                out,
                "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\">{:.2}</text>",
                at - 4.0,
                rate / 1e6
            );
            let _ = writeln!(
                out,
                "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                base + 16.0,
                entry.case.workers
            );
            x += BAR;
        }
        let middle = f64::midpoint(start, x);
        let name = value_name(stage);
        let _ = writeln!(out, "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>", base + 34.0);
        x += GAP;
    }
    if is_drawn {
        let at = y(ceiling);
        let _ = writeln!(out, "<path d=\"M{LEFT} {at:.1}H{right:.1}\" stroke=\"#c1121f\" stroke-dasharray=\"6 4\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{right:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#c1121f\">bare loop</text>",
            at - 5.0
        );
    }
    let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{:.1}\">workers, stage</text>", base + 52.0);
    width
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers[numbers.len() / 2]
}

/// A round step that gives four to ten lines.
fn step(most: f64) -> f64 {
    let mut step = 1_000.0;
    for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
        if most / step <= 8.0 {
            break;
        }
        step *= factor;
    }
    step
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::entry;
    use super::*;

    #[test]
    fn every_bar_and_the_ceiling_are_inside_the_picture() {
        let entries =
            [entry(Stage::Decode, 1, &[0.3]), entry(Stage::Decode, 2, &[0.4]), entry(Stage::Store, 1, &[5.0])];
        let picture = svg(&entries);
        assert_eq!(picture.matches("<rect x=").count(), 3);
        assert_eq!(picture.matches("bare loop</text>").count(), 1);
        assert!(!picture.contains("=\"-"), "nothing lies left of or above the picture: {picture}");
        assert_eq!(step(5_000_000.0), 1_000_000.0);
        assert_eq!(step(9_000.0), 2_000.0);
    }
}
