//! The numbers of each finding, from the state's row and from what the finding carries.

use std::collections::{BTreeMap, BTreeSet};

use model::{Catalogue, Compared, Finding, Method, Verdict};

use super::rows::{State, States};
use super::rules;

pub const MINUTE_MS: i64 = 60_000;

/// Whether two numbers are the same but for rounding.
pub fn same(left: f64, right: f64) -> bool {
    (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0)
}

/// A state among those of its device.
pub struct Place<'a> {
    pub states: &'a States,
    pub device: &'a str,
    pub state: &'a State,
}

impl Place<'_> {
    fn own(&self) -> &BTreeMap<i64, State> {
        &self.states[self.device]
    }

    /// Own states before this one, the newest first.
    fn before(&self) -> impl Iterator<Item = &State> {
        self.own().range(..self.state.start_ms).rev().map(|(_, state)| state)
    }

    /// All that the state's verdicts say.
    pub fn check(&self) -> Result<(), String> {
        let verdicts = &self.state.verdicts;
        self.rules(&verdicts[0])?;
        for verdict in verdicts {
            for finding in &verdict.findings {
                self.finding(verdict.method, finding).map_err(|error| format!("{error}: {finding:?}"))?;
            }
            self.score(verdict)?;
        }
        verdicts.iter().flat_map(|verdict| &verdict.compared).try_for_each(|compared| self.compared(compared))?;
        self.consensus()
    }

    /// Exactly these rules are broken, with these numbers.
    fn rules(&self, verdict: &Verdict) -> Result<(), String> {
        let redone = rules::broken(self.own().range(..=self.state.start_ms).map(|(_, state)| state));
        let said: Vec<&Finding> = verdict.findings.iter().filter(|finding| finding.kind != "implausible").collect();
        let ids = |all: Vec<&str>| all.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let (said_ids, ids) =
            (ids(said.iter().map(|f| &*f.kind).collect()), ids(redone.iter().map(|b| &*b.id).collect()));
        if said_ids != ids {
            return Err(format!("rules {said_ids:?} are said to be broken, and are {ids:?}"));
        }
        for (finding, broken) in said.iter().zip(&redone) {
            let (left, right) = broken.sides;
            let text = format!("({left:.2} against {right:.2}, for {} windows)", broken.windows);
            let numbers = (finding.metric.as_deref(), finding.observed, finding.score, finding.limit);
            if numbers != (Some(&*broken.shown.0), broken.shown.1, left, right) || !finding.text.ends_with(&text) {
                return Err(format!("{finding:?}, and redone {broken:?}"));
            }
        }
        Ok(())
    }

    fn finding(&self, method: Method, finding: &Finding) -> Result<(), String> {
        self.text(method, finding)?;
        let part = |name: &str| finding.parts.get(name).copied().ok_or(format!("has no part {name:?}"));
        let expected = finding.expected.unwrap_or(f64::NAN);
        let value = finding.metric.as_ref().and_then(|metric| self.state.values.get(metric)).copied();
        let kind = finding.kind.as_str();
        let is_counter = self.kind(finding) == Some(model::MetricKind::Counter);
        let sees_value = !matches!(kind, "missing" | "erratic" | "gaps" | "raised_bar" | "maintenance") && !is_counter;
        if let (true, Some(value)) = (sees_value, value)
            && !same(value, finding.observed)
        {
            return Err(format!("observed is not the state's {value}"));
        }
        let is = |redone: f64, what: &str| match same(redone, finding.score) {
            true => Ok(()),
            false => Err(format!("{what} is {redone}, not the score")),
        };
        match kind {
            _ if method == Method::Rules => match kind == "implausible" {
                true => self.implausible(finding),
                false => Ok(()),
            },
            "residual" | "relation" if finding.parts.is_empty() => Ok(()),
            "residual" | "relation" => {
                self.predicted(finding, is_counter)?;
                let residual = (finding.observed - part("predicted")?) / part("deviation")?;
                let residual = finding.parts.get("clip").map_or(residual, |clip| residual.clamp(-clip, *clip));
                let before = part("before")?;
                is((before + part("step")? * (residual - before)).abs() / part("spread")?, "the average")
            }
            "range" | "season" | "jump" | "level" => {
                let away = (part("value")? - expected).abs() / part("deviation")?;
                let rare = match finding.parts.get("quantile") {
                    None => away,
                    Some(quantile) if away <= *quantile => 1.824 * away / quantile,
                    Some(quantile) => 1.824 + (away - quantile) / (std::f64::consts::LN_10 * part("width")?),
                };
                let decades = part("offset")? + part("slope")? * rare.log10();
                let decades = if decades > 6.0 { 6.0 + 0.01 * (decades - 6.0) } else { decades };
                is(decades - part("habit")?, "its rarity")?;
                self.view(finding, expected)
            }
            "centroid" if finding.metric.is_some() => {
                let (level, spread, clip) = (part("level")?, part("spread")?, part("clip")?);
                let own = ((finding.observed - level) / spread).clamp(-clip, clip);
                is((own - (expected - level) / spread).abs(), "the distance")
            }
            "centroid" => {
                let cosine = part("product")? / (part("square")? * part("centroid_square")?).sqrt();
                is(1.0 - cosine, "1 - cosine")?;
                (same(cosine, finding.observed) && same(1.0 - finding.limit, expected))
                    .then_some(())
                    .ok_or(format!("the cosine is {cosine}"))
            }
            // Exemplars are kept in single precision.
            "neighbours" => ((1.0 - part("cosine")? - finding.score).abs() < 1e-6)
                .then_some(())
                .ok_or("1 - cosine is not the score".to_owned()),
            "peers" => {
                let before = part("before")?;
                let now = finding.observed - part("median")? - part("usual")?;
                is((before + part("step")? * (now - before)).abs(), "the average distance")
            }
            "stuck" => self.stuck(finding),
            "missing" if !finding.parts.is_empty() => self.missing(finding),
            "erratic" => self.erratic(finding),
            _ => Ok(()),
        }
    }

    /// What a residual was taken against is what the state's row expects, bit for bit, and so is the band where the finding's average is the
    /// fast one. The finding's own `expected` is where the metric would settle, and no prediction for this window.
    fn predicted(&self, finding: &Finding, is_counter: bool) -> Result<(), String> {
        if finding.kind != "residual" {
            return Ok(());
        }
        let metric = finding.metric.as_ref().unwrap();
        let stored = |map: &BTreeMap<String, f64>| map.get(metric).copied();
        let (value, band) = (stored(&self.state.expected), stored(&self.state.band));
        if is_counter {
            return (value, band).eq(&(None, None)).then_some(()).ok_or("a counter's reading is expected".to_owned());
        }
        let parts = &finding.parts;
        let redone = finding.limit * parts["spread"] * parts["deviation"];
        let is_fast = parts["step"] == udfs::ResidualConfig::default().lambda;
        let is_band = !is_fast || band.map(f64::to_bits) == Some(redone.to_bits());
        (value.map(f64::to_bits) == Some(parts["predicted"].to_bits()) && is_band)
            .then_some(())
            .ok_or(format!("the row expects {value:?}, within {band:?}; redone {redone}"))
    }

    fn kind(&self, finding: &Finding) -> Option<model::MetricKind> {
        let known = Catalogue::builtin().types.get(&self.state.device_type)?;
        Some(known.metrics.get(finding.metric.as_ref()?)?.kind)
    }

    fn implausible(&self, finding: &Finding) -> Result<(), String> {
        let spec = &Catalogue::builtin().types[&self.state.device_type].metrics[finding.metric.as_ref().unwrap()];
        let (lo, hi) = (spec.lo.unwrap(), spec.hi.unwrap());
        let give = (hi - lo) * 0.1;
        let limit = if finding.observed < lo { lo - give } else { hi + give };
        (limit == finding.limit).then_some(()).ok_or(format!("the limit is {limit}"))
    }

    /// What a view expected, as far as the device's states tell it.
    fn view(&self, finding: &Finding, expected: f64) -> Result<(), String> {
        let metric = finding.metric.as_ref().unwrap();
        if self.kind(finding) == Some(model::MetricKind::Counter) {
            return Ok(());
        }
        let newest = self.before().next();
        let previous = newest.and_then(|state| state.values.get(metric)).copied();
        let is_next = newest.is_some_and(|state| self.state.start_ms - state.start_ms == MINUTE_MS);
        match (finding.kind.as_str(), previous) {
            // A value far out is cut before a view sees it, so that its neighbour is seen as less than it was.
            ("jump", Some(previous)) if is_next && same(finding.parts["value"], finding.observed) => {
                let nearer = (expected - finding.observed).abs() <= (previous - finding.observed).abs() + 1e-9;
                nearer.then_some(()).ok_or(format!("the last value was {previous}"))
            }
            ("range", _) => {
                let seen = self.before().filter_map(|state| state.values.get(metric));
                let (lo, hi) = seen.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(*v), hi.max(*v)));
                (lo - 1e-9 <= expected && expected <= hi + 1e-9).then_some(()).ok_or(format!("seen was {lo} to {hi}"))
            }
            _ => Ok(()),
        }
    }

    fn stuck(&self, finding: &Finding) -> Result<(), String> {
        let metric = finding.metric.as_ref().unwrap();
        let still = |state: &&State| {
            state
                .mean
                .get(metric)
                .is_none_or(|mean| *mean == finding.observed && state.min[metric] == state.max[metric])
        };
        let run: Vec<&State> =
            self.before().take_while(still).filter(|state| state.mean.contains_key(metric)).collect();
        // The first value of a run may be the mean of several.
        let first = self.before().filter(|state| state.mean.contains_key(metric)).nth(run.len());
        let begins = first.is_some_and(|state| state.mean[metric] == finding.observed);
        let length = run.len() + 1 + usize::from(begins);
        let limit = (10.0 * finding.parts["longest"]).max(60.0);
        let redone = (length as f64, limit);
        (redone == (finding.score, finding.limit) && finding.score > finding.limit)
            .then_some(())
            .ok_or(format!("length and limit are {redone:?}"))
    }

    fn missing(&self, finding: &Finding) -> Result<(), String> {
        let metric = finding.metric.as_ref().unwrap();
        let length = 1 + self.before().take_while(|state| !state.mean.contains_key(metric)).count();
        let last = self.before().find_map(|state| state.mean.get(metric)).copied().unwrap_or(f64::NAN);
        let limit = (3.0 * finding.parts["longest"]).max(5.0);
        let redone = (last, length as f64, limit);
        (redone == (finding.observed, finding.score, finding.limit))
            .then_some(())
            .ok_or(format!("last value, length and limit are {redone:?}"))
    }

    /// The last leap is an extreme of a state within the hour, and the middle that of its neighbours.
    fn erratic(&self, finding: &Finding) -> Result<(), String> {
        let metric = finding.metric.as_ref().unwrap();
        let leapt = |state: &&State| [state.min.get(metric), state.max.get(metric)].contains(&Some(&finding.observed));
        let mean = |start_ms: i64| self.own().get(&start_ms).and_then(|state| state.mean.get(metric)).copied();
        let told = |state: &State| {
            let (before, after) = (mean(state.start_ms - MINUTE_MS)?, mean(state.start_ms + MINUTE_MS)?);
            Some(finding.text.ends_with(&format!("where {:.2} is expected", 0.5 * (before + after))))
        };
        let is_told = self.before().take(90).filter(leapt).any(|state| told(state) == Some(true));
        is_told.then_some(()).ok_or("no state within the hour has the leap".to_owned())
    }

    /// The median and the quarters of all devices of the type in the window they were taken from, in steps of 1/256.
    fn compared(&self, compared: &Compared) -> Result<(), String> {
        let state = |device: &BTreeMap<i64, State>| device.get(&compared.peers_ms).cloned();
        let of_type =
            self.states.values().filter_map(state).filter(|state| state.device_type == self.state.device_type);
        let mut seen: Vec<f64> = of_type.filter_map(|state| state.mean.get(&compared.metric).copied()).collect();
        seen.sort_by(f64::total_cmp);
        let rounded: Vec<f64> = seen.iter().map(|value| stepped(*value)).collect();
        let n = rounded.len();
        let peers = model::Peers {
            devices: u32::try_from(n).unwrap(),
            lowest: rounded[0],
            lower: rounded[(n - 1) / 4],
            median: rounded[(n - 1) / 2],
            upper: rounded[n - 1 - (n - 1) / 4],
            highest: rounded[n - 1],
        };
        let observed = self.state.mean[&compared.metric];
        let newest_ms = (self.state.start_ms - MINUTE_MS).div_euclid(5 * MINUTE_MS) * 5 * MINUTE_MS;
        (peers == compared.peers && observed == compared.observed && newest_ms == compared.peers_ms)
            .then_some(())
            .ok_or(format!("{compared:?}, and plainly {peers:?} of {seen:?}"))
    }

    /// A method's score from its findings.
    fn score(&self, verdict: &Verdict) -> Result<(), String> {
        let redone = match (verdict.method, verdict.severity) {
            // What was taken back keeps its score, and so has what is above its limit and not yet confirmed.
            (_, None) => {
                let findings = || self.state.verdicts.iter().flat_map(|verdict| &verdict.findings);
                let waits = verdict.method == Method::Statistics && verdict.findings.is_empty();
                let is_quiet = verdict.score <= 0.5 || waits || findings().any(Finding::explains_silence);
                return is_quiet.then_some(()).ok_or(format!("a quiet {verdict:?}"));
            }
            (Method::Rules, Some(severity)) => [0.5, 0.75, 1.0][severity as usize],
            _ => {
                let grade = |finding: &Finding| {
                    let ratio = finding.score / finding.limit;
                    ratio * ratio / (1.0 + ratio * ratio)
                };
                let whole =
                    verdict.findings.iter().find(|f| f.metric.is_none() && verdict.method != Method::Statistics);
                let voting = verdict.findings.iter().filter(|f| !f.has_own_incident() && !f.explains_silence());
                let highest = voting.map(grade).fold(0.5, f64::max);
                match whole {
                    Some(whole) => grade(whole),
                    // The residuals' own score cuts what one of them may count.
                    None if verdict.score <= highest => verdict.score.max(0.5),
                    None => highest,
                }
            }
        };
        same(redone, verdict.score).then_some(()).ok_or(format!("score {redone} of {verdict:?}"))
    }

    /// The state's severity and score from its verdicts.
    fn consensus(&self) -> Result<(), String> {
        let (mut votes, mut doubt, mut highest) = (0, 1.0, 0.0f64);
        let mut gravest = None;
        for (verdict, weight) in self.state.verdicts.iter().zip([1.0, 0.9, 0.8, 0.8]) {
            let weighted: f64 = weight * verdict.score;
            if dataflow::commands::explain::votes(verdict) {
                let is_strong = verdict.method != Method::Rules && weighted >= 0.7;
                votes += if is_strong { 2 } else { 1 };
                doubt *= 1.0 - weighted;
                gravest = gravest.max(verdict.severity.filter(|_| verdict.method == Method::Rules));
            } else if verdict.severity.is_none() {
                highest = highest.max(weighted.min(0.5));
            }
        }
        use model::Severity::{Critical, Info, Warning};
        let own = self.state.verdicts.iter().any(|verdict| verdict.severity.is_some());
        let (severity, score) = match votes {
            0 if own => (Some(Info), highest.max(0.5)),
            0 => (None, highest),
            1 => (gravest.max(Some(Info)), 1.0 - doubt),
            2 => (gravest.max(Some(Warning)), 1.0 - doubt),
            _ => (Some(Critical), 1.0 - doubt),
        };
        (severity.map(model::Severity::name) == self.state.severity.as_deref() && same(score, self.state.score))
            .then_some(())
            .ok_or(format!("consensus {severity:?} {score}, stored {:?} {}", self.state.severity, self.state.score))
    }

    /// Every number in the sentence is one of the finding's, to the digits that are written.
    fn text(&self, method: Method, finding: &Finding) -> Result<(), String> {
        let mut known: Vec<f64> = vec![finding.observed, finding.score, finding.limit, 1.0 - finding.limit];
        known.extend(finding.expected);
        known.extend([100.0 * finding.observed, 100.0 * finding.score]);
        known.extend(finding.parts.values());
        // The middle between a leap's neighbours is checked by itself.
        let text = match finding.kind.as_str() {
            "erratic" => finding.text.split(" where ").next().unwrap_or_default(),
            _ => finding.text.as_str(),
        };
        let compared = self.state.verdicts.iter().flat_map(|verdict| &verdict.compared);
        for one in compared.filter(|one| Some(&one.metric) == finding.metric.as_ref()) {
            known.extend([f64::from(one.peers.devices), one.peers.lower, one.peers.upper]);
        }
        let spans = finding.text.contains("for ") && finding.text.contains(" window");
        let unit_digits: BTreeSet<String> = numbers(&finding.unit).into_iter().map(|(text, _)| text).collect();
        for (text, number) in numbers(text) {
            let digits = text.split_once('.').map_or(0, |(_, digits)| digits.len());
            let reach = 0.5 * 10f64.powi(-i32::try_from(digits).unwrap()) * 1.000_001 + 1e-12;
            let is_known = known.iter().any(|known| (known.abs() - number.abs()).abs() <= reach + 1e-12 * known.abs());
            // A span is told from its start, gaps included: no shorter than the windows that are counted.
            let is_span = spans && digits == 0 && (number >= finding.score || method == Method::Rules);
            if !is_known && !is_span && !unit_digits.contains(&text) {
                return Err(format!("the text's {text} is none of {known:?}"));
            }
        }
        Ok(())
    }
}

/// The numbers of a sentence as they are written; digits within a word are none.
fn numbers(text: &str) -> Vec<(String, f64)> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-')));
    let words = words.map(|word| word.trim_end_matches(['.', '-']));
    words.filter_map(|word| Some((word.to_owned(), word.parse::<f64>().ok()?))).collect()
}

/// A value in steps of a 256th of its power of two.
fn stepped(value: f64) -> f64 {
    if value == 0.0 {
        return 0.0;
    }
    let mut step = 1.0 / 256.0;
    while value.abs() / step >= 512.0 {
        step *= 2.0;
    }
    while value.abs() / step < 256.0 {
        step /= 2.0;
    }
    (value.abs() / step).round() * step * value.signum()
}
