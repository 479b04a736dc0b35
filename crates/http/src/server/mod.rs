//! The servers of the API and of the admin port.
//!
//! When Actix's own server shuts down, it drops requests that have arrived but are still unread, and connections that
//! are still in the accept queue. It also neither refuses connections nor ends slow ones. Therefore, these servers accept
//! connections themselves (`accept.rs`), and pass them to workers that run the Actix HTTP service (`worker.rs`). The
//! graceful shutdown has two phases. While a server is draining ([`ServerHandle::drain`]), each response closes its
//! connection (`Connection: close`). When it is closing ([`ServerHandle::close`]), it ignores new connections, but still
//! processes the requests that have arrived.

mod accept;
mod admin;
mod connection_limits;
mod runtimes;
mod system_metrics;
mod worker;

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use accept::accept_all;
pub use admin::{AdminPages, AdminServer};
pub use connection_limits::ConnectionLimits;
use connection_limits::OpenConnections;
use tokio::sync::{mpsc, watch};
use worker::{Mount, Worker};

use crate::middleware::ClientAddresses;
use crate::middleware::connection::{ConnectionTimeouts, Phase};
use crate::{Api, HttpOptions, Services, configure};

/// A handle that shuts down a server.
#[derive(Debug, Clone)]
pub struct ServerHandle(watch::Sender<Phase>);

impl ServerHandle {
    /// Starts draining: from now on, each response closes its connection (`Connection: close`), so that clients
    /// reconnect to another replica.
    pub fn drain(&self) {
        self.0.send_replace(Phase::Draining);
    }

    /// Stops accepting new connections, and closes idle connections. [`Server::run`] returns when all requests are
    /// completed or the shutdown timeout has elapsed.
    pub fn close(&self) {
        self.0.send_replace(Phase::Closing);
    }
}

/// The options of a [`Server`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// The number of worker threads. Default: one per available CPU.
    pub workers: Option<NonZeroUsize>,
    /// Maximum time that a graceful shutdown waits for running requests. Default: 20 s.
    pub shutdown_timeout: Duration,
    /// The timeouts of client connections.
    pub timeouts: ConnectionTimeouts,
    /// The limits on the number of open connections.
    pub connections: ConnectionLimits,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            workers: None,
            shutdown_timeout: Duration::from_secs(20),
            timeouts: ConnectionTimeouts::default(),
            connections: ConnectionLimits::default(),
        }
    }
}

/// The API server, which accepts connections on one listener. It does not handle signals; its owner shuts it down
/// through a [`ServerHandle`].
pub struct Server {
    listener: TcpListener,
    name: &'static str,
    options: ServerOptions,
    proxies: ClientAddresses,
    mount: Mount,
    phase: watch::Sender<Phase>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.name).field("options", &self.options).finish_non_exhaustive()
    }
}

impl Server {
    /// Creates a server of the API. The server starts accepting connections when [`Self::run`] is called.
    #[must_use]
    pub fn new(listener: TcpListener, options: ServerOptions, services: Services, http: HttpOptions) -> Self {
        let proxies = http.clients.clone();
        let api = Api::new(services, http);
        let mount: Mount = Arc::new(move |config| configure(config, &api));
        Self::of(listener, "http", options, proxies, mount)
    }

    fn of(
        listener: TcpListener,
        name: &'static str,
        options: ServerOptions,
        proxies: ClientAddresses,
        mount: Mount,
    ) -> Self {
        Self { listener, name, options, proxies, mount, phase: watch::Sender::new(Phase::Serving) }
    }

    /// Returns a handle that shuts down the server.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.phase.clone())
    }

    /// Serves requests until the server is closed through a handle.
    ///
    /// # Errors
    ///
    /// Returns an error if a worker cannot start or ends unexpectedly, or if the listener cannot be used.
    pub async fn run(self) -> io::Result<()> {
        let Self { listener, name, options, proxies, mount, phase } = self;
        let ServerOptions { workers, shutdown_timeout, timeouts, connections } = options;
        let workers = workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (running, mut ended) = mpsc::channel::<()>(1);
        let start = |number| {
            let (phase, mount) = (phase.subscribe(), Arc::clone(&mount));
            Worker { server: name, number, phase, timeouts, shutdown_timeout, mount }.start(&running)
        };
        let workers = (0..workers).map(start).collect::<io::Result<Vec<_>>>()?;
        drop(running);
        let open = OpenConnections::new(name, connections, proxies);
        accept_all(&listener, &workers, &open, phase.subscribe()).await?;
        drop((listener, workers));
        // `recv` returns when every worker has ended and dropped its sender.
        let _ = ended.recv().await;
        Ok(())
    }
}
