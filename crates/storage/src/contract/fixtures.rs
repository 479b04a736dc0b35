//! Builders of test data, and assertions of the rules that apply to every change.

use std::sync::Arc;

use async_trait::async_trait;
use iam_domain::{
    Action, Assignment, AuditRecord, CommitStamp, CompanyId, Description, EntityType, Feature, FeatureId, FeatureKey,
    FeaturePermission, FeaturePermissionId, Label, MenuItem, MenuItemId, Module, ModuleCode, ModuleId, Name, Period,
    Priority, Scope, SubMenuItem, SubMenuItemId, Timestamp, UserId, UserLevel, UserLevelId, Versions, View, ViewId,
    ViewPermission, ViewPermissionId, ViewState, ViewUrl,
};
use uuid::Uuid;

use super::outcomes::assert_misuse;
use crate::{AuditFilter, ChangeContext, Result, Storage, StorageError, Target, UnitOfWork};

// Strings, times and ids

/// Returns a time that is `n` microseconds after a fixed start time.
pub(super) fn at(n: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + n).unwrap()
}

/// Returns a unique string that begins with `word`.
pub(super) fn unique(word: &str) -> String {
    format!("{word}-{}", Uuid::new_v4().simple())
}

/// Returns the id of a new company.
pub(super) fn some_company() -> CompanyId {
    CompanyId::generate(at(0))
}

/// Returns the id of a new user.
pub(super) fn some_user() -> UserId {
    UserId::generate(at(0))
}

/// Parses a string as a [`Name`].
pub(super) fn name(text: impl Into<String>) -> Name {
    Name::parse(text).unwrap()
}

/// Parses a string as an [`Action`].
pub(super) fn action(text: impl Into<String>) -> Action {
    Action::parse(text).unwrap()
}

/// Generates the given number of ids of one type, in ascending order.
macro_rules! ascending {
    ($id:ident, $count:expr) => {{
        let count: u16 = $count;
        (0..count).map(|_| iam_domain::$id::generate($crate::contract::fixtures::at(0))).collect::<Vec<_>>()
    }};
}
pub(super) use ascending;

// Entities

/// Returns a view with a unique URL.
pub(super) fn some_view() -> View {
    view_at(unique("/view"))
}

/// Returns a view with this URL.
pub(super) fn view_at(url: impl Into<String>) -> View {
    View {
        id: ViewId::generate(at(0)),
        name: name("View"),
        url: ViewUrl::parse(url).unwrap(),
        category: None,
        description: None,
        icon: None,
        requires_auth: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a module with a unique code and a unique name.
pub(super) fn some_module() -> Module {
    module_named(unique("Module"))
}

/// Returns a module with this name and a unique code.
pub(super) fn module_named(text: impl Into<String>) -> Module {
    Module {
        id: ModuleId::generate(at(0)),
        code: ModuleCode::parse(unique("code")).unwrap(),
        name: name(text),
        description: None,
        icon: None,
        enabled: true,
        priority: Priority::Standard,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a feature with a unique key.
pub(super) fn some_feature() -> Feature {
    feature_with_key(unique("feature"))
}

/// Returns a feature with this key.
pub(super) fn feature_with_key(key: impl Into<String>) -> Feature {
    Feature { key: Some(FeatureKey::parse(key).unwrap()), ..feature_without_key() }
}

/// Returns a feature without a key.
pub(super) fn feature_without_key() -> Feature {
    Feature {
        id: FeatureId::generate(at(0)),
        key: None,
        name: name("Feature"),
        description: None,
        resource_type: None,
        actions: None,
        category: None,
        enabled: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a level with this name.
pub(super) fn level(company: CompanyId, text: impl Into<String>) -> UserLevel {
    UserLevel {
        id: UserLevelId::generate(at(0)),
        company_id: company,
        name: name(text),
        description: Description::parse("").unwrap(),
        is_default: false,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a cell of a level's view matrix.
pub(super) fn view_cell(level: &UserLevel, view: ViewId, state: ViewState) -> ViewPermission {
    ViewPermission {
        id: ViewPermissionId::generate(at(0)),
        company_id: level.company_id,
        user_level_id: level.id,
        view_id: view,
        state,
        modifiable: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a cell of a level's feature matrix. The cell allows an action for the whole company.
pub(super) fn feature_cell(level: &UserLevel, feature: FeatureId, text: impl Into<String>) -> FeaturePermission {
    FeaturePermission {
        id: FeaturePermissionId::generate(at(0)),
        company_id: level.company_id,
        user_level_id: level.id,
        feature_id: feature,
        action: action(text),
        value: true,
        scope: Scope::Company,
        modifiable: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns the assignment of a level to a user.
pub(super) fn holding(user: UserId, level: &UserLevel) -> Assignment {
    Assignment {
        user_id: user,
        user_level_id: level.id,
        company_id: level.company_id,
        assigned_by: None,
        created_at: at(1),
        period: Period::UNLIMITED,
    }
}

/// Returns a menu item without optional fields.
pub(super) fn menu_item(owner: Option<CompanyId>, label: impl Into<String>) -> MenuItem {
    MenuItem {
        id: MenuItemId::generate(at(0)),
        company_id: owner,
        label: Label::parse(label).unwrap(),
        icon: None,
        priority: Priority::Standard,
        required_permissions: None,
        sort_order: 0,
        view_id: None,
        feature_id: None,
        is_entrypoint: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

/// Returns a sub-item of a menu item, without optional fields.
pub(super) fn sub_item(item: &MenuItem, label: impl Into<String>) -> SubMenuItem {
    SubMenuItem {
        id: SubMenuItemId::generate(at(0)),
        menu_item_id: item.id,
        label: Label::parse(label).unwrap(),
        view_id: None,
        feature_id: None,
        icon: None,
        sort_order: 0,
        enabled: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

// Preconditions

/// An entity that a case needs as a precondition.
#[async_trait]
pub(super) trait Given: Sync {
    /// Returns the target of the unit of work that stores the entity.
    fn target(&self) -> Target;
    /// Stores the entity in a unit of work.
    async fn store(&self, tx: &mut dyn UnitOfWork) -> Result<()>;
}

/// A sub-item with the owner of its menu item.
pub(super) struct OwnedSubItem<'a>(pub(super) Option<CompanyId>, pub(super) &'a SubMenuItem);

macro_rules! given {
    ($($entity:ty: $target:expr, $accessor:ident.$operation:ident;)+) => {$(
        #[async_trait]
        impl Given for $entity {
            fn target(&self) -> Target {
                let target: fn(&Self) -> Target = $target;
                target(self)
            }

            async fn store(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
                tx.$accessor().$operation(self).await.map(drop)
            }
        }
    )+};
}

given! {
    View: |_| Target::Catalog, views_mut.create;
    Module: |_| Target::Catalog, modules_mut.create;
    Feature: |_| Target::Catalog, features_mut.create;
    UserLevel: |level| Target::Company(level.company_id), user_levels_mut.create;
    ViewPermission: |cell| Target::Company(cell.company_id), view_permissions_mut.upsert;
    FeaturePermission: |cell| Target::Company(cell.company_id), feature_permissions_mut.upsert;
    Assignment: |assignment| Target::Company(assignment.company_id), assignments_mut.add;
    MenuItem: |item| Target::of_menu(item.company_id), menu_items_mut.create;
}

#[async_trait]
impl Given for OwnedSubItem<'_> {
    fn target(&self) -> Target {
        Target::of_menu(self.0)
    }

    async fn store(&self, tx: &mut dyn UnitOfWork) -> Result<()> {
        tx.sub_menu_items_mut().create(self.0, self.1).await
    }
}

/// Stores the given entities, which may be of different types, in the order of the slice. Consecutive entities with the
/// same target are stored in one unit of work.
pub(super) async fn given(storage: &Arc<dyn Storage>, things: &[&dyn Given]) {
    for neighbours in things.chunk_by(|one, other| one.target() == other.target()) {
        let mut tx = begin(storage, neighbours[0].target()).await;
        for thing in neighbours {
            thing.store(tx.as_mut()).await.unwrap();
        }
        tx.commit().await.unwrap();
    }
}

/// Stores the given entities, which are of one type, in the order of the slice.
pub(super) async fn given_all<G: Given>(storage: &Arc<dyn Storage>, things: &[G]) {
    let things: Vec<&dyn Given> = things.iter().map(|thing| thing as &dyn Given).collect();
    given(storage, &things).await;
}

// Changes

/// A value that determines the target of a change.
pub(super) trait HasTarget {
    /// Returns the target of the change.
    fn target(self) -> Target;
}

impl HasTarget for Target {
    fn target(self) -> Target {
        self
    }
}

impl HasTarget for CompanyId {
    fn target(self) -> Target {
        Target::Company(self)
    }
}

/// Begins a unit of work whose actor is the command line. Retries until the locks are acquired.
pub(super) async fn begin(storage: &Arc<dyn Storage>, about: impl HasTarget) -> Box<dyn UnitOfWork> {
    begin_as(storage, about, ChangeContext::command_line()).await
}

/// Begins a unit of work in this context. Retries until the locks are acquired.
pub(super) async fn begin_as(
    storage: &Arc<dyn Storage>,
    about: impl HasTarget,
    context: ChangeContext,
) -> Box<dyn UnitOfWork> {
    let target = about.target();
    loop {
        match storage.begin(target, context.clone()).await {
            Ok(tx) => return tx,
            Err(StorageError::Unavailable { .. }) => tokio::task::yield_now().await,
            Err(error) => panic!("failed to begin a unit of work: {error}"),
        }
    }
}

/// A unit of work that runs without concurrent changes, so that its effects on versions and audit records can be
/// checked.
pub(super) struct Change {
    storage: Arc<dyn Storage>,
    target: Target,
    before: (CommitStamp, u64),
    tx: Box<dyn UnitOfWork>,
}

impl Change {
    pub(super) async fn begin(storage: &Arc<dyn Storage>, about: impl HasTarget) -> Self {
        let target = about.target();
        let before = version_and_record_count(storage, target).await;
        Self { storage: Arc::clone(storage), target, before, tx: begin(storage, target).await }
    }

    pub(super) fn tx(&mut self) -> &mut dyn UnitOfWork {
        self.tx.as_mut()
    }

    /// Ends the unit of work. If the work succeeded, commits the unit of work and checks the version. Otherwise checks
    /// that the unit of work is poisoned and has stored nothing.
    pub(super) async fn end<T>(mut self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            assert_poisoned(self.target, self.tx.as_mut()).await;
            assert_misuse(self.tx.commit().await);
            assert_eq!(
                version_and_record_count(&self.storage, self.target).await,
                self.before,
                "a failed change must have no effect"
            );
            return outcome;
        }
        let stamp = self.tx.commit().await.expect("without concurrent changes, successful work must be committed");
        let (after, records) = version_and_record_count(&self.storage, self.target).await;
        assert_eq!(after, stamp, "the commit must return the version that includes its change");
        let next_version = next_version(self.before.0);
        if records == self.before.1 {
            assert_eq!(after, self.before.0, "a commit without an audit record must not increment the version");
        } else {
            assert_eq!(
                after, next_version,
                "a change must increment the version of its target by one, and no other version"
            );
        }
        outcome
    }
}

/// Returns the version of a target after one more change.
pub(super) fn next_version(before: CommitStamp) -> CommitStamp {
    match before {
        CommitStamp::Catalog { epoch, version } => CommitStamp::Catalog { epoch, version: version + 1 },
        CommitStamp::Company(versions) => CommitStamp::Company(Versions { company: versions.company + 1, ..versions }),
        CommitStamp::Credentials { epoch, version } => CommitStamp::Credentials { epoch, version: version + 1 },
    }
}

/// Returns the version of a target and the number of its audit records.
pub(super) async fn version_and_record_count(storage: &Arc<dyn Storage>, about: impl HasTarget) -> (CommitStamp, u64) {
    let target = about.target();
    let company = target.company();
    let logs = storage.reader().audit_logs();
    let records = logs.count_for_company(company, &AuditFilter::default(), u64::MAX).await.unwrap();
    let versions @ Versions { epoch, catalog, .. } = versions(storage, company).await;
    let stamp = match target {
        Target::Catalog => CommitStamp::Catalog { epoch, version: catalog },
        // The stamp of a commit contains no boundary.
        Target::Company(_) => CommitStamp::Company(Versions { boundary: 0, ..versions }),
        Target::Credentials => CommitStamp::Credentials { epoch, version: credentials_version(storage).await },
    };
    (stamp, records)
}

/// Returns the current versions of the catalog and, if one is given, of a company.
pub(super) async fn versions(storage: &Arc<dyn Storage>, company: Option<CompanyId>) -> Versions {
    storage.reader().company_states().versions(company).await.unwrap()
}

/// Returns the current version of the credentials.
pub(super) async fn credentials_version(storage: &Arc<dyn Storage>) -> i64 {
    storage.reader().credentials().changes_since(i64::MAX).await.unwrap().state.version
}

/// Asserts that the unit of work is poisoned: after a failed mutation, it rejects further mutations.
pub(super) async fn assert_poisoned(target: Target, tx: &mut dyn UnitOfWork) {
    match target {
        Target::Catalog => assert_misuse(tx.views_mut().create(&some_view()).await),
        Target::Company(company) => assert_misuse(tx.user_levels_mut().create(&level(company, unique("Level"))).await),
        Target::Credentials => assert_misuse(tx.users_mut().cut_off(some_user(), at(0)).await),
    }
}

/// Runs one mutation in a unit of work of its own, commits it, and checks the rules that apply to every change.
macro_rules! change {
    ($storage:expr, $about:expr, $tx:ident => $work:expr) => {{
        let mut change = $crate::contract::fixtures::Change::begin(&$storage, $about).await;
        let outcome = {
            let $tx = change.tx();
            ($work).await
        };
        change.end(outcome).await
    }};
}
pub(super) use change;

/// Runs one mutation in a unit of work of its own and commits it. Other changes may run concurrently. The macro retries
/// the unit of work as long as the error is retryable.
macro_rules! change_with_retries {
    ($storage:expr, $about:expr, $tx:ident => $work:expr) => {
        loop {
            let mut unit = $crate::contract::fixtures::begin(&$storage, $about).await;
            let outcome = {
                let $tx = unit.as_mut();
                ($work).await
            };
            // Lets concurrent tasks run before the commit.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            let outcome = match outcome {
                Ok(output) => unit.commit().await.map(|versions| (output, versions)),
                Err(error) => Err(error),
            };
            match outcome {
                Err(error) if error.is_retryable() => tokio::task::yield_now().await,
                outcome => break outcome,
            }
        }
    };
}
pub(super) use change_with_retries;

/// Returns the audit records about an entity, oldest first. The records are from the audit log of a company or, for
/// `None`, of the platform.
pub(super) async fn records_about(
    storage: &Arc<dyn Storage>,
    company: Option<CompanyId>,
    entity_type: EntityType,
    entity: Uuid,
) -> Vec<AuditRecord> {
    let mut records = storage.reader().audit_logs().list_for_entity(company, entity_type, entity, 1000).await.unwrap();
    records.reverse();
    records
}

// Lists

/// Returns the keys of the elements of a list, in list order. Keys that are not in `mine` are omitted.
pub(super) fn only<T, K: PartialEq>(list: Vec<T>, mine: &[K], key: impl Fn(&T) -> K) -> Vec<K> {
    list.iter().map(key).filter(|key| mine.contains(key)).collect()
}

/// Returns the keys of the elements of a list, in list order.
pub(super) fn keys<T, K>(list: &[T], key: impl Fn(&T) -> K) -> Vec<K> {
    list.iter().map(key).collect()
}
