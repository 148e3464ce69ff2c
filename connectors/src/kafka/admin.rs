//! Makes and removes topics, and reads their settings.

use std::collections::BTreeMap;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;
use tokio::runtime::Runtime;

use super::KafkaSettings;
use super::client::{failed, refused};
use super::keeper::ANSWER_WITHIN;
use crate::SourceError;

/// A client for one topic's existence.
pub(super) struct Admin<'a> {
    client: AdminClient<DefaultClientContext>,
    runtime: Runtime,
    options: AdminOptions,
    topic: &'a str,
    brokers: &'a str,
}

impl<'a> Admin<'a> {
    pub(super) fn new(settings: &KafkaSettings, brokers: &'a str, topic: &'a str) -> Result<Self, SourceError> {
        let client = settings.producer(brokers)?.create().map_err(|error| refused(&error, topic, brokers))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| failed("ask about", topic, brokers, error.to_string(), "free some threads"))?;
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN)).request_timeout(Some(ANSWER_WITHIN));
        Ok(Admin { client, runtime, options, topic, brokers })
    }

    fn failed(&self, action: &'static str, cause: impl ToString) -> SourceError {
        let help = "check the brokers, and that the user may do this";
        failed(action, self.topic, self.brokers, cause.to_string(), help)
    }

    /// Makes the topic; that it is there already is fine.
    pub(super) fn make(&self, partitions: u32, properties: &[(&str, &str)]) -> Result<(), SourceError> {
        let number = i32::try_from(partitions).map_err(|error| self.failed("make", error))?;
        // -1: the brokers' own default.
        let topic = NewTopic::new(self.topic, number, TopicReplication::Fixed(-1));
        let topic = properties.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let made = self.runtime.block_on(self.client.create_topics(&[topic], &self.options));
        for result in made.map_err(|error| self.failed("make", error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, error)) => return Err(self.failed("make", error)),
            }
        }
        Ok(())
    }

    /// Removes the topic with all that is in it.
    pub(super) fn remove(&self) -> Result<(), SourceError> {
        let removed = self.runtime.block_on(self.client.delete_topics(&[self.topic], &self.options));
        for result in removed.map_err(|error| self.failed("remove", error))? {
            result.map_err(|(_, error)| self.failed("remove", error))?;
        }
        Ok(())
    }

    /// The topic's settings as they hold.
    pub(super) fn settings(&self) -> Result<BTreeMap<String, String>, SourceError> {
        let topic = [ResourceSpecifier::Topic(self.topic)];
        let answers = self.runtime.block_on(self.client.describe_configs(&topic, &self.options));
        let mut settings = BTreeMap::new();
        for answer in answers.map_err(|error| self.failed("read the settings of", error))? {
            let answer = answer.map_err(|error| self.failed("read the settings of", error))?;
            settings.extend(answer.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
        }
        Ok(settings)
    }
}
