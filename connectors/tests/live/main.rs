//! Connectors against real servers. How they are run: `xtask/src/main.rs`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../contract/mod.rs"]
mod contract;
mod cql;
mod kafka;
mod ollama;
mod services;
