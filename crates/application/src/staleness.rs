//! Whether the reads of a request may use read replicas.

use tokio::task_local;

task_local! {
    static READS: Reads;
}

/// How recent the data that a request reads must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The reads see every change that was committed before them. They use the primary.
    Latest,
    /// The reads see at least what this process knows to be committed, such as its own changes, but may miss changes that
    /// other processes committed within the lease. They may use read replicas.
    Bounded,
}

/// Runs a future whose reads may be as old as `reads` permits. Without this function, they must be the latest.
///
/// The permission does not extend to tasks that the future spawns.
pub fn with_reads<F: Future>(reads: Reads, future: F) -> impl Future<Output = F::Output> {
    READS.scope(reads, future)
}

/// Returns `true` if the current reads may use read replicas.
pub(crate) fn may_use_replicas() -> bool {
    READS.try_with(|reads| *reads == Reads::Bounded).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn reads_use_replicas_only_within_the_future_that_permits_it() {
        assert!(!may_use_replicas());
        with_reads(Reads::Bounded, async {
            assert!(may_use_replicas());
            let spawned = tokio::spawn(async { may_use_replicas() });
            assert!(!spawned.await.unwrap(), "a spawned task may outlive the request");
            with_reads(Reads::Latest, async { assert!(!may_use_replicas()) }).await;
        })
        .await;
        assert!(!may_use_replicas());
    }
}
