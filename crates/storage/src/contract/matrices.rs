//! Test cases for view and feature matrices: single cells, and the order of the lists.

use std::sync::Arc;

use iam_domain::{
    Action, CompanyId, EntityType, Feature, FeaturePermission, Scope, UserLevel, View, ViewPermission, ViewState,
};

use super::fixtures::{
    action, ascending, at, change, feature_cell, given, given_all, keys, level, some_company, some_feature, some_view,
    view_cell,
};
use super::outcomes::{assert_conflict, assert_unknown};
use crate::{Constraint, Storage, Target};

/// A written view cell is returned unchanged: individually, with the cells of its level, and with the cells for its
/// view.
pub async fn a_view_cell_is_read_as_written(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, view) = (level(company, "Admin"), some_view());
    given(&storage, &[&view, &admin]).await;
    let cells = storage.reader().view_permissions();
    for state in [ViewState::Allow, ViewState::Deny, ViewState::Inherit] {
        let written = ViewPermission { modifiable: false, ..view_cell(&admin, view.id, state) };
        change!(storage, company, tx => async {
            tx.view_permissions_mut().upsert(&written).await?;
            tx.view_permissions_mut().upsert(&written).await
        })
        .unwrap();
        assert_eq!(cells.find(company, admin.id, view.id).await.unwrap(), Some(written.clone()));
        assert_eq!(cells.find_by_user_level(company, admin.id).await.unwrap(), [written.clone()]);
        assert_eq!(cells.find_by_view(company, view.id).await.unwrap(), [written]);
        assert!(change!(storage, company, tx => tx.view_permissions_mut().delete(company, admin.id, view.id)).unwrap());
    }
    assert_eq!(cells.find(company, admin.id, view.id).await.unwrap(), None);
}

/// A written feature cell is returned unchanged: individually, with the cells of its level, and with the cells for its
/// feature.
pub async fn a_feature_cell_is_read_as_written(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, feature) = (level(company, "Admin"), some_feature());
    given(&storage, &[&feature, &admin]).await;
    let cells = storage.reader().feature_permissions();
    for (value, scope) in [(true, Scope::Own), (true, Scope::Team), (false, Scope::Company), (true, Scope::Any)] {
        let written = FeaturePermission { value, scope, modifiable: false, ..feature_cell(&admin, feature.id, "Read") };
        given(&storage, &[&written]).await;
        let read = Action::read();
        assert_eq!(cells.find(company, admin.id, feature.id, &read).await.unwrap(), Some(written.clone()));
        assert_eq!(cells.find(company, admin.id, feature.id, &action("read")).await.unwrap(), None);
        assert_eq!(cells.find_by_user_level(company, admin.id).await.unwrap(), [written.clone()]);
        assert_eq!(cells.find_by_feature(company, feature.id).await.unwrap(), [written]);
        let gone = change!(storage, company, tx => {
            tx.feature_permissions_mut().delete(company, admin.id, feature.id, &read)
        });
        assert!(gone.unwrap());
    }
    assert_eq!(cells.find_by_feature(company, feature.id).await.unwrap(), []);
}

/// `count_pinned` returns the number of pinned cells in both matrices of a level. Cells of other levels are not
/// counted.
pub async fn pinned_cells_are_counted(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, other) = (level(company, "Admin"), level(company, "Other"));
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature, &admin, &other]).await;
    let levels = storage.reader().user_levels();
    assert_eq!(levels.count_pinned(company, admin.id).await.unwrap(), 0);
    let pinned_view = ViewPermission { modifiable: false, ..view_cell(&admin, view.id, ViewState::Deny) };
    let pinned_action = FeaturePermission { modifiable: false, ..feature_cell(&admin, feature.id, "Read") };
    let free_action = feature_cell(&admin, feature.id, "Update");
    let pinned_elsewhere = ViewPermission { modifiable: false, ..view_cell(&other, view.id, ViewState::Deny) };
    given(&storage, &[&pinned_view, &pinned_action, &free_action, &pinned_elsewhere]).await;
    assert_eq!(levels.count_pinned(company, admin.id).await.unwrap(), 2);
    assert_eq!(levels.count_pinned(some_company(), admin.id).await.unwrap(), 0);
}

/// Upserting an existing cell changes its content, but not its id or creation time.
pub async fn an_overwritten_cell_keeps_its_id(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, view, feature) = (level(company, "Admin"), some_view(), some_feature());
    let (seen, done) = (view_cell(&admin, view.id, ViewState::Allow), feature_cell(&admin, feature.id, "Read"));
    given(&storage, &[&view, &feature, &admin, &seen, &done]).await;

    let (created_at, updated_at) = (at(900), at(901));
    let denied = view_cell(&admin, view.id, ViewState::Deny);
    let denied = ViewPermission { modifiable: false, created_at, updated_at, ..denied };
    let refused = feature_cell(&admin, feature.id, "Read");
    let refused = FeaturePermission { value: false, scope: Scope::Own, created_at, updated_at, ..refused };
    given(&storage, &[&denied, &refused]).await;

    let view_cells = storage.reader().view_permissions().find_by_user_level(company, admin.id).await.unwrap();
    assert_eq!(view_cells, [ViewPermission { id: seen.id, created_at: seen.created_at, ..denied }]);
    let feature_cells = storage.reader().feature_permissions().find_by_user_level(company, admin.id).await.unwrap();
    assert_eq!(feature_cells, [FeaturePermission { id: done.id, created_at: done.created_at, ..refused }]);
}

/// Each action of a feature has its own cell. Actions are compared exactly, including case.
pub async fn each_action_has_a_separate_cell(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, feature) = (level(company, "Admin"), Feature { actions: Some(vec![action("read")]), ..some_feature() });
    let (upper, lower) = (feature_cell(&admin, feature.id, "Read"), feature_cell(&admin, feature.id, "read"));
    given(&storage, &[&feature, &admin, &upper, &lower]).await;
    let gone = change!(storage, company, tx => {
        tx.feature_permissions_mut().delete(company, admin.id, feature.id, &upper.action)
    });
    assert!(gone.unwrap());
    let cells = storage.reader().feature_permissions().find_by_feature(company, feature.id).await.unwrap();
    assert_eq!(cells, [lower]);
}

/// The id of a cell is unique, both within a level and across companies.
pub async fn a_cell_id_is_unique(storage: Arc<dyn Storage>) {
    let Two { mine, theirs, my_level, their_level, .. } = two(&storage).await;
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    let (views, features) = (storage.reader().view_permissions(), storage.reader().feature_permissions());
    let view_cell_id = views.find_by_user_level(mine, my_level.id).await.unwrap()[0].id;
    let feature_cell_id = features.find_by_user_level(mine, my_level.id).await.unwrap()[0].id;
    for (company, level) in [(mine, &my_level), (theirs, &their_level)] {
        let seen = ViewPermission { id: view_cell_id, ..view_cell(level, view.id, ViewState::Allow) };
        let written = change!(storage, company, tx => tx.view_permissions_mut().upsert(&seen));
        assert_conflict(written, Constraint::Duplicate);
        let done = FeaturePermission { id: feature_cell_id, ..feature_cell(level, feature.id, "Read") };
        let written = change!(storage, company, tx => tx.feature_permissions_mut().upsert(&done));
        assert_conflict(written, Constraint::Duplicate);
    }
    assert_eq!(views.find_by_view(theirs, view.id).await.unwrap(), []);
    assert_eq!(features.find_by_feature(mine, feature.id).await.unwrap(), []);
}

/// The view cells of a level are sorted by view id. The cells for a view are sorted by level id.
pub async fn view_cells_are_ordered_by_id(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (view_ids, level_ids) = (ascending!(ViewId, 4), ascending!(UserLevelId, 4));
    let views = [2, 0, 3, 1].map(|n| View { id: view_ids[n], ..some_view() });
    let levels = [3, 1, 0, 2].map(|n| UserLevel { id: level_ids[n], ..level(company, format!("Level {n}")) });
    given_all(&storage, &views).await;
    given_all(&storage, &levels).await;
    given_all(&storage, &views.each_ref().map(|view| view_cell(&levels[0], view.id, ViewState::Allow))).await;
    given_all(&storage, &levels.each_ref().map(|level| view_cell(level, view_ids[1], ViewState::Deny))).await;

    let cells = storage.reader().view_permissions();
    let of_level = cells.find_by_user_level(company, levels[0].id).await.unwrap();
    assert_eq!(keys(&of_level, |cell| cell.view_id), view_ids);
    let of_view = cells.find_by_view(company, view_ids[1]).await.unwrap();
    assert_eq!(keys(&of_view, |cell| cell.user_level_id), level_ids);
}

/// The feature cells of a level are sorted by feature id, then by the bytes of the action. The cells for a feature are
/// sorted by level id, then by the bytes of the action.
pub async fn feature_cells_are_ordered_by_id_then_action(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (feature_ids, level_ids) = (ascending!(FeatureId, 3), ascending!(UserLevelId, 3));
    let own = ["a", "ä", "B"].map(action).to_vec();
    let features = [2, 0, 1].map(|n| Feature { id: feature_ids[n], actions: Some(own.clone()), ..some_feature() });
    let levels = [1, 2, 0].map(|n| UserLevel { id: level_ids[n], ..level(company, format!("Level {n}")) });
    given_all(&storage, &features).await;
    given_all(&storage, &levels).await;
    for word in ["ä", "a", "B", "Read"] {
        given_all(&storage, &features.each_ref().map(|feature| feature_cell(&levels[0], feature.id, word))).await;
        given_all(&storage, &levels.each_ref().map(|level| feature_cell(level, feature_ids[1], word))).await;
    }
    let sorted = ["B", "Read", "a", "ä"];

    let cells = storage.reader().feature_permissions();
    let of_level = cells.find_by_user_level(company, levels[0].id).await.unwrap();
    let expected: Vec<_> = feature_ids.iter().flat_map(|id| sorted.map(|word| (*id, word.to_owned()))).collect();
    assert_eq!(keys(&of_level, |cell| (cell.feature_id, cell.action.to_string())), expected);
    let of_feature = cells.find_by_feature(company, feature_ids[1]).await.unwrap();
    let expected: Vec<_> = level_ids.iter().flat_map(|id| sorted.map(|word| (*id, word.to_owned()))).collect();
    assert_eq!(keys(&of_feature, |cell| (cell.user_level_id, cell.action.to_string())), expected);
}

/// Two companies, each of which has a level with a cell for the same view and a cell for the same feature.
struct Two {
    mine: CompanyId,
    theirs: CompanyId,
    my_level: UserLevel,
    their_level: UserLevel,
    view: View,
    feature: Feature,
}

async fn two(storage: &Arc<dyn Storage>) -> Two {
    let (mine, theirs) = (some_company(), some_company());
    let (my_level, their_level) = (level(mine, "Admin"), level(theirs, "Admin"));
    let (view, feature) = (some_view(), some_feature());
    given(storage, &[&view, &feature, &my_level, &their_level]).await;
    for level in [&my_level, &their_level] {
        let (seen, done) = (view_cell(level, view.id, ViewState::Allow), feature_cell(level, feature.id, "Read"));
        given(storage, &[&seen, &done]).await;
    }
    Two { mine, theirs, my_level, their_level, view, feature }
}

/// A company cannot read another company's cells. This applies to reads by level, and to reads by a view or feature for
/// which both companies have cells.
pub async fn cells_of_another_company_are_not_found(storage: Arc<dyn Storage>) {
    let Two { mine, theirs, my_level, their_level, view, feature } = two(&storage).await;
    let (views, features) = (storage.reader().view_permissions(), storage.reader().feature_permissions());
    let read = Action::read();
    assert_eq!(views.find(mine, their_level.id, view.id).await.unwrap(), None);
    assert_eq!(views.find_by_user_level(mine, their_level.id).await.unwrap(), []);
    assert_eq!(features.find(mine, their_level.id, feature.id, &read).await.unwrap(), None);
    assert_eq!(features.find_by_user_level(mine, their_level.id).await.unwrap(), []);
    for (company, level) in [(mine, &my_level), (theirs, &their_level)] {
        let about_view = views.find_by_view(company, view.id).await.unwrap();
        assert_eq!(keys(&about_view, |cell| (cell.company_id, cell.user_level_id)), [(company, level.id)]);
        let about_feature = features.find_by_feature(company, feature.id).await.unwrap();
        assert_eq!(keys(&about_feature, |cell| (cell.company_id, cell.user_level_id)), [(company, level.id)]);
    }
}

/// A company cannot write, delete or replace another company's cells, even if a call combines its own company id with a
/// level of the other company.
pub async fn cells_of_another_company_cannot_be_changed(storage: Arc<dyn Storage>) {
    let Two { mine, theirs, their_level, view, feature, .. } = two(&storage).await;
    let (views, features) = (storage.reader().view_permissions(), storage.reader().feature_permissions());
    let before = (
        views.find_by_user_level(theirs, their_level.id).await.unwrap(),
        features.find_by_user_level(theirs, their_level.id).await.unwrap(),
    );
    let posing = UserLevel { company_id: mine, ..their_level.clone() };
    let (foreign, read) = (their_level.id, Action::read());
    let (seen, done) = (view_cell(&posing, view.id, ViewState::Deny), feature_cell(&posing, feature.id, "Update"));

    let written = change!(storage, mine, tx => tx.view_permissions_mut().upsert(&seen));
    assert_unknown(written, EntityType::UserLevel, [foreign.as_uuid()]);
    let written = change!(storage, mine, tx => tx.feature_permissions_mut().upsert(&done));
    assert_unknown(written, EntityType::UserLevel, [foreign.as_uuid()]);
    let gone = change!(storage, mine, tx => tx.view_permissions_mut().delete(mine, foreign, view.id));
    assert!(!gone.unwrap());
    let gone = change!(storage, mine, tx => tx.feature_permissions_mut().delete(mine, foreign, feature.id, &read));
    assert!(!gone.unwrap());
    for cells in [vec![], vec![seen]] {
        let replaced = change!(storage, mine, tx => {
            tx.view_permissions_mut().replace_for_user_level(mine, foreign, &cells)
        });
        assert_unknown(replaced, EntityType::UserLevel, [foreign.as_uuid()]);
    }
    for cells in [vec![], vec![done]] {
        let replaced = change!(storage, mine, tx => {
            tx.feature_permissions_mut().replace_for_user_level(mine, foreign, &cells)
        });
        assert_unknown(replaced, EntityType::UserLevel, [foreign.as_uuid()]);
    }
    let after = (
        views.find_by_user_level(theirs, their_level.id).await.unwrap(),
        features.find_by_user_level(theirs, their_level.id).await.unwrap(),
    );
    assert_eq!(after, before);
}

/// A replace operation that receives cells of another company or level never writes to that company or level.
pub async fn a_replace_cannot_write_cells_of_another_company_or_level(storage: Arc<dyn Storage>) {
    let Two { mine, theirs, my_level, their_level, .. } = two(&storage).await;
    let (view, feature) = (some_view(), some_feature());
    let neighbour = level(mine, "Neighbour");
    given(&storage, &[&view, &feature, &neighbour]).await;
    for elsewhere in [&their_level, &neighbour] {
        let seen = [view_cell(elsewhere, view.id, ViewState::Allow)];
        let done = [feature_cell(elsewhere, feature.id, "Read")];
        // Both outcomes are safe: the adapter rejects the cells, or it stores them as cells of the level that the call
        // specifies.
        let _ = change!(storage, mine, tx => {
            tx.view_permissions_mut().replace_for_user_level(mine, my_level.id, &seen)
        });
        let _ = change!(storage, mine, tx => {
            tx.feature_permissions_mut().replace_for_user_level(mine, my_level.id, &done)
        });
        let (views, features) = (storage.reader().view_permissions(), storage.reader().feature_permissions());
        assert_eq!(views.find(elsewhere.company_id, elsewhere.id, view.id).await.unwrap(), None);
        let found = features.find(elsewhere.company_id, elsewhere.id, feature.id, &Action::read()).await.unwrap();
        assert_eq!(found, None);
        assert_eq!(views.find_by_view(theirs, view.id).await.unwrap(), []);
        assert_eq!(features.find_by_feature(theirs, feature.id).await.unwrap(), []);
    }
}

/// Deleting a view deletes the cells for this view. The other cells of the level are preserved.
pub async fn deleting_a_view_preserves_the_cells_of_other_views(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (admin, gone, stays) = (level(company, "Admin"), some_view(), some_view());
    let kept = view_cell(&admin, stays.id, ViewState::Deny);
    given(&storage, &[&gone, &stays, &admin, &view_cell(&admin, gone.id, ViewState::Allow), &kept]).await;
    change!(storage, Target::Catalog, tx => tx.views_mut().delete(gone.id)).unwrap();
    assert_eq!(storage.reader().view_permissions().find_by_user_level(company, admin.id).await.unwrap(), [kept]);
}
