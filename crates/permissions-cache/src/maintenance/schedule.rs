//! The loop that runs the background maintenance.

use tokio::time::{MissedTickBehavior, interval};

use crate::Permissions;
use crate::maintenance::FillOptions;
use crate::maintenance::effective_rows::Filled;
use crate::metric_list::{RUNS, SWEEP};

impl Permissions {
    /// Loads recently active users into the cache (cache warming). Then, periodically in an endless loop, writes
    /// effective-permission rows, stores the times at which API keys were last used, and deletes expired rows. Run this
    /// function in a separate task after the storage is ready.
    pub async fn maintain(&self, options: FillOptions) {
        match self.warm(options.max_warmed).await {
            Ok(users) => {
                metrics::counter!("iam_warmed_users_total").increment(users as u64);
                tracing::info!(users, "loaded recently active users into the cache");
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to load recently active users into the cache"
                )
            }
        }
        let mut filled = Filled::default();
        let mut ticks = interval(options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.fill(&mut filled, &options).await;
            self.note_uses().await;
            let swept = self.sweep(options.max_swept).await;
            let outcome = if swept.is_ok() { "success" } else { "failure" };
            metrics::counter!(RUNS, "task" => SWEEP, "outcome" => outcome).increment(1);
            if let Err(error) = swept {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to delete expired effective-permission rows"
                );
            }
        }
    }
}
