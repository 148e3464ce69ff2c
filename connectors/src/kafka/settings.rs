//! How a cluster is reached: the address, the properties that people set, and those that the job decides itself.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;

use crate::SourceError;

/// What is set for all Kafka clients of a job.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// Properties of librdkafka such as `security.protocol`; they may be secret.
    pub properties: BTreeMap<String, String>,
    /// Consumer group that is told how far the job is; empty: nobody is told.
    pub group: String,
    /// How often new partitions are looked for, in milliseconds.
    pub refresh_ms: u64,
}

impl Default for KafkaSettings {
    fn default() -> Self {
        KafkaSettings { properties: BTreeMap::new(), group: "plenum".to_owned(), refresh_ms: 30_000 }
    }
}

impl std::fmt::Debug for KafkaSettings {
    /// Names only: a value may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("KafkaSettings").field("properties", &names).field("group", &self.group).finish_non_exhaustive()
    }
}

/// The port of a broker where the address names none.
const PORT: u16 = 9092;

/// A topic of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaAddress {
    /// `host:port`, separated by commas.
    pub brokers: String,
    /// The topic.
    pub topic: String,
}

impl KafkaAddress {
    /// Reads `kafka://HOST[:PORT][,HOST2[:PORT]]/TOPIC`.
    ///
    /// # Errors
    /// [`SourceError::Url`] with what is wrong.
    pub fn parse(url: &str) -> Result<KafkaAddress, SourceError> {
        // Whoever puts a password into an address shall not find it in a log.
        let shown = url.rsplit_once('@').map_or(url.to_owned(), |(_, rest)| format!("kafka://***@{rest}"));
        let fail = |problem: &str| SourceError::Url {
            url: shown.clone(),
            problem: problem.to_owned(),
            known: crate::url::SOURCES,
        };
        let rest = url.strip_prefix("kafka://").ok_or_else(|| fail("does not begin with kafka://"))?;
        if rest.contains('@') {
            return Err(fail("has a user in it; that belongs into [kafka] as \"sasl.username\" and \"sasl.password\""));
        }
        let (hosts, topic) = rest.split_once('/').ok_or_else(|| fail("names no topic"))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if topic.is_empty() || topic.len() > 249 || !topic.chars().all(plain) || matches!(topic, "." | "..") {
            return Err(fail("names no topic: up to 249 letters, digits, dots, underscores and hyphens"));
        }
        let mut brokers = Vec::new();
        for host in hosts.split(',').map(str::trim) {
            let has_port = host.rsplit_once(':').is_some_and(|(name, _)| !name.is_empty() && !name.ends_with(':'));
            let is_bare_ipv6 = host.ends_with(']');
            match host.rsplit_once(':') {
                _ if host.is_empty() || host.chars().any(|c| c.is_control() || c.is_whitespace()) => {
                    return Err(fail("needs a host"));
                }
                Some((_, port)) if has_port && !is_bare_ipv6 => {
                    port.parse::<u16>().ok().filter(|port| *port > 0).ok_or_else(|| fail("has a port that is none"))?;
                    brokers.push(host.to_owned());
                }
                _ => brokers.push(format!("{host}:{PORT}")),
            }
        }
        Ok(KafkaAddress { brokers: brokers.join(","), topic: topic.to_owned() })
    }
}

/// What the job decides itself, with the place where people can decide it, if there is one.
const OWN: [(&str, &str); 9] = [
    ("bootstrap.servers", "the brokers stand in the address"),
    ("metadata.broker.list", "the brokers stand in the address"),
    ("group.id", "set \"group\" instead"),
    ("enable.auto.commit", "the job commits what its checkpoints cover"),
    ("enable.auto.offset.store", "the job commits what its checkpoints cover"),
    ("auto.offset.reset", "set \"from\" instead"),
    ("enable.partition.eof", "the job has to know a partition's end"),
    ("enable.idempotence", "repeated messages must not come in twice"),
    ("acks", "a message counts as sent when all replicas have it"),
];

/// Properties of consumers.
const CONSUMER: [(&str, &str); 11] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
    // The default of a second makes a catching-up reader wait most of the time: 12.1 s instead of 1.7 s for 2 million messages.
    ("fetch.queue.backoff.ms", "5"),
    // A broker answers one question after the other, and one about partitions that have nothing new waits for so long: with
    // the default of 500 a reader that catches up beside empty partitions took 12.4 s for 2 million messages instead of 4.4 s.
    ("fetch.wait.max.ms", "50"),
    // What is fetched ahead, a partition: so many messages, and so many bytes.
    ("queued.min.messages", "10000"),
    ("queued.max.messages.kbytes", "16384"),
    // One answer is unpacked whole, whatever the bounds above say.
    ("fetch.message.max.bytes", "262144"),
    ("statistics.interval.ms", "1000"),
];

/// Properties of producers.
const PRODUCER: [(&str, &str); 8] = [
    ("enable.idempotence", "true"),
    ("acks", "all"),
    ("compression.type", "lz4"),
    // As the Java client chooses, so that all senders of a device agree.
    ("partitioner", "murmur2_random"),
    ("linger.ms", "5"),
    ("queue.buffering.max.messages", "100000"),
    ("queue.buffering.max.kbytes", "65536"),
    // librdkafka tries again until then; what is not delivered by then is an error.
    ("message.timeout.ms", "120000"),
];

impl KafkaSettings {
    /// Whether clients can be made of the settings; nothing is sent.
    ///
    /// # Errors
    /// [`SourceError::Setting`] with the property that can't be used.
    pub fn check(&self) -> Result<(), SourceError> {
        for config in [self.consumer("localhost:9092")?, self.producer("localhost:9092")?] {
            config.create_native_config().map_err(|error| super::client::refused(&error, "", ""))?;
        }
        Ok(())
    }

    /// The configuration of a consumer.
    pub(super) fn consumer(&self, brokers: &str) -> Result<ClientConfig, SourceError> {
        let mut config = self.client(brokers, &CONSUMER)?;
        // Assigning by hand needs a group, too, though it may stay untold.
        config.set("group.id", if self.group.is_empty() { "plenum" } else { &self.group });
        Ok(config)
    }

    /// The configuration of a producer.
    pub(super) fn producer(&self, brokers: &str) -> Result<ClientConfig, SourceError> {
        self.client(brokers, &PRODUCER)
    }

    fn client(&self, brokers: &str, defaults: &[(&str, &str)]) -> Result<ClientConfig, SourceError> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("client.id", "plenum");
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.properties {
            let wrong =
                |problem: &str| SourceError::Setting { name: format!("kafka.{name}"), problem: problem.to_owned() };
            if let Some((_, instead)) = OWN.iter().find(|(own, _)| own == name) {
                return Err(wrong(&format!("is the job's own: {instead}")));
            }
            let encrypted = name == "security.protocol" && value.to_lowercase().ends_with("ssl");
            if encrypted && !cfg!(feature = "tls") {
                return Err(wrong(
                    "asks for TLS, which this build does not have; build it with \
                     `cargo build --release -p dataflow --features tls` (needs the headers of OpenSSL)",
                ));
            }
            config.set(name, value);
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<(String, String), String> {
        KafkaAddress::parse(url).map(|address| (address.brokers, address.topic)).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_are_read() {
        let read = |url| parse(url).unwrap();
        assert_eq!(read("kafka://a:9093/t"), ("a:9093".to_owned(), "t".to_owned()));
        assert_eq!(read("kafka://a,b:1/iot-metrics").0, "a:9092,b:1");
        assert_eq!(read("kafka://[::1],[::1]:7/t").0, "[::1]:9092,[::1]:7");
        for (url, problem) in [
            ("kafka://a:9092", "names no topic"),
            ("kafka://a/", "names no topic"),
            ("kafka://a/a b", "names no topic"),
            ("kafka:///t", "needs a host"),
            ("kafka://a:x/t", "has a port that is none"),
            ("kafka://a:0/t", "has a port that is none"),
        ] {
            assert!(parse(url).unwrap_err().contains(problem), "{url}: {:?}", parse(url));
        }
        let said = parse("kafka://me:hunter2@a/t").unwrap_err();
        assert!(said.contains("has a user in it") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn what_the_job_decides_is_not_for_people() {
        let settings = |name: &str, value: &str| KafkaSettings {
            properties: [(name.to_owned(), value.to_owned())].into(),
            ..KafkaSettings::default()
        };
        let said = settings("group.id", "x").consumer("a:1").unwrap_err().to_string();
        expect_test::expect![[r#"setting "kafka.group.id" is the job's own: set "group" instead"#]].assert_eq(&said);
        assert!(settings("client.rack", "x").check().is_ok());
        let said = settings("sasl.pasword", "hunter2").check().unwrap_err().to_string();
        expect_test::expect![[
            r#"setting "kafka.sasl.pasword" can't be used: No such configuration property: "sasl.pasword""#
        ]]
        .assert_eq(&said);
        let said = settings("ssl.protocol.level", "hunter2").check().unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
        let sasl = settings("security.protocol", "SASL_SSL");
        assert_eq!(sasl.producer("a:1").is_err(), !cfg!(feature = "tls"));
        assert!(!format!("{:?}", settings("sasl.password", "hunter2")).contains("hunter2"));
    }
}
