//! The conversion of entities to the rows of the file, and back.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iam_domain::{
    Actor, ApiKey, ApiKeyDigest, AuditRecord, CompanyId, CompanyModule, ExternalId, Feature, FeaturePermission,
    MenuItem, Module, SubMenuItem, UserLevel, UserLevelId, UserProfile, View, ViewPermission,
};
use serde_json::Value;

use crate::catalog::{MappedFeature, MappedModule};
use crate::lines::{
    ApiKeyRow, ExternalIdRow, FeatureCellRow, FeatureRow, GrantRow, LevelRow, MenuItemRow, ModuleRow, ProfileRow,
    RecordRow, SubMenuItemRow, ViewCellRow, ViewRow,
};
use crate::moment::Moment;

/// Maximum length of the action of an audit record in characters.
const MAX_ACTION: usize = 100;

impl From<View> for ViewRow {
    fn from(view: View) -> Self {
        let View { id, name, url, category, description, icon, requires_auth, created_at, updated_at } = view;
        let (created_at, updated_at) = (Moment(created_at), Moment(updated_at));
        Self { id, name, url, category, description, icon, requires_auth, created_at, updated_at }
    }
}

impl From<ViewRow> for View {
    fn from(row: ViewRow) -> Self {
        let ViewRow { id, name, url, category, description, icon, requires_auth, created_at, updated_at } = row;
        let (created_at, updated_at) = (created_at.0, updated_at.0);
        Self { id, name, url, category, description, icon, requires_auth, created_at, updated_at }
    }
}

impl From<MappedFeature> for FeatureRow {
    fn from(MappedFeature { feature, views }: MappedFeature) -> Self {
        let Feature { id, key, name, description, resource_type, actions, category, enabled, created_at, updated_at } =
            feature;
        let (created_at, updated_at) = (Moment(created_at), Moment(updated_at));
        Self { id, key, name, description, resource_type, actions, category, enabled, created_at, updated_at, views }
    }
}

impl From<FeatureRow> for MappedFeature {
    fn from(row: FeatureRow) -> Self {
        let feature = Feature {
            id: row.id,
            key: row.key,
            name: row.name,
            description: row.description,
            resource_type: row.resource_type,
            actions: row.actions,
            category: row.category,
            enabled: row.enabled,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        };
        Self { feature, views: row.views }
    }
}

impl From<MappedModule> for ModuleRow {
    fn from(MappedModule { module, views, features }: MappedModule) -> Self {
        let Module { id, code, name, description, icon, enabled, priority, created_at, updated_at } = module;
        let (created_at, updated_at) = (Moment(created_at), Moment(updated_at));
        Self { id, code, name, description, icon, enabled, priority, created_at, updated_at, views, features }
    }
}

impl From<ModuleRow> for MappedModule {
    fn from(row: ModuleRow) -> Self {
        let module = Module {
            id: row.id,
            code: row.code,
            name: row.name,
            description: row.description,
            icon: row.icon,
            enabled: row.enabled,
            priority: row.priority,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        };
        Self { module, views: row.views, features: row.features }
    }
}

impl From<MenuItem> for MenuItemRow {
    fn from(item: MenuItem) -> Self {
        Self {
            id: item.id,
            label: item.label,
            icon: item.icon,
            priority: item.priority,
            required_permissions: item.required_permissions,
            sort_order: item.sort_order,
            view: item.view_id,
            feature: item.feature_id,
            is_entrypoint: item.is_entrypoint,
            created_at: Moment(item.created_at),
            updated_at: Moment(item.updated_at),
        }
    }
}

impl MenuItemRow {
    /// Returns the item in the menu of this owner.
    pub(crate) fn of(self, company_id: Option<CompanyId>) -> MenuItem {
        MenuItem {
            id: self.id,
            company_id,
            label: self.label,
            icon: self.icon,
            priority: self.priority,
            required_permissions: self.required_permissions,
            sort_order: self.sort_order,
            view_id: self.view,
            feature_id: self.feature,
            is_entrypoint: self.is_entrypoint,
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
        }
    }
}

impl From<SubMenuItem> for SubMenuItemRow {
    fn from(item: SubMenuItem) -> Self {
        Self {
            id: item.id,
            item: item.menu_item_id,
            label: item.label,
            view: item.view_id,
            feature: item.feature_id,
            icon: item.icon,
            sort_order: item.sort_order,
            enabled: item.enabled,
            created_at: Moment(item.created_at),
            updated_at: Moment(item.updated_at),
        }
    }
}

impl From<SubMenuItemRow> for SubMenuItem {
    fn from(row: SubMenuItemRow) -> Self {
        Self {
            id: row.id,
            menu_item_id: row.item,
            label: row.label,
            view_id: row.view,
            feature_id: row.feature,
            icon: row.icon,
            sort_order: row.sort_order,
            enabled: row.enabled,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
        }
    }
}

impl From<&CompanyModule> for GrantRow {
    fn from(granted: &CompanyModule) -> Self {
        Self(granted.module_id, granted.enabled, Moment(granted.created_at), Moment(granted.updated_at))
    }
}

impl GrantRow {
    pub(crate) fn of(self, company_id: CompanyId) -> CompanyModule {
        let Self(module_id, enabled, created_at, updated_at) = self;
        CompanyModule { company_id, module_id, enabled, created_at: created_at.0, updated_at: updated_at.0 }
    }
}

impl From<UserLevel> for LevelRow {
    fn from(level: UserLevel) -> Self {
        let UserLevel { id, company_id: _, name, description, is_default, created_at, updated_at } = level;
        let (created_at, updated_at) = (Moment(created_at), Moment(updated_at));
        Self { id, name, description, is_default, created_at, updated_at }
    }
}

impl LevelRow {
    pub(crate) fn of(self, company_id: CompanyId) -> UserLevel {
        let Self { id, name, description, is_default, created_at, updated_at } = self;
        let (created_at, updated_at) = (created_at.0, updated_at.0);
        UserLevel { id, company_id, name, description, is_default, created_at, updated_at }
    }
}

impl From<&ViewPermission> for ViewCellRow {
    fn from(cell: &ViewPermission) -> Self {
        let times = (Moment(cell.created_at), Moment(cell.updated_at));
        Self(cell.id, cell.view_id, cell.state, cell.modifiable, times.0, times.1)
    }
}

impl ViewCellRow {
    pub(crate) fn of(self, company_id: CompanyId, user_level_id: UserLevelId) -> ViewPermission {
        let Self(id, view_id, state, modifiable, created_at, updated_at) = self;
        let (created_at, updated_at) = (created_at.0, updated_at.0);
        ViewPermission { id, company_id, user_level_id, view_id, state, modifiable, created_at, updated_at }
    }
}

impl From<&FeaturePermission> for FeatureCellRow {
    fn from(cell: &FeaturePermission) -> Self {
        let times = (Moment(cell.created_at), Moment(cell.updated_at));
        let action = cell.action.clone();
        Self(cell.id, cell.feature_id, action, cell.value, cell.scope, cell.modifiable, times.0, times.1)
    }
}

impl FeatureCellRow {
    pub(crate) fn of(self, company_id: CompanyId, user_level_id: UserLevelId) -> FeaturePermission {
        let Self(id, feature_id, action, value, scope, modifiable, created_at, updated_at) = self;
        let (created_at, updated_at) = (created_at.0, updated_at.0);
        FeaturePermission {
            id,
            company_id,
            user_level_id,
            feature_id,
            action,
            value,
            scope,
            modifiable,
            created_at,
            updated_at,
        }
    }
}

impl From<UserProfile> for ProfileRow {
    fn from(profile: UserProfile) -> Self {
        Self {
            user: profile.user_id,
            display_name: profile.display_name,
            email: profile.email,
            source: profile.source,
            created_at: Moment(profile.created_at),
            updated_at: Moment(profile.updated_at),
        }
    }
}

impl ProfileRow {
    pub(crate) fn of(self, company_id: CompanyId) -> UserProfile {
        UserProfile {
            company_id,
            user_id: self.user,
            display_name: self.display_name,
            email: self.email,
            source: self.source,
            created_at: self.created_at.0,
            updated_at: self.updated_at.0,
        }
    }
}

impl From<ExternalId> for ExternalIdRow {
    fn from(ExternalId { issuer, subject }: ExternalId) -> Self {
        Self { issuer, subject }
    }
}

impl From<ExternalIdRow> for ExternalId {
    fn from(ExternalIdRow { issuer, subject }: ExternalIdRow) -> Self {
        Self { issuer, subject }
    }
}

impl From<AuditRecord> for RecordRow {
    fn from(record: AuditRecord) -> Self {
        Self {
            id: record.id,
            actor_kind: record.actor.kind(),
            actor: record.actor.id(),
            action: record.action,
            entity_type: record.entity_type,
            entity: record.entity_id,
            changes: record.changes,
            metadata: record.metadata,
            timestamp: Moment(record.timestamp),
        }
    }
}

impl RecordRow {
    /// Returns the record in the audit log of this owner. Fails if a storage could not store or read it.
    pub(crate) fn of(self, company_id: Option<CompanyId>) -> Result<AuditRecord, &'static str> {
        let is_text = |value: &Option<Value>| value.as_ref().is_none_or(|value| !contains_nul(value));
        if self.action.is_empty() || self.action.chars().count() > MAX_ACTION || self.action.contains('\0') {
            return Err("the action of an audit record is empty or too long");
        }
        if !is_text(&self.changes) || !is_text(&self.metadata) {
            return Err("an audit record contains the character NUL");
        }
        Ok(AuditRecord {
            id: self.id,
            company_id,
            actor: Actor::from_parts(self.actor_kind, self.actor)
                .map_err(|_| "the actor of an audit record contradicts its kind")?,
            action: self.action,
            entity_type: self.entity_type,
            entity_id: self.entity,
            changes: self.changes,
            metadata: self.metadata,
            timestamp: self.timestamp.0,
        })
    }
}

fn contains_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(contains_nul),
        Value::Object(members) => members.iter().any(|(key, value)| key.contains('\0') || contains_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl From<(ApiKey, ApiKeyDigest)> for ApiKeyRow {
    fn from((key, digest): (ApiKey, ApiKeyDigest)) -> Self {
        Self {
            id: key.id,
            prefix: key.prefix,
            digest: STANDARD.encode(digest.0),
            name: key.name,
            role: key.role,
            company: key.company_id,
            requests_per_second: key.requests_per_second,
            created_by: key.created_by,
            created_at: Moment(key.created_at),
            expires_at: key.expires_at.map(Moment),
            revoked_at: key.revoked_at.map(Moment),
        }
    }
}

impl TryFrom<ApiKeyRow> for (ApiKey, ApiKeyDigest) {
    type Error = &'static str;

    fn try_from(row: ApiKeyRow) -> Result<Self, &'static str> {
        let digest = STANDARD.decode(&row.digest).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let key = ApiKey {
            id: row.id,
            prefix: row.prefix,
            name: row.name,
            role: row.role,
            company_id: row.company,
            requests_per_second: row.requests_per_second,
            created_by: row.created_by,
            created_at: row.created_at.0,
            expires_at: row.expires_at.map(|at| at.0),
            revoked_at: row.revoked_at.map(|at| at.0),
            last_used_at: None,
        };
        Ok((key, ApiKeyDigest(digest.ok_or("the digest of an API key is not a hash of 32 bytes")?)))
    }
}

/// Returns `true` if no element occurs twice.
pub(crate) fn are_distinct<T: Ord>(elements: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    elements.into_iter().all(|element| seen.insert(element))
}
