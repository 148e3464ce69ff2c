//! `top`: a running job in a terminal, drawn anew every few seconds from what its `--http` serves.

mod client;
mod draw;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value as Json, json};

use crate::commands::common::{json_pretty, parse_duration};
use client::Client;

/// Shown under `--help`.
pub const EXAMPLES: &str = "Examples:
  dataflow top                                      # a job that was started with --http 127.0.0.1:8050
  dataflow top --url http://127.0.0.1:8060 --interval 5s
  dataflow top --once --json";

/// Arguments of `top`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TopArguments {
    /// Where the job's `--http` listens
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8050")]
    url: String,
    /// Time between two looks
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    interval: String,
    /// Most devices to list, those most in trouble first
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
    /// Look once; as without a terminal
    #[arg(long)]
    once: bool,
    /// As JSON, once
    #[arg(long)]
    json: bool,
}

/// Between two looks at whether to stop.
const NAP: Duration = Duration::from_millis(100);
/// The screen that a program may have for itself, and back; see xterm's control sequences.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
/// To the top, and nothing below.
const HOME: &str = "\x1b[H\x1b[J";

/// Shows a running job.
///
/// # Errors
/// Wrong use, or a job that does not answer at the first look.
pub fn run(arguments: &TopArguments) -> anyhow::Result<ExitCode> {
    let interval_ms = parse_duration("--interval", &arguments.interval)?.clamp(200, 3_600_000).unsigned_abs();
    let client = Client::new(&arguments.url)?;
    let mut seen = look(&client, arguments.limit)?;
    if arguments.json {
        println!("{}", json_pretty(&seen));
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = std::io::stdout();
    if arguments.once || !out.is_terminal() {
        print!("{}", draw::page(&seen, None));
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("could not watch for signals")?;
    }
    write!(out, "{ENTER}").context("could not write to the terminal")?;
    let mut problem = None;
    let ended = loop {
        let page = draw::page(&seen, problem.as_deref());
        if let Err(error) = write!(out, "{HOME}{page}").and_then(|()| out.flush()) {
            break Err(error).context("could not write to the terminal");
        }
        let next = Instant::now() + Duration::from_millis(interval_ms);
        while Instant::now() < next && !stop.load(Relaxed) {
            std::thread::sleep(NAP);
        }
        if stop.load(Relaxed) {
            break Ok(ExitCode::SUCCESS);
        }
        // What was seen last stays on the screen, with why it is old.
        match look(&client, arguments.limit) {
            Ok(now) => (seen, problem) = (now, None),
            Err(error) => problem = Some(format!("{error:#}")),
        }
    };
    // Whatever happened, the shell gets its screen back.
    let _ = write!(out, "{LEAVE}").and_then(|()| out.flush());
    ended
}

fn look(client: &Client, limit: u32) -> anyhow::Result<Json> {
    let pipeline = client.get("/api/v1/pipeline")?;
    let fleet = client.get(&format!("/api/v1/fleet?sort=trouble&limit={limit}"))?;
    Ok(json!({"pipeline": pipeline, "fleet": fleet}))
}
