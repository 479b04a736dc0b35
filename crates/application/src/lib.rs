//! The use cases of the IAM service.
//!
//! Reads and decisions are methods of [`Application`]. Changes are values that implement [`Change`]. Each change
//! declares its [`Requirement`] and the target that it locks. [`Application::execute`] runs each change in one unit of
//! work, and in its own task, so that the change completes even if the client disconnects. The unit of work locks the
//! target, authorizes the caller again, and applies the change. It then checks that the caller holds all granted
//! permissions and that the company still has an administrator. Finally, it commits the change together with its audit
//! records. If the transaction fails with a retryable error, such as a serialization failure or a deadlock, the
//! change is retried.
//!
//! ```
//! use iam_application::{Application, CreateUserLevel, Failure, RequestContext};
//! use iam_domain::{Caller, CompanyId, Description, Name, UserId};
//!
//! async fn add_auditors(application: &Application, company: CompanyId, user_id: UserId) -> Result<(), Failure> {
//!     let context = RequestContext::from(Caller::user(user_id));
//!     let name = Name::parse("Auditors").map_err(|error| Failure::invalid("name", error))?;
//!     let description = Description::parse("").map_err(|error| Failure::invalid("description", error))?;
//!     let committed = application.execute(context, CreateUserLevel { company, name, description, copy_from: None }).await?;
//!     println!("{} at {:?}", committed.value.level.id, committed.stamp);
//!     Ok(())
//! }
//! ```

mod application;
mod authentication;
mod authorization;
mod blocking;
mod budgets;
mod ceilings;
mod change;
mod changes;
mod claimed_profiles;
mod companies;
mod decisions;
mod etag;
mod execute;
mod expiry;
mod external_ids;
mod failure;
mod field_error;
mod figures;
mod health;
mod idempotency;
mod levels_change;
mod levels_view;
mod lists;
mod metric_list;
mod names;
mod nullified;
mod patch;
mod preview;
mod preview_turns;
mod profile_queue;
mod profiles;
mod quotas;
mod reads;
mod request_account;
mod sessions;
mod staleness;
mod system_change;
mod trail;
mod who_can;

pub use application::Application;
pub use authentication::ServiceAuthentication;
pub use authorization::Requirement;
pub use budgets::{Buckets, Budget, BudgetOptions, Budgets, Empty, Exhausted, Rate, Remaining, Reserve};
pub use ceilings::{ActionCeiling, CeilingsImpact, CellImpact, RequestedCeilings};
pub use change::{Change, Effect, RequestContext};
pub use changes::{
    AssignUserLevels, AssignedLevels, ChangeFeaturePermissions, ChangeViewPermissions, CreateApiKey, CreateCompany,
    CreateFeature, CreateMenuItem, CreateModule, CreateSubMenuItem, CreateUserLevel, CreateView, CreatedUserLevel,
    CutOffUser, DeleteFeature, DeleteMenuItem, DeleteModule, DeleteSubMenuItem, DeleteUserLevel, DeleteView,
    EditAssignments, EditedAssignments, HOW_TO_UNGATE, LevelOfUser, NewFeaturePermission, NewViewPermission,
    OrderMenuItems, OrderSubMenuItems, ProvisionCompany, Provisioned, ProvisionedAdmin, RemoveUser, ReplacedMatrix,
    RequestedCells, RequestedLevels, RevokeApiKey, SetCompanyCeilings, SetCompanyModules, SetCompanyQuotas,
    SetFeatureViews, SetModuleFeatures, SetModuleViews, SetUserProfile, SwitchCompanyModule, SwitchedModule,
    UpdateCompany, UpdateFeature, UpdateMenuItem, UpdateModule, UpdateSubMenuItem, UpdateUserLevel, UpdateView,
};
pub use companies::Company;
pub use decisions::{DecisionContext, NamedSubject, SubjectAccesses};
pub use etag::{Etag, IfMatch};
pub use execute::Committed;
pub use failure::{Failure, causes};
pub use field_error::{FIELD_ERRORS_LIMIT, FieldCode, FieldError};
pub use figures::{FigureSource, Figures};
pub use health::{HealthProbe, Readiness, ReadinessCheck, ReadinessProblem, ReadinessReason, SchemaVersions};
pub use iam_storage::{
    AuditCursor, AuditFilter, CompanyMatrix, CompanyOrder, Direction, EndingAssignment, FeatureCell, HeldLevel,
    IdempotentRequest, LevelMatrix, ListedCompany, Member, Membership, NewTrailEntry, OperationFigures, PoolUse,
    RecentOperations, Stamped, StoredSession, ViewCell,
};
pub use idempotency::request_digest;
pub use levels_change::{LevelFields, LevelsChange};
pub use levels_view::LevelsView;
pub use lists::companies::ListCompanies;
pub use lists::ending::ListEndingAssignments;
pub use lists::members::{ListMembers, MemberOrder, SearchText};
pub use lists::page::{Page, PageRequest};
pub use metric_list::describe_metrics;
pub use names::Names;
pub use nullified::{Nullified, NullifiedCell};
pub use patch::Patch;
pub use preview::{Preview, PreviewPage, PreviewRequest};
pub use quotas::CompanyQuotas;
pub use reads::{AuditPage, NamedRecord, Total};
pub use request_account::{Refusal, RequestAccount};
pub use sessions::SessionKey;
pub use staleness::{Reads, with_reads};
pub use trail::Trail;
pub use who_can::{AllowedMember, AllowedPage, WhoCan};
