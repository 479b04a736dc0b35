//! The keys of one issuer, and how they are kept fresh.

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
use crate::keys::{IgnoredEntry, Jwks};
use crate::source::{Readable, SourceError};

/// How reading ended where the set has no key that can be used: a word for metrics.
const NO_USABLE_KEY: &str = "no_usable_key";

/// The keys of one issuer.
pub(crate) struct KeyRing {
    current: ArcSwap<KeySet>,
    /// What they are read from; those without are there for good.
    source: Option<Arc<Source>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current.load().fmt(f)
    }
}

/// Where keys are read, and how that went.
struct Source {
    /// The issuer, for logs and metrics.
    issuer: String,
    readable: Readable,
    /// How often it is read.
    pause: Duration,
    /// How often unauthenticated callers can make it be read.
    pause_for_strangers: Duration,
    /// Where reading goes on, whoever waits for it.
    runtime: Handle,
    /// Held while reading, so that there is one who reads.
    past: Arc<Mutex<Past>>,
    /// Whether the last time failed, or there was none.
    is_stale: AtomicBool,
}

/// What happened so far.
#[derive(Default)]
struct Past {
    /// When reading began the last time.
    began: Option<Instant>,
    /// When reading began the last time that an unauthenticated caller asked for it.
    began_for_strangers: Option<Instant>,
    /// What was wrong the last time.
    failure: Option<&'static str>,
    /// Which entries were left out the last time that the keys could be read.
    ignored: BTreeSet<IgnoredEntry>,
}

impl Past {
    /// Logs each entry that is left out now and was not the last time.
    fn tell_ignored(&mut self, issuer: &str, ignored: Vec<IgnoredEntry>) {
        let ignored = BTreeSet::from_iter(ignored);
        for IgnoredEntry { name, reason } in ignored.difference(&self.ignored) {
            tracing::info!(issuer, "{name} of the issuer's key set is ignored: {reason}");
        }
        self.ignored = ignored;
    }
}

/// What comes of looking for other keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// There are others.
    Others,
    /// There are none, as far as they can be read.
    Same,
    /// Nobody has looked: the last time was so short a while ago.
    TooSoon(Duration),
}

impl KeyRing {
    /// These keys, for good.
    pub(crate) fn fixed(keys: KeySet) -> Self {
        Self { current: ArcSwap::from_pointee(keys), source: None }
    }

    /// None yet. They are read on this runtime, however many wait for them and give up.
    pub(crate) fn read_from(
        readable: Readable,
        issuer: String,
        pause: Duration,
        pause_for_strangers: Duration,
        runtime: Handle,
    ) -> Self {
        let source = Source {
            issuer,
            readable,
            pause,
            pause_for_strangers,
            runtime,
            past: Arc::default(),
            is_stale: AtomicBool::new(true),
        };
        Self { current: ArcSwap::default(), source: Some(Arc::new(source)) }
    }

    /// The keys of this moment.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Whether there may be keys that are not known here, because reading them failed.
    pub(crate) fn is_stale(&self) -> bool {
        self.source.as_ref().is_some_and(|source| source.is_stale.load(Ordering::Acquire))
    }

    /// Reads them now.
    pub(crate) async fn read(&self) -> Result<(), SourceError> {
        let Some(source) = &self.source else { return Ok(()) };
        let mut past = source.past.lock().await;
        self.read_once(source, &mut past).await
    }

    /// Reads them again and again, until it is stopped.
    pub(crate) async fn keep_fresh(&self) {
        let Some(source) = &self.source else { return };
        // `interval` panics at 0.
        let mut ticks = interval(source.pause.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // What fails is logged, and tried again.
            let _ = self.read().await;
        }
    }

    /// Looks for others than `seen`, of which none fits.
    ///
    /// However many wait here, one reads for all of them, and goes on if they give up. They cannot make it happen more often
    /// than every so often.
    pub(crate) async fn renew(self: &Arc<Self>, seen: &Arc<KeySet>) -> Renewal {
        let Some(source) = &self.source else { return Renewal::Same };
        let is_new = || !Arc::ptr_eq(&self.current.load(), seen);
        let asked = Instant::now();
        let mut past = Arc::clone(&source.past).lock_owned().await;
        let was_read_for_me = past.began.is_some_and(|began| began >= asked);
        let is_too_soon = past.began_for_strangers.is_some_and(|began| began.elapsed() < source.pause_for_strangers);
        if !is_new() && !was_read_for_me {
            if let (true, Some(began)) = (is_too_soon, past.began) {
                return Renewal::TooSoon(began.elapsed());
            }
            past.began_for_strangers = Some(Instant::now());
            let reading = source.runtime.spawn(Arc::clone(self).read_for_strangers(Arc::clone(source), past));
            // If it was aborted, the runtime ends.
            let _ = reading.await;
        }
        if is_new() { Renewal::Others } else { Renewal::Same }
    }

    async fn read_for_strangers(self: Arc<Self>, source: Arc<Source>, mut past: OwnedMutexGuard<Past>) {
        let _ = self.read_once(&source, &mut past).await;
    }

    async fn read_once(&self, source: &Source, past: &mut Past) -> Result<(), SourceError> {
        past.began = Some(Instant::now());
        let read = source.readable.read().await;
        let issuer = source.issuer.as_str();
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
                source.is_stale.store(false, Ordering::Release);
                past.tell_ignored(issuer, ignored);
                match (std::mem::replace(&mut past.failure, failure), failure) {
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
                source.is_stale.store(true, Ordering::Release);
                if past.failure.replace(error.kind()) != Some(error.kind()) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(
                        issuer,
                        cause,
                        "the issuer's keys cannot be read, those of before are kept: {error}"
                    );
                }
                Err(error)
            }
        }
    }

    /// From here on these keys are used, and no others, nor any token that only others verified.
    pub(crate) fn replace(&self, issuer: &str, keys: KeySet) {
        let old = self.current.load_full();
        let keys = keys.succeed(&old);
        if !keys.is_same(&old) {
            tracing::info!(issuer, ?keys, "the issuer's keys have changed");
            let keys = Arc::new(keys);
            self.current.store(Arc::clone(&keys));
            old.retire_unless_in(&keys);
        }
    }
}
