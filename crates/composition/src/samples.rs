//! Publishes the metrics whose values are read when they are scraped: readiness, the cache and the connection pool.

use std::sync::Arc;

use iam_application::{HealthProbe, ReadinessReason};
use iam_permissions_cache::Permissions;
use iam_storage::{PoolStats, RecentOperations};
use iam_storage_postgres::{PostgresStorage, recent_operations};

/// Whether the process is ready.
const READY: &str = "iam_ready";
/// Whether readiness reports a problem with this reason.
const PROBLEM: &str = "iam_readiness_problem";
/// The connections of the pool, by state.
const CONNECTIONS: &str = "iam_pool_connections";

/// The services whose state is published. A program that exports metrics calls [`Samples::publish`] before it renders
/// them.
#[derive(Clone)]
pub struct Samples {
    pub(crate) probe: Arc<dyn HealthProbe>,
    pub(crate) permissions: Arc<Permissions>,
    pub(crate) database: Option<Arc<PostgresStorage>>,
}

impl std::fmt::Debug for Samples {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Samples").field("permissions", &self.permissions).finish_non_exhaustive()
    }
}

impl Samples {
    /// Describes the metrics, and publishes their current values, so that their series exist from the start.
    pub(crate) fn describe(&self) {
        metrics::describe_gauge!(READY, "Whether the process is ready to serve requests (1) or not (0)");
        metrics::describe_gauge!(PROBLEM, "Whether readiness reports a problem with this reason (1) or not (0)");
        if self.database.is_some() {
            metrics::describe_gauge!(CONNECTIONS, "Connections of the database connection pool");
        }
        self.publish();
    }

    /// Returns the figures of the storage operations of the last minutes. There are none with in-memory storage.
    #[must_use]
    pub fn operations(&self) -> RecentOperations {
        recent_operations()
    }

    /// Publishes the current values. Needs no connection to the database.
    pub fn publish(&self) {
        let readiness = self.probe.readiness();
        metrics::gauge!(READY).set(f64::from(u8::from(readiness.is_ready())));
        for reason in ReadinessReason::ALL {
            let has_problem = readiness.problems().any(|problem| problem.reason == reason);
            metrics::gauge!(PROBLEM, "reason" => reason.code()).set(f64::from(u8::from(has_problem)));
        }
        self.permissions.stats().publish();
        if let Some(database) = &self.database {
            database.publish_metrics();
            let pool = database.pool();
            let used = pool.size.saturating_sub(pool.idle);
            for (state, count) in [("idle", pool.idle), ("used", used), ("max", pool.max)] {
                metrics::gauge!(CONNECTIONS, "state" => state).set(f64::from(count));
            }
        }
    }
}
