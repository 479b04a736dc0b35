//! Raises and checks the limit on open file descriptors (`RLIMIT_NOFILE`). Sockets count as open files.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Number of file descriptors per server worker: two event queues and their wakers.
const DESCRIPTORS_PER_WORKER: u64 = 4;
/// Number of file descriptors for everything except workers, database connections and clients of the API: listeners,
/// logs, signals, key sets, and clients of the admin port.
const BASE_DESCRIPTORS: u64 = 64;

/// The error for a limit on open files that is too low for the configured workers and database connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the limit on open files (ulimit -n) is {limit}, but {workers} workers and {connections} database connections \
    require {needed} even without clients: raise the limit, or set server.workers (IAM__SERVER__WORKERS)"
)]
pub struct OpenFilesError {
    limit: u64,
    needed: u64,
    workers: u64,
    connections: u64,
}

/// Raises the limit on open files (the soft limit) to the hard limit, and checks that the limit suffices. Returns the
/// number of client connections that the limit allows; `None` means no limit. The descriptors for everything else, such
/// as the admin port and database connections, are reserved.
///
/// # Errors
///
/// Returns [`OpenFilesError`] if the limit is still too low for this number of workers and database connections.
pub(crate) fn allow(workers: usize, connections: u32) -> Result<Option<usize>, OpenFilesError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Some systems enforce a lower hard limit than they report. The attempt to raise the limit then fails, and the
    // current limit remains.
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    let limit = if raised { maximum } else { current };
    check(limit, u64::try_from(workers).unwrap_or(u64::MAX), connections.into())
}

/// Returns the number of client connections that this limit allows, in addition to the workers and database connections.
/// `None` means no limit.
fn check(limit: Option<u64>, workers: u64, connections: u64) -> Result<Option<usize>, OpenFilesError> {
    let needed =
        workers.saturating_mul(DESCRIPTORS_PER_WORKER).saturating_add(connections).saturating_add(BASE_DESCRIPTORS);
    match limit {
        Some(limit) if limit < needed => Err(OpenFilesError { limit, needed, workers, connections }),
        Some(limit) => Ok(Some(usize::try_from((limit - needed).max(1)).unwrap_or(usize::MAX))),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_low_limit_contains_the_limit() {
        assert_eq!(check(None, 1000, 1000), Ok(None));
        assert_eq!(check(Some(96), 2, 10), Ok(Some(14)));
        assert_eq!(check(Some(1024), 200, 12), Ok(Some(148)));
        let error = check(Some(1024), 256, 12).unwrap_err().to_string();
        assert!(error.contains("1024") && error.contains("256 workers") && error.contains("1100"), "{error}");
    }

    #[test]
    fn the_limit_is_raised_to_its_maximum() {
        allow(1, 1).unwrap();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
