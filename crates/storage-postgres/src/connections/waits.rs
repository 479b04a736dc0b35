//! Measures how long statements and changes wait for a connection of the pool.

use std::time::Instant;

/// The name of the histogram of the waits.
pub(crate) const ACQUIRE: &str = "iam_pool_acquire_seconds";
/// The name of the gauge of the waits in progress.
pub(crate) const WAITING: &str = "iam_pool_waiting";

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// A share of the pool.
    Share,
    /// A connection of the pool, which is idle or is opened.
    Connection,
}

impl Stage {
    /// All stages.
    pub(crate) const ALL: [Self; 2] = [Self::Share, Self::Connection];

    /// Returns the value of the label `stage`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Connection => "connection",
        }
    }
}

/// A wait in progress. Dropping it ends the wait, also if the work was cancelled or timed out.
#[derive(Debug)]
struct Wait {
    stage: Stage,
    since: Instant,
}

impl Wait {
    fn begin(stage: Stage) -> Self {
        metrics::gauge!(WAITING, "stage" => stage.name()).increment(1.0);
        Self { stage, since: Instant::now() }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        metrics::gauge!(WAITING, "stage" => self.stage.name()).decrement(1.0);
        metrics::histogram!(ACQUIRE, "stage" => self.stage.name()).record(self.since.elapsed().as_secs_f64());
    }
}

/// Measures a wait.
pub(crate) async fn measured<T>(stage: Stage, wait: impl Future<Output = T>) -> T {
    let _wait = Wait::begin(stage);
    wait.await
}
