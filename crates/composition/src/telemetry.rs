//! Sets up logs on stderr, and metrics for the admin port.

use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;

use crate::{LogFormat, LogSettings};

/// The upper bounds of histogram buckets, in seconds: from an answer from memory to a request that times out.
const BUCKETS: [f64; 15] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];
/// How often histograms aggregate their single values.
const UPKEEP: Duration = Duration::from_secs(5);

/// Logs or metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// The filter cannot be read.
    #[error("log.filter (IAM__LOG__FILTER, else RUST_LOG): {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// This process has a metrics recorder already.
    #[error("metrics are set up already")]
    Metrics(#[from] BuildError),
}

/// The directive that silences the driver's pool, which logs each failed attempt to connect.
const QUIET_POOL: &str = "sqlx_core::pool=off";

/// Returns the subscriber that writes logs to stderr. Each line has the fields of its span.
///
/// # Errors
///
/// [`TelemetryError`] if the filter cannot be parsed.
pub fn stderr_logs(settings: &LogSettings) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError> {
    // The adapter logs once why new connections are refused.
    let filter = EnvFilter::try_new(&settings.filter)?.add_directive(QUIET_POOL.parse()?);
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    Ok(match settings.format {
        LogFormat::Text => Box::new(logs.with_ansi(std::io::stderr().is_terminal()).finish()),
        LogFormat::Json => Box::new(logs.json().with_span_list(false).finish()),
    })
}

/// The metrics of this process.
#[derive(Debug, Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts to record metrics. Call it once per process, within a Tokio runtime, which runs their upkeep.
    ///
    /// # Errors
    ///
    /// [`TelemetryError`] on the second call.
    pub fn install() -> Result<Self, TelemetryError> {
        let handle = PrometheusBuilder::new().set_buckets(&BUCKETS)?.install_recorder()?;
        let upkeep = handle.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(UPKEEP);
            loop {
                ticks.tick().await;
                upkeep.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// Returns all metrics, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }
}
