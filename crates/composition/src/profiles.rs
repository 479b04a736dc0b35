//! The background task that records the profiles that the claims of tokens contain.

use std::sync::Arc;
use std::time::Duration;

use iam_application::Application;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::background_runs::{self, Task};
use crate::probe::Progress;

/// The time between two writes. A write changes the version of its company, so the profiles of many users are written
/// together.
const PAUSE: Duration = Duration::from_secs(5);

/// The time after which the profile of a user is examined again.
const EXAMINED_FOR: Duration = Duration::from_secs(10 * 60);

/// Waits until the storage is ready, and then writes the profiles from tokens until the task is cancelled. Profiles that
/// arrive during the pause after a write are written together.
pub(crate) async fn record_claimed_profiles(application: Arc<Application>, progress: Arc<Progress>) {
    progress.ready().await;
    let mut forgetting = interval(EXAMINED_FOR);
    forgetting.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = forgetting.tick() => application.forget_claimed_profiles(),
            () = application.claimed_profile_arrived() => {
                let recorded = application.record_claimed_profiles().await;
                background_runs::count(Task::ClaimedProfiles, recorded.as_ref().ok().copied());
                match recorded {
                    Ok(0) => {}
                    Ok(changed) => tracing::debug!(changed, "recorded profiles from tokens"),
                    Err(failure) => tracing::warn!(%failure, "failed to record profiles from tokens"),
                }
                sleep(PAUSE).await;
            }
        }
    }
}
