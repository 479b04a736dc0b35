//! The ceilings of companies: the validation of requested ceilings, and the users who gain or lose permissions by them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::escalation::Cell;
use iam_domain::{
    Action, Catalog, Ceilings, CompanyId, CompanySnapshot, EntityType, FeatureId, Scope, UserId, UserLevelId, Versions,
    ViewId, allowed, is_reserved,
};
use iam_storage::Stamped;

use crate::blocking::compute;
use crate::failure::unknown_field;
use crate::{Application, Failure, FieldCode, FieldError};

/// Requested ceilings of a company, which replace its previous ceilings.
#[derive(Debug, Clone)]
pub struct RequestedCeilings {
    /// The views that no user of the company may see.
    pub hidden_views: Vec<ViewId>,
    /// The ceilings on actions, at most one per action of a feature.
    pub actions: Vec<ActionCeiling>,
}

/// The ceiling of a company on an action of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCeiling {
    /// The feature.
    pub feature_id: FeatureId,
    /// The action.
    pub action: Action,
    /// The widest scope with which users of the company may perform the action. `None` if no user may perform it.
    pub max_scope: Option<Scope>,
}

impl RequestedCeilings {
    /// Validates the ceilings. Ceilings with the scope `any` have no effect, so they are omitted from the result.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] if a view, feature or action does not exist, or if a feature is one of the service's
    /// own features (`iam.*`). A ceiling on these features could leave the company without an administrator.
    pub(crate) fn check(&self, catalog: &Catalog) -> Result<Ceilings, Failure> {
        let unknown_views = self.hidden_views.iter().enumerate().filter(|(_, view)| catalog.view(**view).is_none());
        let unknown_views = unknown_views
            .map(|(index, view)| unknown_field(format!("hiddenViews[{index}]"), EntityType::View, view.as_uuid()));
        let invalid_actions = self
            .actions
            .iter()
            .enumerate()
            .filter_map(|(index, ceiling)| ceiling.check(catalog, &format!("actions[{index}]")));
        let errors: Vec<_> = unknown_views.chain(invalid_actions).collect();
        if !errors.is_empty() {
            return Err(Failure::Invalid(FieldError::bounded(errors)));
        }
        let mut actions: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        for ceiling in self.actions.iter().filter(|ceiling| ceiling.max_scope != Some(Scope::Any)) {
            actions.entry(ceiling.feature_id).or_default().insert(ceiling.action.clone(), ceiling.max_scope);
        }
        Ok(Ceilings { hidden_views: self.hidden_views.iter().copied().collect(), actions })
    }
}

impl ActionCeiling {
    /// Returns the error of this ceiling, if it is invalid. `place` is its path in the request.
    fn check(&self, catalog: &Catalog, place: &str) -> Option<FieldError> {
        let Some(feature) = catalog.feature(self.feature_id) else {
            let id = self.feature_id.as_uuid();
            return Some(unknown_field(format!("{place}.featureId"), EntityType::Feature, id));
        };
        if feature.key.as_ref().is_some_and(is_reserved) {
            let what = "must not be a feature of the service itself (iam.*)";
            return Some(FieldError::new(format!("{place}.featureId"), FieldCode::Protected, what));
        }
        (!feature.knows(&self.action)).then(|| {
            let what = format_args!("refers to an unknown action: {}", self.action);
            FieldError::new(format!("{place}.action"), FieldCode::Unknown, what)
        })
    }
}

/// Returns the ceilings on those views and actions that the catalog contains.
pub(crate) fn known(ceilings: &Ceilings, catalog: &Catalog) -> Ceilings {
    part(ceilings, catalog, true)
}

/// Returns the stored ceilings on views and actions that the catalog does not contain. They are retained, so that they
/// apply again if the view or action is created again.
pub(crate) fn unknown(ceilings: &Ceilings, catalog: &Catalog) -> Ceilings {
    part(ceilings, catalog, false)
}

fn part(ceilings: &Ceilings, catalog: &Catalog, is_known: bool) -> Ceilings {
    let mut part = ceilings.clone();
    part.hidden_views.retain(|view| catalog.view(*view).is_some() == is_known);
    part.actions.retain(|feature, actions| {
        let feature = catalog.feature(*feature);
        actions.retain(|action, _| feature.is_some_and(|feature| feature.knows(action)) == is_known);
        !actions.is_empty()
    });
    part
}

/// The effect of a change of ceilings on the users of a company, at one version of the company and of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CeilingsImpact {
    /// The versions from which the effect was computed.
    pub versions: Versions,
    /// The permissions that users gain, or that become wider.
    pub gains: Vec<CellImpact>,
    /// The permissions that users lose, or that become narrower.
    pub losses: Vec<CellImpact>,
}

/// The effect of a change on one cell: the users for whom it changes in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CellImpact {
    /// The view, or the action of a feature.
    pub cell: Cell,
    /// The scope before the change. `any` for a view that users may see. `None` if access is denied.
    pub before: Option<Scope>,
    /// The scope after the change, as `before`.
    pub after: Option<Scope>,
    /// The users with the smallest ids, at most [`CellImpact::MAX_USERS`].
    pub users: BTreeSet<UserId>,
    /// The number of all users.
    pub user_count: usize,
}

impl CellImpact {
    /// Maximum number of users that an impact lists.
    pub const MAX_USERS: usize = 100;

    /// Adds users, in ascending order of id.
    fn add(&mut self, users: &[UserId]) {
        self.user_count += users.len();
        self.users.extend(users.iter().take(Self::MAX_USERS));
        while self.users.len() > Self::MAX_USERS {
            self.users.pop_last();
        }
    }
}

impl Application {
    /// Returns the ceilings of a company on the views and actions that exist.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn company_ceilings(&self, company: CompanyId) -> Result<Ceilings, Failure> {
        let ceilings = self.reader().company_ceilings().ceilings(company).await?;
        if ceilings.is_empty() {
            return Ok(ceilings);
        }
        let catalog = self.reader().snapshots().load_catalog().await?.value;
        Ok(known(&ceilings, &catalog))
    }

    /// Returns the permissions that users of the company would gain and lose if these ceilings replaced the ceilings of
    /// the company. Nothing is changed, and no lock is acquired. The result comes from one snapshot of the company.
    ///
    /// Previews run one after another, because each of them reads the whole company. If the future is dropped while a
    /// preview is computed, the computation continues, and the next preview waits for it.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Invalid`] as [`SetCompanyCeilings`](crate::SetCompanyCeilings) does, and
    /// [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn preview_ceilings(
        &self,
        company: CompanyId,
        requested: &RequestedCeilings,
    ) -> Result<CeilingsImpact, Failure> {
        let turn = self.previews.enter(company).await.map_err(|error| Failure::Internal(error.into()))?;
        let Stamped { versions, value, .. } = self.reader().snapshots().load_company(company).await?;
        let ceilings = requested.check(&value.catalog)?;
        let compute_impact = move || {
            let _turn = turn;
            impact(&value, &Arc::new(ceilings))
        };
        let (gains, losses) = compute(compute_impact).await?;
        Ok(CeilingsImpact { versions, gains, losses })
    }
}

/// Returns the gains and the losses of the users of a company. All users with the same set of levels are decided once.
fn impact(company: &CompanySnapshot, ceilings: &Arc<Ceilings>) -> (Vec<CellImpact>, Vec<CellImpact>) {
    let cells = differing(&company.ceilings, ceilings);
    let mut sets: BTreeMap<&BTreeSet<UserLevelId>, Vec<UserId>> = BTreeMap::new();
    for (user, held) in &company.holders {
        sets.entry(held.as_ref()).or_default().push(*user);
    }
    let mut impacts = BTreeMap::new();
    for users in sets.into_values() {
        let Some(mut snapshot) = users.first().map(|user| company.of_user(*user)) else { continue };
        let before: Vec<_> = cells.iter().map(|cell| allowed(&snapshot, cell)).collect();
        snapshot.ceilings = Arc::clone(ceilings);
        for (cell, before) in cells.iter().zip(before) {
            let after = allowed(&snapshot, cell);
            if before != after {
                let none = || CellImpact { cell: cell.clone(), before, after, users: BTreeSet::new(), user_count: 0 };
                impacts.entry((cell, before, after)).or_insert_with(none).add(&users);
            }
        }
    }
    impacts.into_values().partition(|impact| impact.after > impact.before)
}

/// Returns the cells whose ceilings differ.
fn differing(before: &Ceilings, after: &Ceilings) -> BTreeSet<Cell> {
    let views = before.hidden_views.symmetric_difference(&after.hidden_views).copied().map(Cell::View);
    let actions = before.actions.iter().chain(&after.actions).flat_map(|(feature, actions)| {
        let differs = |action: &&Action| before.max_scope(*feature, action) != after.max_scope(*feature, action);
        actions.keys().filter(differs).map(|action| Cell::Action(*feature, action.clone()))
    });
    views.chain(actions.collect::<Vec<_>>()).collect()
}
