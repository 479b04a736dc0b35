//! Permission decisions from memory: checks, explanations, effective permissions and navigation of a user.
//!
//! [`Permissions`] answers from compiled permissions, one set for each combination of levels in a company, as long as
//! the set is known to be current. Otherwise it reads the store. Every answer is of one state of the store and names
//! that state. Two rules go beyond plain resolution: super admins pass checks about themselves, and a user without a
//! level in a company is denied everything there.
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
//!     // Nearly always: no wait, no lock, no allocation.
//!     if let Some(outcome) = permissions.try_check(company, Subject::User(user), &question) {
//!         return Ok(outcome.allowed);
//!     }
//!     let access = permissions.access(company, Subject::User(user), Consistency::Cached).await?;
//!     Ok(access.decide(&question).outcome.allowed)
//! }
//! ```
//!
//! # How it stays right
//!
//! * A state is named by the epoch of the database and the versions of the catalog and of the company, which the store
//!   raises with each commit. Kept entries carry these and the random stamp of the change that made them, since a
//!   restored database reaches the same versions again.
//! * **Here**: the maker of a change calls [`Permissions::changed`] before it reports the change as made.
//! * **Elsewhere**: [`Permissions::follow`] polls for what was committed. A poll proves that every change committed
//!   before it began is known, and extends a *lease* from that moment. While the lease does not run, a poll that begins
//!   after the request arrived must prove the kept entries current before they answer; all waiting requests share it.
//!   Wake-ups only make the next poll come sooner.
//! * **Another history** (a restored or replaced database, a standby, a read-only server) is detected by each poll,
//!   load and change of this process. Nothing that was kept before answers any more.
//! * **A load** is shared by all requests that wait for it, begins after the event that made it necessary, and
//!   continues when those requests are cancelled. Its result is kept only if it is of the newest known state. A failed
//!   load leaves nothing behind.
//! * **A change of the catalog** recompiles sets from rows in memory, company by company, on demand.

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
