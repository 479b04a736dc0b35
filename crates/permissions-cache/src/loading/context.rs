//! What every load needs.

use std::sync::Arc;
use std::time::Instant;

use iam_storage::{Result, Storage};
use tokio::runtime::Handle;

use crate::CacheOptions;
use crate::cache::Cache;
use crate::loading::coalescer::Lost;
use crate::loading::error::{Loaded, in_limit, shared, unavailable};

/// Where loads read, what keeps their results, and what bounds them.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) options: CacheOptions,
    /// Loads run here, whichever runtime asked for them.
    pub(crate) runtime: Handle,
}

impl Context {
    /// Waits for a shared load, at most as long as one may take.
    pub(crate) async fn in_time<T>(&self, load: impl Future<Output = Result<Loaded<T>, Lost>>) -> Result<T> {
        match tokio::time::timeout(self.options.load_timeout, load).await {
            Ok(Ok(loaded)) => loaded.map_err(|error| shared(&error)),
            Ok(Err(lost)) => Err(unavailable(lost)),
            Err(_) => Err(unavailable("the store took too long")),
        }
    }

    /// Runs a load, ends it if it takes too long, and counts it.
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
