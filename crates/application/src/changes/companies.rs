//! Changes to a company itself: its provisioning and its modules. These changes require super admin rights.

use async_trait::async_trait;
use iam_domain::{
    Caller, CompanyId, EntityType, ExternalId, GrantedModule, ModuleId, NamedUser, UserLevel, UserLevelId, seed,
};
use iam_storage::{Target, UnitOfWork};

use super::assignments::check_can_sign_in;
use super::default_levels::{assign, create_level, templates};
use super::restoration::restore_administration;
use crate::failure::unknown_ids;
use crate::{Change, Failure, IfMatch, Requirement};

const COMPANY_MODULE: &str = "Company module";

/// Replaces the modules of a company. Modules that the company already has retain their `enabled` flags.
#[derive(Debug, Clone)]
pub struct SetCompanyModules {
    /// The company whose modules are replaced.
    pub company: CompanyId,
    /// The new modules of the company, without duplicates.
    pub modules: Vec<ModuleId>,
    /// The client's `If-Match` precondition.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SetCompanyModules {
    /// The modules of the company after the change, sorted by name.
    type Answer = Vec<GrantedModule>;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        if self.if_match.needs_content() {
            self.if_match.check(&tx.company_modules().get_modules_by_company(self.company).await?)?;
        }
        tx.company_modules_mut().replace_for_company(self.company, &self.modules).await.map_err(|error| {
            let sent = self.modules.iter().map(ModuleId::as_uuid);
            unknown_ids(error, EntityType::Module, sent, |index| format!("moduleIds[{index}]"))
        })?;
        Ok(tx.company_modules().get_modules_by_company(self.company).await?)
    }
}

/// Enables or disables a module of a company.
#[derive(Debug, Clone)]
pub struct SwitchCompanyModule {
    /// The company that has the module.
    pub company: CompanyId,
    /// The module to enable or disable.
    pub module: ModuleId,
    /// `true` to enable the module, `false` to disable it.
    pub enabled: bool,
    /// The client's `If-Match` precondition on the list of the company's modules.
    pub if_match: IfMatch,
}

#[async_trait]
impl Change for SwitchCompanyModule {
    type Answer = SwitchedModule;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn may_only_remove(&self) -> bool {
        true
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, _: Caller) -> Result<Self::Answer, Failure> {
        if self.if_match.needs_content() {
            self.if_match.check(&tx.company_modules().get_modules_by_company(self.company).await?)?;
        }
        tx.company_modules_mut().set_enabled(self.company, self.module, self.enabled).await.map_err(|error| {
            match Failure::from(error) {
                Failure::NotFound(_) => Failure::NotFound(COMPANY_MODULE),
                other => other,
            }
        })?;
        let modules = tx.company_modules().get_modules_by_company(self.company).await?;
        let module = modules.iter().find(|granted| granted.granted.module_id == self.module).cloned();
        Ok(SwitchedModule { module: module.ok_or(Failure::NotFound(COMPANY_MODULE))?, modules })
    }
}

/// The result of enabling or disabling a module of a company.
#[derive(Debug, Clone)]
pub struct SwitchedModule {
    /// The module after the change.
    pub module: GrantedModule,
    /// All modules of the company after the change, sorted by name.
    pub modules: Vec<GrantedModule>,
}

/// The result of provisioning a company.
#[derive(Debug, Clone)]
pub struct Provisioned {
    /// `true` if the change provisioned the company, `false` if the company was already provisioned.
    pub is_new: bool,
    /// All levels of the company, sorted by name.
    pub levels: Vec<UserLevel>,
}

/// Provisions a company: adds the module `core` and creates the levels Admin, Member and Visitor. The change is
/// idempotent: if it is repeated, it does not restore levels, modules or assignments that were changed after the first
/// provisioning. Only [`ProvisionedAdmin::restores`] restores the administration of the company.
#[derive(Debug, Clone)]
pub struct ProvisionCompany {
    /// The company to provision.
    pub company: CompanyId,
    /// The administrator of the company.
    pub admin: Option<ProvisionedAdmin>,
}

/// The user who becomes an administrator of a company by provisioning.
#[derive(Debug, Clone)]
pub struct ProvisionedAdmin {
    /// The user.
    pub user: NamedUser,
    /// If `true`, the user also becomes an administrator of a company that is already provisioned, if no user of the
    /// company holds Approve. Only super admins can restore the administration of a company.
    pub restores: bool,
}

#[async_trait]
impl Change for ProvisionCompany {
    type Answer = Provisioned;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn external_ids(&self) -> Vec<&ExternalId> {
        self.admin.iter().filter_map(|admin| admin.user.external_id.as_ref()).collect()
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if let Some(admin) = &self.admin {
            check_can_sign_in(&admin.user, "adminUserId")?;
            if admin.restores && !caller.is_super_admin() {
                return Err(Failure::ForbiddenChange {
                    message: "Only super admins may restore the administration of a company".to_owned(),
                    errors: Vec::new(),
                });
            }
        }
        let state = tx.company_states().read(self.company).await?;
        let is_new = state.is_none_or(|state| state.provisioned_at.is_none());
        match &self.admin {
            _ if is_new => self.provision(tx, caller).await?,
            Some(admin) if admin.restores => restore_administration(tx, self.company, admin.user.id, caller).await?,
            Some(_) | None => {}
        }
        Ok(Provisioned { is_new, levels: tx.user_levels().find_all(self.company).await? })
    }
}

impl ProvisionCompany {
    /// Adds the module `core`, creates the default levels, and assigns the administrator level.
    pub(super) async fn provision(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<(), Failure> {
        tx.company_states_mut().set_provisioned(self.company).await?;
        let core = tx.modules().find_by_code(seed::CORE_MODULE).await?;
        let core = core.ok_or_else(|| Failure::Conflict("The catalog has no module core: seed it first".to_owned()))?;
        tx.company_modules_mut().add(self.company, core.id).await?;
        let admin_level = self.create_levels(tx).await?;
        if let (Some(admin), Some(level)) = (&self.admin, admin_level) {
            assign(tx, self.company, admin.user.id, level, caller).await?;
        }
        Ok(())
    }

    /// Creates the default levels and returns the administrator level.
    async fn create_levels(&self, tx: &mut dyn UnitOfWork) -> Result<Option<UserLevelId>, Failure> {
        let mut admin = None;
        for template in templates(tx).await? {
            let is_admin = template.is_admin;
            let level = create_level(tx, self.company, template).await?;
            if is_admin {
                admin = Some(level);
            }
        }
        Ok(admin)
    }
}
