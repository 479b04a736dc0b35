//! Sets up logging to stderr, and metrics for the admin port.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;

use crate::json_lines::JsonLines;
use crate::text_fields::TextFields;
use crate::{LogFormat, LogSettings, Mode, Settings};

/// The upper bounds of histogram buckets, in seconds: from the duration of a cache hit to the default request timeout.
const BUCKETS: [f64; 15] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// Interval between two aggregations of histogram samples.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The reason why logging or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The log filter cannot be parsed.
    #[error(
        "log.filter (IAM__LOG__FILTER or RUST_LOG): must be a level (off, error, warn, info, debug or trace), \
        optionally with levels per module, such as info,iam_http=debug"
    )]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process already has a metrics recorder.
    #[error("metrics are already set up")]
    Metrics(#[from] BuildError),
}

/// The log filter directive that disables the log of the database driver's connection pool. The pool would log every
/// failed connection attempt.
const QUIET_POOL: &str = "sqlx_core::pool=off";

/// Crates that log malformed requests and forged cookies, which any client can send. They log nothing unless the filter
/// names them.
const NOISY: [&str; 2] = ["actix_http", "actix_session"];

/// Returns the subscriber that writes logs to stderr. Each log line contains the fields of the current span.
///
/// # Errors
///
/// Returns [`TelemetryError`] if the filter cannot be parsed.
pub fn stderr_logs(settings: &Settings) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    logs(&settings.log, settings.server.mode)
}

/// Returns the subscriber that writes the logs of a command to stderr. A command does not log its statements, unless the
/// filter is configured.
///
/// # Errors
///
/// Returns [`TelemetryError`] if the filter cannot be parsed.
pub fn command_logs(settings: &Settings) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    logs(&settings.log, Mode::Production)
}

fn logs(log: &LogSettings, mode: Mode) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    // The pool's log is not needed: the storage adapter logs once why new connections are rejected.
    let directives = log.filter(mode);
    let mut filter = EnvFilter::try_new(directives)?.add_directive(QUIET_POOL.parse()?);
    for noisy in NOISY.into_iter().filter(|noisy| !directives.contains(noisy)) {
        filter = filter.add_directive(format!("{noisy}=off").parse()?);
    }
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    Ok(match log.format {
        LogFormat::Text => Box::new(logs.with_ansi(std::io::stderr().is_terminal()).fmt_fields(TextFields).finish()),
        LogFormat::Json => {
            // `json` also makes the subscriber store the fields of spans as JSON objects.
            let logs = logs.json();
            Box::new(logs.event_format(JsonLines).finish())
        }
    })
}

/// The metrics recorder of this process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts recording metrics. Call this function once per process, within a Tokio runtime. The periodic upkeep runs
    /// on this runtime.
    ///
    /// # Errors
    ///
    /// Returns [`TelemetryError`] if metrics are already set up.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
        let upkeep = handle.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(METRICS_UPKEEP_INTERVAL);
            loop {
                ticks.tick().await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Returns all metrics in the Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}
