//! Removes the deny rules from default levels that earlier releases provisioned.
//!
//! Earlier releases provisioned the levels Member and Visitor with deny rules. A deny rule overrides every allow rule,
//! so a user with both Member and Visitor had fewer permissions than a user with only Member. The current default
//! levels contain only allow rules. The functions of this module remove the deny rules from default levels that were
//! never edited, and return the permissions that users gain as a result.
//!
//! The update of each company is one change: [`apply`] holds the global lock and increments the version of the company,
//! so running replicas read the change at their next poll.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    Actor, AuditRecord, AuditRecordId, CompanyId, EntityType, ExternalId, Name, Timestamp, UserId, UserLevelId,
    ViewState,
};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::change::{append_audit_records, begin_change, begin_on_current_schema};
use crate::error::MigrationError;
use crate::gains::gains_without_denies;
use crate::provisioned_levels::first_edit;
use crate::session::statement;
use crate::stored_company::{StoredCompany, StoredLevel};

pub use crate::gains::{GainedAction, Gains};
pub use crate::provisioned_levels::Edit;

/// Query for the companies that have a default level with a deny rule.
const FIND_COMPANIES: &str = "
    SELECT DISTINCT company_id FROM user_levels AS level WHERE is_default AND (
        EXISTS (SELECT FROM user_level_view_permissions AS cell WHERE cell.company_id = level.company_id
            AND cell.user_level_id = level.id AND state = 'deny')
        OR EXISTS (SELECT FROM user_level_feature_permissions AS cell WHERE cell.company_id = level.company_id
            AND cell.user_level_id = level.id AND NOT value)
    ) ORDER BY company_id";

/// Query that locks the row of the company $1, increments the company's version, and then returns the current time.
const RAISE_VERSION: &str = "
    INSERT INTO company_states AS state (company_id, version) VALUES ($1, 1)
    ON CONFLICT (company_id) DO UPDATE SET version = state.version + 1, updated_at = clock_timestamp()
    RETURNING clock_timestamp() AS at";

const DELETE_DENIED_VIEWS: &str = "
    DELETE FROM user_level_view_permissions WHERE company_id = $1 AND user_level_id = $2 AND state = 'deny'";

const DELETE_DENIED_ACTIONS: &str = "
    DELETE FROM user_level_feature_permissions WHERE company_id = $1 AND user_level_id = $2 AND NOT value";

/// The effects of removing the deny rules from the default levels of one company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The id of the company.
    pub company: CompanyId,
    /// The default levels whose deny rules are removed, in ascending order of name.
    pub levels: Vec<PlannedLevel>,
    /// The default levels that have deny rules but are left unchanged, because they were edited.
    pub edited: Vec<EditedLevel>,
    /// The users who gain permissions, grouped by the levels that they hold.
    pub gaining: Vec<GainingUsers>,
    /// The number of users who hold one of `levels` but gain no permission.
    pub not_gaining: usize,
}

/// A default level whose deny rules are removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedLevel {
    /// The id of the level.
    pub id: UserLevelId,
    /// The name of the level.
    pub name: Name,
    /// The number of deny rules in both matrices.
    pub denies: usize,
}

/// A default level that has deny rules but is left unchanged, because it was edited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditedLevel {
    /// The id of the level.
    pub id: UserLevelId,
    /// The name of the level.
    pub name: Name,
    /// The first edit that was found.
    pub edit: Edit,
}

/// The users who hold the same levels and therefore gain the same permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GainingUsers {
    /// The names of all levels that the users hold in the company, in ascending order.
    pub levels: Vec<Name>,
    /// The permissions that each of the users gains. Never empty.
    pub gains: Gains,
    /// The users with their stored external ids, in ascending order of id.
    pub users: Vec<(UserId, Option<ExternalId>)>,
}

impl Plan {
    fn new(company: CompanyId, stored: &StoredCompany) -> Result<Self, DbErr> {
        let mut plan = Self { company, levels: Vec::new(), edited: Vec::new(), gaining: Vec::new(), not_gaining: 0 };
        for level in stored.levels.iter().filter(|level| level.is_default) {
            let denies = level.denied_views().count() + level.denied_actions().count();
            if denies == 0 {
                continue;
            }
            let edit = first_edit(level, &stored.snapshot.catalog);
            match edit.map_err(|error| DbErr::Custom(format!("invalid string in a default level: it {error}")))? {
                None => plan.levels.push(PlannedLevel { id: level.id, name: level.name.clone(), denies }),
                Some(edit) => plan.edited.push(EditedLevel { id: level.id, name: level.name.clone(), edit }),
            }
        }
        let names: BTreeMap<_, _> = stored.levels.iter().map(|level| (level.id, &level.name)).collect();
        let changed: BTreeSet<_> = plan.levels.iter().map(|level| level.id).collect();
        for group in gains_without_denies(&stored.snapshot, &changed) {
            if group.gains.is_empty() {
                plan.not_gaining += group.users.len();
                continue;
            }
            let mut levels: Vec<_> = group.held.iter().filter_map(|level| names.get(level).copied().cloned()).collect();
            levels.sort_unstable();
            let users = group.users.into_iter().map(|user| (user, stored.external_ids.get(&user).cloned())).collect();
            plan.gaining.push(GainingUsers { levels, gains: group.gains, users });
        }
        Ok(plan)
    }

    /// Returns `true` if there is nothing to change and nothing to report.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.levels.is_empty() && self.edited.is_empty()
    }
}

/// The outcome of [`apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The company was changed as planned.
    Applied,
    /// Nothing was changed, because the company has changed since the plan was computed. Contains the plan for the
    /// current state.
    Outdated(Plan),
}

/// Returns the companies that have a default level with a deny rule, in ascending order of id. Changes nothing.
///
/// # Errors
///
/// Returns the same errors as [`seed`](crate::seed).
pub async fn companies(db: &DatabaseConnection) -> Result<Vec<CompanyId>, MigrationError> {
    let tx = begin_on_current_schema(db).await?;
    let rows = tx.query_all_raw(statement(FIND_COMPANIES, [])).await?;
    let ids = rows.iter().map(|row| Ok(CompanyId::from_uuid(row.try_get("", "company_id")?)));
    Ok(ids.collect::<Result<_, DbErr>>()?)
}

/// Determines the effects of removing the deny rules from the default levels of a company. Changes nothing.
///
/// # Errors
///
/// Returns the same errors as [`seed`](crate::seed).
pub async fn plan(db: &DatabaseConnection, company: CompanyId) -> Result<Plan, MigrationError> {
    let tx = begin_on_current_schema(db).await?;
    Ok(Plan::new(company, &StoredCompany::load(&tx, company).await?)?)
}

/// Removes the deny rules from one company's default levels in one transaction, and writes an audit record for each
/// changed matrix. The transaction first acquires the global lock and the row lock of the company, and then computes
/// the plan again. If the new plan differs from `plan`, the function changes nothing. Therefore, no user gains a
/// permission that `plan` does not list.
///
/// # Errors
///
/// Returns the same errors as [`seed`](crate::seed).
pub async fn apply(db: &DatabaseConnection, plan: &Plan) -> Result<Outcome, MigrationError> {
    let tx = begin_change(db).await?;
    let at = raise_version(&tx, plan.company).await?;
    let stored = StoredCompany::load(&tx, plan.company).await?;
    let current = Plan::new(plan.company, &stored)?;
    if current != *plan {
        // The transaction is dropped and so rolled back, including the incremented version.
        return Ok(Outcome::Outdated(current));
    }
    if plan.levels.is_empty() {
        return Ok(Outcome::Applied);
    }
    let changed: BTreeSet<_> = plan.levels.iter().map(|level| level.id).collect();
    let mut records = Vec::new();
    for level in stored.levels.iter().filter(|level| changed.contains(&level.id)) {
        for delete in [DELETE_DENIED_VIEWS, DELETE_DENIED_ACTIONS] {
            let values = [plan.company.as_uuid().into(), level.id.as_uuid().into()];
            tx.execute_raw(statement(delete, values)).await?;
        }
        records.extend(audit_records(plan.company, level, at));
    }
    append_audit_records(&tx, &records, at).await?;
    tx.commit().await?;
    Ok(Outcome::Applied)
}

async fn raise_version(tx: &DatabaseTransaction, company: CompanyId) -> Result<Timestamp, DbErr> {
    let row = tx.query_one_raw(statement(RAISE_VERSION, [company.as_uuid().into()])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("company_states has no row for the company".to_owned()))?;
    Ok(Timestamp::new(row.try_get::<DateTimeUtc>("", "at")?))
}

/// Returns the audit records for removing the deny rules from a level, in the format that the service uses for changes
/// to matrices.
fn audit_records(company: CompanyId, level: &StoredLevel, at: Timestamp) -> Vec<AuditRecord> {
    let views: Map<_, _> = level
        .denied_views()
        .map(|cell| (cell.view.to_string(), json!({ "state": cell.state, "modifiable": cell.modifiable })))
        .collect();
    let count = |state| level.views.iter().filter(|cell| cell.state == state).count();
    let view_counts = json!({ "allow": count(ViewState::Allow), "deny": 0, "inherit": count(ViewState::Inherit) });
    let actions: Map<_, _> = level
        .denied_actions()
        .map(|cell| {
            let content = json!({ "value": cell.value, "scope": cell.scope, "modifiable": cell.modifiable });
            (format!("{}/{}", cell.feature, cell.action), content)
        })
        .collect();
    let action_counts = json!({ "allow": level.features.len() - actions.len(), "deny": 0 });
    let matrices: [(&str, Map<String, Value>, Value); 2] =
        [("permissions.views_updated", views, view_counts), ("permissions.features_updated", actions, action_counts)];
    let entity_id: Uuid = level.id.as_uuid();
    let changed = matrices.into_iter().filter(|(_, removed, _)| !removed.is_empty());
    changed
        .map(|(action, removed, counts)| AuditRecord {
            id: AuditRecordId::generate(at),
            company_id: Some(company),
            actor: Actor::CommandLine,
            action: action.to_owned(),
            entity_type: EntityType::Permission,
            entity_id,
            changes: Some(json!({ "counts": counts, "before": removed, "after": {} })),
            metadata: None,
            timestamp: at,
        })
        .collect()
}
