//! The worker threads of a server. Each worker runs the Actix HTTP service on a runtime of its own.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, map_config};
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::web::ServiceConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

use super::accept::{Arrival, Arrivals};
use super::connection_limits::ConnectionSlot;
use super::runtimes;
use crate::middleware::connection::{Connection, ConnectionTimeouts, DiscardSlots, Phase};

/// Timeout for a lingering close. If the server closes a connection before it has read the whole request, it discards
/// further data until the client closes its side.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Value by which the priority of a thread for blocking work is lower than that of the worker threads (`nice`).
#[cfg(target_os = "linux")]
const NICE: i32 = 10;

/// A function that mounts the routes of a server into an Actix application.
pub(super) type Mount = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;

/// A worker thread that serves connections.
pub(super) struct Worker {
    /// The name of the server.
    pub(super) server: &'static str,
    pub(super) number: usize,
    pub(super) phase: watch::Receiver<Phase>,
    pub(super) timeouts: ConnectionTimeouts,
    pub(super) shutdown_timeout: Duration,
    pub(super) mount: Mount,
}

impl Worker {
    /// Starts the worker thread, and returns the sender that passes connections to it. After the sender is dropped, the
    /// thread ends as soon as all its connections are closed, or after the shutdown timeout.
    pub(super) fn start(self, running: &mpsc::Sender<()>) -> io::Result<Arrivals> {
        let (arrivals, arrived) = mpsc::unbounded_channel();
        // Apart from the worker thread itself, the runtime has only threads for blocking work.
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(lower_priority).build()?;
        let running = running.clone();
        let listed = runtimes::list(self.server, runtime.handle());
        thread::Builder::new().name(format!("{}-{}", self.server, self.number)).spawn(move || {
            LocalSet::new().block_on(&runtime, self.serve(arrived));
            drop(listed);
            drop(running);
        })?;
        Ok(arrivals)
    }

    async fn serve(self, mut arrived: mpsc::UnboundedReceiver<Arrival>) {
        let Self { phase, timeouts, shutdown_timeout, mount, .. } = self;
        let app = App::new().configure(|config| mount(config)).into_factory();
        let app = app.map_err(|error: actix_web::Error| error.error_response());
        let factory = HttpService::<Connection<ConnectionSlot>, _, _>::build()
            // The connection has its own timeouts for heads and for idle connections.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT_TIMEOUT)
            .on_connect_ext(|connection: &Connection<ConnectionSlot>, extensions| connection.attach_state(extensions))
            .h1(map_config(app, |()| AppConfig::default()));
        let Ok(service) = factory.new_service(()).await else {
            tracing::error!("a worker of the HTTP server cannot start");
            return;
        };
        let service = Rc::new(service);
        let discard_slots = DiscardSlots::new();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                connection = arrived.recv() => {
                    let Some(Arrival { stream, peer, slot }) = connection else { break };
                    let Ok(stream) = TcpStream::from_std(stream) else { continue };
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(stream, &phase, timeouts, discard_slots.clone(), slot);
                    let service = Rc::clone(&service);
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

/// Lowers the priority of the current thread, which is a thread for blocking work such as the conversion of a large page.
/// Requests that are answered on the worker threads then need not wait for this work if processors are scarce.
#[cfg(target_os = "linux")]
fn lower_priority() {
    // On Linux, this call affects only the current thread. It fails only if the priority cannot be lowered further.
    let _ = rustix::process::nice(NICE);
}

#[cfg(not(target_os = "linux"))]
fn lower_priority() {}
