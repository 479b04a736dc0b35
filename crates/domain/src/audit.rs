//! The audit trail: one record per change, committed with it.

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
        /// A permission matrix; the entity is its user level.
        Permission = "permission",
        /// The levels of a user; the entity is the user.
        Assignment = "assignment",
        /// A view.
        View = "view",
        /// A feature.
        Feature = "feature",
        /// A module.
        Module = "module",
        /// A menu item or sub-item.
        Menu = "menu",
        /// A company: its provisioning and its modules.
        Company = "company",
        /// An API key.
        ApiKey = "api-key",
        /// A user: the cut-off of their tokens.
        User = "user",
}

/// One record. Records are only ever appended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditRecord {
    /// Its id; ids of one commit ascend in the order of its changes.
    pub id: AuditRecordId,
    /// The company that was changed; `null` means the platform.
    pub company_id: Option<CompanyId>,
    /// The actor: a user, or a service by the id of its API key; `null` for the command line.
    pub user_id: Option<UserId>,
    /// The kind of actor.
    pub actor_kind: ActorKind,
    /// The action: `user_level.created`, `permissions.views_updated`, …
    pub action: String,
    /// The type of the changed entity.
    pub entity_type: EntityType,
    /// The id of the changed entity.
    pub entity_id: Uuid,
    /// The difference.
    pub changes: Option<Value>,
    /// The context: request id, use of super admin rights.
    pub metadata: Option<Value>,
    /// The time of the change, by the storage's clock.
    pub timestamp: Timestamp,
}
