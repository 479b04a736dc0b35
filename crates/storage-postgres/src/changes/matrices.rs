//! Changes of the two permission matrices, which differ in their columns only.

use async_trait::async_trait;
use iam_domain::{Action, CompanyId, EntityType, FeatureId, FeaturePermission, UserLevelId, ViewId, ViewPermission};
use iam_storage::{
    FeaturePermissionsMut, MatrixCell, MatrixDiff, Recorder, Result, StorageError, Target, ViewPermissionsMut,
};
use sea_orm::{DbBackend, EntityName, EntityTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::Unit;
use crate::entities::{columns, user_level_feature_permissions, user_level_view_permissions};
use crate::error::from_db;
use crate::repository::{Repository, column, statement};

/// A cell with its table. In the statements $1 is the company and $2 the level.
trait Stored: MatrixCell + Send + Sync + TryFrom<Self::Row, Error = StorageError> {
    type Row: FromQueryResult;
    type Rows: EntityTrait<Model = Self::Row>;

    /// What a cell is about.
    const ABOUT: EntityType;
    /// The ids of what cells can be about, of those in $1.
    const KNOWN: &'static str;
    /// Removes the cells with the ids in $3, rewrites those that [`Self::updating`] makes arrays of, and inserts those
    /// that [`Self::inserting`] does, apart from those about nothing. The three never meet in one place.
    const WRITE: &'static str;

    fn id(&self) -> Uuid;
    fn about(&self) -> Uuid;
    fn place(&self) -> (CompanyId, UserLevelId);
    fn inserting(cells: &[Self]) -> Vec<Value>;
    fn updating(cells: &[Self]) -> Vec<Value>;
    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>);
}

/// One column of the cells, as an array.
fn array<C, T>(cells: &[C], column: impl Fn(&C) -> T) -> Value
where
    Vec<T>: Into<Value>,
{
    cells.iter().map(column).collect::<Vec<T>>().into()
}

impl Stored for ViewPermission {
    type Row = user_level_view_permissions::Model;
    type Rows = user_level_view_permissions::Entity;

    const ABOUT: EntityType = EntityType::View;
    const KNOWN: &'static str = "SELECT id FROM views WHERE id = ANY($1)";
    const WRITE: &'static str = "
        WITH gone AS (
            DELETE FROM user_level_view_permissions WHERE company_id = $1 AND user_level_id = $2 AND id = ANY($3)
        ),
        changed AS (
            UPDATE user_level_view_permissions AS there
            SET state = cell.state, modifiable = cell.modifiable, updated_at = cell.updated_at
            FROM unnest($4::uuid[], $5::text[], $6::boolean[], $7::timestamptz[])
                AS cell (id, state, modifiable, updated_at)
            WHERE there.id = cell.id AND there.company_id = $1 AND there.user_level_id = $2
        )
        INSERT INTO user_level_view_permissions
            (company_id, user_level_id, id, view_id, state, modifiable, created_at, updated_at)
        SELECT $1, $2, cell.id, cell.view_id, cell.state, cell.modifiable, cell.created_at, cell.updated_at
        FROM unnest($8::uuid[], $9::uuid[], $10::text[], $11::boolean[], $12::timestamptz[], $13::timestamptz[])
            AS cell (id, view_id, state, modifiable, created_at, updated_at)
        JOIN views ON views.id = cell.view_id";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn about(&self) -> Uuid {
        self.view_id.as_uuid()
    }

    fn place(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn inserting(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, Self::about),
            array(cells, |cell| cell.state.to_string()),
            array(cells, |cell| cell.modifiable),
            array(cells, |cell| cell.created_at.as_datetime()),
            array(cells, |cell| cell.updated_at.as_datetime()),
        ]
    }

    fn updating(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, |cell| cell.state.to_string()),
            array(cells, |cell| cell.modifiable),
            array(cells, |cell| cell.updated_at.as_datetime()),
        ]
    }

    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>) {
        recorder.view_permissions_updated(level, there, diff);
    }
}

impl Stored for FeaturePermission {
    type Row = user_level_feature_permissions::Model;
    type Rows = user_level_feature_permissions::Entity;

    const ABOUT: EntityType = EntityType::Feature;
    const KNOWN: &'static str = "SELECT id FROM features WHERE id = ANY($1)";
    const WRITE: &'static str = "
        WITH gone AS (
            DELETE FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = $2 AND id = ANY($3)
        ),
        changed AS (
            UPDATE user_level_feature_permissions AS there
            SET value = cell.value, scope = cell.scope, modifiable = cell.modifiable, updated_at = cell.updated_at
            FROM unnest($4::uuid[], $5::boolean[], $6::text[], $7::boolean[], $8::timestamptz[])
                AS cell (id, value, scope, modifiable, updated_at)
            WHERE there.id = cell.id AND there.company_id = $1 AND there.user_level_id = $2
        )
        INSERT INTO user_level_feature_permissions
            (company_id, user_level_id, id, feature_id, action, value, scope, modifiable, created_at, updated_at)
        SELECT $1, $2, cell.id, cell.feature_id, cell.action, cell.value, cell.scope, cell.modifiable, cell.created_at,
            cell.updated_at
        FROM unnest($9::uuid[], $10::uuid[], $11::text[], $12::boolean[], $13::text[], $14::boolean[],
            $15::timestamptz[], $16::timestamptz[])
            AS cell (id, feature_id, action, value, scope, modifiable, created_at, updated_at)
        JOIN features ON features.id = cell.feature_id";

    fn id(&self) -> Uuid {
        self.id.as_uuid()
    }

    fn about(&self) -> Uuid {
        self.feature_id.as_uuid()
    }

    fn place(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn inserting(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, Self::about),
            array(cells, |cell| cell.action.to_string()),
            array(cells, |cell| cell.value),
            array(cells, |cell| cell.scope.to_string()),
            array(cells, |cell| cell.modifiable),
            array(cells, |cell| cell.created_at.as_datetime()),
            array(cells, |cell| cell.updated_at.as_datetime()),
        ]
    }

    fn updating(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, |cell| cell.value),
            array(cells, |cell| cell.scope.to_string()),
            array(cells, |cell| cell.modifiable),
            array(cells, |cell| cell.updated_at.as_datetime()),
        ]
    }

    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>) {
        recorder.feature_permissions_updated(level, there, diff);
    }
}

/// The statement with the company, the level, and what else it needs.
fn at_level(sql: impl Into<String>, company: CompanyId, level: UserLevelId, values: Vec<Value>) -> Statement {
    let place: [Value; 2] = [company.as_uuid().into(), level.as_uuid().into()];
    Statement::from_sql_and_values(DbBackend::Postgres, sql, place.into_iter().chain(values))
}

impl Repository<Unit> {
    /// The cells of a level; `None` when the company has no such level.
    async fn matrix<C: Stored>(&self, company: CompanyId, level: UserLevelId) -> Result<Option<Vec<C>>> {
        let sql = format!(
            "SELECT {} FROM user_levels AS level
            LEFT JOIN {} AS cell ON cell.company_id = level.company_id AND cell.user_level_id = level.id
            WHERE level.company_id = $1 AND level.id = $2",
            columns::<C::Rows>("cell"),
            C::Rows::default().table_name()
        );
        let rows = self.rows(at_level(sql, company, level, Vec::new())).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut cells = Vec::with_capacity(rows.len());
        for row in &rows {
            // A level without cells answers one row of nothing.
            if column::<Option<Uuid>>(row, "id")?.is_some() {
                cells.push(C::try_from(C::Row::from_query_result(row, "").map_err(from_db)?)?);
            }
        }
        Ok(Some(cells))
    }

    /// As [`Self::matrix`], for a level that must be there.
    async fn known_matrix<C: Stored>(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<C>> {
        let unknown = || StorageError::Unknown { entity: EntityType::UserLevel, ids: vec![level.as_uuid()] };
        self.matrix(company, level).await?.ok_or_else(unknown)
    }

    /// Does what the diff says, in one statement, or in none if there is nothing to do.
    async fn apply<C: Stored>(&self, company: CompanyId, level: UserLevelId, diff: &MatrixDiff<C>) -> Result<()> {
        if diff.is_empty() {
            return Ok(());
        }
        let mut values = vec![array(&diff.remove, C::id)];
        values.extend(C::updating(&diff.update));
        values.extend(C::inserting(&diff.insert));
        let inserted = self.execute(at_level(C::WRITE, company, level, values)).await?;
        if usize::try_from(inserted).is_ok_and(|inserted| inserted < diff.insert.len()) {
            let ids: Vec<Uuid> = diff.insert.iter().map(C::about).collect();
            return Err(self.unknown(C::ABOUT, &ids, statement(C::KNOWN, [ids.clone().into()])).await);
        }
        Ok(())
    }

    /// Applies a diff and records it.
    async fn change<C: Stored>(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        there: &[C],
        diff: &MatrixDiff<C>,
    ) -> Result<()> {
        self.apply(company, level, diff).await?;
        C::record(&mut self.0.recorder, level, there, diff);
        Ok(())
    }

    async fn replace_cells<C: Stored>(&mut self, company: CompanyId, level: UserLevelId, cells: &[C]) -> Result<()> {
        self.touch(Target::Company(company))?;
        if cells.iter().any(|cell| cell.place() != (company, level)) {
            return Err(StorageError::Misuse("a cell of another level"));
        }
        let there = self.known_matrix(company, level).await?;
        let diff = MatrixDiff::new(&there, cells)?;
        self.change(company, level, &there, &diff).await?;
        self.done(())
    }

    async fn upsert_cell<C: Stored>(&mut self, cell: &C) -> Result<()> {
        let (company, level) = cell.place();
        self.touch(Target::Company(company))?;
        let there: Vec<C> = self.known_matrix(company, level).await?;
        let mut diff = MatrixDiff { remove: Vec::new(), insert: Vec::new(), update: Vec::new() };
        match there.iter().find(|old| old.key() == cell.key()) {
            None => diff.insert.push(cell.clone()),
            Some(old) if cell.says_the_same(old) => {}
            Some(old) => diff.update.push(cell.in_place_of(old)),
        }
        self.change(company, level, &there, &diff).await?;
        self.done(())
    }

    async fn delete_cell<C: Stored>(&mut self, company: CompanyId, level: UserLevelId, key: &C::Key) -> Result<bool>
    where
        C::Key: Sync,
    {
        self.touch(Target::Company(company))?;
        let there = self.matrix::<C>(company, level).await?.unwrap_or_default();
        let remove: Vec<C> = there.iter().filter(|cell| cell.key() == *key).cloned().collect();
        let removed = !remove.is_empty();
        let diff = MatrixDiff { remove, insert: Vec::new(), update: Vec::new() };
        self.change(company, level, &there, &diff).await?;
        self.done(removed)
    }
}

#[async_trait]
impl ViewPermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()> {
        self.upsert_cell(permission).await
    }

    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool> {
        self.delete_cell::<ViewPermission>(company, level, &view).await
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[ViewPermission],
    ) -> Result<()> {
        self.replace_cells(company, level, permissions).await
    }
}

#[async_trait]
impl FeaturePermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()> {
        self.upsert_cell(permission).await
    }

    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool> {
        self.delete_cell::<FeaturePermission>(company, level, &(feature, action.clone())).await
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()> {
        self.replace_cells(company, level, permissions).await
    }
}
