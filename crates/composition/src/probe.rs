//! The readiness of the process and the health of the storage, as the health endpoints report them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use iam_application::{HealthProbe, Readiness, ReadinessCheck};
use iam_storage::Health;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};

/// Timeout for a ping of the storage.
const PING_LIMIT: Duration = Duration::from_secs(2);
/// Time for which the result of a ping is cached.
const PING_TTL: Duration = Duration::from_secs(1);

/// The lifecycle phase of the process: starting, ready or draining.
#[derive(Debug)]
pub(crate) struct Progress {
    /// The reason why the storage is not ready yet, or `None` once it is ready. The value then remains `None`, even if
    /// the database fails. A failure of the database affects every replica, and taking all replicas out of service
    /// would help no client.
    storage: watch::Sender<Option<String>>,
    draining: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        let waiting = "waiting for the first connection to the database".to_owned();
        Self { storage: watch::Sender::new(Some(waiting)), draining: AtomicBool::new(false) }
    }
}

impl Progress {
    /// Records that the storage is ready.
    pub(crate) fn set_ready(&self) {
        self.storage.send_replace(None);
    }

    /// Records why the storage is not ready yet. Returns `true` if the reason has changed.
    pub(crate) fn set_waiting(&self, problem: String) -> bool {
        self.storage.send_if_modified(|current| {
            let is_new = current.as_ref() != Some(&problem);
            *current = Some(problem);
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

/// The probe that reports the health of the storage and the readiness of the process.
pub(crate) struct SystemProbe {
    storage: Arc<dyn Health>,
    progress: Arc<Progress>,
    refusal: RefusalCheck,
    runtime: Handle,
    /// The time of the latest ping, and whether the storage responded.
    latest: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl SystemProbe {
    /// Creates the probe. Call this function on the Tokio runtime of the storage.
    pub(crate) fn new(storage: Arc<dyn Health>, progress: Arc<Progress>, refusal: RefusalCheck) -> Self {
        Self { storage, progress, refusal, runtime: Handle::current(), latest: Arc::default() }
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
        let draining = self.progress.draining.load(Ordering::Acquire);
        Readiness {
            checks: vec![
                ReadinessCheck { name: "storage", problem: self.storage_problem() },
                ReadinessCheck { name: "shutdown", problem: draining.then(|| "draining".to_owned()) },
            ],
        }
    }
}

impl SystemProbe {
    /// Returns the current problem with the storage, if any. A failure of the database after the start does not count
    /// as a problem, because it affects all replicas. A rejection of new connections counts as a problem, because it
    /// may affect only this replica: other replicas may be connected to another database server.
    fn storage_problem(&self) -> Option<String> {
        self.progress.storage.borrow().clone().or_else(|| (self.refusal)())
    }
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

    fn problems(probe: &dyn HealthProbe) -> Vec<String> {
        probe.readiness().checks.into_iter().filter_map(|check| check.problem).collect()
    }

    #[tokio::test]
    async fn the_process_is_ready_from_the_first_contact_until_the_drain() {
        let progress = Arc::<Progress>::default();
        let refusal = Arc::new(std::sync::Mutex::new(None));
        let refused = Arc::clone(&refusal);
        let ask = Box::new(move || refused.lock().unwrap().clone());
        let probe = SystemProbe::new(Arc::new(Storage(Ok(()))), Arc::clone(&progress), ask);
        assert_eq!(problems(&probe), ["waiting for the first connection to the database"]);
        assert!(progress.set_waiting("schema is behind".to_owned()));
        assert!(!progress.set_waiting("schema is behind".to_owned()));
        assert_eq!(problems(&probe), ["schema is behind"]);
        progress.set_ready();
        progress.ready().await;
        assert!(probe.readiness().is_ready());
        *refusal.lock().unwrap() = Some("it is a standby".to_owned());
        assert_eq!(problems(&probe), ["it is a standby"]);
        *refusal.lock().unwrap() = None;
        assert!(probe.readiness().is_ready());
        progress.drain();
        assert_eq!(problems(&probe), ["draining"]);
    }

    #[tokio::test]
    async fn the_health_of_a_storage_is_the_result_of_its_check() {
        for answer in [Ok(()), Err(())] {
            let probe = SystemProbe::new(Arc::new(Storage(answer)), Arc::default(), Box::new(|| None));
            assert_eq!(probe.storage_is_healthy().await, answer.is_ok());
        }
    }
}
