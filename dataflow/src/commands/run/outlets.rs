//! What is told to others: topics and the webhook that the settings name.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use connectors::mask_address;

use super::topic_url;
use crate::alerts::sender::{self, Sender};
use crate::alerts::template::Template;
use crate::commands::WrongUse;
use crate::config::Config;
use crate::outlets::{AnomalyTopic, DeadLetterTopic, Outlet};
use crate::progress::Progress;

/// The topics that the settings name.
///
/// # Errors
/// As [`outlet_urls`], or brokers that refuse.
pub(super) fn open(config: &Config) -> anyhow::Result<Vec<Box<dyn Outlet>>> {
    let mut outlets: Vec<Box<dyn Outlet>> = Vec::new();
    let [dead_letters, anomalies] = outlet_urls(config)?;
    if let Some(url) = dead_letters {
        outlets.push(Box::new(DeadLetterTopic::open(&url, &config.kafka())?));
    }
    if let Some(url) = anomalies {
        outlets.push(Box::new(AnomalyTopic::open(&url, &config.kafka())?));
    }
    Ok(outlets)
}

/// Addresses of the topics for dead letters and for anomalies, where the settings name them.
///
/// # Errors
/// [`WrongUse`] if one is no topic, or the one that the job reads; or without a store, for only what is durable is told.
pub fn outlet_urls(config: &Config) -> anyhow::Result<[Option<String>; 2]> {
    let url = |(name, topic): (&str, &String)| -> anyhow::Result<Option<String>> {
        if topic.is_empty() {
            return Ok(None);
        }
        let url = topic_url(topic, &config.source)?;
        if url == config.source {
            bail!(WrongUse(format!("setting {name:?} is the topic that the job reads: it would read what it sends")));
        }
        if config.store == "null" {
            bail!(WrongUse(format!("setting {name:?} needs a store: only what is durable there is told")));
        }
        Ok(Some(url))
    };
    Ok([url(("dead_letter_topic", &config.dead_letter_topic))?, url(("anomaly_topic", &config.anomaly_topic))?])
}

/// Whether the webhook can be told, as far as the settings alone say.
///
/// # Errors
/// [`WrongUse`] if a setting has no meaning; or without a store, for only what is durable is told.
pub fn check_webhook(config: &Config) -> anyhow::Result<()> {
    let webhook = &config.webhook;
    if !webhook.is_on() {
        return Ok(());
    }
    webhook.open().map_err(|error| WrongUse(error.to_string()))?;
    Template::new(&webhook.template).map_err(|error| WrongUse(format!("{error:#}")))?;
    if config.store == "null" {
        bail!(WrongUse("setting \"webhook.url\" needs a store: only what is durable there is told".to_owned()));
    }
    Ok(())
}

/// Starts telling the webhook, if there is one and this process has the store, and adds what hears of rows to `outlets`.
pub(super) fn start_alerts(
    config: &Config,
    has_store: bool,
    is_live: bool,
    progress: &Arc<Progress>,
    outlets: &mut Vec<Box<dyn Outlet>>,
) -> anyhow::Result<Option<Sender>> {
    check_webhook(config)?;
    if !config.webhook.is_on() || !has_store {
        return Ok(None);
    }
    let store = connectors::open_store(&config.store)
        .with_context(|| format!("could not open store {:?} a second time, for alerts", mask_address(&config.store)))?;
    let (outlet, sender) = sender::start(&config.webhook, &config.job, is_live, store, progress)?;
    outlets.push(Box::new(outlet));
    Ok(Some(sender))
}
