//! Counts the runs of background tasks by their outcome, and what they changed.

/// The counter of the runs.
const RUNS: &str = "iam_background_runs_total";
/// The counter of removed expired assignments.
const REMOVED: &str = "iam_expired_assignments_removed_total";
/// The counter of profiles that were recorded from the claims of tokens.
const PROFILES: &str = "iam_claimed_profiles_recorded_total";

/// A background task.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Task {
    /// Removes expired assignments.
    ExpiredAssignments,
    /// Records the profiles that the claims of tokens contain.
    ClaimedProfiles,
}

impl Task {
    const ALL: [Self; 2] = [Self::ExpiredAssignments, Self::ClaimedProfiles];

    /// Returns the name of the task, and the counter of what it changes.
    const fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::ExpiredAssignments => ("expired_assignments", REMOVED),
            Self::ClaimedProfiles => ("claimed_profiles", PROFILES),
        }
    }
}

/// Describes the metrics, and creates their series.
pub(crate) fn describe() {
    metrics::describe_counter!(RUNS, "Runs of background tasks, by outcome");
    metrics::describe_counter!(REMOVED, "Expired assignments that were removed");
    metrics::describe_counter!(PROFILES, "Profiles that were recorded from the claims of tokens");
    for task in Task::ALL {
        let (task, changed) = task.names();
        metrics::counter!(changed).increment(0);
        for outcome in ["success", "failure"] {
            metrics::counter!(RUNS, "task" => task, "outcome" => outcome).increment(0);
        }
    }
}

/// Counts a run of a task, and the number of entities that it changed. `None` counts a failure.
pub(crate) fn count(task: Task, changed: Option<u64>) {
    let (task, counter) = task.names();
    let outcome = if changed.is_some() { "success" } else { "failure" };
    metrics::counter!(RUNS, "task" => task, "outcome" => outcome).increment(1);
    metrics::counter!(counter).increment(changed.unwrap_or(0));
}
