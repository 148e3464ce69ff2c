//! The page for a person.

use std::fmt::Write as _;

use model::state::BAND;
use model::{Finding, Method, Severity, Verdict};

use super::plot::Axis;
use super::{Explained, peers, votes};
use crate::commands::common::{number, printable, short_duration, short_time, table, table_text, thousands, unit_of};
use crate::commands::incidents::{Stored, Told as _};

/// Writes it; `bold` headings are for a terminal.
pub(super) fn text(explained: &Explained, bold: bool) -> String {
    let page = Page { explained, bold };
    let mut text = page.head();
    text += &page.incidents();
    text += &page.peers();
    text += &page.earlier();
    text += &page.plots();
    text += &page.verdicts();
    text += &page.consensus();
    text += &page.metrics();
    text
}

struct Page<'a> {
    explained: &'a Explained,
    bold: bool,
}

/// A number with as many digits as redoing a comparison needs, and no more zeros than that.
pub(super) fn exact(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.4e}");
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Page<'_> {
    fn heading(&self, text: &str) -> String {
        if self.bold { format!("\n\u{1b}[1m{text}\u{1b}[0m\n") } else { format!("\n{text}\n") }
    }

    fn head(&self) -> String {
        let state = &self.explained.state;
        let place: Vec<String> = [Some(&state.device_type), state.location.as_ref(), state.building_id.as_ref()]
            .into_iter()
            .flatten()
            .filter(|text| !text.is_empty())
            .map(|text| printable(text))
            .collect();
        let verdict = match &state.severity {
            Some(severity) => severity.clone(),
            None => "normal".to_owned(),
        };
        format!(
            "{}, {}\nState of {} ({}, {} readings): {verdict}, score {}\n{}",
            printable(&state.device_id),
            place.join(", "),
            short_time(state.start_ms),
            short_duration(state.width_ms),
            thousands(state.readings.max(0).cast_unsigned()),
            exact(state.score),
            if state.corrected {
                "Late readings have corrected its metrics since; the methods judged it without them.\n"
            } else {
                ""
            }
        )
    }

    fn incidents(&self) -> String {
        let mut text = self.heading("Incident");
        if self.explained.incidents.is_empty() {
            return text + "  none at this time\n";
        }
        for incident in &self.explained.incidents {
            text += &one_incident(incident, self.explained.now_ms);
        }
        text
    }

    /// Whether the device is alone in what it does.
    fn peers(&self) -> String {
        let mut text = String::new();
        for (compared, when) in
            [(&self.explained.compared_at_peak, "at the incident's peak"), (&self.explained.compared, "in this state")]
        {
            if !compared.is_empty() {
                text += &self.heading(&format!("Against all devices of its type {when}"));
                text += &peers::text(compared);
            }
        }
        text
    }

    /// What it may be read from: what became of states like this one.
    fn earlier(&self) -> String {
        let earlier = &self.explained.earlier;
        if earlier.is_empty() {
            return String::new();
        }
        let mut text = self.heading("Earlier states most like it");
        for earlier in earlier {
            let (at, similarity) = (short_time(earlier.start_ms), earlier.similarity);
            let _ = writeln!(text, "  {at} (cosine {similarity:.3}): {}", printable(&earlier.became));
        }
        text
    }

    fn plots(&self) -> String {
        let explained = self.explained;
        if explained.series.is_empty() {
            return String::new();
        }
        let axis = Axis::new(explained.from_ms, explained.to_ms, explained.state.width_ms);
        let mut text = self.heading(&format!(
            "Course from {} to {}, {} a character",
            short_time(explained.from_ms),
            short_time(explained.to_ms),
            short_duration(axis.slice_ms())
        ));
        let names: Vec<String> = explained.series.iter().map(|series| printable(&series.metric)).collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for (series, name) in explained.series.iter().zip(&names) {
            let values = || series.points.iter().map(|(_, value)| *value);
            let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            let range = if series.points.is_empty() {
                "no readings".to_owned()
            } else {
                format!("{} to {} {}", number(low), number(high), series.unit)
            };
            let _ = writeln!(text, "  {name:longest$} {} {}", axis.line(&series.points), range.trim_end());
        }
        let incident = explained.incidents.first().map(|incident| (incident.start_ms, incident.end_ms));
        let _ = writeln!(text, "  {:longest$} {}", "", axis.marks(incident, explained.state.start_ms));
        let legend = if incident.is_some() { "─ the incident, ▲ this state" } else { "▲ this state" };
        let _ = writeln!(text, "  {:longest$} {legend}", "");
        text
    }

    fn verdicts(&self) -> String {
        let mut text = self.heading("What each method says");
        for verdict in &self.explained.state.verdicts {
            text += &one_verdict(verdict);
        }
        text + "  A method's score is r*r / (1 + r*r) with r = score / limit, of the whole state where that is listed and else of \
                the\n  strongest metric; that of rules is 0.5, 0.75 or 1 for info, warning or critical.\n"
    }

    /// How the verdicts became one, to be redone by hand.
    fn consensus(&self) -> String {
        let state = &self.explained.state;
        let mut text = self.heading("Consensus");
        let voting: Vec<(&Verdict, f64)> =
            state.verdicts.iter().zip(self.explained.weights).filter(|(verdict, _)| votes(verdict)).collect();
        let critical = voting.iter().any(|(verdict, _)| verdict.severity == Some(Severity::Critical));
        let _ = writeln!(
            text,
            "  {} of 4 methods report{}; 1 is info, 2 are warning, 3 or a critical rule are critical",
            voting.len(),
            if critical { ", one of them a critical rule" } else { "" }
        );
        let redone = match voting.as_slice() {
            [] => {
                let quiet = state.verdicts.iter().zip(self.explained.weights);
                let quiet = quiet.filter(|(verdict, _)| verdict.severity.is_none());
                let highest =
                    quiet.map(|(verdict, weight)| (weight * verdict.score).clamp(0.0, 0.5)).fold(0.0, f64::max);
                let own = state.severity.is_some();
                let _ = writeln!(
                    text,
                    "  score {} = the highest weighted score of a quiet method, at most 0.5{}",
                    exact(state.score),
                    if own { "; at least 0.5, for a stuck or missing metric is worth a look" } else { "" }
                );
                if own { highest.max(0.5) } else { highest }
            }
            voting => {
                let factors: Vec<String> = voting
                    .iter()
                    .map(|(verdict, weight)| format!("(1 - {} x {})", exact(*weight), exact(verdict.score)))
                    .collect();
                let _ = writeln!(text, "  score {} = 1 - {}", exact(state.score), factors.join(" "));
                let doubt = voting.iter().map(|(verdict, weight)| 1.0 - (weight * verdict.score).clamp(0.0, 1.0));
                1.0 - doubt.product::<f64>()
            }
        };
        if (redone - state.score).abs() > 1e-9 {
            let _ = writeln!(text, "  (with the weights of this run's settings; those shown are the present ones)");
        }
        text
    }

    fn metrics(&self) -> String {
        let state = &self.explained.state;
        let header = ["", "metric", "unit", "last", "mean", "min", "max", "readings", "expected"];
        let mut shown = table(&header, &[3, 4, 5, 6, 7, 8]);
        let expected = |name: &String| {
            let expected = state.expected.get(name);
            expected.map(|expected| format!("{} ± {}", exact(expected.value), exact(expected.band))).unwrap_or_default()
        };
        for (name, metric) in &state.metrics {
            shown.add_row([
                String::new(),
                printable(name),
                unit_of(&state.device_type, name).to_owned(),
                exact(metric.last),
                exact(metric.mean),
                exact(metric.min),
                exact(metric.max),
                metric.count.to_string(),
                expected(name),
            ]);
        }
        for (name, value) in &state.derived {
            let mut row = vec![String::new(), printable(name), unit_of(&state.device_type, name).to_owned()];
            let (none, expected) = (String::new(), expected(name));
            row.extend([none.clone(), exact(*value), none.clone(), none, "derived".to_owned(), expected]);
            shown.add_row(row);
        }
        let note = match state.expected.is_empty() {
            true => {
                "  (nothing expected: the statistics were learning, or a version wrote it that kept no expectations)\n"
                    .to_owned()
            }
            false => format!("  (expected: what the statistics predicted of the mean before they saw it; {BAND})\n"),
        };
        self.heading("Metrics of the state") + &table_text(&shown) + &note
    }
}

fn one_incident(incident: &Stored, now_ms: i64) -> String {
    let mut text = format!(
        "  {}, {}, {} to {} ({}){}, known at {}, found by {}\n  {}\n",
        printable(&incident.kind),
        incident.severity.name(),
        short_time(incident.start_ms),
        short_time(incident.end_ms),
        short_duration(incident.until_ms(now_ms) - incident.start_ms),
        if incident.open { ", still open" } else { "" },
        short_time(incident.detected_ms),
        if incident.methods.is_empty() { "its own watch".to_owned() } else { incident.method_names() },
        printable(&incident.summary)
    );
    let said = incident.said();
    if !said.is_empty() {
        let _ = writeln!(text, "  people say: {said}");
    }
    if !incident.contributions.is_empty() {
        let header = ["", "metric", "share", "furthest seen", "expected", "unit", "what"];
        let mut shown = table(&header, &[2, 3, 4]);
        for part in &incident.contributions {
            shown.add_row([
                String::new(),
                printable(&part.metric),
                format!("{:.0}%", part.share * 100.0),
                exact(part.observed),
                part.expected.map(exact).unwrap_or_default(),
                printable(&part.unit),
                printable(&part.kind),
            ]);
        }
        text += &table_text(&shown);
    }
    if !incident.similar.is_empty() {
        let similar: Vec<String> = incident
            .similar
            .iter()
            .map(|(at, cosine)| {
                let at = model::time::parse_rfc3339(at).map_or_else(|| printable(at), short_time);
                format!("{at} (cosine {cosine:.3})")
            })
            .collect();
        let _ = writeln!(text, "  Earlier normal states most like its peak: {}", similar.join(", "));
    }
    text
}

fn one_verdict(verdict: &Verdict) -> String {
    let says = match (verdict.severity, verdict.warm_up < 1.0) {
        (Some(severity), _) => severity.name().to_owned(),
        (None, true) => format!("learning, {:.0}% done", (verdict.warm_up * 100.0).floor()),
        (None, false) => "normal".to_owned(),
    };
    let vote =
        if verdict.severity.is_some() && !votes(verdict) { " (has an incident of its own, no vote)" } else { "" };
    let mut text = format!("  {:<11} {says}, score {}{vote}\n", verdict.method.name(), exact(verdict.score));
    if verdict.findings.is_empty() {
        return text;
    }
    let mut shown = table(&["", "metric", "what", "observed", "expected", "unit", "score", "limit"], &[3, 4, 6, 7]);
    for finding in &verdict.findings {
        shown.add_row([
            "  ".to_owned(),
            finding.metric.as_deref().map_or("(whole state)".to_owned(), printable),
            printable(&finding.kind),
            exact(finding.observed),
            finding.expected.map(exact).unwrap_or_default(),
            printable(&finding.unit),
            exact(finding.score),
            exact(finding.limit),
        ]);
    }
    text += &table_text(&shown);
    for finding in &verdict.findings {
        let _ = writeln!(text, "      {}", printable(&finding.text));
        if !finding.parts.is_empty() {
            let parts = finding.parts.iter().map(|(name, value)| format!("{} {}", printable(name), exact(*value)));
            let _ = writeln!(text, "        with {}", parts.collect::<Vec<_>>().join(", "));
        }
    }
    for (kinds, formula) in model::state::REDO {
        let is_there = |finding: &Finding| kinds.contains(&finding.kind.as_str()) && !finding.parts.is_empty();
        if verdict.findings.iter().any(is_there) {
            let _ = writeln!(text, "      ({}: {formula})", kinds.join(", "));
        }
    }
    text += &scale(verdict.method, &verdict.findings);
    text
}

/// What the scores of a method are measured in.
fn scale(method: Method, findings: &[Finding]) -> String {
    let is = |kind: &str| findings.iter().any(|finding| finding.kind == kind);
    let words = match method {
        Method::Rules => "score and limit are the two sides of the rule's comparison",
        Method::Fingerprint => "score is 1 - cosine for the whole state, standard deviations for a metric",
        Method::Similar => "score is 1 - cosine to the last of the usual number of neighbours",
        Method::Statistics if is("residual") || is("relation") => {
            "score is standard deviations of what the models leave unexplained, decades of rarity for a single metric"
        }
        Method::Statistics if is("erratic") || is("gaps") => "score and limit are shares of windows or readings",
        Method::Statistics if is("stuck") || is("missing") || is("new_operating_point") => {
            "score and limit are windows"
        }
        Method::Statistics => "score is decades of rarity: 4 is once in 10,000 windows",
    };
    format!("      ({words})\n")
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn numbers_keep_what_a_comparison_needs() {
        let numbers = [0.0, 1.0, 12.34567, -0.5, 0.000_123_45, 1500.0].map(exact);
        assert_eq!(numbers, ["0", "1", "12.3457", "-0.5", "1.2345e-4", "1500"]);
    }
}
