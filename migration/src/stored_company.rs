//! Reads, with one statement, all stored data on which decisions about a company's users depend.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, Catalog, Ceilings, CompanyId, CompanySnapshot, CompanyStatus, ExternalId, ExternalSubject, Feature,
    FeatureId, FeatureRule, Issuer, LevelPermissions, Module, ModuleId, Name, Scope, Timestamp, UserId, UserLevelId,
    View, ViewId, ViewState,
};
use sea_orm::{ConnectionTrait, DbErr};
use serde::Deserialize;

use crate::session::statement;

/// Query that returns the catalog and the data of the company $1 as one JSON object. It is a single statement, because
/// at READ COMMITTED two statements could read two different states of the database.
const LOAD: &str = "
    SELECT json_build_object(
        'views', (SELECT coalesce(json_agg(json_build_object('id', id, 'name', name, 'url', url, 'category', category,
            'description', description, 'icon', icon, 'requiresAuth', requires_auth, 'createdAt', created_at,
            'updatedAt', updated_at)), '[]') FROM views),
        'features', (SELECT coalesce(json_agg(json_build_object('id', id, 'key', key, 'name', name, 'description',
            description, 'resourceType', resource_type, 'actions', actions, 'category', category, 'enabled', enabled,
            'createdAt', created_at, 'updatedAt', updated_at)), '[]') FROM features),
        'modules', (SELECT coalesce(json_agg(json_build_object('id', id, 'code', code, 'name', name, 'description',
            description, 'icon', icon, 'enabled', enabled, 'priority', priority, 'createdAt', created_at,
            'updatedAt', updated_at)), '[]') FROM modules),
        'moduleViews', (SELECT coalesce(json_agg(json_build_array(module_id, view_id)), '[]') FROM module2views),
        'moduleFeatures',
            (SELECT coalesce(json_agg(json_build_array(module_id, feature_id)), '[]') FROM module2features),
        'companyModules',
            (SELECT coalesce(json_agg(module_id), '[]') FROM company2modules WHERE company_id = $1 AND enabled),
        'levels', (SELECT coalesce(json_agg(json_build_object('id', level.id, 'name', level.name,
            'isDefault', level.is_default, 'createdAt', level.created_at,
            'views', (SELECT coalesce(json_agg(json_build_object('view', view_id, 'state', state,
                'modifiable', modifiable)), '[]')
                FROM user_level_view_permissions WHERE company_id = $1 AND user_level_id = level.id),
            'features', (SELECT coalesce(json_agg(json_build_object('feature', feature_id, 'action', action,
                'value', value, 'scope', scope, 'modifiable', modifiable)), '[]')
                FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = level.id)
            ) ORDER BY level.name, level.id), '[]') FROM user_levels AS level WHERE level.company_id = $1),
        'ceilings', (SELECT ceilings FROM company_states WHERE company_id = $1),
        'assignments', (SELECT coalesce(json_agg(json_build_array(user_id, user_level_id)), '[]')
            FROM user_user_levels WHERE company_id = $1),
        'externalIds', (SELECT coalesce(json_agg(json_build_array(user_id, issuer, subject)), '[]')
            FROM user_identities WHERE user_id IN (SELECT user_id FROM user_user_levels WHERE company_id = $1))
    )::text AS company";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    views: Vec<View>,
    features: Vec<Feature>,
    modules: Vec<Module>,
    module_views: Vec<(ModuleId, ViewId)>,
    module_features: Vec<(ModuleId, FeatureId)>,
    company_modules: BTreeSet<ModuleId>,
    ceilings: Option<Ceilings>,
    levels: Vec<StoredLevel>,
    assignments: Vec<(UserId, UserLevelId)>,
    external_ids: Vec<(UserId, Issuer, ExternalSubject)>,
}

/// A stored level with its cells.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StoredLevel {
    pub(crate) id: UserLevelId,
    pub(crate) name: Name,
    pub(crate) is_default: bool,
    pub(crate) created_at: Timestamp,
    pub(crate) views: Vec<ViewCell>,
    pub(crate) features: Vec<FeatureCell>,
}

/// A stored cell of a view matrix.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ViewCell {
    pub(crate) view: ViewId,
    pub(crate) state: ViewState,
    pub(crate) modifiable: bool,
}

/// A stored cell of a feature matrix.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct FeatureCell {
    pub(crate) feature: FeatureId,
    pub(crate) action: Action,
    pub(crate) value: bool,
    pub(crate) scope: Scope,
    pub(crate) modifiable: bool,
}

impl StoredLevel {
    /// Returns the denied cells of the view matrix.
    pub(crate) fn denied_views(&self) -> impl Iterator<Item = &ViewCell> {
        self.views.iter().filter(|cell| cell.state == ViewState::Deny)
    }

    /// Returns the denied cells of the feature matrix.
    pub(crate) fn denied_actions(&self) -> impl Iterator<Item = &FeatureCell> {
        self.features.iter().filter(|cell| !cell.value)
    }

    fn permissions(&self) -> LevelPermissions {
        let views = self.views.iter().map(|cell| (cell.view, cell.state));
        let rule = |cell: &FeatureCell| FeatureRule { value: cell.value, scope: cell.scope };
        let features = self.features.iter().map(|cell| (cell.feature, cell.action.clone(), rule(cell)));
        LevelPermissions::new(self.id, views, features)
    }
}

/// The stored data of a company.
#[derive(Debug, Clone)]
pub(crate) struct StoredCompany {
    /// The data on which decisions depend.
    pub(crate) snapshot: CompanySnapshot,
    /// The levels with their cells, in ascending order of name.
    pub(crate) levels: Vec<StoredLevel>,
    /// The stored external ids of the company's users.
    pub(crate) external_ids: BTreeMap<UserId, ExternalId>,
}

impl StoredCompany {
    /// Reads the data of a company. If no rows are stored for the company, the result has neither levels nor users.
    pub(crate) async fn load(tx: &impl ConnectionTrait, company: CompanyId) -> Result<Self, DbErr> {
        let row = tx.query_one_raw(statement(LOAD, [company.as_uuid().into()])).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("the query for a company returned no row".to_owned()))?;
        let text: String = row.try_get("", "company")?;
        let rows: Rows =
            serde_json::from_str(&text).map_err(|error| DbErr::Json(format!("company {company}: {error}")))?;
        let catalog = Catalog::new(rows.views, rows.features, rows.modules, rows.module_views, rows.module_features);
        let mut holders: BTreeMap<UserId, BTreeSet<UserLevelId>> = BTreeMap::new();
        for (user, level) in rows.assignments {
            holders.entry(user).or_default().insert(level);
        }
        let external = |(user, issuer, subject)| (user, ExternalId { issuer, subject });
        Ok(Self {
            snapshot: CompanySnapshot {
                // The gains are the same if the company is suspended: they apply when the suspension ends.
                status: CompanyStatus::Active,
                catalog: Arc::new(catalog),
                modules: rows.company_modules,
                ceilings: Arc::new(rows.ceilings.unwrap_or_default()),
                levels: rows.levels.iter().map(|level| (level.id, level.permissions())).collect(),
                holders: holders.into_iter().map(|(user, held)| (user, Arc::new(held))).collect(),
            },
            levels: rows.levels,
            external_ids: rows.external_ids.into_iter().map(external).collect(),
        })
    }
}
