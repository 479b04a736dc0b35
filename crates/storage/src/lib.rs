//! The storage contract of the IAM service.
//!
//! The contract consists of small object-safe traits. Most resources have one trait for reads (such as [`Views`]) and
//! one for writes (such as [`ViewsMut`]). [`Reader`] combines all traits for reads, and [`Writer`] combines all traits
//! for writes. Writes run in a [`UnitOfWork`], a transaction on one [`Target`]. A unit of work first locks the target
//! and increments the target's version. Its reads see its own uncommitted writes, and its commit derives the audit
//! records from its mutations. Auxiliary data comprises navigation trails, effective-permission rows, and the last-used
//! times of API keys. No decision depends on auxiliary data. Each write of auxiliary data runs in its own transaction,
//! outside units of work. A [`ChangeFeed`] reports committed changes, so that caches can be invalidated.
//!
//! # Adapters
//!
//! `iam-storage-memory` and `iam-storage-postgres` implement [`Storage`]. To add an adapter, implement the traits,
//! report each mutation to the [`Recorder`], and run the test suite of the Cargo feature `contract`, which exercises
//! every operation:
//!
//! ```text
//! iam_storage::contract_tests!(my_adapter::fresh_storage().await);
//! ```
//!
//! # Example
//!
//! ```
//! use async_trait::async_trait;
//! use iam_domain::{CompanyId, Description, Name, UserLevel, UserLevelId};
//! use iam_storage::{ChangeContext, Result, Storage, StorageError, Target, UnitOfWork, Work, transact};
//!
//! struct AddAuditors(CompanyId);
//!
//! #[async_trait]
//! impl Work for AddAuditors {
//!     type Output = UserLevelId;
//!     type Error = StorageError;
//!
//!     async fn run(&self, tx: &mut dyn UnitOfWork) -> Result<UserLevelId> {
//!         let now = tx.now();
//!         let level = UserLevel {
//!             id: UserLevelId::generate(now),
//!             company_id: self.0,
//!             name: Name::parse("Auditors").map_err(StorageError::corrupt)?,
//!             description: Description::parse("").map_err(StorageError::corrupt)?,
//!             is_default: false,
//!             created_at: now,
//!             updated_at: now,
//!         };
//!         tx.user_levels_mut().create(&level).await?;
//!         Ok(level.id)
//!     }
//! }
//!
//! async fn add(storage: &dyn Storage, company: CompanyId) -> Result<()> {
//!     let target = Target::Company(company);
//!     let (level, stamp) = transact(storage, target, &ChangeContext::command_line(), &AddAuditors(company)).await?;
//!     println!("added {level} at {stamp:?}");
//!     Ok(())
//! }
//! ```

mod audit_log;
mod auxiliary;
mod company_content;
mod company_copy;
pub mod company_locks;
mod company_state;
#[cfg(feature = "contract")]
pub mod contract;
mod diff;
mod directory;
mod edits;
mod erasure;
mod error;
mod expiry;
mod feed;
mod growth;
mod idempotency;
mod matrix;
mod members;
mod operation_figures;
mod parts;
mod profiles;
mod read;
mod record_changes;
mod recorded;
mod recorder;
mod sessions;
mod simulation;
mod stamped;
mod storage;
mod write;

pub use audit_log::{AuditCursor, AuditFilter, AuditLogs, AuditRecords, InvalidAuditCursor, PageBounds};
pub use auxiliary::{
    ApiKeyUses, EffectiveFeaturePermissions, EffectiveViewPermissions, LONGEST_VALIDITY, NavTrail,
    NewEffectiveFeaturePermission, NewEffectiveViewPermission, NewTrailEntry,
};
pub use company_content::CompanyContent;
pub use company_copy::{CompanyCopy, CopiedLevel};
pub use company_state::CompanyState;
pub use diff::{MatrixCell, MatrixDiff, SetDiff};
pub use directory::{CompanyDirectory, CompanyFilter, CompanyOrder, CompanyPosition, ListedCompany};
pub use edits::{Assigned, EditedLevels, EditedUser, LevelsEdit};
pub use erasure::{ERASED_TABLES, ErasedRows};
pub use error::{BoxError, Constraint, Result, StorageError};
pub use expiry::{EndPosition, EndingAssignment, EndingAssignments};
pub use feed::{ChangeFeed, Changes, NotPrimary, Polled, Position, StateId, WakeUps};
pub use growth::Growth;
pub use idempotency::{IdempotencyKeys, IdempotencyKeysMut, IdempotencyRecord, IdempotentRequest, RecordOutcome};
pub use matrix::{CompanyMatrix, FeatureCell, LevelMatrix, ViewCell};
pub use members::{
    CursorKey, CursorKeys, Direction, HeldLevel, LevelRules, Member, MemberFilter, MemberPosition, MemberSearch,
    Members, ProfileText, Selected, UserRange,
};
pub use operation_figures::{OperationFigures, RecentOperations};
pub use profiles::{Forgotten, UserProfiles, UserProfilesMut};
pub use read::{
    ApiKeys, Assignments, CellName, CompanyCeilings, CompanyModules, CompanyQuotas, CompanyStates, CredentialChanges,
    Credentials, FeaturePermissions, FeatureViews, Features, IdOrText, LevelAssignment, Membership, MenuItems, MenuUse,
    ModuleFeatures, ModuleViews, Modules, Reader, Snapshots, SubMenuItems, UserLevels, Users, ViewPermissions, Views,
};
pub use recorded::Recorded;
pub use recorder::{ChangeContext, Derived, Recorder};
pub use sessions::{SessionDigest, Sessions, StoredSession};
pub use simulation::Simulator;
pub use stamped::{Stamped, Stamps};
pub use storage::{Health, PoolStats, PoolUse, Retryable, Storage, Work, transact};
pub use write::{
    ApiKeysMut, AssignedLevel, AssignmentsMut, AuditLogsMut, CompanyCeilingsMut, CompanyContentsMut, CompanyModulesMut,
    CompanyQuotasMut, CompanyStatesMut, FeaturePermissionsMut, FeatureViewsMut, FeaturesMut, MenuItemsMut,
    ModuleFeaturesMut, ModuleViewsMut, ModulesMut, ReplacedLevels, SubMenuItemsMut, Target, UnitOfWork, UserLevelsMut,
    UsersMut, ViewPermissionsMut, ViewsMut, Writer,
};
