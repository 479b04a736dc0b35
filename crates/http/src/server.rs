//! The API server, and the metrics server, which listens on a separate port.
//!
//! When Actix's own server shuts down, it drops requests that have arrived but are still unread, and connections that
//! are still in the accept queue. Therefore, this server accepts connections itself, and passes them to workers that
//! run the Actix HTTP service. Its graceful shutdown has two phases. While it is draining ([`ServerHandle::drain`]),
//! each response closes its connection (`Connection: close`). When it is closing ([`ServerHandle::close`]), it ignores
//! new connections, but still processes the requests that have arrived.

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_http::HttpService;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::middleware::connection::{Connection, Phase};
use crate::{Api, HttpOptions, Services, configure};

/// Timeout after which an idle keep-alive connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Timeout for receiving the headers of a request.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for a lingering close. If the server closes a connection before it has read the whole request, it discards
/// further data until the client closes its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Delay before the next `accept` call after a failed call. A call fails, for example, if no file descriptors are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time without a new connection after which the accept queue counts as empty during shutdown.
const ACCEPT_IDLE: Duration = Duration::from_millis(100);
/// Maximum time for emptying the accept queue during shutdown.
const ACCEPT_DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// A handle for the graceful shutdown of a [`Server`].
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

/// The API server, which accepts connections on one listener. It does not handle signals; its owner shuts it down
/// through a [`ServerHandle`].
pub struct Server {
    listener: TcpListener,
    workers: usize,
    shutdown_timeout: Duration,
    api: Data<Api>,
    phase: watch::Sender<Phase>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl Server {
    /// Creates a server with this number of worker threads (default: one per available CPU). The server starts
    /// accepting connections when [`Self::run`] is called.
    #[must_use]
    pub fn new(
        listener: TcpListener,
        workers: Option<NonZeroUsize>,
        shutdown_timeout: Duration,
        services: Services,
        options: HttpOptions,
    ) -> Self {
        let workers = workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        let (api, phase) = (Api::new(services, options), watch::Sender::new(Phase::Serving));
        Self { listener, workers, shutdown_timeout, api, phase }
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
        let Self { listener, workers, shutdown_timeout, api, phase } = self;
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let (running, mut ended) = mpsc::channel::<()>(1);
        let start =
            |number| Worker { phase: phase.subscribe(), shutdown_timeout, api: api.clone() }.start(number, &running);
        let workers = (0..workers).map(start).collect::<io::Result<Vec<_>>>()?;
        drop(running);
        accept_all(&listener, &workers, phase.subscribe()).await?;
        drop((listener, workers));
        // `recv` returns when every worker has ended and dropped its sender.
        let _ = ended.recv().await;
        Ok(())
    }
}

/// The sending half of the channel that passes accepted connections to a worker.
type Arrivals = mpsc::UnboundedSender<(TcpStream, SocketAddr)>;

/// Accepts connections, and passes them to the workers round-robin. Returns when the server is closing and the accept
/// queue is empty.
async fn accept_all(
    listener: &tokio::net::TcpListener,
    workers: &[Arrivals],
    mut phase: watch::Receiver<Phase>,
) -> io::Result<()> {
    let mut turns = workers.iter().cycle();
    let mut give = |accepted| accept(accepted, turns.next());
    let is_closing = phase.wait_for(|phase| *phase == Phase::Closing);
    tokio::pin!(is_closing);
    loop {
        tokio::select! {
            _ = &mut is_closing => break,
            accepted = listener.accept() => {
                if !give(accepted)? {
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    if let Err(error) = ignore_new_connections(listener) {
        tracing::debug!(%error, "cannot drop SYN segments; connections that arrive during shutdown may be reset");
    }
    let latest = Instant::now() + ACCEPT_DRAIN_TIMEOUT;
    while let Ok(Ok(accepted)) = timeout_at(latest, timeout(ACCEPT_IDLE, listener.accept())).await {
        give(accepted)?;
    }
    Ok(())
}

/// Passes an accepted connection to a worker. Returns `false` if `accept` failed and the next call must be delayed.
fn accept(accepted: io::Result<(tokio::net::TcpStream, SocketAddr)>, worker: Option<&Arrivals>) -> io::Result<bool> {
    match accepted {
        Ok((stream, peer)) => {
            let gone = || io::Error::new(ErrorKind::BrokenPipe, "a worker of the HTTP server ended unexpectedly");
            worker.ok_or_else(gone)?.send((stream.into_std()?, peer)).map_err(|_| gone())?;
            Ok(true)
        }
        // The client closed the connection before it was accepted.
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => Ok(true),
        Err(error) => {
            tracing::error!(%error, "cannot accept a connection");
            Ok(false)
        }
    }
}

/// Makes the kernel drop SYN segments, so that no further connections enter the accept queue while it is being emptied.
/// Closing the listener instead would reset the connections in the queue. A client whose SYN was dropped retransmits
/// it; the retransmission is rejected, or reaches a new process that listens on this port.
#[cfg(target_os = "linux")]
fn ignore_new_connections(listener: &tokio::net::TcpListener) -> io::Result<()> {
    use socket2::{SockFilter, SockRef};

    /// The offset of the flags in a TCP header, in bytes.
    const FLAGS: u32 = 13;
    const SYN: u32 = 0x02;
    let program = [
        // Load the flags (BPF_LD | BPF_B | BPF_ABS).
        SockFilter::new(0x30, 0, 0, FLAGS),
        // If SYN is not set, skip the next instruction (BPF_JMP | BPF_JSET | BPF_K).
        SockFilter::new(0x45, 0, 1, SYN),
        // Drop the segment (BPF_RET | BPF_K).
        SockFilter::new(0x06, 0, 0, 0),
        // Accept the whole segment.
        SockFilter::new(0x06, 0, 0, u32::MAX),
    ];
    SockRef::from(listener).attach_filter(&program)
}

#[cfg(not(target_os = "linux"))]
fn ignore_new_connections(_: &tokio::net::TcpListener) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// A worker thread that serves connections.
struct Worker {
    phase: watch::Receiver<Phase>,
    shutdown_timeout: Duration,
    api: Data<Api>,
}

impl Worker {
    /// Starts the worker thread, and returns the sender that passes connections to it. After the sender is dropped, the
    /// thread ends as soon as all its connections are closed, or after the shutdown timeout.
    fn start(self, number: usize, running: &mpsc::Sender<()>) -> io::Result<Arrivals> {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let running = running.clone();
        thread::Builder::new().name(format!("http-{number}")).spawn(move || {
            LocalSet::new().block_on(&runtime, self.serve(arrived));
            drop(running);
        })?;
        Ok(arrivals)
    }

    async fn serve(self, mut arrived: mpsc::UnboundedReceiver<(TcpStream, SocketAddr)>) {
        let Self { phase, shutdown_timeout, api } = self;
        let app = App::new().configure(|config| configure(config, &api)).into_factory();
        let app = app.map_err(|error: actix_web::Error| error.error_response());
        let factory = HttpService::<Connection, _, _>::build()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEADERS_TIMEOUT)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(|connection: &Connection, extensions| connection.attach_state(extensions))
            .h1(map_config(app, |()| AppConfig::default()));
        let Ok(service) = factory.new_service(()).await else {
            tracing::error!("a worker of the HTTP server cannot start");
            return;
        };
        let service = Rc::new(service);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                connection = arrived.recv() => {
                    let Some((stream, peer)) = connection else { break };
                    let Ok(stream) = tokio::net::TcpStream::from_std(stream) else { continue };
                    let _ = stream.set_nodelay(true);
                    let (service, connection) = (Rc::clone(&service), Connection::new(stream, &phase));
                    connections.spawn_local(async move {
                        if let Err(error) = service.call((connection, Some(peer))).await {
                            tracing::debug!(%error, "connection failed");
                        }
                    });
                }
                Some(_) = connections.join_next() => {}
            }
        }
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if timeout(shutdown_timeout, all_ended).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "aborted the remaining connections after the shutdown timeout"
            );
        }
    }
}

/// A handle that stops the metrics server.
#[derive(Debug, Clone)]
pub struct AdminServerHandle(actix_web::dev::ServerHandle);

impl AdminServerHandle {
    /// Stops the metrics server immediately, without waiting for open connections.
    pub async fn stop(&self) {
        self.0.stop(false).await;
    }
}

/// The HTTP server for the metrics, which has its own listener.
pub struct AdminServer(actix_web::dev::Server);

impl std::fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminServer").finish_non_exhaustive()
    }
}

/// A function that renders the metrics in the Prometheus text format.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

impl AdminServer {
    /// Creates a server that serves the output of `render` at `/metrics`.
    ///
    /// # Errors
    ///
    /// Returns an error if the listener cannot be used.
    pub fn bind(listener: TcpListener, render: Render) -> io::Result<Self> {
        let render = Data::new(render);
        let resource = || {
            web::resource("/metrics")
                .route(web::get().to(metrics))
                .route(web::head().to(metrics))
                .default_service(web::to(only_read))
        };
        let server = HttpServer::new(move || App::new().app_data(render.clone()).service(resource()))
            .disable_signals()
            .workers(1)
            .listen(listener)?
            .run();
        Ok(Self(server))
    }

    /// Returns a handle that stops the metrics server.
    #[must_use]
    pub fn handle(&self) -> AdminServerHandle {
        AdminServerHandle(self.0.handle())
    }

    /// Serves the metrics until the server is stopped through a handle.
    pub fn run(self) -> impl Future<Output = io::Result<()>> {
        self.0
    }
}

async fn metrics(render: Data<Render>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(render())
}

async fn only_read() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish()
}
