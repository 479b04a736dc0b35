//! Notifies the other processes of an installation after commits, on the channel that they listen to.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::control::ControlPool;
use crate::statement::statement;

/// The channel of this installation. Another installation in the same database, or a copy of this one in another
/// schema, has its own.
pub(crate) const CHANNEL: &str = "(SELECT 'iam_' || md5(concat_ws('/', installation.id,
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'company_states'::regclass)))
    FROM iam_installation AS installation)";

/// The minimum time between two wake-ups: commits in between share the next one.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// Notifies the other processes after commits. It does so outside the transactions that commit, since PostgreSQL lets
/// only one transaction that notifies commit at a time.
#[derive(Debug)]
pub(crate) struct Notifier {
    committed: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Notifier {
    /// Starts a task that notifies through `control` until this is dropped.
    pub(crate) fn new(control: Arc<ControlPool>, runtime: &Handle) -> Self {
        let committed = Arc::<Notify>::default();
        let task = runtime.spawn(notify(control, Arc::clone(&committed)));
        Self { committed, _task: AbortOnDropHandle::new(task) }
    }

    /// What a unit of work notifies when it is committed.
    pub(crate) fn committed(&self) -> &Arc<Notify> {
        &self.committed
    }
}

/// Sends one notification for all commits since the previous one.
async fn notify(control: Arc<ControlPool>, committed: Arc<Notify>) {
    // A notification carries no data, so it need not be durable.
    let sql = format!(
        "SELECT pg_notify({CHANNEL}, '') FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS light"
    );
    loop {
        committed.notified().await;
        if let Err(error) = control.query_repeatable(statement(sql.as_str(), [])).await {
            tracing::debug!(%error, "the other processes could not be woken, and poll later");
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}
