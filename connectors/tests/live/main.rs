//! Connectors against real servers. How they are run: `xtask/src/main.rs`.

#[path = "../common/mod.rs"]
mod common;
mod kafka;
mod ollama;
mod services;
