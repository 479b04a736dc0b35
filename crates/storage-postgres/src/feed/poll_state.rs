//! The data that a process retains between polls.

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use tokio::sync::Mutex;
use uuid::Uuid;

use crate::feed::versions::KnownStates;

/// The data that this process retains between polls.
#[derive(Debug, Default)]
pub(crate) struct PollState {
    /// Whether the role lacks the privilege to read the identity of the cluster.
    pub(crate) is_identity_hidden: AtomicBool,
    /// The id of this process in `iam_heartbeats`, the table of acknowledgements.
    pub(crate) replica: OnceLock<Uuid>,
    /// The states that this process knows, with the feed `poll`. The lock is held during a poll.
    pub(crate) known: Mutex<KnownStates>,
}
