//! Traces: creates spans, queues them, and exports them to a collector with OTLP over HTTP.
//!
//! The spans and their encoding are those of the OpenTelemetry project, but its exporter and its queue are not used
//! (docs/adr/0017-spans-are-not-log-spans.md).

mod collector;
mod export;
mod queue;
pub(crate) mod span_counts;

use std::time::Duration;

use iam_traces::{KeyValue, Sampling};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanLimits};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::collector::Collector;
pub use self::collector::TracesError;
pub(crate) use self::collector::headers;
use self::export::Exporter;
use self::queue::queue;
use crate::TracingSettings;

/// Maximum time for which the shutdown waits for the export of the last spans.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);

/// The export of the traces of this process.
#[derive(Debug)]
pub struct Traces {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Traces {
    /// Switches traces on, and starts the task that exports them. Returns `None` if the settings contain no collector,
    /// or if traces are already on. Call this function on a Tokio runtime.
    ///
    /// # Errors
    ///
    /// Returns [`TracesError`] if the headers for the collector cannot be used.
    pub fn start(settings: &TracingSettings) -> Result<Option<Self>, TracesError> {
        let headers = headers(settings)?;
        let Some(endpoint) = &settings.endpoint else { return Ok(None) };
        let collector = Collector::new(endpoint.traces(), headers, settings.timeout)?;
        let (queue, ended) = queue(settings.max_queued_spans);
        let resource = Resource::builder_empty()
            .with_service_name(settings.service_name.clone())
            .with_attributes([
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", format!("{:032x}", rand::random::<u128>())),
            ])
            .build();
        // The sampler and the limits are set, so that environment variables do not determine them. `iam-traces` samples.
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_span_limits(SpanLimits::default())
            .with_resource(resource.clone())
            .with_span_processor(queue)
            .build();
        let sampling = Sampling { ratio: settings.sample_ratio, trusts_parents: settings.trust_parent };
        if !iam_traces::enable(provider.tracer("iam"), sampling) {
            return Ok(None);
        }
        let (stop, stopped) = oneshot::channel();
        let (sample_ratio, trust_parent) = (settings.sample_ratio, settings.trust_parent);
        tracing::info!(collector = collector.address(), sample_ratio, trust_parent, "traces are on");
        let task = tokio::spawn(Exporter::new(collector, ended, &resource).run(settings.interval, stopped));
        Ok(Some(Self { stop, task }))
    }

    /// Exports the spans that have ended so far, and then stops. Waits for two seconds at most.
    pub async fn finish(self) {
        let Self { stop, mut task } = self;
        // An error means that the task has already ended.
        let _ = stop.send(());
        if tokio::time::timeout(FLUSH_LIMIT, &mut task).await.is_err() {
            task.abort();
            tracing::warn!("the last traces could not be exported in time");
        }
    }
}
