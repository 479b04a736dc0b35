//! Creates the default levels of a company from their templates.

use iam_domain::provisioning::{self, DefaultLevel};
use iam_domain::{
    Assignment, Caller, CompanyId, FeaturePermission, FeaturePermissionId, Period, Timestamp, UserId, UserLevel,
    UserLevelId, ViewPermission, ViewPermissionId,
};
use iam_storage::UnitOfWork;

use crate::Failure;

/// Returns the templates of the default levels for the current catalog.
pub(super) async fn templates(tx: &dyn UnitOfWork) -> Result<Vec<DefaultLevel>, Failure> {
    let catalog = tx.snapshots().load_catalog().await?.value;
    provisioning::default_levels(&catalog).map_err(|error| Failure::Internal(Box::new(error)))
}

/// Creates a level with its matrices from a template. Returns the id of the level.
pub(super) async fn create_level(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    template: DefaultLevel,
) -> Result<UserLevelId, Failure> {
    let now = tx.now();
    let id = UserLevelId::generate(now);
    let (views, features) = cells(&template, company, id, now);
    let level = UserLevel {
        id,
        company_id: company,
        name: template.name,
        description: template.description,
        is_default: true,
        created_at: now,
        updated_at: now,
    };
    tx.user_levels_mut().create(&level).await?;
    tx.view_permissions_mut().replace_for_user_level(company, id, &views).await?;
    tx.feature_permissions_mut().replace_for_user_level(company, id, &features).await?;
    Ok(id)
}

/// Returns the cells of a template as cells of this level.
pub(super) fn cells(
    template: &DefaultLevel,
    company_id: CompanyId,
    user_level_id: UserLevelId,
    now: Timestamp,
) -> (Vec<ViewPermission>, Vec<FeaturePermission>) {
    let views = template.views.iter().map(|(view_id, state)| ViewPermission {
        id: ViewPermissionId::generate(now),
        company_id,
        user_level_id,
        view_id: *view_id,
        state: *state,
        modifiable: true,
        created_at: now,
        updated_at: now,
    });
    let features = template.features.iter().map(|(feature_id, action, rule)| FeaturePermission {
        id: FeaturePermissionId::generate(now),
        company_id,
        user_level_id,
        feature_id: *feature_id,
        action: action.clone(),
        value: rule.value,
        scope: rule.scope,
        modifiable: true,
        created_at: now,
        updated_at: now,
    });
    (views.collect(), features.collect())
}

/// Assigns a level to a user.
pub(super) async fn assign(
    tx: &mut dyn UnitOfWork,
    company_id: CompanyId,
    user_id: UserId,
    user_level_id: UserLevelId,
    caller: Caller,
) -> Result<(), Failure> {
    let assigned_by = caller.actor().id();
    let assignment =
        Assignment { user_id, user_level_id, company_id, assigned_by, created_at: tx.now(), period: Period::UNLIMITED };
    tx.assignments_mut().add(&assignment).await?;
    Ok(())
}
