//! The audit log: one record per change, committed together with the change.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::permission::words;
use crate::{ActorKind, AuditRecordId, CompanyId, Timestamp, UserId};

words! {
    /// The type of entity that a change affected.
    EntityType ("user-level, permission, assignment, view, feature, module, menu, company, api-key, user"):
        /// A user level.
        UserLevel = "user-level",
        /// A permission matrix. The entity id is that of its user level.
        Permission = "permission",
        /// The levels of a user. The entity id is that of the user.
        Assignment = "assignment",
        /// A view.
        View = "view",
        /// A feature.
        Feature = "feature",
        /// A module.
        Module = "module",
        /// A menu item or sub-item.
        Menu = "menu",
        /// A company: its provisioning, or its modules.
        Company = "company",
        /// An API key.
        ApiKey = "api-key",
        /// A user: the token cut-off of the user.
        User = "user",
}

/// One record of the audit log. Records are append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// The id of the record. The ids of one commit ascend in the order of its changes.
    pub id: AuditRecordId,
    /// The company of the changed entity. `null`: the change affects the platform.
    pub company_id: Option<CompanyId>,
    /// The id of the actor: a user, or the API key of a service. `null` for the command line.
    pub user_id: Option<UserId>,
    /// The kind of actor.
    pub actor_kind: ActorKind,
    /// The action: `user_level.created`, `permissions.views_updated`, …
    pub action: String,
    /// The type of the changed entity.
    pub entity_type: EntityType,
    /// The id of the changed entity.
    pub entity_id: Uuid,
    /// The difference that the change made. For an update, the changed fields before and after.
    pub changes: Option<Value>,
    /// The context of the change, such as the request id and the use of super admin rights.
    pub metadata: Option<Value>,
    /// The time of the change, from the storage's clock.
    pub timestamp: Timestamp,
}
