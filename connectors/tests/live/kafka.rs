//! Kafka.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::services::address;

#[test]
fn the_broker_lists_itself_under_the_address_it_was_asked_at() {
    let address = address("PLENUM_TEST_KAFKA");
    let client: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &address).create().unwrap();
    let metadata = client.fetch_metadata(None, Duration::from_secs(10)).unwrap();
    let brokers: Vec<String> = metadata.brokers().iter().map(|b| format!("{}:{}", b.host(), b.port())).collect();
    assert_eq!(brokers, [address]);
}
