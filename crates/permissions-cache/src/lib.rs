//! What a user may see and do: decisions, all permissions of a user, navigation.
//!
//! [`Permissions`] resolves every decision from one snapshot of the storage, so it never mixes two states and is never
//! older than the request. (The items of a menu are read beside it: a menu only shows what the snapshot allows.) What differs from plain resolution is said here once: super admins pass checks about
//! themselves, and whoever holds no level in a company is denied everything there.
//!
//! ```
//! use std::sync::Arc;
//! use iam_domain::{Action, CompanyId, UserId};
//! use iam_permissions_cache::{FeatureRef, Permissions, Question, Subject};
//! use iam_storage::{Result, Storage};
//!
//! async fn may_read_risks(storage: Arc<dyn Storage>, company: CompanyId, user: UserId) -> Result<bool> {
//!     let permissions = Permissions::new(storage);
//!     let question = Question::Feature {
//!         feature: FeatureRef::parse("risks.create"),
//!         action: Action::read(),
//!         least_scope: None,
//!     };
//!     let answer = permissions.check(company, Subject::User(user), &question).await?;
//!     Ok(answer.value.allowed)
//! }
//! ```

mod decisions;
mod effective;
mod navigation;
mod question;

pub use decisions::Permissions;
pub use effective::{ActionPermission, EffectivePermissions};
pub use iam_storage::Stamped;
pub use navigation::{Navigation, NavigationItem, NavigationSubItem};
pub use question::{FeatureRef, Question, Subject, ViewRef};
