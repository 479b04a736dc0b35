//! The server of the admin port: metrics, probes and, if configured, the documentation of the API. It has its own listener, worker and connection limits, so that it
//! responds even if clients have exhausted those of the API.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use iam_application::{HealthProbe, Readiness};

use super::connection_limits::ConnectionLimits;
use super::worker::Mount;
use super::{Server, ServerHandle, ServerOptions};
use crate::middleware::ClientAddresses;
use crate::middleware::connection::{ConnectionState, ConnectionTimeouts};
use crate::routes::health::probe;
use crate::{configure_documentation, decision_metrics};

/// The limits on the number of connections to the admin port.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { total: 32, per_address: 32 };
/// Timeout after which an idle connection to the admin port is closed. Scrapers send a request at least once a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A function that renders the metrics in the Prometheus text format.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// The HTTP server of the admin port, which serves the metrics and the probes.
#[derive(Debug)]
pub struct AdminServer(Server);

impl AdminServer {
    /// Creates a server that serves the output of `render` at `/metrics`, and the probes at `/livez` and `/readyz`. If
    /// `has_documentation` is set, it also serves the documentation of the API.
    #[must_use]
    pub fn new(listener: TcpListener, render: Render, probe: Arc<dyn HealthProbe>, has_documentation: bool) -> Self {
        let (render, probe) = (Data::new(render), Data::from(probe));
        let mount: Mount = Arc::new(move |config| mount(config, &render, &probe, has_documentation));
        let options = ServerOptions {
            workers: Some(NonZeroUsize::MIN),
            shutdown_timeout: Duration::ZERO,
            timeouts: ConnectionTimeouts { idle: IDLE_TIMEOUT, ..ConnectionTimeouts::default() },
            connections: CONNECTIONS,
        };
        Self(Server::of(listener, "admin", options, ClientAddresses::default(), mount))
    }

    /// Returns a handle that stops the server. [`ServerHandle::close`] does not wait for open connections.
    #[must_use]
    pub fn handle(&self) -> ServerHandle {
        self.0.handle()
    }

    /// Serves requests until the server is closed through a handle.
    ///
    /// # Errors
    ///
    /// Returns an error if the worker cannot start or ends unexpectedly, or if the listener cannot be used.
    pub async fn run(self) -> io::Result<()> {
        self.0.run().await
    }
}

/// Mounts the routes. The wrapper reports each running request to its connection.
fn mount(config: &mut ServiceConfig, render: &Data<Render>, probe: &Data<dyn HealthProbe>, has_documentation: bool) {
    let metrics = web::resource("/metrics")
        .route(web::get().to(metrics))
        .route(web::head().to(metrics))
        .default_service(web::to(only_read));
    let routes = web::scope("")
        .wrap_fn(|request, service| {
            let running = request.conn_data::<ConnectionState>().map(|connection| connection.request_runs(true));
            let response = service.call(request);
            async move {
                let response = response.await;
                drop(running);
                response
            }
        })
        .service(metrics)
        .route("/livez", web::get().to(live))
        .route("/readyz", web::get().to(ready));
    let routes = if has_documentation { routes.configure(configure_documentation) } else { routes };
    config.app_data(render.clone()).app_data(probe.clone()).service(routes);
}

async fn metrics(render: Data<Render>) -> HttpResponse {
    decision_metrics::publish();
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(render())
}

async fn only_read() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish()
}

async fn live(request: HttpRequest) -> HttpResponse {
    probe(&Readiness::default(), &request)
}

async fn ready(check: Data<dyn HealthProbe>, request: HttpRequest) -> HttpResponse {
    probe(&check.readiness(), &request)
}
