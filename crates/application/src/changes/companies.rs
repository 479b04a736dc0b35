//! Changes to a company itself: its provisioning and its modules. These changes require super admin rights.

use std::collections::BTreeSet;

use async_trait::async_trait;
use iam_domain::{
    Assignment, Caller, CompanyId, CompanySnapshot, EntityType, ExternalId, FeaturePermission, FeaturePermissionId,
    GrantedModule, ModuleId, NamedUser, UserId, UserLevel, UserLevelId, ViewPermission, ViewPermissionId, provisioning,
    seed,
};
use iam_storage::{Target, UnitOfWork};

use super::user_levels::check_can_sign_in;
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
/// idempotent: if it is repeated, it does not restore levels or modules that were renamed or removed after the first
/// provisioning.
#[derive(Debug, Clone)]
pub struct ProvisionCompany {
    /// The company to provision.
    pub company: CompanyId,
    /// The user who becomes an administrator of the company. If the company is already provisioned, the user becomes an
    /// administrator only if the company has none.
    pub admin: Option<NamedUser>,
}

#[async_trait]
impl Change for ProvisionCompany {
    type Answer = Provisioned;

    const REQUIREMENT: Requirement = Requirement::SuperAdmin;

    fn target(&self) -> Target {
        Target::Company(self.company)
    }

    fn external_id(&self) -> Option<&ExternalId> {
        self.admin.as_ref()?.external_id.as_ref()
    }

    async fn apply(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<Self::Answer, Failure> {
        if let Some(admin) = &self.admin {
            check_can_sign_in(admin, "adminUserId")?;
        }
        let state = tx.company_states().read(self.company).await?;
        let is_new = state.is_none_or(|state| state.provisioned_at.is_none());
        if is_new {
            self.provision(tx, caller).await?;
        } else if let Some(admin) = &self.admin {
            self.appoint(tx, admin.id, caller).await?;
        }
        Ok(Provisioned { is_new, levels: tx.user_levels().find_all(self.company).await? })
    }
}

impl ProvisionCompany {
    /// Adds the module `core`, creates the default levels, and assigns the administrator level.
    async fn provision(&self, tx: &mut dyn UnitOfWork, caller: Caller) -> Result<(), Failure> {
        tx.company_states_mut().set_provisioned(self.company).await?;
        let core = tx.modules().find_by_code(seed::CORE_MODULE).await?;
        let core = core.ok_or_else(|| Failure::Conflict("The catalog has no module core: seed it first".to_owned()))?;
        tx.company_modules_mut().add(self.company, core.id).await?;
        let admin_level = self.create_levels(tx).await?;
        if let (Some(admin), Some(level)) = (&self.admin, admin_level) {
            self.assign(tx, admin.id, level, caller).await?;
        }
        Ok(())
    }

    /// Creates the default levels and returns the administrator level.
    async fn create_levels(&self, tx: &mut dyn UnitOfWork) -> Result<Option<UserLevelId>, Failure> {
        let now = tx.now();
        let catalog = tx.snapshots().load_catalog().await?.value;
        let templates = provisioning::default_levels(&catalog).map_err(|error| Failure::Internal(Box::new(error)))?;
        let mut admin = None;
        for template in templates {
            let level = UserLevel {
                id: UserLevelId::generate(now),
                company_id: self.company,
                name: template.name,
                description: template.description,
                is_default: true,
                created_at: now,
                updated_at: now,
            };
            tx.user_levels_mut().create(&level).await?;
            let views: Vec<_> = template
                .views
                .into_iter()
                .map(|(view_id, state)| ViewPermission {
                    id: ViewPermissionId::generate(now),
                    company_id: self.company,
                    user_level_id: level.id,
                    view_id,
                    state,
                    modifiable: true,
                    created_at: now,
                    updated_at: now,
                })
                .collect();
            tx.view_permissions_mut().replace_for_user_level(self.company, level.id, &views).await?;
            let features: Vec<_> = template
                .features
                .into_iter()
                .map(|(feature_id, action, rule)| FeaturePermission {
                    id: FeaturePermissionId::generate(now),
                    company_id: self.company,
                    user_level_id: level.id,
                    feature_id,
                    action,
                    value: rule.value,
                    scope: rule.scope,
                    modifiable: true,
                    created_at: now,
                    updated_at: now,
                })
                .collect();
            tx.feature_permissions_mut().replace_for_user_level(self.company, level.id, &features).await?;
            if template.is_admin {
                admin = Some(level.id);
            }
        }
        Ok(admin)
    }

    /// Makes the user an administrator if the company has none. Assigns a level that is sufficient on its own to make
    /// the user an administrator. If deny rules of the user's other levels override permissions of this level, removes
    /// the other levels.
    async fn appoint(&self, tx: &mut dyn UnitOfWork, admin: UserId, caller: Caller) -> Result<(), Failure> {
        let mut snapshot = tx.snapshots().load_company(self.company).await?.value;
        if snapshot.administrator_level_sets().next().is_some() {
            return Ok(());
        }
        let others = snapshot.holders.insert(admin, BTreeSet::new()).unwrap_or_default();
        let able = snapshot.levels.keys().copied().find(|level| {
            let alone = CompanySnapshot { holders: [(admin, [*level].into())].into(), ..snapshot.clone() };
            alone.of_user(admin).is_administrator()
        });
        let Some(level) = able else {
            return Err(Failure::Conflict(
                "No user level of this company grants the permissions to administer it. Grant them to a level first"
                    .to_owned(),
            ));
        };
        self.assign(tx, admin, level, caller).await?;
        snapshot.holders.insert(admin, others.iter().copied().chain([level]).collect());
        if !snapshot.of_user(admin).is_administrator() {
            for other in others.into_iter().filter(|other| *other != level) {
                tx.assignments_mut().remove(self.company, admin, other).await?;
            }
        }
        Ok(())
    }

    async fn assign(
        &self,
        tx: &mut dyn UnitOfWork,
        user_id: UserId,
        user_level_id: UserLevelId,
        caller: Caller,
    ) -> Result<(), Failure> {
        let assignment = Assignment {
            user_id,
            user_level_id,
            company_id: self.company,
            assigned_by: caller.actor().id(),
            created_at: tx.now(),
        };
        tx.assignments_mut().add(&assignment).await?;
        Ok(())
    }
}
