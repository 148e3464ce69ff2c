//! What can go wrong outside: what was tried, where, and what helps. The cause is part of the message, so it is not named
//! as the error's source too: printing the chain would say it twice.

use std::error::Error;

use crate::LeaseOwner;

/// The cause below, whatever made it.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// An error with its causes: the HTTP client's own message leaves out why.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}

/// A source can't be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The address names no source.
    #[error("source {url:?} {problem}; sources are {known}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: String,
        /// What there is.
        known: &'static str,
    },
    /// The system refused.
    #[error("could not {action} {place:?}: {cause}; {help}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        place: String,
        /// What helps.
        help: &'static str,
        /// Why.
        cause: std::io::Error,
    },
    /// A line of a recording is wrong.
    #[error("recording {place:?}, line {line}: {problem}")]
    Line {
        /// The file.
        place: String,
        /// Counted from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// The recording as a whole is wrong.
    #[error("recording {place:?} {problem}")]
    Recording {
        /// The file.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A topic of Kafka can't be used.
    #[error("could not {action} topic {topic:?} at {brokers}: {cause}; {help}")]
    Kafka {
        /// What was tried.
        action: &'static str,
        /// The topic.
        topic: String,
        /// Where.
        brokers: String,
        /// Why.
        cause: String,
        /// What helps.
        help: &'static str,
    },
    /// A setting can't be used. Its value is not told: it may be a secret.
    #[error("setting {name:?} {problem}")]
    Setting {
        /// The setting.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store that messages are made of failed.
    #[error("{0}")]
    Store(Box<StoreError>),
    /// There is no such partition.
    #[error("topic {topic:?} has no partition {partition}")]
    Partition {
        /// The topic.
        topic: String,
        /// As asked for.
        partition: u32,
    },
}

/// A store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address names no store.
    #[error("store {url:?} {problem}; stores are {known}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: String,
        /// What there is.
        known: &'static str,
    },
    /// The service or file failed.
    #[error("could not {action} store {place:?}: {cause}; {help}")]
    Failed {
        /// What was tried.
        action: String,
        /// Where.
        place: String,
        /// What helps.
        help: &'static str,
        /// Whether trying again later may help.
        passing: bool,
        /// Why.
        cause: Cause,
    },
    /// Another job works on it.
    #[error(
        "store {place:?} is held by process {} on host {:?}, started {}; stop that job, or give this one another store",
        owner.pid, owner.host, model::time::format_ms(owner.started_ms)
    )]
    Held {
        /// Where.
        place: String,
        /// By whom.
        owner: LeaseOwner,
    },
    /// A row does not fit its table.
    #[error("row of table {table:?} does not fit column {column:?}: {problem}")]
    Row {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// It was made by something else.
    #[error("store {place:?} {problem}")]
    Schema {
        /// Where.
        place: String,
        /// What it is, and what helps.
        problem: String,
    },
}

impl StoreError {
    /// Whether trying the same again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, StoreError::Failed { passing: true, .. })
    }
}

/// An embedder has no answer.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The address names no embedder.
    #[error("embedder {url:?} {problem}; embedders of texts are ollama://HOST[:PORT]/MODEL")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The service is away or refuses to work.
    #[error("could not embed at {place:?}: {cause}; see whether Ollama runs there and what its log says")]
    Failed {
        /// Where.
        place: String,
        /// Whether trying again later may help.
        passing: bool,
        /// Why.
        cause: Cause,
    },
    /// The service does not have the model.
    #[error("embedder {place:?} has no model {model:?}; there, run: ollama pull {model}")]
    Model {
        /// Where.
        place: String,
        /// As asked for.
        model: String,
    },
    /// The service answered what no embedder answers.
    #[error("reply of embedder {place:?} for model {model:?} {problem}")]
    Reply {
        /// Where.
        place: String,
        /// As asked for.
        model: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl EmbedError {
    /// Whether trying the same again later may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, EmbedError::Failed { passing: true, .. })
    }
}
