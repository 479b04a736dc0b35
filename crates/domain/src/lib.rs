//! The domain model of multi-tenant identity and access management.
//!
//! A *company* is a tenant. A *user level* is a role that belongs to one company. Users hold user levels, which grant
//! permissions on *views* and *features*. Views are screens; features are capabilities with *actions* and a *scope*.
//! *Modules* are entitlement gates: they bundle the views and features that a company has bought.
//!
//! This crate contains the ids, the entities, and the validated inputs with their limits. It also contains the
//! authoritative implementation of permission resolution, as pure functions. The crate has no async code, performs no
//! I/O, uses no database and no HTTP, and never reads the system time.
//!
//! # A decision
//!
//! ```
//! use std::sync::Arc;
//!
//! use iam_domain::{Catalog, Reason, Snapshot, LevelPermissions, Timestamp, UserLevelId, ViewState, seed};
//!
//! let at = Timestamp::from_millis(1_700_000_000_000).expect("a time in range");
//! let seeded = seed::catalog(at)?;
//! let home = seeded.views[1].id;
//! let level = UserLevelId::generate(at);
//!
//! let snapshot = Snapshot {
//!     catalog: Arc::new(Catalog::new(
//!         seeded.views,
//!         seeded.features,
//!         seeded.modules.clone(),
//!         seeded.module_views,
//!         seeded.module_features,
//!     )),
//!     modules: seeded.modules.iter().map(|module| module.id).collect(),
//!     levels: vec![LevelPermissions::new(level, [(home, ViewState::Allow)], [])],
//!     ..Snapshot::default()
//! };
//!
//! let decision = snapshot.view(home);
//! assert!(decision.allowed);
//! assert_eq!(decision.reason, Reason::ExplicitAllow);
//! assert_eq!(decision.decided_by, vec![level]);
//! # Ok::<(), iam_domain::TextError>(())
//! ```
//!
//! # Features
//!
//! * `openapi`: implements `utoipa`'s schema traits for the entities, for use in an OpenAPI document.

mod actor;
mod audit;
mod catalog;
mod ceiling;
mod clock;
mod company;
mod company_snapshot;
mod credential;
mod effective;
pub mod escalation;
mod essential_right;
mod explanation;
mod external;
mod folding;
mod iam;
mod idempotency;
mod ids;
mod impact;
mod menu;
mod menu_resolution;
mod period;
mod permission;
mod profile;
pub mod provisioning;
mod quota;
mod resolution;
pub mod seed;
mod tenancy;
mod text;
mod time;
mod token_validity;
mod trail;
mod versions;

pub use actor::{Actor, ActorKind, Caller, InvalidActor, Service};
pub use audit::{AuditRecord, EntityType};
pub use catalog::{CompanyModule, Feature, GrantedModule, Module, Priority, View};
pub use ceiling::Ceilings;
pub use clock::Clock;
pub use company::{CompanyDetails, CompanyStatus};
pub use company_snapshot::CompanySnapshot;
pub use credential::{ApiKey, ApiKeyDigest, ApiKeyPrefix, InvalidRate, RequestRate, ServiceRole};
pub use effective::{EffectiveFeaturePermission, EffectiveViewPermission};
pub use essential_right::EssentialRight;
pub use explanation::{AppliedCeiling, Explanation, GatingModule, LevelContribution, LevelRule, Step};
pub use external::{ExternalId, ExternalSubject, Issuer, NamedUser, User};
pub use folding::folded;
pub use iam::{IamAction, IamPermission, RESERVED_PREFIX, is_reserved};
pub use idempotency::{IdempotencyKey, InvalidIdempotencyKey};
pub use ids::{
    ApiKeyId, AuditRecordId, CompanyId, FeatureId, FeaturePermissionId, InvalidId, MenuItemId, ModuleId, SubMenuItemId,
    TrailEntryId, UserId, UserLevelId, ViewId, ViewPermissionId,
};
pub use impact::{CellChange, CellCounts, Impact, allowed, impact};
pub use menu::{Menu, MenuItem, SubMenuItem};
pub use menu_resolution::{Hidden, ResolvedItem, ResolvedSubItem};
pub use period::{AssignmentState, Period};
pub use permission::{Scope, UnknownVariant, ViewState};
pub use profile::{ClaimedProfile, Email, ProfileSource, UserProfile};
pub use quota::{Quota, QuotaLimits, QuotaOverrides};
pub use resolution::{Catalog, Decision, FeatureRule, LevelPermissions, Reason, Snapshot};
pub use tenancy::{AssignedUserLevel, Assignment, FeaturePermission, UserLevel, ViewPermission};
pub use text::{
    Action, Category, Description, FeatureKey, Icon, Label, ModuleCode, Name, ResourceType, SessionId, TextError, Url,
    ViewUrl,
};
pub use time::Timestamp;
pub use token_validity::is_token_valid;
pub use trail::{RECENT_LIMIT, TRAIL_LIMIT, TRAIL_USER_LIMIT, TrailEntry};
pub use versions::{CommitStamp, Freshness, Versions};
