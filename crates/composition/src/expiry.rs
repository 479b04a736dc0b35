//! The background task that removes expired assignments.

use std::sync::Arc;

use iam_application::Application;
use tokio::time::{MissedTickBehavior, interval};

use crate::AssignmentSettings;
use crate::probe::Progress;

/// Waits until the storage is ready, and then removes expired assignments periodically, until the task is cancelled. All
/// replicas run this task; the lock of a company prevents that two of them remove its assignments at the same time.
pub(crate) async fn remove_expired_assignments(
    application: Arc<Application>,
    settings: AssignmentSettings,
    progress: Arc<Progress>,
) {
    progress.ready().await;
    let mut ticks = interval(settings.sweep_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match application.remove_expired_assignments(settings.keep_expired).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed expired assignments"),
            Err(failure) => tracing::warn!(%failure, "failed to remove expired assignments"),
        }
    }
}
