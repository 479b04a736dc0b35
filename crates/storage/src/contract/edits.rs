//! Test cases for edits of the levels of several users, and for the matrices of all levels of a company.

use std::collections::BTreeSet;
use std::sync::Arc;

use iam_domain::{
    EntityType, FeaturePermission, FeatureRule, Period, Scope, UserId, UserLevel, ViewPermission, ViewState,
};

use super::fixtures::{
    ascending, begin, change, feature_cell, given, given_all, holding, keys, level, records_about, some_company,
    some_feature, some_user, some_view, versions, view_cell,
};
use super::outcomes::{assert_misuse, assert_unknown};
use crate::{EditedUser, FeatureCell, LevelsEdit, Storage, ViewCell};

fn edit(user: UserId, add: &[&UserLevel], remove: &[&UserLevel]) -> LevelsEdit {
    let ids = |levels: &[&UserLevel]| levels.iter().map(|level| level.id).collect::<BTreeSet<_>>();
    LevelsEdit { user, add: ids(add).into_iter().map(|level| (level, None)).collect(), remove: ids(remove) }
}

fn edited(user: UserId, before: &[&UserLevel], after: &[&UserLevel]) -> EditedUser {
    let ids = |levels: &[&UserLevel]| levels.iter().map(|level| (level.id, Period::UNLIMITED)).collect();
    EditedUser { user, before: ids(before), after: ids(after) }
}

/// Edits assign and remove levels of several users together. Other assignments remain. The result contains the levels of
/// each user before and after the edits, and those of the assigned levels that deny.
pub async fn edits_change_several_users_together(storage: Arc<dyn Storage>) {
    let (company, users, view, feature) = (some_company(), ascending!(UserId, 4), some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    let levels = ["a", "b", "c", "d"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    let [a, b, c, d] = &levels;
    given(&storage, &[&view_cell(b, view.id, ViewState::Deny), &view_cell(a, view.id, ViewState::Allow)]).await;
    given(&storage, &[&FeaturePermission { value: false, ..feature_cell(c, feature.id, "Read") }]).await;
    for (user, held) in users.iter().zip([vec![a, b], vec![a], vec![], vec![a, d]]) {
        given_all(&storage, &held.into_iter().map(|level| holding(*user, level)).collect::<Vec<_>>()).await;
    }
    let edits = [
        edit(users[2], &[a, b], &[c]),
        edit(users[0], &[d], &[a, c]),
        edit(users[1], &[a], &[]),
        edit(users[3], &[], &[a, d]),
    ];
    let result = change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    let expected = [
        edited(users[2], &[], &[a, b]),
        edited(users[0], &[a, b], &[b, d]),
        edited(users[1], &[a], &[a]),
        edited(users[3], &[a, d], &[]),
    ];
    assert_eq!(result.users, expected);
    // The level `c` denies, but is only removed.
    assert_eq!(result.denying, BTreeSet::from([b.id]));
    for (user, names) in users.iter().zip(["bd", "a", "ab", ""]) {
        let held = storage.reader().assignments().get_user_levels(company, *user).await.unwrap();
        assert_eq!(held.iter().map(|level| level.name.as_str()).collect::<String>(), names);
    }
    let before = versions(&storage, Some(company)).await;
    change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None)).unwrap();
    assert_eq!(versions(&storage, Some(company)).await, before, "repeated edits change nothing");
}

/// Each user whose levels change has one audit record.
pub async fn edits_are_recorded_for_each_user(storage: Arc<dyn Storage>) {
    let (company, users) = (some_company(), ascending!(UserId, 3));
    let levels = ["a", "b"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    let [a, b] = &levels;
    let mut tx = begin(&storage, company).await;
    tx.assignments_mut().edit(company, &[edit(users[0], &[a, b], &[]), edit(users[1], &[], &[a])], None).await.unwrap();
    assert!(!tx.recorded().only_removes);
    tx.commit().await.unwrap();
    let mut tx = begin(&storage, company).await;
    tx.assignments_mut().edit(company, &[edit(users[0], &[], &[b]), edit(users[2], &[], &[b])], None).await.unwrap();
    assert!(tx.recorded().only_removes);
    tx.commit().await.unwrap();
    for (user, count) in users.iter().zip([2, 0, 0]) {
        let records = records_about(&storage, Some(company), EntityType::Assignment, user.as_uuid()).await;
        assert_eq!(records.len(), count);
        assert!(records.iter().all(|record| record.action == "assignment.user_levels_updated"));
    }
}

/// Edits with unknown levels are rejected with all unknown ids, also if these levels are only removed. Edits that
/// contradict each other are rejected, too.
pub async fn invalid_edits_are_rejected(storage: Arc<dyn Storage>) {
    let (company, theirs, user) = (some_company(), some_company(), some_user());
    let (own, foreign, unknown) = (level(company, "Own"), level(theirs, "Foreign"), level(company, "Unknown"));
    given(&storage, &[&own]).await;
    given(&storage, &[&foreign, &holding(user, &foreign)]).await;
    let send = async |edits: &[LevelsEdit]| {
        let edits = edits.to_vec();
        change!(storage, company, tx => tx.assignments_mut().edit(company, &edits, None))
    };
    let mut ids = [foreign.id.as_uuid(), unknown.id.as_uuid()];
    ids.sort_unstable();
    assert_unknown(send(&[edit(user, &[&own, &unknown], &[&foreign])]).await, EntityType::UserLevel, ids);
    assert_misuse(send(&[edit(user, &[&own], &[]), edit(user, &[], &[])]).await);
    assert_misuse(send(&[edit(user, &[&own], &[&own])]).await);
    let held = |company| storage.reader().assignments().get_user_levels(company, user);
    assert_eq!(held(company).await.unwrap(), []);
    assert_eq!(keys(&held(theirs).await.unwrap(), |level| level.id), [foreign.id]);
}

/// The matrices of a company contain all its levels by name, with all cells in order, and the catalog. Those of another
/// company are not included.
pub async fn the_matrices_of_a_company_are_loaded_together(storage: Arc<dyn Storage>) {
    let (company, theirs) = (some_company(), some_company());
    let (mut views, mut features) = ([some_view(), some_view()], [some_feature(), some_feature()]);
    given_all(&storage, &views).await;
    given_all(&storage, &features).await;
    views.sort_by_key(|view| view.id);
    features.sort_by_key(|feature| feature.id);
    let levels = ["b", "a", "ä"].map(|text| level(company, text));
    let foreign = level(theirs, "Foreign");
    given_all(&storage, &levels).await;
    given(&storage, &[&foreign, &view_cell(&foreign, views[0].id, ViewState::Allow)]).await;
    let pinned = ViewPermission { modifiable: false, ..view_cell(&levels[0], views[1].id, ViewState::Deny) };
    given(&storage, &[&pinned, &view_cell(&levels[0], views[0].id, ViewState::Allow)]).await;
    let narrow = FeaturePermission { scope: Scope::Own, ..feature_cell(&levels[1], features[1].id, "Update") };
    given(&storage, &[&narrow, &feature_cell(&levels[1], features[1].id, "Read")]).await;
    given(&storage, &[&feature_cell(&levels[1], features[0].id, "Zap")]).await;

    let loaded = storage.reader().snapshots().load_matrix(company).await.unwrap();
    assert_eq!(loaded.versions, versions(&storage, Some(company)).await);
    assert_eq!(loaded.value.catalog, storage.reader().snapshots().load_catalog().await.unwrap().value);
    let [a, b, c] = loaded.value.levels.try_into().unwrap();
    assert_eq!([&a.level, &b.level, &c.level], [&levels[1], &levels[0], &levels[2]]);
    let view = |n: usize, state, modifiable| ViewCell { view: views[n].id, state, modifiable };
    assert_eq!(b.views, [view(0, ViewState::Allow, true), view(1, ViewState::Deny, false)]);
    let given = |cell: &FeatureCell| (cell.feature, cell.action.to_string(), cell.rule, cell.modifiable);
    let (any, own) = (a.features[0].rule, FeatureRule { value: true, scope: Scope::Own });
    let expected = [
        (features[0].id, "Zap".to_owned(), any, true),
        (features[1].id, "Read".to_owned(), any, true),
        (features[1].id, "Update".to_owned(), own, true),
    ];
    assert_eq!(a.features.iter().map(given).collect::<Vec<_>>(), expected);
    assert!(a.views.is_empty() && b.features.is_empty() && c.views.is_empty() && c.features.is_empty());
    let theirs = storage.reader().snapshots().load_matrix(theirs).await.unwrap().value.levels;
    assert_eq!((theirs.len(), &theirs[0].level, theirs[0].views.len()), (1, &foreign, 1));
    assert_eq!(storage.reader().snapshots().load_matrix(some_company()).await.unwrap().value.levels, []);
}
