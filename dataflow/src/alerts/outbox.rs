//! What waits for the webhook, as notices of the store: what is known of the groups, transitions that are in no alert yet, alerts that
//! have not arrived, and those that were given up. So a crash loses none and changes none.

use std::collections::BTreeMap;

use anyhow::{Context as _, anyhow};
use connectors::{Notice, Store};
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::groups::Groups;
use super::transition::Transition;

/// The notice of the groups.
const GROUPS: &str = "webhook/groups";
const PENDING: &str = "webhook/pending/";
const WAITING: &str = "webhook/waiting/";
const FAILED: &str = "webhook/failed/";

/// An alert on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Letter {
    /// What is told.
    pub alert: Alert,
    /// What is sent, made once so that it never changes; `None`: the template can't make it.
    pub body: Option<String>,
    /// Wall time when it was made.
    pub made_ms: i64,
    /// Attempts so far.
    pub tries: u32,
    /// How the last one ended.
    pub problem: Option<String>,
    /// Wall time when it was given up.
    pub failed_ms: Option<i64>,
}

/// Everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outbox {
    /// Of the groups.
    pub groups: Groups,
    /// By [`key`].
    pub pending: BTreeMap<String, Transition>,
    /// By number.
    pub waiting: BTreeMap<u64, Letter>,
    /// Given up, by number.
    pub failed: BTreeMap<u64, Letter>,
}

/// Orders transitions: by time, then device, kind and number, whatever worker made them.
pub fn key(transition: &Transition) -> String {
    // Event time before 1970 comes first, too.
    let at = transition.at_ms.cast_unsigned() ^ (1 << 63);
    let number = transition.object["transition"].as_i64().unwrap_or_default();
    format!("{at:020}/{}/{}/{number:06}", transition.text("device_id"), transition.text("anomaly_id"))
}

fn notice(id: String, body: &impl Serialize) -> Notice {
    Notice { id, body: serde_json::to_vec(body).expect("what is kept can be written as JSON") }
}

/// A transition that is in no alert yet.
pub fn pending(transition: &Transition) -> Notice {
    notice(pending_id(&key(transition)), transition)
}

/// The id of its notice.
pub fn pending_id(key: &str) -> String {
    format!("{PENDING}{key}")
}

/// What is known of the groups.
pub fn groups(groups: &Groups) -> Notice {
    notice(GROUPS.to_owned(), groups)
}

/// An alert that waits, or was given up.
pub fn letter(letter: &Letter) -> Notice {
    notice(letter_id(letter.alert.number, letter.failed_ms.is_some()), letter)
}

/// The id of its notice.
pub fn letter_id(number: u64, is_failed: bool) -> String {
    format!("{}{number:020}", if is_failed { FAILED } else { WAITING })
}

impl Outbox {
    /// Reads what a store holds.
    ///
    /// # Errors
    /// If the store fails, or holds what this version did not write: telling would go on at the wrong place.
    pub fn load(store: &mut dyn Store) -> anyhow::Result<Outbox> {
        let mut outbox = Outbox::default();
        for Notice { id, body } in store.notices().context("could not read what waits for the webhook")? {
            let unknown = || format!("notice {id:?} holds nothing that this version knows");
            let read = |error: serde_json::Error| anyhow!(error).context(unknown());
            if id == GROUPS {
                outbox.groups = serde_json::from_slice(&body).map_err(read)?;
            } else if let Some(key) = id.strip_prefix(PENDING) {
                outbox.pending.insert(key.to_owned(), serde_json::from_slice(&body).map_err(read)?);
            } else if id.starts_with(WAITING) || id.starts_with(FAILED) {
                let letter: Letter = serde_json::from_slice(&body).map_err(read)?;
                let into = if letter.failed_ms.is_some() { &mut outbox.failed } else { &mut outbox.waiting };
                into.insert(letter.alert.number, letter);
            }
        }
        Ok(outbox)
    }
}
