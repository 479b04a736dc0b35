//! The hooks of a pool: the set-up of new connections, and the check of idle connections before use.

use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::{PgConnection, PgPoolOptions};
use sea_orm::sqlx::{self, Connection};

use crate::connections::failures::{ConnectionFailures, IdleCheck};
use crate::connections::outdated::OutdatedConnections;
use crate::connections::session::{Role, Session};

/// Idle time after which a connection is pinged before use. If the connection is dead, the ping times out sooner than a
/// statement would.
const PING_AFTER: Duration = Duration::from_secs(1);

/// The hooks that a pool runs after it has opened a connection and before it reuses an idle connection.
#[derive(Debug, Clone)]
pub(crate) struct PoolHooks {
    pub(crate) session: Session,
    pub(crate) outdated: Arc<OutdatedConnections>,
    pub(crate) failures: Arc<ConnectionFailures>,
    /// Timeout for the response to a ping of an idle connection.
    pub(crate) ping_limit: Duration,
    /// Minimum duration of statements that are logged as slow.
    pub(crate) slow_statement: Duration,
}

impl PoolHooks {
    /// Returns the hooks of a pool of connections to a standby, with records of their own.
    pub(crate) fn for_standby(self) -> Self {
        let session = self.session.of(Role::Standby);
        Self { session, outdated: Arc::default(), failures: Arc::default(), ..self }
    }

    /// Adds the hooks to the options of a pool.
    pub(crate) fn install(&self, pool: PgPoolOptions) -> PgPoolOptions {
        let (opened, idle) = (self.clone(), self.clone());
        pool.test_before_acquire(false)
            .after_connect(move |connection, _| {
                let hooks = opened.clone();
                Box::pin(async move {
                    let outcome = hooks.session.set_up(connection).await;
                    hooks.session.note(&outcome);
                    outcome
                })
            })
            .before_acquire(move |connection, used| {
                let hooks = idle.clone();
                // On `false` or an error, the pool closes the connection and acquires another one.
                Box::pin(async move { hooks.is_usable(connection, used.age, used.idle_for).await })
            })
    }

    /// Returns `true` if an idle connection can be used.
    async fn is_usable(&self, connection: &mut PgConnection, age: Duration, idle_for: Duration) -> sqlx::Result<bool> {
        if self.outdated.is_outdated(age) {
            return Ok(false);
        }
        match self.failures.check(idle_for) {
            IdleCheck::Close => return Ok(false),
            IdleCheck::Use if idle_for <= PING_AFTER => return Ok(true),
            IdleCheck::Use | IdleCheck::Ping => {}
        }
        match tokio::time::timeout(self.ping_limit, connection.ping()).await {
            Ok(answer) => answer.map(|()| true),
            Err(_) => {
                self.failures.record_silence();
                Ok(false)
            }
        }
    }
}
