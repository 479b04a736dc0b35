//! The background task that removes expired assignments.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use iam_application::Application;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::AssignmentSettings;
use crate::background_runs::{self, Task};
use crate::probe::Progress;

/// The pause between two batches of expired assignments. Other changes to the same company are made in this pause.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits until the storage is ready, and then removes expired assignments periodically, until the task is cancelled. All
/// replicas run this task; the lock of a company prevents that two of them remove its assignments at the same time. After a
/// failure, the removal continues at the next interval.
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
        while let Some(removed) = remove_batches(&application, &settings).await {
            tracing::info!(removed, "removed expired assignments");
            sleep(PAUSE).await;
        }
    }
}

/// Removes one batch of expired assignments from each company. Returns their number, or `None` if there were none or if
/// the removal failed.
async fn remove_batches(application: &Application, settings: &AssignmentSettings) -> Option<NonZero<u64>> {
    let removed = application.remove_expired_assignments(settings.keep_expired).await;
    background_runs::count(Task::ExpiredAssignments, removed.as_ref().ok().copied());
    removed
        .inspect_err(|failure| tracing::warn!(%failure, "failed to remove expired assignments"))
        .ok()
        .and_then(NonZero::new)
}
