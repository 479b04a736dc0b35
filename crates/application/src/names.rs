//! The names of entities, for responses that contain their ids.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    ApiKeyId, AuditRecord, Catalog, CompanyId, EntityType, Explanation, FeatureId, ModuleId, Step, ViewId,
};
use iam_permissions_cache::{Access, Consistency, Subject};
use serde_json::Value;
use uuid::Uuid;

use crate::blocking::give_way;
use crate::{Application, Failure, causes};

/// The names of entities by id.
pub type Names = BTreeMap<Uuid, String>;

impl Application {
    /// Returns the names of the entities that explanations refer to. The names of views, features and modules come from
    /// the catalog of `access`. If the levels cannot be read, for example during an outage of the database, their names
    /// are omitted.
    pub async fn names_in_explanations<'a>(
        &self,
        company: CompanyId,
        access: &Access,
        explanations: impl IntoIterator<Item = &'a Explanation>,
    ) -> Names {
        let ids = explanations.into_iter().flat_map(ids_in).collect();
        let mut names = names_in_catalog(access.catalog(), &ids);
        if access.age().is_some() {
            return names;
        }
        match self.names_of_levels(company, &ids, &names).await {
            Ok(levels) => names.extend(levels),
            Err(error) => {
                tracing::debug!(error = causes(&error), "could not read the names of the levels in an explanation")
            }
        }
        names
    }

    /// Returns the names of those levels of the company whose ids are in `ids` and not in `known`.
    async fn names_of_levels(&self, company: CompanyId, ids: &BTreeSet<Uuid>, known: &Names) -> Result<Names, Failure> {
        if ids.iter().all(|id| known.contains_key(id)) {
            return Ok(Names::new());
        }
        let levels = self.reader().user_levels().find_all(company).await?;
        let levels = levels.into_iter().filter(|level| ids.contains(&level.id.as_uuid()));
        Ok(levels.map(|level| (level.id.as_uuid(), level.name.to_string())).collect())
    }

    /// Returns the names of the API keys with these ids. If a company is given, keys that are not restricted to this
    /// company are omitted.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    async fn names_of_keys(&self, company: Option<CompanyId>, ids: BTreeSet<Uuid>) -> Result<Names, Failure> {
        let mut names = Names::new();
        for id in ids {
            let key = self.reader().api_keys().find_by_id(ApiKeyId::from_uuid(id)).await?;
            // The names of other companies' keys and of platform-wide keys must not be disclosed to a company.
            let key = key.filter(|key| company.is_none() || key.company_id == company);
            names.extend(key.map(|key| (id, key.name.to_string())));
        }
        Ok(names)
    }

    /// Returns the names of the entities that audit records refer to. `company` is the company of the audit log, or
    /// `None` for the audit log of the platform.
    pub(crate) async fn names_in(
        &self,
        company: Option<CompanyId>,
        References { ids, keys }: References,
    ) -> Result<Names, Failure> {
        let mut names = self.names_of_keys(company, keys).await?;
        match company {
            // The cached catalog is as up to date as the decisions about the company.
            Some(company) => {
                let access = self.permissions.access(company, Subject::Service, Consistency::Cached).await?;
                names.extend(names_in_catalog(access.catalog(), &ids));
                let levels = self.names_of_levels(company, &ids, &names).await?;
                names.extend(levels);
            }
            None => names.extend(names_in_catalog(&self.reader().snapshots().load_catalog().await?.value, &ids)),
        }
        Ok(names)
    }
}

/// The ids of the entities that audit records refer to.
pub(crate) struct References {
    ids: BTreeSet<Uuid>,
    /// The ids of the API keys among the actors and the changed entities.
    keys: BTreeSet<Uuid>,
}

impl References {
    pub(crate) fn of(records: &[AuditRecord]) -> Self {
        let mut ids = BTreeSet::new();
        for record in records {
            give_way();
            ids.insert(record.entity_id);
            record.changes.iter().for_each(|changes| collect_ids(changes, &mut ids));
        }
        let is_service = |record: &&AuditRecord| record.actor.user_id().is_none();
        let mut keys: BTreeSet<_> = records.iter().filter(is_service).filter_map(|record| record.actor.id()).collect();
        let about_keys = records.iter().filter(|record| record.entity_type == EntityType::ApiKey);
        keys.extend(about_keys.map(|record| record.entity_id));
        Self { ids, keys }
    }
}

/// Returns the names of the views, features and modules of the catalog whose ids are in `ids`.
fn names_in_catalog(catalog: &Catalog, ids: &BTreeSet<Uuid>) -> Names {
    let name = |id: Uuid| {
        let view = catalog.view(ViewId::from_uuid(id)).map(|view| view.name.to_string());
        let feature = || catalog.feature(FeatureId::from_uuid(id)).map(|feature| feature.name.to_string());
        let module = || catalog.module(ModuleId::from_uuid(id)).map(|module| module.name.to_string());
        view.or_else(feature).or_else(module)
    };
    ids.iter().filter_map(|id| Some((*id, name(*id)?))).collect()
}

/// Returns the ids of the entities that an explanation refers to.
fn ids_in(explanation: &Explanation) -> BTreeSet<Uuid> {
    let view = explanation.view.map(|view| view.as_uuid());
    let feature = explanation.feature.map(|feature| feature.as_uuid());
    let modules = explanation.gate.iter().map(|module| module.module_id.as_uuid());
    let levels = explanation.levels.iter().map(|level| level.user_level_id.as_uuid());
    let deciding = explanation.decision.decided_by.iter().map(|level| level.as_uuid());
    let steps = explanation.suggestion.iter().filter_map(|step| match step {
        Step::EnableFeature(id) | Step::RaiseCeiling(id) => Some(id.as_uuid()),
        Step::ShowView(id) => Some(id.as_uuid()),
        Step::EnableModule(id) | Step::GrantModule(id) => Some(id.as_uuid()),
        Step::Undeny(id) | Step::Allow(id) => Some(id.as_uuid()),
        Step::ActivateCompany | Step::AssignLevel => None,
    });
    view.into_iter().chain(feature).chain(modules).chain(levels).chain(deciding).chain(steps).collect()
}

/// Returns the names of the entities that one audit record refers to. The name of a deleted entity is read from the
/// record itself.
pub(crate) fn names_of_record(record: &AuditRecord, names: &Names) -> Names {
    let mut ids = BTreeSet::from([record.entity_id]);
    ids.extend(record.actor.id());
    record.changes.iter().for_each(|changes| collect_ids(changes, &mut ids));
    let mut of_record: Names = ids.iter().filter_map(|id| Some((*id, names.get(id)?.clone()))).collect();
    if !of_record.contains_key(&record.entity_id) {
        let recorded = |part: &str| record.changes.as_ref()?.get(part)?.get("name")?.as_str();
        let name = recorded("after").or_else(|| recorded("before"));
        of_record.extend(name.map(|name| (record.entity_id, name.to_owned())));
    }
    of_record
}

/// Collects the ids that a JSON value contains in its strings and in the names of its members. If a member describes a
/// cell of a feature matrix, its name begins with the id of the feature.
fn collect_ids(value: &Value, ids: &mut BTreeSet<Uuid>) {
    let mut add = |text: &str| ids.extend(text.split('/').next().and_then(|text| Uuid::try_parse(text).ok()));
    match value {
        Value::String(text) => add(text),
        Value::Array(elements) => elements.iter().for_each(|element| collect_ids(element, ids)),
        Value::Object(members) => {
            members.keys().for_each(|name| add(name));
            members.values().for_each(|value| collect_ids(value, ids));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
