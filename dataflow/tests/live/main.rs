//! The job between real services. How these tests are run: `xtask/src/main.rs`.

mod cql;
mod doctor;
mod kafka;
mod making;
mod ollama;
mod outage;
#[path = "../../../connectors/tests/live/services.rs"]
mod services;
mod stage;
