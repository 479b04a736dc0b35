//! The connection that listens for notifications from other processes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iam_storage::{BoxError, Result, StorageError, WakeUps};
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sea_orm::{DbErr, RuntimeErr, sqlx};
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::connections::deadlines::RETURN_LIMIT;
use crate::connections::reachability::{self, Diagnosis, Unreachable};
use crate::connections::session::Session;
use crate::error::from_db;

/// Time without a notification after which the listening connection is pinged.
const PING_AFTER_QUIET: Duration = Duration::from_secs(10);

/// The options of the listening connection.
#[derive(Debug, Clone)]
pub(crate) struct ListenerOptions {
    pub(crate) options: PgConnectOptions,
    /// Timeout for opening the connection and executing `LISTEN`.
    pub(crate) timeout: Duration,
    pub(crate) session: Session,
}

impl ListenerOptions {
    /// Listens on `channel` until the returned listener is dropped. The connection is owned by `runtime`, which runs as
    /// long as the storage exists.
    pub(crate) async fn start(self, channel: String, runtime: &Handle) -> Result<Listener> {
        let (woken, wakes) = watch::channel(None);
        let (listens, is_listening) = oneshot::channel();
        let task = runtime.spawn(async move {
            match self.listen(&channel).await {
                Ok(listener) => {
                    // If the receiver was dropped, this task is aborted, so the error needs no handling.
                    let _ = listens.send(Ok(()));
                    let error = forward(listener, &woken).await;
                    let address = reachability::address(&self.options);
                    woken.send_replace(Some(reachability::interruption(&address, error)));
                }
                Err(error) => {
                    let _ = listens.send(Err(error));
                }
            }
        });
        let wakes = Listener { wakes, _task: AbortOnDropHandle::new(task) };
        is_listening.await.map_err(unavailable)??;
        Ok(wakes)
    }

    /// Opens a connection that listens on `channel`.
    async fn listen(&self, channel: &str) -> Result<PgListener> {
        // `PgListener` accepts connection options only in the form of a pool. This pool has at most one connection.
        let session = self.session.clone();
        let pool = PgPoolOptions::new()
            .after_connect(move |connection, _| {
                let session = session.clone();
                Box::pin(async move { session.set_up(connection).await })
            })
            .max_connections(1)
            .acquire_timeout(self.timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone());
        let listen = async {
            let mut listener = PgListener::connect_with(&pool).await?;
            // With automatic reconnects, the loss of wake-ups during an interruption would go unnoticed.
            listener.eager_reconnect(false);
            listener.listen(channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        match timeout(self.timeout, listen).await {
            Ok(Ok(listener)) => Ok(listener),
            // The pool reports only that its timeout has passed, not the cause.
            Ok(Err(sqlx::Error::PoolTimedOut)) | Err(_) => {
                Err(unavailable(Diagnosis::default().of(&self.options, &self.session).await))
            }
            Ok(Err(error)) => {
                let error = reachability::not_opened(&reachability::address(&self.options), error);
                Err(from_db(DbErr::Conn(RuntimeErr::SqlxError(error.into()))))
            }
        }
    }
}

fn unavailable(source: impl Into<BoxError>) -> StorageError {
    StorageError::Unavailable { retryable: false, source: Some(source.into()) }
}

/// Forwards notifications as wake-ups until the connection is lost, and returns the reason. The payload of a
/// notification is ignored.
async fn forward(mut listener: PgListener, woken: &watch::Sender<Option<Arc<Unreachable>>>) -> sqlx::Error {
    let failed = |kind, why: &str| io::Error::new(kind, why).into();
    loop {
        match timeout(PING_AFTER_QUIET, listener.try_recv()).await {
            Ok(Ok(Some(_))) => {
                woken.send_replace(None);
            }
            Ok(Ok(None)) => return failed(io::ErrorKind::UnexpectedEof, "the server closed the connection"),
            Ok(Err(error)) => return error,
            // No notification has arrived for a while: the connection may be half-open.
            Err(_) => match timeout(RETURN_LIMIT, sqlx::query("SELECT 1").execute(&mut listener)).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return error,
                Err(_) => return failed(io::ErrorKind::TimedOut, "no response in time"),
            },
        }
    }
}

/// A stream of wake-ups. It ends with an error when the connection is lost.
pub(crate) struct Listener {
    /// Is notified of each wake-up. The value is `None` until the connection is lost, and then the reason for the loss.
    wakes: watch::Receiver<Option<Arc<Unreachable>>>,
    _task: AbortOnDropHandle<()>,
}

#[async_trait]
impl WakeUps for Listener {
    async fn next(&mut self) -> Result<()> {
        self.wakes.changed().await.map_err(unavailable)?;
        match self.wakes.borrow_and_update().clone() {
            None => Ok(()),
            Some(why) => Err(unavailable(why)),
        }
    }
}
