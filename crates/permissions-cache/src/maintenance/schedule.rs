//! The loop that runs the work in the background.

use tokio::time::{MissedTickBehavior, interval};

use crate::Permissions;
use crate::maintenance::FillOptions;
use crate::maintenance::effective_rows::Filled;

impl Permissions {
    /// Warms up; then writes rows, deletes expired ones and stores the uses of API keys, forever. Run it in a task of
    /// its own once the storage is ready.
    pub async fn maintain(&self, options: FillOptions) {
        match self.warm(options.max_warmed).await {
            Ok(users) => tracing::info!(users, "those who were active before are loaded"),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "active users could not be loaded ahead")
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
                tracing::warn!(error = &error as &dyn std::error::Error, "expired rows could not be dropped");
            }
        }
    }
}
