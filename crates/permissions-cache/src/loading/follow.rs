//! Follows the changes that other processes make.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use iam_storage::Result;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::loading::polls::Polls;

/// How many polls a lease gets without any wake-up.
const POLLS: u32 = 4;
/// The least time between two polls, however frequent the wake-ups.
const LEAST_GAP: Duration = Duration::from_millis(5);
/// How long to wait before the second attempt to listen for wake-ups.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Polls {
    /// Polls for changes of other processes, forever: run it in a task of its own. While its polls are answered, what
    /// is kept is trusted. Wake-ups make it poll at once; without any it polls four times in the time of a lease.
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
                    tracing::info!("changes are followed again");
                }
                Ok(()) => {}
                Err(error) if failing => {
                    tracing::debug!(error = &error as &dyn Error, "changes cannot be followed");
                }
                Err(error) => {
                    failing = true;
                    tracing::warn!(error = &error as &dyn Error, "changes cannot be followed");
                }
            }
            sleep(LEAST_GAP).await;
        }
    }

    /// Listens for wake-ups, and retries with growing pauses while that fails.
    async fn listen_forever(&self, woken: &Notify) -> Infallible {
        let mut pause = FIRST_PAUSE;
        loop {
            let began = Instant::now();
            let Err(error) = self.listen(woken).await;
            tracing::warn!(error = &error as &dyn Error, "wake-ups are lost: changes are polled for at intervals");
            metrics::counter!("iam_cache_channel_lost_total").increment(1);
            if began.elapsed() > self.context.options.lease * 2 {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Forwards wake-ups until there are no more.
    async fn listen(&self, woken: &Notify) -> Result<Infallible> {
        let mut wake_ups = self.context.storage.changes().listen().await?;
        tracing::debug!("wake-ups are listened for");
        loop {
            // Also for wake-ups that were lost before.
            woken.notify_one();
            wake_ups.next().await?;
        }
    }
}
