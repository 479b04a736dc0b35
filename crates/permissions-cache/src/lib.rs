//! Permission decisions from an in-memory cache: permission checks, explanations, effective permissions and the
//! navigation of a user.
//!
//! [`Permissions`] makes decisions from cached compiled sets. A compiled set contains the resolved permissions for one
//! combination of levels in a company. If a cached set may be outdated, a poll confirms it first, or the data is loaded
//! from the database. Every result comes from one consistent snapshot of the database and carries the versions of that
//! snapshot. Two rules take precedence over the levels. First, every view and action that exists is allowed for super
//! admins who check their own permissions. Second, everything in a company is denied to users who hold no level in the
//! company.
//!
//! ```
//! use std::sync::Arc;
//! use iam_domain::{Action, CompanyId, UserId};
//! use iam_permissions_cache::{CacheOptions, Consistency, FeatureRef, Permissions, Check, Subject};
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
//!     let check = Check::Feature {
//!         feature: FeatureRef::parse("risks.create"),
//!         action: Action::read(),
//!         least_scope: None,
//!     };
//!     // The usual case is a cache hit: it does not wait, acquires no lock and allocates no memory.
//!     if let Some(outcome) = permissions.try_check(company, Subject::User(user), &check) {
//!         return Ok(outcome.allowed);
//!     }
//!     let access = permissions.access(company, Subject::User(user), Consistency::Cached).await?;
//!     Ok(access.decide(&check).outcome.allowed)
//! }
//! ```
//!
//! # Correctness
//!
//! * **Versions**: a snapshot is identified by the epoch of the database history and by the versions of the catalog and
//!   of the company. Each commit increments the version of its target. Cached data also carries the random stamps of
//!   the changes that produced these versions, because a restored database assigns the same version numbers again.
//! * **Own changes**: after a commit, the process calls [`Permissions::changed`] before it reports success to its
//!   client. This call invalidates the cached data of the process (read-your-writes).
//! * **Changes by other processes**: [`Permissions::follow`] polls for committed changes. After a successful poll,
//!   every change that was committed before the poll began has been reported to the process. The poll renews a *lease*,
//!   which is counted from the start of the poll. While the lease is valid, cached data is served without a query.
//!   After the lease has expired, a request for cached data waits for a poll that confirms the data. This poll begins
//!   after the arrival of the request. Waiting requests share one poll. A wake-up only triggers the next poll earlier.
//! * **Another database history**: a restored or replaced database is detected by its epoch and versions, in polls,
//!   loads and own changes. Polls also detect a standby and a read-only server. In each case, all cached data is
//!   discarded.
//! * **Loads** are coalesced (single flight): requests that wait for the same data share one load, and users of the same
//!   company who wait are loaded in batches. A load begins after the latest change that any of its requests must observe.
//!   A load continues even if the waiting requests are cancelled. Its result is cached only if it has the latest known version. Errors are never cached.
//! * **After a change to the catalog**, each compiled set is recompiled when it is next requested. Where possible, it
//!   is recompiled from cached rules, without another load of the company's data.

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
mod metric_list;
mod options;
mod service;
mod stats;

pub use consistency::Consistency;
pub use credentials::service::Credentials;
pub use credentials::table::KnownApiKey;
pub use engine::access::{Access, AccessId, Verdict};
pub use engine::check::{Check, FeatureRef, Subject, ViewRef};
pub use engine::effective::{
    ActionPermission, AvailableCatalog, AvailableFeature, AvailableView, EffectivePermissions,
    EffectivePermissionsByKey,
};
pub use engine::navigation::{Navigation, NavigationItem, NavigationSubItem};
pub use engine::outcome::Outcome;
pub use freshness::Freshness;
pub use iam_storage::Stamped;
pub use loading::allowance::LoadAllowance;
pub use maintenance::FillOptions;
pub use maintenance::effective_rows::Filled;
pub use metric_list::describe_metrics;
pub use options::CacheOptions;
pub use service::Permissions;
pub use stats::CacheStats;
