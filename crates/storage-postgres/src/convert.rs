//! Converts rows to domain entities, and domain entities to rows. A row that cannot be parsed causes the error
//! `Corrupt`.

pub(crate) mod companies;

use std::fmt::Display;
use std::str::FromStr;

use iam_domain::{
    Action, Actor, ApiKey, ApiKeyDigest, ApiKeyId, ApiKeyPrefix, AuditRecord, AuditRecordId, Category, CompanyId,
    CompanyModule, Description, EffectiveFeaturePermission, EffectiveViewPermission, ExternalId, ExternalSubject,
    Feature, FeatureId, FeatureKey, FeaturePermission, FeaturePermissionId, Icon, InvalidRate, Issuer, Label, MenuItem,
    MenuItemId, Module, ModuleCode, ModuleId, Name, RequestRate, ResourceType, SessionId, SubMenuItem, SubMenuItemId,
    TextError, Timestamp, TrailEntry, TrailEntryId, Url, User, UserId, UserLevel, UserLevelId, View, ViewId,
    ViewPermission, ViewPermissionId, ViewUrl,
};
use iam_storage::{Result, StorageError};
use sea_orm::FromQueryResult;
use sea_orm::entity::prelude::{DateTimeUtc, Json};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::entities::{
    api_keys, company2modules, effective_feature_permissions, effective_view_permissions, features, iam_audit_logs,
    menu_items, modules, nav_trail, sub_menu_items, user_level_feature_permissions, user_level_view_permissions,
    user_levels, views,
};

/// Returns the error for a column that cannot be parsed.
fn corrupt(column: &str, error: impl Display) -> StorageError {
    StorageError::corrupt(format_args!("{column}: {error}"))
}

/// Parses a string column into a validated type.
fn text<T>(column: &str, text: String, parse: fn(String) -> Result<T, TextError>) -> Result<T> {
    parse(text).map_err(|error| corrupt(column, error))
}

/// Parses a nullable string column into a validated type.
fn optional_text<T>(
    column: &str,
    text: Option<String>,
    parse: fn(String) -> Result<T, TextError>,
) -> Result<Option<T>> {
    text.map(parse).transpose().map_err(|error| corrupt(column, error))
}

/// Parses a string column into an enumeration.
fn parsed<T: FromStr<Err: Display>>(column: &str, text: &str) -> Result<T> {
    text.parse().map_err(|error| corrupt(column, error))
}

/// Parses the actor of an audit record.
fn actor(id: Option<Uuid>, kind: &str) -> Result<Actor> {
    let kind = parsed("iam_audit_logs.actor_kind", kind)?;
    Actor::from_parts(kind, id).map_err(|error| corrupt("iam_audit_logs.user_id", error))
}

fn json<T: DeserializeOwned>(column: &str, value: Option<Json>) -> Result<Option<T>> {
    value.map(serde_json::from_value).transpose().map_err(|error| corrupt(column, error))
}

pub(crate) fn time(time: DateTimeUtc) -> Timestamp {
    Timestamp::new(time)
}

/// Returns validated strings as a JSON array.
pub(crate) fn text_array<T: AsText>(texts: Option<&Vec<T>>) -> Option<Json> {
    texts.map(|texts| texts.iter().map(|text| Json::from(text.as_text())).collect())
}

/// A validated string type.
pub(crate) trait AsText {
    /// Returns the string.
    fn as_text(&self) -> &str;
}

impl AsText for Action {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

impl AsText for FeatureKey {
    fn as_text(&self) -> &str {
        self.as_str()
    }
}

/// Converts stored bytes to the digest of an API key.
pub(crate) fn digest(bytes: &[u8]) -> Result<ApiKeyDigest> {
    Ok(ApiKeyDigest(bytes.try_into().map_err(|error| corrupt("api_keys.digest", error))?))
}

/// Converts the stored rate of an API key.
fn rate(per_second: i32) -> Result<RequestRate> {
    let rate = u32::try_from(per_second).map_err(|_| InvalidRate).and_then(RequestRate::new);
    rate.map_err(|error| corrupt("api_keys.requests_per_second", error))
}

impl TryFrom<api_keys::Model> for ApiKey {
    type Error = StorageError;

    fn try_from(row: api_keys::Model) -> Result<Self> {
        Ok(Self {
            id: ApiKeyId::from_uuid(row.id),
            prefix: text("api_keys.prefix", row.prefix, ApiKeyPrefix::parse)?,
            name: text("api_keys.name", row.name, Name::stored)?,
            role: parsed("api_keys.role", &row.role)?,
            company_id: row.company_id.map(CompanyId::from_uuid),
            requests_per_second: row.requests_per_second.map(rate).transpose()?,
            created_by: row.created_by.map(UserId::from_uuid),
            created_at: time(row.created_at),
            expires_at: row.expires_at.map(time),
            revoked_at: row.revoked_at.map(time),
            last_used_at: row.last_used_at.map(time),
        })
    }
}

/// Converts an API key to its row. `version` is the version of the credentials as of the last change to the key.
pub(crate) fn api_key_row(key: &ApiKey, digest: &ApiKeyDigest, version: i64) -> api_keys::Model {
    let datetime = |time: Timestamp| time.as_datetime();
    api_keys::Model {
        id: key.id.as_uuid(),
        prefix: key.prefix.to_string(),
        digest: digest.0.to_vec(),
        name: key.name.to_string(),
        role: key.role.to_string(),
        company_id: key.company_id.map(|id| id.as_uuid()),
        created_by: key.created_by.map(|id| id.as_uuid()),
        created_at: datetime(key.created_at),
        expires_at: key.expires_at.map(datetime),
        revoked_at: key.revoked_at.map(datetime),
        last_used_at: key.last_used_at.map(datetime),
        version,
        requests_per_second: key.requests_per_second.map(|rate| u32::from(rate).cast_signed()),
    }
}

/// The stored data of a user: the external identity and the cut-off, from two tables.
#[derive(FromQueryResult)]
pub(crate) struct UserRow {
    id: Uuid,
    issuer: Option<String>,
    subject: Option<String>,
    not_before: Option<DateTimeUtc>,
}

impl TryFrom<UserRow> for User {
    type Error = StorageError;

    fn try_from(row: UserRow) -> Result<Self> {
        let external_id = match (row.issuer, row.subject) {
            (Some(issuer), Some(subject)) => Some(ExternalId {
                issuer: text("user_identities.issuer", issuer, Issuer::parse)?,
                subject: text("user_identities.subject", subject, ExternalSubject::parse)?,
            }),
            _ => None,
        };
        Ok(Self { id: UserId::from_uuid(row.id), external_id, not_before: row.not_before.map(time) })
    }
}

impl TryFrom<views::Model> for View {
    type Error = StorageError;

    fn try_from(row: views::Model) -> Result<Self> {
        Ok(Self {
            id: ViewId::from_uuid(row.id),
            name: text("views.name", row.name, Name::stored)?,
            url: text("views.url", row.url, ViewUrl::stored)?,
            category: optional_text("views.category", row.category, Category::stored)?,
            description: optional_text("views.description", row.description, Description::stored)?,
            icon: optional_text("views.icon", row.icon, Icon::stored)?,
            requires_auth: row.requires_auth,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl From<&View> for views::Model {
    fn from(view: &View) -> Self {
        Self {
            id: view.id.as_uuid(),
            name: view.name.to_string(),
            url: view.url.to_string(),
            category: view.category.as_ref().map(ToString::to_string),
            description: view.description.as_ref().map(ToString::to_string),
            icon: view.icon.as_ref().map(ToString::to_string),
            requires_auth: view.requires_auth,
            created_at: view.created_at.as_datetime(),
            updated_at: view.updated_at.as_datetime(),
        }
    }
}

impl TryFrom<modules::Model> for Module {
    type Error = StorageError;

    fn try_from(row: modules::Model) -> Result<Self> {
        Ok(Self {
            id: ModuleId::from_uuid(row.id),
            code: text("modules.code", row.code, ModuleCode::stored)?,
            name: text("modules.name", row.name, Name::stored)?,
            description: optional_text("modules.description", row.description, Description::stored)?,
            icon: optional_text("modules.icon", row.icon, Icon::stored)?,
            enabled: row.enabled,
            priority: parsed("modules.priority", &row.priority)?,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl From<&Module> for modules::Model {
    fn from(module: &Module) -> Self {
        Self {
            id: module.id.as_uuid(),
            code: module.code.to_string(),
            name: module.name.to_string(),
            description: module.description.as_ref().map(ToString::to_string),
            icon: module.icon.as_ref().map(ToString::to_string),
            enabled: module.enabled,
            priority: module.priority.to_string(),
            created_at: module.created_at.as_datetime(),
            updated_at: module.updated_at.as_datetime(),
        }
    }
}

impl TryFrom<features::Model> for Feature {
    type Error = StorageError;

    fn try_from(row: features::Model) -> Result<Self> {
        Ok(Self {
            id: FeatureId::from_uuid(row.id),
            key: optional_text("features.key", row.key, FeatureKey::stored)?,
            name: text("features.name", row.name, Name::stored)?,
            description: optional_text("features.description", row.description, Description::stored)?,
            resource_type: optional_text("features.resource_type", row.resource_type, ResourceType::stored)?,
            actions: json("features.actions", row.actions)?,
            category: optional_text("features.category", row.category, Category::stored)?,
            enabled: row.enabled,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl From<&Feature> for features::Model {
    fn from(feature: &Feature) -> Self {
        Self {
            id: feature.id.as_uuid(),
            key: feature.key.as_ref().map(ToString::to_string),
            name: feature.name.to_string(),
            description: feature.description.as_ref().map(ToString::to_string),
            resource_type: feature.resource_type.as_ref().map(ToString::to_string),
            actions: text_array(feature.actions.as_ref()),
            category: feature.category.as_ref().map(ToString::to_string),
            enabled: feature.enabled,
            created_at: feature.created_at.as_datetime(),
            updated_at: feature.updated_at.as_datetime(),
        }
    }
}

impl From<company2modules::Model> for CompanyModule {
    fn from(row: company2modules::Model) -> Self {
        Self {
            company_id: CompanyId::from_uuid(row.company_id),
            module_id: ModuleId::from_uuid(row.module_id),
            enabled: row.enabled,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        }
    }
}

impl TryFrom<user_levels::Model> for UserLevel {
    type Error = StorageError;

    fn try_from(row: user_levels::Model) -> Result<Self> {
        Ok(Self {
            id: UserLevelId::from_uuid(row.id),
            company_id: CompanyId::from_uuid(row.company_id),
            name: text("user_levels.name", row.name, Name::stored)?,
            description: text("user_levels.description", row.description.unwrap_or_default(), Description::stored)?,
            is_default: row.is_default,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl From<&UserLevel> for user_levels::Model {
    fn from(level: &UserLevel) -> Self {
        Self {
            id: level.id.as_uuid(),
            company_id: level.company_id.as_uuid(),
            name: level.name.to_string(),
            description: Some(level.description.to_string()),
            is_default: level.is_default,
            created_at: level.created_at.as_datetime(),
            updated_at: level.updated_at.as_datetime(),
        }
    }
}

impl TryFrom<user_level_view_permissions::Model> for ViewPermission {
    type Error = StorageError;

    fn try_from(row: user_level_view_permissions::Model) -> Result<Self> {
        Ok(Self {
            id: ViewPermissionId::from_uuid(row.id),
            company_id: CompanyId::from_uuid(row.company_id),
            user_level_id: UserLevelId::from_uuid(row.user_level_id),
            view_id: ViewId::from_uuid(row.view_id),
            state: parsed("user_level_view_permissions.state", &row.state)?,
            modifiable: row.modifiable,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl TryFrom<user_level_feature_permissions::Model> for FeaturePermission {
    type Error = StorageError;

    fn try_from(row: user_level_feature_permissions::Model) -> Result<Self> {
        Ok(Self {
            id: FeaturePermissionId::from_uuid(row.id),
            company_id: CompanyId::from_uuid(row.company_id),
            user_level_id: UserLevelId::from_uuid(row.user_level_id),
            feature_id: FeatureId::from_uuid(row.feature_id),
            action: text("user_level_feature_permissions.action", row.action, Action::stored)?,
            value: row.value,
            scope: parsed("user_level_feature_permissions.scope", &row.scope)?,
            modifiable: row.modifiable,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl TryFrom<menu_items::Model> for MenuItem {
    type Error = StorageError;

    fn try_from(row: menu_items::Model) -> Result<Self> {
        Ok(Self {
            id: MenuItemId::from_uuid(row.id),
            company_id: row.company_id.map(CompanyId::from_uuid),
            label: text("menu_items.label", row.label, Label::stored)?,
            icon: optional_text("menu_items.icon", row.icon, Icon::stored)?,
            priority: parsed("menu_items.priority", &row.priority)?,
            required_permissions: json("menu_items.required_permissions", row.required_permissions)?,
            sort_order: row.sort_order,
            view_id: row.view_id.map(ViewId::from_uuid),
            feature_id: row.feature_id.map(FeatureId::from_uuid),
            is_entrypoint: row.is_entrypoint,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl From<&MenuItem> for menu_items::Model {
    fn from(item: &MenuItem) -> Self {
        Self {
            id: item.id.as_uuid(),
            company_id: item.company_id.map(|id| id.as_uuid()),
            label: item.label.to_string(),
            icon: item.icon.as_ref().map(ToString::to_string),
            priority: item.priority.to_string(),
            required_permissions: text_array(item.required_permissions.as_ref()),
            sort_order: item.sort_order,
            view_id: item.view_id.map(|id| id.as_uuid()),
            feature_id: item.feature_id.map(|id| id.as_uuid()),
            is_entrypoint: item.is_entrypoint,
            created_at: item.created_at.as_datetime(),
            updated_at: item.updated_at.as_datetime(),
        }
    }
}

impl TryFrom<sub_menu_items::Model> for SubMenuItem {
    type Error = StorageError;

    fn try_from(row: sub_menu_items::Model) -> Result<Self> {
        Ok(Self {
            id: SubMenuItemId::from_uuid(row.id),
            menu_item_id: MenuItemId::from_uuid(row.menu_item_id),
            label: text("sub_menu_items.label", row.label, Label::stored)?,
            view_id: row.view_id.map(ViewId::from_uuid),
            feature_id: row.feature_id.map(FeatureId::from_uuid),
            icon: optional_text("sub_menu_items.icon", row.icon, Icon::stored)?,
            sort_order: row.sort_order,
            enabled: row.enabled,
            created_at: time(row.created_at),
            updated_at: time(row.updated_at),
        })
    }
}

impl TryFrom<nav_trail::Model> for TrailEntry {
    type Error = StorageError;

    fn try_from(row: nav_trail::Model) -> Result<Self> {
        Ok(Self {
            id: TrailEntryId::from_uuid(row.id),
            user_id: UserId::from_uuid(row.user_id),
            company_id: CompanyId::from_uuid(row.company_id),
            session_id: text("nav_trail.session_id", row.session_id, SessionId::stored)?,
            view_id: row.view_id.map(ViewId::from_uuid),
            url: text("nav_trail.url", row.url, Url::stored)?,
            label: text("nav_trail.label", row.label, Label::stored)?,
            depth: row.depth,
            created_at: time(row.created_at),
        })
    }
}

impl TryFrom<effective_view_permissions::Model> for EffectiveViewPermission {
    type Error = StorageError;

    fn try_from(row: effective_view_permissions::Model) -> Result<Self> {
        Ok(Self {
            user_id: UserId::from_uuid(row.user_id),
            company_id: CompanyId::from_uuid(row.company_id),
            view_id: ViewId::from_uuid(row.view_id),
            has_access: row.has_access,
            computed_at: time(row.computed_at),
            expires_at: time(row.expires_at),
            company_version: row.company_version,
            catalog_version: row.catalog_version,
        })
    }
}

impl TryFrom<effective_feature_permissions::Model> for EffectiveFeaturePermission {
    type Error = StorageError;

    fn try_from(row: effective_feature_permissions::Model) -> Result<Self> {
        Ok(Self {
            user_id: UserId::from_uuid(row.user_id),
            company_id: CompanyId::from_uuid(row.company_id),
            feature_id: FeatureId::from_uuid(row.feature_id),
            action: text("effective_feature_permissions.action", row.action, Action::stored)?,
            allowed: row.allowed,
            scope: parsed("effective_feature_permissions.scope", &row.scope)?,
            computed_at: time(row.computed_at),
            expires_at: time(row.expires_at),
            company_version: row.company_version,
            catalog_version: row.catalog_version,
        })
    }
}

impl TryFrom<iam_audit_logs::Model> for AuditRecord {
    type Error = StorageError;

    fn try_from(row: iam_audit_logs::Model) -> Result<Self> {
        Ok(Self {
            id: AuditRecordId::from_uuid(row.id),
            company_id: row.company_id.map(CompanyId::from_uuid),
            actor: actor(row.user_id, &row.actor_kind)?,
            action: row.action,
            entity_type: parsed("iam_audit_logs.entity_type", &row.entity_type)?,
            entity_id: row.entity_id,
            changes: row.changes,
            metadata: row.metadata,
            timestamp: time(row.timestamp),
        })
    }
}
