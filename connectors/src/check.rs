//! What `dataflow doctor` finds out: one real operation on a service at a time, what came of it, and what helps.
//!
//! Each service's own file `check.rs` says what is asked of it. A later question that needs an earlier one's answer is not
//! asked where that is missing: the first failure is the one to mend.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::tables::TableId;
use model::{Row, Value, Version};

use crate::{EmbedError, SourceError, StoreError};

/// What a finding means for the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Fine,
    /// The job works, and something could go wrong that need not.
    Advice,
    /// The job can't work with it.
    Failed,
}

impl Verdict {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Fine => "fine",
            Verdict::Advice => "advice",
            Verdict::Failed => "failed",
        }
    }
}

/// What came of one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What it means.
    pub verdict: Verdict,
    /// What was seen.
    pub seen: String,
    /// What to do; empty where nothing is, or where `seen` ends with it.
    pub help: String,
}

impl Answer {
    /// As it should be.
    pub fn fine(seen: impl Into<String>) -> Self {
        Answer { verdict: Verdict::Fine, seen: seen.into(), help: String::new() }
    }

    /// Works, but should be changed.
    pub fn advice(seen: impl Into<String>, help: impl Into<String>) -> Self {
        Answer { verdict: Verdict::Advice, seen: seen.into(), help: help.into() }
    }

    /// Does not work.
    pub fn failed(seen: impl Into<String>, help: impl Into<String>) -> Self {
        Answer { verdict: Verdict::Failed, seen: seen.into(), help: help.into() }
    }
}

// These errors end with what helps.
impl From<SourceError> for Answer {
    fn from(error: SourceError) -> Self {
        Answer::failed(error.to_string(), "")
    }
}

impl From<StoreError> for Answer {
    fn from(error: StoreError) -> Self {
        Answer::failed(error.to_string(), "")
    }
}

impl From<EmbedError> for Answer {
    fn from(error: EmbedError) -> Self {
        Answer::failed(error.to_string(), "")
    }
}

/// One question and its answer.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was asked for, one word.
    pub check: &'static str,
    /// What came of it.
    pub answer: Answer,
    /// How long it took.
    pub took: Duration,
}

/// The findings about one service, in the order of asking.
#[derive(Debug, Default)]
pub struct Checkup {
    /// All of them.
    pub findings: Vec<Finding>,
}

impl Checkup {
    /// Asks, and notes the answer. What later questions need is given back, unless this one failed.
    pub fn ask<T>(&mut self, check: &'static str, ask: impl FnOnce() -> Result<(T, Answer), Answer>) -> Option<T> {
        let began = Instant::now();
        let (value, answer) = match ask() {
            Ok((value, answer)) => (Some(value), answer),
            Err(answer) => (None, answer),
        };
        self.findings.push(Finding { check, answer, took: began.elapsed() });
        value
    }
}

/// A row that no job writes: a dead letter of a topic whose name no topic can have. Each has a key of its own, for where a row was
/// taken back, a CQL server hides what is written with the same version again.
pub(crate) fn row() -> Row {
    let bytes = (0..=u8::MAX).collect();
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let values = vec![
        Value::Text("plenum doctor".to_owned()),
        Value::Int(i64::from(std::process::id() & 0x7fff_ffff)),
        Value::Int(i64::try_from(since.as_micros()).unwrap_or(i64::MAX)),
        Value::Text("doctor".to_owned()),
        Value::Text("written and taken back by `dataflow doctor`".to_owned()),
        Value::Blob(bytes),
        Value::Int(0),
    ];
    Row { table: TableId::DeadLetters, version: Version::window(0), values }
}
