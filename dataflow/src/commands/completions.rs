//! `completions`: what a shell needs to complete this program's arguments.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use clap_complete::{Shell, generate};

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow completions bash > ~/.local/share/bash-completion/completions/dataflow
  dataflow completions zsh > ~/.zfunc/_dataflow";

/// Arguments of `completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script for a shell; `command` is the whole command line.
///
/// # Errors
/// If stdout can't be written.
pub fn run(arguments: &CompletionsArguments, mut command: clap::Command) -> anyhow::Result<ExitCode> {
    // Made in memory first: the generator panics where its writer fails.
    let mut script = Vec::new();
    generate(arguments.shell, &mut command, "dataflow", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script).context("could not write to stdout")?;
    Ok(ExitCode::SUCCESS)
}
