//! The background loops that poll for changes by other replicas and listen for wake-ups.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use iam_storage::Result;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::loading::polls::Polls;

/// Number of polls per lease duration if no wake-up arrives.
const POLLS: u32 = 4;
/// Minimum delay between two polls, even if wake-ups arrive more often (rate limit).
const MIN_GAP: Duration = Duration::from_millis(5);
/// Initial delay before the subscription to wake-ups is retried. The delay doubles with each failure (exponential
/// back-off).
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Maximum delay before the subscription to wake-ups is retried.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Polls {
    /// Polls for changes by other replicas in an endless loop. Run this function in a separate task. Each poll that
    /// confirms the cached data renews the lease. A wake-up triggers a poll immediately. Without wake-ups, there are
    /// four polls per lease duration.
    pub(crate) async fn follow(&self) {
        self.begin_to_follow();
        let woken = Notify::new();
        tokio::join!(self.poll_forever(&woken), self.listen_forever(&woken));
    }

    async fn poll_forever(&self, woken: &Notify) -> Infallible {
        let mut ticks = interval((self.context.options.lease / POLLS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = woken.notified() => {}
            }
            match self.poll_for_lease().await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("polling for changes succeeded again");
                }
                Ok(()) => {}
                Err(error) if failing => {
                    tracing::debug!(error = &error as &dyn Error, "a poll for changes failed");
                }
                Err(error) => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn Error, "a poll for changes failed");
                }
            }
            sleep(MIN_GAP).await;
        }
    }

    /// Listens for wake-ups. If the subscription fails, retries it with exponential back-off.
    async fn listen_forever(&self, woken: &Notify) -> Infallible {
        let mut pause = FIRST_PAUSE;
        let mut failing = false;
        loop {
            let began = Instant::now();
            let Err(error) = self.listen(woken).await;
            let lasted = began.elapsed() > self.context.options.lease * 2;
            // Consecutive failures are logged as a warning only once.
            if failing && !lasted {
                tracing::debug!(
                    error = &error as &dyn Error,
                    "the wake-up subscription failed; until it is restored, only periodic polls detect changes"
                );
            } else {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "the wake-up subscription failed; until it is restored, only periodic polls detect changes"
                );
            }
            failing = true;
            metrics::counter!("iam_cache_channel_lost_total").increment(1);
            if lasted {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Subscribes to wake-ups and forwards them to `woken` until the subscription fails.
    async fn listen(&self, woken: &Notify) -> Result<Infallible> {
        let mut wake_ups = self.context.storage.changes().listen().await?;
        tracing::debug!("listening for wake-ups");
        loop {
            // The first notification triggers a poll, because wake-ups may have been missed before the subscription was
            // active.
            woken.notify_one();
            wake_ups.next().await?;
        }
    }
}
