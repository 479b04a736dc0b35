//! The loop that runs the background work.

use tokio::time::{MissedTickBehavior, interval};

use crate::Permissions;
use crate::maintenance::FillOptions;
use crate::maintenance::effective_rows::Filled;

impl Permissions {
    /// Loads the users who were active before. After that, periodically writes rows, deletes expired rows and stores
    /// the uses of API keys, forever. Run it in a task of its own once the storage is ready.
    pub async fn maintain(&self, options: FillOptions) {
        match self.warm(options.max_warmed).await {
            Ok(users) => tracing::info!(users, "those who were active before are loaded"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "previously active users could not be loaded")
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
