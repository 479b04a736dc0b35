//! What decides, in one statement: at READ COMMITTED each statement has a snapshot of its own, so two would be two states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use iam_domain::{
    Action, Catalog, CompanyId, CompanySnapshot, FeatureId, FeatureRule, LevelPermissions, Menu, ModuleId, Scope,
    Snapshot, UserId, UserLevelId, Versions, ViewId, ViewState,
};
use iam_storage::{Result, Snapshots, Stamped, StorageError};
use sea_orm::{DbBackend, QueryResult, Statement, Value};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::entities::{features, menu_items, modules, sub_menu_items, views};
use crate::epoch::{EPOCH, epoch};
use crate::repository::{CATALOG, Connected, Repository, column, statement};

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

/// The catalog and its version, with `rest`. $1 and $2 are the state of the catalog that is known already.
fn sql(rest: &str) -> String {
    format!(
        "WITH catalog AS (
            SELECT version, (extract(epoch FROM updated_at) * 1000000)::bigint AS at
            FROM company_states WHERE company_id = {CATALOG}
        )
        SELECT {EPOCH} AS epoch, catalog.version AS catalog_version, catalog.at AS catalog_at,
            CASE WHEN catalog.version = $1 AND catalog.at = $2 THEN NULL ELSE json_build_object(
                'views', (SELECT coalesce(json_agg(views), '[]') FROM views),
                'features', (SELECT coalesce(json_agg(features), '[]') FROM features),
                'modules', (SELECT coalesce(json_agg(modules), '[]') FROM modules),
                'module_views',
                    (SELECT coalesce(json_agg(json_build_array(module_id, view_id)), '[]') FROM module2views),
                'module_features',
                    (SELECT coalesce(json_agg(json_build_array(module_id, feature_id)), '[]') FROM module2features)
            ) END::text AS catalog{rest}
        FROM catalog"
    )
}

/// What is the same for all who ask about the company $3.
const COMPANY: &str = ",
            coalesce((SELECT version FROM company_states WHERE company_id = $3), 0) AS company_version,
            ARRAY(SELECT module_id FROM company2modules WHERE company_id = $3 AND enabled) AS modules";

/// The levels, ascending, that `from` names `level`.
fn levels(from: &str) -> String {
    format!(
        ", (SELECT coalesce(json_agg(json_build_array(
            level.id,
            (SELECT coalesce(json_agg(json_build_array(view_id, state)), '[]')
             FROM user_level_view_permissions WHERE company_id = $3 AND user_level_id = level.id),
            (SELECT coalesce(json_agg(json_build_array(feature_id, action, value, scope)), '[]')
             FROM user_level_feature_permissions WHERE company_id = $3 AND user_level_id = level.id)
        ) ORDER BY level.id), '[]') FROM {from})::text AS levels"
    )
}

/// Who of `whom` holds which levels.
fn holders(whom: &str) -> String {
    format!(
        ", (SELECT coalesce(json_agg(json_build_array(user_id, user_level_id)), '[]')
        FROM user_user_levels WHERE company_id = $3{whom})::text AS holders"
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

fn all<M, D: TryFrom<M, Error = StorageError>>(rows: Vec<M>) -> Result<Vec<D>> {
    rows.into_iter().map(D::try_from).collect()
}

impl CatalogRows {
    fn index(self) -> Result<Catalog> {
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

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T> {
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

fn company_snapshot(row: &QueryResult, catalog: Arc<Catalog>) -> Result<CompanySnapshot> {
    let mut holders: BTreeMap<UserId, BTreeSet<UserLevelId>> = BTreeMap::new();
    for (user, level) in parse::<Vec<(Uuid, Uuid)>>(&column::<String>(row, "holders")?)? {
        holders.entry(UserId::from_uuid(user)).or_default().insert(UserLevelId::from_uuid(level));
    }
    let levels = level_permissions(row)?.map(|permissions| (permissions.level, permissions)).collect();
    Ok(CompanySnapshot { catalog, modules: module_ids(row)?, levels, holders })
}

impl<T: Connected> Repository<T> {
    /// Sends one statement, with the values from $3 on; answers its row, the catalog, and the versions that both are of,
    /// without the company's.
    async fn load(
        &self,
        company: Option<CompanyId>,
        sql: String,
        rest: impl IntoIterator<Item = Value>,
    ) -> Result<(QueryResult, Arc<Catalog>, Versions)> {
        let known = self.0.catalog().and_then(|cache| cache.get());
        let state = known.as_ref().map(|(state, _)| *state);
        let known_state = [state.map(|state| state.version).into(), state.map(|state| state.at).into()];
        let values = known_state.into_iter().chain(rest);
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let row = self.single(self.of(company, statement)).await?;
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
        let epoch = epoch(&row, self.0.latest_epoch())?;
        Ok((row, catalog, Versions { epoch, catalog: state.version, company: 0 }))
    }

    /// The same about a company, $3, whose `rest` the statement asks for.
    async fn load_of(
        &self,
        company: CompanyId,
        rest: &str,
        values: Option<Value>,
    ) -> Result<(QueryResult, Arc<Catalog>, Versions)> {
        let values = std::iter::once(company.as_uuid().into()).chain(values);
        let (row, catalog, versions) = self.load(Some(company), sql(&format!("{COMPANY}{rest}")), values).await?;
        let company = column(&row, "company_version")?;
        Ok((row, catalog, Versions { company, ..versions }))
    }
}

#[async_trait]
impl<T: Connected> Snapshots for Repository<T> {
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>> {
        let held = "(SELECT user_level_id AS id FROM user_user_levels WHERE company_id = $3 AND user_id = $4) AS level";
        let (row, catalog, versions) = self.load_of(company, &levels(held), Some(user.as_uuid().into())).await?;
        let value = Snapshot { catalog, modules: module_ids(&row)?, levels: level_permissions(&row)?.collect() };
        Ok(Stamped { versions, value })
    }

    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>> {
        let rest = levels("user_levels AS level WHERE level.company_id = $3") + &holders("");
        let (row, catalog, versions) = self.load_of(company, &rest, None).await?;
        Ok(Stamped { versions, value: company_snapshot(&row, catalog)? })
    }

    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>> {
        let held = "(SELECT DISTINCT user_level_id AS id FROM user_user_levels
            WHERE company_id = $3 AND user_id = ANY($4)) AS level";
        let rest = levels(held) + &holders(" AND user_id = ANY($4)");
        let users: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
        let (row, catalog, versions) = self.load_of(company, &rest, Some(users.into())).await?;
        Ok(Stamped { versions, value: company_snapshot(&row, catalog)? })
    }

    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>> {
        let (_, value, versions) = self.load(None, sql(""), None).await?;
        Ok(Stamped { versions, value })
    }

    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>> {
        // Not `IS NOT DISTINCT FROM`, which no index serves.
        let (version, owned) = match owner {
            None => ("0::bigint", "m.company_id IS NULL AND $1::uuid IS NULL"),
            Some(_) => ("coalesce((SELECT version FROM company_states WHERE company_id = $1), 0)", "m.company_id = $1"),
        };
        let sql = format!(
            "SELECT {EPOCH} AS epoch, version AS catalog_version, {version} AS company_version,
                (SELECT coalesce(json_agg(m ORDER BY m.sort_order, m.label, m.id), '[]')
                 FROM menu_items m WHERE {owned})::text AS items,
                (SELECT coalesce(json_agg(s ORDER BY s.sort_order, s.label, s.id), '[]')
                 FROM menu_items m JOIN sub_menu_items s ON s.menu_item_id = m.id WHERE {owned})::text AS sub_items
            FROM company_states WHERE company_id = {CATALOG}"
        );
        let row = self.single(self.of(owner, statement(sql, [owner.map(|id| id.as_uuid()).into()]))).await?;
        let versions = Versions {
            epoch: epoch(&row, self.0.latest_epoch())?,
            catalog: column(&row, "catalog_version")?,
            company: column(&row, "company_version")?,
        };
        let items = parse::<Vec<menu_items::Model>>(&column::<String>(&row, "items")?)?;
        let sub_items = parse::<Vec<sub_menu_items::Model>>(&column::<String>(&row, "sub_items")?)?;
        Ok(Stamped { versions, value: Menu { items: all(items)?, sub_items: all(sub_items)? } })
    }
}
