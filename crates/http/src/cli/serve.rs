//! The commands `iam serve` and `iam demo`: start the services and listeners, and shut them down on a signal.

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use iam_composition::{
    AdminSettings, Choice, Demo, Documentation, Metrics, Mode, Mover, ServerSettings, Settings, System, Traces,
};
use iam_http::{
    AdminPages, AdminServer, AllowedOrigins, ClientAddresses, ConnectionLimits, ConnectionTimeouts, HttpOptions,
    InFlightLimits, Pages, RequestSpans, Server, ServerOptions, Services,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::console;
use super::export::to_file;
use super::import::into_memory;
use super::listen::{ADMIN, API, listen};
use super::statements::Table;
use super::version::publish_build_info;

/// The target of the log lines about the start and the end of the process, whatever the name of the program.
const TARGET: &str = "iam_http";

/// The files from which and to which in-memory storage is moved.
#[derive(Args, Default)]
pub(super) struct MemoryFiles {
    /// Imports this file, which `iam export` has written, into the in-memory storage at the start.
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Exports the in-memory storage with its credentials to this file at the end, for `iam import`.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

/// Serves the API with these settings until a signal stops the process. If `demo` is given, also prepares the demo and
/// prints its guide.
pub(super) async fn run(settings: Settings, demo: Option<Demo>, files: MemoryFiles) -> Result<(), Box<dyn Error>> {
    tracing::subscriber::set_global_default(RequestSpans::new(iam_composition::stderr_logs(&settings)?))?;
    let mut signals = Signals::new()?;
    let mode = match settings.server.mode {
        Mode::Development => "development",
        Mode::Production => "production",
    };
    tracing::info!(target: TARGET, version = env!("CARGO_PKG_VERSION"), mode, "starting iam");
    let traces = Traces::start(&settings.tracing)?;

    let cors_origins = allowed_origins(&settings)?;
    let (listener, address) = listen(API, &settings.server.host, settings.server.port).await?;
    let clients = client_addresses(&settings)?;
    let admin = admin_listener(&settings.admin).await?;
    let system = System::start(&settings).await?;
    let memory = match &files {
        MemoryFiles { import: None, export: None } => None,
        MemoryFiles { .. } => Some(Mover::of_memory(&system, &settings)?),
    };
    if let (Some(memory), Some(path)) = (&memory, &files.import) {
        into_memory(memory, path).await?;
    }
    let admin = admin.map(|(listener, metrics)| {
        let (published, listed) = (system.samples.clone(), system.samples.clone());
        let pages = AdminPages {
            metrics: Arc::new(move || {
                published.publish();
                metrics.render()
            }),
            statements: Arc::new(move || serde_json::to_string(&Table::from(listed.operations())).unwrap_or_default()),
            probe: Arc::clone(&system.probe),
            has_documentation: settings.server.documentation == Documentation::Admin,
        };
        AdminServer::new(listener, pages)
    });
    let pages = console::pages(&settings, &system, demo.as_ref())?;
    let server = server(listener, &settings, cors_origins, clients, &system, pages);
    tracing::info!(target: TARGET, "listening on http://{address}");
    if let Some(demo) = demo {
        let guide = demo.prepare(&system, address).await?;
        // Ignore write errors: standard output may already be closed.
        let _ = writeln!(io::stdout(), "{guide}");
    }

    let handle = server.handle();
    let admin_handle = admin.as_ref().map(AdminServer::handle);
    let stop = async {
        signals.next().await;
        // From now on, another signal terminates the process immediately.
        tokio::spawn(async move { std::process::exit(signals.next().await) });
        tracing::info!(target: TARGET, "stopping");
        system.drain();
        handle.drain();
        tokio::time::sleep(settings.server.drain_delay).await;
        handle.close();
        Ok(())
    };
    let serve = async {
        let served = server.run().await;
        if let Some(handle) = admin_handle {
            handle.close();
        }
        served
    };
    let serve_admin = async {
        match admin {
            Some(admin) => admin.run().await,
            None => Ok(()),
        }
    };
    let served = tokio::try_join!(serve, serve_admin, stop);
    // Wait until the changes in progress have completed, even if a server has failed.
    system.stop().await;
    if let Some(traces) = traces {
        traces.finish().await;
    }
    if let (Some(memory), Some(path)) = (&memory, &files.export) {
        to_file(memory, path, Choice { companies: None, with_credentials: true }).await?;
    }
    served?;
    tracing::info!(target: TARGET, "stopped");
    Ok(())
}

/// Returns the web origins that may call the API from a browser.
pub(super) fn allowed_origins(settings: &Settings) -> Result<AllowedOrigins, String> {
    AllowedOrigins::parse(settings.server.allowed_origins())
        .map_err(|error| format!("server.cors_origins (IAM__SERVER__CORS_ORIGINS): {error}"))
}

/// Returns the rule that determines the address of a client behind trusted proxies.
pub(super) fn client_addresses(settings: &Settings) -> Result<ClientAddresses, String> {
    ClientAddresses::parse(&settings.server.trusted_proxies.0)
        .map_err(|error| format!("server.trusted_proxies (IAM__SERVER__TRUSTED_PROXIES): {error}"))
}

fn server(
    listener: TcpListener,
    settings: &Settings,
    cors_origins: AllowedOrigins,
    clients: ClientAddresses,
    system: &System,
    pages: Option<Pages>,
) -> Server {
    let services = Services {
        application: Arc::clone(&system.application),
        verifier: Arc::clone(&system.verifier),
        probe: Arc::clone(&system.probe),
        clock: system.clock.clone(),
    };
    let ServerSettings { request_timeout, body_timeout, .. } = settings.server;
    let http = HttpOptions {
        cors_origins,
        clients,
        body_timeout,
        request_timeout,
        failures_per_address: settings.rate_limit.failures(),
        in_flight: InFlightLimits {
            requests: settings.server.max_requests_in_flight,
            bytes: settings.server.max_bytes_in_flight,
        },
        max_body_bytes: settings.cache.max_body_bytes,
        log_requests: settings.log.requests,
        documentation: settings.server.documentation == Documentation::Public,
        pages,
    };
    let ServerSettings { workers, shutdown_timeout, head_timeout, idle_timeout, write_timeout, .. } = settings.server;
    let options = ServerOptions {
        workers,
        shutdown_timeout,
        timeouts: ConnectionTimeouts { head: head_timeout, idle: idle_timeout, write: write_timeout },
        connections: ConnectionLimits {
            total: system.max_connections,
            per_address: settings.server.max_connections_per_address,
        },
    };
    Server::new(listener, options, services, http)
}

/// Binds the listener of the admin port and installs the metrics recorder. Returns `None` if the port is disabled.
async fn admin_listener(settings: &AdminSettings) -> Result<Option<(TcpListener, Metrics)>, Box<dyn Error>> {
    if !settings.enabled {
        return Ok(None);
    }
    let metrics = Metrics::install()?;
    publish_build_info();
    iam_http::describe_metrics();
    let (listener, address) = listen(ADMIN, &settings.host, settings.port).await?;
    tracing::info!(target: TARGET, "metrics on http://{address}/metrics");
    Ok(Some((listener, metrics)))
}

/// The signals that shut down the process: SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal, and returns the exit code of a process that this signal terminates: 128 plus the
    /// signal's number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => 143,
            _ = self.interrupt.recv() => 130,
        }
    }
}
