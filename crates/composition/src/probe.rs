//! The readiness of the process and the health of the storage, as the health endpoints report them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iam_application::{HealthProbe, Readiness, ReadinessCheck, ReadinessProblem, ReadinessReason, SchemaVersions};
use iam_permissions_cache::Freshness;
use iam_storage::Health;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

/// Timeout for a ping of the storage.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// Time for which the result of a ping is cached.
const PING_TTL: Duration = Duration::from_secs(1);

/// The reason why the storage is not ready yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: ReadinessReason,
    /// The description of the reason.
    pub(crate) text: String,
    /// The versions of the schema, if the schema has been read.
    pub(crate) schema: Option<SchemaVersions>,
}

/// The lifecycle phase of the process: starting, ready or draining.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The reason why the storage is not ready yet, or `None` once it is ready. The value then remains `None`.
    storage: watch::Sender<Option<Waiting>>,
    /// The versions of the schema, as soon as the process accepts the schema.
    schema: OnceLock<SchemaVersions>,
    draining: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        let waiting = Waiting {
            reason: ReadinessReason::FirstContact,
            text: "waiting for the first connection to the database".to_owned(),
            schema: None,
        };
        Self { storage: watch::Sender::new(Some(waiting)), schema: OnceLock::new(), draining: AtomicBool::new(false) }
    }
}

impl Progress {
    /// Records that the storage is ready, with the versions of its schema if it has one.
    pub(crate) fn set_ready(&self, schema: Option<SchemaVersions>) {
        if let Some(schema) = schema {
            let _ = self.schema.set(schema);
        }
        self.storage.send_replace(None);
    }

    /// Records why the storage is not ready yet. Returns `true` if the reason has changed.
    pub(crate) fn set_waiting(&self, waiting: Waiting) -> bool {
        self.storage.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&waiting);
            *current = Some(waiting);
            is_new
        })
    }

    /// Waits until the storage is ready.
    pub(crate) async fn ready(&self) {
        // `self` owns the sender, so the channel remains open during this wait. The wait therefore cannot fail.
        let _ = self.storage.subscribe().wait_for(Option::is_none).await;
    }

    /// Records that the process is draining.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }
}

/// A function that returns why new database connections are currently rejected, or `None` if they are accepted.
pub(crate) type RefusalCheck = Box<dyn Fn() -> Option<String> + Send + Sync>;

/// A function that returns how up to date the cached data is.
pub(crate) type FreshnessCheck = Box<dyn Fn() -> Freshness + Send + Sync>;

/// The probe that reports the health of the storage and the readiness of the process.
pub(crate) struct SystemProbe {
    storage: Arc<dyn Health>,
    progress: Arc<Progress>,
    refusal: RefusalCheck,
    freshness: FreshnessCheck,
    runtime: Handle,
    /// The time of the latest ping, and whether the storage responded.
    latest: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl SystemProbe {
    /// Creates the probe. Call this function on the Tokio runtime of the storage.
    pub(crate) fn new(
        storage: Arc<dyn Health>,
        progress: Arc<Progress>,
        refusal: RefusalCheck,
        freshness: FreshnessCheck,
    ) -> Self {
        Self { storage, progress, refusal, freshness, runtime: Handle::current(), latest: Arc::default() }
    }
}

#[async_trait]
impl HealthProbe for SystemProbe {
    async fn storage_is_healthy(&self) -> bool {
        let (storage, latest) = (Arc::clone(&self.storage), Arc::clone(&self.latest));
        // At most one ping runs at a time, because unauthenticated callers can request pings at any rate. The ping
        // runs in its own task, so that it completes even if the client disconnects.
        let ping = self.runtime.spawn(async move {
            let mut latest = latest.lock().await;
            match *latest {
                Some((at, healthy)) if at.elapsed() < PING_TTL => healthy,
                _ => {
                    let healthy = matches!(tokio::time::timeout(PING_LIMIT, storage.ping()).await, Ok(Ok(())));
                    *latest = Some((Instant::now(), healthy));
                    healthy
                }
            }
        });
        ping.await.unwrap_or(false)
    }

    fn readiness(&self) -> Readiness {
        let waiting = self.progress.storage.borrow().clone();
        let (waiting, read) = waiting.map(|Waiting { reason, text, schema }| (blocking(reason, text), schema)).unzip();
        let is_started = waiting.is_none();
        let (schema_problem, contact) = match waiting {
            Some(problem) if problem.reason == ReadinessReason::Schema => (Some(problem), None),
            other => (None, other),
        };
        let refusal = || (self.refusal)().map(|text| blocking(ReadinessReason::UnusableDatabase, text));
        let check = |name, problem| ReadinessCheck { name, problem, schema: None };
        let is_draining = self.progress.draining.load(Ordering::Acquire);
        Readiness {
            checks: vec![
                check("storage", contact.or_else(refusal)),
                ReadinessCheck {
                    name: "schema",
                    problem: schema_problem,
                    schema: read.flatten().or_else(|| self.progress.schema.get().cloned()),
                },
                check("polls", is_started.then(|| degraded((self.freshness)())).flatten()),
                check("shutdown", is_draining.then(|| blocking(ReadinessReason::Draining, "draining".to_owned()))),
            ],
        }
    }
}

/// Returns a problem because of which the process is not ready.
fn blocking(reason: ReadinessReason, text: String) -> ReadinessProblem {
    ReadinessProblem { reason, text, is_blocking: true }
}

/// Returns the problem of failing polls. The process remains ready while the age of the cached data permits to serve it.
fn degraded(freshness: Freshness) -> Option<ReadinessProblem> {
    if !freshness.is_poll_failing {
        return None;
    }
    let text = if freshness.is_served() {
        format!("polls of the database fail; cached decisions are served for at most {:?}", freshness.served_for)
    } else {
        "polls of the database fail, and the cached data is too old to be served".to_owned()
    };
    Some(ReadinessProblem { reason: ReadinessReason::Degraded, text, is_blocking: !freshness.is_served() })
}

#[cfg(test)]
mod tests {
    use iam_storage::StorageError;

    use super::*;

    struct Storage(Result<(), ()>);

    #[async_trait]
    impl Health for Storage {
        async fn ping(&self) -> iam_storage::Result<()> {
            self.0.map_err(|()| StorageError::Unavailable { retryable: false, source: None })
        }
    }

    fn problems(probe: &dyn HealthProbe) -> Vec<(&'static str, String)> {
        probe.readiness().problems().map(|problem| (problem.reason.code(), problem.text.clone())).collect()
    }

    fn behind() -> Waiting {
        let schema = SchemaVersions { min: "m2".to_owned(), max: None, found: Some("m1".to_owned()) };
        Waiting { reason: ReadinessReason::Schema, text: "schema is behind".to_owned(), schema: Some(schema) }
    }

    #[tokio::test]
    async fn the_process_is_ready_from_the_first_contact_until_the_drain() {
        let progress = Arc::<Progress>::default();
        let refusal = Arc::new(std::sync::Mutex::new(None));
        let refused = Arc::clone(&refusal);
        let ask = Box::new(move || refused.lock().unwrap().clone());
        let fresh = Box::new(Freshness::default);
        let probe = SystemProbe::new(Arc::new(Storage(Ok(()))), Arc::clone(&progress), ask, fresh);
        let first = "waiting for the first connection to the database";
        assert_eq!(problems(&probe), [("first_contact", first.to_owned())]);
        assert!(progress.set_waiting(behind()));
        assert!(!progress.set_waiting(behind()));
        assert_eq!(problems(&probe), [("schema", "schema is behind".to_owned())]);
        let schema = |probe: &dyn HealthProbe| {
            let checks = probe.readiness().checks;
            checks.into_iter().find(|check| check.name == "schema").unwrap().schema.unwrap().found
        };
        assert_eq!(schema(&probe).as_deref(), Some("m1"));
        progress.set_ready(Some(SchemaVersions { min: "m2".to_owned(), max: None, found: Some("m2".to_owned()) }));
        progress.ready().await;
        assert!(probe.readiness().is_ready());
        assert_eq!(schema(&probe).as_deref(), Some("m2"));
        *refusal.lock().unwrap() = Some("it is a standby".to_owned());
        assert_eq!(problems(&probe), [("unusable_database", "it is a standby".to_owned())]);
        *refusal.lock().unwrap() = None;
        assert!(probe.readiness().is_ready());
        progress.drain();
        assert_eq!(problems(&probe), [("draining", "draining".to_owned())]);
    }

    /// While polls fail, the process is ready as long as it may serve cached data.
    #[tokio::test]
    async fn the_process_is_degraded_until_the_cached_data_is_too_old() {
        let seconds = Duration::from_secs;
        for (age, is_poll_failing, codes, is_ready) in [
            (Some(seconds(1)), false, vec![], true),
            (Some(seconds(1)), true, vec!["degraded"], true),
            (Some(seconds(2)), true, vec!["degraded"], false),
            (Some(seconds(9)), false, vec![], true),
            (None, true, vec!["degraded"], false),
            (None, false, vec![], true),
        ] {
            let freshness = Freshness { age, is_poll_failing, served_for: seconds(2), lease_remaining: Duration::ZERO };
            let progress = Arc::<Progress>::default();
            let (storage, check) = (Arc::new(Storage(Ok(()))), Box::new(move || freshness));
            let probe = SystemProbe::new(storage, Arc::clone(&progress), Box::new(|| None), check);
            assert_eq!(problems(&probe).len(), 1, "polls begin after the first contact");
            progress.set_ready(None);
            let found: Vec<_> = problems(&probe).into_iter().map(|(code, _)| code).collect();
            assert_eq!((found, probe.readiness().is_ready()), (codes, is_ready), "{freshness:?}");
        }
    }

    #[tokio::test]
    async fn the_health_of_a_storage_is_the_result_of_its_check() {
        for answer in [Ok(()), Err(())] {
            let (refusal, fresh) = (Box::new(|| None), Box::new(Freshness::default));
            let probe = SystemProbe::new(Arc::new(Storage(answer)), Arc::default(), refusal, fresh);
            assert_eq!(probe.storage_is_healthy().await, answer.is_ok());
        }
    }
}
