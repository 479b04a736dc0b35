//! Write operations on view and feature matrices, which differ only in the type of their cells.

use async_trait::async_trait;
use iam_domain::{Action, CompanyId, FeatureId, FeaturePermission, UserLevelId, ViewId, ViewPermission};
use iam_storage::{
    FeaturePermissionsMut, MatrixCell, MatrixDiff, Recorder, Result, StorageError, Target, ViewPermissionsMut,
};
use imbl::OrdMap;

use crate::repository::Repository;
use crate::state::{CatalogData, CompanyData, LevelData, RowId, RowKind};
use crate::unit_of_work::Unit;

/// A type of stored cell. Its methods return the row id and the level of a cell, and the stored cells of a level.
pub(super) trait StoredCell: MatrixCell<Key: Clone> {
    fn row_id(&self) -> RowId;
    fn level(&self) -> (CompanyId, UserLevelId);
    fn of(level: &LevelData) -> &OrdMap<Self::Key, Self>;
    fn of_mut(level: &mut LevelData) -> &mut OrdMap<Self::Key, Self>;
    fn check_references(cells: &[Self], catalog: &CatalogData) -> Result<()>;
    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>);
}

impl StoredCell for ViewPermission {
    fn row_id(&self) -> RowId {
        (RowKind::ViewPermissions, self.id.as_uuid())
    }

    fn level(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn of(level: &LevelData) -> &OrdMap<Self::Key, Self> {
        &level.views
    }

    fn of_mut(level: &mut LevelData) -> &mut OrdMap<Self::Key, Self> {
        &mut level.views
    }

    fn check_references(cells: &[Self], catalog: &CatalogData) -> Result<()> {
        catalog.check_views(cells.iter().map(|cell| cell.view_id))
    }

    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>) {
        recorder.view_permissions_updated(level, there, diff);
    }
}

impl StoredCell for FeaturePermission {
    fn row_id(&self) -> RowId {
        (RowKind::FeaturePermissions, self.id.as_uuid())
    }

    fn level(&self) -> (CompanyId, UserLevelId) {
        (self.company_id, self.user_level_id)
    }

    fn of(level: &LevelData) -> &OrdMap<Self::Key, Self> {
        &level.features
    }

    fn of_mut(level: &mut LevelData) -> &mut OrdMap<Self::Key, Self> {
        &mut level.features
    }

    fn check_references(cells: &[Self], catalog: &CatalogData) -> Result<()> {
        catalog.check_features(cells.iter().map(|cell| cell.feature_id))
    }

    fn record(recorder: &mut Recorder, level: UserLevelId, there: &[Self], diff: &MatrixDiff<Self>) {
        recorder.feature_permissions_updated(level, there, diff);
    }
}

impl Unit {
    /// Replaces cells of a level with `wanted`. If `key` is given, replaces only the cell with this key. Otherwise,
    /// replaces all cells of the level. Returns `true` if a cell was removed.
    fn matrix<C: StoredCell>(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        key: Option<&C::Key>,
        wanted: &[C],
    ) -> Result<bool> {
        self.change(Target::Company(company), |unit| {
            if wanted.iter().any(|cell| cell.level() != (company, level)) {
                return Err(StorageError::Misuse("a cell belongs to another level"));
            }
            let Some(data) = unit.work.company(company).levels.get(&level) else {
                // Deleting a cell that does not exist succeeds, even if its level does not exist.
                let removes = key.is_some() && wanted.is_empty();
                return if removes {
                    Ok(false)
                } else {
                    unit.work.company(company).check_levels([level]).map(|()| false)
                };
            };
            let there: Vec<C> = C::of(data).values().cloned().collect();
            let diff = match key {
                None => MatrixDiff::new(&there, wanted)?,
                Some(key) => MatrixDiff::new(C::of(data).get(key).map_or(&[][..], std::slice::from_ref), wanted)?,
            };
            C::check_references(&diff.insert, unit.catalog())?;
            unit.release_ids(diff.remove.iter().map(C::row_id));
            for cell in &diff.insert {
                unit.take_id(cell.row_id())?;
            }
            if let Some(data) = unit.work.company_mut(company).level_mut(level) {
                let cells = C::of_mut(data);
                for cell in &diff.remove {
                    cells.remove(&cell.key());
                }
                cells.extend(diff.insert.iter().chain(&diff.update).map(|cell| (cell.key(), cell.clone())));
            }
            C::record(&mut unit.recorder, level, &there, &diff);
            Ok(!diff.remove.is_empty())
        })
    }

    /// Deletes all matching cells, in all levels of all companies.
    pub(super) fn remove_cells<C: StoredCell>(&mut self, matches: impl Fn(&C) -> bool) {
        let concerned =
            |company: &CompanyData| company.levels.values().any(|level| C::of(level).values().any(&matches));
        let mut ids = Vec::new();
        self.cascade(concerned, |company| {
            for level in company.levels.keys().copied().collect::<Vec<_>>() {
                let Some(there) = company.levels.get(&level) else { continue };
                let removed: Vec<C> = C::of(there).values().filter(|cell| matches(cell)).cloned().collect();
                if removed.is_empty() {
                    continue;
                }
                let Some(level) = company.level_mut(level) else { continue };
                for cell in removed {
                    C::of_mut(level).remove(&cell.key());
                    ids.push(cell.row_id());
                }
            }
        });
        self.release_ids(ids);
    }
}

#[async_trait]
impl ViewPermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &ViewPermission) -> Result<()> {
        let (company, level) = permission.level();
        self.0.matrix(company, level, Some(&permission.key()), std::slice::from_ref(permission)).map(drop)
    }

    async fn delete(&mut self, company: CompanyId, level: UserLevelId, view: ViewId) -> Result<bool> {
        self.0.matrix::<ViewPermission>(company, level, Some(&view), &[])
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[ViewPermission],
    ) -> Result<()> {
        self.0.matrix(company, level, None, permissions).map(drop)
    }
}

#[async_trait]
impl FeaturePermissionsMut for Repository<Unit> {
    async fn upsert(&mut self, permission: &FeaturePermission) -> Result<()> {
        let (company, level) = permission.level();
        self.0.matrix(company, level, Some(&permission.key()), std::slice::from_ref(permission)).map(drop)
    }

    async fn delete(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        feature: FeatureId,
        action: &Action,
    ) -> Result<bool> {
        self.0.matrix::<FeaturePermission>(company, level, Some(&(feature, action.clone())), &[])
    }

    async fn replace_for_user_level(
        &mut self,
        company: CompanyId,
        level: UserLevelId,
        permissions: &[FeaturePermission],
    ) -> Result<()> {
        self.0.matrix(company, level, None, permissions).map(drop)
    }
}
