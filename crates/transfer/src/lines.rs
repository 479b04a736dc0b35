//! The lines of the file: each line is a JSON object with one member, whose name is the type of the line.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    Action, ActorKind, ApiKeyId, ApiKeyPrefix, AuditRecordId, Category, Ceilings, CompanyId, CompanyStatus,
    Description, Email, EntityType, ExternalSubject, FeatureId, FeatureKey, FeaturePermissionId, Icon, Issuer, Label,
    MenuItemId, ModuleCode, ModuleId, Name, Priority, ProfileSource, Quota, RequestRate, ResourceType, Scope,
    ServiceRole, SubMenuItemId, UserId, UserLevelId, ViewId, ViewPermissionId, ViewState, ViewUrl,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::moment::Moment;

/// The name of the format.
pub(crate) const FORMAT: &str = "iam-export";

/// The version of the format. A reader rejects files of a newer version.
pub(crate) const VERSION: u32 = 1;

/// Maximum length of a line in bytes, including its end.
pub(crate) const MAX_LINE: u64 = 16 * 1024 * 1024;

/// Number of cells, assignments or records in one line or in one page.
pub(crate) const PAGE: usize = 500;

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Line {
    /// The first line of the file.
    Header(Header),
    /// The first line of the section of the catalog.
    Catalog {},
    View(ViewRow),
    Feature(FeatureRow),
    Module(ModuleRow),
    MenuItem(MenuItemRow),
    SubMenuItem(SubMenuItemRow),
    /// The first line of the section of a company.
    Company(CompanyRow),
    Level(LevelRow),
    ViewCells(ViewCellRows),
    FeatureCells(FeatureCellRows),
    Assignments(Vec<AssignmentRow>),
    Profile(ProfileRow),
    ExternalId(ExternalIdRow),
    Record(RecordRow),
    /// The first line of the section with the audit log of the platform.
    Platform {},
    /// The first line of the section of the credentials.
    Credentials {},
    ApiKey(ApiKeyRow),
    CutOff(CutOffRow),
    /// The last line of each section.
    End(End),
    /// The last line of the file.
    Manifest(Manifest),
}

/// The origin and the extent of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Header {
    /// The name of the format, which is always `iam-export`.
    pub(crate) format: String,
    /// The version of the format.
    pub(crate) version: u32,
    /// The release of the program that made the export.
    pub release: String,
    /// The newest migration that the program knows.
    pub schema: String,
    /// The epoch of the source.
    pub epoch: u64,
    /// The time of the export.
    pub(crate) exported_at: Moment,
    /// `true` if the export contains all companies and the audit log of the platform.
    pub everything: bool,
    /// `true` if the export contains API keys and cut-offs.
    pub credentials: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ViewRow {
    pub(crate) id: ViewId,
    pub(crate) name: Name,
    pub(crate) url: ViewUrl,
    pub(crate) category: Option<Category>,
    pub(crate) description: Option<Description>,
    pub(crate) icon: Option<Icon>,
    pub(crate) requires_auth: bool,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct FeatureRow {
    pub(crate) id: FeatureId,
    pub(crate) key: Option<FeatureKey>,
    pub(crate) name: Name,
    pub(crate) description: Option<Description>,
    pub(crate) resource_type: Option<ResourceType>,
    pub(crate) actions: Option<Vec<Action>>,
    pub(crate) category: Option<Category>,
    pub(crate) enabled: bool,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
    pub(crate) views: BTreeSet<ViewId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ModuleRow {
    pub(crate) id: ModuleId,
    pub(crate) code: ModuleCode,
    pub(crate) name: Name,
    pub(crate) description: Option<Description>,
    pub(crate) icon: Option<Icon>,
    pub(crate) enabled: bool,
    pub(crate) priority: Priority,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
    pub(crate) views: BTreeSet<ViewId>,
    pub(crate) features: BTreeSet<FeatureId>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct MenuItemRow {
    pub(crate) id: MenuItemId,
    pub(crate) label: Label,
    pub(crate) icon: Option<Icon>,
    pub(crate) priority: Priority,
    pub(crate) required_permissions: Option<Vec<FeatureKey>>,
    pub(crate) sort_order: i32,
    pub(crate) view: Option<ViewId>,
    pub(crate) feature: Option<FeatureId>,
    pub(crate) is_entrypoint: bool,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SubMenuItemRow {
    pub(crate) id: SubMenuItemId,
    pub(crate) item: MenuItemId,
    pub(crate) label: Label,
    pub(crate) view: Option<ViewId>,
    pub(crate) feature: Option<FeatureId>,
    pub(crate) icon: Option<Icon>,
    pub(crate) sort_order: i32,
    pub(crate) enabled: bool,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CompanyRow {
    pub(crate) id: CompanyId,
    pub(crate) provisioned_at: Option<Moment>,
    pub(crate) name: Option<Name>,
    pub(crate) status: CompanyStatus,
    pub(crate) ceilings: Ceilings,
    pub(crate) quotas: BTreeMap<Quota, u32>,
    pub(crate) modules: Vec<GrantRow>,
}

/// A module of a company: its id, whether it is enabled, and the times of its creation and of its last change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GrantRow(pub(crate) ModuleId, pub(crate) bool, pub(crate) Moment, pub(crate) Moment);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LevelRow {
    pub(crate) id: UserLevelId,
    pub(crate) name: Name,
    pub(crate) description: Description,
    pub(crate) is_default: bool,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ViewCellRows {
    pub(crate) level: UserLevelId,
    pub(crate) cells: Vec<ViewCellRow>,
}

/// A cell of a view matrix: its id, the view, the state, whether it is modifiable, and the two times.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ViewCellRow(
    pub(crate) ViewPermissionId,
    pub(crate) ViewId,
    pub(crate) ViewState,
    pub(crate) bool,
    pub(crate) Moment,
    pub(crate) Moment,
);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureCellRows {
    pub(crate) level: UserLevelId,
    pub(crate) cells: Vec<FeatureCellRow>,
}

/// A cell of a feature matrix: its id, the feature, the action, the value, the scope, whether it is modifiable, and the
/// two times.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FeatureCellRow(
    pub(crate) FeaturePermissionId,
    pub(crate) FeatureId,
    pub(crate) Action,
    pub(crate) bool,
    pub(crate) Scope,
    pub(crate) bool,
    pub(crate) Moment,
    pub(crate) Moment,
);

/// An assignment: the user, the level, and the start and the end of its period.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AssignmentRow(
    pub(crate) UserId,
    pub(crate) UserLevelId,
    pub(crate) Option<Moment>,
    pub(crate) Option<Moment>,
);

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ProfileRow {
    pub(crate) user: UserId,
    pub(crate) display_name: Option<Name>,
    pub(crate) email: Option<Email>,
    pub(crate) source: ProfileSource,
    pub(crate) created_at: Moment,
    pub(crate) updated_at: Moment,
}

/// The external name of a user. The id of the user is computed from it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExternalIdRow {
    pub(crate) issuer: Issuer,
    pub(crate) subject: ExternalSubject,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct RecordRow {
    pub(crate) id: AuditRecordId,
    pub(crate) actor_kind: ActorKind,
    pub(crate) actor: Option<Uuid>,
    pub(crate) action: String,
    pub(crate) entity_type: EntityType,
    pub(crate) entity: Uuid,
    pub(crate) changes: Option<Value>,
    pub(crate) metadata: Option<Value>,
    pub(crate) timestamp: Moment,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ApiKeyRow {
    pub(crate) id: ApiKeyId,
    pub(crate) prefix: ApiKeyPrefix,
    /// The hash of the secret, in base64.
    pub(crate) digest: String,
    pub(crate) name: Name,
    pub(crate) role: ServiceRole,
    pub(crate) company: Option<CompanyId>,
    pub(crate) requests_per_second: Option<RequestRate>,
    pub(crate) created_by: Option<UserId>,
    pub(crate) created_at: Moment,
    pub(crate) expires_at: Option<Moment>,
    pub(crate) revoked_at: Option<Moment>,
}

impl std::fmt::Debug for ApiKeyRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiKeyRow").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct CutOffRow {
    pub(crate) user: UserId,
    pub(crate) not_before: Moment,
}

/// The number of lines of a section, and their hash.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct End {
    pub(crate) lines: u64,
    pub(crate) sha256: String,
}

/// The counts of the file, and the hash of all earlier lines.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) lines: u64,
    pub(crate) sections: u64,
    pub(crate) companies: u64,
    pub(crate) sha256: String,
}
