//! What a user may see and do: decisions, explanations, all permissions of a user, navigation; kept in memory, and right.
//!
//! [`Permissions`] answers from permissions that were compiled once per set of levels in a company, for as long as it is
//! known that nothing changed; else it asks the store. Every answer is of one state of the store and says which. What
//! differs from plain resolution is said here once: super admins pass checks about themselves, and whoever holds no level
//! in a company is denied everything there.
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
//! * A state is named by three versions, which the store raises with each commit: of the database as such (its epoch), of the
//!   catalog, of the company. What is kept is stamped with them, and with a random stamp of the change that made it, since a
//!   restored database reaches the same versions again.
//! * **Here**: a caller that makes a change calls [`Permissions::changed`] before it tells anyone.
//! * **Elsewhere**: [`Permissions::follow`] polls for what was committed. A poll proves that every change which committed before
//!   it began is known, and extends a *lease* from that moment; without one, a poll that begins after the request arrived
//!   must prove what is kept before it answers, one for all that wait. Wake-ups only make the next poll come sooner.
//! * **Another history** (a restored or replaced database, a standby, a read-only server) is noticed by each poll, load and
//!   change of this process: nothing that was kept answers any more.
//! * **A load** is shared by all who wait, began after whatever made it necessary, and goes on without those who began it. It
//!   is kept only if it is of the newest state that is known. One that fails leaves nothing behind.
//! * **A change of the catalog** makes sets be compiled anew from rows in memory, company by company, as they are asked for.

mod access;
mod cache;
mod coalesce;
mod compiled;
mod credentials;
mod effective;
mod fill;
mod freshness;
mod index;
mod navigation;
mod options;
mod permissions;
mod question;
mod stats;

pub use access::{Access, AccessId, Verdict};
pub use compiled::Outcome;
pub use credentials::KnownApiKey;
pub use effective::{ActionPermission, EffectivePermissions};
pub use fill::{FillOptions, Filled};
pub use iam_storage::Stamped;
pub use navigation::{Navigation, NavigationItem, NavigationSubItem};
pub use options::CacheOptions;
pub use permissions::{Consistency, Permissions};
pub use question::{FeatureRef, Question, Subject, ViewRef};
pub use stats::CacheStats;
