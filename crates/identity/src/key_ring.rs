//! The keys of one issuer, and how they are refreshed.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::KeySet;
use crate::jwks::{IgnoredEntry, Jwks};
use crate::source::{SourceError, SourceReader};

/// The label in metrics of a read whose set has no usable key.
const NO_USABLE_KEY: &str = "no_usable_key";

/// The keys of one issuer.
pub(crate) struct KeyRing {
    current: ArcSwap<KeySet>,
    /// How they are refreshed; `None` if they never change.
    refresh: Option<Arc<Refresh>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current.load().fmt(f)
    }
}

/// How the keys of one issuer are refreshed, and the outcome of past reads.
struct Refresh {
    /// The issuer, for logs and metrics.
    issuer: String,
    reader: SourceReader,
    /// The interval of reads.
    interval: Duration,
    /// The least time between two reads that unknown keys cause.
    unknown_key_interval: Duration,
    /// The runtime that reads run on, so that they outlive the requests waiting for them.
    runtime: Handle,
    /// Held while reading, so that only one task reads.
    history: Arc<Mutex<ReadHistory>>,
    /// Whether the latest read failed, or there was none.
    is_stale: AtomicBool,
}

/// The outcome of past reads.
#[derive(Default)]
struct ReadHistory {
    /// When the latest read began.
    read_began: Option<Instant>,
    /// When the latest read began that an unknown key caused.
    unknown_key_read_began: Option<Instant>,
    /// The failure of the latest read.
    failure: Option<&'static str>,
    /// The entries that were ignored in the latest successful read.
    ignored: BTreeSet<IgnoredEntry>,
}

impl ReadHistory {
    /// Logs each ignored entry that was not ignored in the previous read.
    fn log_ignored(&mut self, issuer: &str, ignored: Vec<IgnoredEntry>) {
        let ignored = BTreeSet::from_iter(ignored);
        for IgnoredEntry { name, reason } in ignored.difference(&self.ignored) {
            tracing::info!(issuer, "{name} of the issuer's key set is ignored: {reason}");
        }
        self.ignored = ignored;
    }
}

/// The outcome of looking for other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// There are other keys.
    Others,
    /// There are no others, or they cannot be read.
    Same,
    /// The keys were not read, because the latest read began only this long ago.
    TooSoon(Duration),
}

impl KeyRing {
    /// A ring of keys that never change.
    pub(crate) fn fixed(keys: KeySet) -> Self {
        Self { current: ArcSwap::from_pointee(keys), refresh: None }
    }

    /// A ring without keys, which reads them from a source. Reads run on this runtime, and continue when the requests
    /// that wait for them are cancelled.
    pub(crate) fn read_from(
        reader: SourceReader,
        issuer: String,
        interval: Duration,
        unknown_key_interval: Duration,
        runtime: Handle,
    ) -> Self {
        let refresh = Refresh {
            issuer,
            reader,
            interval,
            unknown_key_interval,
            runtime,
            history: Arc::default(),
            is_stale: AtomicBool::new(true),
        };
        Self { current: ArcSwap::default(), refresh: Some(Arc::new(refresh)) }
    }

    /// The current keys.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Whether the latest read failed, so that keys may be missing here.
    pub(crate) fn is_stale(&self) -> bool {
        self.refresh.as_ref().is_some_and(|refresh| refresh.is_stale.load(Ordering::Acquire))
    }

    /// Reads the keys now.
    pub(crate) async fn read(&self) -> Result<(), SourceError> {
        let Some(refresh) = &self.refresh else { return Ok(()) };
        let mut history = refresh.history.lock().await;
        self.read_once(refresh, &mut history).await
    }

    /// Reads the keys periodically, until it is cancelled.
    pub(crate) async fn keep_fresh(&self) {
        let Some(refresh) = &self.refresh else { return };
        // `interval` panics at 0.
        let mut ticks = interval(refresh.interval.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // Failures are logged, and the next tick retries.
            let _ = self.read().await;
        }
    }

    /// Looks for keys other than `tried`, none of which verifies a token.
    ///
    /// Concurrent calls share one read, which continues when they are cancelled. Reads that calls cause are at least
    /// `unknown_key_interval` apart.
    pub(crate) async fn renew(self: &Arc<Self>, tried: &Arc<KeySet>) -> Renewal {
        let Some(refresh) = &self.refresh else { return Renewal::Same };
        let is_new = || !Arc::ptr_eq(&self.current.load(), tried);
        let called = Instant::now();
        let mut history = Arc::clone(&refresh.history).lock_owned().await;
        let was_read_meanwhile = history.read_began.is_some_and(|began| began >= called);
        let is_too_soon =
            history.unknown_key_read_began.is_some_and(|began| began.elapsed() < refresh.unknown_key_interval);
        if !is_new() && !was_read_meanwhile {
            if let (true, Some(began)) = (is_too_soon, history.read_began) {
                return Renewal::TooSoon(began.elapsed());
            }
            history.unknown_key_read_began = Some(Instant::now());
            let reading = refresh.runtime.spawn(Arc::clone(self).read_for_unknown_key(Arc::clone(refresh), history));
            // An error means that the runtime is shutting down.
            let _ = reading.await;
        }
        if is_new() { Renewal::Others } else { Renewal::Same }
    }

    async fn read_for_unknown_key(self: Arc<Self>, refresh: Arc<Refresh>, mut history: OwnedMutexGuard<ReadHistory>) {
        let _ = self.read_once(&refresh, &mut history).await;
    }

    async fn read_once(&self, refresh: &Refresh, history: &mut ReadHistory) -> Result<(), SourceError> {
        history.read_began = Some(Instant::now());
        let read = refresh.reader.read().await;
        let issuer = refresh.issuer.as_str();
        let outcome = match &read {
            Ok(jwks) if jwks.keys.is_empty() => NO_USABLE_KEY,
            Ok(_) => "read",
            Err(error) => error.kind(),
        };
        metrics::counter!("iam_jwks_refresh_total", "issuer" => issuer.to_owned(), "outcome" => outcome).increment(1);
        match read {
            Ok(Jwks { keys, ignored }) => {
                let failure = keys.is_empty().then_some(NO_USABLE_KEY);
                self.replace(issuer, keys);
                refresh.is_stale.store(false, Ordering::Release);
                history.log_ignored(issuer, ignored);
                match (std::mem::replace(&mut history.failure, failure), failure) {
                    (Some(NO_USABLE_KEY), Some(_)) => {}
                    (_, Some(_)) => {
                        tracing::warn!(issuer, "the issuer's key set has no usable key: its tokens are refused")
                    }
                    (Some(_), None) => tracing::info!(issuer, "the issuer's keys can be read again"),
                    (None, None) => {}
                }
                Ok(())
            }
            Err(error) => {
                refresh.is_stale.store(true, Ordering::Release);
                if history.failure.replace(error.kind()) != Some(error.kind()) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(
                        issuer,
                        cause,
                        "the issuer's keys cannot be read, the previous ones stay in use: {error}"
                    );
                }
                Err(error)
            }
        }
    }

    /// Replaces the keys. Tokens that only the old keys verified are refused from now on.
    pub(crate) fn replace(&self, issuer: &str, keys: KeySet) {
        let old = self.current.load_full();
        let keys = keys.sharing(&old);
        if !keys.is_same(&old) {
            tracing::info!(issuer, ?keys, "the issuer's keys have changed");
            let keys = Arc::new(keys);
            self.current.store(Arc::clone(&keys));
            old.retire_unless_in(&keys);
        }
    }
}
