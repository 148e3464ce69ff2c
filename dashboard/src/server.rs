//! The server: an address, a runtime of its own, and what its handlers share. Nothing here is waited for by the job.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;

use crate::board::Board;
use crate::follow;
use crate::guard::Guard;
use crate::hub::Hub;
use crate::problem::Problem;
use crate::program::Program;
use crate::readers::Readers;
use crate::routes;
use crate::wire::Pipeline;

/// What a server is made of.
pub struct Options {
    /// Where to listen; port 0 takes any.
    pub address: SocketAddr,
    /// What lets others than the own pages write.
    pub token: Option<String>,
    /// The store that is read.
    pub store_url: String,
    /// A running job feeds the board.
    pub live: bool,
    /// The fleet.
    pub board: Arc<Board>,
    /// What only the program can answer.
    pub program: Arc<dyn Program>,
}

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) store_url: String,
    pub(crate) live: bool,
    pub(crate) board: Arc<Board>,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) guard: Guard,
    pub(crate) readers: Readers,
    pub(crate) hub: Hub,
    pipeline: RwLock<Option<Arc<Pipeline>>>,
    trouble: Mutex<Option<String>>,
    loaded: AtomicBool,
    /// The store was taken away, and no other one has been loaded since.
    gone: AtomicBool,
}

impl Shared {
    /// How the job is doing, as of the last look.
    pub(crate) fn pipeline(&self) -> Option<Arc<Pipeline>> {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_pipeline(&self, pipeline: Arc<Pipeline>) {
        *self.pipeline.write().unwrap_or_else(PoisonError::into_inner) = Some(pipeline);
    }

    /// Why the store can't be looked into; gives whether that is new.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) -> bool {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = known.is_none() && trouble.is_some();
        *known = trouble;
        is_new
    }

    pub(crate) fn set_loaded(&self) {
        self.gone.store(false, Ordering::Release);
        self.loaded.store(true, Ordering::Release);
    }

    /// The store is not there any more: what was known of it is forgotten.
    pub(crate) fn set_gone(&self) {
        self.loaded.store(false, Ordering::Release);
        self.gone.store(true, Ordering::Release);
    }

    /// Fails where the store was taken away: a fleet without devices would look like an answer.
    pub(crate) fn check_there(&self) -> Result<(), Problem> {
        if self.gone.load(Ordering::Acquire) {
            return Err(Problem::away(self.unready().unwrap_or_else(|| "the store is being loaded".to_owned())));
        }
        Ok(())
    }

    /// Why the server can't answer yet or any more.
    pub(crate) fn unready(&self) -> Option<String> {
        if let Some(trouble) = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(trouble);
        }
        (!self.loaded.load(Ordering::Acquire)).then(|| "the fleet is being loaded".to_owned())
    }
}

/// A running server; it ends when this is dropped.
pub struct Server {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    ends: Option<Sender<()>>,
    serving: Option<JoinHandle<()>>,
}

/// How long open connections have to end.
const LINGER: Duration = Duration::from_millis(500);
/// How often changes are told.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// Starts a server.
///
/// # Errors
/// If the address is taken or no address of this machine.
pub fn start(options: Options) -> anyhow::Result<Server> {
    let Options { address, token, store_url, live, board, program } = options;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("could not listen on {address}: is another server there? --http takes another address")
    })?;
    listener.set_nonblocking(true).context("could not set up the listening socket")?;
    let address = listener.local_addr().context("could not learn the address that is listened on")?;
    let shared = Arc::new(Shared {
        readers: Readers::start(&store_url).context("could not start the reading threads")?,
        guard: Guard { address, token },
        hub: Hub::new(crate::clock::now_ms()),
        store_url,
        live,
        board,
        program,
        pipeline: RwLock::new(None),
        trouble: Mutex::new(None),
        loaded: AtomicBool::new(false),
        gone: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(2)
        .thread_name("http")
        .enable_all()
        .build()
        .context("could not start the server's threads")?;
    let router = routes::router(Arc::clone(&shared));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (ends, ended) = channel();
    let telling = Arc::clone(&shared);
    let serve = move || {
        runtime.block_on(async move {
            let listener = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => listener,
                Err(error) => return tracing::error!(%error, "the dashboard could not take its socket"),
            };
            let tell = async {
                loop {
                    tokio::time::sleep(TELL_EVERY).await;
                    telling.hub.tell_changes(&telling.board);
                }
            };
            let (serve, tell) = (std::pin::pin!(axum::serve(listener, router).into_future()), std::pin::pin!(tell));
            let both = futures::future::select(serve, tell);
            futures::future::select(stopped, both).await;
        });
        runtime.shutdown_timeout(LINGER);
    };
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(work).context("could not start a thread")
    };
    let follow = move || follow::follow(&shared, &ended);
    // Not waited for at the end: it may be asking a store that is away.
    drop(spawn("http-follow", Box::new(follow))?);
    let serving = Some(spawn("http-serve", Box::new(serve))?);
    Ok(Server { address, stop: Some(stop), ends: Some(ends), serving })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.ends.take());
        if let Some(serving) = self.serving.take() {
            let _ = serving.join(); // a panic has said so on stderr
        }
    }
}
