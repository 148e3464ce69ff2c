//! Several processes: their addresses, and starting the others where nobody else does.

use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::RunArguments;
use crate::commands::WrongUse;
use crate::run::Workers;

/// The other processes of a job, started by this one.
pub struct Children(Vec<Child>);

/// How long the others may take to end after this one has.
const PATIENCE: Duration = Duration::from_secs(30);

impl Children {
    /// Waits for the others; where this one failed they are ended.
    ///
    /// # Errors
    /// When one of them failed or did not end.
    pub fn join(mut self, succeeded: bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + if succeeded { PATIENCE } else { Duration::ZERO };
        let mut failed = None;
        for (at, child) in self.0.iter_mut().enumerate() {
            loop {
                match child.try_wait().context("could not wait for a process of the job")? {
                    Some(status) if status.success() => break,
                    Some(status) => {
                        failed = failed.or_else(|| Some(format!("process {} of the job ended with {status}", at + 1)));
                        break;
                    }
                    None if Instant::now() >= deadline => {
                        child.kill().context("could not end a process of the job")?;
                        child.wait().context("could not wait for a process of the job")?;
                        failed = failed.or_else(|| Some(format!("process {} of the job did not end", at + 1)));
                        break;
                    }
                    None => std::thread::sleep(Duration::from_millis(20)),
                }
            }
        }
        match failed {
            Some(failed) if succeeded => bail!(failed),
            _ => Ok(()),
        }
    }
}

impl Drop for Children {
    /// On an early way out nobody waits for the others any more.
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill(); // it may have ended by itself
            let _ = child.wait();
        }
    }
}

/// Who runs where. With several processes and no `-p` the others are started here, on free ports of this machine.
///
/// # Errors
/// Wrong use, or processes that can't be started.
pub fn plan(arguments: &RunArguments, children: &mut Option<Children>) -> anyhow::Result<Workers> {
    let mut workers = Workers::threads(arguments.workers);
    if arguments.processes == 1 {
        if arguments.hostfile.is_some() {
            bail!(WrongUse("a host file needs -n 2 or higher".to_owned()));
        }
        if arguments.process.is_some_and(|process| process != 0) {
            bail!(WrongUse("process -p 1 or higher needs -n 2 or higher".to_owned()));
        }
        return Ok(workers);
    }
    workers.processes = arguments.processes;
    workers.process = arguments.process.unwrap_or(0);
    if workers.process >= workers.processes {
        bail!(WrongUse(format!("process -p {} is not below -n {}", workers.process, workers.processes)));
    }
    workers.addresses = if let Some(path) = &arguments.hostfile {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("could not read host file {}", path.display()))?;
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
    } else if !arguments.addresses.is_empty() {
        arguments.addresses.clone()
    } else if arguments.process.is_some() {
        (0..workers.processes).map(|process| format!("localhost:{}", 2101 + process)).collect()
    } else {
        free_addresses(workers.processes)?
    };
    if workers.addresses.len() < workers.processes {
        bail!(WrongUse(format!(
            "{} addresses are not enough for {} processes",
            workers.addresses.len(),
            workers.processes
        )));
    }
    workers.addresses.truncate(workers.processes);
    if arguments.process.is_none() {
        *children = Some(start_others(&workers)?);
    }
    Ok(workers)
}

/// Ports that were free a moment ago.
fn free_addresses(count: usize) -> anyhow::Result<Vec<String>> {
    let held: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<_, _>>()
        .context("could not find free ports for the processes")?;
    held.iter().map(|listener| Ok(format!("127.0.0.1:{}", listener.local_addr()?.port()))).collect()
}

fn start_others(workers: &Workers) -> anyhow::Result<Children> {
    let program = std::env::current_exe().context("could not find the program to start the other processes with")?;
    let mut children = Children(Vec::new());
    for process in 1..workers.processes {
        let child = Command::new(&program)
            .args(std::env::args_os().skip(1).filter(|argument| argument != "--fresh"))
            .args(["--process", &process.to_string(), "--addresses", &workers.addresses.join(",")])
            .spawn()
            .with_context(|| format!("could not start process {process} of the job"))?;
        children.0.push(child);
    }
    Ok(children)
}
