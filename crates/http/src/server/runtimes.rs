//! The list of the Tokio runtimes of the process, for metrics and for the liveness check. Each of them has a task that
//! states regularly that the runtime still executes tasks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::task::AbortHandle;
use tokio::time::sleep;

/// The name of the runtime that runs everything except requests.
pub(super) const MAIN: &str = "main";

/// The names of all runtimes. The worker threads of a server have a runtime each, which share the name of the server.
pub(super) const NAMES: [&str; 3] = [MAIN, "http", "admin"];

/// The time between two beats of a runtime.
const BEAT: Duration = Duration::from_secs(1);

/// The time without a beat after which a runtime counts as stalled.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(10);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);
static RUNTIMES: Mutex<Vec<Arc<Runtime>>> = Mutex::new(Vec::new());

/// A runtime of this process.
#[derive(Debug)]
pub(super) struct Runtime {
    name: &'static str,
    pub(super) metrics: RuntimeMetrics,
    /// The time of the latest beat, in milliseconds since [`START`].
    beat: AtomicU64,
}

impl Runtime {
    /// Returns the time since the latest beat.
    pub(super) fn silence(&self) -> Duration {
        now().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)))
    }

    /// Beats until the task is aborted.
    async fn beat(&self) {
        loop {
            self.beat.store(u64::try_from(now().as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
            sleep(BEAT).await;
        }
    }
}

fn now() -> Duration {
    START.elapsed()
}

/// Keeps a runtime in the list. Dropping it removes the runtime.
#[derive(Debug)]
pub(super) struct Listed {
    runtime: Arc<Runtime>,
    beat: AbortHandle,
}

/// Adds a runtime to the list, and starts its beat.
pub(super) fn list(name: &'static str, handle: &Handle) -> Listed {
    let beat = AtomicU64::new(u64::try_from(now().as_millis()).unwrap_or(u64::MAX));
    let runtime = Arc::new(Runtime { name, metrics: handle.metrics(), beat });
    lock().push(Arc::clone(&runtime));
    let beating = Arc::clone(&runtime);
    let beat = handle.spawn(async move { beating.beat().await }).abort_handle();
    Listed { runtime, beat }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.beat.abort();
        lock().retain(|other| !Arc::ptr_eq(other, &self.runtime));
    }
}

/// Returns the runtimes with this name.
pub(super) fn named(name: &str) -> Vec<Arc<Runtime>> {
    lock().iter().filter(|runtime| runtime.name == name).map(Arc::clone).collect()
}

/// Returns the time since the latest beat of the runtime with this name that has been silent for longest. Returns zero if
/// there is no such runtime.
pub(super) fn silence(name: &str) -> Duration {
    named(name).iter().map(|runtime| runtime.silence()).max().unwrap_or_default()
}

fn lock() -> MutexGuard<'static, Vec<Arc<Runtime>>> {
    RUNTIMES.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Waits until a condition holds.
    fn wait_until(holds: impl Fn() -> bool) {
        for _ in 0..6000 {
            if holds() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the condition does not hold after a minute");
    }

    /// A runtime with one worker thread, which a task blocks until the sender is dropped, is silent.
    #[test]
    fn a_blocked_runtime_is_silent_and_a_dropped_one_is_not_listed() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listed = list("blocked in a test", runtime.handle());
        let since_start = || listed.runtime.beat.load(Ordering::Relaxed);
        let first = since_start();
        wait_until(|| since_start() > first);
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let (blocking, blocked) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move {
            drop(blocking);
            let _ = receiver.recv();
        });
        assert!(blocked.recv().is_err(), "the task must run");
        wait_until(|| silence("blocked in a test") > 2 * BEAT);
        drop(sender);
        wait_until(|| silence("blocked in a test") < BEAT);
        drop(listed);
        assert!(named("blocked in a test").is_empty());
        assert_eq!(silence("blocked in a test"), Duration::ZERO);
    }
}
