//! Connectors against real servers. How they are run: `xtask/src/main.rs`.

mod kafka;
mod ollama;
mod services;
