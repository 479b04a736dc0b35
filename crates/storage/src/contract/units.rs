//! Test cases for units of work. A unit of work is atomic and can change only its target. Other readers see its writes
//! only after the commit.

use std::sync::Arc;

use iam_domain::{
    Action, CommitStamp, CompanyId, EntityType, Feature, Module, UserId, UserLevel, Versions, View, ViewState,
};

use super::fixtures::{
    Given, OwnedSubItem, assert_poisoned, at, begin, change, feature_cell, given, holding, level, menu_item, name,
    next_version, records_about, some_company, some_feature, some_module, some_user, some_view, sub_item, unique,
    version_and_record_count, versions, view_cell,
};
use super::outcomes::{assert_conflict, assert_misuse, assert_not_found};
use crate::{AuditFilter, Constraint, PageBounds, Reader, Result, Storage, Target, UnitOfWork};

/// A commit stores everything that the unit of work wrote, together with its audit records. The audit records have the
/// time of the unit of work as their timestamp.
pub async fn a_unit_of_work_commits_all_its_writes(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let (admin, member) = (level(company, "Admin"), level(company, "Member"));
    let (before, _) = version_and_record_count(&storage, company).await;
    let mut tx = begin(&storage, company).await;
    let now = tx.now();
    for thing in [&admin as &dyn Given, &member, &holding(user, &admin)] {
        thing.store(tx.as_mut()).await.unwrap();
    }
    let committed = tx.commit().await.unwrap();

    assert_eq!(committed, next_version(before), "a unit of work must increment the version by one");
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), [admin.clone(), member]);
    assert_eq!(storage.reader().assignments().get_user_levels(company, user).await.unwrap(), [admin]);
    let filter = AuditFilter::default();
    let (logs, all) = (storage.reader().audit_logs(), PageBounds::records(10));
    let records = logs.list_for_company(Some(company), &filter, None, all).await.unwrap().records;
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.timestamp == now));
}

/// A dropped unit of work stores no entity and no audit record, increments no version, and releases its locks.
pub async fn a_dropped_unit_of_work_has_no_effect(storage: Arc<dyn Storage>) {
    let (company, other, view) = (some_company(), some_company(), some_view());
    let there = level(company, "There");
    given(&storage, &[&there]).await;
    let before =
        (version_and_record_count(&storage, company).await, version_and_record_count(&storage, Target::Catalog).await);

    let mut tx = begin(&storage, company).await;
    tx.user_levels_mut().create(&level(company, "Dropped")).await.unwrap();
    tx.user_levels_mut().delete(company, there.id).await.unwrap();
    tx.company_states_mut().set_provisioned(company).await.unwrap();
    drop(tx);
    let mut tx = begin(&storage, other).await;
    tx.user_levels_mut().create(&level(other, "Dropped")).await.unwrap();
    drop(tx);
    let mut tx = begin(&storage, Target::Catalog).await;
    tx.views_mut().create(&view).await.unwrap();
    drop(tx);

    assert_eq!(
        (version_and_record_count(&storage, company).await, version_and_record_count(&storage, Target::Catalog).await),
        before
    );
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), [there]);
    assert_eq!(storage.reader().company_states().read(company).await.unwrap().unwrap().provisioned_at, None);
    assert_eq!(storage.reader().company_states().read(other).await.unwrap(), None);
    assert_eq!(storage.reader().views().find_by_id(view.id).await.unwrap(), None);
    given(&storage, &[&level(company, "Dropped"), &level(other, "Dropped"), &view]).await;
}

/// Committing a unit of work without changes has no effect, whether its target is a company or the catalog.
pub async fn an_empty_unit_of_work_commits_nothing(storage: Arc<dyn Storage>) {
    let (company, fresh) = (some_company(), some_company());
    given(&storage, &[&level(company, "There")]).await;
    for target in [Target::Company(company), Target::Company(fresh), Target::Catalog] {
        let before = version_and_record_count(&storage, target).await;
        assert_eq!(begin(&storage, target).await.commit().await.unwrap(), before.0);
        assert_eq!(version_and_record_count(&storage, target).await, before);
    }
    assert_eq!(storage.reader().company_states().read(fresh).await.unwrap(), None);
}

/// Reads inside a unit of work see its uncommitted writes. Reads outside the unit of work see none of the writes before
/// the commit, and all of them after the commit.
pub async fn writes_are_visible_inside_before_and_outside_after_the_commit(storage: Arc<dyn Storage>) {
    async fn seen(reader: &dyn Reader, company: CompanyId, user: UserId, view: &View) -> (usize, usize, usize, usize) {
        let admin = reader.user_levels().find_by_name(company, "Admin").await.unwrap();
        (
            reader.user_levels().find_all(company).await.unwrap().len() + usize::from(admin.is_some()),
            reader.assignments().get_user_levels(company, user).await.unwrap().len(),
            reader.view_permissions().find_by_view(company, view.id).await.unwrap().len(),
            reader.snapshots().load_user(company, user).await.unwrap().value.levels.len(),
        )
    }
    let (company, user, view) = (some_company(), some_user(), some_view());
    given(&storage, &[&view]).await;
    let admin = level(company, "Admin");
    let mut tx = begin(&storage, company).await;
    assert_eq!(seen(&*tx, company, user, &view).await, (0, 0, 0, 0));
    let cell = view_cell(&admin, view.id, ViewState::Allow);
    for thing in [&admin as &dyn Given, &holding(user, &admin), &cell] {
        thing.store(tx.as_mut()).await.unwrap();
    }
    assert_eq!(seen(&*tx, company, user, &view).await, (2, 1, 1, 1));
    assert_eq!(seen(storage.reader(), company, user, &view).await, (0, 0, 0, 0));
    tx.commit().await.unwrap();
    assert_eq!(seen(storage.reader(), company, user, &view).await, (2, 1, 1, 1));
}

/// A change to the catalog is visible immediately inside its unit of work, and outside the unit of work only after the
/// commit.
pub async fn catalog_writes_are_visible_inside_before_and_outside_after_the_commit(storage: Arc<dyn Storage>) {
    let (view, feature, module) = (some_view(), some_feature(), some_module());
    let mut tx = begin(&storage, Target::Catalog).await;
    for thing in [&view as &dyn Given, &feature, &module] {
        thing.store(tx.as_mut()).await.unwrap();
    }
    tx.module_views_mut().add(module.id, view.id).await.unwrap();
    assert_eq!(tx.views().find_by_id(view.id).await.unwrap(), Some(view.clone()));
    assert_eq!(tx.features().find_by_id(feature.id).await.unwrap(), Some(feature.clone()));
    assert_eq!(tx.module_views().get_modules_by_view(view.id).await.unwrap(), [module.clone()]);
    assert_eq!(storage.reader().views().find_by_id(view.id).await.unwrap(), None);
    assert_eq!(storage.reader().modules().find_by_id(module.id).await.unwrap(), None);
    assert_eq!(storage.reader().module_views().get_views_by_module(module.id).await.unwrap(), []);
    tx.commit().await.unwrap();
    assert_eq!(storage.reader().module_views().get_views_by_module(module.id).await.unwrap(), [view]);
}

/// If a mutation fails, its whole unit of work is rolled back, including the mutations that succeeded before it.
pub async fn a_failure_rolls_back_the_whole_unit_of_work(storage: Arc<dyn Storage>) {
    let company = some_company();
    given(&storage, &[&level(company, "There")]).await;
    let before = version_and_record_count(&storage, company).await;

    let mut tx = begin(&storage, company).await;
    tx.user_levels_mut().create(&level(company, "Succeeded")).await.unwrap();
    assert_conflict(tx.user_levels_mut().create(&level(company, "There")).await, Constraint::UserLevelName);
    assert_poisoned(Target::Company(company), tx.as_mut()).await;
    assert_misuse(tx.company_states_mut().set_provisioned(company).await);
    assert_misuse(tx.assignments_mut().replace_for_user(company, some_user(), &[], None).await);
    assert_misuse(tx.commit().await);

    assert_eq!(version_and_record_count(&storage, company).await, before);
    assert_eq!(storage.reader().user_levels().find_by_name(company, "Succeeded").await.unwrap(), None);
}

/// If a mutation of the catalog fails, its whole unit of work is rolled back, including the mutations that succeeded
/// before it.
pub async fn a_failure_rolls_back_the_whole_catalog_unit(storage: Arc<dyn Storage>) {
    let (view, feature) = (some_view(), some_feature());
    let before = version_and_record_count(&storage, Target::Catalog).await;
    let mut tx = begin(&storage, Target::Catalog).await;
    tx.views_mut().create(&view).await.unwrap();
    assert_not_found(tx.features_mut().update(&feature).await);
    assert_misuse(tx.features_mut().create(&feature).await);
    assert_misuse(tx.commit().await);
    assert_eq!(version_and_record_count(&storage, Target::Catalog).await, before);
    assert_eq!(storage.reader().views().find_by_id(view.id).await.unwrap(), None);
}

/// One existing entity of each type that a mutation can refer to.
struct ExistingEntities {
    company: CompanyId,
    user: UserId,
    level: UserLevel,
    view: View,
    feature: Feature,
    module: Module,
}

async fn there(storage: &Arc<dyn Storage>) -> ExistingEntities {
    let company = some_company();
    let there = ExistingEntities {
        company,
        user: some_user(),
        level: level(company, "There"),
        view: some_view(),
        feature: some_feature(),
        module: some_module(),
    };
    given(storage, &[&there.view, &there.feature, &there.module, &there.level]).await;
    there
}

/// Asserts that each mutation is rejected with `Misuse`, each in a unit of work of its own.
macro_rules! refused {
    ($storage:expr, $about:expr, $($tx:ident => $work:expr;)+) => {$(
        assert_misuse(change!($storage, $about, $tx => async { $work.await.map(drop) }));
    )+};
}

/// A unit of work for one company rejects every mutation of another company.
pub async fn a_unit_of_work_rejects_another_company(storage: Arc<dyn Storage>) {
    let ExistingEntities { company: theirs, user, level: foreign, view, feature, module } = there(&storage).await;
    let mine = some_company();
    given(&storage, &[&level(mine, "Mine")]).await;
    assert_rejects_company_mutations(&storage, Target::Company(mine), theirs, user, &foreign, &view, &feature, &module)
        .await;
}

/// A unit of work for the catalog rejects every mutation of a company.
pub async fn a_catalog_unit_rejects_companies(storage: Arc<dyn Storage>) {
    let ExistingEntities { company, user, level, view, feature, module } = there(&storage).await;
    assert_rejects_company_mutations(&storage, Target::Catalog, company, user, &level, &view, &feature, &module).await;
}

#[expect(clippy::too_many_arguments, reason = "one entity of each type")]
async fn assert_rejects_company_mutations(
    storage: &Arc<dyn Storage>,
    target: Target,
    theirs: CompanyId,
    user: UserId,
    foreign: &UserLevel,
    view: &View,
    feature: &Feature,
    module: &Module,
) {
    let before = version_and_record_count(storage, theirs).await;
    let new = level(theirs, "New");
    let (seen, done) = (view_cell(foreign, view.id, ViewState::Allow), feature_cell(foreign, feature.id, "Read"));
    let (held, item, read) = (holding(user, foreign), menu_item(Some(theirs), "Item"), Action::read());
    let there = menu_item(Some(theirs), "There");
    let below = sub_item(&there, "Below");
    given(storage, &[&there, &OwnedSubItem(Some(theirs), &below)]).await;
    let owner = Some(theirs);
    refused! { *storage, target,
        tx => tx.user_levels_mut().create(&new);
        tx => tx.user_levels_mut().update(foreign);
        tx => tx.user_levels_mut().delete(theirs, foreign.id);
        tx => tx.view_permissions_mut().upsert(&seen);
        tx => tx.view_permissions_mut().delete(theirs, foreign.id, view.id);
        tx => tx.view_permissions_mut().replace_for_user_level(theirs, foreign.id, std::slice::from_ref(&seen));
        tx => tx.view_permissions_mut().replace_for_user_level(theirs, foreign.id, &[]);
        tx => tx.feature_permissions_mut().upsert(&done);
        tx => tx.feature_permissions_mut().delete(theirs, foreign.id, feature.id, &read);
        tx => tx.feature_permissions_mut().replace_for_user_level(theirs, foreign.id, std::slice::from_ref(&done));
        tx => tx.assignments_mut().add(&held);
        tx => tx.assignments_mut().remove(theirs, user, foreign.id);
        tx => tx.assignments_mut().replace_for_user(theirs, user, &[foreign.id], None);
        tx => tx.company_modules_mut().add(theirs, module.id);
        tx => tx.company_modules_mut().remove(theirs, module.id);
        tx => tx.company_modules_mut().replace_for_company(theirs, &[module.id]);
        tx => tx.company_modules_mut().set_enabled(theirs, module.id, false);
        tx => tx.menu_items_mut().create(&item);
        tx => tx.menu_items_mut().update(&there);
        tx => tx.menu_items_mut().delete(owner, there.id);
        tx => tx.sub_menu_items_mut().create(owner, &sub_item(&there, "New"));
        tx => tx.sub_menu_items_mut().update(owner, &below);
        tx => tx.sub_menu_items_mut().delete(owner, below.id);
        tx => tx.company_states_mut().set_provisioned(theirs);
    }
    let (after, _) = version_and_record_count(storage, theirs).await;
    assert_eq!(
        after,
        next_version(before.0),
        "the change to the menu must increment the version, and the rejected mutations must not increment it"
    );
    assert_eq!(storage.reader().user_levels().find_all(theirs).await.unwrap(), [foreign.clone()]);
    assert_eq!(storage.reader().menu_items().find_by_id(owner, there.id).await.unwrap(), Some(there));
}

/// A unit of work for a company rejects every mutation of the catalog and of the common menu.
pub async fn a_company_unit_rejects_the_catalog(storage: Arc<dyn Storage>) {
    let ExistingEntities { company, view, feature, module, .. } = there(&storage).await;
    let (item, there) = (menu_item(None, "Item"), menu_item(None, "There"));
    let below = sub_item(&there, "Below");
    given(&storage, &[&there, &OwnedSubItem(None, &below)]).await;
    let before = version_and_record_count(&storage, Target::Catalog).await;
    refused! { storage, company,
        tx => tx.views_mut().create(&some_view());
        tx => tx.views_mut().update(&view);
        tx => tx.views_mut().delete(view.id);
        tx => tx.modules_mut().create(&some_module());
        tx => tx.modules_mut().update(&module);
        tx => tx.modules_mut().delete(module.id);
        tx => tx.features_mut().create(&some_feature());
        tx => tx.features_mut().update(&feature);
        tx => tx.features_mut().delete(feature.id);
        tx => tx.feature_views_mut().add(feature.id, view.id);
        tx => tx.feature_views_mut().remove(feature.id, view.id);
        tx => tx.feature_views_mut().replace_for_feature(feature.id, &[view.id]);
        tx => tx.module_views_mut().add(module.id, view.id);
        tx => tx.module_views_mut().remove(module.id, view.id);
        tx => tx.module_views_mut().replace_for_module(module.id, &[view.id]);
        tx => tx.module_features_mut().add(module.id, feature.id);
        tx => tx.module_features_mut().remove(module.id, feature.id);
        tx => tx.module_features_mut().replace_for_module(module.id, &[feature.id]);
        tx => tx.menu_items_mut().create(&item);
        tx => tx.menu_items_mut().update(&there);
        tx => tx.menu_items_mut().delete(None, there.id);
        tx => tx.sub_menu_items_mut().create(None, &sub_item(&there, "New"));
        tx => tx.sub_menu_items_mut().update(None, &below);
        tx => tx.sub_menu_items_mut().delete(None, below.id);
    }
    assert_eq!(version_and_record_count(&storage, Target::Catalog).await, before);
    assert_eq!(storage.reader().views().find_by_id(view.id).await.unwrap(), Some(view));
    assert_eq!(storage.reader().sub_menu_items().find_by_id(None, below.id).await.unwrap(), Some(below));
}

/// Units of work for two companies can be open at the same time. Each of them sees only its own uncommitted writes.
pub async fn units_of_work_of_two_companies_may_be_open_concurrently(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (some_company(), some_company());
    let (my_level, their_level) = (level(mine, "Mine"), level(theirs, "Theirs"));
    let mut my_tx = begin(&storage, mine).await;
    let mut their_tx = begin(&storage, theirs).await;
    my_tx.user_levels_mut().create(&my_level).await.unwrap();
    their_tx.user_levels_mut().create(&their_level).await.unwrap();
    assert_eq!(my_tx.user_levels().find_all(theirs).await.unwrap(), []);
    assert_eq!(their_tx.user_levels().find_all(theirs).await.unwrap(), [their_level.clone()]);
    their_tx.commit().await.unwrap();
    my_tx.commit().await.unwrap();
    assert_eq!(storage.reader().user_levels().find_all(mine).await.unwrap(), [my_level]);
    assert_eq!(storage.reader().user_levels().find_all(theirs).await.unwrap(), [their_level]);
}

/// Each committed unit of work increments the version of its target by one, regardless of its number of mutations. The
/// versions of other targets do not change.
pub async fn each_unit_of_work_increments_the_version(storage: Arc<dyn Storage>) {
    let (mine, theirs) = (some_company(), some_company());
    given(&storage, &[&level(theirs, "Theirs")]).await;
    let (theirs_before, catalog) = (versions(&storage, Some(theirs)).await, versions(&storage, None).await);
    assert_eq!(catalog.company, 0);
    let unborn = versions(&storage, Some(mine)).await;
    assert_eq!(unborn, Versions { company: 0, ..catalog });

    for round in 1..=3 {
        let (one, other) = (level(mine, format!("One {round}")), level(mine, format!("Other {round}")));
        let mut tx = begin(&storage, mine).await;
        one.store(tx.as_mut()).await.unwrap();
        other.store(tx.as_mut()).await.unwrap();
        let committed = tx.commit().await.unwrap();
        assert_eq!(committed, CommitStamp::Company(Versions { company: round, ..catalog }));
        assert_eq!(Some(versions(&storage, Some(mine)).await), committed.versions());
    }
    assert_eq!(versions(&storage, Some(theirs)).await, theirs_before);

    for round in 1..=3 {
        let mut tx = begin(&storage, Target::Catalog).await;
        some_view().store(tx.as_mut()).await.unwrap();
        some_feature().store(tx.as_mut()).await.unwrap();
        let committed = tx.commit().await.unwrap();
        assert_eq!(committed.versions(), Some(Versions { catalog: catalog.catalog + round, ..catalog }));
    }
    let now = versions(&storage, Some(mine)).await;
    assert_eq!(now, Versions { company: 3, catalog: catalog.catalog + 3, ..catalog });
}

/// The time of a unit of work does not change, and is not earlier than the time of any previous unit of work.
pub async fn the_time_of_units_of_work_never_goes_back(storage: Arc<dyn Storage>) {
    let company = some_company();
    let mut last = at(0);
    for round in 0..5 {
        let mut tx = begin(&storage, company).await;
        let now = tx.now();
        level(company, format!("Level {round}")).store(tx.as_mut()).await.unwrap();
        assert_eq!(tx.now(), now);
        assert!(now >= last, "the time {now} must not be earlier than {last}");
        last = now;
        tx.commit().await.unwrap();
    }
}

/// A unit of work may delete an entity that it created. The commit then stores the audit records of both mutations, but
/// not the entity.
pub async fn a_unit_of_work_may_undo_its_writes(storage: Arc<dyn Storage>) {
    let company = some_company();
    let fleeting = level(company, "Fleeting");
    change!(storage, company, tx => async {
        tx.user_levels_mut().create(&fleeting).await?;
        let renamed = UserLevel { name: name(unique("Renamed")), ..fleeting.clone() };
        let before = tx.user_levels_mut().update(&renamed).await?;
        assert_eq!(before, fleeting);
        let before = tx.user_levels_mut().delete(company, fleeting.id).await?;
        assert_eq!(before, renamed);
        Ok(())
    })
    .unwrap();
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), []);
    let records = records_about(&storage, Some(company), EntityType::UserLevel, fleeting.id.as_uuid());
    let actions: Vec<_> = records.await.into_iter().map(|record| record.action).collect();
    assert_eq!(actions, ["user_level.created", "user_level.updated", "user_level.deleted"]);
}

/// A unit of work can be sent to another task and committed there.
pub async fn a_unit_of_work_can_move_between_tasks(storage: Arc<dyn Storage>) {
    async fn create(mut tx: Box<dyn UnitOfWork>, level: UserLevel) -> Result<CommitStamp> {
        tx.user_levels_mut().create(&level).await?;
        tx.commit().await
    }
    let company = some_company();
    let made = level(company, "Moved");
    let tx = begin(&storage, company).await;
    tokio::spawn(create(tx, made.clone())).await.unwrap().unwrap();
    assert_eq!(storage.reader().user_levels().find_all(company).await.unwrap(), [made]);
}
