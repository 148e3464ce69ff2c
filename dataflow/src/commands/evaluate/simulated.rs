//! Simulated fleets whose faults are known: what is found and how soon, by kind and severity, what is named, and how often a device is
//! accused that has nothing. The simulator shares no code with the detectors, and no detector was told of a fault.

mod original;
mod plan;
mod score;
mod source;
mod visible;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, anyhow, bail};
use connectors::Store;
use connectors::memory::MemoryStore;
use model::tables::TableId;
use serde_json::{Value as Json, json};

use super::{Ablated, OWN, progress, without};
use crate::commands::WrongUse;
use crate::commands::common::{bar, json_pretty, table, table_text, thousands};
use crate::commands::incidents;
use crate::config::Config;
use crate::job::JobConfig;
use crate::progress::Progress;
use crate::whole::{job_of, run_whole};
use original::METHODS;
use plan::Plan;
use score::{Claim, Figures, Outcome, Score};
use source::{SimulatedSource, Truth};

/// How large the simulation is.
#[derive(clap::Args, Clone, Debug)]
pub struct FleetArguments {
    /// For simulator: seeds, such as 21-40 or 3,7
    #[arg(long, value_name = "SEEDS", default_value = "21-40")]
    seeds: String,
    /// For simulator: devices of each seed
    #[arg(long, value_name = "N", default_value_t = 110, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    devices: u32,
    /// For simulator: days of each seed
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(4..=366))]
    days: u32,
    /// For simulator: time between two readings of a metric
    #[arg(long, value_name = "DURATION", default_value = "60s")]
    period: String,
    /// For simulator: also what the methods of the system before would say
    #[arg(long)]
    original: bool,
}

impl FleetArguments {
    fn seeds(&self) -> Result<Vec<u64>, WrongUse> {
        let wrong = || WrongUse(format!("flag --seeds: {:?} is no list such as 21-40 or 3,7", self.seeds));
        let mut seeds = Vec::new();
        for part in self.seeds.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |text: &str| text.trim().parse::<u64>().map_err(|_| wrong());
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last - first >= 1_000 {
                return Err(wrong());
            }
            seeds.extend(first..=last);
        }
        Ok(seeds)
    }
}

/// What an incident without a fault is about.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    device_type: &'static str,
    severity: String,
    kind: String,
    metric: String,
}

/// What came of one seed, or of all.
struct Scores {
    own: Score,
    originals: Vec<Score>,
    /// With a part of the detectors taken away, by the part's name.
    ablated: Vec<(&'static str, Score)>,
    messages: u64,
}

/// Evaluates; the text or the JSON that is to be printed.
///
/// # Errors
/// [`WrongUse`] for flags that can't be meant; else if a job fails.
pub fn report(arguments: &FleetArguments, config: &Config, ablated: &Ablated, as_json: bool) -> anyhow::Result<String> {
    let seeds = arguments.seeds()?;
    let period_ms = model::time::parse_duration_ms(&arguments.period)
        .map_err(|error| WrongUse(format!("flag --period: {:?}: {error}", arguments.period)))?;
    let plan = |seed: u64| {
        let plan = Plan::new(seed, arguments.devices as usize, arguments.days, period_ms)?;
        // What the simulator refuses is known before the first seed is run.
        scenarios::simulator::Simulator::new(&plan.fleet, &plan.options)
            .map_err(|error| WrongUse(error.to_string()))?;
        anyhow::Ok(plan)
    };
    let plans = seeds.iter().map(|seed| plan(*seed)).collect::<anyhow::Result<Vec<Plan>>>()?;
    let mut scores = all(&plans, config, arguments.original)?;
    for (part, config) in progress(ablated) {
        scores.ablated.push((*part, all(&plans, config, false)?.own));
    }
    Ok(if as_json {
        format!("{}\n", json_pretty(&scores.json()))
    } else {
        format!(
            "{} seeds of {} devices, {} days, a reading each {}: {} messages\n{}",
            seeds.len(),
            arguments.devices,
            arguments.days,
            arguments.period,
            thousands(scores.messages),
            scores.text()
        )
    })
}

/// Every plan, as many at a time as there are cores.
fn all(plans: &[Plan], config: &Config, original: bool) -> anyhow::Result<Scores> {
    let next = AtomicUsize::new(0);
    let bar = bar(plans.len() as u64, "seeds");
    let done: Mutex<BTreeMap<usize, anyhow::Result<Scores>>> = Mutex::new(BTreeMap::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(plans.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(plan) = plans.get(at) else { break };
                    let score =
                        one(plan, config, original).with_context(|| format!("could not evaluate seed {}", plan.seed));
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(at, score);
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut scores = Scores { own: Score::default(), originals: Vec::new(), ablated: Vec::new(), messages: 0 };
    for (_, score) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let score = score?;
        scores.own = scores.own.join(score.own);
        scores.originals.resize(score.originals.len(), Score::default());
        scores.originals =
            scores.originals.into_iter().zip(score.originals).map(|(sum, score)| sum.join(score)).collect();
        scores.messages += score.messages;
    }
    Ok(scores)
}

/// One seed through the job.
fn one(plan: &Plan, config: &Config, original: bool) -> anyhow::Result<Scores> {
    let (source, truth) = SimulatedSource::new(plan.clone(), original);
    let mut store = MemoryStore::keeping(&[TableId::AnomalyEvents]);
    // Incidents are all that is looked at; a row for each of a hundred million readings would only cost time.
    let job = JobConfig { raw_rows: false, ..job_of(config, Arc::new(source)) };
    run_whole(&job, 1, Box::new(store.clone()), &Arc::new(Progress::default()))?;
    let claims = claims(&mut store)?;
    let Truth { labels, visible_ms, original, messages } =
        std::mem::take(&mut *truth.lock().unwrap_or_else(PoisonError::into_inner));
    if labels.len() != plan.options.faults.requests.len() {
        bail!("the simulation had {} of {} faults", labels.len(), plan.options.faults.requests.len());
    }
    let visible: Vec<bool> = visible_ms.iter().map(Option::is_some).collect();
    let types: BTreeMap<String, &'static str> =
        plan.fleet.devices().iter().map(|device| (device.device_id.clone(), device.kind.name())).collect();
    let duration_ms = plan.options.duration_ms.ok_or_else(|| anyhow!("a plan has an end"))?;
    let score = |claims: &[Claim]| Score::of(claims, &labels, &visible, &types, duration_ms);
    let originals =
        original.map_or_else(Vec::new, |original| original.claims().iter().map(|said| score(said)).collect());
    Ok(Scores { own: score(&claims), originals, ablated: Vec::new(), messages })
}

fn claims(store: &mut dyn Store) -> anyhow::Result<Vec<Claim>> {
    let claim = |incident: incidents::Stored| {
        let mut metrics: Vec<String> = incident.contributions.into_iter().map(|part| part.metric).collect();
        if let (true, Some((_, metric))) = (metrics.is_empty(), incident.kind.split_once(':')) {
            metrics.push(metric.to_owned());
        }
        Claim {
            device_id: incident.device_id,
            kind: incident.kind,
            severity: incident.severity.name().to_owned(),
            start_ms: incident.start_ms,
            end_ms: incident.end_ms,
            detected_ms: incident.detected_ms,
            metrics,
        }
    };
    Ok(incidents::read(store, None)?.into_iter().map(claim).collect())
}

impl Scores {
    fn rows(&self) -> impl Iterator<Item = (String, &Score)> {
        let originals = METHODS.into_iter().map(str::to_owned).zip(&self.originals);
        let ablated = self.ablated.iter().map(|(part, score)| (without(part), score));
        [(OWN.to_owned(), &self.own)].into_iter().chain(ablated).chain(originals)
    }

    fn text(&self) -> String {
        let header =
            ["detector", "found", "warned", "minutes", "first metric", "among three", "false", "false, warned"];
        let mut shown = table(&header, &[1, 2, 3, 4, 5, 6, 7]);
        for (name, score) in self.rows() {
            let figures = score.figures(|_| true);
            let mut cells = vec![name];
            cells.extend(cells_of(&figures));
            cells.extend(score.false_a_month().map(|rate| format!("{rate:.2}")));
            shown.add_row(cells);
        }
        let header = ["type", "fault", "severity", "found", "warned", "minutes", "first metric", "among three"];
        let mut by_kind = table(&header, &[3, 4, 5, 6, 7]);
        for (device_type, fault, severity) in kinds(&self.own) {
            let figures = self.own.figures(|outcome| is_of(outcome, device_type, fault, severity));
            let mut cells = vec![device_type.to_owned(), fault.to_owned(), severity.to_owned()];
            cells.extend(cells_of(&figures));
            by_kind.add_row(cells);
        }
        let mut causes = table(&["false incidents", "type", "severity", "kind", "first metric"], &[0]);
        let counted = self.causes();
        for (Cause { device_type, severity, kind, metric }, count) in counted.iter().take(20) {
            causes.add_row([&count.to_string(), *device_type, severity, kind, metric]);
        }
        format!(
            "{}\nfound, warned (a warning or worse), named: of the visible faults, those that moved a value by three of its spreads for ten \
             minutes;\nminutes from the fault's beginning: half, nine tenths; false: incidents without a fault, a device and month\n\n{}\n{}\n",
            table_text(&shown),
            table_text(&by_kind),
            table_text(&causes)
        )
    }

    /// Incidents without a fault: device type, severity, kind, first metric; the most frequent first.
    fn causes(&self) -> Vec<(Cause, usize)> {
        let mut counts: BTreeMap<Cause, usize> = BTreeMap::new();
        for (device_type, claim) in &self.own.false_claims {
            let kind = claim.kind.split(':').next().unwrap_or_default().to_owned();
            let metric = claim.metrics.first().cloned().unwrap_or_default();
            let cause = Cause { device_type, severity: claim.severity.clone(), kind, metric };
            *counts.entry(cause).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }

    fn json(&self) -> Json {
        let of = |figures: &Figures| {
            json!({
                "faults": figures.faults, "visible": figures.visible, "found": figures.found, "warned": figures.warned,
                "first_metric": figures.first_right, "among_three": figures.third_right,
                "minutes_median": figures.minutes[0], "minutes_p90": figures.minutes[1],
            })
        };
        let detectors: Vec<Json> = self
            .rows()
            .map(|(name, score)| {
                let mut detector = of(&score.figures(|_| true));
                let [all, warned] = score.false_a_month();
                detector["detector"] = json!(name);
                detector["false_a_device_month"] = json!(all);
                detector["false_warned_a_device_month"] = json!(warned);
                detector
            })
            .collect();
        let kinds: Vec<Json> = kinds(&self.own)
            .into_iter()
            .map(|(device_type, fault, severity)| {
                let mut kind = of(&self.own.figures(|outcome| is_of(outcome, device_type, fault, severity)));
                kind["device_type"] = json!(device_type);
                kind["fault"] = json!(fault);
                kind["severity"] = json!(severity);
                kind
            })
            .collect();
        let false_incidents: Vec<Json> = self
            .causes()
            .into_iter()
            .map(|(Cause { device_type, severity, kind, metric }, count)| {
                json!({"device_type": device_type, "severity": severity, "kind": kind, "first_metric": metric, "count": count})
            })
            .collect();
        json!({"simulator": {
            "messages": self.messages, "device_months": self.own.months.values().sum::<f64>(),
            "detectors": detectors, "kinds": kinds, "false_incidents": false_incidents,
        }})
    }
}

fn kinds(score: &Score) -> Vec<(&'static str, &str, &str)> {
    let severities = ["mild", "moderate", "severe"];
    let place = |severity: &str| severities.iter().position(|name| *name == severity);
    let mut kinds: Vec<(&'static str, &str, &str)> =
        score.outcomes.iter().map(|outcome| (outcome.device_type, &*outcome.fault, &*outcome.severity)).collect();
    kinds.sort_by_key(|(device_type, fault, severity)| (*device_type, *fault, place(severity)));
    kinds.dedup();
    kinds
}

fn is_of(outcome: &Outcome, device_type: &str, fault: &str, severity: &str) -> bool {
    (outcome.device_type, &*outcome.fault, &*outcome.severity) == (device_type, fault, severity)
}

fn cells_of(figures: &Figures) -> [String; 5] {
    let share = |part: usize| match figures.visible {
        0 => "-".to_owned(),
        all => format!("{:.0} %", 100.0 * part as f64 / all as f64),
    };
    let named = |part: usize| match figures.found {
        0 => "-".to_owned(),
        all => format!("{:.0} %", 100.0 * part as f64 / all as f64),
    };
    let hidden = match figures.faults - figures.visible {
        0 => String::new(),
        hidden => format!(", {hidden} hidden"),
    };
    let minutes = match figures.minutes {
        [Some(half), Some(most)] => format!("{half:.0}, {most:.0}"),
        _ => "-".to_owned(),
    };
    [
        format!("{} of {}{hidden}", figures.found, figures.visible),
        share(figures.warned),
        minutes,
        named(figures.first_right),
        named(figures.third_right),
    ]
}
