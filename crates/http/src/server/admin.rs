//! The server of the admin port: metrics, probes, the table of storage operations and, if configured, the documentation
//! of the API. It has its own listener, worker and connection limits, so that it responds even if clients have exhausted
//! those of the API.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use actix_service::Service;
use actix_web::http::header;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource, Route};
use iam_application::HealthProbe;
use tokio::runtime::Handle;

use super::connection_limits::ConnectionLimits;
use super::runtimes::{MAIN, NAMES, STALLED_AFTER, list, silence};
use super::worker::Mount;
use super::{Server, ServerHandle, ServerOptions, system_metrics};
use crate::middleware::ClientAddresses;
use crate::middleware::connection::{ConnectionState, ConnectionTimeouts};
use crate::routes::health::{liveness, probe};
use crate::{configure_documentation, decision_metrics};

/// The limits on the number of connections to the admin port.
const CONNECTIONS: ConnectionLimits = ConnectionLimits { total: 32, per_address: 16 };
/// Timeout after which an idle connection to the admin port is closed. Scrapers send a request at least once a minute.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// A function that renders a page.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// What the admin port serves.
#[derive(Clone)]
pub struct AdminPages {
    /// Renders the metrics in the Prometheus text format, for `/metrics`.
    pub metrics: Render,
    /// Renders the table of storage operations as JSON, for `/admin/statements`.
    pub statements: Render,
    /// Determines the response of `/readyz`.
    pub probe: Arc<dyn HealthProbe>,
    /// Whether the documentation of the API is served, too.
    pub has_documentation: bool,
}

impl std::fmt::Debug for AdminPages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdminPages").field("has_documentation", &self.has_documentation).finish_non_exhaustive()
    }
}

/// The HTTP server of the admin port, which serves the metrics and the probes.
#[derive(Debug)]
pub struct AdminServer(Server);

impl AdminServer {
    /// Creates a server that serves these pages, and the probes at `/livez` and `/readyz`.
    #[must_use]
    pub fn new(listener: TcpListener, pages: AdminPages) -> Self {
        let pages = Data::new(pages);
        let mount: Mount = Arc::new(move |config| mount(config, &pages));
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
        let _listed = list(MAIN, &Handle::current());
        self.0.run().await
    }
}

/// Mounts the routes. The wrapper reports each running request to its connection.
fn mount(config: &mut ServiceConfig, pages: &Data<AdminPages>) {
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
        .service(read_only("/metrics", web::get().to(metrics), web::head().to(metrics)))
        .service(read_only("/admin/statements", web::get().to(statements), web::head().to(statements)))
        .service(read_only("/livez", web::get().to(live), web::head().to(live)))
        .service(read_only("/readyz", web::get().to(ready), web::head().to(ready)));
    let routes = if pages.has_documentation { routes.configure(configure_documentation) } else { routes };
    config.app_data(pages.clone()).service(routes);
}

/// Returns a page that supports GET and HEAD, with the same content.
fn read_only(path: &str, get: Route, head: Route) -> Resource {
    web::resource(path).route(get).route(head).default_service(web::to(only_read))
}

async fn metrics(pages: Data<AdminPages>) -> HttpResponse {
    decision_metrics::publish();
    let mut page = (pages.metrics)();
    system_metrics::append(&mut page);
    HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(page)
}

async fn statements(pages: Data<AdminPages>) -> HttpResponse {
    let no_store = (header::CACHE_CONTROL, "no-store");
    HttpResponse::Ok().content_type("application/json").insert_header(no_store).body((pages.statements)())
}

async fn only_read() -> HttpResponse {
    HttpResponse::MethodNotAllowed().insert_header((header::ALLOW, "GET, HEAD")).finish()
}

/// Checks that each runtime executes tasks.
async fn live(request: HttpRequest) -> HttpResponse {
    liveness(&NAMES.map(|name| (name, silence(name))), STALLED_AFTER, &request)
}

async fn ready(pages: Data<AdminPages>, request: HttpRequest) -> HttpResponse {
    probe(pages.probe.readiness(), &request)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use actix_web::App;
    use actix_web::http::Method;
    use actix_web::test::{TestRequest, call_service, init_service};
    use iam_application::Readiness;

    use super::*;

    /// A probe that counts the pings of the storage, which need a connection of the pool.
    #[derive(Default)]
    struct Pings(AtomicUsize);

    #[async_trait::async_trait]
    impl HealthProbe for Pings {
        async fn storage_is_healthy(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed);
            true
        }

        fn readiness(&self) -> Readiness {
            Readiness::default()
        }
    }

    #[actix_web::test]
    async fn no_page_of_the_admin_port_pings_the_storage() {
        let probe = Arc::<Pings>::default();
        let pages = Data::new(AdminPages {
            metrics: Arc::new(String::new),
            statements: Arc::new(|| "{}".to_owned()),
            probe: Arc::<Pings>::clone(&probe),
            has_documentation: true,
        });
        let app = init_service(App::new().configure(|config| mount(config, &pages))).await;
        for path in ["/livez", "/readyz", "/metrics", "/admin/statements", "/openapi.json"] {
            for (method, status) in [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 405)] {
                if path == "/openapi.json" && method != Method::GET {
                    continue;
                }
                let request = TestRequest::with_uri(path).method(method.clone()).to_request();
                assert_eq!(call_service(&app, request).await.status(), status, "{method} {path}");
            }
        }
        assert_eq!(probe.0.load(Ordering::Relaxed), 0);
    }
}
