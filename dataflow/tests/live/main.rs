//! The job between real services. How these tests are run: `xtask/src/main.rs`.

mod doctor;
mod kafka;
mod ollama;
#[path = "../../../connectors/tests/live/services.rs"]
mod services;
