//! How well "unlike anything earlier" tells faults from healthy states, by what a state is compared with: its metric vector,
//! that vector's projection, its text in words, its text of values. And how many distinct texts and vectors that makes.
//!
//! `cargo run --release -p dataflow --example similar_quality -- [ollama://HOST:PORT/MODEL] [EVERY]`
//!
//! Takes the bundled day and the simulated fault cases. A state's score is one minus its cosine to the third-nearest earlier
//! state of its device that no label touches; compared are states within a label with those that none touches, from six
//! hours on. EVERY: only each so many-th state is looked at, for the texts of values hardly repeat and a service is slow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use connectors::memory::{MemorySource, MemoryStore};
use connectors::{Embedder as _, Projection, Store as _, TextEmbedder, cosine};
use dataflow::config::Config;
use dataflow::distinct::distinct;
use dataflow::job::JobConfig;
use dataflow::progress::Progress;
use dataflow::whole::{job_of, run_whole};
use model::recording::Label;
use model::tables::TableId;
use model::{Aggregate, Catalogue, Row, StateView, Value};
use scenarios::case::{self, Input};
use scenarios::simulate::Simulation;
use scenarios::simulator::Simulator;
use udfs::Monitor;

/// How long after a fault the equipment still recovers.
const RECOVERY_MS: i64 = 3_600_000;
/// States of a device before any counts: the warm-up.
const WARM_UP: usize = 360;
/// Which nearest neighbour counts.
const NEIGHBOUR: usize = 3;

/// A state with all that it can be compared by.
struct State {
    device: usize,
    /// `Some(true)`: within a label. `None`: too near to one.
    faulty: Option<bool>,
    vector: Vec<f64>,
    names: Vec<String>,
    words: String,
    values: String,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut embedder = arguments.next().map(|url| connectors::open_text_embedder(&url)).transpose()?;
    let every: usize = arguments.next().map_or(Ok(10), |text| text.parse()).context("EVERY is a number")?;
    let mut recordings = vec![("fleet-day".to_owned(), scenarios::bundled::recording()?)];
    let folder = case::bundled_folder();
    for name in case::list(&folder)?.into_iter().filter(|name| name.starts_with("fault-")) {
        let Input::Simulate(table) = case::load(&folder, &name)?.input else { continue };
        let simulation = Simulation::parse(&table)?;
        let mut simulator = Simulator::new(&simulation.fleet, &simulation.options)?;
        let mut bytes = Vec::new();
        simulator.write_lines(&mut bytes, |_| true)?;
        recordings.push((name, (bytes, simulator.labels())));
    }
    println!(
        "{:28} {:>6} {:>7} {:>6} | texts in words: healthy, faulty | distinct states by projection | AUC: metric vector, projection, words, values",
        "recording", "states", "healthy", "faulty"
    );
    let mut sums: BTreeMap<usize, (f64, u32)> = BTreeMap::new();
    let mut cache: HashMap<String, Vec<f32>> = HashMap::new();
    let mut asked = (0, 0.0);
    for (name, (bytes, labels)) in recordings {
        let states = states(&name, &bytes, &labels)?;
        let healthy = states.iter().filter(|state| state.faulty == Some(false)).count();
        let faulty = states.iter().filter(|state| state.faulty == Some(true)).count();
        let texts = |wanted: bool| {
            let texts = states.iter().filter(|state| state.faulty == Some(wanted)).map(|state| &state.words);
            texts.collect::<BTreeSet<_>>().len()
        };
        let mut projection = Projection::new();
        let distinct: BTreeSet<i64> = states
            .iter()
            .filter_map(|state| distinct(&mut projection, &state.vector, &state.names))
            .map(|distinct| distinct.vector_id)
            .collect();
        let chosen: Vec<&State> = states.iter().step_by(every).collect();
        let metric: Vec<Vec<f32>> = chosen.iter().map(|state| narrow(&state.vector)).collect();
        let projected: Vec<Vec<f32>> = chosen
            .iter()
            .map(|state| projection.embed(&state.vector, &state.names).context("a state has no direction"))
            .collect::<Result<_, _>>()?;
        let mut aucs = vec![auc(&chosen, &metric), auc(&chosen, &projected)];
        if let Some(embedder) = &mut embedder {
            for text in [(|state| &state.words) as fn(&State) -> &String, |state| &state.values] {
                let texts: Vec<&String> = chosen.iter().map(|state| text(state)).collect();
                let vectors = embed(embedder.as_mut(), &mut cache, &texts, &mut asked)?;
                aucs.push(auc(&chosen, &vectors));
            }
        }
        for (at, auc) in aucs.iter().enumerate().filter(|(_, auc)| !auc.is_nan()) {
            let (sum, count) = sums.entry(at).or_default();
            (*sum, *count) = (*sum + auc, *count + 1);
        }
        let aucs: Vec<String> = aucs.iter().map(|auc| format!("{auc:.3}")).collect();
        println!(
            "{name:28} {:6} {healthy:7} {faulty:6} | {:4} {:4} | {:5} | {}",
            states.len(),
            texts(false),
            texts(true),
            distinct.len(),
            aucs.join(" ")
        );
    }
    let means: Vec<String> = sums.values().map(|(sum, count)| format!("{:.3}", sum / f64::from(*count))).collect();
    println!("mean AUC: {}; {} texts embedded in {:.0} s", means.join(" "), asked.0, asked.1);
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "for comparison only")]
fn narrow(vector: &[f64]) -> Vec<f32> {
    vector.iter().map(|value| *value as f32).collect()
}

fn embed(
    embedder: &mut dyn TextEmbedder,
    cache: &mut HashMap<String, Vec<f32>>,
    texts: &[&String],
    asked: &mut (usize, f64),
) -> anyhow::Result<Vec<Vec<f32>>> {
    let missing: BTreeSet<&str> =
        texts.iter().map(|text| text.as_str()).filter(|text| !cache.contains_key(*text)).collect();
    let missing: Vec<&str> = missing.into_iter().collect();
    let began = Instant::now();
    for (text, vector) in missing.iter().zip(embedder.embed(&missing)?) {
        cache.insert((*text).to_owned(), vector.map_err(anyhow::Error::msg).with_context(|| format!("text {text:?}"))?);
    }
    *asked = (asked.0 + missing.len(), asked.1 + began.elapsed().as_secs_f64());
    Ok(texts.iter().map(|text| cache[text.as_str()].clone()).collect())
}

/// How likely a faulty state has a higher score than a healthy one; ties count half.
fn auc(states: &[&State], vectors: &[Vec<f32>]) -> f64 {
    let mut scores: Vec<(f64, bool)> = Vec::new();
    let mut earlier: BTreeMap<usize, Vec<&[f32]>> = BTreeMap::new();
    for (state, vector) in states.iter().zip(vectors) {
        let earlier = earlier.entry(state.device).or_default();
        let mut nearest: Vec<f64> = earlier.iter().map(|other| cosine(vector, other)).collect();
        nearest.sort_by(|a, b| b.total_cmp(a));
        if let (Some(faulty), Some(cosine)) = (state.faulty, nearest.get(NEIGHBOUR - 1)) {
            scores.push((1.0 - cosine, faulty));
        }
        if state.faulty == Some(false) {
            earlier.push(vector);
        }
    }
    // Scores within rounding of single precision are the same.
    let rounded = |score: f64| (score * 1e6).round();
    scores.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rank_sum, mut at) = (0.0, 0);
    while at < scores.len() {
        let same = scores[at..].iter().take_while(|other| rounded(other.0) == rounded(scores[at].0)).count().max(1);
        let rank = at as f64 + (same as f64 + 1.0) / 2.0;
        rank_sum += rank * scores[at..at + same].iter().filter(|(_, faulty)| *faulty).count() as f64;
        at += same;
    }
    let faulty = scores.iter().filter(|(_, faulty)| *faulty).count() as f64;
    let healthy = scores.len() as f64 - faulty;
    (rank_sum - faulty * (faulty + 1.0) / 2.0) / (faulty * healthy)
}

/// The states of a recording, judged as the job judges them.
fn states(name: &str, bytes: &[u8], labels: &[Label]) -> anyhow::Result<Vec<State>> {
    let store = MemoryStore::new();
    let job = job_of(&Config::default(), Arc::new(MemorySource::from_lines(name, bytes)?));
    run_whole(&job, 2, Box::new(store.clone()), &Arc::new(Progress::default()))?;
    let mut rows: Vec<Row> = Vec::new();
    store.clone().scan(TableId::DeviceStateSnapshots, &[], &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })?;
    let mut by_device: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_device
            .entry(row.value("device_id").as_text().context("a state has a device")?.to_owned())
            .or_default()
            .push(row);
    }
    let mut states = Vec::new();
    for (number, (device, rows)) in by_device.iter().enumerate() {
        judge(number, device, rows, &job, labels, &mut states)?;
    }
    Ok(states)
}

fn judge(
    number: usize,
    device: &str,
    rows: &[Row],
    job: &JobConfig,
    labels: &[Label],
    states: &mut Vec<State>,
) -> anyhow::Result<()> {
    let (mut monitor, mut names) = (Monitor::new(device), Vec::<String>::new());
    for (at, row) in rows.iter().enumerate() {
        let map = |column| match row.value(column) {
            Value::Map(map) => Ok(map),
            _ => Err(anyhow::anyhow!("column {column:?} is no map")),
        };
        let means = map("metrics")?;
        names.extend(means.keys().filter(|name| !names.contains(name)).cloned().collect::<Vec<_>>());
        let (lasts, mins, maxs, counts) =
            (map("metrics_last")?, map("metrics_min")?, map("metrics_max")?, map("metrics_count")?);
        let metrics: Vec<Option<Aggregate>> = names
            .iter()
            .map(|name| {
                let mean = *means.get(name)?;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count below 2^32")]
                Some(Aggregate {
                    last: lasts[name],
                    mean,
                    min: mins[name],
                    max: maxs[name],
                    count: counts[name] as u32,
                })
            })
            .collect();
        let start_ms = row.value("snapshot_time").as_int().context("a state has a time")?;
        let device_type = row.value("device_type").as_text().unwrap_or_default();
        let known = Catalogue::builtin().types.get(device_type);
        let width_ms = job.settings.window_ms;
        let view = StateView {
            start_ms,
            width_ms,
            device_type: known,
            names: &names,
            metrics: &metrics,
            peers: &[],
            peers_ms: 0,
            offset_ms: 0,
        };
        let judgement = monitor.observe(&job.monitor.usual, &view);
        let (Some(words), Some(vector)) = (monitor.words(device_type, &judgement), judgement.vector) else { continue };
        if at < WARM_UP {
            continue;
        }
        let mut ours = labels.iter().filter(|label| label.device_id == device).peekable();
        let within = |label: &Label, more_ms| label.start_ms < start_ms + width_ms && start_ms < label.end_ms + more_ms;
        let faulty = match ours.peek().is_some() {
            true if labels.iter().any(|label| label.device_id == device && within(label, 0)) => Some(true),
            true if ours.any(|label| within(label, RECOVERY_MS)) => None,
            _ => Some(false),
        };
        let pairs: Vec<(&str, f64)> = means.iter().map(|(name, mean)| (name.as_str(), *mean)).collect();
        let values = udfs::text::values(device, &pairs);
        states.push(State { device: number, faulty, vector, names: names.clone(), words, values });
    }
    Ok(())
}
