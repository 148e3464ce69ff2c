//! What only the program around the server can do: it knows the job, the controls and the words of the commands.

use connectors::Store;
use model::StoredIncident;

use crate::wire::{Accepted, Announce, As, Asked, Became, JobView, MaintenanceWindow, Readiness, Similar};

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing.
    #[error("{0}")]
    Unknown(String),
    /// It can't be done here.
    #[error("{0}")]
    Conflict(String),
    /// The store or another service is away.
    #[error("{0:#}")]
    Away(anyhow::Error),
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Self {
        Refusal::Away(error)
    }
}

impl From<connectors::StoreError> for Refusal {
    fn from(error: connectors::StoreError) -> Self {
        Refusal::Away(error.into())
    }
}

/// What people said of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Which incident.
    pub incident_id: String,
    /// What they said.
    pub said: Asked,
    /// The job has taken it up.
    pub in_effect: bool,
}

/// The program. Methods with a store are called on the server's reading threads and may block; the others answer at once.
pub trait Program: Send + Sync {
    /// Width of the windows of the store's states, milliseconds. Asked once a store.
    ///
    /// # Errors
    /// If the store fails.
    fn window_ms(&self, store: &mut dyn Store) -> anyhow::Result<i64>;

    /// All words on incidents, in the order in which they count.
    ///
    /// # Errors
    /// If the store fails.
    fn words(&self, store: &mut dyn Store) -> anyhow::Result<Vec<Word>>;

    /// What became of a state of a device, given its incidents.
    fn became(&self, incidents: &[StoredIncident], at_ms: i64, unusual: bool) -> Became;

    /// Why a state was judged as it was, as `explain --json` prints it.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] without such a state; otherwise if the store fails.
    fn explain(&self, store: &mut dyn Store, device: &str, at_ms: i64) -> Result<serde_json::Value, Refusal>;

    /// The device's earlier states that are most like one.
    ///
    /// # Errors
    /// As [`Program::explain`].
    fn similar(&self, store: &mut dyn Store, device: &str, at_ms: i64, limit: usize) -> Result<Similar, Refusal>;

    /// Writes down what people made of an incident.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] without such an incident; otherwise if the store fails.
    fn resolve(&self, store: &mut dyn Store, incident_id: &str, what: As, note: &str) -> Result<Accepted, Refusal>;

    /// Work that was announced, by its beginning.
    ///
    /// # Errors
    /// If the store fails.
    fn maintenance(&self, store: &mut dyn Store) -> anyhow::Result<Vec<MaintenanceWindow>>;

    /// Announces work on devices.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] where it would change nothing any more; otherwise if the store fails.
    fn announce(&self, store: &mut dyn Store, work: &Announce) -> Result<Accepted, Refusal>;

    /// Sends messages to the job's topic again, and returns how many when they have arrived. May block.
    ///
    /// # Errors
    /// [`Refusal::Conflict`] where the job reads no topic; otherwise if the brokers fail.
    fn send_again(&self, messages: &[Vec<u8>]) -> Result<u64, Refusal>;

    /// How the job is doing; with a store where there is no job. Called every two seconds on a thread that may block.
    ///
    /// # Errors
    /// If the store fails.
    fn job(&self, store: &mut dyn Store) -> anyhow::Result<JobView>;

    /// Whether the job does its work.
    fn readiness(&self) -> Readiness;

    /// Where messages come from, without secrets; empty where only the store is known.
    fn source(&self) -> String;

    /// All settings as TOML, without secrets.
    fn config_text(&self) -> String;

    /// All figures in the text format of Prometheus.
    fn metrics_text(&self) -> String;
}
