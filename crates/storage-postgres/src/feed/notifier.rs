//! Notifies the other processes of an installation after commits. All processes of the installation listen on the same
//! channel.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::connections::control::ControlPool;
use crate::error::from_db;
use crate::statement::statement;

/// SQL expression for the `NOTIFY` channel of this installation. Another installation in the same database, or a copy
/// of this one in another schema, has another channel.
pub(crate) const CHANNEL: &str = "(SELECT 'iam_' || md5(concat_ws('/', installation.id,
        (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = 'company_states'::regclass)))
    FROM iam_installation AS installation)";

/// Minimum interval between two notifications; all commits within it share the next notification.
const MIN_INTERVAL: Duration = Duration::from_millis(5);

/// Notifies the other processes after commits. It sends `NOTIFY` outside the committing transactions, because
/// PostgreSQL serializes the commits of transactions that notify.
#[derive(Debug)]
pub(crate) struct Notifier {
    committed: Arc<Notify>,
    _task: AbortOnDropHandle<()>,
}

impl Notifier {
    /// Starts the task that sends notifications through `control`. Dropping the notifier cancels the task.
    pub(crate) fn new(control: Arc<ControlPool>, runtime: &Handle) -> Self {
        let committed = Arc::<Notify>::default();
        let task = runtime.spawn(notify(control, Arc::clone(&committed)));
        Self { committed, _task: AbortOnDropHandle::new(task) }
    }

    /// Returns the signal that a unit of work triggers when it commits.
    pub(crate) fn committed(&self) -> &Arc<Notify> {
        &self.committed
    }
}

/// Sends notifications. Each notification covers all commits since the previous notification.
async fn notify(control: Arc<ControlPool>, committed: Arc<Notify>) {
    // A notification carries no data, so it need not be durable.
    let sql = format!(
        "SELECT pg_notify({CHANNEL}, '') FROM (SELECT set_config('synchronous_commit', 'off', true) OFFSET 0) AS light"
    );
    loop {
        committed.notified().await;
        let _permit = control.admit().await;
        if let Err(error) = control.query_repeatable(statement(sql.as_str(), [])).await {
            let error = from_db(error);
            let error = &error as &dyn Error;
            tracing::debug!(error, "cannot notify the other processes; they will detect the change at their next poll");
        }
        tokio::time::sleep(MIN_INTERVAL).await;
    }
}
