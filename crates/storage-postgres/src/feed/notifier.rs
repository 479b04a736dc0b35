//! Notifies the other processes of an installation after commits. All processes of the installation listen on the same
//! channel.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_storage::{Result, StorageError, WakeUps};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::connections::control::ControlPool;
use crate::engine::Feed;
use crate::error::from_db;
use crate::statement::statement;

/// SQL expression for the `NOTIFY` channel of this installation. Another installation in the same database, or a copy
/// of this one in another schema, has another channel.
pub(crate) const CHANNEL: &str = "(SELECT 'iam_' || md5(concat_ws('/', installation.id,
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'company_states'::regclass)))
    FROM iam_installation AS installation)";

/// Minimum interval between two notifications; all commits within it share the next notification.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// Wakes followers after commits. With [`Feed::Listen`], it also notifies the other processes: it sends `NOTIFY` outside
/// the committing transactions, because PostgreSQL serializes the commits of transactions that notify.
#[derive(Debug)]
pub(crate) struct Notifier {
    committed: watch::Sender<()>,
    _task: Option<AbortOnDropHandle<()>>,
}

impl Notifier {
    /// Creates the notifier. With [`Feed::Listen`], starts the task that sends notifications through `control`. Dropping
    /// the notifier cancels the task.
    pub(crate) fn new(feed: Feed, control: &Arc<ControlPool>, runtime: &Handle) -> Self {
        let committed = watch::Sender::default();
        let task = match feed {
            Feed::Listen => Some(runtime.spawn(notify(Arc::clone(control), committed.subscribe()))),
            Feed::Poll => None,
        };
        Self { committed, _task: task.map(AbortOnDropHandle::new) }
    }

    /// Returns the signal that a unit of work triggers when it commits.
    pub(crate) fn committed(&self) -> &watch::Sender<()> {
        &self.committed
    }
}

/// Sends notifications. Each notification covers all commits since the previous notification. Returns when the storage
/// and its units of work are dropped.
async fn notify(control: Arc<ControlPool>, mut committed: watch::Receiver<()>) {
    // A notification carries no data, so it need not be durable.
    let sql = format!(
        "SELECT pg_notify({CHANNEL}, '') FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS light"
    );
    while committed.changed().await.is_ok() {
        let _permit = control.admit().await;
        if let Err(error) = control.query_repeatable(statement(sql.as_str(), [])).await {
            let error = from_db(error);
            let error = &error as &dyn Error;
            tracing::debug!(error, "cannot notify the other processes; they will detect the change at their next poll");
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}

/// The wake-ups by commits of this process, for an engine on which processes do not notify each other.
pub(crate) struct OwnCommits(watch::Receiver<()>);

impl OwnCommits {
    /// Subscribes to the commits of the process.
    pub(crate) fn of(notifier: &Notifier) -> Self {
        Self(notifier.committed.subscribe())
    }
}

#[async_trait]
impl WakeUps for OwnCommits {
    async fn next(&mut self) -> Result<()> {
        let ended = |error| StorageError::Unavailable { retryable: false, source: Some(Box::new(error)) };
        self.0.changed().await.map_err(ended)
    }
}
