//! The names of entities, for responses that contain their ids.

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{ApiKeyId, AuditRecord, CompanyId, Explanation, FeatureId, ModuleId, Step, ViewId};
use serde_json::Value;
use uuid::Uuid;

use crate::{Application, Failure};

/// The names of entities by id.
pub type Names = BTreeMap<Uuid, String>;

impl Application {
    /// Returns the current names of the views, features and modules with these ids, and of the levels of the company. Other ids are omitted.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    pub async fn names(&self, company: Option<CompanyId>, ids: &BTreeSet<Uuid>) -> Result<Names, Failure> {
        let mut names = Names::new();
        if ids.is_empty() {
            return Ok(names);
        }
        let catalog = self.reader().snapshots().load_catalog().await?.value;
        for id in ids {
            let view = catalog.view(ViewId::from_uuid(*id)).map(|view| view.name.to_string());
            let feature = || catalog.feature(FeatureId::from_uuid(*id)).map(|feature| feature.name.to_string());
            let module = || catalog.module(ModuleId::from_uuid(*id)).map(|module| module.name.to_string());
            names.extend(view.or_else(feature).or_else(module).map(|name| (*id, name)));
        }
        let has_others = |names: &Names| ids.iter().any(|id| !names.contains_key(id));
        if let Some(company) = company.filter(|_| has_others(&names)) {
            let levels = self.reader().user_levels().find_all(company).await?;
            let levels = levels.into_iter().filter(|level| ids.contains(&level.id.as_uuid()));
            names.extend(levels.map(|level| (level.id.as_uuid(), level.name.to_string())));
        }
        Ok(names)
    }

    /// Returns the names of the API keys with these ids that are restricted to the company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read.
    async fn names_of_keys(&self, company: Option<CompanyId>, ids: BTreeSet<Uuid>) -> Result<Names, Failure> {
        let mut names = Names::new();
        for id in ids {
            let key = self.reader().api_keys().find_by_id(ApiKeyId::from_uuid(id)).await?;
            // A company must not learn the names of the platform's keys.
            let key = key.filter(|key| company.is_none() || key.company_id == company);
            names.extend(key.map(|key| (id, key.name.to_string())));
        }
        Ok(names)
    }

    /// Returns the names of the entities that audit records of the company contain.
    pub(crate) async fn names_in(&self, company: Option<CompanyId>, records: &[AuditRecord]) -> Result<Names, Failure> {
        let mut ids = BTreeSet::new();
        for record in records {
            ids.insert(record.entity_id);
            record.changes.iter().for_each(|changes| collect_ids(changes, &mut ids));
        }
        let services = records.iter().filter(|record| record.actor.user_id().is_none());
        let keys = services.filter_map(|record| record.actor.id()).collect();
        let mut names = self.names_of_keys(company, keys).await?;
        names.extend(self.names(company, &ids).await?);
        Ok(names)
    }
}

/// Returns the ids in an explanation that have names.
#[must_use]
pub fn ids_in(explanation: &Explanation) -> BTreeSet<Uuid> {
    let modules = explanation.gate.iter().map(|module| module.module_id.as_uuid());
    let levels = explanation.levels.iter().map(|level| level.user_level_id.as_uuid());
    let deciding = explanation.decision.decided_by.iter().map(|level| level.as_uuid());
    let steps = explanation.suggestion.iter().filter_map(|step| match step {
        Step::EnableFeature(id) => Some(id.as_uuid()),
        Step::EnableModule(id) | Step::GrantModule(id) => Some(id.as_uuid()),
        Step::Undeny(id) | Step::Allow(id) => Some(id.as_uuid()),
        Step::AssignLevel => None,
    });
    modules.chain(levels).chain(deciding).chain(steps).collect()
}

/// Returns the names of the entities that one audit record contains. An entity that was deleted has the name that the
/// record contains.
#[must_use]
pub fn names_of_record(record: &AuditRecord, names: &Names) -> Names {
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

/// Adds the ids in a JSON value: strings, and the names of members. The name of a cell begins with the id of its
/// feature.
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
