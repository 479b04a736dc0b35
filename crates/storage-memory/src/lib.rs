//! The in-memory storage adapter of the IAM service. It implements the complete storage contract, but its data is lost
//! when the process exits.
//!
//! [`MemoryStorage`] implements [`iam_storage::Storage`] with the same rules as a database: unique keys, foreign keys,
//! cascading deletions, serialized changes to each company, versions in commit order, and audit records that are
//! committed with the change. It is the default storage of the server, and tests use it too.
//!
//! # Example
//!
//! ```
//! use iam_domain::{Clock, CompanyId, Timestamp};
//! use iam_storage::{ChangeContext, Storage, Target};
//! use iam_storage_memory::MemoryStorage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> iam_storage::Result<()> {
//! // A server uses `iam_identity::system_clock()`.
//! let clock = Clock::new(|| Timestamp::parse("2026-11-22T12:00:00Z").expect("a valid time"));
//! let storage = MemoryStorage::seeded(clock).await?;
//! let core = storage.reader().modules().find_by_code("core").await?.expect("it is seeded");
//!
//! let mut tx = storage.begin(Target::Catalog, ChangeContext::command_line()).await?;
//! let company = CompanyId::generate(tx.now());
//! drop(tx); // Without a commit, nothing is stored.
//!
//! let mut tx = storage.begin(Target::Company(company), ChangeContext::command_line()).await?;
//! tx.company_modules_mut().add(company, core.id).await?;
//! assert!(storage.reader().company_modules().get_modules_by_company(company).await?.is_empty());
//! let stamp = tx.commit().await?;
//!
//! assert_eq!(stamp.versions().map(|versions| versions.company), Some(1));
//! assert_eq!(storage.reader().company_modules().get_modules_by_company(company).await?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! * **The state** is an immutable snapshot of persistent maps. A read uses the current snapshot, so it never waits and
//!   never sees a partial change.
//! * **A unit of work** changes a copy of the snapshot (copy-on-write). Copying is cheap, because the maps share their
//!   structure. In one atomic swap, the commit replaces the part of the state that its target covers: one company, the
//!   credentials, or the catalog with the companies to which its changes cascade.
//! * **Locks** work as in a relational database. A change to the catalog or to the credentials excludes all other
//!   changes. Changes to one company are serialized, and changes to different companies run concurrently.
//!   [`MemoryOptions::lock_timeout`] limits the time that a change waits for its locks.
//! * **The change feed** reads a log of changed companies, which is part of the state. Each commit sends a wake-up to
//!   the subscribers.
//! * **Trails, effective-permission rows and uses of API keys** are stored separately. Writing this data never waits
//!   for a unit of work. Effective-permission rows are rejected while a change that would invalidate them is in
//!   progress.
//!
//! [`MemorySimulator`] runs units of work on copies of companies, and stores nothing. Other storages use it to preview
//! changes.
//!
//! The data of a storage does not survive a restart, and processes do not share it. Therefore, each storage has a
//! random epoch of its own.

mod auxiliary;
mod changes;
mod clock;
mod constraints;
mod feed;
mod limit;
mod locks;
mod options;
mod reads;
mod repository;
mod seed;
mod shared;
mod simulator;
mod snapshot;
mod snapshots;
mod state;
mod storage;
mod swapped;
mod unit_of_work;

pub use options::MemoryOptions;
pub use simulator::MemorySimulator;
pub use storage::MemoryStorage;
