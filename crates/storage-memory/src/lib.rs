//! The in-memory storage adapter of the IAM service: complete, fast, and gone when the process ends.
//!
//! [`MemoryStorage`] implements [`iam_storage::Storage`] with the same rules as a database: unique keys, references
//! that must exist, cascades, serial changes of one company, versions in commit order, audit records that commit with
//! the change. It is the server's default, and what tests run against.
//!
//! # Example
//!
//! ```
//! use iam_domain::{CompanyId, Timestamp};
//! use iam_storage::{ChangeContext, Storage, Target};
//! use iam_storage_memory::MemoryStorage;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> iam_storage::Result<()> {
//! let storage = MemoryStorage::seeded().await?;
//! let core = storage.reader().modules().find_by_code("core").await?.expect("it is seeded");
//!
//! let mut tx = storage.begin(Target::Catalog, ChangeContext::command_line()).await?;
//! let company = CompanyId::generate(tx.now());
//! drop(tx); // Without a commit nothing happened.
//!
//! let mut tx = storage.begin(Target::Company(company), ChangeContext::command_line()).await?;
//! tx.company_modules_mut().add(company, core.id).await?;
//! assert!(storage.reader().company_modules().get_modules_by_company(company).await?.is_empty());
//! let versions = tx.commit().await?;
//!
//! assert_eq!(versions.company, 1);
//! assert_eq!(storage.reader().company_modules().get_modules_by_company(company).await?.len(), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! * **State** is an immutable snapshot of persistent maps. A read loads the current one and works on that: it never
//!   waits, and never sees half a change.
//! * **A unit of work** copies the snapshot, which costs next to nothing, and changes its copy. Its commit puts its
//!   own part (the catalog with what cascades, or one company) in place of what is there, with one swap.
//! * **Locks** are those of a database: a catalog change excludes every other; changes of one company are serial;
//!   changes of different companies go on side by side. [`MemoryOptions::lock_timeout`] bounds the wait.
//! * **Changes** are polled from a log that is part of the state, and each commit wakes those who listen.
//! * **Trails and effective rows** are kept apart. They wait for no unit of work; effective rows are refused while a
//!   change is under way that would outdate them.
//!
//! It does not survive a restart and is not shared between processes, so each storage is an epoch of its own.

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
mod snapshots;
mod state;
mod storage;
mod swapped;
mod unit_of_work;

pub use options::MemoryOptions;
pub use storage::MemoryStorage;
