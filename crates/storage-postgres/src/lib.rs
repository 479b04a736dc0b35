//! The PostgreSQL storage adapter of the IAM service, built on SeaORM.
//!
//! [`PostgresStorage`] implements [`Storage`](iam_storage::Storage), [`ChangeFeed`](iam_storage::ChangeFeed),
//! [`Health`](iam_storage::Health) and [`PoolStats`](iam_storage::PoolStats). The adapter does not create the schema:
//! the package `migration` does. The server only checks that the schema is up to date. PostgreSQL 14 or newer is
//! required.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use iam_domain::{CompanyId, UserId};
//! use iam_storage::{Health, Storage};
//! use iam_storage_postgres::{PostgresOptions, PostgresStorage};
//!
//! # async fn example(company: CompanyId, user: UserId) -> Result<(), Box<dyn std::error::Error>> {
//! let storage = Arc::new(PostgresStorage::connect(&PostgresOptions {
//!     max_connections: 20,
//!     statement_timeout: Duration::from_secs(2),
//!     ..PostgresOptions::new("postgres://iam:secret@localhost/iam")
//! })?);
//!
//! // Connections are opened on first use, so the database may start after the server.
//! storage.ping().await?;
//! let stamped = storage.reader().snapshots().load_user(company, user).await?;
//! println!("{} levels at {}", stamped.value.levels.len(), stamped.versions);
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * **A read is one statement.** This also applies to loading all data that a decision needs. At READ COMMITTED each
//!   statement has its own snapshot of the database, so two statements could read two different states. If this process
//!   has cached the current catalog, the result omits the catalog.
//! * **A change** is one transaction. `BEGIN` is sent together with a query that tries to acquire the global lock. The
//!   global lock is a table lock that only roles that may change data can acquire: changes to companies acquire it in
//!   shared mode, changes to the catalog and the credentials in exclusive mode. If the global lock is not available, a
//!   second query waits for it. The next statement locks the row of the target (for example the company's row),
//!   increments its version and reads the clock. The mutations follow. The number of statements that a mutation
//!   executes does not depend on the number of rows that it changes. One statement then writes the audit records, and
//!   `COMMIT` ends the transaction. A change is rolled back if it changed nothing, or if it is dropped before the
//!   commit.
//! * **Every wait is bounded**: for a connection by [`acquire_timeout`](PostgresOptions::acquire_timeout), for a lock
//!   by [`lock_timeout`](PostgresOptions::lock_timeout), for a statement by
//!   [`statement_timeout`](PostgresOptions::statement_timeout) (plus one second if the server does not respond), for a
//!   whole change by [`change_timeout`](PostgresOptions::change_timeout). On each of these timeouts the error is
//!   `Unavailable`. A connection whose statement received no response in time is closed at once; no task waits for the
//!   response.
//! * **An idle transaction loses its locks.** The server terminates a session whose client sends nothing inside a
//!   transaction for [`silence_timeout`](PostgresOptions::silence_timeout). A change to the credentials or the catalog
//!   may revoke rights. If a change to the credentials waits for its locks for half a second, or a change to the
//!   catalog for a second, it terminates those sessions of the service that block it (`pg_terminate_backend`).
//! * **The pool is divided into shares.** Each class of work has one connection of its own, and the statements of one
//!   company use at most half of the other connections. Polls and look-ups of credentials use connections outside the
//!   pool.
//! * **Sessions** are set up in one round trip after connecting. A connection is rejected with a [`Refusal`] if the
//!   server is in recovery, the session is read-only, an encoding is not UTF8, or row-level security cannot be enabled.
//! * **Errors** are mapped by SQLSTATE and by constraint name. Three errors are `retryable`, because nothing was
//!   committed: a serialization failure, a deadlock, and an outdated connection (its prepared statements are invalid,
//!   or its server has become read-only). The error of a broken connection is never retryable, because the outcome of
//!   the statement is unknown. A read outside units of work is repeated once if its connection is lost.
//! * **The change feed polls.** A poll is one statement on a connection outside the pool, and sees every change that
//!   committed before the statement began. After a commit, a `NOTIFY` on the installation's own channel wakes the other
//!   processes. The notification is sent outside the committing transaction, and receivers ignore its payload.
//! * **Other engines** can use other forms of the global lock ([`Gate::Row`], a row lock with marks of waiting changes) and
//!   of the change feed ([`Feed::Poll`], polls that compare versions, without notifications). The table `iam_engine`
//!   contains the forms of the installation. A storage in another form reads, but does not change or poll.
//! * **Epoch.** Each read of versions returns the epoch: a hash of the installation's history id, the start time of the
//!   server process, the OID of the database, and the identity of the table `company_states`. If a poll finds that the
//!   epoch has changed, or that the server is a standby or read-only, all open connections are discarded. If versions
//!   decrease while the epoch remains the same, the installation is assigned a new history id, which changes the epoch.
//! * **Companies are isolated twice**: by the `WHERE` clause of each statement, and by row-level security. Each
//!   statement sets the company whose rows it may see (the setting `iam.company`, which lasts until the end of its
//!   transaction).
//!
//! # PgBouncer
//!
//! Session pooling works with PgBouncer's default settings, because connections send only startup parameters that
//! PgBouncer supports. Transaction pooling is not supported, because the adapter relies on state of the session:
//! settings, prepared statements and `LISTEN`. With the option [`listener_url`](PostgresOptions::listener_url), the
//! listening connection bypasses the pooler.
//!
//! # Manual edits
//!
//! An operator who edits rows by hand must also increment the version of the edited company or of the catalog, as every
//! change does. The versions are in `company_states`: one row per company, and the row with the nil UUID for the
//! catalog. Until the version is incremented, replicas continue to serve the data that they have cached.

mod api_key_uses;
mod auxiliary;
mod catalog_cache;
mod changes;
mod company_copy;
mod connections;
mod convert;
mod copied_cells;
mod engine;
mod entities;
mod error;
mod feed;
mod holders;
mod matrix;
mod metric_list;
mod operation;
mod options;
mod other_rules;
mod periods;
mod pool;
mod reads;
mod replicas;
mod repository;
mod row_security;
mod sessions;
mod snapshot;
mod snapshots;
mod statement;
mod statistics;
mod storage;
mod unreadable;

pub use connections::reachability::Unreachable;
pub use connections::session::Refusal;
pub use engine::{Feed, Gate, OtherForm};
pub use iam_database_url::UrlError;
pub use metric_list::describe_metrics;
pub use options::PostgresOptions;
pub use statistics::recent_operations;
pub use storage::{OptionsError, PostgresStorage};
