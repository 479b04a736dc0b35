//! Reads parts of the audit log of a company, or of the platform, with the names of the people and of the entities.

use std::collections::{BTreeMap, BTreeSet};

use iam_application::{AuditCursor, AuditFilter, DecisionContext, NamedRecord, Requirement};
use iam_domain::{CompanyId, EntityType, ExternalId, Name, UserId, UserLevel};
use iam_permissions_cache::Consistency;
use uuid::Uuid;

use crate::authorized::{Authorized, ReadAudit, SignedIn};
use crate::error::PageError;

/// The audit log that a person reads.
pub(crate) struct Log<'a> {
    person: &'a SignedIn,
    /// The company. `None` for the audit log of the platform.
    pub(crate) company: Option<CompanyId>,
    /// Whether the person may read the profiles of users.
    reads_profiles: bool,
    /// Whether the person may see the pages of levels and users.
    pub(crate) sees_pages: bool,
}

/// A part of the audit log, from newest to oldest.
pub(crate) struct Part {
    pub(crate) records: Vec<NamedRecord>,
    pub(crate) next: Option<AuditCursor>,
    pub(crate) people: People,
}

/// The names of the people in a part of the audit log.
#[derive(Default)]
pub(crate) struct People {
    pub(crate) names: BTreeMap<UserId, Name>,
    pub(crate) external_ids: BTreeMap<UserId, ExternalId>,
}

/// The entities that exist now, to which records refer.
#[derive(Default)]
pub(crate) struct Existing {
    pub(crate) levels: Vec<UserLevel>,
    catalog: BTreeSet<Uuid>,
}

impl Existing {
    /// Returns `true` if a record is about an entity that was deleted since.
    pub(crate) fn lacks(&self, kind: EntityType, id: Uuid) -> bool {
        match kind {
            EntityType::UserLevel | EntityType::Permission => !self.has_level(id),
            EntityType::View | EntityType::Feature | EntityType::Module => !self.catalog.contains(&id),
            EntityType::Assignment | EntityType::User | EntityType::Menu | EntityType::Company | EntityType::ApiKey => {
                false
            }
        }
    }

    fn has_level(&self, id: Uuid) -> bool {
        self.levels.iter().any(|level| level.id.as_uuid() == id)
    }
}

impl<'a> Log<'a> {
    /// Returns the audit log of a company.
    pub(crate) async fn of_company(page: &'a Authorized<ReadAudit>) -> Result<Self, PageError> {
        let reads_profiles = page.meets(Requirement::ReadProfiles).await?;
        let sees_pages = page.meets(Requirement::ReadIam).await?;
        Ok(Self { person: &page.signed_in, company: Some(page.company), reads_profiles, sees_pages })
    }

    /// Returns the audit log of the platform, if the person may read it.
    pub(crate) async fn of_platform(person: &'a SignedIn) -> Result<Self, PageError> {
        person.authorize_on_platform(Requirement::ReadAudit).await?;
        Ok(Self { person, company: None, reads_profiles: false, sees_pages: false })
    }

    /// Reads a part of at most `limit` records.
    pub(crate) async fn part(
        &self,
        filter: &AuditFilter,
        cursor: Option<AuditCursor>,
        limit: u64,
    ) -> Result<Part, PageError> {
        let application = self.person.application();
        let page = application.audit_logs(self.company, filter, cursor, limit, false).await?;
        let mut users: BTreeSet<_> = page.records.iter().flat_map(users_of).collect();
        users.extend([filter.actor_id, filter.entity_id].into_iter().flatten().map(UserId::from_uuid));
        let names = match self.company.filter(|_| self.reads_profiles) {
            Some(company) => application.display_names(company, &users).await?,
            None => BTreeMap::new(),
        };
        let people = People { names, external_ids: page.external_ids };
        Ok(Part { records: page.records, next: page.next, people })
    }

    /// Charges a further part to the budgets, as a request of its own.
    pub(crate) fn charge(&self) -> Result<(), PageError> {
        self.person.charge(self.company, 1)
    }

    /// Returns the entities that exist now.
    pub(crate) async fn existing(&self) -> Result<Existing, PageError> {
        let application = self.person.application();
        let Some(company) = self.company else {
            let views = application.views().await?.into_iter().map(|view| view.id.as_uuid());
            let features = application.features().await?.into_iter().map(|feature| feature.id.as_uuid());
            let modules = application.modules().await?.into_iter().map(|module| module.id.as_uuid());
            return Ok(Existing { levels: Vec::new(), catalog: views.chain(features).chain(modules).collect() });
        };
        let context = DecisionContext { caller: self.person.caller(), company, consistency: Consistency::Cached };
        let access = application.own_access(&context).await?;
        let catalog = access.catalog();
        let views = catalog.views().map(|view| view.id.as_uuid());
        let features = catalog.features().map(|feature| feature.id.as_uuid());
        let modules = catalog.modules().map(|module| module.id.as_uuid());
        let catalog = views.chain(features).chain(modules).collect();
        Ok(Existing { levels: application.user_levels(company).await?, catalog })
    }
}

/// Returns the users to whom a record refers: the actor, and the user whom the change is about.
fn users_of(NamedRecord { record, .. }: &NamedRecord) -> impl Iterator<Item = UserId> {
    let is_about_user = matches!(record.entity_type, EntityType::Assignment | EntityType::User);
    record.actor.user_id().into_iter().chain(is_about_user.then(|| UserId::from_uuid(record.entity_id)))
}
