//! Changes to the two permission matrices of a level: the view matrix and the feature matrix. The two matrices differ
//! only in their columns.

use async_trait::async_trait;
use iam_domain::{Action, CompanyId, EntityType, FeatureId, FeaturePermission, UserLevelId, ViewId, ViewPermission};
use iam_storage::{
    FeaturePermissionsMut, MatrixCell, MatrixDiff, Recorder, Result, StorageError, Target, ViewPermissionsMut,
};
use sea_orm::{DbBackend, EntityName, EntityTrait, FromQueryResult, Statement, Value};
use uuid::Uuid;

use super::Unit;
use crate::changes::read_matrices::{LastRead, ReadMatrices};
use crate::entities::{columns, user_level_feature_permissions, user_level_view_permissions};
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::{column, convert, statement};

/// A type of matrix cell (for views or for features), with the SQL for its table.
trait StoredCell: MatrixCell + Send + Sync + TryFrom<Self::Row, Error = StorageError> {
    type Row: FromQueryResult;
    type Rows: EntityTrait<Model = Self::Row>;

    /// The type of the entity to which a cell refers: a view or a feature.
    const ENTITY: EntityType;
    /// The statement that returns those ids in $1 that exist in the catalog.
    const EXISTING: &'static str;
    /// The statement that applies a diff to the matrix of the level ($2) in the company ($1). It deletes the cells
    /// whose ids are in $3. The next parameters contain the cells to update ([`Self::updating`]) and the cells to
    /// insert ([`Self::inserting`]). A cell is inserted only if its view or feature exists. Each cell of the diff is
    /// either deleted, updated or inserted.
    const WRITE: &'static str;

    fn id(&self) -> Uuid;
    fn entity_id(&self) -> Uuid;
    fn level(&self) -> (CompanyId, UserLevelId);
    fn inserting(cells: &[Self]) -> Vec<Value>;
    fn updating(cells: &[Self]) -> Vec<Value>;
    fn record(recorder: &mut Recorder, level: UserLevelId, current: &[Self], diff: &MatrixDiff<Self>);
    fn last_read(matrices: &mut ReadMatrices) -> &mut LastRead<Self>;
}

/// Collects one column of the cells into an SQL array.
fn array<C, T>(cells: &[C], column: impl Fn(&C) -> T) -> Value
where
    Vec<T>: Into<Value>,
{
    cells.iter().map(column).collect::<Vec<T>>().into()
}

impl StoredCell for ViewPermission {
    type Row = user_level_view_permissions::Model;
    type Rows = user_level_view_permissions::Entity;

    const ENTITY: EntityType = EntityType::View;
    const EXISTING: &'static str = "SELECT id FROM views WHERE id = ANY($1)";
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

    fn entity_id(&self) -> Uuid {
        self.view_id.as_uuid()
    }

    fn level(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn inserting(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, Self::entity_id),
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

    fn record(recorder: &mut Recorder, level: UserLevelId, current: &[Self], diff: &MatrixDiff<Self>) {
        recorder.view_permissions_updated(level, current, diff);
    }

    fn last_read(matrices: &mut ReadMatrices) -> &mut LastRead<Self> {
        &mut matrices.views
    }
}

impl StoredCell for FeaturePermission {
    type Row = user_level_feature_permissions::Model;
    type Rows = user_level_feature_permissions::Entity;

    const ENTITY: EntityType = EntityType::Feature;
    const EXISTING: &'static str = "SELECT id FROM features WHERE id = ANY($1)";
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

    fn entity_id(&self) -> Uuid {
        self.feature_id.as_uuid()
    }

    fn level(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn inserting(cells: &[Self]) -> Vec<Value> {
        vec![
            array(cells, Self::id),
            array(cells, Self::entity_id),
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

    fn record(recorder: &mut Recorder, level: UserLevelId, current: &[Self], diff: &MatrixDiff<Self>) {
        recorder.feature_permissions_updated(level, current, diff);
    }

    fn last_read(matrices: &mut ReadMatrices) -> &mut LastRead<Self> {
        &mut matrices.features
    }
}

/// Returns a statement whose parameters are the company ($1), the level ($2), and `values` ($3 and later).
fn at_level(sql: impl Into<String>, company: CompanyId, level: UserLevelId, values: Vec<Value>) -> Statement {
    let level: [Value; 2] = [company.as_uuid().into(), level.as_uuid().into()];
    Statement::from_sql_and_values(DbBackend::Postgres, sql, level.into_iter().chain(values))
}

impl Repository<Unit> {
    /// Returns the cells of a level, or `None` if the company has no such level.
    async fn matrix<C: StoredCell>(&self, company: CompanyId, level: UserLevelId) -> Result<Option<Vec<C>>> {
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
            // For a level without cells, the outer join returns one row of NULLs.
            if column::<Option<Uuid>>(row, "id")?.is_some() {
                cells.push(convert::<C::Row, C>(row)?);
            }
        }
        Ok(Some(cells))
    }

    /// Returns the cells of a level, or the error `Unknown` if the company has no such level.
    async fn known_matrix<C: StoredCell>(&self, company: CompanyId, level: UserLevelId) -> Result<Vec<C>> {
        let unknown = || StorageError::Unknown { entity: EntityType::UserLevel, ids: vec![level.as_uuid()] };
        self.matrix(company, level).await?.ok_or_else(unknown)
    }

    /// Applies a diff to the matrix of a level with one statement. Executes no statement if the diff is empty.
    async fn apply<C: StoredCell>(&self, company: CompanyId, level: UserLevelId, diff: &MatrixDiff<C>) -> Result<()> {
        if diff.is_empty() {
            return Ok(());
        }
        let mut values = vec![array(&diff.remove, C::id)];
        values.extend(C::updating(&diff.update));
        values.extend(C::inserting(&diff.insert));
        let inserted = self.execute(at_level(C::WRITE, company, level, values)).await?;
        if usize::try_from(inserted).is_ok_and(|inserted| inserted < diff.insert.len()) {
            let ids: Vec<Uuid> = diff.insert.iter().map(C::entity_id).collect();
            return Err(self.unknown(C::ENTITY, &ids, statement(C::EXISTING, [ids.clone().into()])).await);
        }
        Ok(())
    }

    /// Applies a diff to the matrix of a level, and passes the diff to the recorder for the audit record.
    async fn apply_and_record<C: StoredCell>(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        current: &[C],
        diff: &MatrixDiff<C>,
    ) -> Result<()> {
        self.apply(company, level, diff).await?;
        C::record(&mut self.0.recorder, level, current, diff);
        Ok(())
    }

    async fn replace_cells<C: StoredCell>(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        cells: &[C],
    ) -> Result<()> {
        let read = C::last_read(&mut self.0.read_matrices).take(company, level);
        self.change(Target::Company(company), async |unit| {
            if cells.iter().any(|cell| cell.level() != (company, level)) {
                return Err(StorageError::Misuse("a cell belongs to another level"));
            }
            let current = match read {
                Some(current) => current,
                None => unit.known_matrix(company, level).await?,
            };
            let diff = MatrixDiff::new(&current, cells)?;
            unit.apply_and_record(company, level, &current, &diff).await
        })
        .await
    }

    async fn upsert_cell<C: StoredCell>(&mut self, cell: &C) -> Result<()> {
        let (company, level) = cell.level();
        self.change(Target::Company(company), async |unit| {
            let current: Vec<C> = unit.known_matrix(company, level).await?;
            let mut diff = MatrixDiff { remove: Vec::new(), insert: Vec::new(), update: Vec::new() };
            match current.iter().find(|old| old.key() == cell.key()) {
                None => diff.insert.push(cell.clone()),
                Some(old) if cell.has_same_content(old) => {}
                Some(old) => diff.update.push(cell.with_identity_of(old)),
            }
            unit.apply_and_record(company, level, &current, &diff).await
        })
        .await
    }

    async fn delete_cell<C: StoredCell>(&mut self, company: CompanyId, level: UserLevelId, key: &C::Key) -> Result<bool>
    where
        C::Key: Sync,
    {
        self.change(Target::Company(company), async |unit| {
            let current = unit.matrix::<C>(company, level).await?.unwrap_or_default();
            let remove: Vec<C> = current.iter().filter(|cell| cell.key() == *key).cloned().collect();
            let removed = !remove.is_empty();
            let diff = MatrixDiff { remove, insert: Vec::new(), update: Vec::new() };
            unit.apply_and_record(company, level, &current, &diff).await?;
            Ok(removed)
        })
        .await
    }
}

#[async_trait]
impl ViewPermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()> {
        operation("view_permissions.upsert", self.upsert_cell(permission)).await
    }

    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool> {
        operation("view_permissions.delete", self.delete_cell::<ViewPermission>(company, level, &view)).await
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[ViewPermission],
    ) -> Result<()> {
        operation("view_permissions.replace_for_user_level", self.replace_cells(company, level, permissions)).await
    }
}

#[async_trait]
impl FeaturePermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()> {
        operation("feature_permissions.upsert", self.upsert_cell(permission)).await
    }

    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool> {
        operation(
            "feature_permissions.delete",
            self.delete_cell::<FeaturePermission>(company, level, &(feature, action.clone())),
        )
        .await
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()> {
        operation("feature_permissions.replace_for_user_level", self.replace_cells(company, level, permissions)).await
    }
}
