//! The thread that makes alerts of transitions and sends them, one after the other.
//!
//! Alerts of one group are told in their order; one that has to wait holds up no other group. What fails is tried again after
//! pauses that double from a second to five minutes, with a part that differs from alert to alert, until `give_up_after`; what the
//! receiver refuses is given up at once. When one arrives, all that wait are tried at once, for the receiver is back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connectors::{Attempt, Store, Webhook};
use model::tables::TableId;
use model::time::date_of;
use model::{Row, Value};

use super::groups::{Open, Rules};
use super::outbox::{self, Letter, Outbox};
use super::template::Template;
use super::transition::{Transition, Transitions, object};
use super::{AlertOutlet, Shared};
use crate::clock;
use crate::progress::Progress;
use crate::settings::{JobSettings, WebhookSettings};

/// Most alerts that wait; beyond it the oldest is given up. As many that were given up are kept.
const MOST_LETTERS: usize = 10_000;
const PAUSES_MS: (i64, i64) = (1_000, 300_000);
/// How often is looked whether event time has moved, or an alert may be tried again.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After the store failed.
const STORE_PAUSE: Duration = Duration::from_secs(2);
/// A request that is under way is not waited for any longer when the job ends.
const LEAVE_AFTER: Duration = Duration::from_secs(2);
const LOOK_FOR_STOP: Duration = Duration::from_millis(50);

/// The running thread.
pub struct Sender {
    shared: Arc<Shared>,
    ended: Receiver<()>,
    most: Duration,
}

/// What it works with.
struct Work {
    shared: Arc<Shared>,
    progress: Arc<Progress>,
    store: Box<dyn Store>,
    webhook: Webhook,
    template: Template,
    settings: WebhookSettings,
    rules: Rules,
    /// For so long event time may stand still before the wall clock stands in for it; `None`: for ever, for a recording has no now.
    stands_ms: Option<i64>,
    outbox: Outbox,
    /// When each waiting alert is tried next.
    next_ms: BTreeMap<u64, i64>,
    /// Event time, and the wall time when it last moved.
    moved: (i64, i64),
    is_away: bool,
}

/// Starts telling. `store` is a handle of its own. Gives the part that the store's thread hears rows with.
///
/// # Errors
/// A setting that can't be used, or a store whose notices can't be read.
pub fn start(
    settings: &WebhookSettings,
    job: &JobSettings,
    is_live: bool,
    mut store: Box<dyn Store>,
    progress: &Arc<Progress>,
) -> anyhow::Result<(AlertOutlet, Sender)> {
    let outbox = Outbox::load(store.as_mut())?;
    let shared = Arc::new(Shared::default());
    let outlet = AlertOutlet {
        shared: Arc::clone(&shared),
        transitions: Transitions::default(),
        min_severity: settings.min_severity,
        horizon_ms: outbox.groups.horizon_ms,
        noted: Vec::new(),
    };
    let stands_ms = job.window_ms.saturating_add(job.lateness_ms).saturating_add(job.idle_ms);
    let mut work = Work {
        shared: Arc::clone(&shared),
        progress: Arc::clone(progress),
        store,
        webhook: settings.open()?,
        template: Template::new(&settings.template)?,
        settings: settings.clone(),
        rules: Rules { wait_ms: settings.group_wait_ms, interval_ms: settings.group_interval_ms },
        stands_ms: is_live.then_some(stands_ms),
        next_ms: outbox.waiting.keys().map(|number| (*number, i64::MIN)).collect(),
        outbox,
        moved: (i64::MIN, clock::now_ms()),
        is_away: false,
    };
    work.progress.alerts.set_waiting(work.outbox.waiting.len());
    let (end, ended) = channel();
    std::thread::Builder::new()
        .name("alerts".to_owned())
        .spawn(move || {
            work.serve();
            let _ = end.send(()); // nobody listens any more when it took too long
        })
        .context("could not start the thread that tells alerts")?;
    let most = Duration::from_millis(settings.end_wait_ms.unsigned_abs());
    Ok((outlet, Sender { shared, ended, most }))
}

impl Sender {
    /// Ends it, after all is sent or `end_wait` is over, and at once where nobody waits or the job is told to stop. `is_complete` says
    /// that the source's end was reached: no further transition can join a group.
    pub fn finish(self, is_complete: bool, at_once: bool, stop: &AtomicBool) {
        let until = Instant::now() + self.most * u32::from(!at_once);
        self.shared.inner().closing = Some(is_complete);
        self.shared.wake.notify_all();
        let mut is_over = false;
        while !is_over && Instant::now() < until && !stop.load(Ordering::SeqCst) {
            is_over = !matches!(self.ended.recv_timeout(LOOK_FOR_STOP), Err(RecvTimeoutError::Timeout));
        }
        self.shared.inner().stopping = true;
        self.shared.wake.notify_all();
        if !is_over && self.ended.recv_timeout(LEAVE_AFTER).is_err() {
            tracing::debug!("an alert is still under way; whether it arrives is not waited for");
        }
    }
}

impl Work {
    fn serve(&mut self) {
        loop {
            // Before the inbox is emptied: what is below was put there before.
            let durable_ms = self.progress.durable_ms();
            let (closing, stopping) = {
                let mut inner = self.shared.inner();
                for transition in std::mem::take(&mut inner.inbox) {
                    self.outbox.pending.insert(outbox::key(&transition), transition);
                }
                (inner.closing, inner.stopping)
            };
            if stopping {
                return;
            }
            let complete_ms = if closing == Some(true) { i64::MAX } else { durable_ms };
            let sent = self.make(complete_ms).and_then(|()| self.repeat()).and_then(|()| self.send());
            match sent {
                Ok(true) => {}
                Ok(false) if closing.is_some() && self.outbox.waiting.is_empty() => return,
                Ok(false) if closing.is_some() => std::thread::sleep(LOOK_FOR_STOP),
                Ok(false) => self.shared.rest(LOOK_EVERY),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "alerts have to wait for the store");
                    std::thread::sleep(if closing.is_some() { LOOK_FOR_STOP } else { STORE_PAUSE });
                }
            }
        }
    }

    /// Makes all alerts that are due, and lets them become durable.
    fn make(&mut self, complete_ms: i64) -> anyhow::Result<()> {
        let now_ms = clock::now_ms();
        if complete_ms != self.moved.0 {
            self.moved = (complete_ms, now_ms);
        }
        let stood_ms = now_ms.saturating_sub(self.moved.1);
        let clock_ms =
            self.stands_ms.map_or(complete_ms, |most_ms| complete_ms.saturating_add((stood_ms - most_ms).max(0)));
        let mut groups = self.outbox.groups.clone();
        while let Some(sealed) = groups.seal(self.rules, &self.outbox.pending, complete_ms, clock_ms, now_ms) {
            let end_ms = self.outbox.pending.values().map(|one| one.at_ms.saturating_add(1)).max();
            let reached_ms = if complete_ms == i64::MAX { end_ms.unwrap_or(i64::MIN) } else { complete_ms };
            groups.horizon_ms = groups.horizon_ms.max(reached_ms);
            let letters: Vec<Letter> = sealed.alerts.into_iter().map(|alert| self.letter(alert, now_ms)).collect();
            let mut kept: Vec<_> = letters.iter().map(outbox::letter).collect();
            kept.push(outbox::groups(&groups));
            let gone: Vec<String> = sealed.told.iter().map(|key| outbox::pending_id(key)).collect();
            self.store.change_notices(&kept, &gone).context("could not keep alerts")?;
            self.outbox.groups = groups.clone();
            sealed.told.iter().for_each(|key| drop(self.outbox.pending.remove(key)));
            letters.into_iter().for_each(|letter| self.take(letter));
        }
        self.bound()
    }

    /// A letter with its bytes; one that the template can't make is given up from the start.
    fn letter(&self, alert: super::alert::Alert, now_ms: i64) -> Letter {
        let (body, problem) = match self.template.body(&alert) {
            Ok(body) => (Some(body), None),
            Err(error) => (None, Some(format!("{error:#}"))),
        };
        let failed_ms = body.is_none().then_some(now_ms);
        Letter { alert, body, made_ms: now_ms, tries: 0, problem, failed_ms }
    }

    fn take(&mut self, letter: Letter) {
        let number = letter.alert.number;
        if letter.failed_ms.is_some() {
            self.complain(&letter);
            self.outbox.failed.insert(number, letter);
        } else {
            self.next_ms.insert(number, i64::MIN);
            self.outbox.waiting.insert(number, letter);
        }
        self.progress.alerts.set_waiting(self.outbox.waiting.len());
    }

    /// Gives up the oldest where too many wait, and forgets the oldest that were given up.
    fn bound(&mut self) -> anyhow::Result<()> {
        while self.outbox.waiting.len() > MOST_LETTERS {
            let Some((&number, _)) = self.outbox.waiting.first_key_value() else { break };
            self.give_up(number, format!("more than {MOST_LETTERS} alerts wait"))?;
        }
        while self.outbox.failed.len() > MOST_LETTERS {
            let Some((&number, letter)) = self.outbox.failed.first_key_value() else { break };
            tracing::error!(alert = letter.alert.id, "too many alerts were given up: the oldest is forgotten");
            self.store.change_notices(&[], &[outbox::letter_id(number, true)]).context("could not forget an alert")?;
            self.outbox.failed.remove(&number);
        }
        Ok(())
    }

    /// Says again what is still open, where the source is live: nobody forgets in a replay.
    fn repeat(&mut self) -> anyhow::Result<()> {
        let repeat_ms = self.settings.repeat_interval_ms;
        if repeat_ms <= 0 || self.stands_ms.is_none() {
            return Ok(());
        }
        let now_ms = clock::now_ms();
        for (name, open) in self.outbox.groups.to_repeat(repeat_ms, now_ms) {
            let (mut still, mut gone) = (Vec::new(), Vec::new());
            for (id, open) in open {
                match self.row(&id, &open)? {
                    Some(row) if row.value("status").as_text() == Some("open") => {
                        // What somebody took into his hands is open, but needs no reminder.
                        let is_taken = row.value("resolution_status").as_text().is_some_and(|said| said != "open");
                        let object = object(&row).filter(|_| !is_taken);
                        still.extend(object.map(|object| Transition { at_ms: now_ms, object }));
                    }
                    _ => gone.push(id),
                }
            }
            let mut groups = self.outbox.groups.clone();
            let alert = groups.repeat(&name, &still, &gone, now_ms);
            let letter = alert.map(|alert| self.letter(alert, now_ms));
            let kept: Vec<_> = letter.iter().map(outbox::letter).chain([outbox::groups(&groups)]).collect();
            self.store.change_notices(&kept, &[]).context("could not keep alerts")?;
            self.outbox.groups = groups;
            letter.into_iter().for_each(|letter| self.take(letter));
        }
        Ok(())
    }

    fn row(&mut self, id: &str, open: &Open) -> anyhow::Result<Option<Row>> {
        let started_ms = model::time::parse_rfc3339(&open.started_at).unwrap_or_default();
        let id = uuid::Uuid::parse_str(id).context("an incident's id is none")?;
        let key =
            vec![Value::Text(open.device_id.clone()), Value::Text(date_of(started_ms)), Value::Uuid(id.into_bytes())];
        let rows = self.store.find(TableId::AnomalyEvents, &[key]).context("could not look for an open incident")?;
        Ok(rows.into_iter().next())
    }

    /// Tries the first alert that may be tried. Whether there was one.
    fn send(&mut self) -> anyhow::Result<bool> {
        let now_ms = clock::now_ms();
        let mut held = BTreeSet::new();
        let mut heads = self.outbox.waiting.values().filter(|letter| held.insert(letter.alert.group.as_str()));
        let is_due = |letter: &&Letter| self.next_ms.get(&letter.alert.number).is_none_or(|next_ms| *next_ms <= now_ms);
        let Some(letter) = heads.find(is_due).cloned() else { return Ok(false) };
        let (number, id) = (letter.alert.number, letter.alert.id.as_str());
        let body = letter.body.as_deref().unwrap_or_default();
        let attempt = match self.settings.dry_run {
            true => {
                tracing::info!(alert = id, body, "would be sent to the webhook");
                Attempt::Arrived
            }
            false => self.webhook.send(id, body, now_ms.div_euclid(1_000)),
        };
        let now_ms = clock::now_ms();
        match attempt {
            Attempt::Arrived => {
                self.store
                    .change_notices(&[], &[outbox::letter_id(number, false)])
                    .context("could not forget an alert that has arrived")?;
                self.outbox.waiting.remove(&number);
                self.next_ms.remove(&number);
                self.progress.alerts.arrived.fetch_add(1, Ordering::Relaxed);
                self.progress.alerts.set_waiting(self.outbox.waiting.len());
                if std::mem::take(&mut self.is_away) {
                    tracing::info!(webhook = self.webhook.place(), "the webhook takes alerts again");
                    self.next_ms.values_mut().for_each(|next_ms| *next_ms = i64::MIN);
                }
            }
            Attempt::Refused { why } => self.give_up(number, why)?,
            Attempt::Failed { why, .. } if now_ms - letter.made_ms >= self.settings.give_up_after_ms => {
                self.give_up(number, why)?;
            }
            Attempt::Failed { why, retry_after } => self.wait(letter.clone(), why, retry_after, now_ms)?,
        }
        Ok(true)
    }

    fn wait(&mut self, mut letter: Letter, why: String, asked: Option<Duration>, now_ms: i64) -> anyhow::Result<()> {
        let number = letter.alert.number;
        let pause_ms = pause_ms(&letter.alert.id, letter.tries);
        let asked_ms = asked.map_or(0, |asked| i64::try_from(asked.as_millis()).unwrap_or(i64::MAX));
        self.next_ms.insert(number, now_ms.saturating_add(pause_ms.max(asked_ms)));
        self.progress.alerts.retries.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(webhook = self.webhook.place(), why, "the webhook takes no alert, and is asked again");
        }
        letter.tries = letter.tries.saturating_add(1);
        letter.problem = Some(why);
        self.store
            .change_notices(&[outbox::letter(&letter)], &[])
            .context("could not note how telling an alert went")?;
        self.outbox.waiting.insert(number, letter);
        Ok(())
    }

    fn give_up(&mut self, number: u64, why: String) -> anyhow::Result<()> {
        let Some(mut letter) = self.outbox.waiting.get(&number).cloned() else { return Ok(()) };
        letter.tries = letter.tries.saturating_add(1);
        letter.problem = Some(why);
        letter.failed_ms = Some(clock::now_ms());
        self.store
            .change_notices(&[outbox::letter(&letter)], &[outbox::letter_id(number, false)])
            .context("could not keep an alert that was given up")?;
        self.outbox.waiting.remove(&number);
        self.next_ms.remove(&number);
        self.take(letter);
        Ok(())
    }

    fn complain(&self, letter: &Letter) {
        let why = letter.problem.as_deref().unwrap_or_default();
        tracing::error!(alert = letter.alert.id, why, "an alert was given up; `dataflow alerts` lists it");
        self.progress.alerts.given_up.fetch_add(1, Ordering::Relaxed);
    }
}

/// Between half of the doubled pause and all of it, different for each alert and attempt.
fn pause_ms(id: &str, tries: u32) -> i64 {
    let most_ms = PAUSES_MS.0.saturating_mul(1 << tries.min(16)).min(PAUSES_MS.1);
    let part = model::hash::hash_texts(&[id, &tries.to_string()]) % 1_000;
    most_ms / 2 + most_ms / 2 * i64::try_from(part).unwrap_or_default() / 1_000
}
