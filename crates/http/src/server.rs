//! Serves the API, and the metrics on a port of their own.

use std::future::Future;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};

use crate::{Api, HttpOptions, Services, configure};

/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a client may take to send its headers.
const HEADERS_TIMEOUT: Duration = Duration::from_secs(10);

/// A way to stop a server.
#[derive(Debug, Clone)]
pub struct ServerHandle(actix_web::dev::ServerHandle);

impl ServerHandle {
    /// Stops accepting and, if `graceful`, lets requests that run finish within the server's shutdown time.
    pub async fn stop(&self, graceful: bool) {
        self.0.stop(graceful).await;
    }
}

/// The API on a listener. It does not watch signals: who runs it stops it through its handle.
pub struct Server(actix_web::dev::Server);

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").finish_non_exhaustive()
    }
}

impl Server {
    /// Prepares to serve; nothing is accepted before [`Self::run`].
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn bind(
        listener: TcpListener,
        workers: Option<usize>,
        shutdown_timeout: Duration,
        services: Services,
        options: HttpOptions,
    ) -> io::Result<Self> {
        let api = Api::new(services, options);
        let mut server = HttpServer::new(move || App::new().configure(|config| configure(config, &api)))
            .disable_signals()
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEADERS_TIMEOUT)
            .shutdown_timeout(shutdown_timeout.as_secs().max(1));
        if let Some(workers) = workers {
            server = server.workers(workers);
        }
        Ok(Self(server.listen(listener)?.run()))
    }

    /// A way to stop it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.0.handle())
    }

    /// Serves until it is stopped.
    pub fn run(self) -> impl Future<Output = io::Result<()>> {
        self.0
    }
}

/// The metrics on a listener.
pub struct AdminServer(actix_web::dev::Server);

impl std::fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminServer").finish_non_exhaustive()
    }
}

/// Writes the metrics in Prometheus' text format.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

impl AdminServer {
    /// Prepares to serve what `render` writes at `/metrics`.
    ///
    /// # Errors
    ///
    /// When the listener cannot be used.
    pub fn bind(listener: TcpListener, render: Render) -> io::Result<Self> {
        let render = Data::new(render);
        let server =
            HttpServer::new(move || App::new().app_data(render.clone()).route("/metrics", web::get().to(metrics)))
                .disable_signals()
                .workers(1)
                .listen(listener)?
                .run();
        Ok(Self(server))
    }

    /// A way to stop it.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        ServerHandle(self.0.handle())
    }

    /// Serves until it is stopped.
    pub fn run(self) -> impl Future<Output = io::Result<()>> {
        self.0
    }
}

async fn metrics(render: Data<Render>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(render())
}
