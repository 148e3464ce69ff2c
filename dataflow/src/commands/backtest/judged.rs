//! What a run of the job leaves for a comparison: its incidents, and of each state what the methods said, shortened.
//!
//! The store of such a run keeps no readings and no vectors. A state takes about 60 bytes, and more only where a method found
//! something: some 3 MB a device and month of minutes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connectors::{Checkpoint, Control, IdleMark, LeaseOwner, MemoryStore, Notice, Store, StoreError};
use model::tables::TableId;
use model::{Finding, Method, Row, Value, Verdict};

use crate::commands::explain::votes;

/// What the methods said of a state.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// By method: it counts in the consensus.
    pub votes: [bool; 4],
    /// By method: how far its strongest view was, in multiples of the limit. Not a number where it says nothing: rules, and
    /// statistics while what has an incident of its own alone speaks.
    pub ratios: [f32; 4],
    /// Progress of the warm-up or of a new operating point, of the method that has least.
    pub warm_up: f32,
    /// What was found by which method, or why something keeps silent.
    pub findings: Box<[(Method, Finding)]>,
}

impl Seen {
    /// Of the four verdicts of a state.
    pub fn of(verdicts: Vec<Verdict>) -> Seen {
        let mut seen = Seen { votes: [false; 4], ratios: [f32::NAN; 4], warm_up: 1.0, findings: Box::default() };
        let mut findings = Vec::new();
        for verdict in verdicts {
            let at = verdict.method as usize;
            seen.votes[at] = votes(&verdict);
            // A score is r*r / (1 + r*r).
            let tells = at > 0 && (verdict.severity.is_none() || seen.votes[at]);
            if tells {
                #[expect(clippy::cast_possible_truncation, reason = "shown with two digits")]
                let ratio = (verdict.score / (1.0 - verdict.score)).sqrt() as f32;
                seen.ratios[at] = ratio;
            }
            #[expect(clippy::cast_possible_truncation, reason = "a share of a hundred")]
            let warm_up = verdict.warm_up as f32;
            seen.warm_up = seen.warm_up.min(warm_up);
            findings.extend(verdict.findings.into_iter().map(|finding| (verdict.method, finding)));
        }
        seen.findings = findings.into();
        seen
    }

    /// The consensus calls it anomalous.
    pub fn is_anomalous(&self) -> bool {
        self.votes.contains(&true)
    }

    /// It counts for `confirm_windows`: two methods or a broken rule.
    pub fn is_firm(&self) -> bool {
        self.votes[0] || self.votes.iter().filter(|vote| **vote).count() >= 2
    }

    /// The first finding of a kind.
    pub fn finding(&self, kind: &str) -> Option<&Finding> {
        self.findings.iter().map(|(_, finding)| finding).find(|finding| finding.kind == kind)
    }

    /// The strongest of what was found that speaks for an incident of this kind (`anomaly`, `stuck` ...), in multiples of its
    /// limit.
    pub fn strongest(&self, word: &str) -> Option<(Method, &Finding, f64)> {
        let speaks = |finding: &Finding| match word {
            "stuck" | "missing" | "erratic" | "gaps" => finding.kind == word,
            // Which metrics are far from the centroid says whom to blame, not whether to.
            _ if finding.kind == "centroid" => finding.metric.is_none(),
            _ => !finding.has_own_incident() && !finding.explains_silence(),
        };
        let found = self.findings.iter().filter(|(_, finding)| speaks(finding));
        let ratio = |method: &Method, finding: &Finding| match method {
            Method::Rules => RULE_RATIO,
            _ => finding.score / finding.limit,
        };
        let ratios = found.map(|(method, finding)| (*method, finding, ratio(method, finding)));
        ratios.filter(|(.., ratio)| ratio.is_finite()).reduce(|most, next| if next.2 > most.2 { next } else { most })
    }
}

/// A broken rule weighs as much as a finding of so many times its limit, as it does in an incident's contributions: the two
/// sides of its comparison say nothing of that.
const RULE_RATIO: f64 = 3.0;

/// States by device and window start.
pub type States = BTreeMap<String, BTreeMap<i64, Seen>>;

#[derive(Default)]
struct Content {
    states: States,
    /// By device: start of its first state, and of the first one that all methods judged.
    learned: BTreeMap<String, Learned>,
}

/// How long a device was learned.
#[derive(Clone, Copy, Debug)]
pub struct Learned {
    /// Start of its first state.
    pub first_ms: i64,
    /// Start of the first one behind the warm-up; `None`: it came to none.
    pub warm_ms: Option<i64>,
}

/// A store of that alone. Clones are handles of the same one.
#[derive(Clone)]
pub struct Kept {
    incidents: MemoryStore,
    content: Arc<Mutex<Content>>,
    controls: Arc<Vec<Control>>,
    /// States in front of this are not kept.
    from_ms: i64,
}

impl Kept {
    /// An empty one, with what people asked for elsewhere.
    pub fn new(from_ms: i64, controls: Vec<Control>) -> Kept {
        Kept { incidents: MemoryStore::new(), content: Arc::default(), controls: Arc::new(controls), from_ms }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out what was kept: the states, and how long each device was learned.
    pub fn take(&self) -> (States, BTreeMap<String, Learned>) {
        let content = std::mem::take(&mut *self.content());
        (content.states, content.learned)
    }

    fn keep(&self, row: &Row) -> Result<(), StoreError> {
        let wrong = |column, problem| StoreError::Row { table: row.table().name, column, problem };
        let lacks = |column| move || wrong(column, "is empty".to_owned());
        let device = row.value("device_id").as_text().ok_or_else(lacks("device_id"))?;
        let start_ms = row.value("snapshot_time").as_int().ok_or_else(lacks("snapshot_time"))?;
        let verdicts = row.value("verdicts").as_text().ok_or_else(lacks("verdicts"))?;
        let verdicts = serde_json::from_str(verdicts).map_err(|error| wrong("verdicts", error.to_string()))?;
        let seen = Seen::of(verdicts);
        let mut content = self.content();
        let content = &mut *content;
        if !content.learned.contains_key(device) {
            content.learned.insert(device.to_owned(), Learned { first_ms: start_ms, warm_ms: None });
        }
        let learned = content.learned.get_mut(device).expect("it is there now");
        learned.first_ms = learned.first_ms.min(start_ms);
        if seen.warm_up >= 1.0 && learned.warm_ms.is_none_or(|warm_ms| start_ms < warm_ms) {
            learned.warm_ms = Some(start_ms);
        }
        if start_ms < self.from_ms {
            return Ok(());
        }
        match content.states.get_mut(device) {
            // A state that late readings have corrected comes again, with the same verdicts.
            Some(states) => drop(states.insert(start_ms, seen)),
            None => drop(content.states.insert(device.to_owned(), BTreeMap::from([(start_ms, seen)]))),
        }
        Ok(())
    }
}

impl Store for Kept {
    fn write(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            match row.table {
                TableId::AnomalyEvents => self.incidents.write(std::slice::from_ref(row))?,
                TableId::DeviceStateSnapshots => self.keep(row)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn write_checkpoint(&mut self, _: &Checkpoint) -> Result<(), StoreError> {
        Ok(())
    }

    fn latest_checkpoint(&mut self) -> Result<Option<Checkpoint>, StoreError> {
        Ok(None)
    }

    fn write_marks(&mut self, _: &[IdleMark]) -> Result<(), StoreError> {
        Ok(())
    }

    fn marks(&mut self) -> Result<Vec<IdleMark>, StoreError> {
        Ok(Vec::new())
    }

    fn write_controls(&mut self, _: &[Control]) -> Result<(), StoreError> {
        Ok(())
    }

    fn controls(&mut self) -> Result<Vec<Control>, StoreError> {
        Ok(self.controls.to_vec())
    }

    fn change_notices(&mut self, _: &[Notice], _: &[String]) -> Result<(), StoreError> {
        Ok(())
    }

    fn notices(&mut self) -> Result<Vec<Notice>, StoreError> {
        Ok(Vec::new())
    }

    fn acquire_lease(&mut self, _: &LeaseOwner) -> Result<(), StoreError> {
        Ok(())
    }

    fn release_lease(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn remove(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        self.incidents.remove(rows)
    }

    fn scan(
        &mut self,
        table: TableId,
        prefix: &[Value],
        each: &mut dyn FnMut(Row) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.incidents.scan(table, prefix, each)
    }

    fn count(&mut self, table: TableId) -> Result<u64, StoreError> {
        self.incidents.count(table)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.clear_results()
    }

    fn clear_results(&mut self) -> Result<(), StoreError> {
        *self.content() = Content::default();
        self.incidents.clear()
    }
}
