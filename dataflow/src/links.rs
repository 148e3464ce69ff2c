//! Connections between the processes of a job. Timely could make them itself, but it waits without a limit, prints on stdout
//! meanwhile, and takes whoever knocks for a process of the job.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long the processes of a job may take to find each other: they are started by people or scripts, one after the other.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a process may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(20);
/// Begins every connection; the number is the layout of what follows.
const GREETING: [u8; 8] = *b"plenum-1";

/// A connection to every other process, at its index; `None` at the own one.
pub type Links = Vec<Option<TcpStream>>;

/// Connects this process (`process`, an index into `addresses`) with all others: it calls those before it and waits for the
/// calls of those behind it. `stop` ends the waiting.
///
/// # Errors
/// If the own address can't be listened on, a process of another job answers, or some process has not come after a minute.
pub fn connect(addresses: &[String], process: usize, stop: &AtomicBool) -> anyhow::Result<Links> {
    connect_within(addresses, process, stop, PATIENCE)
}

fn connect_within(
    addresses: &[String],
    process: usize,
    stop: &AtomicBool,
    patience: Duration,
) -> anyhow::Result<Links> {
    let own = &addresses[process];
    let listener = TcpListener::bind(own.as_str()).with_context(|| format!("could not listen on {own:?}"))?;
    listener.set_nonblocking(true).with_context(|| format!("could not listen on {own:?}"))?;
    let mut links: Links = addresses.iter().map(|_| None).collect();
    let deadline = Instant::now() + patience;
    loop {
        for (index, address) in addresses[..process].iter().enumerate() {
            if links[index].is_none() {
                links[index] = call(address, process, addresses.len())?;
            }
        }
        while let Some((caller, link)) = answer(&listener, addresses.len())? {
            if caller <= process || caller >= addresses.len() {
                bail!("process {caller} of a job of {} called process {process}", addresses.len());
            }
            links[caller] = Some(link);
        }
        let missing: Vec<usize> =
            (0..addresses.len()).filter(|&index| index != process && links[index].is_none()).collect();
        let Some(first) = missing.first() else { return Ok(links) };
        if stop.load(Ordering::SeqCst) {
            bail!("stopped before all processes of the job had come");
        }
        if Instant::now() >= deadline {
            bail!(
                "process {first} of the job has not come to {:?} within {} s ({} of {} are missing); start it with the same -n and host file",
                addresses[*first],
                patience.as_secs(),
                missing.len(),
                addresses.len() - 1,
            );
        }
        std::thread::sleep(PAUSE);
    }
}

/// Calls a process; `None` while it does not listen yet.
fn call(address: &str, process: usize, processes: usize) -> anyhow::Result<Option<TcpStream>> {
    let target = address
        .to_socket_addrs()
        .with_context(|| format!("could not look up process address {address:?}"))?
        .next()
        .with_context(|| format!("process address {address:?} stands for no machine"))?;
    let Ok(mut link) = TcpStream::connect_timeout(&target, ANSWER) else { return Ok(None) };
    let mut greeting = GREETING.to_vec();
    greeting.extend_from_slice(&number(process));
    greeting.extend_from_slice(&number(processes));
    link.set_nodelay(true)
        .and_then(|()| link.write_all(&greeting))
        .with_context(|| format!("could not greet process address {address:?}"))?;
    Ok(Some(link))
}

/// Takes the next call, if there is one; who does not greet as a process of a job is sent away.
fn answer(listener: &TcpListener, processes: usize) -> anyhow::Result<Option<(usize, TcpStream)>> {
    loop {
        let (mut link, from) = match listener.accept() {
            Ok(call) => call,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context("could not take a call of another process"),
        };
        let mut greeting = [0; 16];
        let heard = link
            .set_nonblocking(false)
            .and_then(|()| link.set_read_timeout(Some(ANSWER)))
            .and_then(|()| link.set_nodelay(true))
            .and_then(|()| link.read_exact(&mut greeting))
            .and_then(|()| link.set_read_timeout(None));
        if heard.is_err() || greeting[..8] != GREETING {
            tracing::warn!(%from, "connection of a stranger refused: it does not greet as a process of a job");
            continue;
        }
        let [caller, theirs] =
            [8, 12].map(|at| u32::from_le_bytes(greeting[at..at + 4].try_into().expect("four bytes")));
        if theirs as usize != processes {
            bail!(
                "a process of a job of {theirs} called (from {from}), this job has {processes} processes: give all the same -n"
            );
        }
        return Ok(Some((caller as usize, link)));
    }
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(count: usize) -> Vec<String> {
        let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        held.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
    }

    /// Whoever comes first, and with strangers at the door: each ends with a link to every other, at the right index.
    #[test]
    fn processes_find_each_other_and_strangers_do_not_get_in() {
        let addresses = free(3);
        let linked: Vec<Links> = std::thread::scope(|scope| {
            let joins = [2, 0, 1].map(|process| {
                let addresses = &addresses;
                std::thread::sleep(Duration::from_millis(30));
                if let Ok(mut stranger) = TcpStream::connect(&addresses[2]) {
                    let _ = stranger.write_all(b"GET / HTTP/1.1\r\n\r\n"); // it may be gone
                }
                (process, scope.spawn(move || connect(addresses, process, &AtomicBool::new(false)).unwrap()))
            });
            let mut joined: Vec<_> = joins.into_iter().map(|(process, join)| (process, join.join().unwrap())).collect();
            joined.sort_by_key(|(process, _)| *process);
            joined.into_iter().map(|(_, links)| links).collect()
        });
        for (process, links) in linked.iter().enumerate() {
            for (other, link) in links.iter().enumerate() {
                assert_eq!(link.is_none(), other == process);
                let Some(mut link) = link.as_ref() else { continue };
                link.write_all(&[u8::try_from(process).unwrap()]).unwrap();
            }
        }
        for links in &linked {
            for (other, link) in links.iter().enumerate() {
                let Some(mut link) = link.as_ref() else { continue };
                let mut said = [0];
                link.read_exact(&mut said).unwrap();
                assert_eq!(usize::from(said[0]), other);
            }
        }
    }

    /// A forgotten process or a wrong `-n` ends the wait with what to do.
    #[test]
    fn waiting_has_an_end() {
        let addresses = ["127.0.0.1:0", "127.0.0.1:1"].map(str::to_owned);
        let go = AtomicBool::new(false);
        let said = |result: anyhow::Result<Links>| result.unwrap_err().to_string();
        expect_test::expect![[r#"process 1 of the job has not come to "127.0.0.1:1" within 0 s (1 of 1 are missing); start it with the same -n and host file"#]]
            .assert_eq(&said(connect_within(&addresses, 0, &go, Duration::ZERO)));
        expect_test::expect!["stopped before all processes of the job had come"].assert_eq(&said(connect(
            &addresses,
            0,
            &AtomicBool::new(true),
        )));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let _link = call(&address, 1, 5).unwrap();
        let said = said(answer(&listener, 2).map(|_| Vec::new()));
        assert!(said.ends_with("this job has 2 processes: give all the same -n"), "{said}");
    }
}
