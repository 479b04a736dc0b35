//! The context that all loads share.

use std::sync::Arc;
use std::time::Instant;

use iam_storage::{Reader, Result, Storage};
use iam_traces::{SpanKind, Traced, child, traced};
use tokio::runtime::Handle;

use crate::CacheOptions;
use crate::cache::Cache;
use crate::freshness::clock::Moment;
use crate::loading::batches::Lost;
use crate::loading::error::{Loaded, in_limit, shared, unavailable};

/// The servers from which a load may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Only the primary: the load sees every change that was committed before it began.
    Primary,
    /// The read replicas, if there are any: the load sees at least what the latest poll has reported.
    Replicas,
}

/// Runs a load within a span with this name.
pub(crate) fn within_span<T, F: Future<Output = Result<T>>>(name: &'static str, load: F) -> Traced<F, Result<T>> {
    traced(child(name, SpanKind::Internal, Vec::new), load, |loaded| loaded.is_err().then(|| "unavailable".into()))
}

/// The storage from which data is loaded, the cache that stores the results, and the limits of loads.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) options: CacheOptions,
    /// The runtime on which all loads run, independent of the runtime of the request.
    pub(crate) runtime: Handle,
}

impl Context {
    /// Returns the read operations of a load from this source.
    pub(crate) fn reader(&self, source: Source) -> &dyn Reader {
        let of_replicas = if source == Source::Replicas { self.storage.reader_of_replicas() } else { None };
        of_replicas.unwrap_or_else(|| self.storage.reader())
    }

    /// Returns a time at which the result of a load that begins now, from this source, is up to date.
    pub(crate) fn up_to_date_at(&self, source: Source) -> Moment {
        match source {
            Source::Primary => Moment::now(),
            Source::Replicas => self.cache.lease.confirmed(),
        }
    }

    /// Waits for a coalesced load or poll, but for no longer than the load timeout. The wait has a span with this name.
    pub(crate) async fn in_time<T>(
        &self,
        name: &'static str,
        load: impl Future<Output = Result<Loaded<T>, Lost>>,
    ) -> Result<T> {
        let wait = async {
            match tokio::time::timeout(self.options.load_timeout, load).await {
                Ok(Ok(loaded)) => loaded.map_err(|error| shared(&error)),
                Ok(Err(lost)) => Err(unavailable(lost)),
                Err(_) => Err(unavailable("the database did not respond in time")),
            }
        };
        within_span(name, wait).await
    }

    /// Runs a load with the load timeout, and records it in the metrics.
    pub(crate) async fn timed<T>(&self, load: impl Future<Output = Result<T>>) -> Loaded<T> {
        let began = Instant::now();
        let loaded = in_limit(self.options.load_timeout, load).await;
        self.cache.counters.loads.add(1);
        metrics::histogram!("iam_cache_load_seconds").record(began.elapsed().as_secs_f64());
        loaded.map_err(|error| {
            self.cache.counters.failed_loads.add(1);
            Arc::new(error)
        })
    }
}
