//! The server binary. It loads the settings, starts the services and listeners, and shuts them down on a signal.

mod keys;
mod listen;
mod token;

use std::error::Error;
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use iam_composition::{AdminSettings, Demo, Documentation, Metrics, Mode, ServerSettings, Settings, System};
use iam_http::{
    AdminServer, AllowedOrigins, ClientAddresses, ConnectionLimits, ConnectionTimeouts, HttpOptions, InFlightLimits,
    RequestSpans, Server, ServerOptions, Services,
};
use keys::Keys;
use listen::listen;
use token::Token;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Multi-tenant authorization service: decides what users may see and do in each company. Without a command, serves the
/// HTTP API.
///
/// Settings are read from environment variables and from the configuration file whose path is in IAM_CONFIG. See
/// docs/settings.md for all settings and their defaults.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API with in-memory storage and a demo company, and prints valid tokens and curl commands.
    ///
    /// The log contains only warnings and errors, unless IAM__LOG__FILTER or RUST_LOG is set.
    Demo,
    /// Prints a token that a server with the same settings accepts. Development mode only.
    ///
    /// Standard output contains only the token, so a shell can store it: `export TOKEN=$(iam-http token --user …)`. The
    /// token is signed with JWT_SECRET, which must have the same value for the server and for this command. In
    /// production mode, the command fails, because only the identity provider issues tokens.
    Token(Token),
    /// Manages API keys in the configured database.
    #[command(subcommand)]
    Keys(Keys),
}

/// The global allocator. mimalloc makes small allocations cheap; each request makes dozens of them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { command } = Arguments::parse();
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The error is printed directly, so that it is visible at any log level and before logging is initialized.
            let _ = writeln!(io::stderr(), "iam-http: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Option<Command>) -> Result<(), Box<dyn Error>> {
    let mut settings = Settings::load(&iam_composition::environment())?;
    let demo = match command {
        Some(Command::Demo) => Some(Demo::admit(&mut settings)?),
        Some(Command::Token(token)) => return token.run(&settings),
        Some(Command::Keys(keys)) => return keys.run(&settings).await,
        None => None,
    };
    tracing::subscriber::set_global_default(RequestSpans::new(iam_composition::stderr_logs(&settings.log)?))?;
    let mut signals = Signals::new()?;
    let mode = match settings.server.mode {
        Mode::Development => "development",
        Mode::Production => "production",
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), mode, "starting iam-http");

    let cors_origins = AllowedOrigins::parse(settings.server.allowed_origins())
        .map_err(|error| format!("server.cors_origins (IAM__SERVER__CORS_ORIGINS): {error}"))?;
    let names = ("server.host (IAM__SERVER__HOST)", "server.port (PORT)");
    let (listener, address) = listen(names, &settings.server.host, settings.server.port).await?;
    let clients = ClientAddresses::parse(&settings.server.trusted_proxies.0)
        .map_err(|error| format!("server.trusted_proxies (IAM__SERVER__TRUSTED_PROXIES): {error}"))?;
    let admin = admin_listener(&settings.admin).await?;
    let system = System::start(&settings).await?;
    let admin = admin.map(|(listener, metrics)| {
        let has_documentation = settings.server.documentation == Documentation::Admin;
        AdminServer::new(listener, Arc::new(move || metrics.render()), Arc::clone(&system.probe), has_documentation)
    });
    let server = server(listener, &settings, cors_origins, clients, &system);
    tracing::info!("listening on http://{address}");
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
        tracing::info!("stopping");
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
    served?;
    tracing::info!("stopped");
    Ok(())
}

fn server(
    listener: TcpListener,
    settings: &Settings,
    cors_origins: AllowedOrigins,
    clients: ClientAddresses,
    system: &System,
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
    let names = ("admin.host (IAM__ADMIN__HOST)", "admin.port (IAM__ADMIN__PORT)");
    let (listener, address) = listen(names, &settings.host, settings.port).await?;
    tracing::info!("metrics on http://{address}/metrics");
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
