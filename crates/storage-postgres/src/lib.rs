//! The PostgreSQL storage adapter of the IAM service, on SeaORM.
//!
//! [`PostgresStorage`] implements [`Storage`](iam_storage::Storage), [`ChangeFeed`](iam_storage::ChangeFeed),
//! [`Health`](iam_storage::Health) and [`PoolStats`](iam_storage::PoolStats). The schema is not its business: the package `migration` makes it, and the server
//! checks it. PostgreSQL 14 or newer.
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
//! # What can be relied upon
//!
//! * **A read is one statement.** What decides is read in one too, so it is of one state: at READ COMMITTED two statements
//!   would see two. The catalog, which is the same for all companies, is left out of the answer while the one that was read
//!   before is still current in that very state.
//! * **A change** is `BEGIN`; one statement that locks the catalog (companies: shared), then the company, raises the
//!   version and reads the clock; what the change does, in a number of statements that does not depend on the number of
//!   rows; one statement that writes the audit records, drops the effective rows and gives notice; `COMMIT`. A change that
//!   changed nothing is rolled back, and so is one that is dropped.
//! * **Waiting ends.** For a connection after [`acquire_timeout`](PostgresOptions::acquire_timeout), for a lock after
//!   [`lock_timeout`](PostgresOptions::lock_timeout), for a statement after
//!   [`statement_timeout`](PostgresOptions::statement_timeout): always with `Unavailable`.
//! * **Errors** are told apart by SQLSTATE and by the names of constraints. Only what the server itself calls a lost race
//!   (a serialization failure, a deadlock) is `retryable`; a broken connection never is, as its outcome is unknown.
//! * **Notices** go to the channel [`CHANGES`], once for each commit that can change a decision or a menu. Each
//!   subscription listens on a connection of its own, beside the pool; when that one breaks the subscription is lost.
//! * **Epoch.** Each new connection asks which cluster, timeline and database it reached, so that a restored database or a
//!   promoted standby is a new epoch at once. Answers bear the epoch of the connection that gave them, and when a new
//!   connection finds another epoch, older ones are closed before they are used again. A role that may not call `pg_control_system()` gets an epoch that outlives
//!   restarts but does not tell a restored database from the original.
//! * **Companies are kept apart twice**: by the condition of each statement, and by row-level security, which each statement
//!   tells, in itself, whose rows it is about (the setting `iam.company`, until the end of its transaction).
//!
//! # PgBouncer
//!
//! Version 1.21 or newer with `max_prepared_statements`, or session mode. Timeouts, isolation level and `jit = off` are sent
//! as startup `options`: let it pass or ignore them (`ignore_startup_parameters = extra_float_digits,options`), and in the
//! latter case set them with `ALTER ROLE … SET`. Notices need a direct connection:
//! [`listener_url`](PostgresOptions::listener_url). In transaction mode another epoch is noticed when the pool next opens a
//! connection, at the latest after [`max_lifetime`](PostgresOptions::max_lifetime).
//!
//! # Against the rules of the data
//!
//! Whoever edits tables by hand must raise the version of what he edits (`company_states`; the nil id is the catalog), as
//! every change does: what was read under a version is taken to be so for as long as the version stands.

mod changes;
mod convert;
mod entities;
mod epoch;
mod error;
mod feed;
mod options;
mod reads;
mod repository;
mod side;
mod snapshots;
mod storage;
mod turns;

pub use options::PostgresOptions;
pub use storage::PostgresStorage;

/// The channel on which a commit gives notice that can change a decision or a menu, with the payload
/// `{"company": "<uuid>" | null, "version": <n>}`; no company is the catalog. Signs of life go the same way, as
/// `{"beat": "<uuid>"}`.
pub const CHANGES: &str = "iam_changes";
