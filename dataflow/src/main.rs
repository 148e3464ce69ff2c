//! Arguments: which command, and where each is written.

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
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
    /// Measure how many messages a CPU-second goes through.
    Bench(commands::bench::BenchArguments),
    /// Score the detectors on labelled public data, beside what others have reached.
    Evaluate(commands::evaluate::EvaluateArguments),
    /// Say which incidents a changed configuration makes appear, vanish or move.
    Backtest(Box<commands::backtest::BacktestArguments>),
    /// Replay cases and compare what comes of them.
    Replay(commands::replay::ReplayArguments),
    /// Print, check or clear a store.
    Store(commands::store::StoreArguments),
    /// List incidents, or say what one of them was.
    Incidents(commands::incidents::IncidentsArguments),
    /// List alerts that have not arrived, tell them again, or try the webhook out.
    Alerts(commands::alerts::AlertsArguments),
    /// Say when people work on devices, so that no incident opens meanwhile.
    Maintenance(commands::maintenance::MaintenanceArguments),
    /// List messages that could not be used.
    DeadLetters(commands::dead_letters::DeadLettersArguments),
    /// List devices and what is normal for each.
    Profiles(commands::profiles::ProfilesArguments),
    /// Serve pages about a store, and its data to programs.
    Dashboard(commands::dashboard::DashboardArguments),
    /// Compare what the four methods said over a span, and how far they agree.
    Methods(commands::methods::MethodsArguments),
    /// Print or check all settings.
    Config(commands::config::ConfigArguments),
    /// Try out every service the job needs, and say what to mend.
    Doctor(commands::doctor::DoctorArguments),
    /// Print what a shell needs to complete arguments.
    Completions(commands::completions::CompletionsArguments),
    /// Simulate a fleet: messages for a file or stdout, with labels of the faults.
    Simulate(Box<commands::simulate::SimulateArguments>),
    /// Turn other people's tables into messages.
    Convert(commands::convert::ConvertArguments),
    /// Make a scenario of a slice of a recording.
    Record(commands::record::RecordArguments),
    /// Show why a state was judged as it was, with the numbers to redo it.
    Explain(commands::explain::ExplainArguments),
    /// Watch a running job in the terminal.
    Top(commands::top::TopArguments),
    /// Find states like this one: has it happened before?
    Similar(commands::similar::SimilarArguments),
}

fn main() -> ExitCode {
    // A panicking worker would leave the others waiting for it: the process ends, the next start resumes.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // A reader such as `head` that has seen enough closes the pipe: nothing to report, and the status a shell expects.
        let text = panic.payload().downcast_ref::<String>().filter(|text| text.starts_with("failed printing to"));
        if let Some(text) = text {
            if text.contains("Broken pipe") {
                std::process::exit(141);
            }
            // The results are in the store; only what was to be read here is lost.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {text}\n").as_bytes());
            std::process::exit(1);
        }
        // What carries messages between processes panics when the other end is gone; its own process says more.
        if std::thread::current().name().is_some_and(|name| name.starts_with("timely:")) {
            let text = "error: another process of the job has ended; start the job again, it resumes from the last checkpoint\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes());
            std::process::exit(1);
        }
        report(panic);
        // The job does not depend on what is served: a page that fails ends nothing else.
        if std::thread::current().name().is_some_and(|name| name.starts_with("http")) {
            return;
        }
        std::process::exit(101);
    }));
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => commands::run::run(&arguments.run),
        Some(Command::Run(run)) => commands::run::run(&run),
        Some(Command::Bench(bench)) => commands::bench::run(&bench),
        Some(Command::Evaluate(evaluate)) => commands::evaluate::run(&evaluate),
        Some(Command::Backtest(backtest)) => commands::backtest::run(&backtest),
        Some(Command::Replay(replay)) => commands::replay::run(&replay),
        Some(Command::Store(store)) => commands::store::run(&store),
        Some(Command::Incidents(incidents)) => commands::incidents::run(&incidents),
        Some(Command::Alerts(alerts)) => commands::alerts::run(&alerts),
        Some(Command::Maintenance(maintenance)) => commands::maintenance::run(&maintenance),
        Some(Command::DeadLetters(dead_letters)) => commands::dead_letters::run(&dead_letters),
        Some(Command::Profiles(profiles)) => commands::profiles::run(&profiles),
        Some(Command::Dashboard(dashboard)) => commands::dashboard::run(&dashboard),
        Some(Command::Methods(methods)) => commands::methods::run(&methods),
        Some(Command::Config(config)) => commands::config::run(&config),
        Some(Command::Doctor(doctor)) => commands::doctor::run(&doctor),
        Some(Command::Completions(completions)) => commands::completions::run(&completions, Arguments::command()),
        Some(Command::Simulate(simulate)) => commands::simulate::run(&simulate),
        Some(Command::Convert(convert)) => commands::convert::run(&convert),
        Some(Command::Record(record)) => commands::record::run(&record),
        Some(Command::Explain(explain)) => commands::explain::run(&explain),
        Some(Command::Top(top)) => commands::top::run(&top),
        Some(Command::Similar(similar)) => commands::similar::run(&similar),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(commands::exit_code(&error))
        }
    }
}
