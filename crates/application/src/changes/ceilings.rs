//! The change to the ceilings of a company, which requires super admin rights.

use async_trait::async_trait;
use iam_domain::{Caller, Ceilings, CompanyId};
use iam_storage::{Target, UnitOfWork};

use crate::ceilings::{known, unknown};
use crate::{Change, Failure, IfMatch, RequestedCeilings, Requirement};

/// Replaces the ceilings of a company.
#[derive(Debug, Clone)]
pub struct SetCompanyCeilings {
    /// The company whose ceilings are replaced.
    pub company: CompanyId,
    /// The new ceilings.
    pub ceilings: RequestedCeilings,
    /// The client's `If-Match` precondition on the ceilings.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetCompanyCeilings {
    /// The ceilings after the change.
    type Answer = Ceilings;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let catalog = tx.snapshots().load_catalog().await?.value;
        let stored = tx.company_ceilings().ceilings(self.company).await?;
        self.if_match.check(&known(&stored, &catalog))?;
        let ceilings = self.ceilings.check(&catalog)?;
        let all = ceilings.clone().with(unknown(&stored, &catalog));
        tx.company_ceilings_mut().replace_ceilings(self.company, &all).await?;
        Ok(ceilings)
    }
}
