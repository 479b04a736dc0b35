//! What decides, in one statement: at READ COMMITTED each statement has a snapshot of its own, so two would be two states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iam_domain::{
    Action, Catalog, CompanyId, CompanySnapshot, FeatureId, FeatureRule, LevelPermissions, ModuleId, Scope, Snapshot,
    UserId, UserLevelId, Versions, ViewId, ViewState,
};
use iam_storage::{Result, Snapshots, Stamped, StorageError};
use sea_orm::QueryResult;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::entities::{features, modules, views};
use crate::repository::{CATALOG, Connected, Repository, column};

/// Which state of the catalog: its version, and the time of that change. The time tells apart what two databases of one
/// origin call by the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    version: i64,
    at: i64,
}

/// The catalog as it was last read. The database is told which state is here, and leaves the catalog out of its answer
/// when that is still the state of the very snapshot that the rest is read from.
#[derive(Debug, Default)]
pub(crate) struct CatalogCache(Mutex<Option<(State, Arc<Catalog>)>>);

impl CatalogCache {
    fn get(&self) -> Option<(State, Arc<Catalog>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, state: State, catalog: &Arc<Catalog>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((state, Arc::clone(catalog)));
    }
}

/// The part that is the same for a user and a company. $1 is the company; $2 and $3 are the state of the catalog that is
/// known already.
fn sql(rest: &str) -> String {
    format!(
        "WITH catalog AS (
            SELECT version, (extract(epoch FROM updated_at) * 1000000)::bigint AS at
            FROM company_states WHERE company_id = {CATALOG}
        )
        SELECT catalog.version AS catalog_version, catalog.at AS catalog_at,
            coalesce((SELECT version FROM company_states WHERE company_id = $1), 0) AS company_version,
            CASE WHEN catalog.version = $2 AND catalog.at = $3 THEN NULL ELSE json_build_object(
                'views', (SELECT coalesce(json_agg(views), '[]') FROM views),
                'features', (SELECT coalesce(json_agg(features), '[]') FROM features),
                'modules', (SELECT coalesce(json_agg(modules), '[]') FROM modules),
                'module_views',
                    (SELECT coalesce(json_agg(json_build_array(module_id, view_id)), '[]') FROM module2views),
                'module_features',
                    (SELECT coalesce(json_agg(json_build_array(module_id, feature_id)), '[]') FROM module2features)
            ) END::text AS catalog,
            ARRAY(SELECT module_id FROM company2modules WHERE company_id = $1 AND enabled) AS modules,
            {rest}
        FROM catalog"
    )
}

/// The levels, ascending, that `from` names `level`.
fn levels(from: &str) -> String {
    format!(
        "(SELECT coalesce(json_agg(json_build_array(
            level.id,
            (SELECT coalesce(json_agg(json_build_array(view_id, state)), '[]')
             FROM user_level_view_permissions WHERE company_id = $1 AND user_level_id = level.id),
            (SELECT coalesce(json_agg(json_build_array(feature_id, action, value, scope)), '[]')
             FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = level.id)
        ) ORDER BY level.id), '[]') FROM {from})::text AS levels"
    )
}

#[derive(Deserialize)]
struct CatalogRows {
    views: Vec<views::Model>,
    features: Vec<features::Model>,
    modules: Vec<modules::Model>,
    module_views: Vec<(Uuid, Uuid)>,
    module_features: Vec<(Uuid, Uuid)>,
}

impl CatalogRows {
    fn index(self) -> Result<Catalog> {
        fn all<M, D: TryFrom<M, Error = StorageError>>(rows: Vec<M>) -> Result<Vec<D>> {
            rows.into_iter().map(D::try_from).collect()
        }
        Ok(Catalog::new(
            all::<_, iam_domain::View>(self.views)?,
            all::<_, iam_domain::Feature>(self.features)?,
            all::<_, iam_domain::Module>(self.modules)?,
            self.module_views.into_iter().map(|(module, view)| (ModuleId::from_uuid(module), ViewId::from_uuid(view))),
            self.module_features
                .into_iter()
                .map(|(module, feature)| (ModuleId::from_uuid(module), FeatureId::from_uuid(feature))),
        ))
    }
}

/// A level's id, its view matrix and its feature matrix.
type LevelRow = (Uuid, Vec<(Uuid, ViewState)>, Vec<(Uuid, Action, bool, Scope)>);

fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| StorageError::Corrupt {
        what: "a row of a snapshot does not parse".to_owned(),
        source: Some(Box::new(error)),
    })
}

fn level_permissions(row: &QueryResult) -> Result<impl Iterator<Item = LevelPermissions>> {
    let levels: Vec<LevelRow> = parse(&column::<String>(row, "levels")?)?;
    Ok(levels.into_iter().map(|(level, views, features)| {
        LevelPermissions::new(
            UserLevelId::from_uuid(level),
            views.into_iter().map(|(view, state)| (ViewId::from_uuid(view), state)),
            features.into_iter().map(|(feature, action, value, scope)| {
                (FeatureId::from_uuid(feature), action, FeatureRule { value, scope })
            }),
        )
    }))
}

fn module_ids(row: &QueryResult) -> Result<BTreeSet<ModuleId>> {
    Ok(column::<Vec<Uuid>>(row, "modules")?.into_iter().map(ModuleId::from_uuid).collect())
}

impl<T: Connected> Repository<T> {
    /// Sends one statement; answers its row, the catalog, and the versions that both are of.
    async fn load(
        &self,
        sql: String,
        company: CompanyId,
        user: Option<UserId>,
    ) -> Result<(QueryResult, Arc<Catalog>, Versions)> {
        let known = self.0.catalog().and_then(CatalogCache::get);
        let state = known.as_ref().map(|(state, _)| *state);
        let mut values =
            vec![company.as_uuid().into(), state.map(|state| state.version).into(), state.map(|state| state.at).into()];
        values.extend(user.map(|user| user.as_uuid().into()));
        let row =
            self.single(sea_orm::Statement::from_sql_and_values(sea_orm::DbBackend::Postgres, sql, values)).await?;
        let state = State { version: column(&row, "catalog_version")?, at: column(&row, "catalog_at")? };
        let catalog = match (column::<Option<String>>(&row, "catalog")?, known) {
            (Some(text), _) => {
                let catalog = Arc::new(parse::<CatalogRows>(&text)?.index()?);
                if let Some(cache) = self.0.catalog() {
                    cache.set(state, &catalog);
                }
                catalog
            }
            (None, Some((_, catalog))) => catalog,
            (None, None) => return Err(StorageError::corrupt("a snapshot came without a catalog")),
        };
        let versions =
            Versions { epoch: self.0.epoch(), catalog: state.version, company: column(&row, "company_version")? };
        Ok((row, catalog, versions))
    }
}

#[async_trait]
impl<T: Connected> Snapshots for Repository<T> {
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>> {
        let held = "(SELECT user_level_id AS id FROM user_user_levels WHERE company_id = $1 AND user_id = $4) AS level";
        let (row, catalog, versions) = self.load(sql(&levels(held)), company, Some(user)).await?;
        let value = Snapshot { catalog, modules: module_ids(&row)?, levels: level_permissions(&row)?.collect() };
        Ok(Stamped { versions, value })
    }

    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>> {
        let levels = levels("user_levels AS level WHERE level.company_id = $1");
        let holders = "(SELECT coalesce(json_agg(json_build_array(user_id, user_level_id)), '[]')
            FROM user_user_levels WHERE company_id = $1)::text AS holders";
        let (row, catalog, versions) = self.load(sql(&format!("{levels}, {holders}")), company, None).await?;
        let mut holders: BTreeMap<UserId, BTreeSet<UserLevelId>> = BTreeMap::new();
        for (user, level) in parse::<Vec<(Uuid, Uuid)>>(&column::<String>(&row, "holders")?)? {
            holders.entry(UserId::from_uuid(user)).or_default().insert(UserLevelId::from_uuid(level));
        }
        let levels = level_permissions(&row)?.map(|permissions| (permissions.level, permissions)).collect();
        Ok(Stamped { versions, value: CompanySnapshot { catalog, modules: module_ids(&row)?, levels, holders } })
    }
}
