//! Test cases for quotas: the overrides of a company, the counts of what the company has created, and the growth that a
//! unit of work measures.

use std::collections::BTreeMap;
use std::sync::Arc;

use iam_domain::{ApiKey, CompanyId, EntityType, Quota, QuotaOverrides, UserLevel, ViewState};
use serde_json::json;

use super::credentials::{create, key};
use super::fixtures::{
    OwnedSubItem, begin, change, feature_cell, given, given_all, holding, level, menu_item, name, records_about,
    some_company, some_feature, some_user, some_view, sub_item, view_cell,
};
use crate::{Storage, Target};

/// Returns the use of every quota.
async fn used(storage: &Arc<dyn Storage>, company: CompanyId) -> BTreeMap<Quota, u64> {
    let all: Vec<_> = Quota::ALL.iter().map(|quota| (*quota, u64::MAX)).collect();
    storage.reader().company_quotas().usage(company, &all).await.unwrap()
}

/// The overrides of a company are read as written, also by the next unit of work when it acquires its locks. Writing
/// equal overrides changes nothing. Each change of the overrides is recorded.
pub async fn overrides_of_quotas_are_read_as_written(storage: Arc<dyn Storage>) {
    let (company, other) = (some_company(), some_company());
    let read = async |company| storage.reader().company_quotas().overrides(company).await.unwrap();
    let none = QuotaOverrides::default();
    assert_eq!(read(company).await, none);
    let all = QuotaOverrides(Quota::ALL.iter().map(|quota| (*quota, u32::MAX)).collect());
    let some = QuotaOverrides([(Quota::Levels, 7), (Quota::ApiKeys, 0)].into());
    let mut before = none.clone();
    for overrides in [&some, &all, &some, &none] {
        let mut tx = begin(&storage, company).await;
        assert_eq!(*tx.quota_overrides(), before);
        assert_eq!(tx.company_quotas_mut().replace_overrides(company, overrides).await.unwrap(), before);
        assert_eq!(tx.quota_overrides(), overrides);
        assert_eq!(tx.company_quotas().overrides(company).await.unwrap(), *overrides);
        tx.commit().await.unwrap();
        assert_eq!(read(company).await, *overrides);
        let again = change!(storage, company, tx => tx.company_quotas_mut().replace_overrides(company, overrides));
        assert_eq!(again.unwrap(), *overrides);
        before = overrides.clone();
    }
    assert_eq!(read(other).await, none);
    assert_eq!(*begin(&storage, other).await.quota_overrides(), none);
    assert_eq!(*begin(&storage, Target::Catalog).await.quota_overrides(), none);
    let records = records_about(&storage, Some(company), EntityType::Company, company.as_uuid()).await;
    assert_eq!(records.len(), 4);
    assert!(records.iter().all(|record| record.action == "company.quotas_updated"));
    let first = json!({ "before": {}, "after": { "levels": 7, "apiKeys": 0 } });
    assert!(records.iter().any(|record| record.changes.as_ref() == Some(&first)));
}

/// The use of each quota is counted: rows, bytes (not characters), sets of two or more levels, and the largest number
/// of levels that one user holds. Inside a unit of work, its uncommitted changes are counted.
pub async fn the_use_of_each_quota_is_counted(storage: Arc<dyn Storage>) {
    let company = some_company();
    let expected = |counts: [u64; 7]| -> BTreeMap<_, _> { Quota::ALL.iter().copied().zip(counts).collect() };
    assert_eq!(used(&storage, company).await, expected([0; 7]));
    let levels = ["a", "ä", "bc"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    let (view, feature) = (some_view(), some_feature());
    given(&storage, &[&view, &feature]).await;
    given(
        &storage,
        &[&view_cell(&levels[0], view.id, ViewState::Allow), &view_cell(&levels[1], view.id, ViewState::Deny)],
    )
    .await;
    given(&storage, &[&feature_cell(&levels[0], feature.id, "Read")]).await;
    let item = menu_item(Some(company), "öö");
    given(&storage, &[&item]).await;
    given(&storage, &[&OwnedSubItem(Some(company), &sub_item(&item, "x")), &menu_item(None, "common")]).await;
    for held in [&levels[..1], &levels[..2], &levels[..2], &levels[1..], &levels[..]] {
        let user = some_user();
        given_all(&storage, &held.iter().map(|level| holding(user, level)).collect::<Vec<_>>()).await;
    }
    let keys = [(); 3].map(|()| ApiKey { company_id: Some(company), ..key("key") });
    create(&storage, &[&keys[0], &keys[1], &keys[2], &key("of another company")]).await;
    change!(storage, Target::Credentials, tx => tx.api_keys_mut().revoke(keys[1].id)).unwrap();
    // levels, levelSets, menuItems, permissionCells, apiKeys, textBytes, levelsPerUser
    let counts = expected([3, 3, 2, 3, 2, 1 + 2 + 2 + 4 + 1, 3]);
    assert_eq!(used(&storage, company).await, counts);

    let asked = [(Quota::TextBytes, 1), (Quota::Levels, 3)];
    let some = storage.reader().company_quotas().usage(company, &asked).await.unwrap();
    assert_eq!(some, [(Quota::Levels, 3), (Quota::TextBytes, 10)].into());
    assert_eq!(storage.reader().company_quotas().usage(company, &[]).await.unwrap(), BTreeMap::new());
    // Counting may stop, but not before the given number of rows.
    let stopped = storage.reader().company_quotas().usage(company, &[(Quota::Levels, 2)]).await.unwrap();
    assert!(stopped[&Quota::Levels] >= 2);

    let mut tx = begin(&storage, company).await;
    tx.user_levels_mut().create(&level(company, "four")).await.unwrap();
    let within = tx.company_quotas().usage(company, &asked).await.unwrap();
    assert!(within[&Quota::Levels] >= 3 && within[&Quota::TextBytes] == 14, "{within:?}");
}

/// The use of the quotas of a company contains nothing of another company.
pub async fn the_use_of_quotas_of_two_companies_is_separate(storage: Arc<dyn Storage>) {
    let (ours, theirs) = (some_company(), some_company());
    let levels = ["One", "Two"].map(|text| level(theirs, text));
    given_all(&storage, &levels).await;
    let user = some_user();
    given_all(&storage, &levels.each_ref().map(|level| holding(user, level))).await;
    let item = menu_item(Some(theirs), "Item");
    given(&storage, &[&item]).await;
    given(&storage, &[&OwnedSubItem(Some(theirs), &sub_item(&item, "Sub-item"))]).await;
    create(&storage, &[&ApiKey { company_id: Some(theirs), ..key("key") }]).await;
    assert!(used(&storage, ours).await.values().all(|used| *used == 0));
    assert!(used(&storage, theirs).await.iter().all(|(quota, used)| *quota == Quota::PermissionCells || *used > 0));
    assert!(!storage.reader().company_quotas().exceeds_level_sets(ours, &[(user, vec![])], 0).await.unwrap());
}

/// A unit of work measures the net growth of the quantities that quotas limit.
pub async fn a_unit_of_work_measures_growth(storage: Arc<dyn Storage>) {
    let company = some_company();
    let (view, there) = (some_view(), level(company, "There"));
    given(&storage, &[&view, &there]).await;
    let item = menu_item(Some(company), "Item");
    given(&storage, &[&item]).await;

    let mut tx = begin(&storage, company).await;
    let grown = |tx: &dyn crate::UnitOfWork| tx.growth().grown().collect::<Vec<_>>();
    assert_eq!(grown(tx.as_ref()), []);
    tx.user_levels_mut().update(&UserLevel { name: name("Other"), ..there.clone() }).await.unwrap();
    assert_eq!(grown(tx.as_ref()), []);
    tx.user_levels_mut().update(&UserLevel { name: name("Others"), ..there.clone() }).await.unwrap();
    assert_eq!(grown(tx.as_ref()), [Quota::TextBytes]);
    tx.user_levels_mut().update(&UserLevel { name: name("x"), ..there.clone() }).await.unwrap();
    assert_eq!(grown(tx.as_ref()), []);
    let made = level(company, "Made");
    tx.user_levels_mut().create(&made).await.unwrap();
    assert_eq!(grown(tx.as_ref()), [Quota::Levels]);
    tx.user_levels_mut().delete(company, made.id).await.unwrap();
    assert_eq!(grown(tx.as_ref()), []);
    let cell = view_cell(&there, view.id, ViewState::Allow);
    tx.view_permissions_mut().replace_for_user_level(company, there.id, &[cell.clone()]).await.unwrap();
    assert_eq!(grown(tx.as_ref()), [Quota::PermissionCells]);
    tx.view_permissions_mut().upsert(&cell).await.unwrap();
    tx.view_permissions_mut().delete(company, there.id, view.id).await.unwrap();
    assert_eq!(grown(tx.as_ref()), []);
    tx.sub_menu_items_mut().create(Some(company), &sub_item(&item, "Sub")).await.unwrap();
    assert_eq!(grown(tx.as_ref()), [Quota::MenuItems]);
    tx.menu_items_mut().create(&menu_item(Some(company), "Another")).await.unwrap();
    assert_eq!(grown(tx.as_ref()), [Quota::MenuItems, Quota::TextBytes]);
    drop(tx);

    let mut tx = begin(&storage, Target::Credentials).await;
    let ours = ApiKey { company_id: Some(company), ..key("ours") };
    tx.api_keys_mut().create(&ours, &iam_domain::ApiKeyDigest([1; 32])).await.unwrap();
    assert_eq!(tx.growth().companies_with_more_keys().collect::<Vec<_>>(), [company]);
    tx.api_keys_mut().revoke(ours.id).await.unwrap();
    assert_eq!(tx.growth().companies_with_more_keys().count(), 0);
}

/// A unit of work measures which users hold more levels than before, and which users hold a new set of levels. A subset
/// of the levels held before is no new set, and neither is a single level.
pub async fn a_unit_of_work_measures_the_growth_of_assignments(storage: Arc<dyn Storage>) {
    let (company, user) = (some_company(), some_user());
    let levels = ["a", "b", "c"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    given_all(&storage, &[holding(user, &levels[0]), holding(user, &levels[1])]).await;
    let mut before = [levels[0].id, levels[1].id];
    before.sort_unstable();
    let mut tx = begin(&storage, company).await;
    for (given, more, is_new) in [
        (vec![1], None, false),
        (vec![], None, false),
        (vec![2], None, false),
        (vec![0, 2], None, true),
        (vec![0, 1, 2], Some(3), true),
        (vec![0, 1], None, false),
    ] {
        let ids: Vec<_> = given.iter().map(|n: &usize| levels[*n].id).collect();
        tx.assignments_mut().replace_for_user(company, user, &ids, None).await.unwrap();
        let growth = tx.growth();
        let held: Vec<_> = growth.users_with_more_levels().collect();
        assert_eq!(held, more.map(|count| (user, count)).into_iter().collect::<Vec<_>>(), "{given:?}");
        let new: Vec<_> = growth.users_with_new_sets().collect();
        assert_eq!(new, if is_new { vec![user] } else { Vec::new() }, "{given:?}");
        let others: Vec<_> = growth.users_with_other_sets().collect();
        let is_other = given != [0, 1];
        assert_eq!(others, if is_other { vec![(user, before.to_vec())] } else { Vec::new() }, "{given:?}");
    }
}

/// The sets of levels exceed a limit only if the last change to a user has increased their number: no other user holds
/// the new set, and another user still holds the old set, or the old set was not counted.
pub async fn level_sets_exceed_a_limit_only_if_their_number_grows(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels = ["a", "b", "c", "d"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    let users = [(); 4].map(|()| some_user());
    for (user, held) in users.iter().zip([vec![0, 1], vec![0, 1], vec![0, 1, 2], vec![3]]) {
        given_all(&storage, &held.iter().map(|n: &usize| holding(*user, &levels[*n])).collect::<Vec<_>>()).await;
    }
    // Assigns levels to a user in a unit of work that is rolled back. Returns whether more than `limit` sets exist, and
    // their number has grown.
    let exceeds = async |user: usize, before: &[usize], held: &[usize], limit: u64| {
        let ids = |numbers: &[usize]| {
            let mut ids: Vec<_> = numbers.iter().map(|n| levels[*n].id).collect();
            ids.sort_unstable();
            ids
        };
        let mut tx = begin(&storage, company).await;
        tx.assignments_mut().replace_for_user(company, users[user], &ids(held), None).await.unwrap();
        tx.company_quotas().exceeds_level_sets(company, &[(users[user], ids(before))], limit).await.unwrap()
    };
    // A third set, which no other user holds: the old set remains, or was not counted.
    assert!(exceeds(0, &[0, 1], &[1, 2], 2).await);
    assert!(exceeds(3, &[3], &[1, 2], 2).await);
    assert!(!exceeds(0, &[0, 1], &[1, 2], 3).await);
    // The set of the only holder is replaced by another set.
    assert!(!exceeds(2, &[0, 1, 2], &[1, 2], 1).await);
    // Another user already holds the new set.
    assert!(!exceeds(3, &[3], &[0, 1], 1).await);
    assert!(!exceeds(3, &[3], &[0, 1, 2], 1).await);
    // The company has at most as many users as sets are permitted.
    assert!(!exceeds(3, &[3], &[1, 2], 4).await);
}

/// If several users change together, the sets of levels exceed a limit only if their number grows by all these changes.
/// A set that two of these users receive counts once, and sets that they no longer hold are subtracted.
pub async fn level_sets_are_compared_after_all_changes(storage: Arc<dyn Storage>) {
    let company = some_company();
    let levels = ["a", "b", "c", "d"].map(|text| level(company, text));
    given_all(&storage, &levels).await;
    let users = [(); 3].map(|()| some_user());
    for (user, held) in users.iter().zip([vec![0, 1], vec![1, 2], vec![3]]) {
        given_all(&storage, &held.iter().map(|n: &usize| holding(*user, &levels[*n])).collect::<Vec<_>>()).await;
    }
    let ids = |numbers: &[usize]| {
        let mut ids: Vec<_> = numbers.iter().map(|n| levels[*n].id).collect();
        ids.sort_unstable();
        ids
    };
    let exceeds = async |changes: &[(usize, &[usize], &[usize])], limit: u64| {
        let mut tx = begin(&storage, company).await;
        for (user, _, held) in changes {
            tx.assignments_mut().replace_for_user(company, users[*user], &ids(held), None).await.unwrap();
        }
        let changed: Vec<_> = changes.iter().map(|(user, before, _)| (users[*user], ids(before))).collect();
        tx.company_quotas().exceeds_level_sets(company, &changed, limit).await.unwrap()
    };
    let new: (usize, &[usize], &[usize]) = (2, &[3], &[2, 3]);
    assert!(exceeds(&[new], 2).await);
    // Another user leaves a set that no user holds any more.
    assert!(!exceeds(&[new, (0, &[0, 1], &[])], 2).await);
    assert!(!exceeds(&[new, (0, &[0, 1], &[2, 3])], 1).await);
    // Two new sets, and one that disappears.
    assert!(exceeds(&[new, (0, &[0, 1], &[0, 2])], 2).await);
    assert!(!exceeds(&[new, (0, &[0, 1], &[0, 2])], 3).await);
    // Both users receive a set that a third user holds.
    assert!(!exceeds(&[(2, &[3], &[1, 2]), (0, &[0, 1], &[1, 2])], 1).await);
}
