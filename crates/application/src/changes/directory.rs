//! Changes to the directory of companies: creating a company, changing its name and status, and erasing it. These
//! changes require super admin rights.

use async_trait::async_trait;
use iam_domain::{
    Caller, CompanyDetails, CompanyId, CompanyStatus, EntityType, ExternalId, ModuleId, Name, NamedUser, Quota,
};
use iam_storage::{Constraint, ErasedRows, StorageError, Target, UnitOfWork};
use uuid::Uuid;

use super::assignments::check_can_sign_in;
use super::companies::{ProvisionCompany, ProvisionedAdmin};
use crate::companies::{COMPANY, read_company};
use crate::failure::unknown_ids;
use crate::{Application, Change, Committed, Company, Failure, IfMatch, RequestContext, Requirement};

/// Creates a company: gives it a name, provisions it, and adds modules. The change fails if the company is already
/// provisioned.
#[derive(Debug, Clone)]
pub struct CreateCompany {
    /// The id of the new company.
    pub company: CompanyId,
    /// The name of the company.
    pub name: Name,
    /// The modules of the company in addition to the module `core`, without duplicates.
    pub modules: Vec<ModuleId>,
    /// The first administrator of the company.
    pub admin: Option<NamedUser>,
}

#[async_trait]
impl Change for CreateCompany {
    type Answer = Company;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    const CREATES: bool = true;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.admin.iter().filter_map(|admin| admin.external_id.as_ref()).collect()
    }

    fn created(&self, answer: &Self::Answer) -> Option<Uuid> {
        Some(answer.id.as_uuid())
    }

    async fn find_created(&self, tx: &mut dyn UnitOfWork, id: Uuid) -> Result<Option<Self::Answer>, Failure> {
        match read_company(&*tx, CompanyId::from_uuid(id)).await {
            Ok(company) => Ok(Some(company)),
            Err(Failure::NotFound(_)) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if let Some(admin) = &self.admin {
            check_can_sign_in(admin, "adminUserId")?;
        }
        let state = tx.company_states().read(self.company).await?.unwrap_or_default();
        if state.provisioned_at.is_some() {
            return Err(Failure::Conflict("A company with this id already exists".to_owned()));
        }
        let admin = self.admin.clone().map(|user| ProvisionedAdmin { user, restores: false });
        ProvisionCompany { company: self.company, admin }.provision(tx, caller).await?;
        self.add_modules(tx).await?;
        let details = CompanyDetails { name: Some(self.name.clone()), ..state.details };
        tx.company_states_mut().replace_details(self.company, &details).await?;
        read_company(&*tx, self.company).await
    }
}

impl CreateCompany {
    /// Adds the modules to those that the company has.
    async fn add_modules(&self, tx: &mut dyn UnitOfWork) -> Result<(), Failure> {
        if self.modules.is_empty() {
            return Ok(());
        }
        let there = tx.company_modules().get_modules_by_company(self.company).await?;
        let there = there.into_iter().map(|granted| granted.granted.module_id);
        let others = there.filter(|module| !self.modules.contains(module));
        let all: Vec<_> = self.modules.iter().copied().chain(others).collect();
        tx.company_modules_mut().replace_for_company(self.company, &all).await.map_err(|error| {
            let sent = self.modules.iter().map(ModuleId::as_uuid);
            unknown_ids(error, EntityType::Module, sent, |index| format!("moduleIds[{index}]"))
        })
    }
}

/// Updates the name or the status of a company. Fields that are `None` remain unchanged.
#[derive(Debug, Clone)]
pub struct UpdateCompany {
    /// The company to update.
    pub company: CompanyId,
    /// The new name of the company.
    pub name: Option<Name>,
    /// The new status of the company.
    pub status: Option<CompanyStatus>,
    /// The client's `If-Match` precondition on the name and the status.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for UpdateCompany {
    type Answer = Company;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        let state = tx.company_states().read(self.company).await?;
        // This unit of work has already incremented the version, so the first change to a company has version 1.
        let state = state.filter(|state| state.version > 1).ok_or(Failure::NotFound(COMPANY))?;
        self.if_match.check(&state.details)?;
        let mut details = state.details;
        if let Some(name) = &self.name {
            details.name = Some(name.clone());
        }
        if let Some(status) = self.status {
            details.status = status;
        }
        tx.company_states_mut().replace_details(self.company, &details).await?;
        read_company(&*tx, self.company).await
    }
}

/// Revokes the API keys of a company before the company is erased. Services may revoke these keys too, although they may
/// not manage other credentials.
#[derive(Debug, Clone)]
struct RevokeKeysOfCompany {
    company: CompanyId,
    if_match: IfMatch,
}

#[async_trait]
impl Change for RevokeKeysOfCompany {
    type Answer = ();

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Credentials
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        check_erasable(tx, self.company, &self.if_match).await?;
        let keys = tx.api_keys().find_by_company(self.company).await?;
        for key in keys.into_iter().filter(|key| key.revoked_at.is_none()) {
            tx.api_keys_mut().revoke(key.id).await?;
        }
        Ok(())
    }
}

/// Erases the data of a suspended company whose API keys are revoked.
#[derive(Debug, Clone)]
struct EraseCompany {
    company: CompanyId,
    if_match: IfMatch,
}

#[async_trait]
impl Change for EraseCompany {
    type Answer = ErasedRows;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        check_erasable(tx, self.company, &self.if_match).await?;
        // The erasure deletes the rows of the keys. If it deleted a key that is not revoked, a replica could still accept
        // the key until the credentials change again.
        let keys = tx.company_quotas().usage(self.company, &[(Quota::ApiKeys, 1)]).await?;
        if keys.values().any(|count| *count > 0) {
            return Err(Failure::Conflict("An API key was created for the company. Repeat the request".to_owned()));
        }
        Ok(tx.company_states_mut().erase(self.company).await?)
    }
}

/// Checks that the company exists and is suspended.
async fn check_erasable(tx: &dyn UnitOfWork, company: CompanyId, if_match: &IfMatch) -> Result<(), Failure> {
    let state = tx.company_states().read(company).await?.ok_or(Failure::NotFound(COMPANY))?;
    if state.erased_at.is_some() {
        return Err(StorageError::conflict(Constraint::CompanyErased).into());
    }
    if_match.check(&state.details)?;
    match state.details.status {
        CompanyStatus::Suspended => Ok(()),
        CompanyStatus::Active => {
            Err(Failure::Conflict("The company is active. Suspend the company before you erase it".to_owned()))
        }
    }
}

impl Application {
    /// Erases a suspended company: revokes its API keys, and then deletes all its data. If the second step fails, the
    /// company remains suspended, and the erasure can be repeated. Returns the numbers of deleted rows.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::NotFound`] if no change to the company was ever made, [`Failure::Conflict`] if the company is
    /// not suspended or was already erased, and the errors of [`Application::execute`].
    pub async fn erase_company(
        &self,
        context: RequestContext,
        company: CompanyId,
        if_match: IfMatch,
    ) -> Result<Committed<ErasedRows>, Failure> {
        self.execute(context.clone(), RevokeKeysOfCompany { company, if_match: if_match.clone() }).await?;
        self.execute(context, EraseCompany { company, if_match }).await
    }
}
