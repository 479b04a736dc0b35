//! Restores the administration of a company in which no user holds Approve.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::provisioning::DefaultLevel;
use iam_domain::{
    AuditRecord, AuditRecordId, Caller, Catalog, CompanyId, EntityType, EssentialRight, FeatureId, IamAction,
    IamPermission, LevelPermissions, Name, Snapshot, UserId, UserLevel, UserLevelId, is_reserved,
};
use iam_storage::{MatrixCell, UnitOfWork};
use serde_json::json;

use super::default_levels::{assign, cells, create_level, templates};
use crate::Failure;

/// Makes the user an administrator who holds Approve. Completes the level Admin from its template, or creates it again,
/// and assigns it to the user. Changes nothing if the user already holds all essential rights.
///
/// # Errors
///
/// Returns [`Failure::Conflict`] if another user of the company holds Approve.
pub(super) async fn restore_administration(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    admin: UserId,
    caller: Caller,
) -> Result<(), Failure> {
    let essential: Vec<_> = EssentialRight::ALL.into_iter().flat_map(EssentialRight::actions).collect();
    if tx.assignments().is_holder(company, admin, &essential).await? {
        return Ok(());
    }
    let approve: Vec<_> = EssentialRight::Approve.actions().collect();
    if tx.assignments().find_holder(company, &approve, None).await?.is_some() {
        let (key, approve) = (IamPermission::AssignPermissions.key(), IamAction::Approve.action());
        return Err(Failure::Conflict(format!("A user of this company still holds {key}/{approve}")));
    }
    let template = templates(tx).await?.into_iter().find(|template| template.is_admin);
    let template =
        template.ok_or_else(|| Failure::Internal("no default level is the level of administrators".into()))?;
    let level = restore_level(tx, company, admin, template).await?;
    assign(tx, company, admin, level, caller).await?;
    unassign_denies(tx, company, admin, level).await?;
    let now = tx.now();
    let record = AuditRecord {
        id: AuditRecordId::generate(now),
        company_id: Some(company),
        actor: caller.actor(),
        action: "company.administration_restored".to_owned(),
        entity_type: EntityType::Company,
        entity_id: company.as_uuid(),
        changes: Some(json!({ "userId": admin, "userLevelId": level })),
        metadata: Some(json!({ "superAdmin": caller.is_super_admin() })),
        timestamp: now,
    };
    tx.audit_logs_mut().append(&record).await?;
    Ok(())
}

/// Completes the level with the name of the template. If another user holds this level, or if there is none, creates a
/// level instead: otherwise the restoration would grant permissions to users whom the request does not specify.
async fn restore_level(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    admin: UserId,
    template: DefaultLevel,
) -> Result<UserLevelId, Failure> {
    let Some(level) = tx.user_levels().find_by_name(company, template.name.as_str()).await? else {
        return create_level(tx, company, template).await;
    };
    let holders = tx.assignments().list_users(company, level.id, None, 2).await?;
    if holders.iter().all(|holder| *holder == admin) {
        complete(tx, &level, &template).await?;
        return Ok(level.id);
    }
    let names: BTreeSet<_> = tx.user_levels().find_all(company).await?.into_iter().map(|level| level.name).collect();
    let numbered = |number: usize| Name::parse(format!("{} {number}", template.name));
    // One of the first names is free, because there are more of them than levels.
    let free = (2..names.len() + 3).filter_map(|number| numbered(number).ok()).find(|name| !names.contains(name));
    let name = free.ok_or_else(|| Failure::Internal("no name is free for the restored level".into()))?;
    create_level(tx, company, DefaultLevel { name, ..template }).await
}

/// Adds the cells of the template that the level lacks, and replaces its cells for the service's own features.
async fn complete(tx: &mut dyn UnitOfWork, level: &UserLevel, template: &DefaultLevel) -> Result<(), Failure> {
    let (company, id) = (level.company_id, level.id);
    let catalog = tx.snapshots().load_catalog().await?.value;
    let (views, features) = cells(template, company, id, tx.now());
    let stored = tx.view_permissions().find_by_user_level(company, id).await?;
    let views = completed(stored, views);
    tx.view_permissions_mut().replace_for_user_level(company, id, &views).await?;
    let stored = tx.feature_permissions().find_by_user_level(company, id).await?;
    let kept = stored.into_iter().filter(|cell| !is_own(&catalog, cell.feature_id)).collect();
    let features = completed(kept, features);
    tx.feature_permissions_mut().replace_for_user_level(company, id, &features).await?;
    Ok(())
}

/// Returns the stored cells, and those of the template that are not stored.
fn completed<C: MatrixCell>(stored: Vec<C>, template: Vec<C>) -> Vec<C> {
    let mut cells: BTreeMap<_, _> = template.into_iter().map(|cell| (cell.key(), cell)).collect();
    cells.extend(stored.into_iter().map(|cell| (cell.key(), cell)));
    cells.into_values().collect()
}

/// Unassigns the other levels of the user that deny permissions on the service's own features, also those whose
/// assignment starts later.
async fn unassign_denies(
    tx: &mut dyn UnitOfWork,
    company: CompanyId,
    user: UserId,
    level: UserLevelId,
) -> Result<(), Failure> {
    let assigned = tx.assignments().get_assigned(company, user).await?;
    let assigned: Vec<_> = assigned.into_iter().map(|held| held.level.id).collect();
    let Snapshot { catalog, levels, .. } = tx.snapshots().load_levels(company, &assigned).await?.value;
    let denies = |held: &LevelPermissions| {
        let own = held.features.iter().filter(|(feature, _)| is_own(&catalog, **feature));
        own.flat_map(|(_, rules)| rules.values()).any(|rule| !rule.value)
    };
    for held in levels.iter().filter(|held| held.level != level && denies(held)) {
        tx.assignments_mut().remove(company, user, held.level).await?;
    }
    Ok(())
}

/// Returns `true` if the feature is one of the service's own features.
fn is_own(catalog: &Catalog, feature: FeatureId) -> bool {
    catalog.feature(feature).is_some_and(|feature| feature.key.as_ref().is_some_and(is_reserved))
}
