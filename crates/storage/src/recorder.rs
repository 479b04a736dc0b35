//! The recorder of a unit of work. Adapters report each mutation to the recorder, and the commit derives the audit
//! records from the reported mutations.

mod companies;

use std::collections::{BTreeMap, BTreeSet};

use iam_domain::{
    Actor, ApiKey, AuditRecord, AuditRecordId, Ceilings, CompanyId, EntityType, Feature, FeatureId, FeaturePermission,
    MenuItem, Module, ModuleId, QuotaOverrides, SubMenuItem, Timestamp, UserId, UserLevel, UserLevelId, View, ViewId,
    ViewPermission, ViewState,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::parts::split;
use crate::record_changes::{ceiling_changes, created, deleted, updated};
use crate::recorded::Recorded;
use crate::{Assigned, Growth, MatrixDiff, SetDiff, StorageError, Target};

/// The actor of a change and the metadata for its audit records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeContext {
    /// The actor that makes the change.
    pub actor: Actor,
    /// Whether the caller makes the change as a super admin.
    pub super_admin: bool,
    /// Whether the caller forced the change. A forced change may leave the company without an administrator.
    pub forced: bool,
    /// Whether the caller makes the change in the admin console.
    pub console: bool,
    /// The id of the HTTP request that made the change, if there is one.
    pub request_id: Option<String>,
}

impl ChangeContext {
    /// Creates the context of a change by this actor, without metadata.
    #[must_use]
    pub const fn by(actor: Actor) -> Self {
        Self { actor, super_admin: false, forced: false, console: false, request_id: None }
    }

    /// Creates the context of a change that an operator makes on the command line.
    #[must_use]
    pub const fn command_line() -> Self {
        Self::by(Actor::CommandLine)
    }

    /// Creates the context of a change by a user.
    #[must_use]
    pub const fn user(user_id: UserId) -> Self {
        Self::by(Actor::User(user_id))
    }

    fn metadata(&self) -> Option<Value> {
        let mut metadata = Map::new();
        if let Some(request_id) = &self.request_id {
            metadata.insert("requestId".to_owned(), Value::from(request_id.as_str()));
        }
        for (name, is_so) in [("superAdmin", self.super_admin), ("forced", self.forced), ("console", self.console)] {
            if is_so {
                metadata.insert(name.to_owned(), Value::Bool(true));
            }
        }
        (!metadata.is_empty()).then_some(Value::Object(metadata))
    }
}

/// The data that a commit writes in addition to the change itself.
#[derive(Debug, Clone)]
pub struct Derived {
    /// The audit records: first the records that are derived from mutations, then the appended records.
    pub records: Vec<AuditRecord>,
}

/// The approximate size of an audit record without its changes, in bytes.
const RECORD_BYTES: u64 = 256;

struct Entry {
    action: &'static str,
    entity_type: EntityType,
    entity_id: Uuid,
    changes: Value,
    /// The number of this record among the records of the same change, and the number of these records. `None` if the
    /// change has only this record.
    part: Option<(usize, usize)>,
}

/// The mutations of a unit of work, from which its audit records are derived. Adapters report each successful mutation.
pub struct Recorder {
    target: Target,
    context: ChangeContext,
    now: Timestamp,
    entries: Vec<Entry>,
    appended: Vec<AuditRecord>,
    /// `true` if an entry or an appended record does more than to remove data.
    adds: bool,
    failed: bool,
    /// `true` if the records belong to the platform, although the target is a company.
    is_of_platform: bool,
    growth: Growth,
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("target", &self.target).field("entries", &self.entries.len()).finish()
    }
}

impl Recorder {
    /// Creates the recorder of a unit of work that acquired its locks at `now`.
    #[must_use]
    pub fn new(target: Target, context: ChangeContext, now: Timestamp) -> Self {
        Self {
            target,
            context,
            now,
            entries: Vec::new(),
            appended: Vec::new(),
            adds: false,
            failed: false,
            is_of_platform: false,
            growth: Growth::default(),
        }
    }

    /// Returns the target of the unit of work.
    #[must_use]
    pub const fn target(&self) -> Target {
        self.target
    }

    /// Returns the time of the unit of work, which is the timestamp of all derived audit records.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the growth of the quantities that quotas limit.
    #[must_use]
    pub const fn growth(&self) -> &Growth {
        &self.growth
    }

    /// Returns `true` if the recorder contains no mutation and no appended audit record, so there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.appended.is_empty()
    }

    /// Returns what has been recorded so far.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        let changes = self.entries.iter().map(|entry| Some(&entry.changes));
        let changes = changes.chain(self.appended.iter().map(|record| record.changes.as_ref()));
        let size = |changes: &Value| changes.to_string().len() as u64;
        let bytes = changes.map(|changes| RECORD_BYTES + changes.map_or(0, size)).sum();
        Recorded { bytes, only_removes: !self.adds }
    }

    /// Begins a mutation of `target`. Until [`Self::done`] is called, the unit of work counts as failed. Therefore, a
    /// failed or cancelled mutation poisons the unit of work.
    ///
    /// # Errors
    ///
    /// Returns `Misuse` if the unit of work was begun for another target, or if an earlier mutation failed.
    pub fn touch(&mut self, target: Target) -> Result<(), StorageError> {
        self.check()?;
        self.failed = true;
        if target != self.target {
            return Err(StorageError::Misuse("the operation modifies another target"));
        }
        Ok(())
    }

    /// Marks the mutation that [`Self::touch`] began as successful.
    pub const fn done(&mut self) {
        self.failed = false;
    }

    /// Checks that the unit of work may still be used.
    ///
    /// # Errors
    ///
    /// Returns `Misuse` if an earlier mutation failed.
    pub const fn check(&self) -> Result<(), StorageError> {
        if self.failed { Err(StorageError::Misuse("an earlier operation failed")) } else { Ok(()) }
    }

    /// Returns the data that the commit writes in addition to the change itself.
    #[must_use]
    pub fn finish(self) -> Derived {
        let metadata = self.context.metadata();
        let metadata_of = |part: Option<(usize, usize)>| {
            let Some((part, parts)) = part else { return metadata.clone() };
            let mut metadata = metadata.clone().unwrap_or_else(|| json!({}));
            if let Value::Object(members) = &mut metadata {
                members.extend([("part".to_owned(), json!(part)), ("parts".to_owned(), json!(parts))]);
            }
            Some(metadata)
        };
        let derived = self.entries.into_iter().map(|entry| AuditRecord {
            id: AuditRecordId::generate(self.now),
            company_id: self.target.company().filter(|_| !self.is_of_platform),
            actor: self.context.actor,
            action: entry.action.to_owned(),
            entity_type: entry.entity_type,
            entity_id: entry.entity_id,
            changes: Some(entry.changes),
            metadata: metadata_of(entry.part),
            timestamp: self.now,
        });
        Derived { records: derived.chain(self.appended).collect() }
    }

    fn record(&mut self, action: &'static str, entity_type: EntityType, entity_id: Uuid, changes: Value) {
        self.adds = true;
        self.record_removal(action, entity_type, entity_id, changes);
    }

    /// Records a mutation that only removes data.
    fn record_removal(&mut self, action: &'static str, entity_type: EntityType, entity_id: Uuid, changes: Value) {
        self.entries.push(Entry { action, entity_type, entity_id, changes, part: None });
    }

    /// Records the changes of a matrix or a set. Large changes are recorded in several records, in ascending order of
    /// the changed elements.
    fn record_in_parts(&mut self, action: &'static str, entity_type: EntityType, entity_id: Uuid, changes: Value) {
        let parts = split(changes);
        let count = parts.len();
        for (number, changes) in (1..).zip(parts) {
            let part = (count > 1).then_some((number, count));
            self.entries.push(Entry { action, entity_type, entity_id, changes, part });
        }
    }

    /// Adds an audit record that is not derived from a mutation.
    pub fn appended(&mut self, record: AuditRecord) {
        self.adds = true;
        self.appended.push(record);
    }

    /// Records that a level was created. No user holds the new level yet, so no decision changes.
    pub fn user_level_created(&mut self, after: &UserLevel) {
        self.growth.created(after);
        self.record("user_level.created", EntityType::UserLevel, after.id.as_uuid(), created(after));
    }

    /// Records that a level's name, description or other properties changed. The level's permissions do not change, so
    /// no decision changes.
    pub fn user_level_updated(&mut self, before: &UserLevel, after: &UserLevel) {
        self.growth.updated(before, after);
        self.record("user_level.updated", EntityType::UserLevel, after.id.as_uuid(), updated(before, after));
    }

    /// Records that a level was deleted. No user held the level, so no decision changes. However, cached data of the
    /// level must be invalidated.
    pub fn user_level_deleted(&mut self, before: &UserLevel) {
        self.growth.deleted(before);
        self.record_removal("user_level.deleted", EntityType::UserLevel, before.id.as_uuid(), deleted(before));
    }

    /// Records a change to the view permissions of a level. `there` is the list of permissions before the change.
    pub fn view_permissions_updated(
        &mut self,
        level: UserLevelId,
        there: &[ViewPermission],
        diff: &MatrixDiff<ViewPermission>,
    ) {
        let mut after: BTreeMap<ViewId, ViewState> = there.iter().map(|cell| (cell.view_id, cell.state)).collect();
        for cell in &diff.remove {
            after.remove(&cell.view_id);
        }
        after.extend(diff.insert.iter().chain(&diff.update).map(|cell| (cell.view_id, cell.state)));
        let count = |state| after.values().filter(|other| **other == state).count();
        let counts = json!({
            "allow": count(ViewState::Allow), "deny": count(ViewState::Deny), "inherit": count(ViewState::Inherit),
        });
        let cell = |cell: &ViewPermission| {
            (cell.view_id.to_string(), json!({ "state": cell.state, "modifiable": cell.modifiable }))
        };
        self.matrix_updated("permissions.views_updated", level, counts, there, diff, cell);
    }

    /// Records a change to the feature permissions of a level. `there` is the list of permissions before the change.
    pub fn feature_permissions_updated(
        &mut self,
        level: UserLevelId,
        there: &[FeaturePermission],
        diff: &MatrixDiff<FeaturePermission>,
    ) {
        let key = |cell: &FeaturePermission| (cell.feature_id, cell.action.clone());
        let mut after: BTreeMap<_, bool> = there.iter().map(|cell| (key(cell), cell.value)).collect();
        for cell in &diff.remove {
            after.remove(&key(cell));
        }
        after.extend(diff.insert.iter().chain(&diff.update).map(|cell| (key(cell), cell.value)));
        let allow = after.values().filter(|value| **value).count();
        let counts = json!({ "allow": allow, "deny": after.len() - allow });
        let cell = |cell: &FeaturePermission| {
            (
                format!("{}/{}", cell.feature_id, cell.action),
                json!({ "value": cell.value, "scope": cell.scope, "modifiable": cell.modifiable }),
            )
        };
        self.matrix_updated("permissions.features_updated", level, counts, there, diff, cell);
    }

    fn matrix_updated<C: crate::MatrixCell>(
        &mut self,
        action: &'static str,
        level: UserLevelId,
        counts: Value,
        there: &[C],
        diff: &MatrixDiff<C>,
        describe: impl Fn(&C) -> (String, Value),
    ) {
        if diff.is_empty() {
            return;
        }
        self.growth.cells_replaced(diff.insert.len(), diff.remove.len());
        let replaced: BTreeSet<_> = diff.update.iter().map(crate::MatrixCell::key).collect();
        let before: Map<_, _> = diff
            .remove
            .iter()
            .chain(there.iter().filter(|cell| replaced.contains(&cell.key())))
            .map(&describe)
            .collect();
        let after: Map<_, _> = diff.insert.iter().chain(&diff.update).map(&describe).collect();
        let changes = json!({ "counts": counts, "before": before, "after": after });
        self.adds |= !diff.insert.is_empty() || !diff.update.is_empty();
        self.record_in_parts(action, EntityType::Permission, level.as_uuid(), changes);
    }

    /// Records that a user's assignments changed. The record contains the periods of the limited assignments.
    pub fn assignments_updated(&mut self, user: UserId, there: &Assigned, wanted: &Assigned) {
        if there == wanted {
            return;
        }
        let levels = |assigned: &Assigned| -> BTreeSet<_> { assigned.keys().copied().collect() };
        let (before, after) = (levels(there), levels(wanted));
        self.growth.levels_replaced(user, &before, &after);
        let diff = SetDiff::new(before.iter().copied(), after.iter().copied());
        self.adds |= wanted.iter().any(|(level, period)| there.get(level) != Some(period));
        let mut changes = json!({ "before": before, "after": after, "added": diff.added, "removed": diff.removed });
        let periods = |assigned: &Assigned, other: &Assigned| -> Map<_, _> {
            let changed = assigned.iter().filter(|(level, period)| other.get(level) != Some(period));
            let limited = changed.filter(|(_, period)| !period.is_unlimited());
            limited.map(|(level, period)| (level.to_string(), json!(period))).collect()
        };
        let (ended, begun) = (periods(there, wanted), periods(wanted, there));
        if let Some(changes) = changes.as_object_mut().filter(|_| !ended.is_empty() || !begun.is_empty()) {
            changes.insert("periodsBefore".to_owned(), ended.into());
            changes.insert("periodsAfter".to_owned(), begun.into());
        }
        self.record_in_parts("assignment.user_levels_updated", EntityType::Assignment, user.as_uuid(), changes);
    }

    /// Records that a company's modules changed.
    pub fn company_modules_updated(&mut self, company: CompanyId, diff: &SetDiff<ModuleId>) {
        self.set_updated("company.modules_updated", EntityType::Company, company.as_uuid(), diff);
    }

    /// Records that a module was enabled or disabled for a company.
    pub fn company_module_switched(&mut self, company: CompanyId, module: ModuleId, before: bool, after: bool) {
        if before == after {
            return;
        }
        let changes = json!({
            "moduleId": module, "before": { "enabled": before }, "after": { "enabled": after },
        });
        self.adds |= after;
        self.record_removal("company.module_updated", EntityType::Company, company.as_uuid(), changes);
    }

    /// Records that the overrides of a company's quotas changed.
    pub fn company_quotas_updated(&mut self, company: CompanyId, before: &QuotaOverrides, after: &QuotaOverrides) {
        if before == after {
            return;
        }
        let changes = json!({ "before": before, "after": after });
        self.record("company.quotas_updated", EntityType::Company, company.as_uuid(), changes);
    }

    /// Records that the ceilings of a company changed.
    pub fn company_ceilings_updated(&mut self, company: CompanyId, before: &Ceilings, after: &Ceilings) {
        if before == after {
            return;
        }
        self.adds |= !before.permit_all_of(after);
        let changes = ceiling_changes(before, after);
        self.record_in_parts("company.ceilings_updated", EntityType::Company, company.as_uuid(), changes);
    }

    /// Records that a feature's views changed. This mapping is for administration only, so no decision changes.
    pub fn feature_views_updated(&mut self, feature: FeatureId, diff: &SetDiff<ViewId>) {
        self.set_updated("feature.views_updated", EntityType::Feature, feature.as_uuid(), diff);
    }

    /// Records that a module's views changed.
    pub fn module_views_updated(&mut self, module: ModuleId, diff: &SetDiff<ViewId>) {
        self.set_updated("module.views_updated", EntityType::Module, module.as_uuid(), diff);
    }

    /// Records that a module's features changed.
    pub fn module_features_updated(&mut self, module: ModuleId, diff: &SetDiff<FeatureId>) {
        self.set_updated("module.features_updated", EntityType::Module, module.as_uuid(), diff);
    }

    /// Records that an API key was created. Other replicas must load the new key.
    pub fn api_key_created(&mut self, after: &ApiKey) {
        self.growth.key_created(after);
        self.record("api_key.created", EntityType::ApiKey, after.id.as_uuid(), created(after));
    }

    /// Records that an API key was revoked.
    pub fn api_key_revoked(&mut self, before: &ApiKey, after: &ApiKey) {
        self.growth.key_revoked(before);
        self.record_removal("api_key.revoked", EntityType::ApiKey, after.id.as_uuid(), updated(before, after));
    }

    /// Records that a user's token cut-off changed.
    pub fn user_cut_off(&mut self, user: UserId, before: Option<Timestamp>, after: Timestamp) {
        if before == Some(after) {
            return;
        }
        let changes = json!({ "before": { "notBefore": before }, "after": { "notBefore": after } });
        self.record_removal("user.cut_off", EntityType::User, user.as_uuid(), changes);
    }

    fn set_updated<T: Ord + Copy + Serialize>(
        &mut self,
        action: &'static str,
        entity_type: EntityType,
        id: Uuid,
        diff: &SetDiff<T>,
    ) {
        if diff.is_empty() {
            return;
        }
        self.adds |= !diff.added.is_empty();
        self.record_in_parts(action, entity_type, id, json!({ "added": diff.added, "removed": diff.removed }));
    }
}

/// Defines the methods that record the creation, update and deletion of an entity.
macro_rules! entity_change_methods {
    ($($(#[doc = $doc:literal])+ $entity:ident ($kind:expr): $created:ident $created_word:literal, $updated:ident $updated_word:literal, $deleted:ident $deleted_word:literal;)+) => {
        impl Recorder {$(
            $(#[doc = $doc])+
            #[doc = "This method records the creation of the entity."]
            pub fn $created(&mut self, after: &$entity) {
                self.growth.created(after);
                self.record($created_word, $kind, after.id.as_uuid(), created(after));
            }

            $(#[doc = $doc])+
            #[doc = "This method records an update of the entity."]
            pub fn $updated(&mut self, before: &$entity, after: &$entity) {
                self.growth.updated(before, after);
                self.record($updated_word, $kind, after.id.as_uuid(), updated(before, after));
            }

            $(#[doc = $doc])+
            #[doc = "This method records the deletion of the entity."]
            pub fn $deleted(&mut self, before: &$entity) {
                self.growth.deleted(before);
                self.record_removal($deleted_word, $kind, before.id.as_uuid(), deleted(before));
            }
        )+}
    };
}

entity_change_methods! {
    /// Records a change to a view.
    View (EntityType::View): view_created "view.created", view_updated "view.updated", view_deleted "view.deleted";
    /// Records a change to a module.
    Module (EntityType::Module): module_created "module.created", module_updated "module.updated", module_deleted "module.deleted";
    /// Records a change to a feature.
    Feature (EntityType::Feature): feature_created "feature.created", feature_updated "feature.updated", feature_deleted "feature.deleted";
    /// Records a change to a menu item.
    MenuItem (EntityType::Menu): menu_item_created "menu.created", menu_item_updated "menu.updated", menu_item_deleted "menu.deleted";
    /// Records a change to a sub-item of the menu.
    SubMenuItem (EntityType::Menu): sub_menu_item_created "sub_menu.created", sub_menu_item_updated "sub_menu.updated", sub_menu_item_deleted "sub_menu.deleted";
}
