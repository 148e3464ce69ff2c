//! Looks for states by what their vectors are like.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::ops::{ControlFlow, Range};

use anyhow::bail;
use connectors::{Store, cosine};
use model::tables::TableId;
use model::time::date_of;
use model::{Row, Value};

use crate::commands::common::{key, row_of, scan};
use crate::commands::explain::State;
use crate::commands::incidents::Stored;

/// Where is looked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Among {
    /// The state's own device: all of its distinct states are compared.
    Device,
    /// All devices: the store says which distinct states are nearest.
    All,
}

/// The distinct state that a state is an occurrence of.
pub struct Query {
    /// What made its vector.
    pub method: String,
    /// Which one.
    pub vector_id: i64,
    /// Its text, if the vector is one of a text.
    pub text: Option<String>,
    vector: Vec<f32>,
}

/// A state that was found.
pub struct Hit {
    /// Which device.
    pub device_id: String,
    /// Start of its window.
    pub start_ms: i64,
    /// Cosine.
    pub similarity: f64,
    /// It was judged anomalous.
    pub anomalous: bool,
}

/// Distinct states that a store is asked for: those beyond are unlike anything near.
const NEAREST: usize = 256;

/// Occurrences that are looked at more closely, beyond a few times as many as were asked for: a state that occurs all day
/// says little about which of the days is meant.
const MORE_CANDIDATES: usize = 64;

impl Query {
    /// What is known of a state's vector; `None`: it has none.
    ///
    /// # Errors
    /// If the store fails, or lacks the vector that the state names.
    pub fn of(store: &mut dyn Store, state: &State) -> anyhow::Result<Option<Query>> {
        let place = [key(&state.device_id), Value::Int(state.start_ms)];
        let occurrence = row_of(store, TableId::StateOccurrences, &place)?;
        let Some((method, vector_id)) = occurrence.as_ref().and_then(vector_of) else { return Ok(None) };
        let row = row_of(store, TableId::StateVectors, &[key(&method), Value::Int(vector_id)])?;
        let Some((row, Value::Vector(vector))) = row.as_ref().map(|row| (row, row.value("embedding"))) else {
            bail!("vector {vector_id} of method {method:?} is not in table \"state_vectors\"");
        };
        let text = row.value("text").as_text().map(str::to_owned);
        Ok(Some(Query { text, vector: vector.clone(), method, vector_id }))
    }

    /// The most similar states but those of `state`'s device within `own`, and how many were looked at. Candidates are the
    /// occurrences of the nearest distinct states; among them the exact vectors of the states decide.
    ///
    /// # Errors
    /// If the store fails.
    pub fn search(
        &self,
        store: &mut dyn Store,
        state: &State,
        (among, own): (Among, &Range<i64>),
        limit: usize,
    ) -> anyhow::Result<(Vec<Hit>, u64)> {
        let candidates = limit.saturating_mul(4).saturating_add(MORE_CANDIDATES);
        let prefix: Vec<Value> = if among == Among::All { Vec::new() } else { vec![key(&state.device_id)] };
        let cosines: HashMap<i64, f64> = match among {
            Among::Device => self.cosines_within(store, &prefix)?,
            Among::All => store.nearest(&self.method, &self.vector, NEAREST)?.into_iter().collect(),
        };
        let (mut hits, mut seen) = (Vec::new(), 0);
        scan(store, TableId::StateOccurrences, &prefix, |row| {
            let device_id = row.value("device_id").as_text().unwrap_or_default();
            let start_ms = row.value("snapshot_time").as_int().unwrap_or_default();
            let itself = device_id == state.device_id && own.contains(&start_ms);
            let id = vector_of(row).filter(|(method, _)| !itself && *method == self.method).map(|(_, id)| id);
            let Some(id) = id else { return Ok(ControlFlow::Continue(())) };
            seen += 1;
            if let Some(similarity) = cosines.get(&id) {
                let anomalous = *row.value("is_anomalous") == Value::Bool(true);
                hits.push(Hit { device_id: device_id.to_owned(), start_ms, similarity: *similarity, anomalous });
            }
            if hits.len() / 4 >= candidates {
                keep_best(&mut hits, candidates);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        keep_best(&mut hits, candidates);
        self.refine(store, state, &mut hits)?;
        keep_best(&mut hits, limit);
        Ok((hits, seen))
    }

    /// Cosines of the distinct states that occur there, each read once.
    fn cosines_within(&self, store: &mut dyn Store, prefix: &[Value]) -> anyhow::Result<HashMap<i64, f64>> {
        let mut ids = BTreeSet::new();
        scan(store, TableId::StateOccurrences, prefix, |row| {
            ids.extend(vector_of(row).filter(|(method, _)| *method == self.method).map(|(_, id)| id));
            Ok(ControlFlow::Continue(()))
        })?;
        let mut cosines = HashMap::new();
        for id in ids {
            let row = row_of(store, TableId::StateVectors, &[key(&self.method), Value::Int(id)])?;
            match row.as_ref().map(|row| row.value("embedding")) {
                Some(Value::Vector(vector)) => cosines.insert(id, cosine(&self.vector, vector)),
                _ => bail!("vector {id} of method {:?} is not in table \"state_vectors\"", self.method),
            };
        }
        Ok(cosines)
    }

    /// Puts the cosine of the states' own vectors in place of that of their distinct ones, where both have one.
    fn refine(&self, store: &mut dyn Store, state: &State, hits: &mut [Hit]) -> anyhow::Result<()> {
        let mut exact = |device: &str, start_ms: i64| -> anyhow::Result<Option<Vec<f32>>> {
            let place = [key(device), Value::Text(date_of(start_ms)), Value::Int(start_ms)];
            let row = row_of(store, TableId::DeviceStateSnapshots, &place)?;
            let row = row.filter(|row| row.value("embedding_method").as_text() == Some(&self.method));
            Ok(row.and_then(|row| match row.value("embedding") {
                Value::Vector(vector) => Some(vector.clone()),
                _ => None,
            }))
        };
        let Some(query) = exact(&state.device_id, state.start_ms)? else { return Ok(()) };
        for hit in hits {
            if let Some(vector) = exact(&hit.device_id, hit.start_ms)? {
                hit.similarity = cosine(&query, &vector);
            }
        }
        Ok(())
    }
}

fn vector_of(row: &Row) -> Option<(String, i64)> {
    Some((row.value("embedding_method").as_text()?.to_owned(), row.value("vector_id").as_int()?))
}

/// The highest similarity first; among equals the newest.
fn keep_best(hits: &mut Vec<Hit>, limit: usize) {
    hits.sort_by(|a, b| {
        let order = b.similarity.total_cmp(&a.similarity);
        order.then_with(|| (Reverse(a.start_ms), &a.device_id).cmp(&(Reverse(b.start_ms), &b.device_id)))
    });
    hits.truncate(limit);
}

/// The time around a state in which the device's own states are no news: so long before and after, and the incident that
/// the state belongs to.
pub fn around(incidents: &[Stored], state: &State, apart_ms: i64) -> Range<i64> {
    let windows = apart_ms.unsigned_abs().div_ceil(state.width_ms.unsigned_abs()).clamp(1, 1 << 32).cast_signed();
    let mut around =
        state.start_ms - (windows - 1) * state.width_ms..state.start_ms.saturating_add(windows * state.width_ms);
    for incident in incidents {
        if incident.start_ms <= state.start_ms && state.start_ms < incident.end_ms {
            around = around.start.min(incident.start_ms)..around.end.max(incident.end_ms);
        }
    }
    around
}
