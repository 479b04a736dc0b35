//! The PostgreSQL storage adapter of the IAM service, on SeaORM.
//!
//! [`PostgresStorage`] implements [`Storage`](iam_storage::Storage), [`ChangeFeed`](iam_storage::ChangeFeed),
//! [`Health`](iam_storage::Health) and [`PoolStats`](iam_storage::PoolStats). It does not create the schema: the
//! package `migration` does, and the server checks it. PostgreSQL 14 or newer.
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
//! // It connects when it is first used; the database may start later than the server.
//! storage.ping().await?;
//! let stamped = storage.reader().snapshots().load_user(company, user).await?;
//! println!("{} levels at {}", stamped.value.levels.len(), stamped.versions);
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! * **A read is one statement.** So is a snapshot, the data that decisions need: at READ COMMITTED two statements would
//!   read two states. The catalog is the same for all companies; the statement leaves it out while the cached one is
//!   still current.
//! * **A change** is `BEGIN`; one statement that locks the catalog (companies: shared), then the company, raises the
//!   version and reads the clock; the mutations, in a number of statements that does not depend on the number of rows;
//!   one statement that writes the audit records; `COMMIT`. A change that changed nothing is rolled back, and so is one
//!   that is dropped.
//! * **Waiting ends.** For a connection after [`acquire_timeout`](PostgresOptions::acquire_timeout), for a lock after
//!   [`lock_timeout`](PostgresOptions::lock_timeout), for a statement after
//!   [`statement_timeout`](PostgresOptions::statement_timeout) and a second more if the server does not answer, for a
//!   whole change after [`change_timeout`](PostgresOptions::change_timeout): always with `Unavailable`. A connection
//!   on which a statement was not answered is closed at once, and never awaited.
//! * **A silent session loses its locks.** The server ends a session whose client is silent inside a transaction for
//!   [`silence_timeout`](PostgresOptions::silence_timeout). A change that revokes rights (credentials, catalog) and
//!   waits for more than a second ends the sessions of the service that block it.
//! * **Sessions** are set up by one statement after connecting, which refuses a server in recovery, a read-only
//!   session, and a database that is not UTF8: [`Refusal`].
//! * **Errors** are mapped by SQLSTATE and by the names of constraints. Only a lost race (a serialization failure, a
//!   deadlock) is `retryable`. A broken connection never is, as its outcome is unknown.
//! * **The change feed** polls: a poll is one statement on a connection beside the pool, which sees every change that
//!   committed before it began. A commit wakes the other processes of the installation through a channel of its own,
//!   outside of the transaction that commits; the content of a notice is ignored.
//! * **Epoch.** Each read of versions names its history: that of the installation, the process of the server, the
//!   database and the table. When a poll finds another one, a standby, or a server that refuses writes, open
//!   connections are discarded. When versions went back within an epoch, the history gets another one.
//! * **Companies are isolated twice**: by the condition of each statement, and by row-level security. Each statement
//!   names the company whose rows it may see (the setting `iam.company`, until the end of its transaction).
//!
//! # PgBouncer
//!
//! Session mode, with its defaults: nothing is sent at the start that PgBouncer does not know. Transaction mode is not
//! supported, since settings, prepared statements, advisory locks and `LISTEN` belong to sessions. The connection that
//! listens may pass by the pooler: [`listener_url`](PostgresOptions::listener_url).
//!
//! # Manual edits
//!
//! Operators who edit tables by hand must raise the version of what they edit (`company_states`; the nil id is the
//! catalog), as every change does: replicas keep data that they have read until its version is raised.

mod auxiliary;
mod blockers;
mod catalog_cache;
mod changes;
mod connection_failures;
mod connections;
mod control;
mod convert;
mod database_url;
mod entities;
mod epoch;
mod error;
mod feed;
mod gate;
mod listener;
mod notifier;
mod options;
mod outdated;
mod poll;
mod pool;
mod pool_hooks;
mod reachability;
mod read_matrices;
mod reads;
mod repository;
mod row_security;
mod runtime;
mod session;
mod snapshots;
mod statement;
mod storage;
mod transaction;
mod write_admission;

pub use database_url::UrlError;
pub use options::PostgresOptions;
pub use reachability::Unreachable;
pub use session::Refusal;
pub use storage::{OptionsError, PostgresStorage};
