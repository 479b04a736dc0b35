//! Changes of permission matrices.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    Action, CompanyId, EntityType, Feature, FeatureId, FeaturePermission, FeaturePermissionId, Scope, UserLevelId,
    ViewId, ViewPermission, ViewPermissionId, ViewState,
};
use iam_storage::{MatrixCell, Target};

use crate::execute::change;
use crate::failure::{first_of, unknown_at, unknown_field};
use crate::user_levels::find;
use crate::{Affects, Failure, FieldError, IfMatch};

/// A wanted cell of a view matrix.
#[derive(Debug, Clone)]
pub struct ViewCell {
    /// The view.
    pub view_id: ViewId,
    /// The state that the level sets for it.
    pub state: ViewState,
    /// Whether company admins may change it. If omitted, an existing cell keeps its value and a new one gets `true`.
    pub modifiable: Option<bool>,
}

/// A wanted cell of a feature matrix.
#[derive(Debug, Clone)]
pub struct FeatureCell {
    /// The feature.
    pub feature_id: FeatureId,
    /// The action.
    pub action: Action,
    /// `true` allows, `false` denies.
    pub value: bool,
    /// The scope of an allowed action.
    pub scope: Scope,
    /// Whether company admins may change it. If omitted, an existing cell keeps its value and a new one gets `true`.
    pub modifiable: Option<bool>,
}

/// Replaces the view matrix of a level.
#[derive(Debug, Clone)]
pub struct ReplaceViewPermissions {
    /// The company.
    pub company: CompanyId,
    /// The level.
    pub level: UserLevelId,
    /// The cells, one per view.
    pub cells: Vec<ViewCell>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

/// Replaces the feature matrix of a level.
#[derive(Debug, Clone)]
pub struct ReplaceFeaturePermissions {
    /// The company.
    pub company: CompanyId,
    /// The level.
    pub level: UserLevelId,
    /// The cells, one per action.
    pub cells: Vec<FeatureCell>,
    /// Whether the change may leave the company without an administrator. Only super admins can force it.
    pub force: bool,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

change!(ReplaceViewPermissions -> (), needs ManagePermissions, locks |this| Target::Company(this.company),
affects Affects::Views(this.level),
|this, tx, caller| {
    let there = tx.view_permissions().find_by_user_level(this.company, this.level).await?;
    if there.is_empty() {
        find(tx, this.company, this.level).await?;
    }
    this.if_match.check(&there)?;
    let pins: BTreeMap<_, _> = there.iter().map(|cell| (cell.view_id, cell.modifiable)).collect();
    let now = tx.now();
    let wanted: Vec<_> = this
        .cells
        .iter()
        .map(|cell| ViewPermission {
            id: ViewPermissionId::generate(now),
            company_id: this.company,
            user_level_id: this.level,
            view_id: cell.view_id,
            state: cell.state,
            modifiable: cell.modifiable.or(pins.get(&cell.view_id).copied()).unwrap_or(true),
            created_at: now,
            updated_at: now,
        })
        .collect();
    if !caller.is_super_admin() {
        keep_pins(&there, &wanted, "views", |cell| cell.modifiable, |cell| cell.view_id.to_string())?;
    }
    tx.view_permissions_mut().replace_for_user_level(this.company, this.level, &wanted).await.map_err(|error| {
        let sent = this.cells.iter().map(|cell| cell.view_id.as_uuid());
        unknown_at(error, EntityType::View, sent, |index| format!("views[{index}].viewId"))
    })
});

change!(ReplaceFeaturePermissions -> (), needs ManagePermissions, locks |this| Target::Company(this.company),
affects Affects::Features(this.level), forced this.force,
|this, tx, caller| {
    let there = tx.feature_permissions().find_by_user_level(this.company, this.level).await?;
    if there.is_empty() {
        find(tx, this.company, this.level).await?;
    }
    // Every feature has the standard actions, and the storage reports features that do not exist.
    if this.cells.iter().any(|cell| !cell.action.is_standard()) {
        this.check_actions(&tx.features().find_all().await?)?;
    }
    this.if_match.check(&there)?;
    let pins: BTreeMap<_, _> = there.iter().map(|cell| (cell.key(), cell.modifiable)).collect();
    let now = tx.now();
    let wanted: Vec<_> = this
        .cells
        .iter()
        .map(|cell| FeaturePermission {
            id: FeaturePermissionId::generate(now),
            company_id: this.company,
            user_level_id: this.level,
            feature_id: cell.feature_id,
            action: cell.action.clone(),
            value: cell.value,
            scope: cell.scope,
            modifiable: cell
                .modifiable
                .or(pins.get(&(cell.feature_id, cell.action.clone())).copied())
                .unwrap_or(true),
            created_at: now,
            updated_at: now,
        })
        .collect();
    if !caller.is_super_admin() {
        let name = |cell: &FeaturePermission| format!("{}/{}", cell.feature_id, cell.action);
        keep_pins(&there, &wanted, "features", |cell| cell.modifiable, name)?;
    }
    tx.feature_permissions_mut().replace_for_user_level(this.company, this.level, &wanted).await.map_err(|error| {
        let sent = this.cells.iter().map(|cell| cell.feature_id.as_uuid());
        unknown_at(error, EntityType::Feature, sent, |index| format!("features[{index}].featureId"))
    })
});

impl ReplaceFeaturePermissions {
    /// Checks that every feature exists and has the action.
    fn check_actions(&self, features: &[Feature]) -> Result<(), Failure> {
        let features: BTreeMap<_, _> = features.iter().map(|feature| (feature.id, feature)).collect();
        let errors: Vec<_> = self
            .cells
            .iter()
            .enumerate()
            .filter_map(|(index, cell)| match features.get(&cell.feature_id) {
                None => Some(unknown_field(
                    format!("features[{index}].featureId"),
                    EntityType::Feature,
                    cell.feature_id.as_uuid(),
                )),
                Some(feature) if !feature.knows(&cell.action) => Some(FieldError::new(
                    format!("features[{index}].action"),
                    "unknown",
                    format_args!("names an unknown action: {}", cell.action),
                )),
                Some(_) => None,
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(Failure::Invalid(FieldError::bounded(errors))) }
    }
}

/// Only super admins can change or pin cells: other callers must send each pinned cell unchanged.
fn keep_pins<C: MatrixCell>(
    there: &[C],
    wanted: &[C],
    field: &str,
    is_modifiable: impl Fn(&C) -> bool,
    name: impl Fn(&C) -> String,
) -> Result<(), Failure> {
    let wanted_by_place: BTreeMap<_, _> = wanted.iter().map(|cell| (cell.key(), cell)).collect();
    let broken = there
        .iter()
        .filter(|cell| !is_modifiable(cell))
        .filter(|cell| wanted_by_place.get(&cell.key()).is_none_or(|wanted| !wanted.says_the_same(cell)));
    let pinned: BTreeSet<_> = there.iter().filter(|cell| !is_modifiable(cell)).map(MatrixCell::key).collect();
    let added = wanted.iter().filter(|cell| !is_modifiable(cell) && !pinned.contains(&cell.key()));
    let names: Vec<_> = broken.chain(added).map(name).collect();
    if names.is_empty() {
        return Ok(());
    }
    let findings = names.iter().map(|name| FieldError::new(field, "pinned", format_args!("pins {name}")));
    let errors = FieldError::bounded(findings);
    Err(Failure::Refused {
        message: format!("Only super admins may change pinned permissions: {}", first_of(&names)),
        errors,
    })
}
