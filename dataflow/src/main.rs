//! Arguments: which command, and where each is written.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use dataflow::commands;

/// Watches fleets of building equipment: states, verdicts and incidents from a stream of readings.
#[derive(Parser)]
#[command(name = "dataflow", version, args_conflicts_with_subcommands = true, after_help = commands::run::EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: commands::run::RunArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run the job (also without this word).
    Run(Box<commands::run::RunArguments>),
    /// Replay cases and compare what comes of them.
    Replay(commands::replay::ReplayArguments),
}

fn main() -> ExitCode {
    // A panicking worker would leave the others waiting for it: the process ends, the next start resumes.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A reader such as `head` that has seen enough closes the pipe: nothing to report, and the status a shell expects.
        if panic.payload().downcast_ref::<String>().is_some_and(|text| text.contains("Broken pipe")) {
            std::process::exit(141);
        }
        report(panic);
        std::process::exit(101);
    }));
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => commands::run::run(&arguments.run),
        Some(Command::Run(run)) => commands::run::run(&run),
        Some(Command::Replay(replay)) => commands::replay::run(&replay),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
