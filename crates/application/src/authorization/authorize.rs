//! Checks that a caller meets a requirement: before a request is processed, and again inside a unit of work.

use iam_domain::{Caller, CompanyId, CompanyStatus, is_token_valid};
use iam_permissions_cache::{Consistency, Subject};
use iam_storage::UnitOfWork;

use super::lasting::{OwnPermissions, lasting};
use super::requirement::{Requirement, RequirementCheck};
use crate::{Application, Failure, RequestContext};

impl Application {
    /// Checks that the caller meets the requirement in the company. The check uses permissions that satisfy
    /// `consistency`.
    ///
    /// Every authenticated caller meets [`Requirement::Authenticated`]. If `company` is `None`, the other requirements
    /// can be met only by super admins, and by services whose key is valid for all companies.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Forbidden`] if the caller does not meet the requirement, and [`Failure::Unavailable`] if the
    /// storage cannot be read.
    pub async fn authorize(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        requirement: Requirement,
        consistency: Consistency,
    ) -> Result<(), Failure> {
        let is_met = self.meets(caller, company, requirement, consistency).await?;
        require(requirement, is_met).inspect_err(record_denial)
    }

    /// Returns `true` if the caller meets the requirement in the company. Unlike [`Self::authorize`], does not count and
    /// log a denial.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn meets(
        &self,
        caller: Caller,
        company: Option<CompanyId>,
        requirement: Requirement,
        consistency: Consistency,
    ) -> Result<bool, Failure> {
        Ok(match requirement.basis(caller, company) {
            RequirementCheck::Decided(is_met) => is_met,
            RequirementCheck::IsActive(company) => {
                let access = self.access_of(caller, company, Subject::Service, consistency).await?;
                access.company_status() == CompanyStatus::Active
            }
            RequirementCheck::LevelsOf(user, company) => {
                let access = self.access_of(caller, company, Subject::User(user), consistency).await?;
                requirement.is_met_by(&access)
            }
        })
    }
}

/// Revalidates the caller's credentials while the target of the change is locked. Returns `true` if the credentials are
/// still valid. The first validation used cached data, which may not include the latest revocation or token cut-off.
pub(crate) async fn recheck_credentials(tx: &mut dyn UnitOfWork, context: &RequestContext) -> Result<bool, Failure> {
    Ok(match context.caller {
        Caller::User { .. } => is_token_valid(context.issued_at, tx.actor_not_before()),
        Caller::Service(service) => {
            tx.api_keys().find_by_id(service.key).await?.is_some_and(|key| key.is_good(tx.now()))
        }
    })
}

/// Checks, inside a unit of work, that the caller meets the requirement. The lock of the unit of work prevents
/// concurrent changes to permissions. Returns the caller's [lasting permissions](lasting) if the check had to load the
/// permissions of the caller.
pub(crate) async fn authorize_within(
    tx: &mut dyn UnitOfWork,
    caller: Caller,
    company: Option<CompanyId>,
    requirement: Requirement,
) -> Result<Option<OwnPermissions>, Failure> {
    let (is_met, own) = match requirement.basis(caller, company) {
        RequirementCheck::Decided(is_met) => (is_met, None),
        RequirementCheck::IsActive(_) => (tx.company_status() == CompanyStatus::Active, None),
        RequirementCheck::LevelsOf(user, company) => {
            let own = tx.snapshots().load_user(company, user).await?;
            (requirement.is_met_by(&own.value), Some((company, user, own)))
        }
    };
    require(requirement, is_met)?;
    match own {
        Some((company, user, own)) => Ok(Some(lasting(tx, company, user, own).await?)),
        None => Ok(None),
    }
}

fn require(requirement: Requirement, is_met: bool) -> Result<(), Failure> {
    if is_met { Ok(()) } else { Err(Failure::Forbidden(requirement)) }
}

/// Counts and logs the failure if it is a denial, because the caller may be probing for access. Ignores other failures.
pub(crate) fn record_denial(failure: &Failure) {
    if matches!(failure, Failure::Forbidden(_) | Failure::ForbiddenChange { .. }) {
        metrics::counter!("iam_refused_total").increment(1);
        tracing::info!(%failure, "request denied");
    }
}
