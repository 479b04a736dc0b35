//! The current keys of one issuer, and the refresh that replaces these keys (JWKS rotation).

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use iam_traces::carry;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use crate::KeySet;
use crate::jwks::{IgnoredEntry, Jwks};
use crate::reads::Reads;
use crate::source::{SourceError, SourceReader};
use crate::system_clock::system_clock;

/// The label of a read that found no usable key. It is used in metrics and in [`ReadHistory::failure`].
const NO_USABLE_KEY: &str = "no_usable_key";

/// The label of a read that found usable keys, in metrics.
const READ: &str = "read";

/// Returns the counter of the reads of an issuer's keys with this outcome.
fn refreshes(issuer: &str, outcome: &'static str) -> metrics::Counter {
    metrics::counter!("iam_jwks_refresh_total", "issuer" => issuer.to_owned(), "outcome" => outcome)
}

/// The current keys of one issuer.
pub(crate) struct KeyRing {
    current: ArcSwap<KeySet>,
    /// The refresh of the keys. `None` if the keys never change.
    refresh: Option<Arc<Refresh>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current.load().fmt(f)
    }
}

/// The refresh of one issuer's keys: its configuration, and the outcome of past reads.
struct Refresh {
    /// The name of the issuer in logs and metrics.
    issuer: String,
    reader: SourceReader,
    /// The interval between periodic reads.
    interval: Duration,
    /// Minimum time between consecutive reads that are triggered by unknown keys (rate limit).
    unknown_key_interval: Duration,
    /// The runtime on which reads run. A read continues even if the requests that wait for it are cancelled.
    runtime: Handle,
    /// The outcome of past reads. The mutex is held during a read, so that only one task reads at a time.
    history: Arc<Mutex<ReadHistory>>,
    /// `true` if the latest read failed, or if there was no read yet.
    is_stale: AtomicBool,
    /// The time at which the read in progress began. `None` if no read is in progress.
    reading_since: StdMutex<Option<Instant>>,
    /// The outcome of past reads, as [`KeyRing::reads`] reports it.
    reads: StdMutex<Reads>,
}

/// Maximum time for which a token waits for a read of the keys.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Duration of a read in progress from which on the keys count as unavailable.
const SLOW: Duration = Duration::from_millis(750);

impl Refresh {
    /// Records the outcome of a read that has just ended.
    fn record(&self, outcome: &'static str) {
        let now = system_clock().now();
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            READ => reads.succeeded_at = Some(now),
            failure => reads.failed_at = Some((now, failure)),
        }
    }

    fn set_reading_since(&self, began: Option<Instant>) {
        *self.reading_since.lock().unwrap_or_else(PoisonError::into_inner) = began;
    }
}

/// The outcome of past reads.
#[derive(Default)]
struct ReadHistory {
    /// The time at which the latest read began. `None` if there was no read yet.
    read_began: Option<Instant>,
    /// The time at which the latest read for an unknown key began. `None` if there was no such read yet.
    unknown_key_read_began: Option<Instant>,
    /// The label of the failure of the latest read. `None` if the read succeeded.
    failure: Option<&'static str>,
    /// The entries that the latest successful read ignored.
    ignored: BTreeSet<IgnoredEntry>,
}

impl ReadHistory {
    /// Logs each ignored entry, unless the previous successful read ignored it too.
    fn log_ignored(&mut self, issuer: &str, ignored: Vec<IgnoredEntry>) {
        let ignored = BTreeSet::from_iter(ignored);
        for IgnoredEntry { name, reason } in ignored.difference(&self.ignored) {
            tracing::info!(issuer, "{name} in the issuer's key set is ignored: {reason}");
        }
        self.ignored = ignored;
    }
}

/// The outcome of [`KeyRing::renew`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// The key set has changed since the caller tried its keys.
    Others,
    /// The key set has not changed, or cannot be read.
    Same,
}

impl KeyRing {
    /// Creates a ring of keys that never change.
    pub(crate) fn fixed(keys: KeySet) -> Self {
        Self { current: ArcSwap::from_pointee(keys), refresh: None }
    }

    /// Creates an empty ring that reads its keys from a source. Reads that requests trigger run on `runtime`. Such a
    /// read continues even if the waiting requests are cancelled.
    pub(crate) fn read_from(
        reader: SourceReader,
        issuer: String,
        interval: Duration,
        unknown_key_interval: Duration,
        runtime: Handle,
    ) -> Self {
        for outcome in [READ, NO_USABLE_KEY].into_iter().chain(SourceError::KINDS) {
            refreshes(&issuer, outcome).increment(0);
        }
        let refresh = Refresh {
            issuer,
            reader,
            interval,
            unknown_key_interval,
            runtime,
            history: Arc::default(),
            is_stale: AtomicBool::new(true),
            reading_since: StdMutex::default(),
            reads: StdMutex::new(Reads { interval, ..Reads::default() }),
        };
        Self { current: ArcSwap::default(), refresh: Some(Arc::new(refresh)) }
    }

    /// Returns the current keys.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Returns the outcome of past reads. Returns `None` if the keys never change.
    pub(crate) fn reads(&self) -> Option<Reads> {
        let refresh = self.refresh.as_ref()?;
        Some(*refresh.reads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns `true` if the keys cannot be read now: the latest read failed, there was no read yet, or the read in
    /// progress is slow. In all these cases, keys of the issuer may be missing.
    pub(crate) fn is_unavailable(&self) -> bool {
        self.refresh.as_ref().is_some_and(|refresh| {
            let reading_since = *refresh.reading_since.lock().unwrap_or_else(PoisonError::into_inner);
            refresh.is_stale.load(Ordering::Acquire) || reading_since.is_some_and(|began| began.elapsed() >= SLOW)
        })
    }

    /// Reads the keys now.
    pub(crate) async fn read(&self) -> Result<(), SourceError> {
        let Some(refresh) = &self.refresh else { return Ok(()) };
        let mut history = refresh.history.lock().await;
        self.read_once(refresh, &mut history).await
    }

    /// Reads the keys periodically, until the future is dropped.
    pub(crate) async fn keep_fresh(&self) {
        let Some(refresh) = &self.refresh else { return };
        // `interval` panics if the period is zero.
        let mut ticks = interval(refresh.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // The read has already logged the failure, and the next tick retries.
            let _ = self.read().await;
        }
    }

    /// Reads the key set again because none of the keys in `tried` verifies a token that arrived at `arrived`. Returns
    /// as soon as a read that began after `arrived` has ended, and [`LONGEST_WAIT`] after `arrived` at the latest.
    ///
    /// Concurrent calls share one read (single flight). The read continues even if the calls are cancelled. Consecutive
    /// reads that such calls trigger are at least `unknown_key_interval` apart.
    pub(crate) async fn renew(self: &Arc<Self>, tried: &Arc<KeySet>, arrived: Instant) -> Renewal {
        let Some(refresh) = &self.refresh else { return Renewal::Same };
        // If the time is over, the read continues in the background.
        let _ = timeout_at(arrived + LONGEST_WAIT, self.read_after(refresh, tried, arrived)).await;
        if self.has_other_keys_than(tried) { Renewal::Others } else { Renewal::Same }
    }

    /// Waits until the key set differs from `tried`, or until a read that began after `arrived` has ended. Begins this
    /// read if the rate limit allows it.
    async fn read_after(self: &Arc<Self>, refresh: &Arc<Refresh>, tried: &Arc<KeySet>, arrived: Instant) {
        loop {
            let mut history = Arc::clone(&refresh.history).lock_owned().await;
            let was_read_meanwhile = history.read_began.is_some_and(|began| began >= arrived);
            if was_read_meanwhile || self.has_other_keys_than(tried) {
                return;
            }
            let next = history
                .unknown_key_read_began
                .map_or(Duration::ZERO, |began| refresh.unknown_key_interval.saturating_sub(began.elapsed()));
            if next.is_zero() {
                history.unknown_key_read_began = Some(Instant::now());
                let read = Arc::clone(self).read_for_unknown_key(Arc::clone(refresh), history);
                // An error means that the runtime is shutting down.
                let _ = refresh.runtime.spawn(carry(read)).await;
                return;
            }
            drop(history);
            if next > LONGEST_WAIT {
                return;
            }
            sleep(next).await;
        }
    }

    fn has_other_keys_than(&self, tried: &Arc<KeySet>) -> bool {
        !Arc::ptr_eq(&self.current.load(), tried)
    }

    async fn read_for_unknown_key(self: Arc<Self>, refresh: Arc<Refresh>, mut history: OwnedMutexGuard<ReadHistory>) {
        let _ = self.read_once(&refresh, &mut history).await;
    }

    async fn read_once(&self, refresh: &Refresh, history: &mut ReadHistory) -> Result<(), SourceError> {
        history.read_began = Some(Instant::now());
        refresh.set_reading_since(history.read_began);
        let read = refresh.reader.read().await;
        refresh.set_reading_since(None);
        let issuer = refresh.issuer.as_str();
        let outcome = match &read {
            Ok(jwks) if jwks.keys.is_empty() => NO_USABLE_KEY,
            Ok(_) => READ,
            Err(error) => error.kind(),
        };
        refreshes(issuer, outcome).increment(1);
        refresh.record(outcome);
        match read {
            Ok(Jwks { keys, ignored }) => {
                let failure = keys.is_empty().then_some(NO_USABLE_KEY);
                self.replace(issuer, keys);
                refresh.is_stale.store(false, Ordering::Release);
                history.log_ignored(issuer, ignored);
                match (std::mem::replace(&mut history.failure, failure), failure) {
                    (Some(NO_USABLE_KEY), Some(_)) => {}
                    (_, Some(_)) => {
                        tracing::warn!(
                            issuer,
                            "the issuer's key set has no usable key, so the issuer's tokens are rejected"
                        )
                    }
                    (Some(_), None) => tracing::info!(issuer, "the issuer's keys can be read again"),
                    (None, None) => {}
                }
                Ok(())
            }
            Err(error) => {
                refresh.is_stale.store(true, Ordering::Release);
                if history.failure.replace(error.kind()) != Some(error.kind()) {
                    let error = &error as &dyn Error;
                    tracing::warn!(
                        issuer,
                        error,
                        "the issuer's keys cannot be read, so the previous keys remain in use"
                    );
                }
                Err(error)
            }
        }
    }

    /// Replaces the keys. From now on, tokens that were signed with a removed key are rejected.
    pub(crate) fn replace(&self, issuer: &str, keys: KeySet) {
        let old = self.current.load_full();
        let keys = keys.sharing(&old);
        if !keys.is_same(&old) {
            tracing::info!(issuer, keys = keys.algorithms(), "the issuer's keys have changed");
            let keys = Arc::new(keys);
            self.current.store(Arc::clone(&keys));
            old.retire_unless_in(&keys);
        }
    }
}
