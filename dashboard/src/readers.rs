//! Reads from the store for the server: a few threads with a handle each, a short queue in front of them, and a time limit. What
//! is asked beyond is told so at once, so that no number of readers costs more than that.

use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use connectors::Store;

use crate::problem::Problem;

/// Threads, and so handles of the store.
const THREADS: usize = 3;
/// How many may wait for them.
const WAITING: usize = 32;
/// How long an answer may take, the waiting included.
pub(crate) const WITHIN: Duration = Duration::from_secs(20);

/// When an answer is of no use any more.
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// Goes on as long as there is time.
    pub(crate) fn flow(self) -> ControlFlow<()> {
        if Instant::now() < self.0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    /// Fails where time has run out.
    pub(crate) fn check(self) -> Result<(), Problem> {
        if self.flow().is_break() { Err(too_late()) } else { Ok(()) }
    }
}

fn too_late() -> Problem {
    Problem::away(format!("the store did not answer within {} s; ask for less, or later", WITHIN.as_secs()))
}

type Task = Box<dyn FnOnce(&mut Handle) + Send>;

/// A thread's handle of the store; opened when it is first needed, and again after it failed.
struct Handle {
    url: Arc<str>,
    store: Option<Box<dyn Store>>,
}

impl Handle {
    fn answer<T>(
        &mut self,
        deadline: Deadline,
        task: impl FnOnce(&mut dyn Store, Deadline) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        deadline.check()?;
        let mut store = match self.store.take().filter(|store| store.is_in_place()) {
            Some(store) => store,
            None => open(&self.url)?,
        };
        let answer = task(store.as_mut(), deadline);
        let failed =
            answer.as_ref().is_err_and(|problem| problem.status == axum::http::StatusCode::SERVICE_UNAVAILABLE);
        if !failed {
            self.store = Some(store);
        }
        answer
    }
}

/// Opens the store that the server reads.
pub(crate) fn open(url: &str) -> anyhow::Result<Box<dyn Store>> {
    let shown = connectors::mask_address(url);
    connectors::open_existing_store(url).with_context(|| format!("could not open store {shown:?}"))
}

/// The threads.
pub(crate) struct Readers {
    tasks: SyncSender<Task>,
}

impl Readers {
    /// Starts them; they end when this and all that was asked is gone.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(crate) fn start(url: &str) -> std::io::Result<Readers> {
        let (tasks, inbox) = sync_channel::<Task>(WAITING);
        let inbox = Arc::new(Mutex::new(inbox));
        for number in 0..THREADS {
            let (inbox, url) = (Arc::clone(&inbox), Arc::from(url));
            std::thread::Builder::new()
                .name(format!("http-read-{number}"))
                .spawn(move || serve(&inbox, Handle { url, store: None }))?;
        }
        Ok(Readers { tasks })
    }

    /// Has a task done with a store.
    ///
    /// # Errors
    /// The task's own, or that there is no room or no time for it.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut dyn Store, Deadline) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let deadline = Deadline(Instant::now() + WITHIN);
        let task: Task = Box::new(move |handle| {
            // Whoever went away does not wait for an answer.
            if !reply.is_closed() {
                let _ = reply.send(handle.answer(deadline, task));
            }
        });
        self.tasks.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => Problem::away(format!("{WAITING} readings of the store wait already; ask again")),
            TrySendError::Disconnected(_) => Problem::away("the server is ending"),
        })?;
        match tokio::time::timeout(WITHIN, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Problem::away("the reading was given up")),
            Err(_) => Err(too_late()),
        }
    }
}

fn serve(inbox: &Mutex<Receiver<Task>>, mut handle: Handle) {
    loop {
        let task = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(task) = task else { return };
        // A task that panics says so on stderr; its reader is told that it was given up.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(&mut handle)));
        if done.is_err() {
            handle.store = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
    }

    #[test]
    fn a_store_that_is_not_there_is_said_to_be_away_and_what_is_too_much_is_refused_at_once() {
        let readers = Readers::start("sqlite:/nowhere/none.db").unwrap();
        let problem = block_on(readers.ask(|_, _| Ok(()))).unwrap_err();
        assert_eq!(problem.status.as_u16(), 503);
        assert!(problem.detail.contains("does not exist"), "{problem:?}");
        let path = std::env::temp_dir().join(format!("readers-{}.db", std::process::id()));
        drop(connectors::SqliteStore::open(&path).unwrap());
        let readers = Readers::start(&format!("sqlite:{}", path.display())).unwrap();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        block_on(async {
            let mut asked = Vec::new();
            for _ in 0..THREADS + WAITING {
                let wait = Arc::clone(&wait);
                let mut one = Box::pin(readers.ask(move |_, _| {
                    let _ = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    Ok(())
                }));
                // Polled once, so that it is handed in.
                assert!(futures::poll!(&mut one).is_pending());
                asked.push(one);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let beyond = readers.ask(|_, _| Ok(())).await.unwrap_err();
            assert!(beyond.detail.contains("wait already"), "{beyond:?}");
            drop(go);
            for one in asked {
                one.await.unwrap();
            }
        });
        std::fs::remove_file(path).unwrap();
    }
}
