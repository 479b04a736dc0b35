//! Changes to user levels, and to companies: their quotas, ceilings, details, provisioning and erasure.

use async_trait::async_trait;
use iam_domain::{Ceilings, CompanyDetails, CompanyId, QuotaOverrides, UserLevel, UserLevelId, folded};
use iam_storage::{
    CompanyCeilings, CompanyCeilingsMut, CompanyQuotasMut, CompanyStatesMut, ErasedRows, Result, StorageError, Target,
    UserLevelsMut,
};

use sea_orm::entity::prelude::Json;

use super::Unit;
use crate::convert::companies::details;
use crate::entities::{columns, user_levels};
use crate::error::Operation;
use crate::operation::operation;
use crate::repository::Repository;
use crate::statement::{column, statement};

#[async_trait]
impl UserLevelsMut for Repository<Unit> {
    async fn create(&mut self, level: &UserLevel) -> Result<()> {
        operation("user_levels.create", async {
            self.change(Target::Company(level.company_id), async |unit| {
                unit.insert(user_levels::Model::from(level), &[]).await?;
                unit.0.recorder.user_level_created(level);
                Ok(())
            })
            .await
        })
        .await
    }

    async fn update(&mut self, level: &UserLevel) -> Result<UserLevel> {
        operation("user_levels.update", async {
            self.change(Target::Company(level.company_id), async |unit| {
                let row = user_levels::Model::from(level);
                let sql = format!(
                    "UPDATE user_levels AS l SET name = $3, description = $4, is_default = $5, updated_at = $6
                FROM user_levels AS old WHERE l.company_id = $1 AND l.id = $2 AND old.id = l.id RETURNING {}",
                    columns::<user_levels::Entity>("old")
                );
                let values = [
                    row.company_id.into(),
                    row.id.into(),
                    row.name.into(),
                    row.description.into(),
                    row.is_default.into(),
                    row.updated_at.into(),
                ];
                let before: UserLevel =
                    unit.changed::<user_levels::Model, _>(statement(sql, values), Operation::Write(&[])).await?;
                unit.0
                    .recorder
                    .user_level_updated(&before, &UserLevel { created_at: before.created_at, ..level.clone() });
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn delete(&mut self, company: CompanyId, id: UserLevelId) -> Result<UserLevel> {
        operation("user_levels.delete", async {
            self.change(Target::Company(company), async |unit| {
                let columns = columns::<user_levels::Entity>("gone");
                let sql =
                    format!("DELETE FROM user_levels AS gone WHERE company_id = $1 AND id = $2 RETURNING {columns}");
                let delete = statement(sql, [company.as_uuid().into(), id.as_uuid().into()]);
                let before = unit.changed::<user_levels::Model, _>(delete, Operation::Delete).await?;
                unit.0.recorder.user_level_deleted(&before);
                Ok(before)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl CompanyStatesMut for Repository<Unit> {
    async fn set_provisioned(&mut self, company: CompanyId) -> Result<bool> {
        operation("company_states.set_provisioned", async {
            self.change(Target::Company(company), async |unit| {
                let sql =
                    "UPDATE company_states SET provisioned_at = $2 WHERE company_id = $1 AND provisioned_at IS NULL";
                let set = unit.execute(statement(sql, [company.as_uuid().into(), unit.at()])).await? > 0;
                if set {
                    unit.0.recorder.provisioned(company);
                }
                Ok(set)
            })
            .await
        })
        .await
    }

    async fn replace_details(&mut self, company: CompanyId, after: &CompanyDetails) -> Result<CompanyDetails> {
        operation("company_states.replace_details", async {
            self.change(Target::Company(company), async |unit| {
                let sql = "UPDATE company_states AS state SET name = $2, name_folded = $3, status = $4
                FROM company_states AS old WHERE state.company_id = $1 AND old.company_id = $1
                RETURNING old.name::text AS name, old.status::text AS status";
                let values = [
                    company.as_uuid().into(),
                    after.name.as_ref().map(ToString::to_string).into(),
                    after.name.as_ref().map(|name| folded(name.as_str())).into(),
                    after.status.as_str().into(),
                ];
                let row = unit.single(statement(sql, values)).await?;
                let before = details(column(&row, "name")?, &column::<String>(&row, "status")?)?;
                unit.0.recorder.company_updated(company, &before, after);
                Ok(before)
            })
            .await
        })
        .await
    }

    async fn erase(&mut self, company: CompanyId) -> Result<ErasedRows> {
        operation("company_states.erase", async {
            self.change(Target::Company(company), async |unit| {
                let rows = unit.erase_rows(company).await?;
                unit.0.recorder.company_erased(company, &rows);
                Ok(rows)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl CompanyQuotasMut for Repository<Unit> {
    async fn replace_overrides(&mut self, company: CompanyId, overrides: &QuotaOverrides) -> Result<QuotaOverrides> {
        operation("company_quotas.replace_overrides", async {
            self.change(Target::Company(company), async |unit| {
                let limits = overrides.0.iter().map(|(quota, limit)| (quota.key().to_owned(), Json::from(*limit)));
                let quotas = (!overrides.0.is_empty()).then(|| Json::Object(limits.collect()));
                let sql = "UPDATE company_states SET quotas = $2 WHERE company_id = $1";
                unit.execute(statement(sql, [company.as_uuid().into(), quotas.into()])).await?;
                let before = std::mem::replace(&mut unit.0.quota_overrides, overrides.clone());
                unit.0.recorder.company_quotas_updated(company, &before, overrides);
                Ok(before)
            })
            .await
        })
        .await
    }
}

#[async_trait]
impl CompanyCeilingsMut for Repository<Unit> {
    async fn replace_ceilings(&mut self, company: CompanyId, ceilings: &Ceilings) -> Result<Ceilings> {
        operation("company_ceilings.replace_ceilings", async {
            self.change(Target::Company(company), async |unit| {
                let before = unit.ceilings(company).await?;
                let json = serde_json::to_value(ceilings).map_err(StorageError::corrupt)?;
                let stored = (!ceilings.is_empty()).then_some(json);
                let sql = "UPDATE company_states SET ceilings = $2 WHERE company_id = $1";
                unit.execute(statement(sql, [company.as_uuid().into(), stored.into()])).await?;
                unit.0.recorder.company_ceilings_updated(company, &before, ceilings);
                Ok(before)
            })
            .await
        })
        .await
    }
}
