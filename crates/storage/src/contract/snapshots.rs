//! Test cases for snapshots: consistent reads of the data from which decisions are computed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iam_domain::{
    Action, CompanyId, CompanySnapshot, Feature, FeaturePermission, FeatureRule, Icon, LevelPermissions, Menu,
    MenuItem, Module, ModuleId, Priority, Reason, Scope, Snapshot, SubMenuItem, UserId, UserLevel, View, ViewId,
    ViewState,
};

use super::concurrency::while_reading;
use super::fixtures::{
    Given, OwnedSubItem, action, ascending, begin, change, change_with_retries, feature_cell, given, given_all,
    holding, level, menu_item, only, some_company, some_feature, some_module, some_user, some_view, sub_item, unique,
    versions, view_cell,
};
use crate::{Stamped, Storage, Target};

pub(super) async fn of_user(storage: &Arc<dyn Storage>, company: CompanyId, user: UserId) -> Stamped<Snapshot> {
    storage.reader().snapshots().load_user(company, user).await.unwrap()
}

pub(super) async fn of_company(storage: &Arc<dyn Storage>, company: CompanyId) -> Stamped<CompanySnapshot> {
    storage.reader().snapshots().load_company(company).await.unwrap()
}

/// A user's snapshot contains exactly the levels that the user holds, ordered by id, with all of their cells.
pub async fn a_user_snapshot_contains_the_users_levels(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let ids = ascending!(UserLevelId, 4);
    let views = [(); 3].map(|()| some_view());
    let feature = Feature { actions: Some(vec![action("Zip")]), ..some_feature() };
    given_all(&storage, &views).await;
    given(&storage, &[&feature]).await;
    let [a, b, c] = views.each_ref().map(|view| view.id);
    let levels = [2, 0, 3, 1].map(|n| UserLevel { id: ids[n], ..level(company, format!("Level {n}")) });
    let [third, first, not_held, silent] = &levels;
    given_all(&storage, &levels).await;
    given_all(&storage, &[third, first, silent].map(|level| holding(user, level))).await;
    let zip = FeaturePermission { value: false, scope: Scope::Own, ..feature_cell(first, feature.id, "Zip") };
    let read = FeaturePermission { scope: Scope::Team, ..feature_cell(first, feature.id, "Read") };
    let cells: [&dyn Given; 6] = [
        &view_cell(third, a, ViewState::Allow),
        &view_cell(first, b, ViewState::Inherit),
        &view_cell(first, a, ViewState::Deny),
        &view_cell(not_held, c, ViewState::Deny),
        &zip,
        &read,
    ];
    given(&storage, &cells).await;

    let Stamped { versions: stamp, value, .. } = of_user(&storage, company, user).await;
    let rule = |value, scope| FeatureRule { value, scope };
    let said =
        [(feature.id, action("Zip"), rule(false, Scope::Own)), (feature.id, action("Read"), rule(true, Scope::Team))];
    assert_eq!(
        value.levels,
        [
            LevelPermissions::new(first.id, [(a, ViewState::Deny), (b, ViewState::Inherit)], said),
            LevelPermissions::new(silent.id, [], []),
            LevelPermissions::new(third.id, [(a, ViewState::Allow)], []),
        ]
    );
    assert_eq!(stamp, versions(&storage, Some(company)).await);
    assert_eq!(value.catalog.feature(feature.id), Some(&feature));
    assert_eq!(value.catalog.view_by_url(views[0].url.as_str()), Some(&views[0]));
}

/// The snapshot of an unknown user or company has no levels, holders or modules, but it has the catalog.
pub async fn unknown_users_and_companies_have_empty_snapshots(storage: Arc<dyn Storage>) {
    let (known, view) = (some_company(), some_view());
    given(&storage, &[&view, &level(known, "Admin")]).await;
    for company in [known, some_company()] {
        let Stamped { versions: stamp, value, .. } = of_user(&storage, company, some_user()).await;
        assert_eq!((value.levels.len(), value.modules.len()), (0, 0));
        assert_eq!(value.view(view.id).reason, Reason::NoUserLevels);
        assert_eq!(stamp, versions(&storage, Some(company)).await);
    }
    let unknown = of_company(&storage, some_company()).await;
    assert_eq!(unknown.versions, versions(&storage, None).await);
    assert_eq!((unknown.value.levels.len(), unknown.value.holders.len(), unknown.value.modules.len()), (0, 0, 0));
    assert_eq!(unknown.value.catalog.view(view.id), Some(&view));
}

/// A company's snapshot contains all levels of the company and all users who hold a level. For each user, it contains
/// the same data as the user's own snapshot.
pub async fn a_company_snapshot_contains_all_users(storage: Arc<dyn Storage>) {
    let (company, other, view, module) = (some_company(), some_company(), some_view(), some_module());
    let (one, both, non_member) = (some_user(), some_user(), some_user());
    let (admin, member, unused) = (level(company, "Admin"), level(company, "Member"), level(company, "Unused"));
    let foreign = level(other, "Admin");
    given(&storage, &[&view, &module, &foreign, &holding(one, &foreign)]).await;
    given_all(&storage, &[admin.clone(), member.clone(), unused.clone()]).await;
    given_all(&storage, &[holding(one, &admin), holding(both, &admin), holding(both, &member)]).await;
    given(&storage, &[&view_cell(&member, view.id, ViewState::Deny)]).await;
    change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();

    let Stamped { versions: stamp, value, .. } = of_company(&storage, company).await;
    assert_eq!(stamp, versions(&storage, Some(company)).await);
    assert_eq!(value.modules, [module.id].into());
    let silent = |level: &UserLevel| (level.id, LevelPermissions::new(level.id, [], []));
    let said = LevelPermissions::new(member.id, [(view.id, ViewState::Deny)], []);
    assert_eq!(value.levels, BTreeMap::from([silent(&admin), (member.id, said), silent(&unused)]));
    let holders = [(one, BTreeSet::from([admin.id])), (both, BTreeSet::from([admin.id, member.id]))];
    assert_eq!(value.holders, holders.map(|(user, held)| (user, Arc::new(held))).into());
    for user in [one, both, non_member] {
        assert_eq!(value.of_user(user), of_user(&storage, company, user).await.value);
    }
}

/// A snapshot contains the module gates. A view or feature that belongs to no module is not gated. The gate of any
/// other view or feature is open if at least one of its modules is enabled both for the company and in the catalog.
pub async fn gates_open_with_an_enabled_module(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let admin = level(company, "Admin");
    let (free, gated, feature) = (some_view(), some_view(), some_feature());
    let (first, second) = (some_module(), some_module());
    given(&storage, &[&free, &gated, &feature, &first, &second, &admin, &holding(user, &admin)]).await;
    given(&storage, &[&view_cell(&admin, free.id, ViewState::Allow), &view_cell(&admin, gated.id, ViewState::Allow)])
        .await;
    given(&storage, &[&feature_cell(&admin, feature.id, "Read")]).await;
    change!(storage, Target::Catalog, tx => async {
        for module in [first.id, second.id] {
            tx.module_views_mut().add(module, gated.id).await?;
            tx.module_features_mut().add(module, feature.id).await?;
        }
        Ok(())
    })
    .unwrap();
    let gates = async || {
        let snapshot = of_user(&storage, company, user).await.value;
        let read = Action::read();
        let of_all = of_company(&storage, company).await.value.of_user(user);
        assert_eq!(snapshot, of_all);
        assert!(snapshot.view(free.id).allowed);
        assert_eq!(snapshot.view(gated.id).allowed, snapshot.feature(feature.id, &read).allowed);
        (snapshot.view(gated.id).reason, snapshot.modules.clone())
    };
    let closed = Reason::ViewModuleMissing;
    assert_eq!(gates().await, (closed, [].into()));
    change!(storage, company, tx => tx.company_modules_mut().add(company, first.id)).unwrap();
    assert_eq!(gates().await, (Reason::ExplicitAllow, [first.id].into()));
    change!(storage, company, tx => tx.company_modules_mut().set_enabled(company, first.id, false)).unwrap();
    assert_eq!(gates().await, (closed, [].into()), "a module that is disabled for the company must not open the gate");
    change!(storage, company, tx => tx.company_modules_mut().add(company, second.id)).unwrap();
    assert_eq!(gates().await.0, Reason::ExplicitAllow);
    let off = Module { enabled: false, ..second.clone() };
    change!(storage, Target::Catalog, tx => tx.modules_mut().update(&off)).unwrap();
    assert_eq!(gates().await.0, closed, "a module that is disabled in the catalog must not open the gate");
    change!(storage, Target::Catalog, tx => tx.modules_mut().update(&second)).unwrap();
    assert_eq!(gates().await.0, Reason::ExplicitAllow);
    change!(storage, company, tx => tx.company_modules_mut().remove(company, second.id)).unwrap();
    assert_eq!(gates().await.0, closed);
    change!(storage, Target::Catalog, tx => async {
        tx.modules_mut().delete(first.id).await?;
        tx.modules_mut().delete(second.id).await
    })
    .unwrap();
    assert_eq!(gates().await.0, Reason::ExplicitAllow, "a view that belongs to no module must not be gated");
}

/// A snapshot that is read after a commit contains the change and has its version. The tested changes are new cells,
/// public views, disabled features, and deletions.
pub async fn the_next_snapshot_contains_the_change(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let (admin, view, feature) = (level(company, "Admin"), some_view(), some_feature());
    given(&storage, &[&view, &feature, &admin, &holding(user, &admin), &feature_cell(&admin, feature.id, "Read")])
        .await;
    let reasons = async || {
        let Stamped { versions: stamp, value, .. } = of_user(&storage, company, user).await;
        assert_eq!(stamp, versions(&storage, Some(company)).await);
        (value.view(view.id).reason, value.feature(feature.id, &Action::read()).reason)
    };
    assert_eq!(reasons().await, (Reason::NoExplicitAllow, Reason::ExplicitAllow));
    given(&storage, &[&view_cell(&admin, view.id, ViewState::Deny)]).await;
    assert_eq!(reasons().await, (Reason::ExplicitDeny, Reason::ExplicitAllow));
    let (public, off) = (View { requires_auth: false, ..view.clone() }, Feature { enabled: false, ..feature.clone() });
    change!(storage, Target::Catalog, tx => async {
        tx.views_mut().update(&public).await?;
        tx.features_mut().update(&off).await
    })
    .unwrap();
    assert_eq!(reasons().await, (Reason::PublicView, Reason::FeatureDisabled));
    change!(storage, Target::Catalog, tx => async {
        tx.views_mut().delete(view.id).await?;
        tx.features_mut().delete(feature.id).await
    })
    .unwrap();
    assert_eq!(reasons().await, (Reason::UnknownView, Reason::UnknownFeature));
}

/// A company that alternates between two states. In both states, both views are denied to the user. A read that mixes
/// data of the two states would allow one of the views.
#[derive(Debug, Clone)]
struct InconsistentStates {
    company: CompanyId,
    user: UserId,
    /// In each state, the user holds one of these levels. The level that the user does not hold allows the first view.
    levels: [UserLevel; 2],
    /// The two views. The cells for the second view allow it while its module is disabled, and deny it while its module
    /// is enabled.
    views: [ViewId; 2],
    module: ModuleId,
}

impl InconsistentStates {
    async fn set(storage: &Arc<dyn Storage>) -> Self {
        let (company, user, views, module) = (some_company(), some_user(), [some_view(), some_view()], some_module());
        let levels = [level(company, "One"), level(company, "Other")];
        given_all(storage, &views).await;
        given(storage, &[&module]).await;
        given_all(storage, &levels).await;
        let views = views.map(|view| view.id);
        change!(*storage, Target::Catalog, tx => tx.module_views_mut().add(module.id, views[1])).unwrap();
        change!(*storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();
        let trap = Self { company, user, levels, views, module: module.id };
        trap.turn(storage, 0).await;
        trap
    }

    /// Writes the first state (0) or the second state (1).
    async fn turn(&self, storage: &Arc<dyn Storage>, state: usize) {
        let Self { company, user, levels, views, module } = self;
        let (held, other) = (&levels[state], &levels[1 - state]);
        let (switched_on, says) = if state == 0 { (false, ViewState::Allow) } else { (true, ViewState::Deny) };
        let cells = levels.each_ref().map(|level| view_cell(level, views[1], says));
        let bait = [view_cell(other, views[0], ViewState::Allow), cells[1 - state].clone()];
        change_with_retries!(*storage, *company, tx => async {
            tx.assignments_mut().replace_for_user(*company, *user, &[held.id], None).await?;
            let plain = std::slice::from_ref(&cells[state]);
            tx.view_permissions_mut().replace_for_user_level(*company, held.id, plain).await?;
            tx.view_permissions_mut().replace_for_user_level(*company, other.id, &bait).await?;
            tx.company_modules_mut().set_enabled(*company, *module, switched_on).await
        })
        .unwrap();
    }

    fn check(&self, snapshot: &Snapshot) {
        assert_eq!(snapshot.levels.len(), 1, "the user must always hold one level");
        for view in self.views {
            let decision = snapshot.view(view);
            assert!(
                !decision.allowed,
                "no snapshot may allow a view that both states deny: {decision:?} in {snapshot:?}"
            );
        }
    }
}

/// `load_catalog` returns the same catalog as a user snapshot, with the company version 0. This applies inside and
/// outside a unit of work.
pub async fn the_catalog_is_loaded_separately(storage: Arc<dyn Storage>) {
    let (company, view, inside) = (some_company(), some_view(), some_view());
    given(&storage, &[&view, &level(company, "Admin")]).await;
    let alone = storage.reader().snapshots().load_catalog().await.unwrap();
    assert_eq!(alone.versions, versions(&storage, None).await);
    assert_eq!(alone.value, of_company(&storage, company).await.value.catalog);
    assert_eq!(alone.value.view(view.id), Some(&view));

    let mut tx = begin(&storage, Target::Catalog).await;
    assert_eq!(tx.snapshots().load_catalog().await.unwrap().value.view(inside.id), None);
    inside.store(tx.as_mut()).await.unwrap();
    assert_eq!(tx.snapshots().load_catalog().await.unwrap().value.view(inside.id), Some(&inside));
    assert_eq!(storage.reader().snapshots().load_catalog().await.unwrap(), alone);
}

/// A snapshot of some users contains only these users and the levels that they hold. Otherwise it equals the snapshot
/// of the whole company.
pub async fn a_snapshot_of_some_users_contains_only_these_users(storage: Arc<dyn Storage>) {
    let (company, theirs, view, module) = (some_company(), some_company(), some_view(), some_module());
    let [one, two, not_asked, non_member] = [(); 4].map(|()| some_user());
    let levels = ["Shared", "Single", "Elsewhere", "Unheld"].map(|name| level(company, name));
    let [shared, single, elsewhere, _] = &levels;
    let foreign = level(theirs, "Foreign");
    given(&storage, &[&view, &module]).await;
    given_all(&storage, &levels).await;
    let holdings = [(one, shared), (one, single), (two, shared), (not_asked, shared), (not_asked, elsewhere)];
    given_all(&storage, &holdings.map(|(user, level)| holding(user, level))).await;
    given_all(&storage, &[shared, elsewhere].map(|level| view_cell(level, view.id, ViewState::Allow))).await;
    given(&storage, &[&foreign, &holding(one, &foreign)]).await;
    change!(storage, company, tx => tx.company_modules_mut().add(company, module.id)).unwrap();

    let load = async |company: CompanyId, users: &[UserId]| {
        storage.reader().snapshots().load_users(company, users).await.unwrap()
    };
    let some = load(company, &[two, non_member, one, one]).await;
    let all = of_company(&storage, company).await;
    let mut expected = all.clone();
    expected.value.holders.remove(&not_asked);
    expected.value.levels.retain(|id, _| [shared.id, single.id].contains(id));
    assert_eq!(some, expected);
    for user in [one, two, non_member] {
        assert_eq!(some.value.of_user(user), of_user(&storage, company, user).await.value);
    }
    for (company, users) in [(company, &[] as &[UserId]), (company, &[non_member]), (some_company(), &[one])] {
        let Stamped { value, .. } = load(company, users).await;
        assert_eq!((value.holders.len(), value.levels.len()), (0, 0));
    }

    let mut tx = begin(&storage, company).await;
    tx.assignments_mut().remove(company, two, shared.id).await.unwrap();
    let inside = tx.snapshots().load_users(company, &[two]).await.unwrap();
    assert_eq!(inside.value.holders, BTreeMap::new());
    assert_eq!(load(company, &[two, non_member, one]).await, some);
}

/// A snapshot of some users never mixes data of two states.
pub async fn a_snapshot_of_some_users_never_mixes_two_states(storage: Arc<dyn Storage>) {
    let trap = InconsistentStates::set(&storage).await;
    let (writer, turned) = (Arc::clone(&storage), trap.clone());
    let write = async move {
        for round in 1..40 {
            turned.turn(&writer, round % 2).await;
        }
    };
    while_reading(write, move || {
        let (storage, trap) = (Arc::clone(&storage), trap.clone());
        async move {
            let loaded = storage.reader().snapshots().load_users(trap.company, &[trap.user]).await.unwrap();
            trap.check(&loaded.value.of_user(trap.user));
        }
    })
    .await;
}

/// A loaded menu contains the entries of its owner and no others, in the same order as the lists of entries. It has the
/// versions at which it was read.
pub async fn a_menu_is_loaded_with_its_versions(storage: Arc<dyn Storage>) {
    let (company, view, feature) = (some_company(), some_view(), some_feature());
    let ordered = |owner, label: &str, sort_order| MenuItem { sort_order, ..menu_item(owner, label) };
    let key = feature.key.clone().unwrap();
    let full = MenuItem {
        icon: Some(Icon::parse("icon").unwrap()),
        priority: Priority::Premium,
        required_permissions: Some(vec![key]),
        view_id: Some(view.id),
        feature_id: Some(feature.id),
        is_entrypoint: false,
        ..ordered(Some(company), "Full", 3)
    };
    let own =
        [ordered(Some(company), "B", 2), ordered(Some(company), "A", 2), full.clone(), ordered(Some(company), "Z", 1)];
    let common = [ordered(None, "Common", -1), ordered(None, "Common too", -2)];
    given(&storage, &[&view, &feature]).await;
    given_all(&storage, &own).await;
    given_all(&storage, &common).await;
    let under = |item: &MenuItem, label: &str, sort_order| SubMenuItem { sort_order, ..sub_item(item, label) };
    let sub_items = [under(&own[0], "Y", 1), under(&full, "X", 1), under(&own[0], "Last", 2)];
    let full_sub_item = SubMenuItem {
        icon: Some(Icon::parse("icon").unwrap()),
        view_id: Some(view.id),
        feature_id: Some(feature.id),
        enabled: false,
        ..under(&own[3], "First", 0)
    };
    for sub_item in sub_items.iter().chain([&full_sub_item]) {
        given(&storage, &[&OwnedSubItem(Some(company), sub_item)]).await;
    }
    let common_sub_item = sub_item(&common[0], "Common");
    given(&storage, &[&OwnedSubItem(None, &common_sub_item)]).await;

    let load = async |owner| storage.reader().snapshots().load_menu(owner).await.unwrap();
    let loaded = load(Some(company)).await;
    assert_eq!(loaded.versions, versions(&storage, Some(company)).await);
    assert_eq!(loaded.value.items, [&own[3], &own[1], &own[0], &full].map(MenuItem::clone));
    let [y, x, last] = sub_items;
    assert_eq!(loaded.value.sub_items, [full_sub_item, x, y, last]);

    let of_all = load(None).await;
    assert_eq!(of_all.versions, versions(&storage, None).await);
    assert_eq!(of_all.versions.company, 0);
    assert!(of_all.value.items.iter().all(|item| item.company_id.is_none()));
    let mine = [common[0].id, common[1].id];
    assert_eq!(only(of_all.value.items, &mine, |item| item.id), [mine[1], mine[0]]);
    assert_eq!(only(of_all.value.sub_items, &[common_sub_item.id], |item| item.id), [common_sub_item.id]);

    let unknown = load(Some(some_company())).await;
    assert_eq!((unknown.versions.company, unknown.value), (0, Menu::default()));

    let mut tx = begin(&storage, company).await;
    tx.menu_items_mut().delete(Some(company), own[0].id).await.unwrap();
    let inside = tx.snapshots().load_menu(Some(company)).await.unwrap();
    assert_eq!((inside.value.items.len(), inside.value.sub_items.len()), (3, 2));
    assert_eq!(load(Some(company)).await, loaded);
}

/// A user's snapshot never mixes the levels of one state with the cells or the modules of another state.
pub async fn a_user_snapshot_never_mixes_two_states(storage: Arc<dyn Storage>) {
    let trap = InconsistentStates::set(&storage).await;
    let (writer, turned) = (Arc::clone(&storage), trap.clone());
    let write = async move {
        for round in 1..40 {
            turned.turn(&writer, round % 2).await;
        }
    };
    while_reading(write, move || {
        let (storage, trap) = (Arc::clone(&storage), trap.clone());
        async move { trap.check(&of_user(&storage, trap.company, trap.user).await.value) }
    })
    .await;
}

/// A company's snapshot never mixes data of two states.
pub async fn a_company_snapshot_never_mixes_two_states(storage: Arc<dyn Storage>) {
    let trap = InconsistentStates::set(&storage).await;
    let (writer, turned) = (Arc::clone(&storage), trap.clone());
    let write = async move {
        for round in 1..40 {
            turned.turn(&writer, round % 2).await;
        }
    };
    while_reading(write, move || {
        let (storage, trap) = (Arc::clone(&storage), trap.clone());
        async move { trap.check(&of_company(&storage, trap.company).await.value.of_user(trap.user)) }
    })
    .await;
}

/// A snapshot contains every change to the company and to the catalog up to the versions of the snapshot, and no later
/// change.
pub async fn a_snapshot_contains_all_changes_up_to_its_versions(storage: Arc<dyn Storage>) {
    let company = some_company();
    given(&storage, &[&level(company, "First")]).await;
    let base = versions(&storage, Some(company)).await;
    let views: Vec<_> = (0..12).map(|_| some_view()).collect();
    let view_ids: Vec<_> = views.iter().map(|view| view.id).collect();
    let writer = Arc::clone(&storage);
    let write = async move {
        for view in views {
            let made = level(company, unique("Level"));
            change_with_retries!(writer, company, tx => made.store(tx)).unwrap();
            change_with_retries!(writer, Target::Catalog, tx => view.store(tx)).unwrap();
        }
    };
    while_reading(write, move || {
        let (storage, view_ids) = (Arc::clone(&storage), view_ids.clone());
        async move {
            let Stamped { versions: stamp, value, .. } = of_company(&storage, company).await;
            let views = view_ids.iter().filter(|view| value.catalog.view(**view).is_some()).count();
            assert_eq!(value.levels.len() as i64, stamp.company);
            assert_eq!(views as i64, stamp.catalog - base.catalog);
            let Stamped { versions: stamp, value, .. } = of_user(&storage, company, some_user()).await;
            let views = view_ids.iter().filter(|view| value.catalog.view(**view).is_some()).count();
            assert_eq!(views as i64, stamp.catalog - base.catalog);
        }
    })
    .await;
}

/// Later changes do not affect a loaded snapshot. A snapshot that is loaded inside a unit of work contains the unit of
/// work's own writes.
pub async fn a_loaded_snapshot_does_not_change(storage: Arc<dyn Storage>) {
    let (company, user, view) = (some_company(), some_user(), some_view());
    let admin = level(company, "Admin");
    given(&storage, &[&view, &admin, &holding(user, &admin)]).await;
    let before = of_user(&storage, company, user).await;
    let mut tx = begin(&storage, company).await;
    view_cell(&admin, view.id, ViewState::Allow).store(tx.as_mut()).await.unwrap();
    let inside = tx.snapshots().load_user(company, user).await.unwrap().value;
    let all_inside = tx.snapshots().load_company(company).await.unwrap().value;
    assert!(inside.view(view.id).allowed);
    assert_eq!(all_inside.of_user(user), inside);
    assert_eq!(of_user(&storage, company, user).await, before);
    tx.commit().await.unwrap();
    assert!(!before.value.view(view.id).allowed);
    assert_eq!(of_user(&storage, company, user).await.value, inside);
}
