//! The change to the quotas of a company, which requires super admin rights.

use std::collections::BTreeMap;

use async_trait::async_trait;
use iam_domain::{Caller, CompanyId, Quota, QuotaOverrides};
use iam_storage::{Target, UnitOfWork};

use crate::quotas::usage;
use crate::{Change, Failure, IfMatch, Requirement};

/// Replaces the overrides of a company's quotas. A new limit may be lower than the current use; the company can then
/// only reduce its use.
#[derive(Debug, Clone)]
pub struct SetCompanyQuotas {
    /// The company whose quotas are replaced.
    pub company: CompanyId,
    /// The new overrides. All other quotas have their default limits.
    pub overrides: QuotaOverrides,
    /// The client's `If-Match` precondition on the overrides.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetCompanyQuotas {
    /// The current use of every quota.
    type Answer = BTreeMap<Quota, u64>;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        self.if_match.check(tx.quota_overrides())?;
        tx.company_quotas_mut().replace_overrides(self.company, &self.overrides).await?;
        usage(tx.company_quotas(), self.company).await
    }
}
