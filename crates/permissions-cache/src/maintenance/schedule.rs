//! The loop that runs the background maintenance.

use tokio::time::{MissedTickBehavior, interval};

use crate::Permissions;
use crate::maintenance::FillOptions;
use crate::maintenance::effective_rows::Filled;

impl Permissions {
    /// Loads recently active users into the cache (cache warming). Then publishes metrics, writes effective-permission
    /// rows, stores the uses of API keys and deletes expired rows, periodically in an endless loop. Run this function
    /// in a separate task after the storage is ready.
    pub async fn maintain(&self, options: FillOptions) {
        match self.warm(options.max_warmed).await {
            Ok(users) => tracing::info!(users, "recently active users are loaded"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "recently active users could not be loaded")
            }
        }
        let mut filled = Filled::default();
        let mut ticks = interval(options.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.stats().publish();
            self.fill(&mut filled, &options).await;
            self.note_uses().await;
            if let Err(error) = self.sweep(options.max_swept).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "expired rows could not be deleted");
            }
        }
    }
}
