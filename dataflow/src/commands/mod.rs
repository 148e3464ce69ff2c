//! One command a file. A command returns 0 when all is fine and 1 when it found a problem; wrong use is 2.

pub mod alerts;
pub mod ask;
pub mod backtest;
pub mod bench;
pub mod common;
pub mod completions;
pub mod config;
pub mod convert;
pub mod dashboard;
pub mod dead_letters;
pub mod doctor;
pub mod evaluate;
pub mod explain;
pub mod incidents;
pub mod maintenance;
pub mod methods;
pub mod profiles;
pub mod record;
pub mod replay;
pub mod run;
pub mod similar;
pub mod simulate;
pub mod store;
pub mod top;

/// Wrong use: arguments or configuration that can't be meant. Everything else that fails is a problem found on the way.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUse(pub String);

/// The exit code of a failed command.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<WrongUse>()) { 2 } else { 1 }
}
