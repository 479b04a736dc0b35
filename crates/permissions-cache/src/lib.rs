//! Permission decisions from memory: checks, explanations, effective permissions and navigation of a user.
//!
//! [`Permissions`] decides from cached compiled permissions, one set for each combination of levels in a company, as
//! long as the set is known to be current. Otherwise it reads the store. Every result belongs to one state of the store
//! and carries the versions of that state. Two rules go beyond plain resolution: super admins pass checks about
//! themselves, and a user without a level in a company is denied everything there.
//!
//! ```
//! use std::sync::Arc;
//! use iam_domain::{Action, CompanyId, UserId};
//! use iam_permissions_cache::{CacheOptions, Consistency, FeatureRef, Permissions, Question, Subject};
//! use iam_storage::{Result, Storage};
//! use tokio::runtime::Handle;
//!
//! fn service(storage: Arc<dyn Storage>) -> Arc<Permissions> {
//!     let permissions = Arc::new(Permissions::new(storage, Handle::current(), CacheOptions::default()));
//!     let follower = Arc::clone(&permissions);
//!     tokio::spawn(async move { follower.follow().await });
//!     permissions
//! }
//!
//! async fn may_read_risks(permissions: &Permissions, company: CompanyId, user: UserId) -> Result<bool> {
//!     let question = Question::Feature {
//!         feature: FeatureRef::parse("risks.create"),
//!         action: Action::read(),
//!         least_scope: None,
//!     };
//!     // A cache hit, which is the usual case: it neither waits, locks nor allocates.
//!     if let Some(outcome) = permissions.try_check(company, Subject::User(user), &question) {
//!         return Ok(outcome.allowed);
//!     }
//!     let access = permissions.access(company, Subject::User(user), Consistency::Cached).await?;
//!     Ok(access.decide(&question).outcome.allowed)
//! }
//! ```
//!
//! # Correctness
//!
//! * A state is identified by the epoch of the database and by the versions of the catalog and of the company, which
//!   the store increments with each commit. Cached entries carry these versions and the random stamp of the change that
//!   produced them, since a restored database reaches the same versions again.
//! * **Own changes**: the process that made a change calls [`Permissions::changed`] before it reports success to
//!   its client.
//! * **Changes of other processes**: [`Permissions::follow`] polls for committed changes. A poll proves that every
//!   change committed before the poll began is known, and extends a *lease* from that moment. While the lease does not
//!   run, a request may use cached entries only after a poll that began after the request arrived has proven them
//!   current; all waiting requests share the poll. Wake-ups only make the next poll come sooner.
//! * **Another history** (a restored or replaced database, a standby, a read-only server) is detected by each poll,
//!   load and change of this process. All entries that were cached before are then dropped.
//! * **A load** is shared by all requests that wait for it, begins after the event that made it necessary, and
//!   continues when those requests are cancelled. Its result is cached only if it is the newest known state. The result
//!   of a failed load is never cached.
//! * **After a change of the catalog**, sets are recompiled on demand, company by company, from rows in memory.

mod cache;
mod companies;
mod consistency;
mod credentials;
mod engine;
mod entries;
mod freshness;
mod loading;
mod lookup;
mod maintenance;
mod options;
mod service;
mod stats;

pub use consistency::Consistency;
pub use credentials::service::Credentials;
pub use credentials::table::KnownApiKey;
pub use engine::access::{Access, AccessId, Verdict};
pub use engine::effective::{ActionPermission, EffectivePermissions};
pub use engine::navigation::{Navigation, NavigationItem, NavigationSubItem};
pub use engine::outcome::Outcome;
pub use engine::question::{FeatureRef, Question, Subject, ViewRef};
pub use iam_storage::Stamped;
pub use maintenance::FillOptions;
pub use maintenance::effective_rows::Filled;
pub use options::CacheOptions;
pub use service::Permissions;
pub use stats::CacheStats;
