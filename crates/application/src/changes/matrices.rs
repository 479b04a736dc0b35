//! Changes to permission matrices: replacements of whole matrices, and edits of single cells.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use iam_domain::escalation::LevelChange;
use iam_domain::{
    Action, Caller, CompanyId, EntityType, Feature, FeatureId, FeaturePermission, FeaturePermissionId, Scope,
    UserLevelId, ViewId, ViewPermission, ViewPermissionId, ViewState,
};
use iam_storage::{MatrixCell, Target, UnitOfWork};

use super::user_levels::{find_user_level, level_permissions};
use crate::failure::{list_names, unknown_field, unknown_ids};
use crate::{Change, Effect, Failure, FieldCode, FieldError, IfMatch, Nullified, Requirement};

/// A requested permission in a view matrix.
#[derive(Debug, Clone)]
pub struct NewViewPermission {
    /// The view that the permission applies to.
    pub view_id: ViewId,
    /// The level's rule for the view: allow, deny or inherit.
    pub state: ViewState,
    /// If `false`, the permission is pinned: only super admins can change or remove it. If `None`, an existing
    /// permission retains its value, and a new permission is not pinned.
    pub modifiable: Option<bool>,
}

/// A requested permission in a feature matrix.
#[derive(Debug, Clone)]
pub struct NewFeaturePermission {
    /// The feature that the permission applies to.
    pub feature_id: FeatureId,
    /// The action that the permission applies to.
    pub action: Action,
    /// `true` to allow the action, `false` to deny it.
    pub value: bool,
    /// The scope of the action, if it is allowed.
    pub scope: Scope,
    /// If `false`, the permission is pinned: only super admins can change or remove it. If `None`, an existing
    /// permission retains its value, and a new permission is not pinned.
    pub modifiable: Option<bool>,
}

/// The requested cells of a matrix. `N` is the type of a requested cell, and `K` identifies a cell of the matrix.
#[derive(Debug, Clone)]
pub enum RequestedCells<N, K> {
    /// The matrix consists of exactly these cells, at most one for each position.
    All(Vec<N>),
    /// Some cells of the matrix change. The other cells remain unchanged.
    Some {
        /// The cells to add or to overwrite, at most one for each position.
        set: Vec<N>,
        /// The cells to remove, without those in `set`. Removing a cell that is not stored has no effect, but the catalog
        /// must contain it: otherwise, a misspelled cell would remain granted.
        unset: Vec<K>,
    },
}

impl<N, K: Ord> RequestedCells<N, K> {
    /// Returns the requested cells to write.
    fn written(&self) -> &[N] {
        match self {
            Self::All(cells) | Self::Some { set: cells, .. } => cells,
        }
    }

    /// Returns the name of the field that contains the cells to write. `all` is its name in a request that replaces the
    /// whole matrix.
    const fn field(&self, all: &'static str) -> &'static str {
        match self {
            Self::All(_) => all,
            Self::Some { .. } => "set",
        }
    }

    /// Returns the name of the field to which errors that concern the whole change are attributed.
    const fn changing_field(&self, all: &'static str) -> &'static str {
        match self {
            Self::Some { set, .. } if set.is_empty() => "unset",
            _ => self.field(all),
        }
    }

    /// Returns the cells to remove that are not stored, with their positions in the request.
    fn not_stored<C: MatrixCell<Key = K>>(&self, stored: &[C]) -> Vec<(usize, &K)> {
        let Self::Some { unset, .. } = self else { return Vec::new() };
        let stored: BTreeSet<K> = stored.iter().map(MatrixCell::key).collect();
        unset.iter().enumerate().filter(|(_, key)| !stored.contains(key)).collect()
    }

    /// Returns the cells of the matrix after the change: the cells to write, and the stored cells that remain.
    fn applied_to<C: MatrixCell<Key = K>>(&self, stored: &[C], written: Vec<C>) -> Vec<C> {
        let Self::Some { unset, .. } = self else { return written };
        let changed: BTreeSet<K> = written.iter().map(MatrixCell::key).collect();
        let unset: BTreeSet<&K> = unset.iter().collect();
        let remains = |cell: &&C| !changed.contains(&cell.key()) && !unset.contains(&cell.key());
        stored.iter().filter(remains).cloned().chain(written).collect()
    }
}

/// The result of changing a matrix. `C` is the type of its cells.
#[derive(Debug, Clone)]
pub struct ReplacedMatrix<C> {
    /// The matrix after the change. A view matrix is sorted by view id, a feature matrix by feature id and then by
    /// action.
    pub cells: Vec<C>,
    /// The permissions of the level before and after the change. They contain only the changed matrix.
    pub change: LevelChange,
    /// The users' permissions that deny rules of the new matrix override.
    pub nullified: Nullified,
}

/// Changes the view permissions of a level (its view matrix).
#[derive(Debug, Clone)]
pub struct ChangeViewPermissions {
    /// The company of the level.
    pub company: CompanyId,
    /// The level whose matrix changes.
    pub level: UserLevelId,
    /// The requested permissions.
    pub permissions: RequestedCells<NewViewPermission, ViewId>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

/// Changes the feature permissions of a level (its feature matrix).
#[derive(Debug, Clone)]
pub struct ChangeFeaturePermissions {
    /// The company of the level.
    pub company: CompanyId,
    /// The level whose matrix changes.
    pub level: UserLevelId,
    /// The requested permissions.
    pub permissions: RequestedCells<NewFeaturePermission, (FeatureId, Action)>,
    /// If `true`, the change may leave the company without an administrator. Only super admins can force such a change.
    pub force: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for ChangeViewPermissions {
    type Answer = ReplacedMatrix<ViewPermission>;

    const REQUIREMENT: Requirement = Requirement::ManagePermissions;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Matrix { field: self.permissions.changing_field("views"), change: &answer.change }
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        let stored = tx.view_permissions().find_by_user_level(self.company, self.level).await?;
        if stored.is_empty() {
            find_user_level(tx, self.company, self.level).await?;
        }
        let unset = self.permissions.not_stored(&stored);
        if !unset.is_empty() {
            let views: BTreeSet<_> = tx.views().find_all().await?.into_iter().map(|view| view.id).collect();
            let unknown = unset
                .into_iter()
                .filter(|(_, view)| !views.contains(view))
                .map(|(index, view)| unknown_field(format!("unset[{index}].viewId"), EntityType::View, view.as_uuid()));
            all_known(unknown)?;
        }
        self.if_match.check(&stored)?;
        let pins: BTreeMap<_, _> =
            stored.iter().map(|permission| (permission.view_id, permission.modifiable)).collect();
        let now = tx.now();
        let written: Vec<_> = self
            .permissions
            .written()
            .iter()
            .map(|permission| ViewPermission {
                id: ViewPermissionId::generate(now),
                company_id: self.company,
                user_level_id: self.level,
                view_id: permission.view_id,
                state: permission.state,
                modifiable: permission.modifiable.or(pins.get(&permission.view_id).copied()).unwrap_or(true),
                created_at: now,
                updated_at: now,
            })
            .collect();
        let wanted = self.permissions.applied_to(&stored, written);
        if !caller.is_super_admin() {
            check_pinned_cells(
                &stored,
                &wanted,
                self.permissions.changing_field("views"),
                |permission| permission.modifiable,
                |permission| permission.view_id.to_string(),
            )?;
        }
        tx.view_permissions_mut().replace_for_user_level(self.company, self.level, &wanted).await.map_err(|error| {
            let sent = self.permissions.written().iter().map(|permission| permission.view_id.as_uuid());
            let field = self.permissions.field("views");
            unknown_ids(error, EntityType::View, sent, |index| format!("{field}[{index}].viewId"))
        })?;
        let cells = tx.view_permissions().find_by_user_level(self.company, self.level).await?;
        let permissions = |cells: &[ViewPermission]| level_permissions(self.level, cells, &[]);
        let change = LevelChange { before: permissions(&stored), after: permissions(&cells) };
        let nullified = nullified(tx, self.company, &change).await?;
        Ok(ReplacedMatrix { cells, change, nullified })
    }
}

#[async_trait]
impl Change for ChangeFeaturePermissions {
    type Answer = ReplacedMatrix<FeaturePermission>;

    const REQUIREMENT: Requirement = Requirement::ManagePermissions;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn effect<'a>(&self, answer: &'a Self::Answer) -> Effect<'a> {
        Effect::Matrix { field: self.permissions.changing_field("features"), change: &answer.change }
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        let stored = tx.feature_permissions().find_by_user_level(self.company, self.level).await?;
        if stored.is_empty() {
            find_user_level(tx, self.company, self.level).await?;
        }
        // Standard actions to write need not be checked, because every feature has them. The storage reports unknown
        // features.
        let unset = self.permissions.not_stored(&stored);
        if !unset.is_empty() || self.permissions.written().iter().any(|permission| !permission.action.is_standard()) {
            self.check_actions(&unset, &tx.features().find_all().await?)?;
        }
        self.if_match.check(&stored)?;
        let pins: BTreeMap<_, _> = stored.iter().map(|permission| (permission.key(), permission.modifiable)).collect();
        let now = tx.now();
        let written: Vec<_> = self
            .permissions
            .written()
            .iter()
            .map(|permission| FeaturePermission {
                id: FeaturePermissionId::generate(now),
                company_id: self.company,
                user_level_id: self.level,
                feature_id: permission.feature_id,
                action: permission.action.clone(),
                value: permission.value,
                scope: permission.scope,
                modifiable: permission
                    .modifiable
                    .or(pins.get(&(permission.feature_id, permission.action.clone())).copied())
                    .unwrap_or(true),
                created_at: now,
                updated_at: now,
            })
            .collect();
        let wanted = self.permissions.applied_to(&stored, written);
        if !caller.is_super_admin() {
            let name = |permission: &FeaturePermission| format!("{}/{}", permission.feature_id, permission.action);
            let field = self.permissions.changing_field("features");
            check_pinned_cells(&stored, &wanted, field, |permission| permission.modifiable, name)?;
        }
        tx.feature_permissions_mut().replace_for_user_level(self.company, self.level, &wanted).await.map_err(
            |error| {
                let sent = self.permissions.written().iter().map(|permission| permission.feature_id.as_uuid());
                let field = self.permissions.field("features");
                unknown_ids(error, EntityType::Feature, sent, |index| format!("{field}[{index}].featureId"))
            },
        )?;
        let cells = tx.feature_permissions().find_by_user_level(self.company, self.level).await?;
        let permissions = |cells: &[FeaturePermission]| level_permissions(self.level, &[], cells);
        let change = LevelChange { before: permissions(&stored), after: permissions(&cells) };
        let nullified = nullified(tx, self.company, &change).await?;
        Ok(ReplacedMatrix { cells, change, nullified })
    }
}

impl ChangeFeaturePermissions {
    /// Checks that every feature of a cell to write, or of a cell in `unset`, exists and has the action of the cell.
    fn check_actions(&self, unset: &[(usize, &(FeatureId, Action))], features: &[Feature]) -> Result<(), Failure> {
        let features: BTreeMap<_, _> = features.iter().map(|feature| (feature.id, feature)).collect();
        let field = self.permissions.field("features");
        let written = self.permissions.written().iter().enumerate();
        let written = written.map(|(index, cell)| (field, index, cell.feature_id, &cell.action));
        let removed = unset.iter().map(|(index, (feature, action))| ("unset", *index, *feature, action));
        all_known(written.chain(removed).filter_map(|(field, index, id, action)| match features.get(&id) {
            None => Some(unknown_field(format!("{field}[{index}].featureId"), EntityType::Feature, id.as_uuid())),
            Some(feature) if !feature.knows(action) => Some(FieldError::new(
                format!("{field}[{index}].action"),
                FieldCode::Unknown,
                format_args!("refers to an unknown action: {action}"),
            )),
            Some(_) => None,
        }))
    }
}

/// Returns a failure if there are errors for unknown cells.
fn all_known(unknown: impl Iterator<Item = FieldError>) -> Result<(), Failure> {
    let errors = FieldError::bounded(unknown);
    if errors.is_empty() { Ok(()) } else { Err(Failure::Invalid(errors)) }
}

/// Returns the users' permissions that new deny rules of the level override.
async fn nullified(tx: &dyn UnitOfWork, company: CompanyId, change: &LevelChange) -> Result<Nullified, Failure> {
    let denied = change.denies_added();
    if denied.is_empty() {
        return Ok(Nullified::default());
    }
    let others = tx.snapshots().load_other_rules(company, change.level(), &denied, None).await?.value;
    Ok(Nullified::new(&others.catalog, &change.nullified(&others.reaches, &others.catalog)))
}

/// Checks that a caller who is not a super admin does not change the pinned permissions of the matrix. The caller must
/// include each pinned permission unchanged, and must not pin other permissions.
fn check_pinned_cells<C: MatrixCell>(
    stored: &[C],
    wanted: &[C],
    field: &str,
    is_modifiable: impl Fn(&C) -> bool,
    name: impl Fn(&C) -> String,
) -> Result<(), Failure> {
    let wanted_by_key: BTreeMap<_, _> = wanted.iter().map(|permission| (permission.key(), permission)).collect();
    let broken = stored.iter().filter(|permission| !is_modifiable(permission)).filter(|permission| {
        wanted_by_key.get(&permission.key()).is_none_or(|wanted| !wanted.has_same_content(permission))
    });
    let pinned: BTreeSet<_> =
        stored.iter().filter(|permission| !is_modifiable(permission)).map(MatrixCell::key).collect();
    let added = wanted.iter().filter(|permission| !is_modifiable(permission) && !pinned.contains(&permission.key()));
    let names: Vec<_> = broken.chain(added).map(name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let findings = names.iter().map(|name| {
        FieldError::new(
            field,
            FieldCode::Pinned,
            format_args!("must not add, change or remove a pinned permission: {name}"),
        )
    });
    let errors = FieldError::bounded(findings);
    Err(Failure::ForbiddenChange {
        message: format!("Only super admins may change pinned permissions: {}", list_names(&names)),
        errors,
    })
}
