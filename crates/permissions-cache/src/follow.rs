//! Following the changes that other processes make.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use iam_storage::{Beat, ChangeFeed, Heard, Result};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::Permissions;

/// How long to wait before the second attempt to open a channel.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many signs of life are sent in the time of a lease.
const BEATS: u32 = 4;
/// How many companies are compared with the store in one statement.
const COMPANIES: usize = 1000;

impl Permissions {
    /// Hears what is changed elsewhere, for ever: run it in a task of its own. While it hears its own signs of life, what is
    /// kept is trusted. Reconnects by itself, ever less often while it fails.
    pub async fn follow(&self, feed: Arc<dyn ChangeFeed>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let opened = Instant::now();
            if let Err(error) = self.listen(feed.as_ref()).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "changes cannot be followed");
            }
            self.cache.turn_channel();
            metrics::counter!("iam_cache_channel_lost_total").increment(1);
            if opened.elapsed() > self.options.lease * 2 {
                pause = FIRST_PAUSE;
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hears until the channel breaks, or is silent for longer than a lease.
    async fn listen(&self, feed: &dyn ChangeFeed) -> Result<()> {
        let mut channel = feed.subscribe().await?;
        // What began before the channel was open may have missed a change; so may what was kept before.
        self.cache.turn_channel();
        for companies in self.cache.companies().chunks(COMPANIES) {
            self.confirm_all(companies).await?;
        }
        // The catalog's version too, if there was no company.
        self.confirm_all(&[]).await?;
        tracing::debug!("changes are followed");

        let mut ticks = interval((self.options.lease / BEATS).max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last_heard = Instant::now();
        let mut awaited = None;
        let mut sending = None;
        loop {
            tokio::select! {
                // What was heard comes first: a sign of life only proves what was written down before it.
                biased;
                heard = channel.next() => match heard {
                    Heard::Changed(notice) => self.cache.heard(notice),
                    Heard::Beat(beat) => {
                        if let Some((_, sent)) = awaited.take_if(|(mine, _)| *mine == beat) {
                            self.cache.extend_lease(sent);
                            last_heard = Instant::now();
                        }
                    }
                    Heard::Lost => return Ok(()),
                },
                Some(sent) = OptionFuture::from(sending.as_mut()) => {
                    sending = None;
                    if !matches!(sent, Ok(Ok(()))) {
                        tracing::debug!(?sent, "a sign of life could not be sent");
                        awaited = None;
                    }
                }
                _ = ticks.tick() => {
                    if last_heard.elapsed() > self.options.lease * 2 {
                        tracing::warn!("the channel of changes is silent");
                        return Ok(());
                    }
                    if sending.is_none() && awaited.is_none() {
                        let beat = Beat::new();
                        awaited = Some((beat, self.cache.lease.sending()));
                        sending = Some(Box::pin(timeout(self.options.lease, feed.beat(beat))));
                    }
                }
            }
        }
    }
}
