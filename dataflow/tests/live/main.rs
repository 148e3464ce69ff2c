//! The job between real services. How these tests are run: `xtask/src/main.rs`.

mod alerts;
mod cql;
mod doctor;
mod kafka;
mod making;
mod ollama;
mod outage;
#[path = "../commands/receiver.rs"]
mod receiver;
#[path = "../../../connectors/tests/live/services.rs"]
mod services;
mod stage;
