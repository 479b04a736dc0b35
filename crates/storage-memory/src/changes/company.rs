//! Write operations on user levels, and on companies: their quotas, ceilings, details, provisioning and erasure.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{Ceilings, CompanyDetails, CompanyId, QuotaOverrides, UserLevel, UserLevelId};
use iam_storage::{
    CompanyCeilingsMut, CompanyQuotasMut, CompanyStatesMut, Constraint, ErasedRows, Result, StorageError, Target,
    UserLevelsMut,
};

use crate::constraints::refuse_if;
use crate::repository::Repository;
use crate::state::{CompanyData, LevelData, RowKind};
use crate::unit_of_work::Unit;

impl CompanyData {
    fn check_unique_name(&self, level: &UserLevel) -> Result<()> {
        let same_name = |other: &UserLevel| other.id != level.id && other.name == level.name;
        refuse_if(self.levels.values().any(|other| same_name(&other.level)), Constraint::UserLevelName)
    }
}

#[async_trait]
impl UserLevelsMut for Repository<Unit> {
    async fn create(&mut self, level: &UserLevel) -> Result<()> {
        self.0.change(Target::Company(level.company_id), |unit| {
            unit.take_id((RowKind::UserLevels, level.id.as_uuid()))?;
            let company = unit.work.company_mut(level.company_id);
            company.check_unique_name(level)?;
            company.levels.insert(level.id, Arc::new(LevelData::new(level.clone())));
            unit.recorder.user_level_created(level);
            Ok(())
        })
    }

    async fn update(&mut self, level: &UserLevel) -> Result<UserLevel> {
        self.0.change(Target::Company(level.company_id), |unit| {
            let company = unit.work.company_mut(level.company_id);
            if !company.levels.contains_key(&level.id) {
                return Err(StorageError::NotFound);
            }
            company.check_unique_name(level)?;
            let there = company.level_mut(level.id).ok_or(StorageError::NotFound)?;
            let after = UserLevel { created_at: there.level.created_at, ..level.clone() };
            let before = std::mem::replace(&mut there.level, after.clone());
            unit.recorder.user_level_updated(&before, &after);
            Ok(before)
        })
    }

    async fn delete(&mut self, company: CompanyId, id: UserLevelId) -> Result<UserLevel> {
        self.0.change(Target::Company(company), |unit| {
            let levels = &mut unit.work.company_mut(company).levels;
            let removed = levels.remove(&id).ok_or(StorageError::NotFound)?;
            refuse_if(!removed.holders.is_empty(), Constraint::UserLevelAssigned)?;
            unit.release_ids(removed.ids());
            unit.recorder.user_level_deleted(&removed.level);
            Ok(removed.level.clone())
        })
    }
}

#[async_trait]
impl CompanyStatesMut for Repository<Unit> {
    async fn set_provisioned(&mut self, company: CompanyId) -> Result<bool> {
        self.0.change(Target::Company(company), |unit| {
            let now = unit.recorder.now();
            let provisioned_at = &mut unit.work.company_mut(company).provisioned_at;
            if provisioned_at.is_some() {
                return Ok(false);
            }
            *provisioned_at = Some(now);
            unit.recorder.provisioned(company);
            Ok(true)
        })
    }

    async fn replace_details(&mut self, company: CompanyId, details: &CompanyDetails) -> Result<CompanyDetails> {
        self.0.change(Target::Company(company), |unit| {
            let before = std::mem::replace(&mut unit.work.company_mut(company).details, details.clone());
            unit.recorder.company_updated(company, &before, details);
            Ok(before)
        })
    }

    async fn erase(&mut self, company: CompanyId) -> Result<ErasedRows> {
        self.0.change(Target::Company(company), |unit| {
            let rows = unit.erase(company);
            unit.recorder.company_erased(company, &rows);
            Ok(rows)
        })
    }
}

#[async_trait]
impl CompanyQuotasMut for Repository<Unit> {
    async fn replace_overrides(&mut self, company: CompanyId, overrides: &QuotaOverrides) -> Result<QuotaOverrides> {
        self.0.change(Target::Company(company), |unit| {
            let before = std::mem::replace(&mut unit.work.company_mut(company).quotas, overrides.clone());
            unit.quota_overrides = overrides.clone();
            unit.recorder.company_quotas_updated(company, &before, overrides);
            Ok(before)
        })
    }
}

#[async_trait]
impl CompanyCeilingsMut for Repository<Unit> {
    async fn replace_ceilings(&mut self, company: CompanyId, ceilings: &Ceilings) -> Result<Ceilings> {
        self.0.change(Target::Company(company), |unit| {
            let after = Arc::new(ceilings.clone());
            let before = std::mem::replace(&mut unit.work.company_mut(company).ceilings, after);
            unit.recorder.company_ceilings_updated(company, &before, ceilings);
            Ok(Arc::unwrap_or_clone(before))
        })
    }
}
