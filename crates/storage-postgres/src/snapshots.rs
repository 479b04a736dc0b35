//! Loads snapshots: the data that decisions need. Each snapshot is loaded with one statement, because at READ COMMITTED
//! two statements could read two different states of the database.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::escalation::{Cell, OtherRules};
use iam_domain::{
    Action, Catalog, CompanyId, CompanySnapshot, CompanyStatus, FeatureId, FeatureRule, LevelPermissions, Menu,
    ModuleId, Scope, Snapshot, UserId, UserLevelId, Versions, ViewId, ViewState,
};
use iam_storage::{
    CellName, CompanyCopy, CompanyMatrix, IdOrText, Result, Snapshots, Stamped, Stamps, StateId, StorageError,
};
use sea_orm::{DbBackend, QueryResult, Statement, Value};
use serde::Deserialize;
use uuid::Uuid;

use crate::company_copy::{company_copy, copy_in};
use crate::connections::shares::Class;
use crate::copied_cells::cell_tables;
use crate::engine::Feed;
use crate::entities::company_states::CATALOG;
use crate::entities::{columns, features, menu_items, modules, sub_menu_items, views};
use crate::feed::epoch::{current_epoch, epoch};
use crate::holders::{holders, holders_in};
use crate::matrix::{company_matrix, matrices};
use crate::operation::operation;
use crate::other_rules::{self, other_rules};
use crate::periods::{ACTIVE, boundaries, next_boundary};
use crate::reads::ceilings::ceilings_in;
use crate::repository::{Executor, Repository, Work};
use crate::statement::{column, from_json, json_column, statement};
use crate::unreadable::readable;

/// Returns the SQL that reads the catalog and its state, plus the columns `rest` from the joined `tables`. $1 and $2
/// are the version and the stamp of the cached catalog. If neither has changed in the database, the column `catalog` is
/// NULL.
fn snapshot_sql(feed: Feed, rest: &str, tables: &str) -> String {
    format!(
        "SELECT {epoch} AS epoch, catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
            CASE WHEN catalog.version = $1 AND catalog.stamp = $2 THEN NULL ELSE json_build_object(
                'views', (SELECT coalesce(json_agg(row), '[]') FROM (SELECT {views} FROM views) AS row),
                'features', (SELECT coalesce(json_agg(row), '[]') FROM (SELECT {features} FROM features) AS row),
                'modules', (SELECT coalesce(json_agg(row), '[]') FROM (SELECT {modules} FROM modules) AS row),
                'module_views',
                    (SELECT coalesce(json_agg(json_build_array(module_id, view_id)), '[]') FROM module2views),
                'module_features',
                    (SELECT coalesce(json_agg(json_build_array(module_id, feature_id)), '[]') FROM module2features)
            ) END::text AS catalog{rest}
        FROM company_states AS catalog{tables} WHERE catalog.company_id = {CATALOG}",
        epoch = current_epoch(feed),
        views = columns::<views::Entity>("views"),
        features = columns::<features::Entity>("features"),
        modules = columns::<modules::Entity>("modules"),
    )
}

/// Returns the columns that every snapshot of a company ($3) has: its version, its stamp, its boundaries, its status, its
/// ceilings and its enabled modules.
fn company_columns() -> String {
    format!(
        ",
            coalesce(company.version, 0) AS company_version, coalesce(company.stamp, 0) AS company_stamp, {},
            coalesce(company.status, 'active')::text AS status, company.ceilings::text AS ceilings,
            ARRAY(SELECT module_id FROM company2modules WHERE company_id = $3 AND enabled) AS modules",
        boundaries("$3")
    )
}

/// The join with the row of the company ($3) in `company_states`. It is an outer join, because the row does not exist
/// before the company's first change.
const COMPANY_STATE: &str = " LEFT JOIN company_states AS company ON company.company_id = $3";

/// Returns the SQL of the column `levels`: the levels and their permissions as JSON, ordered by level id. `from` is the
/// content of a `FROM` clause that selects the levels under the alias `level`.
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

/// Returns the `FROM` clause for the assignments in effect of the users in $4. `OFFSET 0` (an optimization fence) prevents the planner
/// from flattening the subquery, so that each user is looked up by index. The array is in a subquery, so that the planner
/// estimates the same number of users for each array. Otherwise the cached plan would seem more expensive than a new plan
/// for a short array, and each such statement would be planned again, which takes longer than its execution.
fn held() -> String {
    format!(
        "unnest((SELECT $4::uuid[])) AS asked (id), LATERAL (
            SELECT user_id, user_level_id, starts_at, expires_at FROM user_user_levels
            WHERE company_id = $3 AND user_id = asked.id AND {ACTIVE} OFFSET 0
        ) AS held"
    )
}

/// The `FROM` clause for those of the levels in $4 that exist in the company.
const ASKED_LEVELS: &str = "(SELECT DISTINCT own.id FROM unnest($4::uuid[]) AS asked (id), LATERAL (
    SELECT id FROM user_levels WHERE company_id = $3 AND id = asked.id OFFSET 0
) AS own) AS level";

/// Returns the SQL of the column `levels`: all levels of the company ($3), each with only its rule for one view or one
/// action. `views` and `features` are the conditions on the rows of the two matrices; `$4` is an id, `$5` a URL or key.
fn levels_in_cell(cell: &CellName) -> (String, Vec<Value>) {
    const NONE: &str = "'[]'::json";
    let id = |table: &str, name: &str| format!("coalesce($4::uuid, (SELECT id FROM {table} WHERE {name} = $5))");
    let (views, features, [named, text], action) = match cell {
        CellName::View(view) => {
            let views = format!(
                "(SELECT coalesce(json_agg(json_build_array(view_id, state)), '[]') FROM user_level_view_permissions
                 WHERE company_id = $3 AND user_level_id = level.id AND view_id = {})",
                id("views", "url")
            );
            (views, NONE.to_owned(), identified(view, ViewId::as_uuid), None)
        }
        CellName::Action(feature, action) => {
            let features = format!(
                "(SELECT coalesce(json_agg(json_build_array(feature_id, action, value, scope)), '[]')
                 FROM user_level_feature_permissions
                 WHERE company_id = $3 AND user_level_id = level.id AND feature_id = {} AND action = $6)",
                id("features", "key")
            );
            (NONE.to_owned(), features, identified(feature, FeatureId::as_uuid), Some(action.to_string().into()))
        }
    };
    let sql = format!(
        ", (SELECT coalesce(json_agg(json_build_array(level.id, {views}, {features}) ORDER BY level.id), '[]')
            FROM user_levels AS level WHERE level.company_id = $3)::text AS levels"
    );
    (sql, [named, text].into_iter().chain(action).collect())
}

/// Returns the values of the parameters for an id and for the text that identifies an entity. One of them is null.
fn identified<I>(entity: &IdOrText<I>, id: impl Fn(&I) -> Uuid) -> [Value; 2] {
    match entity {
        IdOrText::Id(entity) => [Some(id(entity)).into(), None::<String>.into()],
        // PostgreSQL cannot store NUL, so no stored text equals a text with NUL.
        IdOrText::Text(text) => [None::<Uuid>.into(), Some(text).filter(|text| !text.contains('\0')).cloned().into()],
    }
}

#[derive(Deserialize)]
struct CatalogRows {
    views: Vec<serde_json::Value>,
    features: Vec<serde_json::Value>,
    modules: Vec<serde_json::Value>,
    module_views: Vec<(Uuid, Uuid)>,
    module_features: Vec<(Uuid, Uuid)>,
}

impl CatalogRows {
    /// Returns the catalog. All companies share it, so a row that cannot be parsed must not make the whole catalog
    /// unusable. Such a row is omitted: an unknown view or feature is denied, and an unknown module opens no gate.
    fn into_catalog(self) -> Catalog {
        Catalog::new(
            readable::<views::Model, iam_domain::View>("views", self.views),
            readable::<features::Model, iam_domain::Feature>("features", self.features),
            readable::<modules::Model, iam_domain::Module>("modules", self.modules),
            self.module_views.into_iter().map(|(module, view)| (ModuleId::from_uuid(module), ViewId::from_uuid(view))),
            self.module_features
                .into_iter()
                .map(|(module, feature)| (ModuleId::from_uuid(module), FeatureId::from_uuid(feature))),
        )
    }
}

/// The JSON of a level: its id, its view matrix and its feature matrix.
type LevelRow = (Uuid, Vec<(Uuid, ViewState)>, Vec<(Uuid, Action, bool, Scope)>);

fn level_permissions(row: &QueryResult) -> Result<impl Iterator<Item = LevelPermissions>> {
    let levels: Vec<LevelRow> = json_column(row, "levels")?;
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

fn status(row: &QueryResult) -> Result<CompanyStatus> {
    column::<String>(row, "status")?.parse().map_err(StorageError::corrupt)
}

fn snapshot(row: &QueryResult, catalog: Arc<Catalog>) -> Result<Snapshot> {
    let (status, modules, ceilings) = (status(row)?, module_ids(row)?, Arc::new(ceilings_in(row)?));
    Ok(Snapshot { catalog, status, modules, ceilings, levels: level_permissions(row)?.collect() })
}

fn company_snapshot(row: &QueryResult, catalog: Arc<Catalog>) -> Result<CompanySnapshot> {
    let holders = holders_in(row, |held| held.map(|(level, _)| level).collect::<BTreeSet<_>>())?;
    let levels = level_permissions(row)?.map(|permissions| (permissions.level, permissions)).collect();
    let (status, modules, ceilings) = (status(row)?, module_ids(row)?, Arc::new(ceilings_in(row)?));
    Ok(CompanySnapshot { catalog, status, modules, ceilings, levels, holders })
}

impl<T: Executor> Repository<T> {
    /// Executes the SQL of [`snapshot_sql`]. `rest` contains the parameter values for $3 and later. Returns the row,
    /// and the catalog with its version and stamp. The company's version and stamp are 0 in this result.
    async fn load(
        &self,
        work: Work,
        company: Option<CompanyId>,
        sql: String,
        rest: impl IntoIterator<Item = Value>,
    ) -> Result<(QueryResult, Stamped<Arc<Catalog>>)> {
        let known = self.0.catalog().and_then(|cache| cache.get());
        let state = known.as_ref().map(|(state, _)| *state);
        let known_state = [state.map(|state| state.version).into(), state.map(|state| state.stamp).into()];
        let values = known_state.into_iter().chain(rest);
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, values);
        let row = self.single(self.for_company(company, statement).for_work(work)).await?;
        let state = StateId { version: column(&row, "catalog_version")?, stamp: column(&row, "catalog_stamp")? };
        let value = match (column::<Option<String>>(&row, "catalog")?, known) {
            (Some(text), _) => {
                let catalog = Arc::new(from_json::<CatalogRows>(&text)?.into_catalog());
                if let Some(cache) = self.0.catalog() {
                    cache.set(state, &catalog);
                }
                catalog
            }
            (None, Some((_, catalog))) => catalog,
            (None, None) => return Err(StorageError::corrupt("the row of a snapshot contains no catalog")),
        };
        let versions = Versions { epoch: epoch(&row)?, catalog: state.version, company: 0, boundary: 0 };
        let stamps = Stamps { catalog: state.stamp, company: 0 };
        self.learn(None, versions, stamps);
        Ok((row, Stamped { versions, stamps, next_boundary: None, value }))
    }

    /// Loads the catalog and data of a company ($3) with one statement, as [`Self::load`] does. The statement also
    /// reads the columns `rest`, and the columns of `tables`. Returns the row, and the catalog with all versions and stamps.
    async fn load_row(
        &self,
        work: Work,
        company: CompanyId,
        (rest, tables): (&str, &str),
        values: impl IntoIterator<Item = Value>,
    ) -> Result<(QueryResult, Stamped<Arc<Catalog>>)> {
        let values = std::iter::once(company.as_uuid().into()).chain(values);
        let sql = snapshot_sql(self.0.feed(), &(company_columns() + rest), &format!("{COMPANY_STATE}{tables}"));
        let (row, mut stamped) = self.load(work, Some(company), sql, values).await?;
        stamped.versions.company = column(&row, "company_version")?;
        stamped.versions.boundary = column(&row, "boundary")?;
        stamped.next_boundary = next_boundary(&row)?;
        stamped.stamps.company = column(&row, "company_stamp")?;
        self.learn(Some(company), stamped.versions, stamped.stamps);
        Ok((row, stamped))
    }

    /// Loads a row as [`Self::load_row`] does. `read` builds the result from the row and the catalog.
    async fn load_of<V>(
        &self,
        class: Class,
        company: CompanyId,
        rest: &str,
        values: impl IntoIterator<Item = Value>,
        read: impl FnOnce(&QueryResult, Arc<Catalog>) -> Result<V>,
    ) -> Result<Stamped<V>> {
        let (row, Stamped { versions, stamps, next_boundary, value }) =
            self.load_row(Work::InPool(class, Some(company)), company, (rest, ""), values).await?;
        Ok(Stamped { versions, stamps, next_boundary, value: read(&row, value)? })
    }
}

#[async_trait]
impl<T: Executor> Snapshots for Repository<T> {
    async fn load_user(&self, company: CompanyId, user: UserId) -> Result<Stamped<Snapshot>> {
        operation("snapshots.load_user", async {
        let held = format!(
            "(SELECT user_level_id AS id FROM user_user_levels WHERE company_id = $3 AND user_id = $4 AND {ACTIVE}) AS level"
        );
        self.load_of(Class::Loads, company, &levels(&held), [user.as_uuid().into()], snapshot).await
        })
        .await
    }

    async fn load_company(&self, company: CompanyId) -> Result<Stamped<CompanySnapshot>> {
        operation("snapshots.load_company", async {
            let rest = levels("user_levels AS level WHERE level.company_id = $3")
                + &holders(&format!("user_user_levels WHERE company_id = $3 AND {ACTIVE}"));
            self.load_of(Class::Loads, company, &rest, [], company_snapshot).await
        })
        .await
    }

    async fn load_users(&self, company: CompanyId, users: &[UserId]) -> Result<Stamped<CompanySnapshot>> {
        operation("snapshots.load_users", async {
            let held = held();
            let rest = levels(&format!("(SELECT DISTINCT user_level_id AS id FROM {held}) AS level")) + &holders(&held);
            let users: Vec<Uuid> = users.iter().map(|user| user.as_uuid()).collect();
            self.load_of(Class::Loads, company, &rest, [users.into()], company_snapshot).await
        })
        .await
    }

    async fn load_levels(&self, company: CompanyId, ids: &[UserLevelId]) -> Result<Stamped<Snapshot>> {
        operation("snapshots.load_levels", async {
            let ids: Vec<Uuid> = ids.iter().map(|level| level.as_uuid()).collect();
            self.load_of(Class::Loads, company, &levels(ASKED_LEVELS), [ids.into()], snapshot).await
        })
        .await
    }

    async fn load_other_rules(
        &self,
        company: CompanyId,
        level: UserLevelId,
        cells: &BTreeSet<Cell>,
        without: Option<UserId>,
    ) -> Result<Stamped<OtherRules>> {
        operation("snapshots.load_other_rules", async {
            self.load_of(
                Class::Loads,
                company,
                &other_rules(),
                other_rules::parameters(level, cells, without),
                |row, catalog| Ok(OtherRules { catalog, reaches: other_rules::reaches(row, cells)? }),
            )
            .await
        })
        .await
    }

    async fn load_cell(&self, company: CompanyId, cell: &CellName) -> Result<Stamped<Snapshot>> {
        operation("snapshots.load_cell", async {
            let (levels, values) = levels_in_cell(cell);
            self.load_of(Class::Loads, company, &levels, values, snapshot).await
        })
        .await
    }

    async fn load_matrix(&self, company: CompanyId) -> Result<Stamped<CompanyMatrix>> {
        operation("snapshots.load_matrix", self.load_of(Class::Reads, company, &matrices(), [], company_matrix)).await
    }

    async fn load_copy(&self, company: CompanyId) -> Result<Stamped<CompanyCopy>> {
        operation("snapshots.load_copy", async {
            let (row, Stamped { versions, stamps, next_boundary, value: catalog }) =
                self.load_row(Work::WholeCompany(company), company, (&company_copy(), &cell_tables()), []).await?;
            // A copy can be large. It is converted on a thread for blocking work, so that it delays no other request.
            let converted = tokio::task::spawn_blocking(move || copy_in(&row, company, catalog)).await;
            let value =
                converted.map_err(|error| StorageError::corrupt(format_args!("the copy of a company: {error}")))??;
            Ok(Stamped { versions, stamps, next_boundary, value })
        })
        .await
    }

    async fn load_catalog(&self) -> Result<Stamped<Arc<Catalog>>> {
        operation("snapshots.load_catalog", async {
            Ok(self.load(Work::InPool(Class::Loads, None), None, snapshot_sql(self.0.feed(), "", ""), None).await?.1)
        })
        .await
    }

    async fn load_menu(&self, owner: Option<CompanyId>) -> Result<Stamped<Menu>> {
        operation("snapshots.load_menu", async {
            // One condition for both cases (`IS NOT DISTINCT FROM`) could not use an index.
            let owned = match owner {
                None => "m.company_id IS NULL AND $1::uuid IS NULL",
                Some(_) => "m.company_id = $1",
            };
            let sql = format!(
                "SELECT {epoch} AS epoch, catalog.version AS catalog_version, catalog.stamp AS catalog_stamp,
                coalesce(company.version, 0) AS company_version, coalesce(company.stamp, 0) AS company_stamp,
                (SELECT coalesce(json_agg(row ORDER BY row.sort_order, row.label, row.id), '[]')
                 FROM (SELECT {items} FROM menu_items m WHERE {owned}) AS row)::text AS items,
                (SELECT coalesce(json_agg(row ORDER BY row.sort_order, row.label, row.id), '[]')
                 FROM (SELECT {sub_items} FROM menu_items m JOIN sub_menu_items s ON s.menu_item_id = m.id
                    WHERE {owned}) AS row)::text AS sub_items
            FROM company_states AS catalog LEFT JOIN company_states AS company ON company.company_id = $1
            WHERE catalog.company_id = {CATALOG}",
                epoch = current_epoch(self.0.feed()),
                items = columns::<menu_items::Entity>("m"),
                sub_items = columns::<sub_menu_items::Entity>("s"),
            );
            let menu = self.for_company(owner, statement(sql, [owner.map(|id| id.as_uuid()).into()]));
            let row = self.single(menu.of(Class::Loads)).await?;
            let versions = Versions {
                epoch: epoch(&row)?,
                catalog: column(&row, "catalog_version")?,
                company: column(&row, "company_version")?,
                boundary: 0,
            };
            let stamps = Stamps { catalog: column(&row, "catalog_stamp")?, company: column(&row, "company_stamp")? };
            self.learn(owner, versions, stamps);
            // All companies share the common menu, so an item that cannot be parsed is omitted.
            let items = readable::<menu_items::Model, _>("menu_items", json_column(&row, "items")?);
            let sub_items = readable::<sub_menu_items::Model, _>("sub_menu_items", json_column(&row, "sub_items")?);
            Ok(Stamped { versions, stamps, next_boundary: None, value: Menu { items, sub_items } })
        })
        .await
    }
}
