//! Quotas: the check that a change does not increase a quantity beyond its quota, and the quotas of a company with
//! their current use.

use std::collections::BTreeMap;

use iam_domain::{CompanyId, Quota, QuotaLimits, QuotaOverrides};
use iam_storage::{Target, UnitOfWork};

use crate::{Application, Failure};

/// Checks that the unit of work has not increased a quantity beyond its quota. A change that does not increase a
/// quantity is permitted even if the quantity already exceeds its quota.
pub(crate) async fn check_quotas(tx: &dyn UnitOfWork, target: Target, defaults: &QuotaLimits) -> Result<(), Failure> {
    let growth = tx.growth();
    for company in growth.companies_with_more_keys() {
        let limits = defaults.overridden(&tx.company_quotas().overrides(company).await?);
        check_usage(tx, company, &limits, [Quota::ApiKeys]).await?;
    }
    let Some(company) = target.company() else { return Ok(()) };
    let limits = defaults.overridden(tx.quota_overrides());
    if let Some(limit) = limits.limit(Quota::LevelsPerUser) {
        let most = growth.users_with_more_levels().map(|(_, levels)| levels).max().unwrap_or_default();
        check(Quota::LevelsPerUser, u64::try_from(most).unwrap_or(u64::MAX), limit)?;
    }
    check_usage(tx, company, &limits, growth.grown()).await?;
    if let Some(limit) = limits.limit(Quota::LevelSets) {
        let has_new_sets = growth.users_with_new_sets().next().is_some();
        let changed: Vec<_> = growth.users_with_other_sets().collect();
        if has_new_sets && tx.company_quotas().exceeds_level_sets(company, &changed, limit).await? {
            return Err(Failure::QuotaExceeded { quota: Quota::LevelSets, limit });
        }
    }
    Ok(())
}

/// Counts the current use of these quotas, and compares it with their limits.
async fn check_usage(
    tx: &dyn UnitOfWork,
    company: CompanyId,
    limits: &QuotaLimits,
    quotas: impl IntoIterator<Item = Quota>,
) -> Result<(), Failure> {
    let limited = quotas.into_iter().filter_map(|quota| Some((quota, limits.limit(quota)?)));
    let counted: Vec<_> = limited.map(|(quota, limit)| (quota, limit + 1)).collect();
    if counted.is_empty() {
        return Ok(());
    }
    for (quota, used) in tx.company_quotas().usage(company, &counted).await? {
        check(quota, used, limits.limit(quota).unwrap_or(u64::MAX))?;
    }
    Ok(())
}

fn check(quota: Quota, used: u64, limit: u64) -> Result<(), Failure> {
    if used > limit { Err(Failure::QuotaExceeded { quota, limit }) } else { Ok(()) }
}

/// The quotas of a company.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompanyQuotas {
    /// The limits that apply to the company: the defaults, replaced by the overrides.
    pub limits: QuotaLimits,
    /// The overrides of the company.
    pub overrides: QuotaOverrides,
    /// The current use of every quota.
    pub used: BTreeMap<Quota, u64>,
}

impl Application {
    /// Returns the quotas of a company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn company_quotas(&self, company: CompanyId) -> Result<CompanyQuotas, Failure> {
        let overrides = self.reader().company_quotas().overrides(company).await?;
        let used = usage(self.reader().company_quotas(), company).await?;
        Ok(self.with_overrides(overrides, used))
    }

    /// Returns the quotas of a company with these overrides and this use.
    #[must_use]
    pub fn with_overrides(&self, overrides: QuotaOverrides, used: BTreeMap<Quota, u64>) -> CompanyQuotas {
        CompanyQuotas { limits: self.quotas.overridden(&overrides), overrides, used }
    }
}

/// Counts the current use of every quota of a company.
pub(crate) async fn usage(
    quotas: &dyn iam_storage::CompanyQuotas,
    company: CompanyId,
) -> Result<BTreeMap<Quota, u64>, Failure> {
    let all: Vec<_> = Quota::ALL.iter().map(|quota| (*quota, u64::MAX)).collect();
    Ok(quotas.usage(company, &all).await?)
}
